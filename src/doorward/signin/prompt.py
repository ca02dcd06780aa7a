"""How a sign-in speaks to the person: a Protocol, and the plain terminal that is used when nothing better is given.

Nothing here decides anything. Text that came from a provider has been made printable before it arrives.
"""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from doorward.protocol.token_endpoint import DeviceAuthorization

__all__ = ["Prompt", "TerminalPrompt", "read_line_now"]


class Prompt(Protocol):
    """What a sign-in tells the person, and the one thing it asks."""

    @property
    def attended(self) -> bool:
        """Whether somebody is there to read and answer."""
        ...

    def browser_opened(self, address: str) -> None:
        """Say that the browser was opened, and give the address in case no window came up."""
        ...

    def open_yourself(self, address: str, *, why: str, redirect_uri: str, device_offered: bool) -> None:
        """Ask the person to open ``address``, because of ``why``."""
        ...

    def device_code(self, authorization: DeviceAuthorization) -> None:
        """Show the address and the code of the device flow."""
        ...

    def callback_refused(self, why: str) -> None:
        """Say that something other than the provider called back, and that the sign-in goes on waiting."""
        ...

    def paste_refused(self, why: str) -> None:
        """Say that what was pasted is of no use, and that the sign-in goes on waiting."""
        ...

    def pasted(self) -> str | None:
        """Return a line the person has pasted by now, without waiting; None if there is none."""
        ...


class TerminalPrompt:
    """Plain lines on standard error; a pasted line is read from standard input where that is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr

    @property
    def attended(self) -> bool:
        return _is_terminal(sys.stdin) or "ipykernel" in sys.modules

    def browser_opened(self, address: str) -> None:
        self._say(
            f"Sign in in the browser window that has just opened. If none did, open this address:\n\n  {address}\n"
        )

    def open_yourself(self, address: str, *, why: str, redirect_uri: str, device_offered: bool) -> None:
        self._say(f"{why}\nOpen this address in a browser:\n\n  {address}\n")
        self._say(f"The browser then goes to {redirect_uri}. If it is on another computer, forward that port first.")
        if _can_paste():
            self._say("Or paste the whole address it ends at here (a page that does not load is fine).")
        if device_offered:
            self._say('This provider also offers a code to type in elsewhere: use mode="device", or --device.')

    def device_code(self, authorization: DeviceAuthorization) -> None:
        self._say(f"Open {authorization.verification_uri} on any device and enter the code {authorization.user_code}")

    def callback_refused(self, why: str) -> None:
        self._say(f"A callback was refused: {why} Still waiting for the real one.")

    def paste_refused(self, why: str) -> None:
        self._say(f"{why} Paste the whole address that the browser ended at.")

    def pasted(self) -> str | None:
        return read_line_now()

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def read_line_now() -> str | None:
    """Return the line waiting on the terminal, or None. Never blocks. None on systems that can't poll a terminal."""
    if not _can_paste():
        return None
    descriptor = sys.stdin.fileno()
    if not select.select([descriptor], [], [], 0)[0]:
        return None
    return os.read(descriptor, 65_536).decode(errors="replace").strip() or None


def _can_paste() -> bool:
    return sys.platform != "win32" and _is_terminal(sys.stdin)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
