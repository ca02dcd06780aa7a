"""TCP and TLS for the blocking client, each step cut to what is left of one deadline; and the check of plain http.

httpcore2's own blocking network gives every operation its whole timeout anew, so a server that sends a byte now and
then holds its caller for ever. Here one deadline covers a request, name resolution included. The asynchronous client needs
none of this: ``asyncio.timeout`` bounds all it does.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore2

from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterable

    from doorward.ports import Clock

__all__ = ["AsyncNetwork", "Deadline", "DeadlinePassed", "Network"]

_Found = list[tuple[Any, ...]]


class DeadlinePassed(Exception):
    """No time is left. Never leaves the room."""


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

    def sooner(self, seconds: float | None) -> Deadline:
        """Return a deadline ``seconds`` from now, or this one if it comes first."""
        left = self.remaining()
        return Deadline(self._clock, left if seconds is None else min(left, seconds))


class Network(httpcore2.NetworkBackend):
    """Connects, reads and writes until a deadline. Made for one request."""

    def __init__(self, deadline: Deadline, *, loopback_only: bool) -> None:
        self._deadline = deadline
        self._loopback_only = loopback_only

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
            sock = _connect(_resolve(host, port, until), until)
        try:
            if self._loopback_only:
                _check_loopback(sock.getpeername())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return _Stream(sock, self._deadline)


class _Stream(httpcore2.NetworkStream):
    """A socket, plain or TLS, whose every operation ends by the deadline. The given timeouts could only be longer."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline is shorter
        self._sock.settimeout(self._deadline.remaining())
        return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the deadline is shorter
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
                self._sock.settimeout(self._deadline.sooner(timeout).remaining())
                # The socket's timeout bounds the whole handshake, not each of its messages.
                return _Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname), self._deadline)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        # httpcore2 asks the TLS object which protocol was agreed on. The SSLSocket itself can answer that.
        return self._sock if info == "ssl_object" and hasattr(self._sock, "selected_alpn_protocol") else None


class AsyncNetwork(httpcore2.AsyncNetworkBackend):
    """httpcore2's network for asyncio, with the loopback check of plain http added."""

    def __init__(self, *, loopback_only: bool) -> None:
        self._network = httpcore2.AnyIOBackend()
        self._loopback_only = loopback_only

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        if self._loopback_only:
            try:
                _check_loopback(stream.get_extra_info("server_addr"))
            except BaseException:
                await stream.aclose()
                raise
        return stream


@contextmanager
def _connecting(deadline: Deadline) -> Generator[None]:
    """Tell a connection that took too long from a request that did."""
    try:
        yield
    except (TimeoutError, DeadlinePassed):
        deadline.remaining()
        raise httpcore2.ConnectTimeout from None


def _resolve(host: str, port: int, until: Deadline) -> _Found:
    """Look a name up in a thread, for ``getaddrinfo`` knows no timeout and ignores Ctrl-C while it waits.

    A thread whose answer nobody waits for any more ends when the system's resolver gives up.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    answers: queue.SimpleQueue[_Found | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
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


def _connect(found: _Found, until: Deadline) -> socket.socket:
    """Connect to the first address that answers. Each gets its share of the time, so that a dead one can't take all."""
    failure: OSError = OSError()
    for index, (family, kind, protocol, _, address) in enumerate(found):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(until.remaining() / (len(found) - index))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _check_loopback(address: tuple[Any, ...]) -> None:
    """Refuse plain http to a ``localhost`` that the system's resolver sends elsewhere."""
    if not ipaddress.ip_address(address[0]).is_loopback:
        message = "localhost leads to another machine here, and plain http must not leave this one. Use 127.0.0.1."
        raise ConfigurationError(message, field="url", reason="not_loopback")
