"""What an issuer publishes, fetched: its metadata and its keys. Blocking, so it runs in a job; keeps nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from doorward.errors import ConfigurationError, InvalidResponse, ProviderError, TransportError, printable
from doorward.model import Secret
from doorward.protocol.bearer import build_authorization_header
from doorward.protocol.metadata import (
    build_jwks_url_request,
    build_metadata_requests,
    leads_on,
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

_LONGEST_TOKEN: Final = 65_536

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


class _WithToken:
    """A transport that shows a token to one origin: the one that the settings name, whatever the metadata say."""

    def __init__(self, transport: Transport, token: Secret, origin: tuple[str, str | None, int | None]) -> None:
        self._transport, self._token, self._origin = transport, token, origin

    def send(self, request: HttpRequest) -> HttpResponse:
        if _origin(request.url) == self._origin:
            shown = {**request.headers, "authorization": build_authorization_header(self._token)}
            request = msgspec.structs.replace(request, headers=shown)
        return self._transport.send(request)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _read_token(path: str) -> Secret:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST_TOKEN + 1)
    except OSError as error:
        message = f"The token in jwks_token_file {printable(path)} can't be read: {error.strerror}. Mend it."
        raise ConfigurationError(message, field="jwks_token_file", reason="token_unreadable") from None
    token = content.decode("ascii", "replace").strip()
    if not token or len(content) > _LONGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        message = f"jwks_token_file {printable(path)} holds no bearer token. Name a file that holds one alone."
        raise ConfigurationError(message, field="jwks_token_file", reason="no_token")
    return Secret(token)


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
        ProviderError: the answer is wrong; ``no_metadata`` where there is none in any place.

    Source: OIDC Discovery 1.0 section 4, RFC 8414 section 3.
    """
    first: ProviderError | None = None
    for request in build_metadata_requests(asked_at or issuer):
        response = transport.send(request)
        try:
            return parse_issuer_metadata_response(
                response, issuer=issuer, now=now, insecure_loopback_http=insecure_loopback_http
            )
        except ProviderError as error:
            if not leads_on(response):
                raise
            first = first or error
    assert first is not None  # noqa: S101 - for type checkers: at least one place was asked
    raise first


def fetch_keys(issuer: Issuer, transport: Transport, *, now: float) -> JwkSet:
    """Fetch an issuer's keys, from ``jwks_url`` or else from where its metadata says.

    Raises:
        UnavailableError, ProviderError: as ``discover``; ``no_jwks_uri`` where the metadata names no keys,
            ``bad_endpoint`` where they can't be fetched from the place that it names.
    """
    url = issuer.jwks_url
    if issuer.jwks_token_file is not None:
        transport = _WithToken(transport, _read_token(issuer.jwks_token_file), _origin(url or issuer.asked_at))
    if url is None:
        loopback_http = issuer.insecure_loopback_http
        found = discover(issuer.url, transport, now=now, insecure_loopback_http=loopback_http, asked_at=issuer.asked_at)
        url = found.need("jwks_uri") if "jwks_uri" in found.flaws else found.jwks_uri
    if url is None:
        message = f"The metadata of {printable(issuer.url)} names no keys. Give jwks_url or jwks for this issuer."
        raise InvalidResponse(message, reason="no_jwks_uri")
    return parse_jwks_response(transport.send(build_jwks_url_request(url)), now=now)
