"""Project Wycheproof's vectors for JWS and JWK. Where our verdict is another one, it stands here with the reason.

No vector's payload is a claim set, so the guard can let none in as it stands. Each is carried over: its header, letter
by letter, before claims of ours, signed by the vector's private key where the vector is good, and with the vector's own
signature where it is not. What can't be carried over is a signature that is wrong only for its own payload.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from doorward.errors import ConfigurationError, DoorwardError, InvalidCredential
from doorward.guard import Guard, Issuer
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, parse_jwk_set
from doorward.protocol.jws import parse_jws, verify_jws
from doorward.protocol.key_material import CURVES

FOLDER = Path(__file__).with_name("wycheproof")

SYMMETRIC = "we take no symmetric keys: whoever checks a token could make one"
CURVE_NAME = "the key says alg ES521, which does not exist; the token says ES512"
OTHER_ALG = "the key says alg PS256, the token PS384: the key's word counts"
LENIENT_BASE64 = "a symmetric key; and a question mark in base64url is not skipped"

# Vectors that are called valid and that we refuse. There is none the other way round, and there must be none.
STRICTER = {
    "json_web_key_test.json": {2: SYMMETRIC, 13: SYMMETRIC, 14: SYMMETRIC, 15: SYMMETRIC},
    "json_web_signature_test.json": {
        1: SYMMETRIC,
        346: OTHER_ALG,
        347: CURVE_NAME,
        348: SYMMETRIC,
        350: OTHER_ALG,
        351: CURVE_NAME,
        352: SYMMETRIC,
        357: SYMMETRIC,
        358: SYMMETRIC,
        359: SYMMETRIC,
        372: LENIENT_BASE64,
        373: LENIENT_BASE64,
        376: SYMMETRIC,
        377: SYMMETRIC,
    },
}


def verdict(token: str, jwk_set: object) -> str:
    try:
        keys = parse_jwk_set(json.dumps(jwk_set).encode())
        verify_jws(parse_jws(token), keys, algorithms=ASYMMETRIC_ALGORITHMS)
    except DoorwardError:
        return "invalid"
    return "valid"


def load(name: str) -> dict[str, object]:
    return json.loads((FOLDER / name).read_text())


@pytest.mark.parametrize("name", STRICTER)
def test_every_vector_has_the_verdict_that_we_stand_by(name):
    document = load(name)
    accepted, refused = set(), set()
    for group in document["testGroups"]:
        keys = as_set(group.get("public", group["private"]))
        for test in group["tests"]:
            ours = verdict(test["jws"], keys)
            if ours != test["result"]:
                (accepted if ours == "valid" else refused).add(test["tcId"])
    assert not accepted
    assert refused == set(STRICTER[name])
    assert sum(len(group["tests"]) for group in document["testGroups"]) == document["numberOfTests"]


CLAIMS = encode_base64url(b'{"iss":"https://id.example","sub":"alice","aud":"api","exp":253402300799}')


def number(jwk: dict[str, str], name: str) -> int:
    return int.from_bytes(decode_base64url(jwk[name], what=name))


def private_key(jwk: dict[str, str]) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if jwk["kty"] == "EC":
        return ec.derive_private_key(number(jwk, "d"), CURVES[jwk["crv"]])
    public = rsa.RSAPublicNumbers(number(jwk, "e"), number(jwk, "n"))
    parts = (number(jwk, name) for name in ("p", "q", "d", "dp", "dq", "qi"))
    return rsa.RSAPrivateNumbers(*parts, public).private_key(unsafe_skip_rsa_key_validation=True)


def as_set(keys: dict[str, object]) -> dict[str, object]:
    return keys if "keys" in keys else {"keys": [keys]}


def guard_of(jwk_set: dict[str, object]) -> Guard | None:
    try:
        issuer = Issuer("https://id.example", ["api"], jwks=jwk_set, algorithms=ASYMMETRIC_ALGORITHMS)
    except ConfigurationError:
        return None  # a guard with such keys does not start
    return Guard([issuer])


def let_in(guard: Guard, token: str) -> bool:
    try:
        return guard.authenticate(f"Bearer {token}").subject == "alice"
    except InvalidCredential:
        return False


@pytest.mark.parametrize(
    ("name", "signed_anew"), [("json_web_key_test.json", 1), ("json_web_signature_test.json", 355)]
)
def test_the_guard_lets_in_the_good_vectors_and_no_other(name, signed_anew):
    judged = 0
    for group in load(name)["testGroups"]:
        public, private = as_set(group.get("public", group["private"])), as_set(group["private"])
        guard = guard_of(public)
        if guard is None:
            assert {verdict(test["jws"], public) for test in group["tests"]} == {"invalid"}
            continue
        jwk = private["keys"][0]
        key = private_key(jwk)
        for test in group["tests"]:
            token = test["jws"]
            assert not let_in(guard, token), test["tcId"]  # no claims
            header, _, rest = token.partition(".")
            assert not let_in(guard, f"{header}.{CLAIMS}.{rest.rpartition('.')[2]}"), test["tcId"]
            good = verdict(token, public) == "valid"
            alg = parse_jws(token).header.alg if good else jwk["alg"]
            if alg in ALGORITHMS:
                signature = encode_base64url(ALGORITHMS[alg].sign(key, f"{header}.{CLAIMS}".encode()))
                expected = good or is_mended_by_signing(header, jwk)
                assert let_in(guard, f"{header}.{CLAIMS}.{signature}") == expected, test["tcId"]
                judged += 1
    assert judged == signed_anew


def is_mended_by_signing(header: str, jwk: dict[str, str]) -> bool:
    """Whether only the signature of a bad vector was bad."""
    try:
        said = parse_jws(f"{header}.{CLAIMS}.AAAA").header
    except DoorwardError:
        return False
    return said.alg == jwk["alg"] and said.kid in {None, jwk.get("kid")}
