"""A terminal, and a program that runs in it: what a person sees, and what they type."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import subprocess
import termios
import time
from typing import Self

from command_line import DEADLINE_S, DOORWARD

__all__ = ["Terminal"]


class Terminal:
    """The command ``doorward`` in a terminal of 80 columns. ``can_type`` is whether its input is the terminal too."""

    def __init__(
        self, *arguments: str, rows: int = 24, columns: int = 80, can_type: bool = True, **environment: str
    ) -> None:
        self._main, side = pty.openpty()
        size = {"COLUMNS": str(columns), "LINES": str(rows), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [DOORWARD, *arguments],
            env={**os.environ, **size, **environment},
            stdin=side if can_type else subprocess.DEVNULL,
            stdout=side,
            stderr=side,
        )
        os.close(side)
        self.shown = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a character

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._main)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read until the pattern is on the screen."""
        give_up_at = time.monotonic() + DEADLINE_S
        while (found := re.search(pattern, self.plain)) is None:
            assert time.monotonic() < give_up_at, self.shown
            assert self._read(), f"ended before {pattern!r} was shown: {self.shown}"
        return found

    def rest(self) -> str:
        """Read until the process ends; return everything it showed."""
        while self._read():
            pass
        self.process.wait(timeout=DEADLINE_S)
        return self.shown

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    @property
    def edits_lines(self) -> bool:
        return bool(termios.tcgetattr(self._main)[3] & termios.ICANON)

    @property
    def plain(self) -> str:
        """What was shown, without escape sequences; a line that was drawn again stands below the first one."""
        return re.sub(r"\r+\n?", "\n", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown))

    def _read(self) -> bool:
        if not select.select([self._main], [], [], DEADLINE_S)[0]:
            return False
        try:
            data = os.read(self._main, 65_536)
        except OSError:  # Linux says so when the last process of the terminal has gone
            return False
        self.shown += self._decoder.decode(data)
        return bool(data)
