"""The last lines of an audit log, and those that come. Unverified: that is ``verification``'s."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

from doorward.journal.chain import MAX_LINE_BYTES, parse_line
from doorward.journal.chain_file import full_files, head_file
from doorward.journal.files import (
    absolute,
    errors_made_ours,
    identity,
    identity_of,
    no_log,
    open_file,
    refuse_missing,
)
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from pathlib import Path

    from doorward.ports import Clock

__all__ = ["follow", "tail"]


_LONGEST_TAIL = 100_000


_LOOK_S = 0.25
_FEW = 20


def tail(path: str | PathLike[str], n: int = 20) -> list[dict[str, Any]]:
    """Return the last ``n`` lines as they are, unverified, the oldest first. ``{"unreadable": True}`` is none of ours.

    Raises:
        ConfigurationError: there is no such log, or what is there is none (``field`` is ``path``).
        StoreError: it can't be read.
    """
    place = absolute(path)
    wanted = max(0, min(n, _LONGEST_TAIL))
    last: list[bytes] = []
    with errors_made_ours(place):
        refuse_missing(place)
        _refuse_what_is_no_log(place)
        for name in [place, *reversed(full_files(place))]:
            if len(last) < wanted:
                with suppress(FileNotFoundError), open_file(name) as file:  # one that was rotated or pruned meanwhile
                    last = _last_lines(file, wanted - len(last)) + last
    return [_members(line) for line in last]


def _refuse_what_is_no_log(place: Path) -> None:
    """Raise ConfigurationError where none of the last lines is ours, and no head lies beside them."""
    with suppress(FileNotFoundError), open_file(place) as file:
        if not head_file(place).exists() and all(parse_line(line) is None for line in _last_lines(file, _FEW)):
            raise no_log(place)


def follow(
    path: str | PathLike[str], *, after: int | None = None, clock: Clock | None = None
) -> Iterator[dict[str, Any]]:
    """Yield each line that is written from now on, for ever, into the next file and so on.

    Args:
        path: the log.
        after: begin with the line after this number instead, as far as it is in the newest file.
        clock: for tests.

    Raises:
        ConfigurationError: there is no such log, or what is there is none (``field`` is ``path``).
        StoreError: it can't be read.
    """
    clock = clock or SystemClock()
    place = absolute(path)
    with errors_made_ours(place):
        refuse_missing(place)
        _refuse_what_is_no_log(place)
        name, begin, read = place, os.SEEK_SET if after else os.SEEK_END, None
        while True:
            try:
                with open_file(name) as file:
                    opened = identity(os.fstat(file.fileno()))
                    if read is not None and opened != identity_of(_file_after(read, place)):
                        name = _file_after(read, place)  # rotated once more before we opened it
                        continue
                    read = opened
                    file.seek(0, begin)
                    for line in _lines_until_rotated(file, place, clock):
                        if after is None or line.get("seq", 0) > after:
                            yield line
            except FileNotFoundError:  # in the middle of a rotation, or pruned
                clock.sleep(_LOOK_S)
            name, begin = _file_after(read, place), os.SEEK_SET


def _lines_until_rotated(file: BinaryIO, place: Path, clock: Clock) -> Iterator[dict[str, Any]]:
    unfinished = b""
    while True:
        is_last_look = identity_of(place) != identity(os.fstat(file.fileno()))
        while piece := file.readline(MAX_LINE_BYTES):
            unfinished += piece
            if unfinished.endswith(b"\n") or len(unfinished) > MAX_LINE_BYTES:
                yield _members(unfinished.removesuffix(b"\n"))
                unfinished = b""
        if is_last_look:
            return
        clock.sleep(_LOOK_S)


def _file_after(read: tuple[int, int] | None, place: Path) -> Path:
    """Return the file after the one that was read; the oldest, where that one is gone: then all others are newer."""
    files = [*full_files(place), place]
    for file, following in pairwise(files):
        if identity_of(file) == read:
            return following
    return files[0]


def _last_lines(file: BinaryIO, n: int) -> list[bytes]:
    """Return the last lines, reading from the end, and no more than ``n`` of ours can be."""
    at = file.seek(0, os.SEEK_END)
    least = max(0, at - (n + 1) * MAX_LINE_BYTES)
    data = b""
    pieces: deque[bytes] = deque()
    newlines = 0
    while at > least and newlines <= n:
        step = min(at - least, MAX_LINE_BYTES)
        at -= step
        file.seek(at)
        pieces.appendleft(file.read(step))
        newlines += pieces[0].count(b"\n")
    data = b"".join(pieces).removesuffix(b"\n")
    return data.split(b"\n")[-n:] if data else []


def _members(line: bytes) -> dict[str, Any]:
    parsed = parse_line(line)
    return {"unreadable": True} if parsed is None else {**parsed.members, "hash": parsed.hash}
