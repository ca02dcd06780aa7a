"""The person of ``doorward demo --auto``: headless Chromium, in a process of its own, that presses Allow at DevIssuer.

``open_browser`` starts it like any browser. It ends by itself, whatever happens.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.util import find_spec

from doorward.errors import ConfigurationError

__all__ = ["browser_command"]

_STEP_TIMEOUT_MS = 20_000
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")


def browser_command() -> str:
    """Return the command for ``BROWSER``.

    Raises:
        ConfigurationError: Playwright or Chromium is missing.
    """
    if find_spec("playwright") is None or _chromium() is None:
        missing = "the playwright package: pip install 'doorward[browser]'" if _chromium() else "Chromium: install it"
        message = f"--auto needs {missing}. Without --auto, the demo uses your own browser."
        raise ConfigurationError(message, field="--auto", reason="no_headless_browser")
    return shlex.join([sys.executable, "-P", "-m", __name__, "%s"])


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, _CHROMIUMS)), None)


def _press_allow(address: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), timeout=_STEP_TIMEOUT_MS)
        page = browser.new_page()
        page.set_default_timeout(_STEP_TIMEOUT_MS)
        page.goto(address)
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url("**/callback?*")
        browser.close()


if __name__ == "__main__":
    _press_allow(sys.argv[1])
