"""How the lines of a log hang together: line, hash, head, and texts that stand in one. Pure; no file, clock or thread.

A line is one JSON object: ``seq``, ``at``, what happened, ``prev`` (the hash of the line before) and, last, ``hash``.
What happened, others say. The hash covers the exact bytes of the line without its ``hash`` member, so nothing has to be
written anew to check it. It is SHA-256, or HMAC-SHA256 with a key: then who can write the file still can't make a chain
that holds.

The head says where the chain ends, in a file beside the log: removed last lines can't be seen from the rest.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from doorward.errors import Malformed
from doorward.protocol.reading.strict_json import loads_object
from doorward.vault.times import format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BEGINNING",
    "HEAD_BYTES",
    "LONGEST_TEXT",
    "MAX_LINE_BYTES",
    "SHORT_TEXT",
    "Entry",
    "Line",
    "Link",
    "as_told",
    "bounded",
    "build_head",
    "build_line",
    "holds",
    "parse_head",
    "parse_line",
    "told",
]

MAX_LINE_BYTES = 65_536
"""No line of ours is as long: each text in it is at most 300 characters."""

_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
_HEX = re.compile(r"[0-9a-f]{64}")
_HEAD = re.compile(rb"(head ([0-9]{20}) ([0-9a-f]{64})) ([0-9a-f]{64})\n")
LONGEST_TEXT = 300
SHORT_TEXT = 120
"""Of a line that has to stay below 4096 bytes: it has seven texts of any letters, of at most four bytes each."""
_CUT = r"\cut:sha256:"
_LAST_OF_FOUR_DIGITS = 0xFFFF

HEAD_BYTES = 156

_encode = msgspec.json.Encoder().encode


class Entry(Protocol):
    """What a line tells of; its members are made when it is written."""

    @property
    def at(self) -> float:
        """When it happened, in epoch seconds."""
        ...

    def describe(self, *, longest: int = LONGEST_TEXT) -> Mapping[str, str]:
        """Return the members of a line, with texts of at most ``longest`` characters."""
        ...


class Link(NamedTuple):
    """Where a chain stands: its last line's number and hash."""

    seq: int
    hash: str


BEGINNING = Link(0, "0" * 64)
"""Before the first line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that has our form. Whether it says the truth is for ``holds``."""

    seq: int
    prev: str
    hash: str
    body: bytes
    members: Mapping[str, Any]

    @property
    def link(self) -> Link:
        return Link(self.seq, self.hash)


class _Told(str):
    """A text as a line tells it."""

    __slots__ = ()


def as_told(text: str) -> str:
    """Return a text as its line will tell it: printable, and of at most 300 characters."""
    if len(text) <= LONGEST_TEXT and text.isprintable() and "\\" not in text:  # as nearly each request's resource
        return text
    return _Told(told(text))


def bounded(text: str) -> str:
    """Return a text that takes little memory while it waits: one that is too long, as its line will tell it."""
    return text if len(text) <= LONGEST_TEXT else as_told(text)


def told(text: str, longest: int = LONGEST_TEXT) -> str:
    r"""Return a text on one line, of at most ``longest`` characters, so that two that differ never read alike.

    What does not show is escaped as ``\u200b``, and a backslash as two. What is too long is cut, and ends in
    ``\cut:sha256:`` and a digest of the whole, which no escaped text holds.
    """
    is_told = type(text) is _Told
    if len(text) <= longest and (is_told or (text.isprintable() and "\\" not in text)):
        return str(text)
    escaped = [character if is_told else _escaped(character) for character in text[: longest + 1]]
    if len(text) <= longest and sum(map(len, escaped)) <= longest:
        return "".join(escaped)
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    left, kept = longest - len(_CUT) - len(digest), ""
    for piece in escaped:
        if len(piece) > left:
            break
        left -= len(piece)
        kept += piece
    return f"{kept}{_CUT}{digest}"


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _LAST_OF_FOUR_DIGITS else f"\\U{code:08x}"


def build_line(members: Mapping[str, Any], after: Link, *, at: float, key: bytes | None) -> tuple[bytes, Link]:
    """Return the line that follows ``after``, line feed and all, and its link."""
    seq = after.seq + 1
    body = _encode({"seq": seq, "at": format_instant(at), **members, "prev": after.hash})
    seal = _seal(body, key)
    return b'%b,"hash":"%b"}\n' % (body[:-1], seal.encode()), Link(seq, seal)


def parse_line(line: bytes) -> Line | None:
    """Read a line without its line feed. None: it is not of our form. Never an exception, whatever the bytes."""
    found = _HASH.search(line, max(0, len(line) - 80))
    if found is None or len(line) > MAX_LINE_BYTES:
        return None
    body = line[: found.start()] + b"}"
    try:
        members = loads_object(body, what="The line", max_depth=3)
    except Malformed:
        return None
    seq, prev = members.get("seq"), members.get("prev")
    if type(seq) is not int or seq < 1 or type(prev) is not str or not _HEX.fullmatch(prev) or "hash" in members:
        return None
    return Line(seq, prev, found[1].decode(), body, members)


def holds(line: Line, key: bytes | None) -> bool:
    """Say whether a line is what was hashed when it was written, with this key."""
    return hmac.compare_digest(_seal(line.body, key), line.hash)


def build_head(link: Link, key: bytes | None) -> bytes:
    """Return what the head file holds: always as many bytes, so that writing it over needs no care."""
    text = b"head %020d %b" % (link.seq, link.hash.encode())
    return b"%b %b\n" % (text, _seal(text, key).encode())


def parse_head(data: bytes, key: bytes | None) -> Link | None:
    """Read a head. None: it is none, or not one made with this key."""
    found = _HEAD.fullmatch(data)
    if found is None or not hmac.compare_digest(_seal(found[1], key).encode(), found[4]):
        return None
    return Link(int(found[2]), found[3].decode())


def _seal(data: bytes, key: bytes | None) -> str:
    if key is None:
        return hashlib.sha256(data).hexdigest()
    return hmac.digest(key, data, "sha256").hex()
