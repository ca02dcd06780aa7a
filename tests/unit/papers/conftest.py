"""Servers of papers on loopback, whose every answer a test decides; and a session that counts what it is asked."""

from __future__ import annotations

import ssl
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from doorward.institution.cookies.jar import CookieJar
from doorward.papers.library import Library
from doorward.papers.manifest import MANIFEST
from doorward.papers.settings import DownloadSettings


@dataclass
class Asked:
    """One request that reached a server."""

    path: str
    headers: dict[str, str]


@dataclass
class Site:
    """A running server; ``pages`` maps a path to ``(status, headers, body)``, or to a function of the handler.

    That returns such an answer, or sends one itself.
    """

    url: str
    pages: dict = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def __setitem__(self, path, page):
        self.pages[path] = page

    def at(self, path):
        return self.url + path


@pytest.fixture
def site():
    """Start a server: ``site(host="127.0.0.1", tls=None, name=None)``."""
    with ExitStack() as servers:
        yield lambda **options: servers.enter_context(_serving(**options))


@pytest.fixture
def named_site(site, test_ca, trust_test_ca):
    """Start a server with https and a name that is not this machine's."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(test_ca.certificate, test_ca.key)
    return site(tls=tls, name="sp.localhost")


@contextmanager
def _serving(*, host="127.0.0.1", tls=None, name=None):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            served.asked.append(Asked(self.path, {key.lower(): value for key, value in self.headers.items()}))
            page = served.pages.get(path, (404, {}, b"<html><title>Not found</title></html>"))
            with suppress(ConnectionError, ssl.SSLError):
                told = page(self) if callable(page) else page
                if told is not None:
                    answer(self, *told)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = False
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    served = Site(f"http{'s' if tls else ''}://{name or host}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


def answer(handler, status, headers, body):
    """Send one answer, with its length unless ``headers`` say otherwise."""
    handler.send_response(status)
    for key, value in {"Content-Length": str(len(body)), **headers}.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                handler.send_header(key, each)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture(scope="session")
def pdf():
    """Make a PDF of a size: a beginning, filling, and an end that names a place within."""

    def make(size=2000, *, filling=b"."):
        begin, end = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", b"\nstartxref\n9\n%%EOF\n"
        room = size - len(begin) - len(end)
        return begin + (filling * (room // len(filling) + 1))[:room] + end

    return make


@dataclass
class Session:
    """An institution's session, as downloads see one."""

    jar: CookieJar = field(default_factory=CookieJar)
    user_agent: str | None = None
    prefix: str | None = None
    renews: list = field(default_factory=list)
    login_pages: int = 0

    def get_user_agent(self):
        return self.user_agent

    def link_to(self, url):
        return None if self.prefix is None else self.prefix + url

    def note_login_page(self):
        self.login_pages += 1

    def renew(self):
        return self.renews.pop(0)() if self.renews else False


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def library(tmp_path):
    """Make a library over loopback: ``library(session=None, **settings)``."""

    def make(session=None, **settings):
        settings = {"insecure_loopback_http": True, "idle_timeout_s": 10, "head_timeout_s": 10, **settings}
        return Library(tmp_path / "papers", session, settings=DownloadSettings(**settings))

    return make


@pytest.fixture
def kept(tmp_path):
    """List what is in the folder of papers, but for its manifest, as names from there."""
    folder = tmp_path / "papers"
    return lambda: sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST
    )
