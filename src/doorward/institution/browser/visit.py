"""Lets a person sign in with their own browser, and hands over its cookies once a probe has proven them.

The program types nothing, clicks nothing, reads no field and no page; watching.py sees what there is to see, and what
that means is evidence.py's business.

Playwright's asynchronous face runs on a loop in a thread of its own, for synchronous and asynchronous callers alike:
there every step has a deadline and can be cancelled, whatever the caller's own loop is doing. However a visit ends,
page, browser and driver are closed before the caller goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

from doorward.errors import (
    ConfigurationError,
    DoorwardError,
    SignInCancelled,
    SignInError,
    SignInRequired,
    SignInTimeout,
    TransportError,
    printable,
)
from doorward.institution.browser.installed import InstalledBrowser, find_browser
from doorward.institution.browser.launching import OpenedBrowser, check_display, check_playwright
from doorward.institution.browser.watching import Watch
from doorward.institution.observations import (
    CookieSeen,
    CookiesSeen,
    Crashed,
    Pending,
    Probed,
    ProbeNow,
    Refused,
    SignedIn,
    TimedOut,
    Verdict,
    WindowClosed,
)
from doorward.institution.reasons import probe_in_words
from doorward.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from playwright.async_api import Page

    from doorward.institution.evidence import Evidence
    from doorward.ports import Clock, Entropy

__all__ = ["BrowserCookies", "BrowserVisit", "Captured", "Probe", "Waits"]

BrowserCookies: TypeAlias = "Sequence[Mapping[str, Any]]"
"""Cookies as Playwright's ``context.cookies()`` gives and ``add_cookies()`` takes them."""

Probe: TypeAlias = "Callable[[BrowserCookies, str], Probed]"
"""Asks for the protected address with these cookies and this user agent. Blocks; runs in a thread of its own."""

_PROBE_TIMEOUT_S = 60.0
_TICK_S = 0.25
_NET_ERROR = re.compile(r"net::(ERR_[A-Z_]+)")


class Waits(Protocol):
    """What a visit asks of the settings: how often to look, and how long to wait, in seconds."""

    @property
    def poll_s(self) -> float: ...
    @property
    def page_timeout_s(self) -> float: ...
    @property
    def login_timeout_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Captured:
    """What the browser held when the probe succeeded with it."""

    cookies: BrowserCookies = field(repr=False)
    user_agent: str


def _say_nothing(_verdict: Verdict) -> None:
    pass


@final
class BrowserVisit:
    """One visit of a browser to a login page. ``drive`` or ``adrive`` it once.

    Args:
        browser: the one to start; by default the one ``find_browser`` finds.
        headless: without a window, for a renewal that asks nobody.
        cookies: what the browser holds from the beginning, for a renewal.
        switches: further switches of Chromium's command line, which every user of the machine can read.
        clock: for the instants of the evidence.
        entropy: for the key of the digests of cookies.
    """

    def __init__(  # noqa: PLR0913 - settings, all by keyword and with a default
        self,
        *,
        browser: InstalledBrowser | None = None,
        headless: bool = False,
        cookies: BrowserCookies = (),
        switches: Sequence[str] = (),
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self._browser = browser
        self._headless = headless
        self._cookies = cookies
        self._switches = tuple(switches)
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()

    def drive(
        self,
        login_url: str,
        evidence: Evidence,
        probe: Probe,
        settings: Waits,
        say: Callable[[Verdict], None] = _say_nothing,
    ) -> Captured:
        """Open ``login_url``, and wait until ``evidence`` says how the login ended.

        Args:
            login_url: where the login begins.
            evidence: judges what is seen; its ``history`` can be read afterwards.
            probe: what proves a login.
            settings: how long to wait for the first page and for the whole.
            say: told each new verdict, in the browser's thread.

        Returns:
            The cookies with which the probe succeeded, and the user agent.

        Raises:
            SignInCancelled: ``window_closed``.
            SignInTimeout: ``login_timeout``.
            SignInRequired: ``needs_person``: a renewal met a page that wants one.
            SignInError: ``browser_ended``, ``page_crashed``, ``browser_failed``, ``no_sandbox``, ``no_display``.
            TransportError: ``page_unreachable``, ``page_timeout``.
            ConfigurationError: ``no_browser``, ``playwright_missing``, ``playwright_debug``; field ``target``: somebody
                seems to be signed in, but the target goes on refusing the probe, for the reason that this gave.
        """
        running = self._start(login_url, evidence, probe, settings, say)
        try:
            while True:
                with suppress(NotYet):
                    return running.outcome.result(_TICK_S)  # in short waits: elsewhere Ctrl-C can't end a long one
        finally:
            running.end()

    async def adrive(
        self,
        login_url: str,
        evidence: Evidence,
        probe: Probe,
        settings: Waits,
        say: Callable[[Verdict], None] = _say_nothing,
    ) -> Captured:
        """Do what ``drive`` does, while the caller's loop goes on. A cancelled task waits for the browser to close."""
        running = self._start(login_url, evidence, probe, settings, say)
        outcome = asyncio.wrap_future(running.outcome)
        outcome.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to read it
        try:
            return await asyncio.shield(outcome)
        finally:
            running.cancel()
            await asyncio.wait((outcome,))  # a second cancellation leaves it to close by itself

    def _start(
        self,
        login_url: str,
        evidence: Evidence,
        probe: Probe,
        settings: Waits,
        say: Callable[[Verdict], None],
    ) -> _Running:
        check_playwright(os.environ)
        browser = self._browser or find_browser()
        if not self._headless:
            check_display(os.environ, sys.platform)
        secret = self._entropy.token_urlsafe(32).encode()
        watch = Watch(evidence, self._clock, say, lambda value: _digest(secret, value))

        async def visit() -> Captured:
            async with OpenedBrowser(browser, self._switches, headless=self._headless) as opened:
                return await _Visit(opened, watch, probe, settings).carry_out(login_url, self._cookies)

        return _Running(visit)


def _in_a_thread(probe: Callable[[], Probed]) -> Future[Probed]:
    """Begin a probe, which ends by its own deadline. A program that ends meanwhile does not wait for it."""
    outcome: Future[Probed] = Future()
    outcome.set_running_or_notify_cancel()  # from here on nobody can cancel it

    def run() -> None:
        try:
            outcome.set_result(probe())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            outcome.set_exception(error)

    threading.Thread(target=run, name="doorward-probe", daemon=True).start()
    return outcome


def _digest(secret: bytes, value: str) -> str:
    return hashlib.blake2b(value.encode(errors="surrogatepass"), key=secret, digest_size=16).hexdigest()


@final
class _Running:
    """A visit on a loop in a daemon thread of its own. ``outcome`` is set when everything is closed."""

    def __init__(self, visit: Callable[[], Coroutine[Any, Any, Captured]]) -> None:
        self.outcome: Future[Captured] = Future()
        self.outcome.set_running_or_notify_cancel()  # from here on nobody can cancel it, only the visit
        self._visit = visit
        self._lock = threading.Lock()
        self._cancelled = False
        self._task: asyncio.Task[Captured] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread = threading.Thread(target=self._run, name="doorward-browser", daemon=True)
        self.thread.start()

    def cancel(self) -> None:
        """Ask the visit to end, from any thread, at any time."""
        with self._lock:
            if not self._cancelled and self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._cancelled = True

    def end(self) -> None:
        """End the visit and wait until its browser is closed. A second Ctrl-C leaves it to close by itself."""
        self.cancel()
        while self.thread.is_alive():
            self.thread.join(_TICK_S)

    def _run(self) -> None:
        try:
            captured = asyncio.run(self._main())
        except asyncio.CancelledError:
            self.outcome.set_exception(SignInCancelled("The sign-in was stopped.", reason="stopped"))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(captured)

    async def _main(self) -> Captured:
        # What Playwright leaves unread when its driver dies would be logged, page addresses and all.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        task = asyncio.ensure_future(self._visit())
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), task
            if self._cancelled:
                task.cancel()
        try:
            return await task
        finally:
            with self._lock:
                self._loop = self._task = None


@final
class _Visit:
    """What happens between the first page and the verdict."""

    def __init__(self, opened: OpenedBrowser, watch: Watch, probe: Probe, waits: Waits) -> None:
        self._browser = opened.browser
        self._context = opened.context
        self._watch = watch
        self._probe = probe
        self._waits = waits
        self._cookies: BrowserCookies = ()
        self._user_agent = ""

    async def carry_out(self, login_url: str, cookies: BrowserCookies) -> Captured:
        try:
            async with asyncio.timeout(self._waits.login_timeout_s):
                verdict = await self._open_first_page(login_url, cookies)
                while isinstance(verdict, Pending | ProbeNow):
                    await asyncio.sleep(self._waits.poll_s)
                    verdict = await self._look()
        except TimeoutError:
            verdict = self._watch.observe(TimedOut("login"))
        if isinstance(verdict, SignedIn):
            return Captured(self._cookies, self._user_agent)
        raise _refusal(verdict, self._watch.target)

    async def _open_first_page(self, login_url: str, cookies: BrowserCookies) -> Verdict:
        from playwright.async_api import Error  # noqa: PLC0415 - an extra, and heavy
        from playwright.async_api import TimeoutError as TooLate  # noqa: PLC0415 - as above

        try:
            await self._context.add_cookies(cookies)  # type: ignore[arg-type] # dicts as they came from there
            page: Page = await self._context.new_page()
            self._user_agent = str(await page.evaluate("navigator.userAgent"))  # of about:blank, where nobody listens
            self._watch.follow(self._context, page)
            await page.goto(login_url, wait_until="domcontentloaded", timeout=self._waits.page_timeout_s * 1000)
        except TooLate:
            return self._watch.observe(TimedOut("page"))
        except Error as error:
            code = _NET_ERROR.search(error.message)
            if code and code[1] != "ERR_ABORTED" and self._browser.is_connected():
                self._watch.observe(Crashed("page_unreachable"))
                raise _unreachable(code[1]) from None
        return self._watch.verdict  # anything else will show: the page went elsewhere, the browser ended

    async def _look(self) -> Verdict:
        """Take in what there is to see now, and probe where that is worth it."""
        from playwright.async_api import Error  # noqa: PLC0415 - an extra, and heavy

        if not self._browser.is_connected():
            return self._watch.observe(Crashed("browser_ended"))
        if self._watch.crashed:
            return self._watch.observe(Crashed("page_crashed"))
        try:
            cookies = await self._context.cookies()
        except Error:  # not even that: the browser or its driver has gone
            return self._watch.observe(Crashed("browser_ended"))
        self._cookies = tuple(dict(cookie) for cookie in cookies)
        self._watch.look_at_pages()
        verdict = self._watch.observe(CookiesSeen(self._seen()))
        if not self._watch.pages and not isinstance(verdict, Refused):
            verdict = self._watch.observe(WindowClosed())
        if isinstance(verdict, ProbeNow):
            verdict = self._watch.observe(await self._ask())
        return verdict

    def _seen(self) -> tuple[CookieSeen, ...]:
        return tuple(
            CookieSeen(each["name"], each["domain"], each["path"], self._watch.digest(each["value"]))
            for each in self._cookies
        )

    async def _ask(self) -> Probed:
        asked = _in_a_thread(partial(self._probe, self._cookies, self._user_agent))
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                return await asyncio.wrap_future(asked)
        except TimeoutError:
            return Probed(valid=None, reason="probe_timeout")
        except DoorwardError as error:
            return Probed(valid=None, reason=error.reason)


_ENDINGS: Mapping[str, tuple[type[SignInError | TransportError], str]] = {
    "window_closed": (
        SignInCancelled,
        "The browser window was closed before the sign-in was done. Start it again when you are ready.",
    ),
    "browser_ended": (SignInError, "The browser ended in the middle of the sign-in. Start the sign-in again."),
    "page_crashed": (SignInError, "The page crashed in the middle of the sign-in. Start the sign-in again."),
    "page_timeout": (
        TransportError,
        "The login page did not load in time. Try again later, or raise page_timeout_s.",
    ),
    "login_timeout": (
        SignInTimeout,
        "The sign-in was not done in time. Start it again, or raise login_timeout_s.",
    ),
    "needs_person": (SignInRequired, "The institution wants to see you: sign in again in a browser window."),
}


def _refusal(verdict: Verdict, target: str) -> DoorwardError:
    shown = probe_in_words(verdict.shown) if isinstance(verdict, Refused) and verdict.shown else ""
    if verdict.reason in _ENDINGS:
        kind, message = _ENDINGS[verdict.reason]
        if shown:
            message += f" When last asked for, {printable(target)} did not open. {shown}"
        return kind(message, reason=verdict.reason)
    message = (
        f"You seem to be signed in, but {printable(target)} did not open. {shown} "
        "Give another target: a page or paper there that only members can open."
    )
    return ConfigurationError(message, field="target", reason=verdict.reason)


def _unreachable(code: str) -> TransportError:
    message = f"The browser can't reach the login page ({code}). Check the address and your connection, then try again."
    return TransportError(message, reason="page_unreachable")
