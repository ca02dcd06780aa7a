"""A person before the browser that Doorward drives: another Playwright reaches it from outside, and fills in forms."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.http.client import HttpClient
from doorward.institution import Institution
from doorward.institution.browser.visit import BrowserVisit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    import pytest
    from playwright.sync_api import Page

    from doorward.institution import InstitutionSession
    from doorward.institution.institution import History
    from doorward.institution.routes import Route

__all__ = ["SWITCHES", "PersonAtTheWindow", "SignIn", "a_place_for_browsers"]

SWITCHES = ("--remote-debugging-port=0",)
"""What the browser is started with, so that it can be reached."""
_PATIENCE_S = 60.0


@contextlib.contextmanager
def a_place_for_browsers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep what browsers write in a folder of their own, with a name that is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="dw-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


class PersonAtTheWindow(threading.Thread):
    """``with PersonAtTheWindow(steps):`` they do ``steps`` in the page that the browser shows, once it shows one.

    The browser is the one that has its profile in ``TMPDIR``. It may close under their hands: then they are in.
    """

    def __init__(self, steps: Callable[[Page], object]) -> None:
        super().__init__(daemon=True)
        self._steps = steps
        self._trouble: Exception | None = None
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._is_over.set()
        self.join(_PATIENCE_S)
        if kind is None and self._trouble is not None and "closed" not in str(self._trouble):
            raise self._trouble

    def run(self) -> None:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an optional peer

        try:
            if address := self._window():
                with sync_playwright() as playwright:
                    browser = playwright.chromium.connect_over_cdp(address)
                    (page,) = [page for context in browser.contexts for page in context.pages]
                    page.set_default_timeout(20_000)
                    self._steps(page)
        except Exception as error:  # noqa: BLE001 - told to the test
            self._trouble = error

    def _window(self) -> str | None:
        """The other way into the browser, once it shows a page of the login; None where nobody waits any more."""
        give_up_at = time.monotonic() + _PATIENCE_S
        while time.monotonic() < give_up_at:
            for file in Path(os.environ["TMPDIR"]).glob("playwright*/DevToolsActivePort"):
                with contextlib.suppress(OSError, IndexError):
                    address = f"http://127.0.0.1:{file.read_text().split()[0]}"
                    with urllib.request.urlopen(f"{address}/json/list", timeout=5) as answer:
                        if any(each["url"].startswith("https://") for each in json.load(answer)):
                            return address
            if self._is_over.wait(0.05):
                return None
        raise TimeoutError("no login was to be seen")


class SignIn:
    """Signs a person in with the browser that Doorward drives; ``steps`` are what they do in its page."""

    def __init__(self) -> None:
        self.history: History = ()

    def __call__(self, where: str | Route, steps: Callable[[Page], object], **options: Any) -> InstitutionSession:
        def visit(*, headless: bool, cookies: Any) -> BrowserVisit:
            return BrowserVisit(headless=True, cookies=cookies, switches=SWITCHES)

        institution = Institution(where, http=HttpClient(total_timeout_s=10), visit=visit, **options)
        try:
            with PersonAtTheWindow(steps):
                return institution.sign_in()
        finally:
            self.history = institution.history
