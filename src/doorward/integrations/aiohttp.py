"""Puts a token source on the calls of an aiohttp client. Nothing here gets, keeps or judges tokens.

A token goes to the origins it was meant for and to no other, and a redirect to another origin leaves it behind, even
where that origin is one of those named. aiohttp asks its middlewares anew for each address of a chain of redirects, and
does not tell them that it is one. So each answer that redirects is remembered, for the next request of that task.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary, ref

from aiohttp.payload import Payload
from yarl import URL

from doorward.integrations.sending.origins import origin_of
from doorward.integrations.sending.refusals import Answer
from doorward.integrations.sending.sender import HEADERS, Sender

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession

    from doorward.integrations.sending.origins import Origin
    from doorward.ports import TokenSource

__all__ = ["BearerAuth"]

_REFUSED = 401
_REDIRECTS = {301, 302, 303, 307, 308}


class BearerAuth:
    """A middleware for aiohttp's client: ``ClientSession(middlewares=[BearerAuth(...)])``.

    A request that has an Authorization header already keeps it: whoever set it meant it. After a 401 the source is
    asked for another token and the request is sent once more. A body that was streamed is gone, so then the 401 is the
    answer, and so it is after a redirect, when the request may have done its work already.

    Args:
        source: where tokens come from, such as a ``Session`` or ``ClientCredentials``.
        origins: whom they are meant for, as ``https://host`` or ``https://host:port``. Nothing is matched but these.
        insecure_loopback_http: allow http origins on 127.0.0.0/8, ``[::1]`` and ``localhost``, for tests and
            development. Not on port 80.

    Raises:
        ConfigurationError: field ``source`` or ``origins``.
    """

    def __init__(self, source: TokenSource, *, origins: Iterable[str], insecure_loopback_http: bool = False) -> None:
        self._sender = Sender(source, origins, insecure_loopback_http=insecure_loopback_http)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send ``request``, with a token if it goes where tokens may go."""
        came_by = _came_by(request)
        may_carry = self._sender.may_carry(_origin(request.url)) and "Authorization" not in request.headers
        if may_carry and not (came_by and came_by.crossed):
            response = await self._send(request, handler, redirected=came_by is not None)
        else:
            response = await handler(request)
        _LAST.set(_redirect(request, response, came_by))
        return response

    async def _send(self, request: ClientRequest, handler: ClientHandlerType, *, redirected: bool) -> ClientResponse:
        attempt = self._sender.attempt(_origin(request.url), request.method, str(request.url))
        response = await _sent(request, handler, await attempt.aheaders())
        try:
            while headers := await attempt.aheaders(_answer(request, response, redirected=redirected)):
                response.release()
                response = await _sent(request, handler, headers)
        except BaseException:
            response.close()
            raise
        return response


class _Redirect(NamedTuple):
    """An answer that sends its task's next request on. ``crossed``: somewhere on the way, to another origin."""

    session: ref[ClientSession]
    origin: Origin
    crossed: bool


_LAST: ContextVar[_Redirect | None] = ContextVar("_LAST", default=None)  # stays after an error: aiohttp tries again
_CAME_BY: WeakKeyDictionary[ClientRequest, _Redirect | None] = WeakKeyDictionary()  # for who sends a request twice


def _came_by(request: ClientRequest) -> _Redirect | None:
    """Return the redirect that a request came by, if it did: it is the next of its task, and goes to that origin."""
    if request not in _CAME_BY:
        last = _LAST.get()
        is_next = last and last.session() is request.session and last.origin == _origin(request.url)
        _CAME_BY[request] = last if is_next else None
    return _CAME_BY[request]


def _redirect(request: ClientRequest, response: ClientResponse, came_by: _Redirect | None) -> _Redirect | None:
    location = response.headers.get("Location") or response.headers.get("URI")
    if response.status not in _REDIRECTS or not location:
        return None
    try:
        target = _origin(request.url.join(URL(location)))
    except ValueError:  # aiohttp goes nowhere
        return None
    crossed = target != _origin(request.url) or (came_by is not None and came_by.crossed)
    return _Redirect(ref(request.session), target, crossed)


def _origin(url: URL) -> Origin:
    return origin_of(url.scheme, url.raw_host or "", url.port)


async def _sent(
    request: ClientRequest, handler: ClientHandlerType, headers: Mapping[str, str] | None
) -> ClientResponse:
    request.headers.update(headers or {})
    try:
        return await handler(request)
    finally:
        for name in HEADERS:  # aiohttp shows the headers of a request in the errors that tell of its answer
            request.headers.popall(name, None)


def _answer(request: ClientRequest, response: ClientResponse, *, redirected: bool) -> Answer:
    body = request.body
    return Answer(
        refused=response.status == _REFUSED and not redirected,
        repeatable=not (isinstance(body, Payload) and body.consumed),
        challenges=response.headers.getall("WWW-Authenticate", []),
        nonce=response.headers.get("DPoP-Nonce"),
    )
