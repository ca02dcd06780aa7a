"""A whole sign-in as a person has it: a window of their browser, at a real federation, closed when they are in."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error, sync_playwright

from doorward.http.client import HttpClient
from doorward.institution import Institution
from doorward.institution.browser.installed import InstalledBrowser
from doorward.institution.browser.visit import BrowserVisit
from doorward.institution.settings import InstitutionSettings

if TYPE_CHECKING:
    from pathlib import Path

    from federation import Federation
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.peer, pytest.mark.slow]

_PATIENCE_S = 60


class Person(threading.Thread):
    """Sits at the window, which a debugging port stands for, and signs in there."""

    def __init__(self, federation: Federation, port: int) -> None:
        super().__init__(daemon=True)
        self._federation = federation
        self._port = port

    def run(self) -> None:
        with sync_playwright() as playwright:
            page = self._see_login(playwright.chromium)
            with suppress(Error):  # the window may close while the click is still being answered
                self._federation.fill_login(page)

    def _see_login(self, chromium: Any) -> Page:
        give_up_at = time.monotonic() + _PATIENCE_S
        while time.monotonic() < give_up_at:
            with suppress(Error):  # it is not open yet, or on its way to another page
                browser: Browser = chromium.connect_over_cdp(f"http://127.0.0.1:{self._port}")
                for page in [page for context in browser.contexts for page in context.pages]:
                    if page.locator("input[name=username]").count():
                        return page
                browser.close()  # which only ends the connection
            time.sleep(0.2)
        pytest.fail("no login was to be seen")


def test_a_window_opens_and_closes_when_they_are_in(
    federation: Federation, chromium_home: Path, display: str, trust_test_ca: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(chromium_home))  # where Chromium looks for whom to trust
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def visit(*, headless: bool, cookies: Any) -> Any:
        switches = [f"--remote-debugging-port={port}"]
        installed = InstalledBrowser(path, "Chromium")
        return BrowserVisit(browser=installed, headless=headless, cookies=cookies, switches=switches)

    person = Person(federation, port)
    person.start()
    session = Institution(
        federation.login_url(),
        name="uni",
        settings=InstitutionSettings(login_timeout_s=120),
        http=HttpClient(total_timeout_s=10),
        visit=visit,
    ).sign_in()
    person.join(_PATIENCE_S)
    assert session.is_authenticated()
    assert "Headless" not in session.get_user_agent()
    assert any(cookie["name"].startswith("_shibsession_") for cookie in session.get_cookies())
