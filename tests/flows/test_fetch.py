"""``doorward fetch`` as people and scripts meet it, and downloads with a session across hosts, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import shutil
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pdfs import make_pdf

from doorward.errors import ConfigurationError, LockTimeout, SignInError, TransportError
from doorward.institution.cookies.jar import CookieJar
from doorward.institution.routes import parse_institution
from doorward.model import Secret
from doorward.papers import DownloadSettings, Library
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.vault import Vault

DOORWARD = Path(sys.executable).with_name("doorward")
LOOPBACK = "--insecure-loopback-http"
DEADLINE_S = 60
PDF = b"%PDF-1.7\n" + b"." * 3000 + b"\nstartxref\n9\n%%EOF\n"
LOGIN = (200, {}, b"<html><title>Sign in</title><input type=password>")
PAPER = (200, {}, PDF)


@dataclass
class Site:
    url: str
    pages: dict = field(default_factory=dict)
    cookies: list = field(default_factory=list)
    """Path and Cookie header of each request."""


@pytest.fixture
def site():
    with ExitStack() as servers:
        yield lambda *arguments, **options: servers.enter_context(_serving(*arguments, **options))


@contextmanager
def _serving(host="127.0.0.1", *, name=None, tls=None):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.cookies.append((self.path, self.headers.get("Cookie")))
            page = served.pages.get(self.path.partition("?")[0], (404, {}, b""))
            with suppress(ConnectionError, ssl.SSLError):
                status, headers, body = page(self) if callable(page) else page
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for header, value in headers.items():
                    self.send_header(header, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = False
    if tls:
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


@pytest.fixture
def tls(test_ca, trust_test_ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(test_ca.certificate, test_ca.key)
    return context


class Session:
    """An institution's session, as downloads see one. ``by_way_of``: the site that leads to papers."""

    def __init__(self, by_way_of=None):
        self.jar = CookieJar()
        self.noted = 0
        self.renewals = []
        self._by_way_of = by_way_of

    def get_user_agent(self):
        return "Mozilla/5.0 (a browser)"

    def link_to(self, url):
        return self._by_way_of and f"{self._by_way_of.url}/login?url={url}"

    def note_login_page(self):
        self.noted += 1

    def renew(self):
        return self.renewals.pop(0)() if self.renewals else False


@pytest.fixture
def library(tmp_path):
    settings = DownloadSettings(insecure_loopback_http=True, head_timeout_s=20)
    return lambda session=None: Library(tmp_path / "papers", session, settings=settings)


def fetch(*arguments, **environment):
    return subprocess.run(
        [DOORWARD, "fetch", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_plain_lines_where_no_terminal_is(site, tmp_path):
    publisher = site()
    publisher.pages = {"/a.pdf": PAPER, "/b.pdf": LOGIN}
    done = fetch(f"{publisher.url}/a.pdf", f"{publisher.url}/b.pdf", "--to", str(tmp_path), "--year", "2024", LOOPBACK)
    saved, refused = done.stdout.splitlines()
    assert saved == f"Saved {tmp_path}/2024/a.pdf (3.0 KiB)."
    assert refused.startswith(f"Not saved: {publisher.url}/b.pdf: A login page came instead.")
    assert "Sign in with: doorward institution login WHERE --target URL. (" in refused
    assert refused.endswith("(login_page, password_form)")
    assert (done.returncode, done.stderr) == (3, "")


def test_what_is_there_already_and_what_is_another_paper_is_said(site, tmp_path):
    publisher = site()
    page = b'<meta name=citation_pdf_url content=%s><meta name=citation_title content="Growth of salmon in captivity">'
    publisher.pages = {
        "/1": (200, {}, page % b"/1.pdf"),
        "/1.pdf": (200, {}, make_pdf("Growth of salmon in captivity")),
        "/2": (200, {}, page % b"/2.pdf"),
        "/2.pdf": (200, {}, make_pdf("Foxes of the town, and what they eat there")),
        "/3": (200, {}, page % b"/3.pdf"),
        "/3.pdf": (200, {}, make_pdf("")),
    }
    urls = [f"{publisher.url}/{each}" for each in "1123"]
    done = fetch(*urls, "--to", str(tmp_path), LOOPBACK)
    right, again, wrong, scan = done.stdout.splitlines()
    kept = f"{tmp_path}/unknown/Growth of salmon in captivity.pdf"
    assert right.startswith(f"Saved {kept} (")
    assert right.endswith("KiB).")
    assert again.startswith(f"There already: {kept} (")
    assert wrong.startswith(f"Not saved: {publisher.url}/2: Another paper came")
    assert f" {tmp_path}/aside/2.pdf " in wrong
    assert "It has no text" in scan
    assert done.returncode == 1


def test_a_json_line_for_each_paper(site, tmp_path):
    publisher = site()
    publisher.pages = {"/a.pdf": PAPER}
    done = fetch(f"{publisher.url}/a.pdf", f"{publisher.url}/none", "--to", str(tmp_path), LOOPBACK, "--json")
    saved, missing = map(json.loads, done.stdout.splitlines())
    assert saved["outcome"] == "saved"
    assert Path(saved["path"]).read_bytes() == PDF
    assert saved["bytes"] == len(PDF)
    assert (missing["outcome"], missing["reason"], missing["path"]) == ("not_found", "http_404", None)
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([PAPER], 0),
        ([PAPER, (404, {}, b"")], 1),
        ([(429, {"Retry-After": "7"}, b""), (404, {}, b"")], 4),
        ([(503, {}, b""), LOGIN], 3),
        ([PAPER, (200, {}, b"")], 4),
        ([(200, {}, PDF[:2000])], 4),
        ([(403, {"cf-mitigated": "challenge"}, b"<html>")], 4),
        ([(302, {"Location": "/0"}, b"")], 1),
    ],
)
def test_the_exit_code_says_what_would_help(site, tmp_path, answers, code):
    publisher = site()
    publisher.pages = {f"/{number}": answer for number, answer in enumerate(answers)}
    done = fetch(*(f"{publisher.url}{path}" for path in publisher.pages), "--to", str(tmp_path), LOOPBACK)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("10.1234/abc.5", "give https://doi.org/10.1234/abc.5"),
        ("doi:10.1234/abc(5)", "give https://doi.org/10.1234/abc(5)"),
        ("http://127.0.0.1:1/a.pdf", "--insecure-loopback-http"),
        ("http://publisher.example/a?key=planted", "begins with https://"),
        ("publisher.example/a?key=planted", "begins with https://"),
    ],
)
def test_what_is_no_address_is_told_what_to_give_instead(typed, says, tmp_path):
    done = fetch(typed, "--to", str(tmp_path / "papers"))
    assert done.returncode == 2
    assert says in done.stderr
    assert "planted" not in done.stderr
    assert not (tmp_path / "papers").exists()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((429, {"Retry-After": "7200"}, b""), "It asks for 2 h. (rate_limited, http_429)"),
        ((401, {}, b"<html>"), "The server wants a login. Sign in"),
    ],
)
def test_what_came_is_called_what_it_is(site, tmp_path, answer, says):
    publisher = site()
    publisher.pages = {"/a": answer}
    assert says in fetch(f"{publisher.url}/a", "--to", str(tmp_path), LOOPBACK).stdout


def keep(name, url):
    """Have somebody be signed in at an institution, whose cookie opens what is at ``url``."""
    now, host = time.time(), urlsplit(url).hostname
    cookie = KeptCookie(name="sid", value=Secret("PLANTED"), domain=host, secure=True)
    Vault().institutions.put(
        InstitutionEntry(
            name=name, where=url, institution_url=url, target=url, user_agent="Mozilla/5.0",
            signed_in_at=now, created_at=now, proven_at=now, cookies=(cookie,),
        )
    )  # fmt: skip


@pytest.fixture
def members(site, tls):
    """A publisher whose paper is for who is signed in."""
    publisher = site(name="localhost", tls=tls)

    def paper(handler):
        return PAPER if "sid=PLANTED" in (handler.headers.get("Cookie") or "") else LOGIN

    publisher.pages = {"/a.pdf": paper, "/open.pdf": PAPER, "/b.pdf": LOGIN}
    return publisher


def test_the_one_institution_that_is_signed_in_at_is_used(members, tmp_path):
    keep("uni", members.url)
    done = fetch(f"{members.url}/a.pdf", "--to", str(tmp_path))
    assert done.returncode == 0
    assert done.stderr == "What wants a login is fetched by way of uni, where you are signed in.\n"
    as_json = fetch(f"{members.url}/a.pdf", "--to", str(tmp_path), "--json")
    assert (as_json.returncode, as_json.stderr) == (0, "")
    keep("other", members.url)
    several = fetch(f"{members.url}/b.pdf", "--to", str(tmp_path))
    assert several.returncode == 3
    assert "You are signed in at several: name one with --institution (other, uni)." in several.stdout
    assert "WHERE" not in several.stdout


def test_one_that_can_not_be_used_keeps_from_no_open_paper(members, tmp_path, doorward_home):
    keep("uni", members.url)
    (doorward_home / "vault" / "institution-uni.json").write_text("[]")
    done = fetch(f"{members.url}/open.pdf", "--to", str(tmp_path))
    assert done.returncode == 0
    assert "set aside" in done.stderr


def test_after_a_logout_a_person_has_to_sign_in(members, tmp_path):
    keep("uni", members.url)
    Vault().institutions.forget("uni")
    named = fetch(f"{members.url}/a.pdf", "--to", str(tmp_path), "--institution", "uni")
    assert (named.returncode, members.cookies) == (3, [])
    assert "doorward institution login" in named.stderr
    unnamed = fetch(f"{members.url}/a.pdf", "--to", str(tmp_path))
    assert unnamed.returncode == 3
    assert "Sign in with: doorward institution login WHERE --target URL." in unnamed.stdout


def test_a_renewal_is_told_of_before_it_is_waited_for(members, tmp_path):
    keep("uni", members.url)
    arguments = [f"{members.url}/b.pdf", "--to", str(tmp_path), "--institution", "uni"]
    done = fetch(*arguments, DOORWARD_BROWSER=shutil.which("true"))  # a browser that is none
    assert done.returncode == 3
    assert "in a browser that nobody sees: that can take a minute" in done.stderr
    assert "Sign in with: doorward institution login uni." in done.stdout
    assert fetch(*arguments, "--json", DOORWARD_BROWSER=shutil.which("true")).stderr == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_bad_address_is_a_usage_error_and_a_bad_folder_is_not(site, tmp_path, as_json):
    publisher = site()
    publisher.pages = {"/a.pdf": PAPER}
    extra = ["--json"] if as_json else []
    assert fetch("http://example.org/", "--to", str(tmp_path), *extra).returncode == 2
    (tmp_path / "file").write_text("")
    done = fetch(f"{publisher.url}/a.pdf", "--to", str(tmp_path / "file"), LOOPBACK, *extra)
    assert done.returncode == 4
    if as_json:
        assert [json.loads(line)["error"]["reason"] for line in done.stdout.splitlines()] == ["not_a_folder"]
    else:
        assert done.stderr.startswith("doorward: ")


def test_which_address_is_bad_is_said_before_anything_is_fetched(site, tmp_path):
    publisher = site()
    publisher.pages = {"/a.pdf": PAPER}
    done = fetch(f"{publisher.url}/a.pdf", "localhost/b.pdf", "--to", str(tmp_path), LOOPBACK)
    assert done.returncode == 2
    assert done.stderr.startswith("doorward: Address 2 of 2: ")
    assert publisher.cookies == []


def test_what_a_server_says_does_not_reach_the_terminal_raw(site, tmp_path):
    publisher = site()
    publisher.pages = {"/a": (200, {"Content-Disposition": 'attachment; filename="\x1b[31m../x\r.pdf"'}, PDF)}
    publisher.pages["/a"] = (200, {"Content-Disposition": "attachment; filename*=UTF-8''%1b%5b31m..%2Fx%0d"}, PDF)
    done = fetch(f"{publisher.url}/a", "--to", str(tmp_path), LOOPBACK)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert [path.parent for path in tmp_path.rglob("*.pdf")] == [tmp_path / "unknown"]


def test_a_terminal_shows_how_far_it_is(site, tmp_path):
    go_on = threading.Event()

    def slowly(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(PDF)))
        handler.end_headers()
        handler.wfile.write(PDF[:2048])
        handler.wfile.flush()
        go_on.wait(DEADLINE_S)
        handler.wfile.write(PDF[2048:])
        raise ConnectionError

    publisher = site()
    publisher.pages = {"/a.pdf": slowly}
    main, side = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
    arguments = [DOORWARD, "fetch", f"{publisher.url}/a.pdf", "--to", str(tmp_path), LOOPBACK]
    process = subprocess.Popen(arguments, env=environment, stdin=side, stdout=side, stderr=side)
    os.close(side)
    shown = ""
    until = time.monotonic() + DEADLINE_S
    with suppress(OSError):
        while time.monotonic() < until:
            if select.select([main], [], [], 0.1)[0]:
                shown += os.read(main, 65536).decode(errors="replace")
            if re.search(r"2\.0/3\.\d KiB", shown):
                go_on.set()
    go_on.set()
    assert process.wait(DEADLINE_S) == 0
    os.close(main)
    assert re.search(r"2\.0/3\.\d KiB", shown), shown
    assert re.search(r"Saved\s+/", shown)


def test_it_is_listed_and_says_how_it_ends():
    assert "fetch" in subprocess.run([DOORWARD], capture_output=True, text=True, check=True).stdout
    told = fetch("--help").stdout
    assert "  3  some want a login" in told


def test_cookies_go_where_they_belong_at_each_hop(site, tls, library):
    """A page on one host leads over another, and over plain http, to a third."""
    session = Session()
    cdn = site("127.0.0.2")
    publisher = site(name="localhost", tls=tls)
    shop = site()
    session.jar.store("sid=s3cret; Secure; Path=/", url=f"{publisher.url}/", now=time.time())
    session.jar.store("deep=1; Path=/content", url=f"{publisher.url}/", now=time.time())
    session.jar.store("sid=other", url=f"{shop.url}/", now=time.time())
    publisher.pages = {
        "/article": (302, {"Location": f"{cdn.url}/a", "Set-Cookie": "visit=1; Path=/"}, b""),
        "/content/a.pdf": PAPER,
    }
    cdn.pages = {"/a": (302, {"Location": f"{shop.url}/a", "Set-Cookie": "cdn=1"}, b"")}
    shop.pages = {"/a": (302, {"Location": f"{publisher.url}/content/a.pdf"}, b"")}
    [outcome] = library(session).fetch(f"{publisher.url}/article")
    assert outcome.is_saved
    assert cdn.cookies == [("/a", None)]
    assert shop.cookies == [("/a", "sid=other")]
    assert publisher.cookies[0] == ("/article", "sid=s3cret")
    path, sent = publisher.cookies[1]
    assert path == "/content/a.pdf"
    assert set(sent.split("; ")) == {"deep=1", "sid=s3cret", "visit=1"}


def test_by_way_of_the_institution_when_the_plain_address_wants_a_login(site, library):
    publisher, proxy = site(), site("127.0.0.2")
    publisher.pages = {"/a.pdf": (403, {}, b"<html>no")}
    proxy.pages = {"/login": PAPER}
    session = Session(proxy)
    [outcome] = library(session).fetch(f"{publisher.url}/a.pdf")
    assert (outcome.outcome, outcome.route) == ("saved", "institution")
    assert outcome.path.name == "a.pdf"
    assert proxy.cookies == [(f"/login?url={publisher.url}/a.pdf", None)]
    assert session.noted == 0


def test_an_open_paper_is_not_asked_for_through_the_institution(site, library):
    publisher, proxy = site(), site("127.0.0.2")
    publisher.pages = {"/a.pdf": PAPER}
    [outcome] = library(Session(proxy)).fetch(f"{publisher.url}/a.pdf")
    assert outcome.route == "direct"
    assert proxy.cookies == []


def test_a_session_that_ended_is_renewed_once_and_then_doubted(site, library):
    publisher, proxy = site(), site("127.0.0.2")
    publisher.pages = {"/a.pdf": LOGIN}
    proxy.pages = {"/login": LOGIN}
    session = Session(proxy)

    def renewed():
        proxy.pages["/login"] = PAPER
        return True

    session.renewals = [renewed]
    [outcome] = library(session).fetch(f"{publisher.url}/a.pdf")
    assert (outcome.outcome, session.noted) == ("saved", 1)
    proxy.pages["/login"] = publisher.pages["/b.pdf"] = LOGIN
    session.renewals = [lambda: True]
    [outcome] = library(session).fetch(f"{publisher.url}/b.pdf")
    assert (outcome.outcome, outcome.route, session.noted) == ("login_page", "institution", 2)
    asked = len(proxy.cookies)
    [outcome] = library(session).fetch(f"{publisher.url}/b.pdf")
    assert (outcome.outcome, session.noted) == ("login_page", 3)
    assert len(proxy.cookies) == asked + 1


def test_after_a_renewal_the_plain_address_is_asked_first(site, library):
    """The way through an institution may begin a login each time, as a Shibboleth one does."""
    publisher, proxy = site(), site("127.0.0.2")
    publisher.pages = {"/a.pdf": LOGIN}
    proxy.pages = {"/login": LOGIN}
    session = Session(proxy)

    def renewed():
        publisher.pages["/a.pdf"] = PAPER
        return True

    session.renewals = [renewed]
    [outcome] = library(session).fetch(f"{publisher.url}/a.pdf")
    assert (outcome.outcome, outcome.route, session.noted) == ("saved", "direct", 1)


@pytest.mark.parametrize("error", [TransportError, LockTimeout, SignInError, ConfigurationError])
def test_a_renewal_that_fails_keeps_nobody_from_other_papers(site, library, error):
    publisher = site()
    publisher.pages = {"/a.pdf": LOGIN, "/b.pdf": PAPER}

    def fail():
        field = {"field": "browser"} if error is ConfigurationError else {}
        raise error("No.", reason="no", **field)

    session = Session()
    session.renewals = [fail]
    outcomes = library(session).fetch(f"{publisher.url}/a.pdf", f"{publisher.url}/b.pdf")
    assert [outcome.outcome for outcome in outcomes] == ["login_page", "saved"]


def test_nor_does_a_page_that_names_an_address_no_link_takes(site, library):
    publisher = site()
    long = f"/{'a' * 4000}.pdf"
    named = f'<meta name=citation_pdf_url content="{long}">'.encode()
    publisher.pages = {"/article": (200, {}, named), long: LOGIN, "/b.pdf": PAPER}
    session = Session()
    session.link_to = parse_institution("uni.example.edu").link_to
    outcomes = library(session).fetch(f"{publisher.url}/article", f"{publisher.url}/b.pdf")
    assert [outcome.outcome for outcome in outcomes] == ["login_page", "saved"]


def test_the_page_of_an_article_and_its_pdf_behind_a_login(site, library, tmp_path):
    publisher, proxy = site(), site("127.0.0.2")
    publisher.pages = {
        "/article": (200, {}, b'<meta name=citation_pdf_url content="/a.pdf"><meta name=citation_date content="2020">'),
        "/a.pdf": LOGIN,
    }
    proxy.pages = {"/login": PAPER}
    [outcome] = library(Session(proxy)).fetch(f"{publisher.url}/article")
    assert outcome.path == tmp_path / "papers" / "2020" / "a.pdf"
    assert proxy.cookies[0][0] == f"/login?url={publisher.url}/a.pdf"


def test_for_asyncio_too_and_cancelling_ends_it(site, library, leak_check):
    gone = threading.Event()

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            handler.wfile.write(PDF)
            while True:
                handler.wfile.write(b"." * 65536)
                time.sleep(0.01)
        finally:
            gone.set()

    publisher = site()
    publisher.pages = {"/a.pdf": PAPER, "/endless": endless}

    async def cancelled():
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(
            library().afetch(f"{publisher.url}/endless", progress=lambda _: loop.call_soon_threadsafe(begun.set))
        )
        await asyncio.wait_for(begun.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    [outcome] = asyncio.run(library().afetch(f"{publisher.url}/a.pdf"))
    assert outcome.is_saved
    with leak_check():
        asyncio.run(cancelled())
        assert gone.wait(20)


MEASURED = """
import sys, tracemalloc
from doorward.papers import DownloadSettings, Library
library = Library(sys.argv[1], settings=DownloadSettings(insecure_loopback_http=True))
library.fetch(sys.argv[2] + "/small.pdf")
tracemalloc.start()
[outcome] = library.fetch(sys.argv[2] + "/large.pdf")
print(outcome.outcome, outcome.bytes, tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.slow
def test_a_gigabyte_streams_within_30_mb(site, tmp_path):
    size = 1024**3

    def large(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        begin, end = b"%PDF-1.7\n", b"\nstartxref\n9\n%%EOF\n"
        handler.wfile.write(begin)
        left = size - len(begin) - len(end)
        block = bytes(1024**2)
        while left:
            left -= handler.wfile.write(block[:left])
        handler.wfile.write(end)
        raise ConnectionError  # that was all of it

    publisher = site()
    publisher.pages = {"/small.pdf": PAPER, "/large.pdf": large}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path), publisher.url],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    outcome, received, most = done.stdout.split()
    (tmp_path / "unknown" / "large.pdf").unlink()
    assert (outcome, int(received)) == ("saved", size), done.stderr
    assert int(most) < 30_000_000
