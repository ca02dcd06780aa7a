"""Starts a browser with an isolated context, undisguised, and closes it with its driver whatever happens.

The context is never on disk; the browser's empty profile is, in a temporary folder. The driver removes it, and so does
this module: of a browser that was killed, children may still write there while the driver cleans. If this process is
killed, the driver ends the browser; if the driver is killed, the browser ends with its pipe.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, final

from doorward.children import without_secrets
from doorward.errors import ConfigurationError, SignInError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from playwright.async_api import Browser, BrowserContext, Playwright

    from doorward.institution.browser.installed import InstalledBrowser

__all__ = ["OpenedBrowser", "check_display", "check_playwright"]

_LAUNCH_TIMEOUT_S = 60.0
_CLOSE_TIMEOUT_S = 5.0
_CLEANING_S, _CLEANING_STEP_S = 3.0, 0.1
_PROFILE = re.compile(r"--user-data-dir=(\S*/playwright_\S+)")
_STOP_TIMEOUT_S = 35.0  # the driver kills a browser that will not close after 30 s at the latest


def check_playwright(environment: Mapping[str, str]) -> None:
    """Refuse to start where there is no Playwright, or where it would write what it sees to a log."""
    try:
        import playwright.async_api  # noqa: F401, PLC0415 - an extra, and heavy
    except ImportError:
        message = "Signing in at an institution needs Playwright: pip install 'doorward[browser]'."
        raise ConfigurationError(message, field="browser", reason="playwright_missing") from None
    namespaces = re.split(r"[\s,]+", environment.get("DEBUG", ""))
    loud = [name for name in ("DEBUGP", "PWDEBUG") if environment.get(name)]
    if any(_names_playwright(name) for name in namespaces):
        loud.append("DEBUG")
    if loud:
        message = (
            f"{loud[0]} is set, with which Playwright writes cookies and forms to its log. Unset it and try again."
        )
        raise ConfigurationError(message, field=loud[0], reason="playwright_debug")


def _names_playwright(namespace: str) -> bool:
    """Whether a namespace of DEBUG, which may have ``*`` in it, is one of Playwright's (``pw:…``)."""
    beginning, star, _ = namespace.partition("*")
    return beginning.startswith("pw:") or (bool(star) and "pw:".startswith(beginning))


def check_display(environment: Mapping[str, str], platform: str) -> None:
    """Refuse to open a window where there is nowhere to show it."""
    if platform in {"darwin", "win32"} or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"):
        return
    raise _no_display("There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set)")


def _no_display(what: str) -> SignInError:
    message = (
        f"{what}, and you sign in at an institution in a browser window. Run this on the computer you sit at, "
        "or connect with a display (ssh -X, a remote desktop)."
    )
    return SignInError(message, reason="no_display")


@final
class OpenedBrowser:
    """A browser with an isolated context, and its closing. An asynchronous context manager."""

    def __init__(self, installed: InstalledBrowser, switches: Sequence[str], *, headless: bool) -> None:
        self._installed = installed
        self._switches = switches
        self._headless = headless
        self._playwright: Playwright | None = None
        self._profile: Path | None = None
        self.browser: Browser
        self.context: BrowserContext

    async def __aenter__(self) -> OpenedBrowser:
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _open(self) -> None:
        from playwright.async_api import Error, async_playwright  # noqa: PLC0415 - an extra, and heavy

        try:
            async with asyncio.timeout(_LAUNCH_TIMEOUT_S):
                self._playwright = await async_playwright().start()
                self.browser = await self._playwright.chromium.launch(
                    executable_path=self._installed.path,
                    headless=self._headless,
                    args=[*self._switches],
                    chromium_sandbox=not _is_root(),  # Chromium has none for root
                    env={**without_secrets(os.environ)},
                    handle_sigint=False,  # Ctrl-C is ours to answer; it reaches the driver too
                    timeout=_LAUNCH_TIMEOUT_S * 1000,
                )
                self._profile = await _profile_of(self.browser)
                self.context = await self.browser.new_context(
                    no_viewport=True, accept_downloads=False, color_scheme="null"
                )
        except (Error, TimeoutError) as error:
            raise self._failed(str(error)) from None  # its text has the command line and the browser's own log

    def _failed(self, log: str) -> SignInError:
        if "Missing X server" in log or "cannot open display" in log.lower():
            return _no_display("The display that DISPLAY or WAYLAND_DISPLAY names can't be used")
        name = printable(self._installed.name)
        if "sandboxing failed" in log:
            message = (
                f"{name} can't start its sandbox here. Allow unprivileged user namespaces on this computer, "
                "or set DOORWARD_BROWSER to a browser that brings its own."
            )
            return SignInError(message, reason="no_sandbox")
        message = (
            f"{name} did not start. Try to start it yourself ({printable(self._installed.path)}), "
            "or set DOORWARD_BROWSER to another."
        )
        return SignInError(message, reason="browser_failed")

    async def _close(self) -> None:
        """Close browser and driver. Carried to its end by a task of its own, whatever is cancelled."""
        closing = asyncio.ensure_future(self._close_both())
        cancelled = False
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    async def _close_both(self) -> None:
        if self._playwright is None:
            return
        with suppress(Exception):  # gone already, or it hangs: then the driver kills it when it ends
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.browser.close()
        with suppress(Exception):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._playwright.stop()
        if self._profile is not None:
            for _ in range(round(_CLEANING_S / _CLEANING_STEP_S)):
                if not self._profile.exists():
                    break
                shutil.rmtree(self._profile, ignore_errors=True)
                await asyncio.sleep(_CLEANING_STEP_S)


async def _profile_of(browser: Browser) -> Path | None:
    """Return the temporary folder that the driver made for the browser. It tells nobody, but the browser knows."""
    session = await browser.new_browser_cdp_session()
    found = _PROFILE.search(str((await session.send("SystemInfo.getInfo")).get("commandLine")))
    await session.detach()
    return None if found is None else Path(found[1])


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
