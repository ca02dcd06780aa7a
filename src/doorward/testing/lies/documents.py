"""Lies in the two documents that anyone may read: the provider metadata and the JWK Set."""

from __future__ import annotations

import dataclasses
import gzip
from typing import TYPE_CHECKING, Any

from doorward.protocol.base64url import encode_base64url
from doorward.testing.lies.bends import REMOVED, change_reply, put, toggle_slash
from doorward.testing.provider.switches import Switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.testing.provider.switches import Hook, Moment, Point
    from doorward.testing.provider.web import Reply

__all__ = ["DOCUMENT_LIES"]

_OTHER = "https://evil.example"
_HUGE_BYTES = 80_000_000
_MANY_KEYS = 10_000
_HTML = b"<!doctype html><title>Welcome</title><h1>Hotel Wi-Fi</h1>"
_DEEP = b"[" * 100_000 + b"]" * 100_000

# name, description, member, new value
_METADATA_LIES: tuple[tuple[str, str, str, Any], ...] = (
    ("issuer_with_slash", "the issuer has a slash more or less", "issuer", lambda old, _: toggle_slash(old)),
    ("issuer_other_case", "the issuer is written in capitals", "issuer", lambda old, _: old.upper()),
    ("issuer_other_host", "the issuer is another host", "issuer", _OTHER),
    ("issuer_missing", "no issuer", "issuer", REMOVED),
    ("issuer_in_list", "the issuer is a list", "issuer", lambda old, _: [old]),
    ("authorization_endpoint_http", "plain http elsewhere", "authorization_endpoint", "http://evil.example/authorize"),
    ("token_endpoint_http", "plain http elsewhere", "token_endpoint", "http://evil.example/token"),
    ("jwks_uri_http", "plain http elsewhere", "jwks_uri", "http://evil.example/jwks"),
    ("jwks_uri_link_local", "the address of a cloud's metadata service", "jwks_uri", "http://169.254.169.254/latest"),
    ("jwks_uri_file", "a file", "jwks_uri", "file:///etc/passwd"),
    ("authorization_endpoint_script", "a script", "authorization_endpoint", "javascript:alert(1)"),
    (
        "authorization_endpoint_option",
        "a text that a browser's command line takes for an option",
        "authorization_endpoint",
        "--utility-cmd-prefix=calc",
    ),
    ("token_endpoint_with_user", "user and password", "token_endpoint", "https://user:pass@evil.example/token"),
    ("token_endpoint_with_fragment", "a fragment", "token_endpoint", lambda old, _: f"{old}#top"),
    ("token_endpoint_with_line_break", "a line break", "token_endpoint", lambda old, _: f"{old}\r\nX-Evil: 1"),
    ("token_endpoint_relative", "a relative address", "token_endpoint", "/token"),
    ("token_endpoint_number", "a number", "token_endpoint", 7),
    ("token_endpoint_missing", "nothing", "token_endpoint", REMOVED),
    ("authorization_endpoint_missing", "nothing", "authorization_endpoint", REMOVED),
    ("jwks_uri_missing", "nothing", "jwks_uri", REMOVED),
    ("scopes_string", "a string", "scopes_supported", "openid email"),
    ("scopes_numbers", "numbers", "scopes_supported", [1, 2]),
    ("algorithms_string", "a string", "id_token_signing_alg_values_supported", "RS256"),
    ("algorithms_symmetric", "none and HS256 alone", "id_token_signing_alg_values_supported", ["none", "HS256"]),
    ("auth_methods_object", "an object", "token_endpoint_auth_methods_supported", {"none": True}),
    ("iss_parameter_string", "a string", "authorization_response_iss_parameter_supported", "false"),
    ("response_types_without_code", "token alone", "response_types_supported", ["token"]),
)


def _reply_lies(document: str, title: str) -> Iterator[Switch]:
    point: Point = "discovery_reply" if document == "metadata" else "jwks_reply"

    def lie(suffix: str, description: str, hook: Hook, *touched: str) -> Switch:
        touches = frozenset(document if path == "body" else f"{document}{path}" for path in touched)
        return Switch(f"{document}_{suffix}", f"{title}: {description}", {point: hook}, touches=touches)

    page = change_reply(body=_HTML, content_type="text/html; charset=utf-8")
    yield lie("redirect", "a redirect to another host", _redirect, "_http.status", "_http.location", "body")
    yield lie("html", "a page with status 200", page, "body", "_http.content_type")
    yield lie("huge", "80 MB", change_reply(padding_bytes=_HUGE_BYTES), "_http.size")
    yield lie("gzip_bomb", "80 MB packed into 80 kB", _gzip_bomb, "body", "_http.content_encoding")
    yield lie("empty", "no body", change_reply(body=b""), "body")
    yield lie("list", "a list", _around(b"[", b"]"), "body")
    yield lie("not_json", "cut JSON", _around(b"", b"", cut=1), "body")
    yield lie("not_utf8", "not UTF-8", _around(b'{"x": "\xff", ', b"", skip=1), "body")
    yield lie("deep", "100,000 lists in each other", _around(b'{"deep": ' + _DEEP + b", ", b"", skip=1), "body")
    yield lie("nan", "NaN, which JSON does not have", _around(b'{"x": NaN, ', b"", skip=1), ".x")
    yield lie("not_found", "404", change_reply(status=404), "_http.status")
    yield lie(
        "moved_inside",
        "a redirect to an address of the same issuer",
        _redirect_to_itself,
        "_http.status",
        "_http.location",
        "body",
    )


def _redirect(reply: Reply, _moment: Moment) -> Reply:
    headers = (*reply.headers, ("Location", f"{_OTHER}/elsewhere"))
    return dataclasses.replace(reply, status=302, body=b"", headers=headers)


def _redirect_to_itself(reply: Reply, moment: Moment) -> Reply:
    headers = (*reply.headers, ("Location", f"{moment.core.endpoint('jwks')}?again"))
    return dataclasses.replace(reply, status=307, body=b"", headers=headers)


def _gzip_bomb(reply: Reply, _moment: Moment) -> Reply:
    packed = gzip.compress(reply.body + b" " * _HUGE_BYTES, compresslevel=9, mtime=0)
    return dataclasses.replace(reply, body=packed, headers=(*reply.headers, ("Content-Encoding", "gzip")))


def _around(before: bytes, after: bytes, *, skip: int = 0, cut: int = 0) -> Hook:
    def hook(reply: Reply, _moment: Moment) -> Reply:
        body = reply.body[skip : len(reply.body) - cut]
        return dataclasses.replace(reply, body=before + body + after)

    return hook


def _metadata_lies() -> Iterator[Switch]:
    for suffix, description, member, value in _METADATA_LIES:
        hooks: dict[Point, Hook] = {"metadata": put(member, value)}
        touches = frozenset({f"metadata.{member}"})
        yield Switch(f"metadata_{suffix}", f"metadata: {member} is {description}", hooks, touches=touches)
    yield Switch(
        "metadata_duplicate_issuer",
        "metadata: issuer stands there twice",
        {"discovery_reply": _around(b'{"issuer": "https://evil.example", ', b"", skip=1)},
        touches=frozenset({"metadata.issuer"}),
    )


def _jwks_lies() -> Iterator[Switch]:
    def lie(suffix: str, description: str, hook: Hook) -> Switch:
        return Switch(f"jwks_{suffix}", f"JWK Set: {description}", {"jwks": hook}, touches=frozenset({"jwks.keys"}))

    k = encode_base64url(bytes(32))
    yield lie("without_keys", "no member keys", put("keys", REMOVED))
    yield lie("no_key", "an empty list of keys", put("keys", []))
    yield lie("keys_object", "keys is an object", put("keys", {}))
    yield lie("key_string", "a key that is a string beside the right one", put("keys", lambda old, _: ["key", *old]))
    yield lie(
        "only_oct",
        "one symmetric key of the right name",
        _each_key(lambda jwk: {"kty": "oct", "kid": jwk["kid"], "k": k}),
    )
    yield lie("private_key", "each key with a private member", _each_key(lambda jwk: {**jwk, "d": k}))
    yield lie("for_encryption", "each key is meant for encryption", _each_key(lambda jwk: {**jwk, "use": "enc"}))
    yield lie("alg_mismatch", "each key's alg is of another type", _each_key(lambda jwk: {**jwk, "alg": "EdDSA"}))
    yield lie("kid_number", "each kid is a number", _each_key(lambda jwk: {**jwk, "kid": 7}))
    yield lie("unknown_type", "each key is of a type that nobody knows", _each_key(lambda jwk: {**jwk, "kty": "XYZ"}))
    yield lie("other_key", "another key of the same name", _each_key_other)
    yield lie("duplicate_kid", "two keys of the same name", _duplicate_kid)
    yield lie("many_keys", "10,000 keys", _many_keys)
    yield lie("small_order_key", "an Ed25519 point of small order beside the right key", _small_order)


def _each_key(change: Any) -> Hook:
    return put("keys", lambda old, _moment: [change(jwk) for jwk in old])


def _other_key(jwk: dict[str, Any], moment: Moment) -> dict[str, Any]:
    return {**moment.core.keys.spare(jwk["alg"]).public_jwk(), "kid": jwk["kid"]}


def _each_key_other(document: dict[str, Any], moment: Moment) -> dict[str, Any]:
    return {**document, "keys": [_other_key(jwk, moment) for jwk in document["keys"]]}


def _duplicate_kid(document: dict[str, Any], moment: Moment) -> dict[str, Any]:
    return {**document, "keys": [*document["keys"], *(_other_key(jwk, moment) for jwk in document["keys"])]}


def _many_keys(document: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    first = document["keys"][0]
    return {**document, "keys": [*document["keys"], *({**first, "kid": f"many-{n}"} for n in range(_MANY_KEYS))]}


def _small_order(document: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    identity = encode_base64url(b"\x01" + bytes(31))
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "small-order", "use": "sig", "x": identity}
    return {**document, "keys": [*document["keys"], jwk]}


DOCUMENT_LIES: tuple[Switch, ...] = (
    *_metadata_lies(),
    *_reply_lies("metadata", "metadata"),
    *_jwks_lies(),
    *_reply_lies("jwks", "JWK Set"),
)
