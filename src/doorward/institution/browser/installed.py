"""Finds the browser that a person has: Chrome, Edge or Chromium, which Playwright can drive. Starts nothing."""

from __future__ import annotations

import ntpath
import os
import posixpath
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["InstalledBrowser", "find_browser"]

_SETTING = "DOORWARD_BROWSER"

# In the order in which they are taken. A snap comes last: it is shut off from the folders of temporary files.
_LINUX = (
    ("Google Chrome", ("google-chrome", "google-chrome-stable", "/opt/google/chrome/chrome")),
    ("Microsoft Edge", ("microsoft-edge", "microsoft-edge-stable", "/opt/microsoft/msedge/msedge")),
    ("Chromium", ("chromium", "chromium-browser", "/usr/lib/chromium/chromium", "/snap/bin/chromium")),
)
_MACOS = (
    ("Google Chrome", "Google Chrome.app/Contents/MacOS/Google Chrome"),
    ("Microsoft Edge", "Microsoft Edge.app/Contents/MacOS/Microsoft Edge"),
    ("Chromium", "Chromium.app/Contents/MacOS/Chromium"),
)
_WINDOWS = (
    ("Google Chrome", r"Google\Chrome\Application\chrome.exe"),
    ("Microsoft Edge", r"Microsoft\Edge\Application\msedge.exe"),
    ("Chromium", r"Chromium\Application\chrome.exe"),
)
_OTHERS = ("firefox", "safari", "epiphany", "konqueror", "falkon", "lynx", "w3m", "links")

_HOW_TO_GET_ONE = {
    "darwin": "Install Google Chrome (https://www.google.com/chrome) or Microsoft Edge into Applications",
    "win32": "Install Google Chrome (https://www.google.com/chrome); Microsoft Edge is usually there already",
}
_HOW_ON_LINUX = (
    "Install one: `apt install chromium` (Debian), `dnf install chromium` (Fedora), "
    "or Google Chrome from https://www.google.com/chrome"
)


@dataclass(frozen=True, slots=True)
class InstalledBrowser:
    """A browser of the Chromium family on this computer."""

    path: str
    name: str


def find_browser(environment: Mapping[str, str] | None = None, *, platform: str = sys.platform) -> InstalledBrowser:
    """Find the browser that ``DOORWARD_BROWSER`` names, else Chrome, Edge or Chromium, whichever is there first.

    Args:
        environment: Environment variables; those of the process by default.
        platform: As ``sys.platform`` says it.

    Raises:
        ConfigurationError: ``no_browser``: there is none; ``browser_not_found``, ``browser_unsupported``: the one
            chosen is not there, or is not of the Chromium family.
    """
    environment = os.environ if environment is None else environment
    search_path = environment.get("PATH", os.defpath)
    chosen = environment.get(_SETTING, "").strip()
    if chosen:
        return _chosen(chosen, search_path)
    for name, candidate in _candidates(environment, platform):
        if found := shutil.which(candidate, path=search_path):
            return InstalledBrowser(found, name)
    how = _HOW_TO_GET_ONE.get(platform, _HOW_ON_LINUX)
    message = f"No Chrome, Edge or Chromium was found on this computer. {how}, or set {_SETTING} to the path of yours."
    raise ConfigurationError(message, field="browser", reason="no_browser")


def _chosen(chosen: str, search_path: str) -> InstalledBrowser:
    name = ntpath.basename(posixpath.basename(chosen))
    if any(other in name.lower() for other in _OTHERS):
        message = (
            f"{_SETTING} names {printable(name)}, which can't be driven here. "
            "Set it to Chrome, Edge or Chromium, or unset it."
        )
        raise ConfigurationError(message, field=_SETTING, reason="browser_unsupported")
    found = shutil.which(str(Path(chosen).expanduser()), path=search_path)
    if found is None:
        message = f"{_SETTING} is {printable(chosen)}, and no such program is here. Correct its path, or unset it."
        raise ConfigurationError(message, field=_SETTING, reason="browser_not_found")
    return InstalledBrowser(found, name)


def _candidates(environment: Mapping[str, str], platform: str) -> Iterator[tuple[str, str]]:
    if platform == "darwin":
        home = environment.get("HOME", "")
        for name, program in _MACOS:
            for folder in ("/Applications", *((f"{home}/Applications",) if home else ())):
                yield name, f"{folder}/{program}"
    elif platform == "win32":
        for name, program in _WINDOWS:
            for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
                if folder := environment.get(variable):
                    yield name, ntpath.join(folder, program)
    else:
        for name, programs in _LINUX:
            for program in programs:
                yield name, program
