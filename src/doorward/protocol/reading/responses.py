"""The one reading of what an endpoint answered: outage, redirect, OAuth error, not JSON, or the JSON object asked for.

Every message names the endpoint and says what to do next. Text from the provider is made printable, and what our own
request held secret is taken out of it, because some providers repeat what they were sent.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote_plus

from doorward.errors import InvalidResponse, Malformed, OAuthError, ProviderUnavailable, printable
from doorward.protocol.reading.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Collection

    from doorward.model import HttpRequest, HttpResponse

__all__ = [
    "REVOCATION",
    "SUCCESS",
    "clock_skew_s",
    "oauth_error",
    "read_object",
    "refuse_outage",
    "retry_after_s",
    "sentence",
]

_LONGEST_RETRY_AFTER_S = 86_400.0
_SECONDS = re.compile(r"[0-9]{1,10}")
_DATE = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SUCCESS = frozenset({200, 201})
"""Some token endpoints answer 201, as if a token were a resource."""
_TOO_MANY_REQUESTS, _SERVER_FAILED = 429, 500  # http.HTTPStatus takes a millisecond to import
_UNPROVEN = frozenset({401, 403})
_REDIRECTS = range(300, 400)
_NOT_NOW = frozenset({408, _TOO_MANY_REQUESTS})
_TRANSIENT_ERRORS = frozenset({"server_error", "temporarily_unavailable"})
_PUBLIC_FIELDS = frozenset(
    {
        "acr_values",
        "audience",
        "client_assertion_type",
        "client_id",
        "code_challenge_method",
        "grant_type",
        "max_age",
        "prompt",
        "redirect_uri",
        "resource",
        "response_type",
        "scope",
        "token_type_hint",
        "ui_locales",
    }
)
REVOCATION = "the revocation endpoint"
_SHORTEST_SECRET = 4
_IN_BETWEEN = "A login page or a proxy may stand in between; else tell the provider."
_NOTHING = r"(?!)"  # a pattern that never matches
_NEXT_STEP = {
    "access_denied": "The person or a policy of the provider said no.",
    "consent_required": "Sign in again and give consent.",
    "interaction_required": "Sign in again.",
    "invalid_client": "Check the client ID, the client secret, and how this client is registered to authenticate.",
    "invalid_grant": "Sign in again.",
    "invalid_request": "Check how this client is registered, such as its redirect URIs.",
    "invalid_scope": "Ask for other scopes.",
    "invalid_target": "Check the audience or resource that is asked for.",
    "login_required": "Sign in again.",
    "unauthorized_client": "Have this way to get tokens allowed where the client is registered.",
    "unsupported_grant_type": "The provider does not offer this way to get tokens: choose another.",
}

_MOST_LIKELY = {
    "authorization_code": "Most likely the code was too old, or the redirect URI is another one: sign in again.",
    "client_credentials": _NEXT_STEP["unauthorized_client"],
    "refresh_token": "Most likely the refresh token is no longer good: sign in again.",
    "revocation": "Many providers revoke nothing for a client without a secret.",
}


def retry_after_s(response: HttpResponse, *, now: float) -> float | None:
    """Read ``Retry-After``, seconds or a date, as seconds from now between 0 and a day. None if absent or odd.

    Source: RFC 9110 section 10.2.3.
    """
    value = response.headers.get("retry-after", "")
    if _SECONDS.fullmatch(value):
        return min(float(value), _LONGEST_RETRY_AFTER_S)
    at = _parse_date(value)
    return None if at is None else min(max(at - now, 0.0), _LONGEST_RETRY_AFTER_S)


def clock_skew_s(response: HttpResponse, *, now: float) -> float | None:
    """Return how far our clock is ahead of the server's, by its ``Date`` header (whole seconds). None if absent or odd.

    Source: RFC 9110 section 6.6.1.
    """
    at = _parse_date(response.headers.get("date", ""))
    return None if at is None else now - at


def refuse_outage(response: HttpResponse, *, purpose: str, now: float) -> None:
    """Raise ProviderUnavailable for an answer that says "not now", InvalidResponse for a redirect."""
    status, name = response.status, sentence(purpose)
    if status in _NOT_NOW or status >= _SERVER_FAILED:
        wait_s = retry_after_s(response, now=now)
        hint = "Try again later." if wait_s is None else f"Try again in {wait_s:.0f} s."
        reason = "too_many_requests" if status == _TOO_MANY_REQUESTS else "server_failure"
        raise ProviderUnavailable(f"{name} can't answer now ({status}). {hint}", reason=reason, retry_after_s=wait_s)
    if status in _REDIRECTS:
        message = f"{name} answered with a redirect ({status}), and none is followed. {_IN_BETWEEN}"
        raise InvalidResponse(message, reason="redirect")


def oauth_error(
    error: str, description: object, *, purpose: str, request: HttpRequest | None = None
) -> OAuthError | ProviderUnavailable:
    """Make the error for an OAuth error response, without the secrets of ``request``.

    Source: RFC 6749 sections 4.1.2.1 and 5.2.
    """
    secrets = _secrets_of(request) if request else re.compile(_NOTHING)
    error = printable(secrets.sub("<secret>", error))
    description = printable(secrets.sub("<secret>", description)) if isinstance(description, str) else ""
    told = f"{error} ({description})" if description else error
    if error in _TRANSIENT_ERRORS:
        return ProviderUnavailable(f"{sentence(purpose)} can't answer now: {told}. Try again later.", reason=error)
    next_step = _NEXT_STEP.get(error, "Check how this client is registered, and what it asks for.")
    message = f"{sentence(purpose)} refused: {told}. {next_step}"
    reason = error if error in _NEXT_STEP else "oauth_error"
    return OAuthError(message, error=error, description=description, reason=reason)


def read_object(
    response: HttpResponse,
    *,
    purpose: str,
    now: float,
    request: HttpRequest | None = None,
    other_types: Collection[str] = (),
) -> dict[str, Any]:
    """Return the JSON object of a successful answer, or raise what the answer really was.

    Not all say why they refuse as RFC 6749 has it: ``message`` stands for ``error_description`` (Twitch), and in a
    failure ``error_code`` for ``error`` (Databricks).

    Args:
        response: What came back.
        purpose: The endpoint in words, for messages.
        now: Epoch seconds, for a Retry-After date.
        request: What was asked, so that its secrets are taken out of messages.
        other_types: Media types that will do besides JSON's.

    Raises:
        ProviderUnavailable: 5xx, 408, 429, ``server_error`` or ``temporarily_unavailable``.
        OAuthError: An OAuth error with any other status (some send 200), or a failure that says why in other words.
        InvalidResponse: ``redirect``, ``form_encoded``, ``not_json``, ``invalid_json``, ``malformed_error``, or
            ``unexpected_status`` for a failure that does not say why.
    """
    refuse_outage(response, purpose=purpose, now=now)
    name, succeeded = sentence(purpose), response.status in SUCCESS
    try:
        body = _json_body(response, name, other_types)
    except InvalidResponse as error:
        if succeeded or error.reason == "form_encoded":
            raise
        body = {}
    refused, why = body.get("error"), body.get("error_description", body.get("message"))
    if refused is None and why and not succeeded:
        refused = body.get("error_code") or f"status {response.status}"
    if isinstance(refused, str) and refused:
        raise oauth_error(refused, why, purpose=purpose, request=request)
    if not succeeded:
        message = f"{name} answered {response.status} without saying why. {_most_likely(response.status, request)}"
        raise InvalidResponse(message, reason="unexpected_status")
    if refused not in (None, "") or body.get("ok") is False:
        message = f"{name} reported an error in a form that can't be read. Check the client's registration."
        raise InvalidResponse(message, reason="malformed_error")
    return body


def _most_likely(status: int, request: HttpRequest | None) -> str:
    """Say what a failure without a word means at this endpoint, and what helps."""
    form = dict(parse_qsl((request.body or b"").decode())) if request else {}
    if not request or not form:
        return "Check the issuer, and whether this can be read from here without signing in."
    if status in _UNPROVEN:
        return _NEXT_STEP["invalid_client"]
    asked = "revocation" if request.purpose == REVOCATION else form.get("grant_type", "")
    return _MOST_LIKELY.get(asked, "Most likely this client may not ask for that: check how it is registered.")


def _json_body(response: HttpResponse, name: str, other_types: Collection[str]) -> dict[str, Any]:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        message = f"{name} answered form-encoded though JSON was asked for, so it can't be used. Tell the provider."
        raise InvalidResponse(message, reason="form_encoded")
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if not is_json and media_type not in other_types:
        kind = printable(media_type) or "something without a type"
        message = f"{name} answered {kind}, not JSON. {_IN_BETWEEN}"
        raise InvalidResponse(message, reason="not_json")
    try:
        return loads_object(response.body, what=f"The answer of {name}")
    except Malformed as error:
        message = (
            f"{name} answered JSON that is cut off, ambiguous or wrong. Try again; if it stays, tell the provider."
        )
        raise InvalidResponse(message, reason="invalid_json") from error


def sentence(purpose: str) -> str:
    """Begin a sentence with an endpoint's name."""
    return purpose[:1].upper() + purpose[1:]


def _parse_date(value: str) -> float | None:
    """Read an HTTP date (IMF-fixdate). The obsolete forms and what is no date give None."""
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        numbers = int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)
        return datetime(*numbers, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _secrets_of(request: HttpRequest) -> re.Pattern[str]:
    """Match all of the request that is not known to be public, in each form in which it could be repeated."""
    form = parse_qsl((request.body or b"").decode(), keep_blank_values=True)
    found = {value for name, value in form if name not in _PUBLIC_FIELDS}
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    secret = base64.b64decode(credentials).decode().partition(":")[2] if scheme == "Basic" else ""
    found |= {credentials, secret, unquote_plus(secret), request.headers.get("dpop", "")}
    found |= {quote(value, safe="") for value in found}
    longest_first = sorted((value for value in found if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or _NOTHING)
