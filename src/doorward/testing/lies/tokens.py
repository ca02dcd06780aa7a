"""Lies in signed tokens: one wrong thing in an otherwise right ID token or JWT access token."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.jwa import ALGORITHMS
from doorward.testing.lies.bends import REMOVED, change_header, change_payload, change_text, put, toggle_slash
from doorward.testing.provider.keys import signer_of
from doorward.testing.provider.switches import Switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.protocol.jwk import SigningKey
    from doorward.testing.provider.keys import Draft
    from doorward.testing.provider.switches import Hook, Moment, Point

__all__ = ["TOKEN_LIES"]

_Token: TypeAlias = Literal["id_token", "access_token"]

_CLAIMS: dict[_Token, Point] = {"id_token": "id_token_claims", "access_token": "access_token_claims"}
_DRAFT: dict[_Token, Point] = {"id_token": "id_token_draft", "access_token": "access_token_draft"}
_TEXT: dict[_Token, Point] = {"id_token": "id_token", "access_token": "access_token"}

_HOUR_S = 3600
_OTHER_HOST = "https://evil.example"
_DEPTH = 2000  # deeper than a recursive parser goes, and still within 16 KiB
_HUGE_BYTES = 262_144

# suffix, description, claim, new value
_CLAIM_LIES: tuple[tuple[str, str, str, Any], ...] = (
    ("wrong_issuer", "iss is another issuer", "iss", _OTHER_HOST),
    ("issuer_with_slash", "iss has a slash more or less", "iss", lambda old, _: toggle_slash(old)),
    ("issuer_in_list", "iss is a list", "iss", lambda old, _: [old]),
    ("issuer_prefix", "iss begins with the right issuer", "iss", lambda old, _: f"{old}.evil.example"),
    ("missing_issuer", "no iss", "iss", REMOVED),
    ("wrong_audience", "aud is somebody else", "aud", "somebody-else"),
    ("audience_list_without_us", "aud lists only others", "aud", ["somebody-else", "another"]),
    ("audience_number", "aud is a number", "aud", 7),
    ("audience_nested", "aud is a list in a list", "aud", lambda old, _: [[old]]),
    ("missing_audience", "no aud", "aud", REMOVED),
    ("expired", "exp is an hour ago", "exp", lambda _, moment: int(moment.now) - _HOUR_S),
    ("missing_exp", "no exp", "exp", REMOVED),
    ("exp_string", "exp is a string of digits", "exp", lambda old, _: str(old)),
    ("exp_true", "exp is true", "exp", True),
    ("exp_huge", "exp has 400 digits", "exp", 10**399),
    ("exp_infinity", "exp is Infinity, which JSON does not have", "exp", float("inf")),
    ("exp_list", "exp is a list", "exp", lambda old, _: [old]),
    ("iat_in_future", "iat is in an hour", "iat", lambda _, moment: int(moment.now) + _HOUR_S),
    ("iat_string", "iat is a string", "iat", lambda old, _: str(old)),
    ("missing_iat", "no iat", "iat", REMOVED),
    ("nbf_in_future", "nbf is in an hour", "nbf", lambda _, moment: int(moment.now) + _HOUR_S),
    ("missing_subject", "no sub", "sub", REMOVED),
    ("empty_subject", "sub is empty", "sub", ""),
    ("subject_number", "sub is a number", "sub", 7),
    ("too_big", "a claim of 256 KiB", "padding", "x" * _HUGE_BYTES),
)

_ID_TOKEN_CLAIM_LIES: tuple[tuple[str, str, str, Any], ...] = (
    (
        "audience_list_without_azp",
        "aud lists us and another, without azp",
        "aud",
        lambda old, _: [old, "somebody-else"],
    ),
    ("wrong_azp", "azp is somebody else", "azp", "somebody-else"),
    ("wrong_nonce", "nonce is another", "nonce", lambda old, _: f"not-{old}" if old else REMOVED),
    ("missing_nonce", "no nonce", "nonce", REMOVED),
    ("nonce_in_list", "nonce is a list", "nonce", lambda old, _: [old] if old else REMOVED),
    ("wrong_at_hash", "at_hash belongs to another token", "at_hash", encode_base64url(bytes(16))),
    ("at_hash_number", "at_hash is a number", "at_hash", 7),
    ("missing_auth_time", "no auth_time", "auth_time", REMOVED),
    ("old_auth_time", "auth_time is a day ago", "auth_time", lambda _, moment: int(moment.now) - 24 * _HOUR_S),
    ("auth_time_string", "auth_time is a string", "auth_time", lambda old, _: str(old)),
)

_REFRESH_CLAIM_LIES: tuple[tuple[str, str, str, Any], ...] = (
    ("changed_subject", "sub is another person", "sub", "mallory"),
    ("changed_issuer", "iss is another issuer", "iss", _OTHER_HOST),
    ("changed_audience", "aud is another client", "aud", "somebody-else"),
    ("changed_nonce", "nonce is not the first one", "nonce", "another-nonce"),
    ("changed_auth_time", "auth_time is not the first one", "auth_time", lambda old, _: old + 60),
)

_HEADER_LIES: tuple[tuple[str, str, str, Any], ...] = (
    ("kid_unknown", "kid names no published key", "kid", "no-such-key"),
    ("kid_path", "kid is a path", "kid", "../../../../dev/null"),
    ("kid_number", "kid is a number", "kid", 7),
    ("crit_header", "crit asks for an extension", "crit", ["exp"]),
    ("b64_header", "b64 is false", "b64", False),
    ("enc_header", "enc says that the token is encrypted", "enc", "A256GCM"),
    ("x5u_header", "x5u points to somebody's certificate", "x5u", f"{_OTHER_HOST}/x5u"),
    ("zip_header", "zip says that the payload is compressed", "zip", "DEF"),
)


def _payload_lies() -> tuple[tuple[str, str, str, Hook], ...]:
    """Return (suffix, description, what is touched, hook on the draft)."""
    deep = b"[" * _DEPTH + b"]" * _DEPTH
    return (
        (
            "duplicate_member",
            "sub stands in the payload twice",
            "payload.sub",
            change_payload(lambda payload: b'{"sub": "mallory", ' + payload[1:]),
        ),
        (
            "deep_payload",
            "the payload nests 2000 lists",
            "payload",
            change_payload(lambda payload: b'{"deep": ' + deep + b", " + payload[1:]),
        ),
        ("payload_not_json", "the payload is no JSON", "payload", change_payload(lambda payload: payload[:-1])),
        ("payload_list", "the payload is a list", "payload", change_payload(lambda payload: b"[" + payload + b"]")),
        (
            "payload_not_utf8",
            "the payload is not UTF-8",
            "payload",
            change_payload(lambda payload: b'{"x": "\xff\xfe", ' + payload[1:]),
        ),
    )


def _text_lies() -> tuple[tuple[str, str, str, Hook], ...]:
    """Return (suffix, description, what is touched, hook on the finished token)."""
    return (
        ("signature_flipped", "one bit of the signature differs", "signature", change_text(_flip_signature)),
        ("signature_missing", "the signature is empty", "signature", change_text(lambda t: t[: t.rindex(".") + 1])),
        ("not_base64", "the payload holds a character outside base64url", "", change_text(_spoil_base64)),
        ("trailing_padding", "base64 padding stands at the end", "", change_text(lambda token: f"{token}==")),
        ("two_parts", "the signature and its dot are missing", "", change_text(lambda t: t[: t.rindex(".")])),
        (
            "five_parts",
            "five parts, as an encrypted token has",
            "",
            change_text(lambda token: f"{token}.AAAA.AAAA"),
        ),
    )


def _lies(token: _Token) -> Iterator[Switch]:
    claim_lies = _CLAIM_LIES + (_ID_TOKEN_CLAIM_LIES if token == "id_token" else ())  # noqa: S105 - a kind of token
    for suffix, description, member, value in claim_lies:
        yield _lie(token, suffix, description, {_CLAIMS[token]: put(member, value)}, f"payload.{member}")
    for suffix, description, member, value in _HEADER_LIES:
        yield _lie(token, suffix, description, {_DRAFT[token]: change_header(**{member: value})}, f"header.{member}")
    for suffix, description, touched, hook in _payload_lies():
        yield _lie(token, suffix, description, {_DRAFT[token]: hook}, touched)
    for suffix, description, touched, hook in _text_lies():
        yield _lie(token, suffix, description, {_TEXT[token]: hook}, touched)
    yield from _key_lies(token)


def _key_lies(token: _Token) -> Iterator[Switch]:
    draft = _DRAFT[token]
    yield _lie(token, "signed_with_another_key", "another key signed", {draft: _sign_with_spare}, "signature")
    yield _lie(token, "alg_none", "not signed: alg none", {draft: _unsigned("none")}, "header.alg", "signature")
    yield _lie(
        token, "alg_none_odd_case", "not signed: alg nOnE", {draft: _unsigned("nOnE")}, "header.alg", "signature"
    )
    yield _lie(
        token,
        "alg_hs256_public_key",
        "HS256 with the public key as its secret",
        {draft: _sign_with_public_key},
        "header.alg",
        "signature",
    )
    yield _lie(
        token,
        "alg_unannounced",
        "signed with a published key, by an algorithm that the metadata does not list",
        {"jwks": _publish_unannounced, draft: _sign_with_unannounced},
        "header.alg",
        "header.kid",
        "jwks.keys",
    )
    yield _lie(
        token,
        "kid_missing",
        "no kid, where two keys fit",
        {"jwks": _publish_twin, draft: change_header(kid=REMOVED)},
        "header.kid",
        "jwks.keys",
    )
    yield _lie(
        token,
        "kid_of_another_key",
        "kid names another published key",
        {"jwks": _publish_twin, draft: _name_twin},
        "header.kid",
        "jwks.keys",
    )
    yield _lie(
        token, "embedded_key", "signed by a key that the header brings", {draft: _embed}, "header.jwk", "signature"
    )
    yield _lie(
        token,
        "weak_key",
        "signed by a published RSA key of 1024 bits",
        {"jwks": _publish_weak, draft: _sign_with_weak},
        "jwks.keys",
        "header.kid",
    )
    yield _lie(
        token,
        "symmetric_key",
        "HS256 with a published key of type oct",
        {"jwks": _publish_symmetric, draft: _sign_with_symmetric},
        "jwks.keys",
        "header.alg",
        "header.kid",
        "signature",
    )


def _lie(token: _Token, suffix: str, description: str, hooks: dict[Point, Hook], *touched: str) -> Switch:
    touches = frozenset(path if path.startswith("jwks.") else f"{token}.{path}".rstrip(".") for path in touched)
    return Switch(f"{token}_{suffix}", f"{token.replace('_', ' ')}: {description}", hooks, touches=touches)


def _flip_signature(token: str) -> str:
    rest, _, signature = token.rpartition(".")
    raw = bytearray(decode_base64url(signature, what="The signature"))
    raw[0] ^= 1
    return f"{rest}.{encode_base64url(bytes(raw))}"


def _spoil_base64(token: str) -> str:
    header, payload, signature = token.split(".")
    return f"{header}.{payload[:4]}!{payload[5:]}.{signature}"


def _unsigned(algorithm: str) -> Hook:
    def hook(draft: Draft, _moment: Moment) -> Draft:
        return dataclasses.replace(draft, header={**draft.header, "alg": algorithm}, signer=lambda _: b"")

    return hook


def _sign_with_spare(draft: Draft, moment: Moment) -> Draft:
    spare = moment.core.keys.spare(str(draft.header["alg"]))
    return dataclasses.replace(draft, signer=signer_of(spare))


def _sign_with_public_key(draft: Draft, moment: Moment) -> Draft:
    public = moment.core.keys.current(str(draft.header["alg"])).private_key.public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _symmetric(draft, secret, str(draft.header["kid"]))


def _symmetric(draft: Draft, secret: bytes, kid: str) -> Draft:
    header = {**draft.header, "alg": "HS256", "kid": kid}
    return dataclasses.replace(draft, header=header, signer=lambda text: hmac.digest(secret, text, hashlib.sha256))


def _unannounced(moment: Moment) -> SigningKey:
    announced = moment.core.id_token_algorithms()
    return moment.core.keys.spare("PS256" if "ES256" in announced else "ES256")


def _publish_unannounced(document: dict[str, Any], moment: Moment) -> dict[str, Any]:
    return _publish(document, _unannounced(moment).public_jwk())


def _sign_with_unannounced(draft: Draft, moment: Moment) -> Draft:
    spare = _unannounced(moment)
    header = {**draft.header, "alg": spare.alg, "kid": spare.kid}
    return dataclasses.replace(draft, header=header, signer=signer_of(spare))


def _publish_twin(document: dict[str, Any], moment: Moment) -> dict[str, Any]:
    return _publish(document, moment.core.keys.spare(moment.core.rules.signing_algorithm).public_jwk())


def _name_twin(draft: Draft, moment: Moment) -> Draft:
    spare = moment.core.keys.spare(moment.core.rules.signing_algorithm)
    return dataclasses.replace(draft, header={**draft.header, "kid": spare.kid})


def _embed(draft: Draft, moment: Moment) -> Draft:
    spare = moment.core.keys.spare(str(draft.header["alg"]))
    return dataclasses.replace(draft, header={**draft.header, "jwk": spare.public_jwk()}, signer=signer_of(spare))


@cache
def _weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - a weak key is the point


def _publish_weak(document: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    numbers = _weak_key().public_key().public_numbers()
    n, e = encode_base64url(numbers.n.to_bytes(128, "big")), encode_base64url(numbers.e.to_bytes(3, "big"))
    return _publish(document, {"kty": "RSA", "kid": "weak", "use": "sig", "alg": "RS256", "n": n, "e": e})


def _sign_with_weak(draft: Draft, _moment: Moment) -> Draft:
    header = {**draft.header, "alg": "RS256", "kid": "weak"}
    return dataclasses.replace(draft, header=header, signer=lambda text: ALGORITHMS["RS256"].sign(_weak_key(), text))


_SYMMETRIC_SECRET = b"a secret that everybody can read"


def _publish_symmetric(document: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    k = encode_base64url(_SYMMETRIC_SECRET)
    return _publish(document, {"kty": "oct", "kid": "symmetric", "use": "sig", "alg": "HS256", "k": k})


def _sign_with_symmetric(draft: Draft, _moment: Moment) -> Draft:
    return _symmetric(draft, _SYMMETRIC_SECRET, "symmetric")


def _publish(document: dict[str, Any], jwk: dict[str, Any]) -> dict[str, Any]:
    return {**document, "keys": [*document["keys"], jwk]}


def _on_refresh(member: str, value: Any) -> Hook:
    change = put(member, value)

    def hook(claims: dict[str, Any], moment: Moment) -> Any:
        return change(claims, moment) if moment.grant_type == "refresh_token" else claims

    return hook


def _refresh_lies() -> Iterator[Switch]:
    for suffix, description, member, value in _REFRESH_CLAIM_LIES:
        hooks: dict[Point, Hook] = {"id_token_claims": _on_refresh(member, value)}
        touches = frozenset({f"refresh.id_token.payload.{member}"})
        yield Switch(f"id_token_refresh_{suffix}", f"id token on refresh: {description}", hooks, touches=touches)


def _only_id_token_lies() -> Iterator[Switch]:
    yield Switch(
        "id_token_missing",
        "the answer has no ID token",
        {"id_token": change_text(lambda _: None)},
        touches=frozenset({"id_token"}),
    )
    yield Switch(
        "id_token_number",
        "the ID token is a number",
        {"id_token": change_text(lambda _: 7)},
        touches=frozenset({"id_token"}),
    )


TOKEN_LIES: tuple[Switch, ...] = (
    *_lies("id_token"),
    *_lies("access_token"),
    *_refresh_lies(),
    *_only_id_token_lies(),
    _lie(
        "access_token",
        "of_type_jwt",
        "typ is JWT and not at+jwt",
        {"access_token_draft": change_header(typ="JWT")},
        "header.typ",
    ),
    _lie(
        "id_token",
        "of_type_access_token",
        "typ is at+jwt",
        {"id_token_draft": change_header(typ="at+jwt")},
        "header.typ",
    ),
)
