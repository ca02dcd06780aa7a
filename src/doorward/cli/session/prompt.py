"""How ``login`` speaks to the person: on standard error, with what it waits for and for how long still.

It implements ``signin.prompt.Prompt`` and decides nothing. Standard output stays free for the result.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from doorward.cli.terminal import make_console
from doorward.cli.view import duration_in_words
from doorward.errors import printable
from doorward.signin.prompt import read_line_now

if TYPE_CHECKING:
    from types import TracebackType

    from doorward.ports import Clock
    from doorward.protocol.token_endpoint import DeviceAuthorization

__all__ = ["TerminalPrompt"]


class TerminalPrompt:
    """Lines, and on a terminal a spinner below them while nothing is left to do but wait. A context manager.

    ``other_way`` is said, instead of a word on the device flow, to somebody who has no browser here. A ``quiet`` one
    says nothing, and nobody is there to answer.
    """

    def __init__(
        self, *, issuer: str, timeout_s: float, clock: Clock, other_way: str | None = None, quiet: bool = False
    ) -> None:
        self._console = make_console(stderr=True)
        self._console.quiet = quiet
        self._issuer = printable(issuer)
        self._timeout_s = timeout_s
        self._clock = clock
        self._other_way = other_way
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._wait(f"Asking {self._issuer} how to sign in")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_waiting()

    @property
    def attended(self) -> bool:
        """Whether somebody can read what is said and answer."""
        return self.readable and sys.stdin.isatty()

    @property
    def readable(self) -> bool:
        """Whether somebody may read what is said, even one who can't answer."""
        return not self._console.quiet and sys.stderr.isatty()

    def browser_opened(self, address: str) -> None:
        """Say where to look, and the address for when no window came up."""
        self._stop_waiting()
        self._say("Your browser opens the sign-in page. If no window comes up, open this address:")
        self._say_address(address)
        self._wait("Waiting for you in the browser", self._timeout_s)

    def open_yourself(self, address: str, *, why: str, redirect_uri: str, device_offered: bool) -> None:
        """Give the address to somebody whose browser can't be opened from here, and say how to get back."""
        self._stop_waiting()  # what the person pastes would run into it
        self._say(f"{why} The sign-in address:")
        self._say_address(address)
        self._say(
            f"The browser ends at {redirect_uri}. If that page does not load, because the browser runs on another "
            "computer, paste its whole address here."
        )
        if self._other_way is not None:
            self._say(self._other_way)
        elif device_offered:
            self._say("Or press Ctrl-C, add --device, and sign in on your telephone.")
        self._say(f"Waiting for you, for {duration_in_words(self._timeout_s)} at most…")

    def device_code(self, authorization: DeviceAuthorization) -> None:
        """Show the address and the code, and where there is room, a picture of both for a telephone's camera."""
        self._stop_waiting()
        address, code = authorization.verification_uri, authorization.user_code
        picture = self._picture(authorization.verification_uri_complete or address, beside=address)
        if picture is not None:
            steps = (
                Text("Scan this with a telephone. Or open"),
                Text(address, style="bold"),
                Text("on any device, and enter this code:"),
                _boxed(code),
            )
            table = Table.grid(padding=(0, 4))
            table.add_row(picture, Padding(Group(*(Padding(step, (0, 0, 1, 0)) for step in steps)), (2, 0)))
            self._console.print(Padding(table, (1, 0, 1, 2)))
        else:
            self._say("On any device, open this address:")
            self._say_address(address)
            self._say("and enter this code:")
            roomy = self._console.is_terminal and self._console.width > _WIDTH_BESIDE_PICTURE
            self._console.print(Padding(_boxed(code), (0, 2)) if roomy else f"\n{code}\n")
        lifetime_s = authorization.expires_at - self._clock.now()
        self._wait("Waiting for you to enter it", min(self._timeout_s, lifetime_s))

    def waiting_for_another(self, profile: str, timeout_s: float) -> None:
        """Say that somebody else is signing this profile in, whose answer will do for both."""
        self._stop_waiting()
        self._say(
            f"Another program is signing in as profile {profile} now. Finish that sign-in, in its browser window or "
            "terminal: it counts here too. Or end that program, or give another --profile."
        )
        self._wait("Waiting for the other sign-in", timeout_s)

    def callback_refused(self, why: str) -> None:
        """Say that something else than the provider called, and that nothing is lost."""
        self._say(f"Something else called back and was refused: {why} Still waiting for the real answer.")

    def paste_refused(self, why: str) -> None:
        """Say that what was pasted is of no use, and what is wanted."""
        self._say(f"{why} Paste the whole address that the browser ended at.")

    def pasted(self) -> str | None:
        """Return a line that was pasted by now, without waiting."""
        return read_line_now()

    def _say(self, text: str) -> None:
        self._console.print(Text(text))

    def _picture(self, address: str, *, beside: str) -> Text | None:
        """Draw the QR code of an address, if this is a terminal with room for it and the text beside it."""
        if not self._console.is_terminal or len(address) > _LONGEST_IN_PICTURE:
            return None
        lines = _qr_lines(address)
        width = len(lines[0]) + max(len(beside), _WIDTH_BESIDE_PICTURE) + 6
        if width > self._console.width or len(lines) + 4 > self._console.height:
            return None
        return Text("\n".join(lines), style="#ffffff on #000000", no_wrap=True)

    def _say_address(self, address: str) -> None:
        """Print an address so that it can be copied: no line break is put in, the terminal wraps it."""
        self._console.print()
        self._console.print(Text(address, style="bold"), soft_wrap=True)
        self._console.print()

    def _wait(self, what: str, timeout_s: float | None = None) -> None:
        """Show what is waited for: turning on a terminal, as a line elsewhere."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            if timeout_s is not None:
                self._say(f"{what}, for {duration_in_words(timeout_s)} at most…")
            return
        until = None if timeout_s is None else self._clock.monotonic() + timeout_s
        waiting = _Waiting(what, until, self._clock)
        self._live = Live(waiting, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def _stop_waiting(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class _Waiting:
    """A spinner, what is waited for, and how long still."""

    def __init__(self, what: str, until: float | None, clock: Clock) -> None:
        self._what = what
        self._until = until
        self._clock = clock
        self._spinner = Spinner("dots")

    def __rich__(self) -> Spinner:
        left = ""
        if self._until is not None:
            left_s = max(0, int(self._until - self._clock.monotonic()))
            left = f" ({left_s // 60}:{left_s % 60:02} left, Ctrl-C stops)"
        self._spinner.update(text=Text(f"{self._what}…{left}"))
        return self._spinner


_WIDTH_BESIDE_PICTURE = 36
_LONGEST_IN_PICTURE = 300


def _boxed(code: str) -> Panel:
    return Panel.fit(Text(code, style="bold"), padding=(1, 5))


def _qr_lines(address: str) -> list[str]:
    """Draw a QR code, two modules to a character, light ones as ink: right on a dark ground, colours or not."""
    import segno

    rows = [bytes(row) for row in segno.make_qr(address, error="l").matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append(bytes(len(rows[0])))
    ink = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
    return ["".join(ink[both] for both in zip(*pair, strict=True)) for pair in zip(rows[::2], rows[1::2], strict=True)]
