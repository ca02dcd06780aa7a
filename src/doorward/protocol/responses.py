"""The one reading of what an endpoint answered: outage, redirect, OAuth error, not JSON, or the JSON object asked for.

Every message names the endpoint and says what to do next. Text from the provider is made printable, and what our own
request held secret is taken out of it, because some providers repeat what they were sent.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, quote, unquote_plus

from doorward.errors import InvalidResponse, Malformed, OAuthError, ProviderUnavailable, printable
from doorward.protocol.strict_json import loads_object

if TYPE_CHECKING:
    from doorward.model import HttpRequest, HttpResponse

__all__ = ["oauth_error", "read_object", "refuse_outage", "retry_after_s"]

_LONGEST_RETRY_AFTER_S = 86_400.0
_TRANSIENT_ERRORS = frozenset({"server_error", "temporarily_unavailable"})
_PUBLIC_FIELDS = frozenset(
    {"audience", "client_assertion_type", "client_id", "grant_type", "redirect_uri", "resource", "scope"}
    | {"token_type_hint"}
)
_SHORTEST_SECRET = 4
_NEXT_STEP = {
    "access_denied": "The provider or the person said no.",
    "consent_required": "Sign in again and give consent.",
    "interaction_required": "Sign in again.",
    "invalid_client": "Check the client ID, the client secret, and how this client is registered to authenticate.",
    "invalid_grant": "Sign in again.",
    "invalid_request": "Check the client's registration, such as its redirect URIs.",
    "invalid_scope": "Ask for other scopes.",
    "invalid_target": "Check the audience or resource asked for.",
    "login_required": "Sign in again.",
    "unauthorized_client": "Ask whoever registered this client to allow it this grant.",
    "unsupported_grant_type": "The provider does not offer this way to sign in: choose another.",
}


def retry_after_s(response: HttpResponse, *, now: float) -> float | None:
    """Read ``Retry-After``, seconds or a date, as seconds from now between 0 and a day. None if absent or odd.

    Source: RFC 9110 section 10.2.3.
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return (
            float(value)
            if len(value) <= len("86400") and float(value) < _LONGEST_RETRY_AFTER_S
            else _LONGEST_RETRY_AFTER_S
        )
    try:
        date = parsedate_to_datetime(value)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(at - now, 0.0), _LONGEST_RETRY_AFTER_S)


def refuse_outage(response: HttpResponse, *, purpose: str, now: float) -> None:
    """Raise ProviderUnavailable for an answer that says "not now", InvalidResponse for a redirect."""
    status = response.status
    if status in (408, 429) or status >= 500:
        wait_s = retry_after_s(response, now=now)
        hint = "Try again later." if wait_s is None else f"Try again in {wait_s:.0f} s."
        message = f"{_sentence(purpose)} answered {status}: the provider can't answer now. {hint}"
        raise ProviderUnavailable(message, reason=f"status_{status}", retry_after_s=wait_s)
    if 300 <= status < 400:
        message = (
            f"{_sentence(purpose)} answered with a redirect ({status}), which is never followed. Check the issuer."
        )
        raise InvalidResponse(message, reason="redirect")


def oauth_error(
    error: str, description: object, *, purpose: str, request: HttpRequest | None = None, reason: str = ""
) -> OAuthError | ProviderUnavailable:
    """Make the error for an OAuth error response (RFC 6749 sections 4.1.2.1 and 5.2), without secrets of ``request``."""
    secrets = _secrets_of(request) if request else ()
    error = printable(_without(error, secrets))
    text = printable(_without(description, secrets)) if isinstance(description, str) else ""
    told = f"{error} ({text})" if text else error
    if error in _TRANSIENT_ERRORS:
        message = f"{_sentence(purpose)} can't answer now: {told}. Try again later."
        return ProviderUnavailable(message, reason=error)
    next_step = _NEXT_STEP.get(error, "Check the client's registration and what was asked for.")
    message = f"{_sentence(purpose)} refused: {told}. {next_step}"
    return OAuthError(message, error=error, description=text, reason=reason or "oauth_error")


def read_object(
    response: HttpResponse, *, purpose: str, now: float, request: HttpRequest | None = None
) -> dict[str, Any]:
    """Return the JSON object of a 200 answer, or raise what the answer really was.

    Args:
        response: What came back.
        purpose: The endpoint in words, for messages.
        now: Epoch seconds, for a Retry-After date.
        request: What was asked, so that its secrets are taken out of messages.

    Raises:
        ProviderUnavailable: 5xx, 408, 429, ``server_error`` or ``temporarily_unavailable``.
        OAuthError: An OAuth error, with whatever status (some send 200).
        InvalidResponse: ``redirect``, ``unexpected_status``, ``form_encoded``, ``not_json``, ``invalid_json``,
            ``malformed_error``.
    """
    refuse_outage(response, purpose=purpose, now=now)
    body = _json_body(response, purpose)
    error = body.get("error")
    if error not in (None, "") or body.get("ok") is False or response.status != 200:
        if not isinstance(error, str) or not error:
            if response.status != 200:
                _refuse_status(response, purpose)
            message = (
                f"{_sentence(purpose)} reported an error that can't be read. Try again; if it stays, check the issuer."
            )
            raise InvalidResponse(message, reason="malformed_error")
        raise oauth_error(error, body.get("error_description"), purpose=purpose, request=request)
    return body


def _json_body(response: HttpResponse, purpose: str) -> dict[str, Any]:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        message = f"{_sentence(purpose)} answered form-encoded, though JSON was asked for. It is not usable this way."
        raise InvalidResponse(message, reason="form_encoded")
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if not is_json:
        if response.status != 200:
            _refuse_status(response, purpose)
        kind = printable(media_type) or "something without a type"
        message = (
            f"{_sentence(purpose)} answered {kind} instead of JSON. Check the issuer, and for a login page in between."
        )
        raise InvalidResponse(message, reason="not_json")
    try:
        return loads_object(response.body, what=purpose)
    except Malformed as error:
        if response.status != 200:
            _refuse_status(response, purpose)
        message = (
            f"{_sentence(purpose)} answered JSON that is broken or cut off. Try again; if it stays, tell the provider."
        )
        raise InvalidResponse(message, reason="invalid_json") from error


def _refuse_status(response: HttpResponse, purpose: str) -> NoReturn:
    message = f"{_sentence(purpose)} answered {response.status}, which says nothing usable. Check the issuer's address."
    raise InvalidResponse(message, reason="unexpected_status")


def _sentence(purpose: str) -> str:
    return purpose[:1].upper() + purpose[1:]


def _secrets_of(request: HttpRequest) -> tuple[str, ...]:
    """Everything in the request that is not known to be public, in each form it could be repeated in, longest first."""
    fields = parse_qsl((request.body or b"").decode(), keep_blank_values=True)
    found = {value for name, value in fields if name not in _PUBLIC_FIELDS}
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if credentials:
        found.add(credentials)
    if scheme == "Basic":
        try:
            secret = base64.b64decode(credentials, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            secret = ""
        found |= {secret, unquote_plus(secret)}
    found |= {quote(value, safe="") for value in found}
    return tuple(sorted((value for value in found if len(value) >= _SHORTEST_SECRET), key=len, reverse=True))


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "<secret>")
    return text
