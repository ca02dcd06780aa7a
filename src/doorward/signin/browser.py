"""Opens the person's own browser, or says in one line why that can't be done here and what to do instead (S11).

Nothing waits: a browser is started and left alone, and whoever started it asks now and then whether it failed. What the
surroundings are is read once, by ``look_around``; everything else here decides on that value.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, final
from urllib.parse import urlsplit

from doorward.children import without_secrets
from doorward.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "BrowserLaunch",
    "NoBrowser",
    "Reason",
    "Surroundings",
    "can_open_browser",
    "find_browser",
    "look_around",
    "open_browser",
    "surroundings_in_words",
]

Reason: TypeAlias = Literal[
    "browser_failed",
    "container",
    "jupyter_remote",
    "no_browser",
    "no_display",
    "ssh",
    "wsl_without_browser",
]

_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")  # the characters of RFC 3986

_GRAPHICAL = (
    "x-www-browser",
    "firefox",
    "google-chrome",
    "google-chrome-stable",
    "chromium",
    "chromium-browser",
    "microsoft-edge",
    "brave-browser",
    "vivaldi",
    "opera",
    "epiphany",
    "konqueror",
    "falkon",
)
# A provider's login page needs more than these can do, and they would take over the terminal.
_TEXT_MODE = frozenset(
    {"www-browser", "browsh", "carbonyl", "cha", "edbrowse", "elinks", "links", "links2", "lynx", "w3m"},
)
_SSH = frozenset({"SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"})
# GitHub Codespaces; VS Code's and code-server's remote shells (a local one has VSCODE_IPC_HOOK); Gitpod; Coder.
_REMOTE_EDITORS = frozenset(
    {"CODESPACES", "REMOTE_CONTAINERS", "VSCODE_IPC_HOOK_CLI", "GITPOD_WORKSPACE_ID", "CODER_WORKSPACE_NAME"}
)
_POWERSHELL = ("powershell.exe", "/mnt/c/Windows/System32/WindowsPowerShell/v1.0/powershell.exe")


@dataclass(frozen=True, slots=True)
class NoBrowser:
    """Why no browser was opened, and in ``message`` (or ``str``) what the person can do, in one line."""

    reason: Reason
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides whether a browser can be opened: ``platform`` is that of ``sys.platform``."""

    platform: str
    environment: Mapping[str, str] = field(repr=False)
    wsl: bool = False
    container: bool = False


def look_around(environment: Mapping[str, str] | None = None, *, root: Path = Path("/")) -> Surroundings:
    """Read the surroundings of this process.

    Args:
        environment: Environment variables; those of the process by default.
        root: Where the marker files of containers and WSL are looked for.
    """
    environment = os.environ if environment is None else environment
    container = any((root / marker).exists() for marker in (".dockerenv", "run/.containerenv"))
    try:
        kernel = (root / "proc/sys/kernel/osrelease").read_text(errors="replace")
    except OSError:
        kernel = ""
    return Surroundings(
        platform=sys.platform,
        environment=dict(environment),
        wsl="microsoft" in kernel.lower() and not container,  # a container there has the kernel, not the programs
        container=container or "KUBERNETES_SERVICE_HOST" in environment,
    )


@final
class BrowserLaunch:
    """A browser that was started, in a session of its own: neither Ctrl-C here nor our end reaches it."""

    def __init__(self, command: str, process: subprocess.Popen[bytes] | None, *, elsewhere: bool = False) -> None:
        self._command = command
        self._process = process
        self.elsewhere = elsewhere
        """Whether the browser may be on another computer, to which no redirect to this one's loopback comes."""

    def failure(self) -> NoBrowser | None:
        """Say, without waiting, whether the browser's command has ended with an error. Ask now and then."""
        if self._process is None or not self._process.poll():
            return None
        return _failed(self._command)


_running: set[subprocess.Popen[bytes]] = set()  # a browser may outlive its sign-in: kept until it can be reaped


def open_browser(url: str, *, surroundings: Surroundings | None = None) -> BrowserLaunch | NoBrowser:
    """Open ``url`` in the browser that ``BROWSER`` names, else in the system's. Never waits for it.

    Every user of the machine can read the URL while the browser starts, as an argument of its process: give it the
    listener's ``start_url`` (decision 3), and never an authorization URL.

    Raises:
        ConfigurationError: Not an absolute http or https URL.
    """
    if not _URL.fullmatch(url):
        message = "Only an absolute http or https URL can be opened in a browser."
        raise ConfigurationError(message, field="url", reason="url_invalid")
    surroundings = surroundings or look_around()
    for process in tuple(_running):
        if process.poll() is not None:
            _running.discard(process)
    obstacle = _obstacle(surroundings)
    chosen = [*_chosen_commands(url, surroundings)]
    commands = [*chosen, *(() if obstacle else _system_commands(url, surroundings))]
    for command in commands:
        try:
            return _start(command, surroundings, elsewhere=command in chosen and _is_remote(surroundings))
        except OSError:
            continue
    if commands:
        return _failed(commands[-1][0])
    if sys.platform == "win32" and obstacle is None:  # pragma: no cover - Windows
        try:
            os.startfile(url)  # noqa: S606 - the way Windows opens an address; there is no shell in it
        except OSError:
            return _failed("startfile")
        return BrowserLaunch("startfile", None)
    return _no_browser(obstacle or ("wsl_without_browser" if surroundings.wsl else "no_browser"), url)


def can_open_browser() -> bool:
    """Say whether ``open_browser`` would have something to start here."""
    surroundings = look_around()
    return _obstacle(surroundings) is None or any(_chosen_commands("http://127.0.0.1/", surroundings))


def find_browser(surroundings: Surroundings) -> str | NoBrowser:
    """Return the name of the program that ``open_browser`` would start first, and start nothing."""
    obstacle, url = _obstacle(surroundings), "http://127.0.0.1:8400/"
    system = () if obstacle else _system_commands(url, surroundings)
    for program, *_ in (*_chosen_commands(url, surroundings), *system):
        return Path(program).name
    if sys.platform == "win32" and obstacle is None:
        return "startfile"
    return _no_browser(obstacle or ("wsl_without_browser" if surroundings.wsl else "no_browser"), url)


def _start(command: list[str], surroundings: Surroundings, *, elsewhere: bool) -> BrowserLaunch:
    environment = without_secrets(surroundings.environment)
    if Path(command[0]).name == "xdg-open":  # left to itself, it falls back to browsers in text mode
        environment["BROWSER"] = ":".join(_GRAPHICAL)
    process = subprocess.Popen(  # noqa: S603 - the person's own browser; no shell, and the URL is checked
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _running.add(process)
    return BrowserLaunch(command[0], process, elsewhere=elsewhere)


def surroundings_in_words(surroundings: Surroundings) -> str:
    """Say where this runs, after "this runs"."""
    has = surroundings.environment.keys()
    places = {
        "in a container": surroundings.container,
        "in WSL": surroundings.wsl,
        "by SSH": bool(has & _SSH),
        "in a remote editor": bool(has & _REMOTE_EDITORS),
        "on JupyterHub": any(name.startswith("JUPYTERHUB_") for name in has),
    }
    return ", ".join(name for name, is_so in places.items() if is_so) or "on a computer of your own"


def _is_remote(surroundings: Surroundings) -> bool:
    """Say whether the person sits at another computer: in a remote editor, or by SSH without a display."""
    has = surroundings.environment.keys()
    return bool(has & _REMOTE_EDITORS) or (bool(has & _SSH) and not _has_display(surroundings))


def _has_display(surroundings: Surroundings) -> bool:
    return bool(surroundings.environment.get("DISPLAY") or surroundings.environment.get("WAYLAND_DISPLAY"))


def _obstacle(surroundings: Surroundings) -> Reason | None:
    """Say why the system's browser would not be on the person's screen."""
    has, desktop = surroundings.environment.keys(), surroundings.platform in {"darwin", "win32"}
    shown = _has_display(surroundings) and not desktop
    if has & {"JUPYTERHUB_API_URL", "JUPYTERHUB_USER"}:
        return "jupyter_remote"
    if has & _SSH and not shown:
        return "ssh"
    if shown or desktop or surroundings.wsl:
        return None
    return "container" if surroundings.container else "no_display"


def _find(name: str, surroundings: Surroundings) -> str | None:
    return shutil.which(name, path=surroundings.environment.get("PATH", os.defpath))


def _chosen_commands(url: str, surroundings: Surroundings) -> Iterator[list[str]]:
    """Read ``BROWSER``: commands separated by colons, ``%s`` for the URL.

    An editor's remote shell sets one that needs no display: it opens the browser at the other end.
    """
    can_draw = _has_display(surroundings) or surroundings.platform in {"darwin", "win32"}
    for choice in surroundings.environment.get("BROWSER", "").split(os.pathsep):
        try:
            words = shlex.split(choice)
        except ValueError:  # an unclosed quote
            continue
        program = _find(words[0], surroundings) if words else None
        if program is None or _is_text_mode(program) or (Path(program).name in _GRAPHICAL and not can_draw):
            continue
        arguments = [word.replace("%s", url) for word in words[1:] if word != "&"]
        yield [program, *arguments] if "%s" in choice else [program, *arguments, url]


def _is_text_mode(program: str) -> bool:
    return not _TEXT_MODE.isdisjoint({Path(program).name, Path(os.path.realpath(program)).name})


def _system_commands(url: str, surroundings: Surroundings) -> Iterator[list[str]]:
    candidates: list[list[str]] = []
    if surroundings.platform == "darwin":
        candidates = [["open", url]]
    if surroundings.wsl:
        quoted = url.replace("'", "''")
        start = ["-NoProfile", "-NonInteractive", "-Command", f"Start-Process '{quoted}'"]
        candidates = [["wslview", url], *([powershell, *start] for powershell in _POWERSHELL)]
    if _has_display(surroundings) and surroundings.platform != "darwin":
        candidates += [["xdg-open", url], ["gio", "open", url], *([name, url] for name in _GRAPHICAL)]
    for name, *arguments in candidates:
        program = _find(name, surroundings)
        if program is not None and not _is_text_mode(program):
            yield [program, *arguments]


def _failed(command: str) -> NoBrowser:
    name = printable(Path(command).name)
    return NoBrowser(
        "browser_failed",
        f"The browser did not open ({name} ended with an error). Open the sign-in address yourself, or set BROWSER.",
    )


_OPEN_ELSEWHERE = "Open the sign-in address in the browser of your own computer."
_WHY_NOT: Mapping[Reason, str] = {
    "container": f"This is a container, which has no browser. {_OPEN_ELSEWHERE}",
    "jupyter_remote": f"This notebook runs on a server, which can't open your browser. {_OPEN_ELSEWHERE}",
    "no_browser": "No browser was found here. Install one, or set BROWSER to the command of yours.",
    "no_display": f"There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set). {_OPEN_ELSEWHERE}",
    "wsl_without_browser": "WSL gives no way to a browser here. Install wslu, or open the sign-in address in Windows.",
}


def _no_browser(reason: Reason, url: str) -> NoBrowser:
    if reason != "ssh":
        return NoBrowser(reason, _WHY_NOT[reason])
    parts = urlsplit(url)
    host = "[::1]" if parts.hostname == "::1" else "127.0.0.1"
    return NoBrowser(
        "ssh",
        f"You are connected by SSH. On your own computer run: ssh -L {parts.port}:{host}:{parts.port} HOST "
        "(HOST as when you connected), then open the sign-in address in the browser there.",
    )
