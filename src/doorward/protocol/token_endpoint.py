"""The token endpoint and the device authorization endpoint: what to ask, and what an answer must look like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, InvalidResponse, OAuthError, SignInCancelled, SignInTimeout
from doorward.model import Secret, TokenSet
from doorward.protocol.client_auth import NoAuthentication, build_form_request
from doorward.protocol.responses import read_object
from doorward.protocol.urls import url_flaw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.model import HttpRequest, HttpResponse
    from doorward.protocol.authorization import ValidatedCallback
    from doorward.protocol.client_auth import Client
    from doorward.protocol.metadata import ProviderMetadata

__all__ = [
    "DeviceAuthorization",
    "DevicePending",
    "build_client_credentials_request",
    "build_code_request",
    "build_device_authorization_request",
    "build_device_token_request",
    "build_refresh_request",
    "ended_session",
    "needs_interaction",
    "parse_device_authorization_response",
    "parse_device_token_response",
    "parse_token_response",
]

_TOKEN = "the token endpoint"  # noqa: S105 - the endpoint's name, not a token
_DEVICE = "the device authorization endpoint"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_VSCHAR = re.compile(r"[\x21-\x7e]+")
_LONGEST_LIFE_S = 100 * 365 * 86_400  # ORCID's access tokens live 20 years
_LONGEST_DEVICE_LIFE_S = 86_400
_DEFAULT_INTERVAL_S = 5
_LONGEST_INTERVAL_S = 300
_LONGEST_USER_CODE = 64


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """What the person needs to approve this device, and what we need to ask whether they did.

    ``user_code`` and the URIs are safe to show. ``interval_s`` is how long to wait between questions.
    """

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: float
    interval_s: float


@dataclass(frozen=True, slots=True)
class DevicePending:
    """Nobody approved yet. With ``slow_down``, wait 5 s longer each time from now on, or ``interval_s`` if given."""

    slow_down: bool
    interval_s: float | None = None


def build_code_request(
    metadata: ProviderMetadata,
    client: Client,
    callback: ValidatedCallback,
    *,
    now: float,
    jti: str,
    resource: str | None = None,
) -> HttpRequest:
    """Ask for tokens in exchange for the code of a validated callback (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    fields = {
        "grant_type": "authorization_code",
        "code": callback.code.reveal(),
        "redirect_uri": callback.pending.redirect_uri,
        "code_verifier": callback.pending.code_verifier.reveal(),
        "resource": resource,
    }
    return _token_request(metadata, client, fields, now=now, jti=jti)


def build_refresh_request(
    metadata: ProviderMetadata,
    client: Client,
    refresh_token: Secret,
    *,
    now: float,
    jti: str,
    scopes: Sequence[str] | None = None,
    redirect_uri: str | None = None,
    resource: str | None = None,
    audience: str | None = None,
) -> HttpRequest:
    """Ask for new tokens (RFC 6749 section 6). GitLab wants ``redirect_uri``, Entra ``scopes``; others want neither."""
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.reveal(),
        "scope": _scope(scopes),
        "redirect_uri": redirect_uri,
        "resource": resource,
        "audience": audience,
    }
    return _token_request(metadata, client, fields, now=now, jti=jti)


def build_client_credentials_request(
    metadata: ProviderMetadata,
    client: Client,
    *,
    now: float,
    jti: str,
    scopes: Sequence[str] | None = None,
    audience: str | None = None,
    resource: str | None = None,
) -> HttpRequest:
    """Ask for a token of the client's own (RFC 6749 section 4.4).

    Raises:
        ConfigurationError: The client has nothing to prove itself with.
    """
    if isinstance(client.authentication, NoAuthentication):
        message = "Client credentials need a client secret or a signing key: give one of them."
        raise ConfigurationError(message, field="client_secret", reason="no_client_credentials")
    fields = {
        "grant_type": "client_credentials",
        "scope": _scope(scopes),
        "audience": audience,
        "resource": resource,
    }
    return _token_request(metadata, client, fields, now=now, jti=jti)


def build_device_authorization_request(
    metadata: ProviderMetadata,
    client: Client,
    *,
    now: float,
    jti: str,
    scopes: Sequence[str] | None = None,
    audience: str | None = None,
    resource: str | None = None,
) -> HttpRequest:
    """Ask for a code that the person enters on another device (RFC 8628 section 3.1).

    Raises:
        ConfigurationError: The provider has no device flow.
    """
    if metadata.device_authorization_endpoint is None:
        message = "The provider offers no sign-in by device code: sign in with a browser instead."
        raise ConfigurationError(message, field="mode", reason="no_device_flow")
    fields = {"scope": _scope(scopes), "audience": audience, "resource": resource}
    url = metadata.device_authorization_endpoint
    return build_form_request(url, _DEVICE, _given(fields), client, issuer=metadata.issuer, now=now, jti=jti)


def build_device_token_request(
    metadata: ProviderMetadata, client: Client, device_code: Secret, *, now: float, jti: str
) -> HttpRequest:
    """Ask whether the person has approved (RFC 8628 section 3.4)."""
    fields = {"grant_type": _DEVICE_GRANT, "device_code": device_code.reveal()}
    return _token_request(metadata, client, fields, now=now, jti=jti)


def parse_token_response(response: HttpResponse, *, request: HttpRequest, now: float) -> TokenSet:
    """Return the tokens of a successful answer.

    Args:
        response: The answer.
        request: What it answers: names the endpoint in messages, and its secrets are taken out of them.
        now: Epoch seconds, from which ``expires_in`` counts.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``missing_member``,
            ``wrong_member_type``, ``unsupported_token_type``, ``bad_lifetime``.

    Source: RFC 6749 sections 5.1 and 5.2, OIDC Core section 3.1.3.3.
    """
    body = read_object(response, purpose=request.purpose, now=now, request=request)
    token_type = _text(body, "token_type", request.purpose)
    if token_type.lower() != "bearer":
        message = "The provider gave a token that is not a bearer token, which is all we can use. Check the client's registration."
        raise InvalidResponse(message, reason="unsupported_token_type")
    life_s = _seconds(body, "expires_in", request.purpose, most=_LONGEST_LIFE_S)
    scope = body.get("scope")
    if scope is not None and not isinstance(scope, str):
        raise _wrong_type("scope", request.purpose)
    return TokenSet(
        access_token=_token(body, "access_token", request.purpose),
        issued_at=now,
        expires_at=None if life_s is None else now + life_s,
        refresh_token=_token(body, "refresh_token", request.purpose) if body.get("refresh_token") else None,
        id_token=_token(body, "id_token", request.purpose) if body.get("id_token") else None,
        scopes=None if scope is None else tuple(scope.split()),
    )


def parse_device_authorization_response(
    response: HttpResponse, *, request: HttpRequest, now: float
) -> DeviceAuthorization:
    """Return what the person must see and what we must ask with.

    Google says ``verification_url`` for ``verification_uri``. The texts are safe to print in a terminal.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``missing_member``,
            ``wrong_member_type``, ``bad_verification_uri``, ``bad_user_code``, ``bad_lifetime``.

    Source: RFC 8628 section 3.2.
    """
    purpose = request.purpose
    body = read_object(response, purpose=purpose, now=now, request=request)
    name = "verification_url" if body.get("verification_uri") is None else "verification_uri"
    user_code = "".join(character for character in _text(body, "user_code", purpose) if character.isprintable())
    if not 0 < len(user_code) <= _LONGEST_USER_CODE:
        raise InvalidResponse(
            "The provider gave no usable user code. Try again, or use a browser.", reason="bad_user_code"
        )
    if body.get("expires_in") is None:
        raise _missing("expires_in", purpose)
    life_s = _seconds(body, "expires_in", purpose, most=_LONGEST_LIFE_S)
    interval_s = _seconds(body, "interval", purpose, most=_LONGEST_INTERVAL_S)
    complete = body.get("verification_uri_complete")
    return DeviceAuthorization(
        device_code=_token(body, "device_code", purpose),
        user_code=user_code,
        verification_uri=_shown_uri(_text(body, name, purpose)),
        verification_uri_complete=None if complete is None else _shown_uri(complete),
        expires_at=now + min(life_s or 0, _LONGEST_DEVICE_LIFE_S),
        interval_s=float(_DEFAULT_INTERVAL_S if interval_s is None else max(interval_s, 1)),
    )


def parse_device_token_response(
    response: HttpResponse, *, request: HttpRequest, now: float
) -> TokenSet | DevicePending:
    """Return the tokens, or that the person has not approved yet.

    Raises:
        SignInCancelled: The person said no.
        SignInTimeout: The code expired before anybody approved.
        ProviderUnavailable, OAuthError, InvalidResponse: As ``parse_token_response``.

    Source: RFC 8628 section 3.5.
    """
    try:
        return parse_token_response(response, request=request, now=now)
    except OAuthError as error:
        match error.error:
            case "authorization_pending":
                return DevicePending(slow_down=False)
            case "slow_down":
                return DevicePending(slow_down=True)
            case "access_denied" | "authorization_declined":
                message = "The sign-in was denied on the other device. Sign in again if this was a mistake."
                raise SignInCancelled(message, reason="access_denied") from error
            case "expired_token" | "code_expired":
                message = "The code expired before anybody approved it. Sign in again."
                raise SignInTimeout(message, reason="device_code_expired") from error
        raise


def ended_session(error: OAuthError) -> bool:
    """Say whether a refused refresh means that this refresh token will never work again.

    ``invalid_grant`` says so (RFC 6749 section 5.2; Google's ``invalid_rapt`` is a kind of it). Dex says
    ``invalid_request`` with a description that begins "Refresh token". Nothing else does.
    """
    if error.error == "invalid_grant":
        return True
    return error.error == "invalid_request" and error.description.lower().startswith(
        ("refresh token is invalid", "refresh token expired")
    )


def needs_interaction(error: OAuthError) -> bool:
    """Say whether a person has to sign in again though the refresh token may still be good.

    Entra answers ``interaction_required`` when a policy wants the person, such as a second factor outside the office
    network: back inside, the same refresh token works. The others are its siblings in OIDC Core section 3.1.2.6.
    """
    return error.error in {"interaction_required", "login_required", "consent_required", "account_selection_required"}


def _token_request(
    metadata: ProviderMetadata, client: Client, fields: Mapping[str, str | None], *, now: float, jti: str
) -> HttpRequest:
    url = metadata.token_endpoint
    return build_form_request(url, _TOKEN, _given(fields), client, issuer=metadata.issuer, now=now, jti=jti)


def _given(fields: Mapping[str, str | None]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in fields.items() if value is not None]


def _scope(scopes: Sequence[str] | None) -> str | None:
    return " ".join(scopes) if scopes else None


def _missing(name: str, purpose: str) -> InvalidResponse:
    return InvalidResponse(f"The answer of {purpose} has no {name}. Tell the provider.", reason="missing_member")


def _wrong_type(name: str, purpose: str) -> InvalidResponse:
    message = f"In the answer of {purpose}, {name} is not of the allowed form. Tell the provider."
    return InvalidResponse(message, reason="wrong_member_type")


def _text(body: Mapping[str, Any], name: str, purpose: str) -> str:
    value = body.get(name)
    if value is None:
        raise _missing(name, purpose)
    if not isinstance(value, str):
        raise _wrong_type(name, purpose)
    return value


def _token(body: Mapping[str, Any], name: str, purpose: str) -> Secret:
    value = _text(body, name, purpose)
    if not _VSCHAR.fullmatch(value):
        raise _wrong_type(name, purpose)
    return Secret(value)


def _seconds(body: Mapping[str, Any], name: str, purpose: str, *, most: int) -> int | None:
    """Read a duration: an integer, or the decimal string of one, as some providers send. Clamped to ``most``."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(name, purpose)
    if value < 0:
        raise InvalidResponse(
            f"In the answer of {purpose}, {name} is negative. Tell the provider.", reason="bad_lifetime"
        )
    return min(value, most)


def _shown_uri(uri: object) -> str:
    flaw = url_flaw(uri, loopback_http=True, query=True)
    if flaw and flaw != "has_fragment":
        message = (
            "The address the provider wants the person to open is not an https URL. Do not open it; tell the provider."
        )
        raise InvalidResponse(message, reason="bad_verification_uri")
    return str(uri)
