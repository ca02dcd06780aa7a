"""Reads what a PDF says, as a process of its own: ``python -m`` this module, with the file on standard input.

A hostile PDF can make any reader of it busy or large. So this one has limits from the system, and whoever starts it a
deadline (``reading``). It can also name what the library has other programs for, or files (JBIG2): while it is read,
no program is started, no file written and no connection made. That holds for what the library does, and is no sandbox
for code. What it found is one JSON object on standard output; it ends with 1 if it found nothing.
"""

from __future__ import annotations

import html
import json
import os
import re
import resource
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdf import PageObject, PdfReader

__all__ = ["main", "nothing_else", "say"]

_MEMORY_BYTES = 1 << 30
_CPU_S = 20
_PAGES = 3
_LONGEST = 50_000
"""Characters of a page, and of the metadata."""

_FORMS_DEEP = 2


_REFUSED = frozenset(
    {
        *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"),
        *("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"),
        *("socket.__new__", "socket.getaddrinfo"),
    }
)
"""By the names of Python's audit events."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> None:
    """Take on the limits, and read."""
    for limit, most in ((resource.RLIMIT_AS, _MEMORY_BYTES), (resource.RLIMIT_CPU, _CPU_S), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # a system that has no such limit, or a lower one already
            resource.setrlimit(limit, (most, most))
    try:
        with nothing_else():
            said = say(sys.stdin.buffer)
    except Exception:  # noqa: BLE001 - whatever a library makes of a broken file, it is not readable
        sys.exit(1)
    json.dump(said, sys.stdout)


@contextmanager
def nothing_else() -> Iterator[None]:
    """Have whatever would start a program, write a file or make a connection meanwhile raise ``PermissionError``.

    For a process that does nothing but read: Python has no way to take such a hook away.
    """
    is_reading = True

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if is_reading and (event in _REFUSED or (event == "open" and arguments[2] & _WRITING)):
            raise PermissionError(event)

    sys.addaudithook(refuse)
    try:
        yield
    finally:
        is_reading = False


def say(file: BinaryIO) -> dict[str, Any]:
    """Return the text of the first pages, the metadata, and whether those pages have pictures."""
    from pypdf import PdfReader  # noqa: PLC0415 - an extra, and heavy: within the limits

    reader = PdfReader(file)
    pages = [reader.pages[number] for number in range(min(_PAGES, len(reader.pages)))]
    return {
        "pages": [_clean(_text_of(page)) for page in pages],
        "metadata": _clean("\n".join(_metadata(reader))),
        "has_pictures": any(_has_picture(page, _FORMS_DEEP) for page in pages),
    }


def _clean(text: str) -> str:
    return text[:_LONGEST].encode("utf-8", "replace").decode()  # a broken font may give half of a pair


def _text_of(page: PageObject) -> str:
    try:
        return page.extract_text()
    except Exception:  # noqa: BLE001 - one page that can't be read leaves the others
        return ""


def _metadata(reader: PdfReader) -> Iterator[str]:
    with suppress(Exception):
        yield from (str(value) for value in (reader.metadata or {}).values() if isinstance(value, str))
    with suppress(Exception):  # XMP's values stand between tags, or in their attributes
        stream: Any = reader.root_object["/Metadata"].get_object()
        packet = stream.get_data()
        yield html.unescape(re.sub(r"""[<>"]""", " ", packet[: 4 * _LONGEST].decode("utf-8", "replace")))


def _has_picture(part: Any, deep: int) -> bool:
    """Say whether a page, or a form on it, draws a picture."""
    with suppress(Exception):
        drawn = part["/Resources"]["/XObject"].get_object()
        for each in (reference.get_object() for reference in drawn.values()):
            if each["/Subtype"] == "/Image" or (deep and each["/Subtype"] == "/Form" and _has_picture(each, deep - 1)):
                return True
    return False


if __name__ == "__main__":
    main()
