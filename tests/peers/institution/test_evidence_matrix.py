"""The evidence of I6 at a real federation: no false success, no lost login, whatever stands between.

The person is a second Playwright that reaches the same browser from outside and fills in its forms.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doorward.errors import SignInRequired, SignInTimeout
from doorward.institution.browser.visit import BrowserVisit
from doorward.institution.evidence import Evidence
from doorward.institution.observations import Probed
from doorward.institution.patterns import CookiePatterns
from doorward.institution.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

pytestmark = [pytest.mark.peer, pytest.mark.slow]


@dataclass(frozen=True)
class Waits:
    poll_s: float = 0.2
    page_timeout_s: float = 20.0
    login_timeout_s: float = 40.0


class Person(threading.Thread):
    """Somebody before the browser that is being watched: ``steps`` are what they do in its page."""

    def __init__(self, steps: Callable[[Page], None]) -> None:
        super().__init__()
        self._steps = steps
        self.trouble: Exception | None = None

    def run(self) -> None:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an optional peer

        try:
            address = _first(_addresses)
            with sync_playwright() as playwright:
                browser = playwright.chromium.connect_over_cdp(address)
                (page,) = [page for context in browser.contexts for page in context.pages]
                page.set_default_timeout(20_000)
                self._steps(page)
        except Exception as error:  # noqa: BLE001 - told to the test
            self.trouble = error


def _first(ask):
    give_up_at = time.monotonic() + 20
    while not (found := ask()):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    return found[0]


def _addresses() -> list[str]:
    """The other way into a browser, once it shows a page of the login."""
    found = []
    for file in Path(os.environ["TMPDIR"]).glob("playwright*/DevToolsActivePort"):
        with contextlib.suppress(OSError, IndexError):
            address = f"http://127.0.0.1:{file.read_text().split()[0]}"
            with urllib.request.urlopen(f"{address}/json/list", timeout=5) as answer:
                found += [address for each in json.load(answer) if each["url"].startswith("https://")]
    return found


class Login:
    """One login at the federation: a person, the evidence, and how often a probe was worth making."""

    def __init__(self, federation) -> None:
        self.federation = federation
        self.probes: list[bool] = []
        self.evidence: Evidence | None = None

    def probe(self, cookies, _user_agent) -> Probed:
        held = "; ".join(f"{each['name']}={each['value']}" for each in cookies if each["domain"] == "sp.localhost")
        valid = self.federation.fetch(self.federation.report_url, cookie=held).body == self.federation.report
        self.probes.append(valid)
        return Probed(valid=valid, reason="paper" if valid else "no_paper")

    def visit(self, url=None, *, steps=None, cookies=(), attended=True, **waits):
        federation = self.federation
        route = Route("shibboleth", federation.login_url(), federation.sp_host)
        self.evidence = Evidence(route, federation.report_url, CookiePatterns(()), attended=attended)
        made = BrowserVisit(headless=True, cookies=cookies, switches=["--remote-debugging-port=0"])
        person = Person(steps) if steps else None
        if person:
            person.start()
        try:
            return made.drive(url or federation.login_url(), self.evidence, self.probe, Waits(**waits))
        finally:
            if person:
                person.join(60)
                if person.trouble is not None and "closed" not in str(person.trouble):  # it may end under their hands
                    raise person.trouble

    def told(self) -> str:
        return "\n".join(f"{at:.1f} {seen} -> {made}" for at, seen, made in self.evidence.history)


@pytest.fixture
def login(federation, chromium_home, require_peer, monkeypatch) -> Iterator[Login]:
    require_peer("Playwright", find_spec("playwright"))
    with tempfile.TemporaryDirectory(prefix="dw-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setenv("HOME", str(chromium_home))  # where Chromium finds the test authority
        yield Login(federation)


def holds(captured) -> set[str]:
    return {each["name"].partition("_sp")[0] for each in captured.cookies}


# Zero false successes: the login is left where it stands.

UNFINISHED = {
    "the login form": (None, None),
    "a discovery choice": ("discovered_report_url", "choose_institution"),
    "a wrong password, three times": (None, "fail_thrice"),
    "a consent page": (None, "fill_login"),
    "an error page of the provider": ("idp_error_url", None),
    "twenty anonymous cookies": ("anonymous_url", None),
    "an address of the provider that names the target": ("unsolicited", None),
}


@pytest.mark.parametrize(("start", "deed"), UNFINISHED.values(), ids=UNFINISHED)
def test_an_unfinished_login_is_no_success(federation, login, start, deed):
    def fail_thrice(page):
        for _ in range(3):
            federation.fail_login(page)

    urls = {None: federation.login_url(), "unsolicited": federation.unsolicited_login_url()}
    url = urls[start] if start in urls else getattr(federation, start)
    steps = None if deed is None else fail_thrice if deed == "fail_thrice" else getattr(federation, deed)
    habit = federation.consent() if deed == "fill_login" else contextlib.nullcontext()
    with habit, pytest.raises(SignInTimeout) as caught:
        login.visit(url, steps=steps, login_timeout_s=10)
    assert caught.value.reason == "login_timeout", login.told()
    assert True not in login.probes
    assert deed != "fill_login" or "/consent/" in login.told()
    if start not in {"anonymous_url", "discovered_report_url"}:
        assert login.probes == [], login.told()


# Zero lost logins.


@pytest.mark.parametrize("seconds", [0, 0.5, 2, 5])
def test_a_slow_assertion_loses_no_login(federation, login, seconds):
    with federation.slow(seconds):
        captured = login.visit(steps=federation.fill_login)
    assert any(name.startswith("_shibsession_") for name in holds(captured))
    assert "SimpleSAMLAuthToken" in holds(captured)  # a renewal needs it
    assert login.probes[-1] is True
    assert "took a SAMLResponse" in login.told()


def test_a_login_through_all_of_it(federation, login):
    """Discovery, two wrong passwords, the right one, consent."""

    def steps(page):
        federation.choose_institution(page)
        page.locator("input[name=username]").wait_for()
        federation.fail_login(page)
        federation.fail_login(page)
        federation.fill_login(page)
        federation.agree(page)

    with federation.consent():
        captured = login.visit(federation.discovered_report_url, steps=steps)
    assert any(name.startswith("_shibsession_") for name in holds(captured))


def test_a_login_that_begins_at_the_provider(federation, login):
    assert login.visit(federation.unsolicited_login_url(), steps=federation.fill_login)


def test_a_page_that_navigates_while_it_is_read(federation, login):
    assert login.visit(federation.restless_url, steps=federation.fill_login)


# Renewal.


def test_the_providers_session_renews_that_of_the_service(federation, login):
    captured = login.visit(steps=federation.fill_login)
    kept = [each for each in captured.cookies if each["domain"] == federation.idp_host]
    renewed = login.visit(cookies=kept, attended=False, login_timeout_s=20)
    assert any(name.startswith("_shibsession_") for name in holds(renewed))


def test_without_a_session_anywhere_a_renewal_asks_for_the_person(login):
    with pytest.raises(SignInRequired) as caught:
        login.visit(attended=False, login_timeout_s=20)
    assert caught.value.reason == "needs_person"
