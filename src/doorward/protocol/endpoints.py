"""Revocation, introspection and logout at the provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from doorward.errors import ConfigurationError, InvalidResponse
from doorward.protocol.client_auth import Client, SecretBasic, SecretPost, build_form_request
from doorward.protocol.reading.responses import REVOCATION, SUCCESS, read_object
from doorward.protocol.reading.urls import FLAWS, encode_form, url_flaw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import HttpRequest, HttpResponse, Secret
    from doorward.protocol.metadata import IssuerMetadata, ProviderMetadata

__all__ = [
    "Introspection",
    "build_introspection_request",
    "build_logout_url",
    "build_revocation_request",
    "parse_introspection_response",
    "parse_revocation_response",
]


@dataclass(frozen=True, slots=True)
class Introspection:
    """What the provider says of a token. ``claims`` is empty when it is not active."""

    active: bool
    claims: Mapping[str, Any] = field(repr=False)


def build_revocation_request(  # noqa: PLR0913 - keyword-only
    metadata: ProviderMetadata,
    client: Client,
    token: Secret,
    *,
    token_type_hint: Literal["access_token", "refresh_token"],
    now: float,
    jti: str,
) -> HttpRequest:
    """Ask the provider to forget a token (RFC 7009 section 2.1).

    Raises:
        ConfigurationError: ``no_revocation_endpoint``; look at ``metadata.revocation_endpoint`` first.
    """
    url = metadata.revocation_endpoint
    if url is None:
        message = "The provider offers no revocation: the token stays good until it expires."
        raise ConfigurationError(message, field="revocation_endpoint", reason="no_revocation_endpoint")
    client = _client_for(client, metadata.revocation_endpoint_auth_methods)
    fields = [("token", token.reveal()), ("token_type_hint", token_type_hint)]
    return build_form_request(url, REVOCATION, fields, client, issuer=metadata.issuer, now=now, jti=jti)


def parse_revocation_response(response: HttpResponse, *, request: HttpRequest, now: float) -> None:
    """Return when the token is forgotten, known to the provider or not (RFC 7009 section 2.2).

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``.
    """
    if response.status not in SUCCESS:  # the body of a success means nothing here
        read_object(response, purpose=request.purpose, now=now, request=request)


def build_introspection_request(  # noqa: PLR0913 - keyword-only
    metadata: ProviderMetadata | IssuerMetadata,
    client: Client,
    token: Secret,
    *,
    token_type_hint: Literal["access_token", "refresh_token"] = "access_token",  # noqa: S107 - a name
    now: float,
    jti: str,
) -> HttpRequest:
    """Ask the provider whether a token is good (RFC 7662 section 2.1).

    Raises:
        ConfigurationError: ``no_introspection_endpoint``.
        InvalidResponse: ``bad_endpoint``: the one that it names can't be used.
    """
    if metadata.introspection_endpoint is None and "introspection_endpoint" not in metadata.flaws:
        message = "The provider offers no introspection: use tokens that can be verified by signature."
        raise ConfigurationError(message, field="introspection_endpoint", reason="no_introspection_endpoint")
    url = metadata.need("introspection_endpoint")
    client = _client_for(client, metadata.introspection_endpoint_auth_methods)
    fields = [("token", token.reveal()), ("token_type_hint", token_type_hint)]
    purpose = "the introspection endpoint"
    return build_form_request(url, purpose, fields, client, issuer=metadata.issuer, now=now, jti=jti)


def parse_introspection_response(response: HttpResponse, *, request: HttpRequest, now: float) -> Introspection:
    """Return what the provider says of the token (RFC 7662 section 2.2).

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``bad_active`` when ``active``
            is not true or false, since a guess here would let somebody in.
    """
    body = read_object(response, purpose=request.purpose, now=now, request=request)
    active = body.get("active")
    if not isinstance(active, bool):
        message = "The introspection endpoint did not say true or false for active. Tell the provider."
        raise InvalidResponse(message, reason="bad_active")
    return Introspection(active, body if active else {})


def build_logout_url(  # noqa: PLR0913 - keyword-only
    metadata: ProviderMetadata,
    *,
    client_id: str,
    logout_hint: str | None = None,
    id_token_hint: Secret | None = None,
    post_logout_redirect_uri: str | None = None,
    state: str | None = None,
) -> str | None:
    """Build the URL that ends the person's session at the provider, to open in their browser.

    Args:
        metadata: The provider.
        client_id: The client that signs the person out.
        logout_hint: Whom to sign out, such as an e-mail address, where the provider takes that.
        id_token_hint: An ID token. It ends up in the browser's history and in logs. Without it a provider may ask the
            person whether they mean it, so leave it out unless the provider insists (Dex does, to redirect back).
        post_logout_redirect_uri: Where to send the browser afterwards, as registered.
        state: Comes back with that redirect.

    Returns:
        The URL, or None if the provider offers no logout.

    Raises:
        ConfigurationError: The redirect URI is neither https nor http on a loopback address, or a value is not
            printable.

    Source: OpenID Connect RP-Initiated Logout 1.0 section 2.
    """
    flaw = post_logout_redirect_uri and url_flaw(post_logout_redirect_uri, loopback_http=True, query=True)
    if flaw:
        message = f"The post-logout redirect URI {FLAWS[flaw]}. Give an https address, or http on a loopback address."
        raise ConfigurationError(message, field="post_logout_redirect_uri", reason=flaw)
    endpoint = metadata.end_session_endpoint
    if endpoint is None:
        return None
    parameters = {
        "client_id": client_id,
        "logout_hint": logout_hint,
        "id_token_hint": id_token_hint.reveal() if id_token_hint else None,
        "post_logout_redirect_uri": post_logout_redirect_uri,
        "state": state,
    }
    query = encode_form(parameters.items())
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"


def _client_for(client: Client, methods: tuple[str, ...] | None) -> Client:
    """Send the client's secret the way this endpoint takes it: CILogon lists other ways here than for tokens."""
    listed = set(methods or ()) & {SecretBasic.method, SecretPost.method}
    match client.authentication:
        case SecretBasic(secret) if listed == {SecretPost.method}:
            return Client(client.client_id, SecretPost(secret))
        case SecretPost(secret) if listed == {SecretBasic.method}:
            return Client(client.client_id, SecretBasic(secret))
    return client
