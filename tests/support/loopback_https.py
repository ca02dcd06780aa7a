"""Plain https to names under ``.localhost`` for tests: a server that records, and a client that follows nothing.

Neither uses the code under test. The client knows that such names are loopback; not every system's resolver does.
"""

from __future__ import annotations

import http.client
import http.server
import socket
import ssl
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from email.message import Message
    from pathlib import Path

__all__ = ["Answer", "Request", "Server", "fetch", "html_page", "redirect"]

_DEADLINE_S = 20


@dataclass(frozen=True)
class Answer:
    """What a server says."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)

    @property
    def location(self) -> str:
        found = self.header("Location")
        assert found is not None, f"no redirect: {self.status} {self.body[:300]!r}"
        return found

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies it sets, without their attributes."""
        lines = (value for name, value in self.headers if name.lower() == "set-cookie")
        pairs = (line.partition(";")[0].partition("=") for line in lines)
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Request:
    """What a server was asked. ``path`` is decoded, ``query`` is as it came."""

    host: str
    method: str
    path: str
    query: str
    headers: Message
    body: bytes = b""

    @property
    def cookie(self) -> str:
        """The whole Cookie header, empty without one."""
        return self.headers.get("Cookie", "")

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (pair.strip().partition("=") for pair in self.cookie.split(";"))
        return {name: value for name, _, value in pairs if name}

    @property
    def form(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body.decode()))

    def parameter(self, name: str) -> str | None:
        return dict(urllib.parse.parse_qsl(self.query)).get(name)


def html_page(html: str, *, status: int = 200, cookies: Iterable[str] = ()) -> Answer:
    """Answer with a page, and with cookies in full: name, value and attributes."""
    headers = [("Content-Type", "text/html; charset=utf-8"), *(("Set-Cookie", cookie) for cookie in cookies)]
    return Answer(status, headers, f"<!doctype html><html lang=en>{html}".encode())


def redirect(url: str, *, cookies: Iterable[str] = ()) -> Answer:
    return Answer(302, [("Location", url), *(("Set-Cookie", cookie) for cookie in cookies)])


class Server:
    """Answers on one port, by https, for every name the test certificate has, from threads of its own."""

    def __init__(self, answer: Callable[[Request], Answer], certificate: Path, key: Path) -> None:
        recorded = self.requests = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = _DEADLINE_S

            def setup(self) -> None:  # here and not in the accepting thread: a client that says nothing holds up itself
                self.request.settimeout(self.timeout)
                self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                super().finish()
                self.request.close()

            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                request = Request(
                    self.headers.get("Host", "").partition(":")[0],
                    self.command,
                    urllib.parse.unquote(parts.path),
                    parts.query,
                    self.headers,
                    self.rfile.read(int(self.headers.get("Content-Length", 0))),
                )
                recorded.append(request)
                answer = answer_to(request)
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            def do_HEAD(self) -> None:
                self.do_GET()

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server wants these names

            def log_message(self, *_: object) -> None:
                pass

        answer_to = answer

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing: browsers connect ahead and hang up, and clients refuse a certificate."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="stand-in", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def fetch(
    url: str,
    ca: Path,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Ask for one URL under ``.localhost`` and return whatever is answered; a form makes it a POST."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    sent = {"Connection": "close", **(headers or {})}
    body = None
    if form is not None:
        method, body = "POST", urllib.parse.urlencode(form)
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    plain = socket.create_connection(("127.0.0.1", parts.port), timeout=_DEADLINE_S)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    try:
        context = ssl.create_default_context(cafile=str(ca))
        connection.sock = plain = context.wrap_socket(plain, server_hostname=parts.hostname)
        connection.request(method, urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")), body, sent)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()
        plain.close()
