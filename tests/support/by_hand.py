"""A visit in which a person signs in by hand, in another Chromium: what they see is not the product's to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.institution.browser.visit import Captured

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

__all__ = ["ByHand"]


class ByHand:
    """Stands in for the window of ``BrowserVisit``: ``steps(page, login_url)`` are what the person does in it."""

    def __init__(self, chromium: Any, steps: Callable[[Page, str], None]) -> None:
        self._chromium = chromium
        self._steps = steps

    def drive(self, login_url: str, _evidence: Any, probe: Any, *_: Any) -> Captured:
        def visit(page: Page) -> Captured:
            self._steps(page, login_url)
            return Captured(page.context.cookies(), page.evaluate("navigator.userAgent"))

        captured: Captured = self._chromium.run(visit)
        probed = probe(captured.cookies, captured.user_agent)
        assert probed.valid, probed.reason
        return captured
