"""What has broken other verifiers of signed tokens: one test for each, named by its CVE where it has one."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import zlib

import pytest
from cryptography.hazmat.primitives import serialization

from doorward.errors import AlgorithmNotAllowed, BadSignature, InvalidCredential, Malformed, UnknownKey
from doorward.protocol.claims import parse_jwt, sign_claims, validate_times, verify_jwt
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, SigningKey, generate_signing_key, parse_jwk_set
from doorward.protocol.jws import sign_jws

CLAIMS = {"iss": "https://id.example", "sub": "admin"}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(header: dict[str, object], claims: dict[str, object] = CLAIMS) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"


@functools.cache
def issuer_key(alg: str) -> SigningKey:
    return generate_signing_key(alg, kid="k")


def accept(token: str, *jwks: object, algorithms=ASYMMETRIC_ALGORITHMS) -> object:
    keys = parse_jwk_set(json.dumps({"keys": jwks}).encode())
    return verify_jwt(parse_jwt(token), keys, algorithms=algorithms).claims


def refusal(kind: type[InvalidCredential], token: str, *jwks: object) -> str:
    with pytest.raises(kind) as caught:
        accept(token, *jwks)
    return caught.value.reason


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "NoNe"])
def test_alg_none_in_any_spelling(alg):
    token = encode({"alg": alg, "typ": "JWT"})
    for signature in ("", b64(b"x")):
        assert refusal(AlgorithmNotAllowed, f"{token}.{signature}", issuer_key("RS256").public_jwk()) == "alg_none"


def public_forms(alg: str) -> list[bytes]:
    """Every form in which somebody may have used a public key as a secret."""
    public_key = issuer_key(alg).private_key.public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = public_key.public_bytes(serialization.Encoding.PEM, info)
    return [
        pem,
        pem.rstrip(),
        public_key.public_bytes(serialization.Encoding.DER, info),
        public_key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
        json.dumps(issuer_key(alg).public_jwk()).encode(),
        b"",
    ]


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_cve_2015_9235_and_2016_10555_the_public_key_as_an_hmac_secret(alg, name):
    """Also CVE-2022-29217, CVE-2024-33663 and CVE-2024-37568, with the key in other forms, and an empty secret."""
    signing_input = encode({"alg": name, "kid": "k"})
    for secret in public_forms(alg):
        mac = hmac.new(secret, signing_input.encode(), getattr(hashlib, f"sha{name[2:]}")).digest()
        token = f"{signing_input}.{b64(mac)}"
        assert refusal(AlgorithmNotAllowed, token, issuer_key(alg).public_jwk()) == "alg_symmetric"


def test_a_symmetric_key_in_the_issuers_set():
    oct_key = {"kty": "oct", "kid": "k", "alg": "HS256", "k": b64(bytes(32))}
    signing_input = encode({"alg": "HS256", "kid": "k"})
    token = f"{signing_input}.{b64(hmac.digest(bytes(32), signing_input.encode(), 'sha256'))}"
    assert refusal(AlgorithmNotAllowed, token, oct_key) == "alg_symmetric"
    assert refusal(UnknownKey, sign_claims(CLAIMS, issuer_key("ES256")), oct_key) == "jwk_symmetric"


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
def test_cve_2022_21449_psychic_signatures(alg):
    signing_input = encode({"alg": alg, "kid": "k"})
    signature = bytes({"ES256": 64, "ES384": 96, "ES512": 132}[alg])
    assert refusal(BadSignature, f"{signing_input}.{b64(signature)}", issuer_key(alg).public_jwk()) == "signature_range"


def test_cve_2018_0114_the_token_brings_its_own_key():
    attacker = generate_signing_key("ES256", kid="k")
    token = sign_jws(b"{}", attacker, extra_header={"jwk": attacker.public_jwk()})
    assert refusal(Malformed, token, issuer_key("ES256").public_jwk()) == "header_jwk"


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_the_token_points_at_a_key(name):
    token = sign_jws(b"{}", issuer_key("ES256"), extra_header={name: "https://169.254.169.254/keys"})
    assert refusal(Malformed, token, issuer_key("ES256").public_jwk()) == f"header_{name}"


def test_the_token_brings_a_certificate():
    token = sign_jws(b"{}", issuer_key("ES256"), extra_header={"x5c": ["MIIB"]})
    assert refusal(Malformed, token, issuer_key("ES256").public_jwk()) == "header_x5c"


@pytest.mark.parametrize("critical", [["exp"], ["http://example.com/must-understand"], ["b64"], [], None])
def test_cve_2025_59420_crit_is_ignored(critical):
    token = sign_jws(b"{}", issuer_key("ES256"), extra_header={"crit": critical})
    assert refusal(Malformed, token, issuer_key("ES256").public_jwk()) == "header_crit"


def test_an_unencoded_payload_is_read_in_two_ways():
    token = sign_jws(b"{}", issuer_key("ES256"), extra_header={"b64": False})
    assert refusal(Malformed, token, issuer_key("ES256").public_jwk()) == "header_b64"


def test_cve_2024_33664_a_compressed_payload_explodes():
    bomb = zlib.compress(bytes(10_000_000), 9)
    token = sign_jws(bomb, issuer_key("ES256"), extra_header={"zip": "DEF"})
    assert len(token) < 16_384
    assert refusal(Malformed, token, issuer_key("ES256").public_jwk()) == "header_zip"


def test_an_unsigned_token_inside_an_encrypted_one():
    inner = f"{encode({'alg': 'none'})}."
    token = ".".join([b64(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), b64(bytes(256)), b64(bytes(12)), b64(inner.encode())])
    assert refusal(Malformed, f"{token}.{b64(bytes(16))}", issuer_key("RS256").public_jwk()) == "jwe"


@pytest.mark.parametrize(
    "payload", [b'{"sub":"alice","sub":"admin"}', b'{"sub":"alice","su\\u0062":"admin"}', b'{"a":{"b":1,"b":2}}']
)
def test_a_name_that_two_parsers_read_differently(payload):
    token = sign_jws(payload, issuer_key("EdDSA"))
    assert refusal(Malformed, token, issuer_key("EdDSA").public_jwk()) == "json_repeated_name"


def test_an_algorithm_that_is_said_twice():
    header = b64(b'{"alg":"EdDSA","kid":"k","alg":"none"}')
    assert refusal(Malformed, f"{header}.e30.{b64(bytes(64))}") == "json_repeated_name"


@pytest.mark.parametrize("alg", ["ES256", "EdDSA"])
@pytest.mark.parametrize("suffix", ["=", "==", "\n", " ", "A", ".", "%3D"])
def test_one_token_in_two_spellings(alg, suffix):
    token = sign_claims(CLAIMS, issuer_key(alg))
    assert accept(token, issuer_key(alg).public_jwk()) == CLAIMS
    refusal(InvalidCredential, token + suffix, issuer_key(alg).public_jwk())
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = token[:-1] + letters[letters.index(token[-1]) + 1]  # the same bytes, for a decoder that ignores spare bits
    assert refusal(Malformed, twin, issuer_key(alg).public_jwk()) == "base64_not_canonical"


@pytest.mark.parametrize("payload", [b'{"a":' * 2000 + b"1" + b"}" * 2000, b'{"a":' + b"[" * 8000 + b"]" * 8000 + b"}"])
def test_cve_2025_53864_deep_json_exhausts_the_stack(payload):
    token = sign_jws(payload, issuer_key("EdDSA"))
    with pytest.raises(Malformed) as caught:
        parse_jwt(token, max_bytes=100_000)
    assert caught.value.reason == "json_too_deep"


def test_cve_2025_61920_a_huge_header():
    header = b64(json.dumps({"alg": "ES256", "x": "x" * 20_000_000}).encode())
    assert refusal(Malformed, f"{header}.e30.{b64(bytes(64))}") == "token_too_long"


@pytest.mark.parametrize("time", ["Infinity", "NaN", "-Infinity", "1e999", "1" + "0" * 400])
def test_a_time_that_never_comes_cannot_be_written(time):
    token = sign_jws(b'{"exp":' + time.encode() + b"}", issuer_key("EdDSA"))
    assert refusal(Malformed, token, issuer_key("EdDSA").public_jwk()) in {"json_syntax", "json_integer_range"}


@pytest.mark.parametrize("time", [" +9999999999 ", "9999999999", True, 999999999999.5, [9999999999], {}, None, 10**18])
def test_a_time_of_another_type_is_no_time(time):
    claims = accept(sign_claims({"exp": time}, issuer_key("EdDSA")), issuer_key("EdDSA").public_jwk())
    with pytest.raises(Malformed):
        validate_times(claims, now=0)


def test_a_weak_rsa_key_verifies_nothing():
    """A modulus of 512 bits, factored in an afternoon."""
    modulus = b64(b"\xc1" + bytes(62) + b"\x05")
    token = f"{encode({'alg': 'RS256', 'kid': 'k'})}.{b64(bytes(64))}"
    jwk = {"kty": "RSA", "kid": "k", "n": modulus, "e": "AQAB"}
    assert refusal(UnknownKey, token, jwk) == "jwk_rsa_too_small"


def test_the_identity_as_an_ed25519_key_takes_one_signature_for_everything():
    identity = (1).to_bytes(32, "little")
    token = f"{encode({'alg': 'EdDSA', 'kid': 'k'})}.{b64(identity + bytes(32))}"
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(identity)}
    assert refusal(UnknownKey, token, jwk) == "jwk_point_small_order"


KINDS = [(alg, other) for alg in ("ES256", "ES384", "EdDSA") for other in sorted(ASYMMETRIC_ALGORITHMS - {alg})]


@pytest.mark.parametrize(("alg", "other"), KINDS)
def test_a_key_is_used_for_another_algorithm_than_its_own(alg, other):
    members = {name: value for name, value in issuer_key(alg).public_jwk().items() if name != "alg"}
    token = f"{encode({'alg': other, 'kid': 'k'})}.{b64(bytes(64))}"
    assert refusal(UnknownKey, token, members) == "key_algorithm_mismatch"


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "k' UNION SELECT 'secret' --",
        "k|sleep 10",
        "\x00k",
        "k" * 1_000_000,
        "https://evil.example/",
    ],
)
def test_a_kid_is_looked_up_and_never_interpreted(kid):
    token = f"{encode({'alg': 'ES256', 'kid': kid})}.{b64(bytes(64))}"
    with pytest.raises((Malformed, UnknownKey)):
        accept(token, issuer_key("ES256").public_jwk())


def test_a_key_of_one_name_is_chosen_by_chance():
    """Two keys, one kid: which one verifies must not depend on their order."""
    other = generate_signing_key("ES256", kid="k")
    for jwks in ([issuer_key("ES256"), other], [other, issuer_key("ES256")]):
        token = sign_claims(CLAIMS, issuer_key("ES256"))
        assert refusal(UnknownKey, token, *(key.public_jwk() for key in jwks)) == "ambiguous_kid"
