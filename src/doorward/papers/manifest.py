"""What was saved, and at which addresses it was asked for: a line of JSON for each paper, in the folder of papers.

An address may hold a secret in its query: it is told apart by a digest, and shown without. The list only saves asking
again: a line that is missing or can't be read means that a paper is fetched once more, and found to be the same.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.papers.partial import SavedFile, digest_of
from doorward.vault.times import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MANIFEST", "add", "find"]

MANIFEST = "papers.jsonl"
"""Its name, in the folder of papers."""

_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # nothing planted there may keep us waiting


def find(folder: Path, address: str) -> SavedFile | None:
    """Return the paper that was saved from this address, if it is still there."""
    key = _key(address)
    with suppress(OSError), open(folder / MANIFEST, "rb", opener=_open) as file:
        for line in reversed([line for line in file if key.encode() in line]):
            if saved := _still_there(folder, line, key):
                return saved
    return None


def add(folder: Path, saved: SavedFile, addresses: Iterable[str], *, reason: str, at: float) -> None:
    """Note a paper that is saved now.

    Args:
        folder: of papers.
        saved: the paper, in one of the folder's folders.
        addresses: of its article's page, and of the PDF.
        reason: what is known of it, as its outcome says.
        at: when, in epoch seconds.

    Raises:
        OSError: it can't be noted.
    """
    addresses = dict.fromkeys(addresses)
    line = {
        "path": str(saved.path.relative_to(folder)),
        "bytes": saved.size,
        "sha256": saved.sha256,
        "reason": reason,
        "saved_at": format_instant(at),
        "urls": [address.partition("?")[0] for address in addresses],
        "keys": [_key(address) for address in addresses],
    }
    fd = os.open(folder / MANIFEST, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _FLAGS, 0o666)
    try:
        os.write(fd, json.dumps(line).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def _still_there(folder: Path, line: bytes, key: str) -> SavedFile | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        noted: dict[str, Any] = json.loads(line)
        path = Path(noted["path"])
        if key in noted["keys"] and len(path.parts) == 2 and not {"..", "/"} & set(path.parts):  # noqa: PLR2004 - YEAR/NAME
            fd = os.open(folder / path, os.O_RDONLY | _FLAGS)
            try:
                found = os.fstat(fd)
                if stat.S_ISREG(found.st_mode) and found.st_size:
                    return SavedFile(folder / path, found.st_size, digest_of(fd))
            finally:
                os.close(fd)
    return None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _FLAGS)


def _key(address: str) -> str:
    return sha256(address.encode()).hexdigest()[:32]
