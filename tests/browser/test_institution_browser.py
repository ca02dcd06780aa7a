"""Signing in at an institution with a real browser: a small service and its identity provider, and every way it ends.

The pages press their own buttons, as the person would; the program under test never does. What the program leaves
behind is asked of the operating system.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from doorward.errors import (
    ConfigurationError,
    SignInCancelled,
    SignInError,
    SignInRequired,
    SignInTimeout,
    TransportError,
)
from doorward.institution.browser.installed import InstalledBrowser
from doorward.institution.browser.visit import BrowserVisit
from doorward.institution.evidence import Evidence
from doorward.institution.observations import Probed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.peer, pytest.mark.slow]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PLANTED = "PLANTED-cookie-value"
ASSERTION = "PLANTED-assertion"
PASSWORD = "PLANTED-password"


@pytest.fixture(autouse=True)
def peers(require_peer) -> None:
    require_peer("Chromium", CHROMIUM)
    require_peer("Playwright", find_spec("playwright"))


@dataclass(frozen=True)
class Route:
    kind: str = "shibboleth"
    host: str = "127.0.0.1"


class Patterns:
    KINDS: ClassVar = {"_shibstate_": "before", "_saml_idp": "before", "IdPToken": "idp", "_shibsession_": "service"}

    def matches(self, name):
        return next((kind for start, kind in self.KINDS.items() if name.startswith(start)), None)


@dataclass(frozen=True)
class Waits:
    poll_s: float = 0.1
    page_timeout_s: float = 20.0
    login_timeout_s: float = 30.0


@dataclass
class Federation:
    """A service at 127.0.0.1 and an identity provider at localhost: two hosts, one server each."""

    service: str = ""
    idp: str = ""
    login_after_ms: int = 100
    """When the login form sends itself off, or never."""
    assertion_delay_s: float = 0.0
    consent: bool = False
    accepts: bool = True
    silently: bool = False
    """Whether a browser with a session at the identity provider is let through."""
    hold: threading.Event = field(default_factory=threading.Event)
    agents: list[str] = field(default_factory=list)

    @property
    def target(self) -> str:
        return self.service + "/paper"

    def probe(self, cookies, user_agent) -> Probed:
        held = "; ".join(f"{each['name']}={each['value']}" for each in cookies if each["domain"] == "127.0.0.1")
        request = urllib.request.Request(self.target, headers={"Cookie": held, "User-Agent": user_agent})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Probed(valid=answer.read() == b"the paper", reason="asked")


def page(body: str, script: str = "") -> bytes:
    return f"<!doctype html><title>page</title>{body}<script>{script}</script>".encode()


def submit_after(ms: int) -> str:
    return f"setTimeout(() => document.forms[0].submit(), {ms})" if ms >= 0 else ""


class Handler(http.server.BaseHTTPRequestHandler):
    federation: Federation

    def log_message(self, *_):
        pass

    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, values in headers.items():
            for value in [values] if isinstance(values, str) else values:
                self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with contextlib.suppress(ConnectionError):
            self.get(self.path.partition("?")[0])

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with contextlib.suppress(ConnectionError):
            self.post(self.path.partition("?")[0], urllib.parse.parse_qs(form))

    def get(self, path):  # noqa: PLR0911 - a page each
        federation, cookies = self.federation, self.headers.get("Cookie", "")
        if path == "/paper":
            federation.agents.append(self.headers["User-Agent"])
            if f"_shibsession_1={PLANTED}" in cookies:
                return self.answer(b"the paper")
            relay = urllib.parse.quote(federation.target, safe="")
            return self.answer(
                status=302,
                Location=f"{federation.idp}/login?RelayState={relay}",
                Set_Cookie=["_shibstate_1=x; Path=/", "_saml_idp=y; Path=/"],
            )
        if path == "/login":
            if federation.silently and "IdPToken" in cookies:
                return self.answer(self.assertion())
            body = f'<form method=post action=/login><input name=password value="{PASSWORD}"></form>'
            return self.answer(page(body, submit_after(federation.login_after_ms)))
        if path == "/hangs":
            federation.hold.wait(30)
            return self.answer(b"late")
        if path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"<title>half")
            self.wfile.flush()
            return federation.hold.wait(30)
        if path == "/restless":  # goes on and on, while it is read
            return self.answer(page("", "setTimeout(() => location.reload(), 20)"), Set_Cookie=f"n={time.time()}")
        if path == "/popup":
            return self.answer(page("", f"window.open('{federation.target}')"))
        return self.answer(b"", status=404)

    def post(self, path, form):
        federation = self.federation
        if path == "/login":
            if not federation.accepts:
                return self.answer(page("<form method=post action=/login></form>wrong password", submit_after(200)))
            body = page("<form method=post action=/consent></form>", submit_after(-1 if federation.consent else 0))
            return self.answer(body if federation.consent else self.assertion(), Set_Cookie=f"IdPToken={PLANTED}")
        if path == "/acs":
            assert form["SAMLResponse"] == [ASSERTION]
            time.sleep(federation.assertion_delay_s)
            where = {"Location": federation.target, "Set_Cookie": f"_shibsession_1={PLANTED}; Path=/; HttpOnly"}
            return self.answer(status=302, **where)
        return self.answer(b"", status=404)

    def assertion(self):
        fields = f'<input type=hidden name=RelayState value=x><input type=hidden name=SAMLResponse value="{ASSERTION}">'
        return page(f'<form method=post action="{self.federation.service}/acs">{fields}</form>', submit_after(0))


@pytest.fixture
def federation() -> Iterator[Federation]:
    made = Federation()
    handler = type("Bound", (Handler,), {"federation": made})
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in servers]
    for thread in threads:
        thread.start()
    made.service = f"http://127.0.0.1:{servers[0].server_port}"
    made.idp = f"http://localhost:{servers[1].server_port}"
    yield made
    made.hold.set()
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def evidence_for(federation, **options) -> Evidence:
    return Evidence(Route(), federation.target, Patterns(), **options)


def visit(
    federation,
    evidence=None,
    *,
    url=None,
    headless=True,
    cookies=(),
    switches=(),
    probe=None,
    say=lambda _: None,
    **waits,
):
    browser = InstalledBrowser(CHROMIUM, "Chromium")
    made = BrowserVisit(browser=browser, headless=headless, cookies=cookies, switches=switches)
    url, evidence = url or federation.target, evidence or evidence_for(federation)
    return made.drive(url, evidence, probe or federation.probe, Waits(**waits), say)


def descendants() -> dict[int, str]:
    """Every process below this one, by the kernel's word. Orphans come back to us: we are their reaper (below)."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
                if rest[0] != "Z":
                    parents[int(entry.name)], names[int(entry.name)] = int(rest[1]), name
    found: dict[int, str] = {}
    ours = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in ours and pid not in ours}:
        ours |= new
        found |= {pid: names[pid] for pid in new}
    return found


@pytest.fixture(autouse=True)
def temporary(monkeypatch) -> Iterator[Path]:
    """Where driver and browser keep their temporary folders. Not in tmp_path: its name is too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="dw-", ignore_cleanup_errors=True) as name:
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def profiles() -> list[Path]:
    return sorted(Path(os.environ["TMPDIR"]).glob("playwright*"))


@pytest.fixture
def leaves_nothing(leak_check, temporary) -> Iterator[None]:
    """No process, no thread, no descriptor, no profile stays. Orphans are ours to see: PR_SET_CHILD_SUBREAPER."""
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)
    before = set(descendants())
    with leak_check():
        yield
        give_up_at = time.monotonic() + 10
        while (left := set(descendants()) - before) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        assert not left, descendants()
    libc.prctl(36, 0, 0, 0, 0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    assert profiles() == []


def is_ours(pid: int) -> bool:
    """Whether a browser or driver is of this test: others of this worker's may have one too."""
    with contextlib.suppress(OSError):
        return f"TMPDIR={os.environ['TMPDIR']}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False


def browser_pid() -> int:
    """The browser's own process: it leads the group that its children are in."""
    return next(
        pid for pid, name in descendants().items() if "chrom" in name and os.getpgid(pid) == pid and is_ours(pid)
    )


def test_a_login_is_seen_and_its_cookies_are_handed_over(federation, leaves_nothing, capfd):
    said = []
    evidence = evidence_for(federation)
    captured = visit(federation, evidence, say=lambda verdict: said.append(verdict.reason))
    held = {(each["name"], each["domain"]): each["value"] for each in captured.cookies}
    assert held["_shibsession_1", "127.0.0.1"] == PLANTED
    assert held["IdPToken", "localhost"] == PLANTED  # a renewal needs it
    assert len(set(federation.agents)) == 1
    assert captured.user_agent == federation.agents[0]  # the probe says what the browser says
    assert "HeadlessChrome" in captured.user_agent  # and the browser says what it is
    assert said[-1] == "asked"
    told = "\n".join(f"{at:.1f} {seen} -> {made}" for at, seen, made in evidence.history)
    assert "took a SAMLResponse to" in told
    for secret in ("PLANTED", "RelayState", "%2F"):
        assert secret not in told + repr(captured) + "".join(capfd.readouterr())


@pytest.mark.parametrize("delay_s", [0.5, 2, 5])
def test_a_slow_assertion_loses_no_login(federation, delay_s):
    federation.assertion_delay_s = delay_s
    assert visit(federation)


@pytest.mark.parametrize("trouble", ["wrong password", "consent", "nobody types"])
def test_whoever_is_not_through_is_not_signed_in(federation, trouble, leaves_nothing):
    federation.accepts = trouble != "wrong password"
    federation.consent = trouble == "consent"
    federation.login_after_ms = -1 if trouble == "nobody types" else 100
    with pytest.raises(SignInTimeout) as caught:
        visit(federation, probe=lambda *_: pytest.fail("there was nothing to ask"), login_timeout_s=4)
    assert caught.value.reason == "login_timeout"


def test_a_page_that_never_rests_breaks_nothing(federation):
    evidence = evidence_for(federation)
    with pytest.raises(SignInTimeout):
        visit(federation, evidence, url=federation.service + "/restless", login_timeout_s=4)
    assert any("cookies changed: n" in seen for _, seen, _ in evidence.history)


def test_a_login_in_a_second_window_counts(federation):
    assert visit(federation, url=federation.service + "/popup")


def test_a_target_that_refuses_ends_it_with_what_was_seen(federation, leaves_nothing):
    """They see the paper in the window, and the program does not: nothing they do there would help."""
    with pytest.raises(ConfigurationError, match="seem to be signed in, but") as caught:
        visit(federation, probe=lambda *_: Probed(valid=False, reason="refused_403"), login_timeout_s=120)
    assert (caught.value.field, caught.value.reason) == ("target", "human_check")
    assert f"{federation.target} did not open. The service keeps programs out: it wants to see a person." in str(
        caught.value
    )


def test_out_of_time_it_says_what_the_target_answered_last(federation):
    with pytest.raises(SignInTimeout) as caught:
        visit(federation, probe=lambda *_: Probed(valid=False, reason="login_form"), login_timeout_s=5)
    assert caught.value.reason == "login_timeout"
    assert "did not open. The service showed a login page." in str(caught.value)


@pytest.mark.parametrize("path", ["/hangs", "/half"])
def test_a_page_that_never_comes(federation, path, leaves_nothing):
    with pytest.raises(TransportError) as caught:  # worth trying again later
        visit(federation, url=federation.service + path, page_timeout_s=1)
    federation.hold.set()
    assert caught.value.reason == "page_timeout"


def test_a_server_that_is_not_there(federation, leaves_nothing):
    with pytest.raises(TransportError) as caught:
        visit(federation, url="http://127.0.0.1:9/")
    assert caught.value.reason == "page_unreachable"


class Doing(threading.Thread):
    """Does something to the browser once it has a page of the login."""

    def __init__(self, federation, deed):
        super().__init__()
        self.federation, self.deed = federation, deed

    def run(self):
        while not self.federation.agents:
            time.sleep(0.05)
        time.sleep(0.5)
        self.deed()


@contextlib.contextmanager
def meanwhile(federation, deed) -> Iterator[None]:
    doing = Doing(federation, deed)
    doing.start()
    yield
    doing.join()


class Windows:
    """A second way into the browser, for whoever closes its windows as a person would."""

    switches = ("--remote-debugging-port=0",)

    def close(self):
        (profile,) = [each for each in profiles() if "profile" in each.name]
        port = (profile / "DevToolsActivePort").read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            pages = [each["id"] for each in json.load(answer) if each["type"] == "page"]
        for each in pages:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/json/close/{each}", timeout=10).close()


def test_the_window_is_closed(federation, leaves_nothing):
    federation.login_after_ms, windows = -1, Windows()
    with meanwhile(federation, windows.close), pytest.raises(SignInCancelled) as caught:
        visit(federation, switches=windows.switches)
    assert caught.value.reason == "window_closed"


def test_the_browser_is_killed(federation, leaves_nothing):
    federation.login_after_ms = -1
    with (
        meanwhile(federation, lambda: os.kill(browser_pid(), signal.SIGKILL)),
        pytest.raises(SignInError) as caught,
    ):
        visit(federation)
    assert caught.value.reason == "browser_ended"


def nothing_of_the_login_stays() -> None:
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at and [pid for pid in descendants() if is_ours(pid)]:
        time.sleep(0.05)
    for left in profiles():
        held = [each for each in left.rglob("*") if each.is_file() and b"PLANTED" in each.read_bytes()]
        assert held == []
        shutil.rmtree(left)


def test_the_driver_is_killed(federation, leaves_nothing):
    federation.login_after_ms = -1

    def node():
        return next(
            pid for pid, name in descendants().items() if ("MainThread" in name or name == "node") and is_ours(pid)
        )

    with meanwhile(federation, lambda: os.kill(node(), signal.SIGKILL)), pytest.raises(SignInError) as caught:
        visit(federation)
    assert caught.value.reason == "browser_ended"
    nothing_of_the_login_stays()  # nobody is left to remove the profile


def test_a_browser_that_is_frozen_is_ended_all_the_same(federation, leaves_nothing):
    federation.login_after_ms = -1
    with (
        meanwhile(federation, lambda: os.killpg(browser_pid(), signal.SIGSTOP)),
        pytest.raises(SignInTimeout) as caught,
    ):
        visit(federation, login_timeout_s=6)
    assert caught.value.reason == "login_timeout"


def test_the_browser_learns_no_secret_of_ours(federation, leaves_nothing, monkeypatch):
    """Every program of this user can read the environment of a browser, for as long as it runs."""
    for name in ("DOORWARD_CLIENT_SECRET", "DOORWARD_API_KEY_PEPPER", "MYAPP_AUDIT_KEY"):
        monkeypatch.setenv(name, "planted-secret")
    monkeypatch.setenv("HARMLESS", "passed on")
    federation.login_after_ms, learnt = 2000, []

    def look():
        for pid, name in descendants().items():
            with contextlib.suppress(OSError):
                if "chrom" in name:
                    learnt.append(Path(f"/proc/{pid}/environ").read_bytes())

    with meanwhile(federation, look):
        visit(federation)
    assert any(b"HARMLESS=passed on" in each for each in learnt)
    assert not any(b"planted-secret" in each for each in learnt)


def test_ctrl_c_closes_everything_first(federation, leaves_nothing):
    federation.login_after_ms = -1
    with meanwhile(federation, lambda: os.kill(os.getpid(), signal.SIGINT)), pytest.raises(KeyboardInterrupt):
        visit(federation)


async def test_asynchronous_callers_wait_beside_their_loop(federation):
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.05)

    beating = asyncio.create_task(beat())
    made = BrowserVisit(headless=True)
    captured = await made.adrive(federation.target, evidence_for(federation), federation.probe, Waits())
    beating.cancel()
    assert captured.cookies
    assert beats > 5


async def test_a_cancelled_task_closes_everything_first(federation, leaves_nothing):
    federation.login_after_ms = -1
    made = BrowserVisit(headless=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await made.adrive(federation.target, evidence_for(federation), federation.probe, Waits())
    assert not [pid for pid, name in descendants().items() if "chrom" in name and is_ours(pid)]


def test_a_process_that_is_killed_takes_its_browser_along(federation, leaves_nothing):
    federation.login_after_ms = -1
    program = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent)]!r}
from test_institution_browser import *
federation = Federation(service={federation.service!r}, idp={federation.idp!r})
visit(federation)
"""
    child = subprocess.Popen([sys.executable, "-c", program])
    with meanwhile(federation, child.kill):
        assert child.wait(60) == -signal.SIGKILL


def test_a_renewal_needs_nobody_while_the_provider_remembers(federation, leaves_nothing):
    saved = visit(federation).cookies
    federation.login_after_ms, federation.silently = -1, True
    kept = [each for each in saved if each["domain"] == "localhost"]
    evidence = evidence_for(federation, attended=False)
    renewed = visit(federation, evidence, cookies=kept, login_timeout_s=20)
    assert "_shibsession_1" in {each["name"] for each in renewed.cookies}


def test_a_renewal_that_meets_a_login_form_says_so(federation, leaves_nothing):
    federation.login_after_ms = -1
    with pytest.raises(SignInRequired) as caught:
        visit(federation, evidence_for(federation, attended=False), login_timeout_s=20)
    assert caught.value.reason == "needs_person"


def test_a_probe_that_can_not_tell_is_asked_again(federation):
    answers = [TransportError("no network", reason="dns_failed"), Probed(valid=None, reason="unclear"), None]

    def probe(*arguments):
        answer = answers.pop(0) if len(answers) > 1 else None
        if isinstance(answer, Exception):
            raise answer
        return answer or federation.probe(*arguments)

    assert visit(federation, probe=probe)


def test_a_stopped_program_waits_for_no_probe(federation, leaves_nothing):
    program = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent)]!r}
from test_institution_browser import *

def probe(*_):
    print("asked", flush=True)
    time.sleep(60)

with contextlib.suppress(KeyboardInterrupt):
    visit(Federation(service={federation.service!r}, idp={federation.idp!r}), probe=probe)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "asked\n"
            child.send_signal(signal.SIGINT)
            assert child.wait(25) == 0
        finally:
            child.kill()


def test_a_probe_that_breaks_is_no_success(federation, leaves_nothing):
    def probe(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        visit(federation, probe=probe)


def test_a_program_that_is_no_browser(federation, leaves_nothing):
    made = BrowserVisit(headless=True, browser=InstalledBrowser(shutil.which("true"), "true"))
    with pytest.raises(SignInError) as caught:
        made.drive(federation.target, evidence_for(federation), federation.probe, Waits())
    assert caught.value.reason == "browser_failed"


@pytest.mark.parametrize(("name", "value"), [("DEBUG", "express,pw:api"), ("DEBUG", "*"), ("DEBUGP", "1")])
def test_a_log_that_would_hold_cookies_is_refused(federation, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        visit(federation)
    assert (caught.value.reason, caught.value.field) == ("playwright_debug", name)


def test_without_a_display_the_error_says_what_to_do(federation):
    with pytest.raises(SignInError, match="computer you sit at") as caught:
        visit(federation, headless=False)
    assert caught.value.reason == "no_display"


def test_a_display_that_is_not_there(federation, monkeypatch, leaves_nothing):
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(SignInError) as caught:
        visit(federation, headless=False)
    assert caught.value.reason == "no_display"


def test_in_a_window(federation, display):
    captured = visit(federation, headless=False)
    assert "_shibsession_1" in {each["name"] for each in captured.cookies}
    assert "Headless" not in captured.user_agent


def test_a_window_that_is_closed(federation, display):
    federation.login_after_ms, windows = -1, Windows()
    with meanwhile(federation, windows.close), pytest.raises(SignInCancelled) as caught:
        visit(federation, headless=False, switches=windows.switches)
    assert caught.value.reason == "window_closed"
