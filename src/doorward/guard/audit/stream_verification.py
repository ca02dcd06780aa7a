"""Do the chains hold that were written to standard output? They come as they were collected, among other lines.

A line of ours is found wherever it begins: what collects logs may put a date or a name before each line, and a program
that shares standard output may have left a line of its own unfinished. Its hash says that it is whole. What is no line
of ours is nobody's business here: one that was damaged is missing from its chain, and that shows. The memory that it
takes depends on how many chains there are, and on nothing else. A line that does not hold begins none: with a key,
whoever else can print there makes no chains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from doorward.errors import ConfigurationError, StoreError
from doorward.guard.audit.chain import MAX_LINE_BYTES, holds, parse_line
from doorward.guard.audit.findings import ChainCheck, Findings, secret_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.guard.audit.chain import Line
    from doorward.guard.audit.findings import Finding
    from doorward.model import Secret

__all__ = ["StreamChain", "StreamVerification", "verify_stream"]

_BEGINNING = b'{"seq":'  # in a text within a line, the quotes are escaped
_NAME = re.compile(r"[0-9a-f]{16}")
_MOST_CHAINS = 10_000


class StreamChain(NamedTuple):
    """One process's chain: its name, and where it begins and ends as far as it was read."""

    chain: str
    lines: int
    first_seq: int
    last_seq: int
    last_hash: str


@dataclass(frozen=True, slots=True)
class StreamVerification:
    """What was found. Only ``problems`` count against the chains; more than 100 are counted in ``more``, not listed."""

    ok: bool
    chains: tuple[StreamChain, ...]
    others: int
    """How many lines are no audit's."""
    problems: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    more: int


def verify_stream(
    stream: BinaryIO, *, key: Secret | str | None = None, expect: tuple[int, str] | None = None
) -> StreamVerification:
    """Read what a guard wrote to standard output, and tell every line of it that was changed, removed or moved.

    Nothing tells that the last lines of a chain, or all of it, were removed, unless you note numbers and hashes of
    lines elsewhere now and then, and give one as ``expect``.

    Args:
        stream: the lines as they were collected, from the beginning, among others or not.
        key: the one that they were written with, if there is one.
        expect: number and hash of a line that must be there.

    Raises:
        ConfigurationError: there is no line of an audit (``field`` is ``path``).
        StoreError: it can't be read, or has more than 10,000 chains.
    """
    secret, findings, others = secret_bytes(key), Findings(), 0
    chains: dict[str, ChainCheck] = {}
    try:
        for number, data in enumerate(_lines(stream), 1):
            line = _find(data)
            name = "" if line is None else line.members.get("chain")
            if line is None or type(name) is not str or not _NAME.fullmatch(name):
                others += 1
                continue
            is_good = holds(line, secret)
            chain = _chain(chains, name, findings) if is_good or name in chains else ChainCheck(findings)
            chain.take(line, f"chain {name}", number, is_good=is_good)
            if line.link == expect:  # one that does not hold is a problem by itself
                expect = None
    except OSError as error:
        message = f"What was collected can't be read: {error.strerror}. See who may read it."
        raise StoreError(message, reason="audit_unreadable") from error
    if not chains and not findings.problems:
        message = "No line is an audit's. Give what a service printed whose audit log goes to standard output."
        raise ConfigurationError(message, field="path", reason="audit_missing")
    for name, chain in chains.items():
        if chain.first_seq > 1:
            text = f"Lines 1 to {chain.first_seq - 1} are not there: give the logs from where that process began."
            findings.problem(f"chain {name}", 0, "beginning_missing", text)
    if expect is not None:
        text = f"Line {expect[0]} is not there with the hash that was expected."
        findings.problem("all chains", 0, "not_as_expected", text)
    return StreamVerification(
        ok=not findings.problems,
        chains=tuple(StreamChain(name, chain.lines, chain.first_seq, *chain.last) for name, chain in chains.items()),
        others=others,
        problems=tuple(findings.problems),
        remarks=tuple(findings.remarks),
        more=findings.more,
    )


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Give the lines of a stream, and of one that is too long its end: there a line of ours may stand."""
    line = b""
    while piece := stream.readline(MAX_LINE_BYTES):
        line = (line + piece)[-MAX_LINE_BYTES:]
        if line.endswith(b"\n"):
            yield line
            line = b""
    if line:
        yield line


def _chain(chains: dict[str, ChainCheck], name: str, findings: Findings) -> ChainCheck:
    chain = chains.get(name)
    if chain is None:
        if len(chains) >= _MOST_CHAINS:
            message = f"There are more than {_MOST_CHAINS:,} chains. Verify the logs of a shorter time."
            raise StoreError(message, reason="audit_unreadable")
        chain = chains[name] = ChainCheck(findings)
    return chain


def _find(data: bytes) -> Line | None:
    begins = data.rfind(_BEGINNING)
    return None if begins < 0 else parse_line(data[begins:].rstrip())
