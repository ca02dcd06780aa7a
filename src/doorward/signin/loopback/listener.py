"""The callback listener: takes the browser's redirect on a loopback address, and nothing else (RFC 8252 section 7.3).

No thread, no asyncio, no call that waits: one selector over non-blocking sockets. ``poll()`` does what can be done now
and returns, so a sign-in calls it between pauses, and the same text serves sync and async. What a callback means is
none of this module's business: ``protocol.authorization`` checks ``state`` and the flow says how to answer.
"""

from __future__ import annotations

import hmac
import re
import selectors
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, final

from doorward.errors import ConfigurationError
from doorward.signin.loopback.http import MAX_HEAD_BYTES, build_response, build_short_response, parse_head
from doorward.signin.loopback.pages import ANY_PROGRAM, build_page
from doorward.signin.loopback.sockets import ADDRESSES, listen, unavailable, whose_end

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from doorward.ports import Clock, Entropy
    from doorward.signin.loopback.http import RequestHead
    from doorward.signin.loopback.pages import Outcome
    from doorward.signin.loopback.sockets import Host

__all__ = ["Callback", "CallbackListener"]

_LOWEST_PORT, _HIGHEST_PORT = 1024, 65535

_MAX_CONNECTIONS = 32
_ACCEPTS_PER_ROUND = 16
_ROUNDS_PER_POLL = 64
_CONNECTION_DEADLINE_S = 5.0
_LINGER_S = 1.0
_CHUNK_BYTES = 65536

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_URL = re.compile(r"https?://[!-~]+")


@final
@dataclass(frozen=True, slots=True)
class Callback:
    """One request to the redirect URI. The browser waits for its answer: give it one, once, before the next ``poll()``.

    ``query`` is the raw query string as it came: printable ASCII, percent-encoded, not yet checked, holding a code.
    An answer after the first, or after the browser has gone, does nothing.
    """

    query: str = field(repr=False)
    _answer: Callable[[Outcome], None] = field(repr=False)

    def succeed(self) -> None:
        """Say that the person is signed in: only once the tokens are verified and kept."""
        self._answer("success")

    def deny(self) -> None:
        """Say that the sign-in was cancelled, as asked."""
        self._answer("denied")

    def fail(self) -> None:
        """Say that the sign-in did not work; the program says why."""
        self._answer("failed")

    def reject(self) -> None:
        """Answer 400: this request does not belong to the sign-in, which goes on waiting for the one that does."""
        self._answer("rejected")


class _Stage(Enum):
    READING = auto()
    HANDED_OUT = auto()
    WRITING = auto()
    LINGERING = auto()


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    deadline_at: float
    stage: _Stage = _Stage.READING
    inbox: bytearray = field(default_factory=bytearray)
    outbox: bytes = b""


@final
class CallbackListener:
    """Holds a loopback port for one sign-in. A context manager; one thread or task at a time uses it.

    ``redirect_uri`` is what the provider sends the browser back to. ``start_url`` is what the browser is opened with:
    a link that redirects to the authorization URL, because a process's arguments show to every user of the machine, and
    the authorization URL holds ``state``. It is our own user's; where nobody tells whose a connection is, it works
    once. ``start_url_used`` is True once a browser followed it. ``start_url_reused`` is True when it was used again
    where nobody tells: the first use may not have been the person's own, so the sign-in had better stop (decision 3).
    """

    def __init__(  # noqa: PLR0913 - settings, all by keyword and most with a default
        self,
        *,
        clock: Clock,
        entropy: Entropy,
        path: str = "/callback",
        host: Host = "127.0.0.1",
        ports: Sequence[int] = (),
        program: str = ANY_PROGRAM,
    ) -> None:
        """Check the settings; nothing is opened yet.

        Args:
            clock: For the deadlines of connections.
            entropy: For the start link.
            path: Path of the redirect URI.
            host: Host of the redirect URI. With ``localhost`` both loopback addresses are held on the same port.
            ports: The first free one of these is taken; without any, one that the system chooses.
            program: Where the pages tell the person to go back to, as it reads in a sentence.

        Raises:
            ConfigurationError: A setting can't be used; ``field`` names it.
        """
        if host not in ADDRESSES:
            message = "The callback host must be 127.0.0.1, ::1 or localhost: other addresses can be reached by others."
            raise ConfigurationError(message, field="host", reason="host_not_loopback")
        if not _PATH.fullmatch(path):
            message = "The callback path must begin with / and hold only letters, digits and . _ ~ / -"
            raise ConfigurationError(message, field="path", reason="path_invalid")
        if not all(_LOWEST_PORT <= port <= _HIGHEST_PORT for port in ports):
            message = f"ports must lie between {_LOWEST_PORT} and {_HIGHEST_PORT}."
            raise ConfigurationError(message, field="ports", reason="port_out_of_range")
        self._clock = clock
        self._entropy = entropy
        self._path = path
        self._host: Host = host
        self._ports = tuple(ports)
        self._program = program
        self._selector: selectors.BaseSelector | None = None
        self._listening: tuple[socket.socket, ...] = ()
        self._connections: dict[_Connection, None] = {}  # oldest first
        self._handed_out: _Connection | None = None
        self._authority = ""
        self._start_path = ""
        self.start_url_used = False
        self._authorization_url: str | None = None
        self.start_url_reused = False

    def open(self) -> None:
        """Bind and listen.

        Raises:
            ConfigurationError: None of ``ports`` is free.
            UnavailableError: The system gives no loopback port at all.
        """
        if self._selector is not None:
            return
        with ExitStack() as undo:
            listening = listen(self._host, self._ports)
            for listener in listening:
                undo.enter_context(listener)
            try:
                selector = undo.enter_context(selectors.DefaultSelector())
            except OSError as error:
                raise unavailable(self._host) from error
            for listener in listening:
                selector.register(listener, selectors.EVENT_READ)
            port = listening[0].getsockname()[1]
            self._authority = f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"
            self._start_path = "/" + self._entropy.token_urlsafe(32)
            self._selector, self._listening = selector, listening
            undo.pop_all()

    def close(self) -> None:
        """Give the port and everything else back, now. A callback that was not answered is answered as failed."""
        selector, self._selector = self._selector, None
        if selector is None:
            return
        with ExitStack() as closing:  # so that an interrupt in the middle closes the rest
            closing.enter_context(selector)
            for each in (*self._listening, *(connection.socket for connection in self._connections)):
                closing.enter_context(each)
            for connection in self._connections:
                if connection is self._handed_out:
                    connection.outbox = self._page("failed")
                _send_last(connection)
        self._listening, self._handed_out = (), None
        self._connections.clear()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def redirect_uri(self) -> str:
        """The redirect URI to give to the provider, such as ``http://127.0.0.1:49152/callback``."""
        return self._url(self._path)

    @property
    def start_url(self) -> str:
        """The link to open the browser with. It works after ``set_authorization_url``."""
        return self._url(self._start_path)

    def set_authorization_url(self, url: str) -> None:
        """Set where ``start_url`` redirects to: an absolute http or https URL."""
        if not _URL.fullmatch(url):
            message = "The authorization URL must be an absolute http or https URL in printable ASCII."
            raise ConfigurationError(message, field="authorization_url", reason="url_invalid")
        self._authorization_url = url

    def poll(self) -> Callback | None:
        """Serve what is ready, without waiting, and return the next callback if there is one.

        Call it again at once after answering a callback, and every 50 ms or so when there was none.
        """
        if self._selector is None:
            return None
        if self._handed_out is not None:
            self._answer(self._handed_out, self._page("rejected"))
        callback = self._serve(self._selector)
        now = self._clock.monotonic()
        for connection in tuple(self._connections):
            if connection.deadline_at <= now and connection is not self._handed_out:
                self._drop(connection)
        return callback

    def _serve(self, selector: selectors.BaseSelector) -> Callback | None:
        for _ in range(_ROUNDS_PER_POLL):
            ready = [key for key, _ in selector.select(0)]
            if not ready:
                return None
            # Connections first: one that has sent something is then never taken for idle by accepting another.
            for key in sorted(ready, key=lambda key: key.data is None):
                if key.data is None:
                    self._accept(key.fileobj)  # type: ignore[arg-type] # only sockets are registered
                elif callback := self._advance(key.data):
                    return callback
        return None

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_ROUND):
            try:
                accepted, _address = listener.accept()
            except OSError:  # no more of them, gone again, or out of descriptors
                return
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._drop(next(iter(self._connections)))
            accepted.settimeout(0)
            connection = _Connection(accepted, self._clock.monotonic() + _CONNECTION_DEADLINE_S)
            self._connections[connection] = None
            self._watch(connection, selectors.EVENT_READ)

    def _advance(self, connection: _Connection) -> Callback | None:
        if connection.stage is _Stage.WRITING:
            self._flush(connection)
            return None
        try:
            received = connection.socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            received = b""
        if not received:
            self._drop(connection)
        elif connection.stage is _Stage.READING:
            connection.inbox += received
            end = connection.inbox.find(b"\r\n\r\n")
            if end > MAX_HEAD_BYTES or (end < 0 and len(connection.inbox) > MAX_HEAD_BYTES):
                self._answer(connection, build_short_response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
            elif end >= 0:
                return self._respond(connection, parse_head(bytes(connection.inbox[:end])))
        return None

    def _respond(self, connection: _Connection, request: RequestHead | None) -> Callback | None:
        """Answer a request, or hand it out if it is a callback. Another Host is a name somebody pointed here."""
        if request is None or request.hosts != (self._authority,):
            response = build_short_response(HTTPStatus.BAD_REQUEST)
        elif request.method == "HEAD":
            response = build_response(HTTPStatus.NO_CONTENT)
        elif request.method != "GET":
            response = build_short_response(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET, HEAD")
        elif self._authorization_url and hmac.compare_digest(request.target, self._start_path):
            if request.ahead:  # what is fetched ahead may never be seen, and would use the link up
                response = build_short_response(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                response = self._lead_on(connection, self._authorization_url)
        else:
            path, _, query = request.target.partition("?")
            if path == self._path and query:
                return self._hand_out(connection, query)
            response = self._page("rejected") if path == self._path else build_short_response(HTTPStatus.NOT_FOUND)
        self._answer(connection, response)
        return None

    def _lead_on(self, connection: _Connection, authorization_url: str) -> bytes:
        """Redirect our own user as often as they ask: a tab is opened anew, or in another container of the browser.

        Another user, who has seen the link in our browser's arguments, gets nothing and spoils nothing. Where nobody
        tells whose a connection is, the link works once.
        """
        whose = whose_end(connection.socket)
        if whose == "others":
            return self._page("rejected")
        if whose == "untold" and self.start_url_used:
            self.start_url_reused = True
            return self._page("link_used")
        self.start_url_used = True
        return build_response(HTTPStatus.SEE_OTHER, Location=authorization_url)

    def _hand_out(self, connection: _Connection, query: str) -> Callback:
        connection.stage = _Stage.HANDED_OUT
        self._handed_out = connection
        self._watch(connection, 0)

        def answer(outcome: Outcome) -> None:
            if self._handed_out is connection:
                self._answer(connection, self._page(outcome))

        return Callback(query, answer)

    def _answer(self, connection: _Connection, response: bytes) -> None:
        if self._handed_out is connection:
            self._handed_out = None
        connection.stage = _Stage.WRITING
        connection.outbox = response
        connection.deadline_at = self._clock.monotonic() + _CONNECTION_DEADLINE_S
        self._watch(connection, selectors.EVENT_WRITE)
        self._flush(connection)

    def _flush(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.outbox)
            connection.outbox = connection.outbox[sent:]
            if connection.outbox:
                return
            connection.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        # To close with bytes unread is to reset, and a reset can take the answer away before the browser has read it.
        connection.stage = _Stage.LINGERING
        connection.deadline_at = self._clock.monotonic() + _LINGER_S
        self._watch(connection, selectors.EVENT_READ)

    def _watch(self, connection: _Connection, events: int) -> None:
        if self._selector is not None:
            with suppress(KeyError):
                self._selector.unregister(connection.socket)
            if events:
                self._selector.register(connection.socket, events, connection)

    def _drop(self, connection: _Connection) -> None:
        self._watch(connection, 0)
        del self._connections[connection]
        connection.socket.close()

    def _page(self, outcome: Outcome) -> bytes:
        page = build_page(outcome, program=self._program)
        return build_response(page.status, page.body, Content_Type="text/html; charset=utf-8")

    def _url(self, path: str) -> str:
        if self._selector is None:
            message = "The callback listener is not open: call open() first, or use it as a context manager."
            raise ConfigurationError(message, field="listener", reason="listener_not_open")
        return f"http://{self._authority}{path}"


def _send_last(connection: _Connection) -> None:
    """Send what is left and read what has come, once and without waiting: the socket is closed next."""
    with suppress(OSError):
        if connection.outbox:
            connection.socket.send(connection.outbox)
            connection.socket.shutdown(socket.SHUT_WR)
        connection.socket.recv(_CHUNK_BYTES)
