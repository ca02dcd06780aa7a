"""What is found about the lines of a chain that is read again, wherever they come from: a file, or a stream of logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from doorward.errors import printable
from doorward.journal.chain import BEGINNING, Link
from doorward.model import Secret

if TYPE_CHECKING:
    from doorward.journal.chain import Line

__all__ = ["ChainCheck", "Finding", "Findings", "secret_bytes"]

_MOST_FINDINGS = 100


class Finding(NamedTuple):
    """Something about one line: where it is, a slug of ours, and a sentence. Line 0 stands for the log as a whole."""

    file: str
    line: int
    what: str
    text: str


class Findings:
    """What was found so far. More than a hundred problems, or remarks, are counted and not kept."""

    def __init__(self) -> None:
        self.problems: list[Finding] = []
        self.remarks: list[Finding] = []
        self.more = 0

    def problem(self, file: str, line: int, what: str, text: str) -> None:
        self._note(self.problems, Finding(printable(file), line, what, _sentence(text)))

    def remark(self, file: str, line: int, what: str, text: str) -> None:
        self._note(self.remarks, Finding(printable(file), line, what, _sentence(text)))

    def _note(self, where: list[Finding], finding: Finding) -> None:
        if len(where) < _MOST_FINDINGS:
            where.append(finding)
        else:
            self.more += 1


class ChainCheck:
    """A chain as far as it was read: each line whole, in its place, and following from the one before."""

    __slots__ = ("_findings", "first_seq", "last", "lines")

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.lines = 0
        self.first_seq = 0
        self.last = BEGINNING

    def take(self, line: Line, file: str, number: int, *, is_good: bool) -> None:
        """Take the next line.

        Args:
            line: it.
            file: where it stands, for people.
            number: which line that is there.
            is_good: whether it is what was hashed when it was written. Whether the beginning is missing is asked at the
                end.
        """
        self.lines += 1
        self.first_seq = self.first_seq or line.seq
        expected = self.last.seq + 1
        what = text = ""
        if not is_good:
            what, text = "changed", "does not match its hash: it was changed, or written with another key."
        elif self.lines == 1:
            pass
        elif line.seq == expected and line.prev != self.last.hash:
            what, text = "detached", "does not follow from the line before: one of the two was exchanged."
        elif line.seq > expected:
            what, text = "removed", f"Before it, lines {expected} to {line.seq - 1} are missing."
        elif line.seq < expected:
            what, text = "out_of_place", f"has number {line.seq} after {self.last.seq}: inserted, repeated or moved."
        if what:
            self._findings.problem(file, number, what, text)
        if what == "changed":
            self.last = Link(expected, line.hash)  # its number may be what was changed
        elif what != "out_of_place":
            self.last = line.link


def secret_bytes(key: Secret | str | None) -> bytes | None:
    """Return the key of a chain as its hashes take it."""
    text = key.reveal() if isinstance(key, Secret) else key
    return None if text is None else text.encode(errors="surrogatepass")


def _sentence(text: str) -> str:
    return text if text[0].isupper() else f"This line {text}"
