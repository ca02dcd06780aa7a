"""Reading an audit log: does its chain hold, and what does it say last. Writes nothing, needs no lock.

A log is read while others write it: what is under way at its end is a remark, never a fault. The memory it takes does
not depend on the log.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from doorward.errors import ConfigurationError, StoreError, printable
from doorward.guard.audit_chain import BEGINNING, HEAD_BYTES, MAX_LINE_BYTES, Link, holds, parse_head, parse_line
from doorward.guard.audit_file import full_files, head_file
from doorward.model import Secret
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from doorward.guard.audit_chain import Line
    from doorward.ports import Clock

__all__ = ["Finding", "Verification", "follow", "tail", "verify"]

_MOST_FINDINGS = 100
_LONGEST_TAIL = 100_000
_LOOK_S = 0.25
_LOOKS_AT_HEAD, _LOOK_AT_HEAD_S = 3, 0.01
_READING = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Finding(NamedTuple):
    """Something about one line: where it is, a slug of ours, and a sentence. Line 0 stands for the log as a whole."""

    file: str
    line: int
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. Only ``problems`` count against the log; more than 100 are counted in ``more``, not listed."""

    ok: bool
    files: int
    lines: int
    first_seq: int
    last_seq: int
    last_hash: str
    problems: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    more: int


def verify(
    path: str | PathLike[str], *, key: Secret | str | None = None, expect: tuple[int, str] | None = None
) -> Verification:
    """Read a whole log, full files and all, and tell every line that was changed, removed, inserted or moved.

    That the last lines were removed shows by the head, unless somebody puts back an older head as well. Note
    ``last_seq`` and ``last_hash`` elsewhere now and then, and give them as ``expect``: then that shows too.

    Args:
        path: the log.
        key: the one it is written with, if there is one.
        expect: number and hash of a line that must be there.

    Raises:
        ConfigurationError: there is no such log (``field`` is ``path``).
        StoreError: it can't be read.
    """
    text = key.reveal() if isinstance(key, Secret) else key
    secret = None if text is None else text.encode(errors="surrogatepass")
    place = _absolute(path)
    with _errors(place):
        check = _Check(place.name, secret, expect)
        head = _read_head(place, secret)  # before the lines, which may become more meanwhile
        for file in _open_all(place):
            check.read(file)
        check.end(head, secret)
    return check.result()


def tail(path: str | PathLike[str], n: int = 20) -> list[dict[str, Any]]:
    """Return the last ``n`` lines as they are, unverified, the oldest first. ``{"unreadable": True}`` is none of ours.

    Raises:
        ConfigurationError: there is no such log (``field`` is ``path``).
        StoreError: it can't be read.
    """
    place = _absolute(path)
    wanted = max(0, min(n, _LONGEST_TAIL))
    last: list[bytes] = []
    with _errors(place):
        _refuse_missing(place)
        for name in [place, *reversed(full_files(place))]:
            if len(last) < wanted:
                with suppress(FileNotFoundError), _open(name) as file:  # one that was rotated or pruned meanwhile
                    last = _last_lines(file, wanted - len(last)) + last
    return [_members(line) for line in last]


def follow(
    path: str | PathLike[str], *, after: int | None = None, clock: Clock | None = None
) -> Iterator[dict[str, Any]]:
    """Yield each line that is written from now on, for ever, into the next file and so on.

    Args:
        path: the log.
        after: begin with the line after this number instead, as far as it is in the newest file.
        clock: for tests.

    Raises:
        ConfigurationError: there is no such log (``field`` is ``path``).
        StoreError: it can't be read.
    """
    clock = clock or SystemClock()
    place = _absolute(path)
    with _errors(place):
        _refuse_missing(place)
        name, begin, read = place, os.SEEK_SET if after else os.SEEK_END, None
        while True:
            try:
                with _open(name) as file:
                    opened = _identity(os.fstat(file.fileno()))
                    if read is not None and opened != _identity_of(_file_after(read, place)):
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
        is_last_look = _identity_of(place) != _identity(os.fstat(file.fileno()))
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
        if _identity_of(file) == read:
            return following
    return files[0]


class _Check:
    """What is known of a log so far, line after line."""

    def __init__(self, name: str, key: bytes | None, expect: tuple[int, str] | None) -> None:
        self._name = name
        self._key = key
        self._expect = expect
        self._files = self._lines = self._first_seq = self._pruned_through = self._more = 0
        self._last = BEGINNING
        self._problems: list[Finding] = []
        self._remarks: list[Finding] = []
        self._file, self._number = name, 0
        self._torn: hashlib._Hash | None = None  # of lines that can't be read, until we know why
        self._torn_at = 0
        self._unfinished = False

    def read(self, file: BinaryIO) -> None:
        self._end_of_torn()
        self._file, self._number = Path(file.name).name, 0
        self._files += 1
        while data := file.readline(MAX_LINE_BYTES + 1):
            self._number += 1
            self._unfinished = not data.endswith(b"\n")
            line = parse_line(data.removesuffix(b"\n"))
            if line is None or (self._unfinished and not holds(line, self._key)):
                torn = self._unreadable(data.removesuffix(b"\n"))
                while len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
                    data = file.readline(MAX_LINE_BYTES + 1)
                    torn.update(data.removesuffix(b"\n"))
            else:
                self._readable(line)

    def end(self, head: bytes | None, key: bytes | None) -> None:
        """Hold the last line against the head, and what is open against what has come."""
        if self._torn is not None and self._unfinished:
            self._remark("unfinished", "is not finished: it is being written, or its writer died.", self._torn_at)
            self._torn = None
        self._end_of_torn()
        self._file, self._number = self._name, 0
        if self._first_seq > 1 and self._pruned_through < self._first_seq - 1:
            self._problem("beginning_missing", f"Lines 1 to {self._first_seq - 1} are not there, and were not pruned.")
        if self._expect is not None:
            self._problem("not_as_expected", f"Line {self._expect[0]} is not there with the hash that was expected.")
        said = None if head is None else parse_head(head, key)
        if head is None:
            self._problem("no_head", "The head is not there, so that removed last lines can't be seen.")
        elif said is None:
            self._problem("head_unreadable", "The head is damaged, or was made with another key.")
        elif said.seq > self._last.seq:
            self._problem("end_missing", f"Lines {self._last.seq + 1} to {said.seq} are gone: the head knows of them.")
        elif said.seq == self._last.seq and said.hash != self._last.hash:
            self._problem("head_differs", "The last line is not the one that the head knows.")

    def result(self) -> Verification:
        return Verification(
            ok=not self._problems,
            files=self._files,
            lines=self._lines,
            first_seq=self._first_seq,
            last_seq=self._last.seq,
            last_hash=self._last.hash,
            problems=tuple(self._problems),
            remarks=tuple(self._remarks),
            more=self._more,
        )

    def _readable(self, line: Line) -> None:
        good = holds(line, self._key)
        self._end_of_torn(line if good else None)
        self._lines += 1
        self._first_seq = self._first_seq or line.seq
        if good:
            self._in_order(line)
            self._event(line)
        else:
            self._problem("changed", "does not match its hash: it was changed, or written with another key.")
            self._last = Link(self._last.seq + 1, line.hash)  # its number may be what was changed

    def _in_order(self, line: Line) -> None:
        expected = self._last.seq + 1
        if self._lines == 1 and line.seq > 1:
            expected = line.seq  # whether the beginning may be missing is asked at the end
        elif line.seq == expected and line.prev != self._last.hash:
            self._problem("detached", "does not follow from the line before: one of the two was exchanged.")
        elif line.seq > expected:
            self._problem("removed", f"Before it, lines {expected} to {line.seq - 1} are missing.")
        elif line.seq < expected:
            self._problem("out_of_place", f"has number {line.seq} after {self._last.seq}: inserted, repeated or moved.")
            return
        self._last = line.link
        if self._expect == line.link:
            self._expect = None

    def _event(self, line: Line) -> None:
        match line.members:
            case {"event": "continued", "pruned_through": int(through)}:
                self._pruned_through = max(self._pruned_through, through)
            case {"event": "recovered", "head": "missing" | "unreadable" as how}:
                self._problem("head_lost", f"The head was {how} when this was written: lines before may be gone.")
            case _:
                pass

    def _unreadable(self, data: bytes) -> hashlib._Hash:
        if self._torn is None:
            self._torn, self._torn_at = hashlib.sha256(data), self._number
        else:
            self._torn.update(b"\n" + data)
        return self._torn

    def _end_of_torn(self, follower: Line | None = None) -> None:
        """Decide about unreadable lines: torn by a crash, if the next writer says so, or damaged."""
        if self._torn is None:
            return
        told = follower is not None and follower.members.get("event") == "recovered"
        if told and follower is not None and follower.members.get("torn_sha256") == self._torn.hexdigest():
            self._remark("torn", "was never finished: its writer died, and the next one says so.", self._torn_at)
        else:
            self._problem("unreadable", "is none of ours: it was damaged or inserted.", self._torn_at)
        self._torn = None

    def _problem(self, what: str, text: str, number: int | None = None) -> None:
        self._note(self._problems, what, text, number)

    def _remark(self, what: str, text: str, number: int | None = None) -> None:
        self._note(self._remarks, what, text, number)

    def _note(self, where: list[Finding], what: str, text: str, number: int | None) -> None:
        if len(where) < _MOST_FINDINGS:
            at = self._number if number is None else number
            subject = "" if text[0].isupper() else "This line "
            where.append(Finding(printable(self._file), at, what, subject + text))
        else:
            self._more += 1


def _absolute(path: str | PathLike[str]) -> Path:
    return Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100 - resolve() would follow a link


@contextmanager
def _errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else "unknown"
        message = f"{printable(str(place))} can't be read: {what}. See who may read it."
        raise StoreError(message, reason="audit_unreadable") from error


def _refuse_missing(place: Path) -> None:
    if not place.exists() and not full_files(place):
        message = f"There is no audit log at {printable(str(place))}. Name the file that the guard writes."
        raise ConfigurationError(message, field="path", reason="audit_missing")


@contextmanager
def _open(place: Path) -> Iterator[BinaryIO]:
    with open(place, "rb", opener=lambda name, _: os.open(name, _READING)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            message = f"{printable(str(place))} is no regular file. Name the file that the guard writes."
            raise ConfigurationError(message, field="path", reason="audit_missing")
        yield file


def _open_all(place: Path) -> Iterator[BinaryIO]:
    """Yield the files of a log, the oldest first, each open until the next. The last one is opened first.

    So, if it is rotated meanwhile, it is found again among the full ones, and read once.
    """
    _refuse_missing(place)
    with suppress(FileNotFoundError), _open(place) as last:
        yield from _open_full(place, without=_identity(os.fstat(last.fileno())))
        yield last
        return
    yield from _open_full(place, without=None)  # killed in the middle of a rotation


def _open_full(place: Path, *, without: tuple[int, int] | None) -> Iterator[BinaryIO]:
    for name in full_files(place):
        with suppress(FileNotFoundError), _open(name) as file:
            if _identity(os.fstat(file.fileno())) != without:
                yield file


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        return _identity(path.stat())
    except FileNotFoundError:
        return None


def _read_head(place: Path, key: bytes | None) -> bytes | None:
    """Return what the head says. One that can't be read may be under way: look again."""
    data = None
    with suppress(FileNotFoundError), _open(head_file(place)) as file:
        for look in range(_LOOKS_AT_HEAD):
            if look:
                SystemClock().sleep(_LOOK_AT_HEAD_S)
            data = os.pread(file.fileno(), HEAD_BYTES + 1, 0)
            if parse_head(data, key) is not None:
                break
    return data


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
