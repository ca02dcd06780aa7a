"""Turns what Playwright tells of a context's pages into observations: addresses, methods, names of form fields.

No value of a form, no text of a page, no header is kept or passed on.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, final
from urllib.parse import urlsplit

from doorward.institution.observations import (
    Answered,
    Leaving,
    Observation,
    Posted,
    Refused,
    Settled,
    SignedIn,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import BrowserContext, Frame, Page, Request, Response

    from doorward.institution.evidence import Evidence
    from doorward.ports import Clock

__all__ = ["Watch"]

_TICKET = re.compile(r"(?:\A|&)ticket=(?:ST|PT)-")
_NO_PAGE = frozenset({204, 205})  # answers that leave the browser where it is


@final
class Watch:
    """Follows the pages of one context. Lives on the loop that Playwright runs on.

    Args:
        evidence: told what is seen.
        clock: for the instants.
        say: told each verdict that differs from the one before.
        digest: makes of a cookie's value what tells it from another.
    """

    def __init__(
        self, evidence: Evidence, clock: Clock, say: Callable[[Verdict], None], digest: Callable[[str], str]
    ) -> None:
        self._evidence = evidence
        self._clock = clock
        self._say = say
        self.digest = digest
        self.pages: list[Page] = []
        self.crashed = False
        self._under_way: dict[Page, Request] = {}
        self._shown: dict[Page, str] = {}

    @property
    def verdict(self) -> Verdict:
        """What the evidence said last."""
        return self._evidence.verdict

    @property
    def target(self) -> str:
        """What proves the login."""
        return self._evidence.target

    def observe(self, observation: Observation) -> Verdict:
        """Tell the evidence, and whoever listens where the verdict is another."""
        before = self._evidence.verdict
        verdict = self._evidence.observe(observation, self._clock.monotonic())
        if verdict != before and not isinstance(before, SignedIn | Refused):
            self._say(verdict)
        return verdict

    def follow(self, context: BrowserContext, page: Page) -> None:
        """Begin to watch: this page, and each that opens from now on."""
        context.on("request", self._requested)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)
        context.on("page", self._opened)
        self._opened(page)

    def look_at_pages(self) -> None:
        """Note where pages have gone without a request: a script can change the address alone."""
        for page in self.pages:
            if page not in self._under_way and page in self._shown and page.url != self._shown[page]:
                self._settled(page)

    def _opened(self, page: Page) -> None:
        if page in self.pages:
            return
        self.pages.append(page)
        page.on("domcontentloaded", self._settled)
        page.on("close", self._closed)
        page.on("crash", self._crashed)

    def _closed(self, page: Page) -> None:
        self.pages.remove(page)
        self._under_way.pop(page, None)
        self._shown.pop(page, None)
        if self.pages and self.pages[-1] in self._shown:  # a pop-up is done: what is behind it counts again
            self._settled(self.pages[-1])

    def _crashed(self, _page: Page) -> None:
        self.crashed = True

    def _requested(self, request: Request) -> None:
        page = _page_of(request)
        if page is None:
            return
        self._under_way[page] = request
        self.observe(Leaving(request.url))
        if request.method == "POST" and _posts_assertion(request):
            self.observe(Posted(request.url, "SAMLResponse"))
        elif request.method == "GET" and _TICKET.search(urlsplit(request.url).query):
            self.observe(Posted(request.url, "ticket"))

    def _answered(self, response: Response) -> None:
        page = _page_of(response.request)
        if page is None:
            return
        self.observe(Answered(response.url, response.status))
        if response.status in _NO_PAGE:
            self._stays(page, response.request)

    def _failed(self, request: Request) -> None:
        page = _page_of(request)
        if page is not None:
            self._stays(page, request)

    def _stays(self, page: Page, request: Request) -> None:
        """The request leads nowhere: another has taken its place, or the page is still the one it was."""
        if self._under_way.get(page) is request:
            self._settled(page)

    def _settled(self, page: Page) -> None:
        self._under_way.pop(page, None)
        self._shown[page] = page.url
        self.observe(Settled(page.url))


def _page_of(request: Request) -> Page | None:
    """Return the page whose main frame asks to go elsewhere with this request, or None."""
    from playwright.async_api import Error  # noqa: PLC0415 - an extra, and heavy

    with suppress(Error):  # a request of no frame, or of one that is gone
        if request.is_navigation_request():
            frame: Frame = request.frame
            if frame.parent_frame is None:
                return frame.page
    return None


def _posts_assertion(request: Request) -> bool:
    """Tell a form that one site had the browser post to another, as identity providers do with what they assert.

    Not by what it holds: a form may hold a password, and nobody looks into those here.
    """
    origin = request.headers.get("origin")
    return origin is not None and origin != "{0.scheme}://{0.netloc}".format(urlsplit(request.url))
