"""How the demo tells its story: numbered steps, plain lines, and a mark at what went well or badly. No decisions.

The marks differ in shape, the colours only repeat them. Where no terminal is, the same lines come without colours.
"""

from __future__ import annotations

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from doorward.cli.terminal import make_console, show

__all__ = ["Story"]

_INDENT = 3


class Story:
    """Prints as it goes; nothing if it is ``quiet``."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = make_console()
        self._quiet = quiet
        self._steps = 0

    def title(self, text: str) -> None:
        """Begin."""
        self._print(Text(text, style="bold"))

    def step(self, text: str) -> None:
        """Begin the next step."""
        self._steps += 1
        self._print(Text(f"\n{self._steps}  {text}", style="bold"))

    def say(self, text: str) -> None:
        """Tell what happens."""
        self._print(Padding(Text(text), (0, 0, 0, _INDENT), expand=False))

    def good(self, text: str) -> None:
        """Tell what went as it should."""
        self._marked("✓", "green", text)

    def bad(self, text: str) -> None:
        """Tell what did not."""
        self._marked("!", "red", text)

    def rows(self, *rows: tuple[str, ...]) -> None:
        """Show things beneath each other, in columns."""
        table = Table.grid(padding=(0, 2))
        for row in rows:
            table.add_row(*(Text(cell, overflow="fold") for cell in row))
        self._print(Padding(table, (0, 0, 0, _INDENT), expand=False))

    def _marked(self, mark: str, colour: str, text: str) -> None:
        table = Table.grid(padding=(0, _INDENT - 1, 0, 0))
        table.add_row(Text(mark, style=f"bold {colour}"), Text(text))
        self._print(table)

    def _print(self, what: Text | Padding | Table) -> None:
        if not self._quiet:
            show(what, self._console)
            self._console.file.flush()
