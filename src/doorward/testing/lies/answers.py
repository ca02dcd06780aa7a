"""Lies in what is neither a token nor a document: the callback, the token endpoint's answer, device codes, userinfo."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from doorward.testing.lies.bends import REMOVED, add_pair, change_reply, put, put_pair
from doorward.testing.provider.switches import Switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.testing.provider.switches import Hook, Moment, Point
    from doorward.testing.provider.web import Reply

__all__ = ["ANSWER_LIES"]

_OTHER = "https://evil.example"
_ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mYour disk is full\r\n\u202etxt.exe"
_HUGE_BYTES = 80_000_000
_REFUSED = ("bound", "bound_http.status")

# suffix, description, member, new value
_TOKEN_RESPONSE_LIES: tuple[tuple[str, str, str, Any], ...] = (
    ("type_mac", "token_type is mac", "token_type", "mac"),
    ("type_missing", "no token_type", "token_type", REMOVED),
    ("access_token_missing", "no access_token", "access_token", REMOVED),
    ("access_token_number", "access_token is a number", "access_token", 7),
    ("expires_in_negative", "expires_in is negative", "expires_in", -3600),
    ("expires_in_words", "expires_in is a word", "expires_in", "soon"),
    ("expires_in_huge", "expires_in has 400 digits", "expires_in", 10**399),
    ("expires_in_infinity", "expires_in is Infinity", "expires_in", float("inf")),
    ("expires_in_true", "expires_in is true", "expires_in", True),
    ("scope_list", "scope is a list", "scope", ["openid"]),
    ("refresh_token_number", "refresh_token is a number", "refresh_token", 7),
    ("refresh_token_control_characters", "refresh_token holds a line break", "refresh_token", "abc\r\ndef"),
    ("error_with_200", "an error beside the tokens", "error", "invalid_grant"),
)

# suffix, description, the access token; at_hash goes with it
_ACCESS_TOKENS: tuple[tuple[str, str, str], ...] = (
    ("access_token_empty", "access_token is empty", ""),
    ("access_token_control_characters", "access_token holds a line break", "abc\r\nX-Evil: 1"),
    ("access_token_not_ascii", "access_token holds a letter that no header takes", "ab\u0107\u2028"),
    ("access_token_huge", "access_token has 2 MB", "x" * 2_000_000),
)

# suffix, description, parameter of the callback, hook
_CALLBACK_LIES: tuple[tuple[str, str, str, Hook], ...] = (
    ("iss_missing", "no iss though the metadata announces it", "iss", put_pair("iss", None)),
    ("iss_wrong", "iss is another issuer", "iss", put_pair("iss", _OTHER)),
    ("iss_with_slash", "iss has a slash more", "iss", put_pair("iss", lambda old, _: f"{old}/")),
    ("iss_repeated", "iss stands there twice", "iss", add_pair("iss", _OTHER)),
    ("state_changed", "state is another", "state", put_pair("state", lambda old, _: f"{old}x")),
    ("state_missing", "no state", "state", put_pair("state", None)),
    ("state_repeated", "state stands there twice", "state", add_pair("state", "another")),
    ("code_missing", "neither code nor error", "code", put_pair("code", None)),
    ("code_empty", "code is empty", "code", put_pair("code", "")),
    ("code_repeated", "code stands there twice", "code", add_pair("code", "another")),
    ("code_unknown", "code is one that the issuer does not know", "code", put_pair("code", "no-such-code")),
    ("error_beside_code", "an error beside the code", "error", add_pair("error", "access_denied")),
)

# suffix, description, member, new value
_PUSHED_LIES: tuple[tuple[str, str, str, Any], ...] = (
    ("request_uri_missing", "no request_uri", "request_uri", REMOVED),
    ("request_uri_number", "request_uri is a number", "request_uri", 7),
    ("request_uri_empty", "request_uri is empty", "request_uri", ""),
    ("request_uri_line_break", "request_uri holds a line break", "request_uri", "urn:x\r\nSet-Cookie: a=b"),
    ("expires_in_missing", "no expires_in", "expires_in", REMOVED),
    ("expires_in_negative", "expires_in is negative", "expires_in", -60),
    ("error_with_200", "an error beside the request_uri", "error", "invalid_request"),
)

# suffix, description, point, hook, what it touches
_PROOF_LIES: tuple[tuple[str, str, Point, Hook, tuple[str, ...]], ...] = (
    (
        "unbound",
        "token_type is Bearer after a proof",
        "token_response",
        put("token_type", "Bearer"),
        ("bound.token_type",),
    ),
    ("nonce_missing", "a nonce is wanted, and none given", "proof_nonce", put("DPoP-Nonce", REMOVED), _REFUSED),
    ("nonce_malformed", "the nonce has quotes", "proof_nonce", put("DPoP-Nonce", lambda old, _: f'"{old}"'), _REFUSED),
    ("nonce_loop", "each nonce is refused", "proof_nonce", put("DPoP-Nonce", lambda old, _: old[::-1]), _REFUSED),
)

# suffix, description, member, new value
_DEVICE_LIES: tuple[tuple[str, str, str, Any], ...] = (
    ("interval_zero", "interval is 0", "interval", 0),
    ("interval_negative", "interval is negative", "interval", -5),
    ("interval_huge", "interval is a year", "interval", 31_536_000),
    ("interval_string", "interval is a string", "interval", "5"),
    ("expires_in_missing", "no expires_in", "expires_in", REMOVED),
    ("expires_in_negative", "expires_in is negative", "expires_in", -1),
    ("expires_in_huge", "expires_in has 400 digits", "expires_in", 10**399),
    ("code_missing", "no device_code", "device_code", REMOVED),
    ("user_code_missing", "no user_code", "user_code", REMOVED),
    ("user_code_escapes", "user_code holds terminal escapes", "user_code", _ESCAPES),
    ("user_code_number", "user_code is a number", "user_code", 7),
    ("uri_missing", "no verification_uri", "verification_uri", REMOVED),
    ("uri_escapes", "verification_uri holds terminal escapes", "verification_uri", f"{_OTHER}/{_ESCAPES}"),
    ("uri_script", "verification_uri is a script", "verification_uri", "javascript:alert(1)"),
    ("uri_http", "verification_uri is plain http elsewhere", "verification_uri", "http://evil.example/device"),
    (
        "uri_complete_elsewhere",
        "verification_uri_complete is at another host",
        "verification_uri_complete",
        f"{_OTHER}/device?user_code=ABCD",
    ),
)


def _answers() -> Iterator[Switch]:
    for suffix, description, member, value in _TOKEN_RESPONSE_LIES:
        hooks: dict[Point, Hook] = {"token_response": put(member, value)}
        yield _switch(f"token_{suffix}", f"token answer: {description}", hooks, f"token.{member}")
    for suffix, description, text in _ACCESS_TOKENS:
        yield _switch(
            f"token_{suffix}", f"token answer: {description}", {"access_token": _always(text)}, "access_token"
        )
    for suffix, description, name, hook in _CALLBACK_LIES:
        yield _switch(f"callback_{suffix}", f"callback: {description}", {"callback": hook}, f"callback.{name}")
    for suffix, description, member, value in _PUSHED_LIES:
        hooks = {"pushed_response": put(member, value)}
        yield _switch(f"pushed_{suffix}", f"pushed request: {description}", hooks, f"pushed.{member}")
    for suffix, description, point, hook, touched in _PROOF_LIES:
        yield _switch(f"proof_{suffix}", f"DPoP: {description}", {point: hook}, *touched)
    for suffix, description, member, value in _DEVICE_LIES:
        hooks = {"device_authorization": put(member, value)}
        yield _switch(f"device_{suffix}", f"device answer: {description}", hooks, f"device.{member}")
    yield _switch(
        "callback_error_without_state",
        "callback: an error and no state",
        {"callback": _error_without_state},
        "callback.code",
        "callback.error",
        "callback.state",
    )
    yield _switch(
        "callback_error_escapes",
        "callback: an error whose description holds markup and terminal escapes",
        {"callback": _error_with_escapes},
        "callback.code",
        "callback.error",
        "callback.error_description",
    )


def _token_replies() -> Iterator[Switch]:
    def lie(suffix: str, description: str, hook: Hook, *touched: str) -> Switch:
        touches = ("token" if path == "body" else f"token{path}" for path in touched)
        hooks: dict[Point, Hook] = {"token_reply": _where_honest_is_success(hook)}
        return _switch(f"token_{suffix}", f"token answer: {description}", hooks, *touches)

    page = b"<!doctype html><title>Welcome</title><h1>Hotel Wi-Fi</h1>"
    refused = {"error": "invalid_request\x1b[31m", "error_description": _ESCAPES, "error_uri": "javascript:alert(1)"}
    odd = {"error": ["invalid_grant"], "error_description": {"x": 1}}
    yield lie(
        "html",
        "a page with status 200",
        change_reply(body=page, content_type="text/html"),
        "body",
        "_http.content_type",
    )
    yield lie("list", "a list", _around, "body")
    yield lie("empty", "status 200 without a body", change_reply(body=b""), "body")
    yield lie("duplicate_member", "access_token stands there twice", _twice, ".access_token")
    yield lie("deep", "lists nested 100,000 deep", _deep, "body")
    yield lie("huge", "80 MB", change_reply(padding_bytes=_HUGE_BYTES), "_http.size")
    yield lie(
        "redirect",
        "a redirect that would carry the code elsewhere",
        _redirect,
        "_http.status",
        "_http.location",
        "body",
    )
    yield lie("error_escapes", "an error with terminal escapes", _error(refused), "_http.status", "body")
    yield lie("error_types", "an error that is a list", _error(odd), "_http.status", "body")
    yield lie("error_missing", "400 without an error", _error({}), "_http.status", "body")


def _userinfo() -> Iterator[Switch]:
    for suffix, description, value in (
        ("wrong_subject", "sub is another person", "mallory"),
        ("no_subject", "no sub", REMOVED),
    ):
        hooks: dict[Point, Hook] = {"userinfo": put("sub", value)}
        yield _switch(f"userinfo_{suffix}", f"userinfo: {description}", hooks, "userinfo.sub")


def _switch(name: str, description: str, hooks: dict[Point, Hook], *touches: str) -> Switch:
    return Switch(name, description, hooks, touches=frozenset(touches))


def _always(text: str) -> Hook:
    return lambda _token, _moment: text


def _error_without_state(pairs: list[tuple[str, str]], _moment: Moment) -> list[tuple[str, str]]:
    return [("error", "access_denied"), *(pair for pair in pairs if pair[0] == "iss")]


def _error_with_escapes(pairs: list[tuple[str, str]], _moment: Moment) -> list[tuple[str, str]]:
    kept = [pair for pair in pairs if pair[0] in {"state", "iss"}]
    return [("error", "server_error"), ("error_description", f"<script>alert(1)</script>{_ESCAPES}"), *kept]


def _where_honest_is_success(hook: Hook) -> Hook:
    return lambda reply, moment: hook(reply, moment) if reply.status == 200 else reply  # noqa: PLR2004 - an HTTP status


def _around(reply: Reply, _moment: Moment) -> Reply:
    return dataclasses.replace(reply, body=b"[" + reply.body + b"]")


def _twice(reply: Reply, _moment: Moment) -> Reply:
    return dataclasses.replace(reply, body=b'{"access_token": "another", ' + reply.body[1:])


def _deep(reply: Reply, _moment: Moment) -> Reply:
    return dataclasses.replace(reply, body=b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b", " + reply.body[1:])


def _redirect(reply: Reply, _moment: Moment) -> Reply:
    headers = (*reply.headers, ("Location", f"{_OTHER}/token"))
    return dataclasses.replace(reply, status=307, body=b"", headers=headers)


def _error(document: dict[str, Any]) -> Hook:
    return change_reply(status=400, body=json.dumps(document).encode())


ANSWER_LIES: tuple[Switch, ...] = (*_answers(), *_token_replies(), *_userinfo())
