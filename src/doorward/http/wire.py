"""One request out and its response in, on httpcore2: whole, blocking and asynchronous, or as it comes, blocking.

Every request has a connection of its own, and httpx2's client is left out for what it brings (decision 8): redirects,
cookies, netrc, decompression, URLs in the log.

What fails is returned, not raised: the client raises it, so that its traceback has no frame that holds headers or body.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import ExitStack, aclosing, closing
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpcore2

from doorward.errors import ConfigurationError, DoorwardError, InvalidResponse, TransportError, printable
from doorward.http.coding import BrokenCodingError, coding_of, decoder_for
from doorward.http.faults import EXPECTED, explain
from doorward.http.network import AsyncNetwork, Deadline, Network
from doorward.http.target import Proxy, Target, check_target, choose_proxy
from doorward.model import HttpResponse
from doorward.system import SystemClock

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from doorward.http.settings import ClientSettings
    from doorward.model import HttpRequest

__all__ = ["StreamedResponse", "exchange", "exchange_async", "open_stream"]

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEADER_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?")  # ASCII on one line, no blank at either end
_WITH_BODY = ("POST", "PUT", "PATCH")  # where none is sent, they say so (RFC 9110 section 8.6)
_USER_AGENT = f"doorward/{version('doorward')}"

# For debugging, httpcore2 logs the headers of answers: cookies, and addresses with assertions in them. Of what
# is no answer it quotes the line that it can't read.
_TELLING = re.compile(r"receive_response_headers\.complete|\w+\.failed")
logging.getLogger("httpcore2.http11").addFilter(lambda record: not _TELLING.match(record.getMessage()))


def exchange(
    request: HttpRequest, settings: ClientSettings, *, timeout_s: float | None = None
) -> HttpResponse | DoorwardError:
    """Send ``request``, blocking. Every failure of settings, network or server is returned."""
    call = _plan(request, settings)
    if isinstance(call, DoorwardError):
        return call
    deadline = Deadline(SystemClock(), settings.total_timeout_s if timeout_s is None else timeout_s)
    try:
        with (
            closing(Network(deadline)) as network,
            httpcore2.ConnectionPool(call.trust, call.tunnel(), network_backend=network) as pool,
            pool.stream(**call.arguments()) as response,
        ):
            answer = _Answer(call, response)
            if answer.failure is None:
                for chunk in response.iter_stream():
                    if not answer.take(chunk):
                        break
            return answer.outcome()
    except EXPECTED as error:
        return explain(error, where=call.where, proxy=call.proxy)


async def exchange_async(request: HttpRequest, settings: ClientSettings) -> HttpResponse | DoorwardError:
    """Send ``request`` like ``exchange``, for asyncio."""
    call = _plan(request, settings)
    if isinstance(call, DoorwardError):
        return call
    try:
        async with (
            aclosing(AsyncNetwork()) as network,
            asyncio.timeout(settings.total_timeout_s),
            httpcore2.AsyncConnectionPool(call.trust, call.tunnel(), network_backend=network) as pool,
            pool.stream(**call.arguments()) as response,
            aclosing(response.aiter_stream()) as body,
        ):
            answer = _Answer(call, response)
            if answer.failure is None:
                async for chunk in body:
                    if not answer.take(chunk):
                        break
            return answer.outcome()
    except EXPECTED as error:
        return explain(error, where=call.where, proxy=call.proxy)


def open_stream(
    request: HttpRequest, settings: ClientSettings, *, idle_timeout_s: float, user_agent: str | None
) -> StreamedResponse | DoorwardError:
    """Send ``request`` and return the response once its head is there. Whoever gets one closes it."""
    call = _plan(request, settings, user_agent)
    if isinstance(call, DoorwardError):
        return call
    deadline = Deadline(SystemClock(), settings.total_timeout_s)
    try:
        with ExitStack() as opened:
            network = opened.enter_context(closing(Network(deadline)))
            pool = opened.enter_context(httpcore2.ConnectionPool(call.trust, call.tunnel(), network_backend=network))
            response = opened.enter_context(pool.stream(**call.arguments()))
            return StreamedResponse(call, response, deadline, idle_timeout_s, opened.pop_all())
    except EXPECTED as error:
        return explain(error, where=call.where, proxy=call.proxy)


class StreamedResponse:
    """A response whose body is still to come. Header names are lower case; nothing of it shows in a ``repr``."""

    def __init__(
        self,
        call: _Call,
        response: httpcore2.Response,
        deadline: Deadline,
        idle_timeout_s: float,
        opened: ExitStack,
    ) -> None:
        self._call = call
        self._response = response
        self._deadline = deadline
        self._idle_timeout_s = idle_timeout_s
        self._opened = opened
        self.status = response.status
        self.headers = _join_headers(response.headers)
        self.set_cookies = tuple(
            value.decode("latin-1") for name, value in response.headers if name.lower() == b"set-cookie"
        )
        """Each ``Set-Cookie`` by itself: joined, they can't be told apart (RFC 6265 section 3)."""

    def __repr__(self) -> str:
        return f"StreamedResponse(status={self.status})"

    @property
    def is_coded(self) -> bool:
        """Whether the body came in a coding: lengths, ranges and tags of the headers are of that, not of the parts."""
        return bool(coding_of(self.headers.get("content-encoding")))

    def chunks(self) -> Iterator[bytes]:
        """Give the body in parts of some 64 KiB, its coding undone. Some may be empty.

        Ask once, and only within the context of ``HttpClient.stream``.

        Raises:
            TransportError: the body ends early, or nothing of it came for ``idle_timeout_s`` (``timeout_idle``).
            InvalidResponse: ``response_too_large`` or ``response_encoded``.
        """
        incoming = _Incoming(self._call, self.headers)
        body = self._response.iter_stream()
        while incoming.failure is None:
            self._deadline.renew(self._idle_timeout_s)
            try:
                chunk = next(body, None)
            except EXPECTED as error:
                incoming.failure = self._explain(error)
                break
            if chunk is not None:
                yield from incoming.take(chunk)
            elif incoming.ends_whole():
                return
        raise incoming.failure

    def close(self) -> None:
        """Close the connection, whatever is still to come."""
        self._opened.close()

    def _explain(self, error: Exception) -> TransportError:
        explained = explain(error, where=self._call.where, proxy=self._call.proxy)
        if explained.reason != "timeout_total":
            return explained
        message = f"{self._call.where} sent nothing more for {self._idle_timeout_s:g} s. Try again later."
        return TransportError(message[0].upper() + message[1:], reason="timeout_idle")


@dataclass(frozen=True, slots=True)
class _Call:
    """A request with all that was decided about it before anything is sent."""

    request: HttpRequest
    target: Target
    proxy: Proxy | None
    trust: ssl.SSLContext
    connect_timeout_s: float
    user_agent: str

    @property
    def where(self) -> str:
        return f"{self.request.purpose} at {self.target.authority}"

    def tunnel(self) -> httpcore2.Proxy | None:
        if self.proxy is None:
            return None
        credentials = None
        if self.proxy.username is not None:
            credentials = (self.proxy.username.encode(), self.proxy.password.reveal().encode())
        url = httpcore2.URL(scheme=self.proxy.scheme, host=self.proxy.host, port=self.proxy.port, target="/")
        return httpcore2.Proxy(url, credentials, ssl_context=self.trust if self.proxy.scheme == "https" else None)

    def arguments(self) -> dict[str, Any]:
        """Return what httpcore2 is told to send. The headers of transport are ours, whatever the request says."""
        target, body = self.target, self.request.body
        return {
            "method": self.request.method,
            "url": httpcore2.URL(
                scheme=target.scheme, host=target.host, port=target.port, target=target.path_and_query
            ),
            "headers": {
                **{name.lower(): value for name, value in self.request.headers.items()},
                "host": target.authority,
                "user-agent": self.user_agent,
                "accept-encoding": "identity",
                "connection": "close",
            },
            "content": b"" if body is None and self.request.method in _WITH_BODY else body,
            "extensions": {"timeout": {"connect": self.connect_timeout_s}},
        }


def _plan(request: HttpRequest, settings: ClientSettings, user_agent: str | None = None) -> _Call | ConfigurationError:
    presented = user_agent or _USER_AGENT
    try:
        _check_headers(request.purpose, {**request.headers, "User-Agent": presented})
        target = check_target(
            request,
            insecure_loopback_http=settings.insecure_loopback_http,
            insecure_http_url=settings.insecure_http_url,
        )
        proxy = choose_proxy(target, os.environ)
        if proxy is not None and proxy.scheme.startswith("socks") and find_spec("socksio") is None:
            message = f"{proxy.variable} names a SOCKS proxy, which needs: pip install 'doorward[socks]'."
            raise ConfigurationError(message, field=proxy.variable, reason="socks_missing")  # noqa: TRY301 - returned below
        return _Call(request, target, proxy, settings.trust, settings.connect_timeout_s, presented)
    except ConfigurationError as error:
        return error.with_traceback(None)


def _check_headers(purpose: str, headers: Mapping[str, str]) -> None:
    """Refuse what could break out of a header. The header is named, its value is not."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            message = (
                f"The header {printable(name)} for {purpose} holds characters that HTTP does not allow. Check "
                "the client id, secret or token that it is made of."
            )
            raise ConfigurationError(message, field="headers", reason="header_malformed")


class _Answer:
    """A response as it comes in, gathered until it is whole or refused."""

    def __init__(self, call: _Call, response: httpcore2.Response) -> None:
        self._status = response.status
        self._headers = _join_headers(response.headers)
        self._body = bytearray()
        self._incoming = _Incoming(call, self._headers)

    @property
    def failure(self) -> DoorwardError | None:
        return self._incoming.failure

    def take(self, chunk: bytes) -> bool:
        """Add a part of the body. False when no more of it is wanted."""
        for piece in self._incoming.take(chunk):
            self._body += piece
        return self.failure is None

    def outcome(self) -> HttpResponse | DoorwardError:
        if self.failure is None:
            self._incoming.ends_whole()
        return self.failure or HttpResponse(self._status, self._headers, bytes(self._body))


class _Incoming:
    """A body as it comes in: its coding undone, and held to its limit before and after (decision 8)."""

    def __init__(self, call: _Call, headers: Mapping[str, str]) -> None:
        self.call = call
        self.failure: DoorwardError | None = None
        coding = coding_of(headers.get("content-encoding"))
        self._decoder = decoder_for(coding)
        self._room = self._coded_room = call.request.max_response_bytes
        length = headers.get("content-length", "0")
        if self._decoder is None:
            message = (
                f"The answer from {call.where} is compressed as {printable(coding)[:40]}, which was not asked for and "
                "can't be read here. Report it to whoever runs it."
            )
            self.failure = InvalidResponse(message, reason="response_encoded")
        elif length.isdecimal() and int(length) > self._room:
            self.failure = _too_large(call)

    def take(self, chunk: bytes) -> Iterator[bytes]:
        """Give what a part becomes, an empty one at least, until ``failure`` says why there is no more."""
        if self._decoder is None:
            return
        self._coded_room -= len(chunk)
        if self._coded_room < 0:  # also of what becomes nothing, for ever
            self.failure = _too_large(self.call)
            return
        try:
            for piece in self._decoder.decode(chunk):
                self._room -= len(piece)
                if self._room < 0:
                    self.failure = _too_large(self.call)
                    return
                yield piece
        except BrokenCodingError:
            message = f"The answer from {self.call.where} is not compressed as it says. Report it to whoever runs it."
            self.failure = InvalidResponse(message, reason="response_encoded")

    def ends_whole(self) -> bool:
        """Say whether the body may end here. Else ``failure`` says why not."""
        if self._decoder is not None and not self._decoder.is_whole:
            message = f"No answer from {self.call.where}: the answer stops short of its end. Try again."
            self.failure = TransportError(message, reason="truncated")
        return self.failure is None


def _too_large(call: _Call) -> InvalidResponse:
    limit = call.request.max_response_bytes
    message = f"The answer from {call.where} is larger than {limit} bytes. Check that the address is right."
    return InvalidResponse(message, reason="response_too_large")


def _join_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by lower-case name, the values of repeated ones joined as RFC 9110 section 5.3 says."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
