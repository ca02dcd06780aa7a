"""What a person or a program gets to see: text and JSON on standard output, talk on standard error.

No decisions here. On a terminal, ``rich`` lays out and colours; elsewhere lines stay whole, plain and uncoloured.
"""

from __future__ import annotations

import json
import os
import sys
from io import TextIOWrapper

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TextIO

    from rich.console import Console, RenderableType

__all__ = [
    "make_console",
    "print_facts",
    "print_json",
    "print_json_list",
    "print_line",
    "print_note",
    "print_table",
    "print_text",
    "print_token",
    "replace_unprintable",
    "show",
    "wrapped",
]

_ENDLESS = 10_000
"""The width where no terminal is: nothing is wrapped or cut."""

_NARROWEST = 40
_GAP = 2
_SHORTEST = 18
_PAGE = 1000


def print_line(line: str) -> None:
    """Print one line of result."""
    sys.stdout.write(line + "\n")


def print_text(text: str) -> None:
    """Print a sentence or more, broken between words on a terminal."""
    print_line(wrapped(text, sys.stdout))


def print_note(text: str, *, hanging: str = "") -> None:
    """Tell a person something beside the result; on a terminal, lines but the first begin with ``hanging``."""
    sys.stderr.write(wrapped(text, sys.stderr, hanging=hanging) + "\n")


def wrapped(text: str, stream: TextIO, *, hanging: str = "") -> str:
    """Break a text between words at the width of the terminal; leave it whole where the stream is none."""
    if not stream.isatty():
        return text
    import shutil
    import textwrap

    width = max(_NARROWEST, shutil.get_terminal_size().columns)
    return textwrap.fill(text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


def print_json(value: Any) -> None:
    """Print a result for programs, in ASCII, so that no text from outside reaches a terminal raw."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_token(token: str, *, expires_at: str | None, kind: str, profile: str) -> None:
    """Print a token for programs, with what they want to know about it."""
    print_json({"token": token, "expires_at": expires_at, "kind": kind, "profile": profile})


def replace_unprintable() -> None:
    """Let a terminal that can't show a letter get a question mark, instead of us an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json_list(values: Iterable[Any]) -> None:
    """Print as ``print_json`` does a list, each value as it comes."""
    import textwrap

    before = "[\n"
    for value in values:
        sys.stdout.write(before + textwrap.indent(json.dumps(value, indent=2), "  "))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that takes text as it is: no markup, no highlighting, no emoji names."""
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _ENDLESS
    return console


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one a line, the values beneath each other."""
    if _printed_plain(facts, [0, 0]):
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(Text(name, style="bold"), Text(value, overflow="fold"))
    show(table, make_console())


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, shorten: int) -> None:
    """Print a table without lines. On a terminal that is too narrow, column ``shorten`` loses its middle first.

    Where that is not enough, each row becomes a block of lines. Of many rows, a page is in memory at a time; a later
    one has columns at least as wide as those before.
    """
    from itertools import islice

    rest, widths, first = iter(rows), [0] * len(header), True
    while (page := list(islice(rest, _PAGE))) or first:
        if not _printed_plain([header, *page] if first else page, widths):
            _draw_page(header, page, widths, shorten=shorten, first=first)
        first = False


def _draw_page(
    header: Sequence[str], page: Sequence[Sequence[str]], widths: list[int], *, shorten: int, first: bool
) -> None:
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    console = make_console()
    _widen(widths, [header, *page], cell_len)
    room = console.width - sum(widths) - _GAP * (len(widths) - 1) + widths[shorten]
    if room < min(_SHORTEST, widths[shorten]):
        _draw_blocks(header, page, console)
        return
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold", show_header=first)
    for number, (name, width) in enumerate(zip(header, widths, strict=True)):
        table.add_column(name, min_width=None if first else min(width, room) if number == shorten else width)
    for row in page:
        cells = [*row[:shorten], _shortened(row[shorten], room), *row[shorten + 1 :]]
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    show(table, console)


def _draw_blocks(header: Sequence[str], page: Sequence[Sequence[str]], console: Console) -> None:
    """Draw each row as its first cell and, below it, the others with their names."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for title, *cells in page:
        show(Text(title, style="bold", overflow="fold"), console)
        block = Table.grid(padding=(0, _GAP, 0, 0))
        for name, cell in zip(header[1:], cells, strict=True):
            block.add_row(Text(name.lower(), style="dim"), Text(cell, overflow="fold"))
        show(Padding(block, (0, 0, 0, _GAP)), console)


def _printed_plain(rows: Sequence[Sequence[str]], widths: list[int]) -> bool:
    """Print rows of cells beneath each other where no terminal is, as ``rich`` would, which takes long to load.

    Returns:
        Whether it did: what is for a terminal or has odd characters is left to ``rich``, and nothing was printed.
    """
    forced = "FORCE_COLOR" in os.environ or "TTY_COMPATIBLE" in os.environ  # with these rich decides
    if forced or sys.stdout.isatty() or not all(cell.isprintable() for row in rows for cell in row):
        return False
    measure: Callable[[str], int] = len
    if not all(cell.isascii() for row in rows for cell in row):
        from rich.cells import cell_len as measure
    _widen(widths, rows, measure)
    if sum(widths) + _GAP * len(widths) > _ENDLESS:
        return False
    for row in rows:
        cells = (cell + " " * (width + _GAP - measure(cell)) for cell, width in zip(row, widths, strict=True))
        print_line("".join(cells).rstrip())
    return True


def _widen(widths: list[int], rows: Sequence[Sequence[str]], measure: Callable[[str], int]) -> None:
    """Make room for what stands in each column."""
    widths[:] = [
        max(width, *map(measure, column)) for width, column in zip(widths, zip(*rows, strict=True), strict=True)
    ]


def _shortened(text: str, width: int) -> str:
    """Leave out the middle of a text that is too long: an address is known by its beginning and its end."""
    if len(text) <= width:
        return text
    tail = width // 3
    return f"{text[: width - tail - 1]}…{text[-tail:]}"


def show(renderable: RenderableType, console: Console) -> None:
    """Print on standard output what ``rich`` can draw, without the blanks it fills lines with where no terminal is."""
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        print_line(line.rstrip())
