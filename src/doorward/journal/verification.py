"""Does the chain of an audit log hold? Every line that was changed, removed, inserted or moved is told.

A log is read while others write it: what is under way at its end is a remark, never a fault. The memory it takes does
not depend on the log.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from doorward.journal.chain import HEAD_BYTES, MAX_LINE_BYTES, holds, parse_head, parse_line
from doorward.journal.chain_file import head_file
from doorward.journal.files import absolute, errors_made_ours, open_all, open_file
from doorward.journal.findings import ChainCheck, Findings, secret_bytes
from doorward.system import SystemClock

if TYPE_CHECKING:
    from os import PathLike

    from doorward.journal.chain import Line
    from doorward.journal.findings import Finding
    from doorward.model import Secret

__all__ = ["Verification", "verify"]

_LOOKS_AT_HEAD, _LOOK_AT_HEAD_S = 3, 0.01


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
    secret = secret_bytes(key)
    place = absolute(path)
    with errors_made_ours(place):
        check = _Check(place.name, secret, expect)
        head = _read_head(place, secret)  # before the lines, which may become more meanwhile
        for file in open_all(place):
            check.read(file)
        check.end(head, secret)
    return check.result()


class _Check:
    """What is known of a log so far, line after line."""

    def __init__(self, name: str, key: bytes | None, expect: tuple[int, str] | None) -> None:
        self._name = name
        self._key = key
        self._expect = expect
        self._findings = Findings()
        self._chain = ChainCheck(self._findings)
        self._files = self._pruned_through = 0
        self._file, self._number = name, 0
        self._torn: hashlib._Hash | None = None  # of lines that can't be read, until we know why
        self._torn_at = 0
        self._unfinished = False

    def read(self, file: BinaryIO) -> None:
        self._end_of_torn()
        if self._unfinished and self._number:  # the next file is begun only when the one before ends
            self._problem("line_feed_missing", "has lost its line feed, which only the last file's last line may lack.")
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
        first, last = self._chain.first_seq, self._chain.last
        if first > 1 and self._pruned_through < first - 1:
            self._problem("beginning_missing", f"Lines 1 to {first - 1} are not there, and were not pruned.")
        if self._expect is not None:
            self._problem("not_as_expected", f"Line {self._expect[0]} is not there with the hash that was expected.")
        said = None if head is None else parse_head(head, key)
        if head is None:
            self._problem("no_head", "The head is not there, so that removed last lines can't be seen.")
        elif said is None:
            self._problem("head_unreadable", "The head is damaged, or was made with another key.")
        elif said.seq > last.seq:
            self._problem("end_missing", f"Lines {last.seq + 1} to {said.seq} are gone: the head knows of them.")
        elif said.seq == last.seq and said.hash != last.hash:
            self._problem("head_differs", "The last line is not the one that the head knows.")

    def result(self) -> Verification:
        chain, found = self._chain, self._findings
        return Verification(
            ok=not found.problems,
            files=self._files,
            lines=chain.lines,
            first_seq=chain.first_seq,
            last_seq=chain.last.seq,
            last_hash=chain.last.hash,
            problems=tuple(found.problems),
            remarks=tuple(found.remarks),
            more=found.more,
        )

    def _readable(self, line: Line) -> None:
        good = holds(line, self._key)
        self._end_of_torn(line if good else None)
        self._chain.take(line, self._file, self._number, is_good=good)
        if good:
            if self._expect == self._chain.last:
                self._expect = None
            self._event(line)

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
        self._findings.problem(self._file, self._number if number is None else number, what, text)

    def _remark(self, what: str, text: str, number: int | None = None) -> None:
        self._findings.remark(self._file, self._number if number is None else number, what, text)


def _read_head(place: Path, key: bytes | None) -> bytes | None:
    """Return what the head says. One that can't be read may be under way: look again."""
    data = None
    with suppress(FileNotFoundError), open_file(head_file(place)) as file:
        for look in range(_LOOKS_AT_HEAD):
            if look:
                SystemClock().sleep(_LOOK_AT_HEAD_S)
            data = os.pread(file.fileno(), HEAD_BYTES + 1, 0)
            if parse_head(data, key) is not None:
                break
    return data
