"""A log on disk: one chain, whoever writes. Appends under a lock, ends torn lines, rotates, prunes.

Beside ``PATH`` lie ``PATH.head`` (where the chain ends, and what writers lock) and the full files, each named by the
number of its last line: ``PATH.000000001234``. Threads, and what to do while a disk is full, are the
business of who writes.

What happens here is written into the chain itself, as lines with an ``event``:

- ``continued``, the first of a new file: which file came before, and which were ``pruned``;
- ``recovered``: the last writer died in the middle of a line (``torn_bytes``, ``torn_sha256``), or the head and the log
  do not agree (``head``: ``missing``, ``unreadable``, ``ahead``, ``differs``), or both know less than this process has
  written itself (``head``: ``older``). Where the head or we know of more than the log holds, the chain goes on from
  there: that the lines in between are gone then shows for ever.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from doorward.errors import StoreError, printable
from doorward.journal.chain import (
    BEGINNING,
    HEAD_BYTES,
    build_head,
    build_line,
    holds,
    parse_head,
    parse_line,
)

if sys.platform != "win32":  # where AuditLog refuses to be made
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from doorward.journal.chain import Entry, Line, Link
    from doorward.ports import Clock

__all__ = ["ChainFile", "full_files", "head_file"]

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_FULL = re.compile(r"\.([0-9]{12,20})")
_LOCK_TIMEOUT_S = 2.0
_LOOK_S = 0.002
_WINDOWS = (8_192, 1_048_576)
"""How far back from the end to look for a good line: nearly always a little is enough."""

_REFUSALS = {
    errno.ENOSPC: ("audit_disk_full", "Make room on the disk."),
    errno.EDQUOT: ("audit_disk_full", "The quota is used up: make room."),
    errno.EROFS: ("audit_no_access", "The disk is read-only: choose another place for the log."),
    errno.EACCES: ("audit_no_access", "See who may write there, or choose another place for the log."),
    errno.EPERM: ("audit_no_access", "See who may write there, or choose another place for the log."),
    errno.ENOENT: ("audit_no_folder", "Make its folder, or choose another place for the log."),
    errno.ELOOP: ("audit_unsafe", 'It is a symbolic link: name the file itself, or "-" for standard output.'),
}


def head_file(path: Path) -> Path:
    """Return where the head of the log at ``path`` is."""
    return path.with_name(f"{path.name}.head")


def full_files(path: Path) -> list[Path]:
    """Return the full files of the log at ``path``, the oldest first."""
    found = []
    with suppress(FileNotFoundError):
        for name in os.listdir(path.parent):  # noqa: PTH208 - half of the names are of no interest
            numbered = _FULL.fullmatch(name.removeprefix(path.name)) if name.startswith(path.name) else None
            if numbered:
                found.append((int(numbered[1]), path.with_name(name)))
    return [full for _, full in sorted(found)]


class ChainFile:
    """One process's hold on an audit log. Used by one thread at a time; nothing is opened before the first append.

    Every method raises ``StoreError`` where the file system refuses.

    Args:
        path: the log.
        key: of the chain; None: hashes that anybody could make.
        max_bytes: when a file is full.
        keep: how many full files stay; None: all.
        clock: for its own lines, and to wait for the lock.
    """

    def __init__(self, path: Path, *, key: bytes | None, max_bytes: int, keep: int | None, clock: Clock) -> None:
        self._path = path
        self._key = key
        self._max_bytes = max_bytes
        self._keep = keep
        self._clock = clock
        self._log: int | None = None
        self._head: int | None = None
        self._link = BEGINNING
        self._end = -1  # where the log ended when we knew the link
        self._named = False  # whether the disk holds the names of what is open

    def append(self, entries: Sequence[Entry]) -> int:
        """Write entries to the end of the chain: the first, and those after it that fit into the same file.

        Returns:
            How many were written; the others are for the next call.

        Raises:
            StoreError: none was; the reason says why: ``audit_disk_full``, ``audit_no_access``, ``audit_locked``, …
        """
        with self._locked() as head:
            log = self._current_log(head)
            lines, link = self._lines(entries, at_least=0 if self._end else 1)
            if not lines:
                log = self._rotate(log, head)
                lines, link = self._lines(entries, at_least=1)  # anew: they follow the new file's first line
            self._write(log, head, b"".join(lines), link)
        return len(lines)

    def check(self) -> None:
        """Make sure that lines can be appended, and mend the end of the log where that is needed."""
        with self._locked() as head:
            self._current_log(head)

    def sync(self) -> None:
        """Have the disk hold what was appended and its names: the log first, so that the head never knows of more."""
        with self._errors():
            for fd in (self._log, self._head):
                if fd is not None:
                    os.fsync(fd)
            if not self._named:
                _sync_folder(self._path.parent)
                self._named = True

    def close(self) -> None:
        """Close the files. The next append opens them again."""
        for fd in (self._log, self._head):
            if fd is not None:
                os.close(fd)
        self._log = self._head = None

    def _lines(self, entries: Sequence[Entry], *, at_least: int) -> tuple[list[bytes], Link]:
        lines: list[bytes] = []
        link, end = self._link, self._end
        for entry in entries:
            line, following = build_line(entry.describe(), link, at=entry.at, key=self._key)
            end += len(line)
            if end > self._max_bytes and len(lines) >= at_least:
                break
            lines.append(line)
            link = following
        return lines, link

    def _write(self, log: int, head: int, data: bytes, link: Link) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(log, rest) :]
            os.pwrite(head, build_head(link, self._key), 0)
        except OSError:
            with suppress(OSError):
                os.ftruncate(log, self._end)  # the lock is ours, so what lies behind is our half of a line
            self._end = -1
            raise
        self._link = link
        self._end += len(data)

    def _current_log(self, head: int) -> int:
        """Return the log's descriptor, with ``_link`` and ``_end`` as they are now."""
        log = self._log
        if log is not None and not _is_named(log, self._path):  # another process has rotated, or somebody removed it
            self._log = None
            os.close(log)
        if self._log is None:
            self._log = self._opened(self._path, os.O_APPEND)
            self._end = -1
        size = os.fstat(self._log).st_size
        if size != self._end:
            self._catch_up(self._log, head, size)
        return self._log

    def _catch_up(self, log: int, head: int, size: int) -> None:
        """Find where the chain stands, since somebody else wrote last, and write down what is odd about it."""
        good, line = _last_good(log, size, self._key)
        torn = os.pread(log, size - good, good)
        full = full_files(self._path) if line is None else []
        link = line.link if line else _link_of(full[-1], self._key) if full else BEGINNING
        odd: dict[str, Any] = {}
        if torn.strip(b"\n"):
            whole = torn.removesuffix(b"\n")
            odd = {"torn_bytes": len(whole), "torn_sha256": hashlib.sha256(whole).hexdigest()}
        said = os.pread(head, HEAD_BYTES + 1, 0)
        end = parse_head(said, self._key)
        if end is None:
            if said or link.seq or odd:
                odd["head"] = "unreadable" if said else "missing"
        else:
            disagreement, link = _settle(link, end)
            odd |= disagreement
        if self._link.seq > link.seq:  # log and head were both put back, or removed, under our hands
            odd["head"] = "older"
            link = self._link
        self._link, self._end = link, size
        events = []
        if full and not size:
            events.append(self._continued(full))
        if odd:
            events.append({"event": "recovered", **odd})
        ended = size == 0 or os.pread(log, 1, size - 1) == b"\n"
        data = b"" if ended else b"\n"
        for event in events:
            made, link = build_line(event, link, at=self._clock.now(), key=self._key)
            data += made
        if data or end is None:
            self._write(log, head, data, link)
        if full and not size:
            self._prune(full)

    def _rotate(self, log: int, head: int) -> int:
        """Set the full file aside and begin the next. Killed in between: the next writer finds no log, begins it."""
        os.fsync(log)
        self._log = None
        os.close(log)
        number = self._link.seq
        while os.path.lexists(full := self._path.with_name(f"{self._path.name}.{number:012d}")):
            number += 1
        self._path.rename(full)
        return self._current_log(head)

    def _continued(self, full: list[Path]) -> dict[str, Any]:
        event: dict[str, Any] = {"event": "continued", "previous": full[-1].name}
        excess = self._excess(full)
        if excess:
            event |= {"pruned_files": len(excess), "pruned_through": int(excess[-1].suffix[1:])}
        return event

    def _excess(self, full: list[Path]) -> list[Path]:
        return [] if self._keep is None else full[: -self._keep]

    def _prune(self, full: list[Path]) -> None:
        for file in self._excess(full):
            with suppress(FileNotFoundError):
                file.unlink()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the lock, the only writer anywhere. What goes wrong makes the next writer look where the log ends."""
        with self._errors():
            head = self._lock(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield head
            except BaseException:
                self._end = -1
                raise
            finally:
                fcntl.flock(head, fcntl.LOCK_UN)

    def _lock(self, flock: Callable[[int, int], None], how: int) -> int:
        file = head_file(self._path)
        deadline = self._clock.monotonic() + _LOCK_TIMEOUT_S
        while True:
            if self._head is None:
                self._head = self._opened(file, 0)
            try:
                flock(self._head, how)
            except BlockingIOError:
                if self._clock.monotonic() > deadline:
                    message = (
                        f"Another process has kept {printable(str(file))} locked. See whether it hangs, and end it."
                    )
                    raise StoreError(message, reason="audit_locked") from None
                self._clock.sleep(_LOOK_S)
            else:
                if _is_named(self._head, file):
                    return self._head
                os.close(self._head)  # somebody removed it; a lock on it would exclude nobody
                self._head = None

    def _opened(self, path: Path, how: int) -> int:
        self._named = False  # it may be new
        return _open(path, how)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason, remedy = _REFUSALS.get(error.errno or 0, ("audit_io", "Look at the disk."))
            what = os.strerror(error.errno) if error.errno else "unknown"
            message = f"The audit log {printable(str(self._path))} can't be written: {what}. {remedy}"
            raise StoreError(message, reason=reason) from error


def _open(path: Path, how: int) -> int:
    """Open a file for us alone, making it if needed."""
    fd = os.open(path, _FLAGS | os.O_CREAT | how, 0o600)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(fd)
        message = (
            f"{printable(str(path))} is no regular file of ours. Move it away, or choose another place for the log."
        )
        raise StoreError(message, reason="audit_unsafe")
    if stat.S_IMODE(status.st_mode) != stat.S_IRUSR | stat.S_IWUSR:
        os.fchmod(fd, 0o600)
    return fd


def _sync_folder(folder: Path) -> None:
    """Make the names of new and renamed files durable, where the file system can."""
    fd = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _is_named(fd: int, path: Path) -> bool:
    """Whether the open file still is the one that others find."""
    try:
        named = os.lstat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _last_good(fd: int, size: int, key: bytes | None) -> tuple[int, Line | None]:
    """Return the last line of our form and where it ends; without one, where we stopped looking."""
    start = size
    for window in _WINDOWS:
        start = max(0, size - window)
        data = os.pread(fd, size - start, start)
        begins = 0 if start == 0 else data.find(b"\n") + 1
        end = len(data)
        while end > begins:
            closed = data.endswith(b"\n", 0, end)
            stop = end - closed
            first = max(begins, data.rfind(b"\n", 0, stop) + 1)
            line = parse_line(data[first:stop])
            # Cut off before its line feed, only its hash says whether it is whole.
            if line is not None and (closed or holds(line, key)):
                return start + end, line
            end = first
        if start == 0:
            break
    return start, None


def _settle(link: Link, end: Link) -> tuple[dict[str, str], Link]:
    """Return where the chain goes on from what the log and the head say, and how they disagree."""
    if end.seq > link.seq:
        return {"head": "ahead"}, end
    if end.seq == link.seq and end.hash != link.hash:
        return {"head": "differs"}, end
    return {}, link


def _link_of(full: Path, key: bytes | None) -> Link:
    fd = os.open(full, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        line = _last_good(fd, os.fstat(fd).st_size, key)[1]
    finally:
        os.close(fd)
    return line.link if line else BEGINNING
