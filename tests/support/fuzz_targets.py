"""What is fuzzed: for each target, a function that takes any bytes and fails for what must not be.

No exception but our own may come out, and what is accepted must hold: it can be written again to the same, or another
reading of it agrees. tests/fuzz/fuzz.py searches with coverage; tests/fuzz/test_corpus.py replays what it has kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doorward.errors import DoorwardError, Revoked, UnknownKey
from doorward.guard import Admin, ApiKeys, Grants, Guard, Issuer
from doorward.guard.addresses import Networks, client_address, network_of
from doorward.guard.api_keys.format import Pepper, digest_foreign_key, digest_key, is_key_shaped, make_key
from doorward.guard.api_keys.keyring import Keyring, parse_keyring
from doorward.guard.audit.decisions import Decision
from doorward.guard.issuers.claim_rules import ClaimRules
from doorward.guard.settings.settings import read_environment
from doorward.journal.chain import (
    BEGINNING,
    build_head,
    build_line,
    holds,
    parse_head,
    parse_line,
)
from doorward.model import HttpRequest, HttpResponse, Principal, Secret
from doorward.protocol.authorization import PendingSignIn, validate_callback
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.bearer import build_authorization_header, parse_authorization_header
from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.protocol.endpoints import parse_introspection_response
from doorward.protocol.id_token import validate_id_token
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, JwkSet, SigningKey, parse_jwk, parse_jwk_set
from doorward.protocol.jws import parse_jws
from doorward.protocol.metadata import parse_metadata_response
from doorward.protocol.reading.strict_json import dumps_object, loads_object
from doorward.protocol.token_endpoint import (
    parse_device_authorization_response,
    parse_device_token_response,
    parse_token_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"

ISSUER = "https://id.example"
AUDIENCE = "api"
NOW = 1_800_000_000.0
_ACCESS_TOKENS = ClaimRules(Issuer(ISSUER, [AUDIENCE], token_type="access"))

# Fixed, so that a finding can be found again; Ed25519, because it is the fastest to sign with.
KEY = SigningKey.from_pem(
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ1\n"
    b"-----END PRIVATE KEY-----\n",
    alg="EdDSA",
    kid="k",
)
KEYS = JwkSet((parse_jwk(KEY.public_jwk()),))

GOOD_HEADER = {"alg": "EdDSA", "kid": "k", "typ": "at+jwt"}
GOOD_CLAIMS = {
    "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": 1_800_003_600, "iat": 1_800_000_000, "jti": "1",
    "client_id": "cli", "scope": "read write", "nonce": "n",
}  # fmt: skip

_REQUEST = HttpRequest("POST", "https://id.example/token", "the token endpoint", body=b"refresh_token=planted-secret")
_PENDING = PendingSignIn(ISSUER, "state-0123456789", "n", Secret("v" * 43), "http://127.0.0.1:1/callback")


def sign_anything(header: bytes, payload: bytes) -> str:
    """Sign any bytes as header and payload: unlike the product, this asks no questions."""
    signing_input = f"{encode_base64url(header)}.{encode_base64url(payload)}"
    signature = ALGORITHMS[KEY.alg].sign(KEY.private_key, signing_input.encode())
    return f"{signing_input}.{encode_base64url(signature)}"


def _json(data: bytes) -> None:
    value = loads_object(data, what="The text")
    assert value == json.loads(data)
    assert loads_object(dumps_object(value, field="value"), what="The text") == value


def _jws(data: bytes) -> None:
    jws = parse_jws(data)
    assert jws.signing_input + b"." + encode_base64url(jws.signature).encode() == data
    assert jws.signing_input.endswith(b"." + encode_base64url(jws.payload).encode())
    assert jws.header.alg in ASYMMETRIC_ALGORITHMS


def _jwk_set(data: bytes) -> None:
    keys = parse_jwk_set(data)
    written = json.loads(data)["keys"]
    assert len(keys.keys) <= len(written) <= 100
    for key in keys.keys:
        assert key.algorithms
        assert key.algorithms <= ASYMMETRIC_ALGORITHMS
        for alg in key.algorithms:
            with contextlib.suppress(UnknownKey):
                assert all(alg in found.algorithms for found in keys.select(key.kid, alg))


def _signed(data: bytes) -> None:
    """A header and a payload, the first line and the rest, rightly signed whatever they say."""
    header, _, payload = data.partition(b"\n")
    signed = verify_jwt(parse_jwt(sign_anything(header, payload)), KEYS, algorithms={"EdDSA"})
    said, claims = json.loads(header), json.loads(payload)
    assert said["alg"] in {"EdDSA", "Ed25519"}
    assert said.get("kid") == signed.header.kid
    assert {"crit", "b64", "enc", "jwk", "x5u", "zip"}.isdisjoint(said)
    accepted = False
    with contextlib.suppress(DoorwardError):
        _ACCESS_TOKENS.validate(signed, NOW)
        accepted = signed.claims.get("iss") == ISSUER  # which is how the guard finds these rules
        assert said["typ"].lower() in {"at+jwt", "application/at+jwt"}
    with contextlib.suppress(DoorwardError):
        validate_id_token(signed, issuer=ISSUER, client_id=AUDIENCE, now=NOW, nonce="n")
        accepted = True
        assert claims["nonce"] == "n"
    if accepted:
        _would_be_accepted_by_hand(claims)


def _would_be_accepted_by_hand(claims: dict[str, Any]) -> None:
    assert claims["iss"] == ISSUER
    assert claims["aud"] == AUDIENCE or (type(claims["aud"]) is list and AUDIENCE in claims["aud"])
    assert type(claims["sub"]) is str
    assert claims["sub"]
    assert type(claims["exp"]) is int
    assert claims["exp"] + 30 > NOW
    for name in ("iat", "nbf"):
        assert type(claims.get(name, 0)) is int
        assert claims.get(name, 0) <= NOW + 30


def _authorization(data: bytes) -> None:
    value = data.decode("latin-1")
    token = parse_authorization_header(value)
    assert build_authorization_header(Secret(token))[6:] == value[6:]
    assert value[:7].lower() == "bearer "


def _callback(data: bytes) -> None:
    validated = validate_callback(_PENDING, data.decode("utf-8", "replace"))
    assert validated.code.reveal()


def _response(parse: Callable[[HttpResponse], object]) -> Callable[[bytes], None]:
    """A status, taken from the first byte, and a JSON body."""

    def target(data: bytes) -> None:
        status = (200, 200, 200, 400, 401, 404, 429, 503)[data[0] & 7] if data else 204
        value = parse(HttpResponse(status, {"content-type": "application/json", "retry-after": "7"}, data[1:]))
        assert "planted-secret" not in repr(value)
        assert status < 400 or value is not None  # a DevicePending

    return target


_PROTOCOL: dict[str, Callable[[bytes], None]] = {
    "json": _json,
    "jws": _jws,
    "jwk_set": _jwk_set,
    "signed": _signed,
    "authorization": _authorization,
    "callback": _callback,
    "token_response": _response(lambda answer: parse_token_response(answer, request=_REQUEST, now=NOW)),
    "device_response": _response(lambda answer: parse_device_authorization_response(answer, request=_REQUEST, now=NOW)),
    "device_token_response": _response(lambda answer: parse_device_token_response(answer, request=_REQUEST, now=NOW)),
    "introspection": _response(lambda answer: parse_introspection_response(answer, request=_REQUEST, now=NOW)),
    "metadata": _response(lambda answer: parse_metadata_response(answer, issuer=ISSUER, now=NOW)),
}

# The guard

_TRUSTED = Networks.parse(["10.0.0.0/8", "fd00::/8", "192.0.2.1"])
_PEPPER = Pepper(Secret("a pepper of the fuzzer's own"))


_ALICE = Principal(ISSUER, "alice", groups=("eng",))
_TRUSTED_ISSUER = Issuer(ISSUER, [AUDIENCE], jwks={"keys": [KEY.public_jwk()]}, trust_email=True)
GOOD_TOKEN = sign_anything(json.dumps(GOOD_HEADER).encode(), json.dumps(GOOD_CLAIMS).encode())


def _addresses(data: bytes) -> None:
    """A peer, the first line, and the X-Forwarded-For headers of its request."""
    peer, *headers = data.decode("latin-1").split("\n")
    client = client_address(peer, headers, _TRUSTED)
    assert client is not None
    if client != peer:
        assert str(ipaddress.ip_address(client))
        assert network_of(peer) is not None  # a peer that is no address is no proxy
    network = network_of(client)
    assert network is None or len(network) in {4, 8}
    assert client_address(peer, headers, Networks()) == peer


def _audit_line(data: bytes) -> None:
    """A line, or the head of a log: what is read is what would be written."""
    line = parse_line(data)
    if line is not None:
        assert line.body[:-1] + b',"hash":"' + line.hash.encode() + b'"}' == data
        assert holds(line, None) == (hashlib.sha256(line.body).hexdigest() == line.hash)
        assert not holds(line, b"a key")
    head = parse_head(data, None)
    assert head is None or build_head(head, None) == data


def _audit_decision(data: bytes) -> None:
    """Whatever a decision says, its line is one line, can be read again, and continues the chain."""
    texts = [text.decode("utf-8", "surrogateescape" if data[:1] == b"s" else "replace") for text in data.split(b"\n")]
    issuer, subject, resource, reason = (*texts, "", "", "", "")[:4]
    decision = Decision(at=NOW, outcome="refused", issuer=issuer, subject=subject, resource=resource, reason=reason)
    written, link = build_line(decision.describe(), BEGINNING, at=NOW, key=b"k")
    assert written.count(b"\n") == 1
    line = parse_line(written[:-1])
    assert line is not None
    assert holds(line, b"k")
    assert line.link == link


def _api_key(data: bytes) -> None:
    """Any text is no key of ours, or has a checksum by our pepper; a key made of these bytes is recognized."""
    text = data.decode("utf-8", "replace")
    digest = digest_key(text, [_PEPPER])
    assert digest is None or is_key_shaped(text)
    assert digest_foreign_key(text, _PEPPER).digest
    made, kept = make_key(_PEPPER, _Bytes(data))
    assert digest_key(made, [_PEPPER]) == kept
    if text != made:
        assert digest_key(made[: len(made) // 2] + text[:1] + made[len(made) // 2 + 1 :], [_PEPPER]) in {None, kept}


class _Bytes:
    """Randomness that is what the fuzzer says."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def token_urlsafe(self, nbytes: int) -> str:
        taken, self._data = self._data[:nbytes], self._data[nbytes:]
        return encode_base64url(taken.ljust(nbytes, b"\0"))


def _keyring(data: bytes) -> None:
    entries = parse_keyring(data)
    ring = Keyring(entries)
    assert len(ring) == len(entries) == len(json.loads(data))
    for entry in entries:
        found = ring.find(entry.secret.reveal())
        assert found == entry.key
        assert entry.secret.reveal() not in repr(entry)


def _grants(data: bytes) -> None:
    grants = Grants.parse(data)
    written = json.loads(data)
    assert Grants.parse(written).audiences(_ALICE, "mint") == grants.audiences(_ALICE, "mint")
    for audience in grants.audiences(_ALICE, "mint"):
        assert grants.may(_ALICE, "mint", audience)
        assert {"*", "user:alice", "group:eng"} & set(written[audience]["mint"])
    for audience in grants.audiences(_ALICE, "read"):
        named = written.get(audience, [])
        read = named["read"] if isinstance(named, dict) and "read" in named else named
        assert audience == "public" or {"*", "user:alice", "group:eng"} & set(read)


class _Standing:
    """A clock that stands still."""

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return NOW


def _guard(data: bytes) -> None:
    """As ``signed``, through the guard: who gets in would be let in by hand, and is out once the token is revoked."""
    header, _, payload = data.partition(b"\n")
    token = sign_anything(header, payload)
    guard = Guard([_TRUSTED_ISSUER], admins=[Admin(ISSUER, email="root@id.example")], clock=_Standing())
    principal = guard.authenticate(f"Bearer {token}")
    claims = json.loads(payload)
    _would_be_accepted_by_hand(claims)
    assert (principal.issuer, principal.subject) == (ISSUER, claims["sub"])
    assert principal.is_admin == (
        str(claims.get("email")).lower() == "root@id.example" and claims.get("email_verified") is True
    )
    assert not principal.may_delegate
    assert all(isinstance(text, str) for text in (*principal.groups, *principal.scopes))
    guard.revocations.revoke(token=token)
    with pytest.raises(Revoked):
        guard.authenticate(f"Bearer {token}")


_KEYRING = '[{"name": "batch", "key": "a-key-of-the-ring"}]'
_DOOR = Guard([_TRUSTED_ISSUER], ApiKeys.keyring(json.loads(_KEYRING)), clock=_Standing())


def _door(data: bytes) -> None:
    """Any Authorization value: nobody gets in but with the two credentials that are good."""
    value = data.decode("utf-8", "surrogateescape")
    principal = _DOOR.authenticate(value)
    credential = {"alice": GOOD_TOKEN, "batch": "a-key-of-the-ring"}[principal.subject]
    assert value.lower() == f"bearer {credential}".lower()
    assert value.endswith(credential)


def _settings(data: bytes) -> None:
    """The variables of micromegas, a line each, and how they would be read together."""
    names = ("OIDC_CONFIG", "API_KEYS", "ADMINS", "GRANTS")
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    environment = {f"FUZZ_{name}": line for name, line in zip(names, lines, strict=False) if line}
    settings = read_environment("FUZZ", environment)
    assert "a-planted-key" not in repr(settings)
    Guard(**settings.arguments(), clock=_Standing()).close()


_GUARD: dict[str, Callable[[bytes], None]] = {
    "settings": _settings,
    "guard": _guard,
    "door": _door,
    "grants": _grants,
    "addresses": _addresses,
    "audit_line": _audit_line,
    "audit_decision": _audit_decision,
    "api_key": _api_key,
    "keyring": _keyring,
}

TARGETS: dict[str, Callable[[bytes], None]] = {**_PROTOCOL, **_GUARD}


def run(name: str, data: bytes) -> None:
    """Give a target its bytes. A refusal is one of our errors, with a message that can be shown."""
    try:
        TARGETS[name](data)
    except DoorwardError as error:
        message = error.message
        assert message.isprintable()
        assert "planted-secret" not in message


def read_corpus(name: str) -> list[bytes]:
    """Return what is kept for a target: an input on each line, in JSON, its bytes as characters up to U+00FF."""
    path = CORPUS / f"{name}.jsonl"
    return [json.loads(line).encode("latin-1") for line in path.read_text().splitlines()] if path.exists() else []


def write_corpus(name: str, inputs: list[bytes]) -> None:
    """Keep other inputs, the shortest first."""
    lines = [json.dumps(data.decode("latin-1")) for data in sorted(inputs, key=lambda data: (len(data), data))]
    (CORPUS / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
