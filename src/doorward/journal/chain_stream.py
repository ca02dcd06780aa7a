"""The audit log on standard output, where a container's logs are collected: a chain for each process.

A chain begins with a line whose ``event`` is ``started``, and each of its lines bears its name (``chain``). So the
lines of several workers can be told apart, and from whatever else is printed there. Nothing is locked, rotated or
forced to a disk: where the lines go is the business of who collects them.

A pipe takes up to 4096 bytes whole or not at all (``PIPE_BUF`` on Linux): no worker's line ends up in another's. Only
what can be written is: one that nobody empties is told of, and tried again.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from collections import deque
from typing import TYPE_CHECKING

from doorward.errors import StoreError
from doorward.journal.chain import BEGINNING, SHORT_TEXT, build_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.journal.chain import Entry, Link
    from doorward.ports import Clock

__all__ = ["ChainStream"]

_WHOLE = 4096
_PATIENCE_S = 2.0
_NAME_BYTES = 8
_REFUSALS = {
    errno.EPIPE: (
        "audit_no_reader",
        "Nobody reads it any more: see what collects the logs, and start anew.",
    ),
    errno.ENOSPC: ("audit_disk_full", "Make room on the disk that it goes to."),
    errno.EDQUOT: ("audit_disk_full", "The quota of where it goes is used up: make room."),
}


class ChainStream:
    """One process's chain on standard output. Used by one thread at a time; nothing is opened before the first append.

    Every method but ``sync`` and ``close`` raises ``StoreError`` where nothing can be written.

    Args:
        key: of the chain; None: hashes that anybody could make.
        clock: for its own first line.
    """

    def __init__(self, *, key: bytes | None, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._fd: int | None = None
        self._name = os.urandom(_NAME_BYTES).hex()
        self._link = BEGINNING
        self._pieces: deque[bytes] = deque()  # chained, and not written yet: each at most 4096 bytes of whole lines
        self._taken = 0  # how many entries they tell of

    def append(self, entries: Sequence[Entry]) -> int:
        """Write entries to the end of the chain. After an error, give the same ones again: they are in it already.

        Returns:
            How many were written: all.
        """
        fd = self._opened()
        if not self._pieces:
            self._chain(entries)
        while self._pieces:
            written = _write(fd, self._pieces[0])
            rest = self._pieces.popleft()[written:]
            if rest:
                self._pieces.appendleft(rest)
        return self._taken

    def check(self) -> None:
        """Make sure that there is a standard output."""
        self._opened()

    def sync(self) -> None:
        """Do nothing: what was written is out of our hands."""

    def close(self) -> None:
        """Let go of standard output, which stays open. The next append goes on with the same chain."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _opened(self) -> int:
        """Return a descriptor of our own, so that nothing else is written to where standard output was closed."""
        if self._fd is None:
            try:
                self._fd = None if sys.__stdout__ is None else os.dup(sys.__stdout__.fileno())
            except (OSError, ValueError):  # closed meanwhile
                self._fd = None
            if self._fd is None:
                message = "The audit log goes to standard output, and there is none: start the service with one."
                raise StoreError(message, reason="audit_no_access")
        return self._fd

    def _chain(self, entries: Sequence[Entry]) -> None:
        link, lines = self._link, []
        if link is BEGINNING:
            line, link = self._line({"event": "started", "pid": os.getpid()}, link, self._clock.now())
            lines.append(line)
        for entry in entries:
            line, following = self._line(entry.describe(), link, entry.at)
            if len(line) > _WHOLE:
                line, following = self._line(entry.describe(longest=SHORT_TEXT), link, entry.at)
            lines.append(line)
            link = following
        self._link, self._taken = link, len(entries)
        for line in lines:
            if self._pieces and len(self._pieces[-1]) + len(line) <= _WHOLE:
                self._pieces[-1] += line
            else:
                self._pieces.append(line)

    def _line(self, members: Mapping[str, str | int], after: Link, at: float) -> tuple[bytes, Link]:
        return build_line({"chain": self._name, **members}, after, at=at, key=self._key)


def _write(fd: int, data: bytes) -> int:
    """Write what can be written of ``data`` now, waiting for room no longer than is worth it."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    try:
        if poll.poll(_PATIENCE_S * 1000):
            return os.write(fd, data)
    except BlockingIOError:  # somebody else was faster
        pass
    except OSError as error:
        reason, remedy = _REFUSALS.get(error.errno or 0, ("audit_io", "See where it goes."))
        what = os.strerror(error.errno) if error.errno else "unknown"
        message = f"The audit log can't be written to standard output: {what}. {remedy}"
        raise StoreError(message, reason=reason) from error
    message = "The audit log can't be written to standard output: nobody reads it. See what collects the logs."
    raise StoreError(message, reason="audit_stalled")
