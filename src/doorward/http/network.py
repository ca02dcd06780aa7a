"""How the clients reach a host: within one deadline, and localhost's names without asking anybody where they are.

httpcore2's own blocking network gives every operation its whole timeout anew, so a server that sends a byte now and
then holds its caller for ever. In ``Network`` one deadline covers a request, name resolution included. The asynchronous
client needs none of that: ``asyncio.timeout`` bounds all it does.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import httpcore2

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from doorward.ports import Clock

__all__ = ["AsyncNetwork", "Deadline", "DeadlinePassed", "Network"]

T = TypeVar("T")

_RECORD_BYTES = 16_384

_LOCALHOST = ("::1", "127.0.0.1")
"""What ``localhost`` is, whatever a resolver says (RFC 6761 section 6.3): plain http to it stays on this machine.

So is every name below it, to which plain http is refused like to any other: its addresses are loopback alone.
"""


class DeadlinePassed(Exception):
    """No time is left. Never leaves this room."""


class Deadline:
    """An instant after which nothing waits any more."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, more than none.

        Raises:
            DeadlinePassed: none are left.
        """
        left = self._at - self._clock.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left

    def renew(self, seconds: float) -> None:
        """Begin anew: ``seconds`` from now."""
        self._at = self._clock.monotonic() + seconds

    def sooner(self, seconds: float | None) -> Deadline:
        """Return a deadline ``seconds`` from now, or one as late as this if that comes first."""
        left = self.remaining()
        return Deadline(self._clock, left if seconds is None else min(left, seconds))


class Network(httpcore2.NetworkBackend):
    """Connects, reads and writes until a deadline. Made for one request, closed after it.

    Closing matters: httpcore2 leaves a connection open when a SOCKS proxy refuses.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._sockets: list[socket.socket] = []

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - part of the interface; our pools give none
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - the same
    ) -> httpcore2.NetworkStream:
        with _connecting(self._deadline):
            until = self._deadline.sooner(timeout)
            self._sockets.append(_connect(_resolve(host, port, until), until))
            return _Stream(self._sockets[-1], self._deadline)


class _Stream(httpcore2.NetworkStream):
    """A socket, plain or TLS, whose every operation ends by the deadline. The given timeouts could only be longer."""

    def __init__(self, sock: socket.socket | _TlsInTls, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline counts
        self._sock.settimeout(self._deadline.remaining())
        return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the deadline counts
        rest = memoryview(buffer)
        while rest:
            self._sock.settimeout(self._deadline.remaining())
            try:
                rest = rest[self._sock.send(rest) :]
            except TimeoutError:
                raise
            except OSError as error:
                # A server may answer and close before it has read everything: httpcore2 looks for that answer.
                raise httpcore2.WriteError(error) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            with _connecting(self._deadline):
                # The timeout of a socket bounds its whole handshake, not each message of it.
                until = self._deadline.sooner(timeout)
                if not isinstance(self._sock, ssl.SSLSocket) and isinstance(self._sock, socket.socket):
                    self._sock.settimeout(until.remaining())
                    secured = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
                    return _Stream(secured, self._deadline)
                return _Stream(_TlsInTls(self._sock, ssl_context, server_hostname, until), self._deadline)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        # httpcore2 asks the TLS object which protocol was agreed on, which the others know too.
        return self._sock if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket | _TlsInTls) else None


class _TlsInTls:
    """TLS through a proxy that is itself spoken to by TLS, which ``wrap_socket`` can't do. Used like a socket."""

    def __init__(
        self, outer: socket.socket | _TlsInTls, context: ssl.SSLContext, hostname: str | None, until: Deadline
    ) -> None:
        self._outer = outer
        self._until = until
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self.selected_alpn_protocol = self._tls.selected_alpn_protocol
        self._done(self._tls.do_handshake)

    def settimeout(self, seconds: float) -> None:
        """Begin anew, for what takes several steps of the socket below."""
        self._until.renew(seconds)

    def recv(self, most: int) -> bytes:
        try:
            return self._done(lambda: self._tls.read(most))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # as an SSLSocket has it
            return b""

    def send(self, data: memoryview) -> int:
        return self._done(lambda: self._tls.write(data))

    def close(self) -> None:
        self._outer.close()

    def _done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._outer.settimeout(self._until.remaining())
                received = self._outer.recv(_RECORD_BYTES)
                self._incoming.write(received) if received else self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        rest = memoryview(self._outgoing.read())
        while rest:
            self._outer.settimeout(self._until.remaining())
            rest = rest[self._outer.send(rest) :]


class AsyncNetwork(httpcore2.AsyncNetworkBackend):
    """httpcore2's network for asyncio, which knows where localhost's names are. Made for one request, closed after it.

    Closing matters: httpcore2 leaves a connection open when its task is cancelled during the TLS handshake.
    """

    def __init__(self) -> None:
        self._network = httpcore2.AnyIOBackend()
        self._streams: list[httpcore2.AsyncNetworkStream] = []

    async def aclose(self) -> None:
        for stream in self._streams:
            await stream.aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        *others, last = _LOCALHOST if _is_localhost(host) else (host,)
        for other in others:
            with suppress(httpcore2.ConnectError):
                return await self._open(other, port, timeout, local_address, socket_options)
        return await self._open(last, port, timeout, local_address, socket_options)

    async def _open(self, *arguments: Any) -> httpcore2.AsyncNetworkStream:
        stream = await self._network.connect_tcp(*arguments)
        self._streams.append(stream)
        return stream


@contextmanager
def _connecting(deadline: Deadline) -> Generator[None]:
    """Tell a connection that took too long from a request that did."""
    try:
        yield
    except (TimeoutError, DeadlinePassed):
        deadline.remaining()
        raise httpcore2.ConnectTimeout from None


_Found = list[tuple[Any, ...]]


def _resolve(host: str, port: int, until: Deadline) -> _Found:
    """Look a name up, in a thread: ``getaddrinfo`` knows no timeout, and while it waits it ignores Ctrl-C.

    A thread that nobody waits for any more ends when the system's resolver gives up.
    """
    if _is_localhost(host):
        return [address for literal in _LOCALHOST for address in _look_up(literal, port)]
    if _is_address(host):
        return _look_up(host, port)
    answers: queue.SimpleQueue[_Found | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(_look_up(host, port))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            answers.put(error)

    threading.Thread(target=look_up, name="doorward-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=until.remaining())
    except queue.Empty:
        raise DeadlinePassed from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _look_up(host: str, port: int) -> _Found:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connect(found: _Found, until: Deadline) -> socket.socket:
    """Connect to the first address that answers. Each gets its share of the time, so that a dead one can't take all."""
    failure = OSError()
    for index, (family, kind, protocol, _, address) in enumerate(found):
        try:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(until.remaining() / (len(found) - index))
                sock.connect(address)
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            failure = error
        else:
            return sock
    raise failure
