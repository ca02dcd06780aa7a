"""The socket side: one request a connection, each connection in its own bounded thread and within its own deadline.

Nothing of OAuth lives here. The classes of the standard library are subclassed, never changed.
"""

from __future__ import annotations

import contextlib
import email.utils
import logging
import select
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from doorward.testing.provider.web import MAX_BODY_BYTES, Refusal, Reply, Request, json_reply, read_pairs

if TYPE_CHECKING:
    import ssl

    from doorward.testing.provider.app import App
    from doorward.testing.provider.faults import Fault

__all__ = ["Server"]

_logger = logging.getLogger("doorward.testing")

_READ_TIMEOUT_S = 10.0
_POLL_S = 0.05
_CHUNK = b" " * 65_536
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST


class Server(ThreadingMixIn, TCPServer):
    """Serves an App from a background thread between ``start`` and ``stop``."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(
        self,
        address: tuple[str, int],
        app: App,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 512,
        deadline_s: float = 60,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.app = app
        self.tls = tls
        self.stopping = threading.Event()
        self._max_connections = max_connections
        self._deadline_s = deadline_s
        self._slots = threading.BoundedSemaphore(max_connections)
        self._open: dict[socket.socket, float] = {}
        self._open_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        super().__init__(address, _Handler)

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve from a thread of our own."""
        thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": _POLL_S}, name="dev-issuer", daemon=True
        )
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Close the port and every connection. Returns soon whatever clients do; a second call does nothing."""
        self.stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:  # shutdown() waits for ever where serve_forever never ran
            self.shutdown()
            thread.join()
        self.server_close()
        self._close_older_than(float("inf"))
        # a handler whose socket is shut down returns at once: wait until the last one gives its place back
        all(self._slots.acquire(timeout=1) for _ in range(self._max_connections))

    def service_actions(self) -> None:
        """End connections that are past their deadline, whatever they are doing."""
        self._close_older_than(time.monotonic() - self._deadline_s)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread, or wait until one is free."""
        while not self._slots.acquire(timeout=_POLL_S):
            self.service_actions()
            if self.stopping.is_set():
                self.shutdown_request(request)
                return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads can be started
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, and give its thread's place back."""
        try:
            if self.tls is not None:  # the handshake waits until finish_request
                request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            with self._open_lock:
                self._open[request] = time.monotonic()
            if self.stopping.is_set():
                self.shutdown_request(request)
            else:
                super().process_request_thread(request, client_address)
        except OSError:  # the client is gone already
            self.shutdown_request(request)
        finally:
            self._slots.release()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, which nobody may shut down from then on: its descriptor may soon be another's."""
        with self._open_lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS where asked, in the connection's own thread so that a slow handshake holds up nobody else."""
        request.settimeout(_READ_TIMEOUT_S)
        if self.tls is not None:
            request.do_handshake()
        _Handler(request, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - signature of the base class
        """Stay silent about connections that break: that is what clients do."""
        _logger.debug("a connection to the development issuer broke")

    def _close_older_than(self, started: float) -> None:
        with self._open_lock:
            for connection, at in self._open.items():
                if at < started:
                    with contextlib.suppress(OSError):  # an SSLSocket's own shutdown would go on in clear text
                        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "DevIssuer"
    sys_version = ""

    @property
    def _app(self) -> App:
        return cast("Server", self.server).app

    def do_GET(self) -> None:
        self._serve(b"")

    def do_HEAD(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and len(length) < 10):  # noqa: PLR2004 - digits of a sane size
            self._send(json_reply({"error": "invalid_request"}, status=411))
        elif int(length) > MAX_BODY_BYTES:
            self._send(json_reply({"error": "invalid_request"}, status=413))
        else:
            self._serve(self.rfile.read(int(length)))

    def _serve(self, body: bytes) -> None:
        try:
            request = self._read(body)
        except Refusal as refusal:
            self._send(json_reply({"error": refusal.error}, status=refusal.status))
            return
        reply, fault = self._app.handle(request)
        if fault is None:
            self._send(reply)
        else:
            self._act_out(fault, reply)

    def _read(self, body: bytes) -> Request:
        target = urlsplit(self.path)
        if target.netloc:
            raise Refusal("invalid_request")
        content_type = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if body and content_type != "application/x-www-form-urlencoded":
            raise Refusal("invalid_request", status=415)
        try:
            form = read_pairs(body.decode("ascii"))
        except UnicodeDecodeError:
            raise Refusal("invalid_request") from None
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, target.path, read_pairs(target.query), form, headers)

    def _send(self, reply: Reply, *, slow: bool = False, truncated: bool = False) -> None:
        self.close_connection = True
        self.request_version = self.protocol_version  # a request line that is none makes it HTTP/0.9, without headers
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body) + reply.padding_bytes))
        self.send_header("Connection", "close")
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if slow:
            self._drip(reply.body)
            return
        if truncated:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            return
        self.wfile.write(reply.body)
        for sent in range(0, reply.padding_bytes, len(_CHUNK)):
            self.wfile.write(_CHUNK[: reply.padding_bytes - sent])

    def _drip(self, body: bytes) -> None:
        for index in range(len(body)):
            self.wfile.write(body[index : index + 1])
            if cast("Server", self.server).stopping.wait(0.2):
                return

    def _act_out(self, fault: Fault, reply: Reply) -> None:
        self.close_connection = True
        if fault.delay_s and cast("Server", self.server).stopping.wait(fault.delay_s):
            return
        if fault.kind == "garbage":
            self.wfile.write(b"\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n")
        elif fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self.connection.close()
        elif fault.kind == "hang":
            self._wait_for_the_end()
        elif fault.kind != "close":
            self._send(reply, slow=fault.kind == "slow_body", truncated=fault.kind == "truncated")

    def _wait_for_the_end(self) -> None:
        stopping = cast("Server", self.server).stopping
        while not stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], _POLL_S)
            if readable:
                return

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The ``Date`` header follows the issuer's clock, so that skew can be tested."""
        return email.utils.formatdate(self._app.core.clock.now() if timestamp is None else timestamp, usegmt=True)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - signature of the base class
        """Refuse a request line or header that is none, without repeating it."""
        self.close_connection = True
        self._send(json_reply({"error": "invalid_request"}, status=int(code)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - signature of the base class
        """Log nothing: a request line holds codes and states."""
