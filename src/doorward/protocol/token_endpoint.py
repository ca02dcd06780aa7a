"""The token endpoint and the device authorization endpoint: what to ask, and what an answer must look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from doorward.errors import (
    ConfigurationError,
    InvalidResponse,
    Malformed,
    OAuthError,
    SignInCancelled,
    SignInTimeout,
    printable,
)
from doorward.model import Secret, TokenSet
from doorward.protocol.authorization import challenge_of, join_scopes
from doorward.protocol.client_auth import NoAuthentication, build_form_request
from doorward.protocol.reading.answers import VSCHAR, Answer
from doorward.protocol.reading.responses import SUCCESS, clock_skew_s
from doorward.protocol.reading.strict_json import loads_object
from doorward.protocol.reading.urls import FLAWS, url_flaw

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
    "renewed_by_signing_in",
    "salvage_refresh_token",
]

_TOKEN = "the token endpoint"  # noqa: S105 - the endpoint's name, not a token
_DEVICE = "the device authorization endpoint"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
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


def build_code_request(  # noqa: PLR0913 - the request's parameters, by keyword
    metadata: ProviderMetadata,
    client: Client,
    callback: ValidatedCallback,
    *,
    now: float,
    jti: str,
    resource: str | None = None,
) -> HttpRequest:
    """Ask for tokens for the code of a validated callback (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    fields = {
        "grant_type": "authorization_code",
        "code": callback.code.reveal(),
        "redirect_uri": callback.pending.redirect_uri,
        "code_verifier": callback.pending.code_verifier.reveal(),
        "resource": resource,
    }
    return _token_request(metadata, client, fields, now=now, jti=jti)


def build_refresh_request(  # noqa: PLR0913 - the request's parameters, by keyword
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
        "scope": join_scopes(scopes),
        "redirect_uri": redirect_uri,
        "resource": resource,
        "audience": audience,
    }
    return _token_request(metadata, client, fields, now=now, jti=jti)


def build_client_credentials_request(  # noqa: PLR0913 - the request's parameters, by keyword
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
        "scope": join_scopes(scopes),
        "audience": audience,
        "resource": resource,
    }
    return _token_request(metadata, client, fields, now=now, jti=jti)


def build_device_authorization_request(  # noqa: PLR0913 - the request's parameters, by keyword
    metadata: ProviderMetadata,
    client: Client,
    *,
    now: float,
    jti: str,
    code_verifier: Secret,
    scopes: Sequence[str] | None = None,
    audience: str | None = None,
    resource: str | None = None,
    max_age_s: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> HttpRequest:
    """Ask for a code that the person enters on another device (RFC 8628 section 3.1).

    PKCE goes along: Keycloak wants it here too where the client is set so, and RFC 6749 has others ignore it.
    ``parameters`` are further ones, such as ``authorization_parameters`` gives.

    Raises:
        ConfigurationError: The provider has no device flow.
        InvalidResponse: ``bad_endpoint``: the place that it names for it can't be used.
    """
    if metadata.device_authorization_endpoint is None and "device_authorization_endpoint" not in metadata.flaws:
        message = "The provider offers no sign-in by device code: sign in with a browser instead."
        raise ConfigurationError(message, field="mode", reason="no_device_flow")
    fields = {
        **(parameters or {}),
        "scope": join_scopes(scopes),
        "audience": audience,
        "resource": resource,
        "max_age": None if max_age_s is None else str(max_age_s),
        "code_challenge": challenge_of(code_verifier),
        "code_challenge_method": "S256",
    }
    url = metadata.need("device_authorization_endpoint")
    return build_form_request(url, _DEVICE, fields.items(), client, issuer=metadata.issuer, now=now, jti=jti)


def build_device_token_request(  # noqa: PLR0913 - keyword-only, most of it
    metadata: ProviderMetadata, client: Client, device_code: Secret, *, code_verifier: Secret, now: float, jti: str
) -> HttpRequest:
    """Ask whether the person has approved (RFC 8628 section 3.4)."""
    fields = {"grant_type": _DEVICE_GRANT, "device_code": device_code.reveal(), "code_verifier": code_verifier.reveal()}
    return _token_request(metadata, client, fields, now=now, jti=jti)


def parse_token_response(response: HttpResponse, *, request: HttpRequest, now: float, bound: bool = False) -> TokenSet:
    """Return the tokens of a successful answer, of the type that was asked for.

    An answer that names no ``token_type`` means Bearer, which is how its token is used here and nowhere otherwise.

    Args:
        response: The answer.
        request: What it answers: it names the endpoint in messages, and its secrets are kept out of them.
        now: Epoch seconds, from which ``expires_in`` counts.
        bound: The request had a DPoP proof, so that the token is to be bound to its key.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``missing_member``,
            ``wrong_member_type``, ``negative_duration``, ``unsupported_token_type``, ``token_not_bound``.

    Source: RFC 6749 sections 5.1 and 5.2, RFC 9449 section 5, OIDC Core section 3.1.3.3.
    """
    answer = Answer.read(response, request=request, now=now)
    token_type = answer.optional_text("token_type")
    kind = "bearer" if token_type is None else token_type.lower()
    if bound and kind != "dpop":
        message = f"The token from {request.purpose} is not bound to our key (DPoP), though that was asked for."
        raise InvalidResponse(f"{message} Tell the provider, or sign in with dpop='never'.", reason="token_not_bound")
    if not bound and kind != "bearer":
        message = f"The token from {request.purpose} is no bearer token, and others can't be used. Tell the provider."
        raise InvalidResponse(message, reason="unsupported_token_type")
    life_s = answer.optional_seconds("expires_in", most=_LONGEST_LIFE_S)
    return TokenSet(
        access_token=answer.token("access_token"),
        issued_at=now,
        expires_at=None if life_s is None else now + life_s,
        refresh_token=answer.optional_token("refresh_token"),
        id_token=answer.optional_token("id_token"),
        scopes=answer.words("scope"),
        clock_skew_s=clock_skew_s(response, now=now),
    )


def parse_device_authorization_response(
    response: HttpResponse, *, request: HttpRequest, now: float
) -> DeviceAuthorization:
    """Return what the person must see and what we must ask with.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``missing_member``,
            ``wrong_member_type``, ``negative_duration``, ``bad_user_code``, ``bad_verification_uri``.

    Source: RFC 8628 section 3.2.
    """
    answer = Answer.read(response, request=request, now=now)
    user_code = printable(answer.text("user_code"))
    if not 0 < len(user_code) <= _LONGEST_USER_CODE:
        message = "The provider gave no code that a person could enter. Sign in with a browser instead."
        raise InvalidResponse(message, reason="bad_user_code")
    complete = answer.optional_text("verification_uri_complete")
    # Google says verification_url, as the drafts of RFC 8628 did.
    uri = answer.optional_text("verification_uri") or answer.optional_text("verification_url")
    interval_s = answer.optional_seconds("interval", most=_LONGEST_INTERVAL_S)
    return DeviceAuthorization(
        device_code=answer.token("device_code"),
        user_code=user_code,
        verification_uri=_shown_uri(uri or answer.text("verification_uri")),
        verification_uri_complete=None if complete is None else _shown_uri(complete),
        expires_at=now + answer.seconds("expires_in", most=_LONGEST_DEVICE_LIFE_S),
        interval_s=_DEFAULT_INTERVAL_S if interval_s is None else max(interval_s, 1),
    )


def parse_device_token_response(
    response: HttpResponse, *, request: HttpRequest, now: float, bound: bool = False
) -> TokenSet | DevicePending:
    """Return the tokens, or that the person has not approved yet.

    Raises:
        SignInCancelled: The person said no.
        SignInTimeout: The code expired before anybody approved.
        ProviderUnavailable, OAuthError, InvalidResponse: As for ``parse_token_response``.

    Source: RFC 8628 section 3.5.
    """
    slow_down = _read_slow_down(response, request.purpose)
    if slow_down is not None:
        return slow_down
    try:
        return parse_token_response(response, request=request, now=now, bound=bound)
    except OAuthError as error:
        match error.error:
            case "authorization_pending":
                return DevicePending(slow_down=False)
            case "access_denied" | "authorization_declined":  # the second is Entra's
                message = "The sign-in was denied. If that was a mistake, sign in again."
                raise SignInCancelled(message, reason="access_denied") from error
            case "expired_token":
                message = "The code expired before anybody used it. Sign in again."
                raise SignInTimeout(message, reason="device_code_expired") from error
        raise


def _read_slow_down(response: HttpResponse, purpose: str) -> DevicePending | None:
    """Look for ``slow_down`` under any status: Auth0 sends it with 429, which elsewhere is an outage."""
    try:
        answer = Answer(purpose, loads_object(response.body, what=purpose))
    except Malformed:
        return None
    if answer.body.get("error") != "slow_down":
        return None
    interval_s = answer.optional_seconds("interval", most=_LONGEST_INTERVAL_S)  # GitHub says the new one
    return DevicePending(slow_down=True, interval_s=interval_s)


def salvage_refresh_token(response: HttpResponse) -> Secret | None:
    """Return the refresh token of an answer that is of no other use; None if it has none.

    A provider that rotates refresh tokens has used up the old one with its answer, however odd the rest of it is.
    """
    try:
        token = loads_object(response.body, what=_TOKEN).get("refresh_token")
    except Malformed:
        return None
    if response.status not in SUCCESS or not isinstance(token, str) or not VSCHAR.fullmatch(token):
        return None
    return Secret(token)


def ended_session(error: OAuthError) -> bool:
    """Say whether this refusal of a refresh means that the refresh token will never work again.

    ``invalid_grant`` means it (RFC 6749 section 5.2), Google's ``invalid_rapt`` included, which is a kind of it. Dex
    says ``invalid_request`` with one of two texts. Nothing else ends a session (decision 5).
    """
    if error.error == "invalid_request":
        return error.description.lower().startswith(("refresh token is invalid", "refresh token expired"))
    return error.error == "invalid_grant"


def renewed_by_signing_in(error: OAuthError) -> bool:
    """Say whether this refusal of a refresh most likely means that a new sign-in helps, and nothing else.

    Providers say in words of their own that a refresh token is dead: Twitch ``Bad Request`` (Invalid refresh token),
    Slack ``invalid_refresh_token``, GitHub ``bad_refresh_token``, others ``invalid_token``. Since such a word may mean
    something else too, the token is kept (decision 5). The words of RFC 6749 for a client that is wrongly registered
    mean just that.
    """
    if error.error in {"invalid_request", "invalid_scope"}:
        return "refresh" in error.description.lower()
    meant = {"invalid_client", "invalid_target", "unauthorized_client", "unsupported_grant_type"}
    return error.error not in meant | {"invalid_dpop_proof", "use_dpop_nonce"}


def needs_interaction(error: OAuthError) -> bool:
    """Say whether a person has to sign in again although the refresh token may still be good.

    Entra answers ``interaction_required`` when a policy wants the person, such as a second factor outside the office
    network: back inside, the same refresh token works. The others are its siblings in OIDC Core section 3.1.2.6.
    """
    return error.error in {"interaction_required", "login_required", "consent_required", "account_selection_required"}


def _token_request(
    metadata: ProviderMetadata, client: Client, fields: Mapping[str, str | None], *, now: float, jti: str
) -> HttpRequest:
    url = metadata.need("token_endpoint")
    return build_form_request(url, _TOKEN, fields.items(), client, issuer=metadata.issuer, now=now, jti=jti)


def _shown_uri(uri: str) -> str:
    flaw = url_flaw(uri, loopback_http=True, query=True, fragment=True)
    if flaw:
        message = f"The address that the provider wants to be opened {FLAWS[flaw]}. Do not open it; tell the provider."
        raise InvalidResponse(message, reason="bad_verification_uri")
    return uri
