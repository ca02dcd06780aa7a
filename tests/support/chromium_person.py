"""Somebody whose browser is Chromium, for sign-ins at a real provider."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from people import Onlooker

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from playwright.sync_api import Page

    from doorward.protocol.token_endpoint import DeviceAuthorization

__all__ = ["Person", "Steps"]

Steps: TypeAlias = "Callable[[Page, str], None]"


class Person(Onlooker):
    """Somebody whose browser is Chromium: what the system is told to open, it opens, and ``steps`` are what they do."""

    def __init__(self, chromium: Any, opened: Path, steps: Steps) -> None:
        super().__init__()
        self._chromium = chromium
        self._opened = opened
        self._steps = steps
        self.browsing: Future[str] | None = None

    def browser_opened(self, address: str) -> None:
        super().browser_opened(address)
        deadline = time.monotonic() + 10
        while not (self._opened.exists() and self._opened.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self._browse(self._opened.read_text().strip())

    def device_code(self, authorization: DeviceAuthorization) -> None:
        super().device_code(authorization)
        self._browse(authorization.verification_uri_complete or authorization.verification_uri)

    def _browse(self, url: str) -> None:
        def visit(page: Page) -> str:
            self._steps(page, url)
            return page.inner_text("body")

        self.browsing = self._chromium.start(visit)

    def last_page(self) -> str:
        return self.browsing.result(60)
