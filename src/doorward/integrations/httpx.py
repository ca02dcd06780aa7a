"""Puts a token source on the calls of an httpx2 or httpx client. Nothing here gets, keeps or judges tokens.

A token goes to the origins it was meant for and to no other: a request elsewhere is sent as it is, without one, and a
redirect to another origin leaves it behind, even where that origin is one of those named.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.ports import TokenSource
from doorward.protocol.bearer import build_authorization_header
from doorward.protocol.reading.urls import FLAWS, url_flaw

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable

    _Auth = httpx2.Auth
    _ByteStream = httpx2.ByteStream
else:
    # Each library takes instances of its own Auth alone, so ours is of both. A program may have made the two one.
    _LIBRARIES = dict.fromkeys(import_module(name) for name in ("httpx2", "httpx") if find_spec(name))
    _Auth = type("_Auth", tuple(library.Auth for library in _LIBRARIES), {})
    _ByteStream = tuple(library.ByteStream for library in _LIBRARIES)

__all__ = ["BearerAuth"]

_Origin = tuple[str, str, int]  # scheme, host in lower case and ASCII, port


class BearerAuth(_Auth):
    """Authentication for ``httpx2.Client``, ``httpx2.AsyncClient`` and, where httpx is installed, its two clients.

    A request that has an Authorization header already keeps it: whoever set it meant it. After a 401 the source is
    asked for another token and the request is sent once more. A body that was streamed is gone, so then the 401 is the
    answer, and so it is after a redirect, when the request may have done its work already.

    Args:
        source: where tokens come from, such as a ``Session`` or ``ClientCredentials``.
        origins: whom they are meant for, as ``https://host`` or ``https://host:port``. Nothing is matched but these.
        insecure_loopback_http: allow http origins on 127.0.0.0/8, ``[::1]`` and ``localhost``, for tests and
            development. Not on port 80, for both libraries carry a token on from there to https on port 443.

    Raises:
        ConfigurationError: field ``source`` or ``origins``.
    """

    def __init__(self, source: TokenSource, *, origins: Iterable[str], insecure_loopback_http: bool = False) -> None:
        unchecked: object = source
        if not isinstance(unchecked, TokenSource):
            message = "The source of tokens must have token(), atoken(), renew() and arenew(), as a Session does."
            raise ConfigurationError(message, field="source", reason="not_a_token_source")
        self._source = source
        given = [origins] if isinstance(origins, str) else origins
        self._origins = frozenset(_parse_origin(origin, loopback_http=insecure_loopback_http) for origin in given)
        if not self._origins:
            message = "No origin may get the token. Name those it is meant for, such as https://api.example.org."
            raise ConfigurationError(message, field="origins", reason="no_origins")

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        """Send ``request``, with a token if it goes where tokens may go."""
        if not self._may_carry(request):
            yield request
            return
        try:
            token = Secret(self._source.token())
            response = yield _with_token(request, token)
            if _may_repeat(request, response):
                renewed = Secret(self._source.renew(token.reveal()))
                if renewed != token:
                    yield _with_token(request, renewed)
        finally:
            _without_token(request)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Do as ``sync_auth_flow`` does, for asyncio."""
        if not self._may_carry(request):
            yield request
            return
        try:
            token = Secret(await self._source.atoken())
            response = yield _with_token(request, token)
            if _may_repeat(request, response):
                renewed = Secret(await self._source.arenew(token.reveal()))
                if renewed != token:
                    yield _with_token(request, renewed)
        finally:
            _without_token(request)

    def _may_carry(self, request: httpx2.Request) -> bool:
        url = request.url
        origin = (url.scheme, url.raw_host.decode("ascii").lower(), url.port or _default_port(url.scheme))
        return origin in self._origins and "Authorization" not in request.headers


def _parse_origin(origin: str, *, loopback_http: bool) -> _Origin:
    if flaw := url_flaw(origin, loopback_http=loopback_http):
        why = FLAWS[flaw]
    else:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port or _default_port(parts.scheme)
        if "*" in host:
            flaw, why = "wildcard", "has a wildcard, which could match somebody else's host"
        elif parts.path not in {"", "/"}:
            flaw, why = "has_path", "has a path, which is not part of an origin"
        elif (parts.scheme, port) == ("http", 80):
            flaw, why = "http_port_80", "is http on port 80, from where httpx carries a token on to port 443"
        else:
            return parts.scheme, host, port
    message = (
        f"An origin for tokens {why}. Write each as https://host or https://host:port. For development on this "
        "computer, allow http with insecure_loopback_http=True."
    )
    raise ConfigurationError(message, field="origins", reason=flaw)


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _with_token(request: httpx2.Request, token: Secret) -> httpx2.Request:
    request.headers["Authorization"] = build_authorization_header(token)
    return request


def _without_token(request: httpx2.Request) -> None:
    """Leave a request as it came, so that it can be sent again, and so that no token stays in what a caller keeps."""
    request.headers.pop("Authorization", None)


def _may_repeat(request: httpx2.Request, response: httpx2.Response) -> bool:
    """Tell whether the request itself was refused, not what a redirect made of it, and its body can be sent again."""
    refused = response.status_code == httpx2.codes.UNAUTHORIZED and response.request is request
    return refused and isinstance(request.stream, _ByteStream)
