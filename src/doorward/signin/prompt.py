"""How a sign-in speaks to the person: a Protocol, and the plain terminal that is used when nothing better is given.

Nothing here decides anything. Text that came from a provider has been made printable before it arrives.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO, runtime_checkable

if TYPE_CHECKING:
    from doorward.protocol.token_endpoint import DeviceAuthorization

__all__ = ["Prompt", "TerminalPrompt", "in_notebook", "read_line_now", "stop_reading"]

_ERASE, _KILL = (0x7F, 0x08), 0x15  # Backspace, Ctrl-U
_LONGEST_LINE = 262_144


@runtime_checkable
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
    """Plain lines on standard error. What is pasted is read from the terminal, in a notebook by ``input()``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._by_input = False

    @property
    def attended(self) -> bool:
        return _is_terminal(sys.stdin) or in_notebook()

    @property
    def readable(self) -> bool:
        """Whether somebody may read what is said, even one who can't answer."""
        return self.attended or _is_terminal(self._stream)

    def browser_opened(self, address: str) -> None:
        self._say(
            f"Sign in in the browser window that has just opened. If none did, open this address:\n\n  {address}\n"
        )

    def open_yourself(self, address: str, *, why: str, redirect_uri: str, device_offered: bool) -> None:
        self._say(f"{why}\nOpen this address in a browser:\n\n  {address}\n")
        self._say(f"The browser then goes to {redirect_uri}. If it is on another computer, forward that port first.")
        self._by_input = in_notebook()
        if self._by_input or _can_paste():
            self._say("Or paste the whole address it ends at here (a page that does not load is fine).")
        if device_offered:
            self._say('This provider also offers a code to type in elsewhere: use mode="device", or --device.')

    def device_code(self, authorization: DeviceAuthorization) -> None:
        self._say(f"Open {authorization.verification_uri} on any device and enter the code {authorization.user_code}")

    def waiting_for_another(self, profile: str, timeout_s: float) -> None:
        """Say that somebody else is signing this profile in, whose answer will do for both."""
        self._say(
            f"Another program is signing in as profile {profile!r} now. Finish that sign-in, in its browser window or "
            f"terminal: it counts here too. Or end that program. Waiting for {timeout_s:.0f} s at most."
        )

    def callback_refused(self, why: str) -> None:
        self._say(f"A callback was refused: {why} Still waiting for the real one.")

    def paste_refused(self, why: str) -> None:
        self._say(f"{why} Paste the whole address that the browser ended at.")

    def pasted(self) -> str | None:
        if not self._by_input:
            return read_line_now()
        try:
            return input("The address that the browser ended at: ").strip() or None
        except (EOFError, NotImplementedError):  # a notebook that nobody sits at, as nbconvert and papermill run them
            self._by_input = False
            return None

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def in_notebook() -> bool:
    """Say whether this code runs in a Jupyter kernel: a person may be there, but no terminal."""
    return "ipykernel" in sys.modules


def read_line_now() -> str | None:
    """Return what was typed or pasted at the terminal and ended with Enter, or None. Never blocks.

    Lines that came together are one: an address that was broken into several. None on systems that can't poll a
    terminal, and in the background. After the last call, ``stop_reading``.
    """
    return _keyboard.line() if _can_paste() else None


def stop_reading() -> None:
    """Give the terminal back as it was before ``read_line_now``."""
    _keyboard.stop()


class _Keyboard:
    """What is typed at the terminal, however long a line.

    A terminal that edits lines itself keeps 4095 characters of one and drops the rest, and an address with a code in it
    can be longer. So this one is told to hand over each character; it goes on to echo them.
    """

    def __init__(self) -> None:
        self._before: tuple[int, list[Any]] | None = None
        self._typed = bytearray()

    def line(self) -> str | None:
        descriptor = sys.stdin.fileno()
        if not _in_foreground(descriptor):  # to read would stop this process
            return None
        if self._before is None:
            self._begin(descriptor)
        while select.select([descriptor], [], [], 0)[0]:
            data = os.read(descriptor, 65_536)
            if not data:
                break
            for key in data:
                if key in _ERASE:
                    del self._typed[-1:]
                elif key == _KILL:
                    self._typed.clear()
                elif len(self._typed) < _LONGEST_LINE:
                    self._typed.append(key)
        lines, end, rest = self._typed.rpartition(b"\n")
        if not end:
            return None
        self._typed = rest
        return "".join(lines.decode(errors="replace").split()) or None

    def stop(self) -> None:
        before, self._before = self._before, None
        self._typed.clear()
        if before is not None and _in_foreground(before[0]):
            _set_mode(*before)

    def _begin(self, descriptor: int) -> None:
        import termios  # noqa: PLC0415 - not there on Windows

        with suppress(termios.error):
            mode = termios.tcgetattr(descriptor)
            self._before = descriptor, [*mode]
            mode[3] &= ~termios.ICANON
            _set_mode(descriptor, mode)


_keyboard = _Keyboard()


def _set_mode(descriptor: int, mode: list[Any]) -> None:
    import termios  # noqa: PLC0415 - as above

    with suppress(termios.error):
        termios.tcsetattr(descriptor, termios.TCSANOW, mode)


def _in_foreground(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # not the terminal that this process belongs to
        return True


def _can_paste() -> bool:
    return sys.platform != "win32" and _is_terminal(sys.stdin)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
