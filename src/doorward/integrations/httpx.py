"""Puts a token source on the calls of an httpx2 or httpx client. Nothing here gets, keeps or judges tokens.

A token goes to the origins it was meant for and to no other: a request elsewhere is sent as it is, without one, and a
redirect to another origin leaves it behind, even where that origin is one of those named.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import httpx2

from doorward.integrations.sending.origins import Origin, origin_of
from doorward.integrations.sending.refusals import Answer
from doorward.integrations.sending.sender import HEADERS, Sender

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Mapping

    from doorward.ports import TokenSource

    _Auth = httpx2.Auth
    _ByteStream = httpx2.ByteStream
else:
    # Each library takes instances of its own Auth alone, so ours is of both. A program may have made the two one.
    _LIBRARIES = dict.fromkeys(import_module(name) for name in ("httpx2", "httpx") if find_spec(name))
    _Auth = type("_Auth", tuple(library.Auth for library in _LIBRARIES), {})
    _ByteStream = tuple(library.ByteStream for library in _LIBRARIES)

__all__ = ["BearerAuth"]


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
        self._sender = Sender(source, origins, insecure_loopback_http=insecure_loopback_http)

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        """Send ``request``, with a token if it goes where tokens may go."""
        origin = _origin(request)
        if not self._sender.may_carry(origin) or "Authorization" in request.headers:
            yield request
            return
        attempt = self._sender.attempt(origin, request.method, str(request.url))
        try:
            headers = attempt.headers()
            while headers is not None:
                response = yield _with_headers(request, headers)
                headers = attempt.headers(_answer(request, response))
        finally:
            _without_token(request)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Do as ``sync_auth_flow`` does, for asyncio."""
        origin = _origin(request)
        if not self._sender.may_carry(origin) or "Authorization" in request.headers:
            yield request
            return
        attempt = self._sender.attempt(origin, request.method, str(request.url))
        try:
            headers = await attempt.aheaders()
            while headers is not None:
                response = yield _with_headers(request, headers)
                headers = await attempt.aheaders(_answer(request, response))
        finally:
            _without_token(request)


def _origin(request: httpx2.Request) -> Origin:
    url = request.url
    return origin_of(url.scheme, url.raw_host.decode("ascii"), url.port)


def _with_headers(request: httpx2.Request, headers: Mapping[str, str]) -> httpx2.Request:
    request.headers.update(headers)
    return request


def _without_token(request: httpx2.Request) -> None:
    """Leave a request as it came, so that it can be sent again, and so that no token stays in what a caller keeps."""
    for name in HEADERS:
        request.headers.pop(name, None)


def _answer(request: httpx2.Request, response: httpx2.Response) -> Answer:
    return Answer(
        refused=response.status_code == httpx2.codes.UNAUTHORIZED and response.request is request,
        repeatable=isinstance(request.stream, _ByteStream),
        challenges=response.headers.get_list("WWW-Authenticate"),
        nonce=response.headers.get("DPoP-Nonce"),
    )
