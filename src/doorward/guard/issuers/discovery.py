"""What an issuer publishes, fetched: its metadata and its keys. Blocking, so it runs in a job; keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.errors import InvalidResponse, TransportError, printable
from doorward.protocol.metadata import (
    build_authorization_server_metadata_request,
    build_jwks_url_request,
    build_metadata_request,
    parse_issuer_metadata_response,
    parse_jwks_response,
)
from doorward.system import SystemClock

if TYPE_CHECKING:
    from doorward.guard.issuers.issuer import Issuer
    from doorward.http.client import HttpClient
    from doorward.model import HttpRequest, HttpResponse
    from doorward.ports import Transport
    from doorward.protocol.jwk import JwkSet
    from doorward.protocol.metadata import IssuerMetadata

__all__ = ["OneDeadline", "discover", "fetch_keys"]


class OneDeadline:
    """A transport for several requests that together end ``timeout_s`` after it is made."""

    def __init__(self, client: HttpClient, timeout_s: float) -> None:
        self._client = client
        self._until = SystemClock().monotonic() + timeout_s

    def send(self, request: HttpRequest) -> HttpResponse:
        left_s = self._until - SystemClock().monotonic()
        if left_s <= 0:
            message = f"No time was left to ask {request.purpose}. Try again; if it stays, ask whoever runs the issuer."
            raise TransportError(message, reason="timeout_total")
        return self._client.send(request, timeout_s=left_s)


def discover(
    issuer: str, transport: Transport, *, now: float, insecure_loopback_http: bool = False, asked_at: str | None = None
) -> IssuerMetadata:
    """Fetch an issuer's metadata: as an OpenID provider, or else as an OAuth 2.0 authorization server.

    Args:
        issuer: the issuer's URL, exactly.
        transport: what asks; ``OneDeadline`` bounds all of it.
        now: epoch seconds.
        insecure_loopback_http: allow endpoints with http on loopback.
        asked_at: the URL below which it publishes them, where that is not its own: the metadata name ``issuer``.

    Raises:
        UnavailableError: it can't be reached, or can't answer now.
        ProviderError: the answer is wrong; ``no_metadata`` where there is none in either place.

    Source: OIDC Discovery 1.0 section 4, RFC 8414 section 3.
    """

    def ask(request: HttpRequest) -> IssuerMetadata:
        return parse_issuer_metadata_response(
            transport.send(request), issuer=issuer, now=now, insecure_loopback_http=insecure_loopback_http
        )

    try:
        return ask(build_metadata_request(asked_at or issuer))
    except InvalidResponse as error:
        if error.reason != "no_metadata":
            raise
    return ask(build_authorization_server_metadata_request(asked_at or issuer))


def fetch_keys(issuer: Issuer, transport: Transport, *, now: float) -> JwkSet:
    """Fetch an issuer's keys, from ``jwks_url`` or else from where its metadata says.

    Raises:
        UnavailableError, ProviderError: as ``discover``; ``no_jwks_uri`` where the metadata names no keys.
    """
    url = issuer.jwks_url
    if url is None:
        loopback_http = issuer.insecure_loopback_http
        found = discover(issuer.url, transport, now=now, insecure_loopback_http=loopback_http, asked_at=issuer.asked_at)
        url = found.jwks_uri
    if url is None:
        message = f"The metadata of {printable(issuer.url)} names no keys. Give jwks_url or jwks for this issuer."
        raise InvalidResponse(message, reason="no_jwks_uri")
    return parse_jwks_response(transport.send(build_jwks_url_request(url)), now=now)
