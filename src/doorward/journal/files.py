"""Opening an audit log's files for reading, the oldest first, while others write and rotate them. Needs no lock."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from doorward.errors import ConfigurationError, StoreError, printable
from doorward.journal.chain_file import full_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

__all__ = [
    "absolute",
    "errors_made_ours",
    "identity",
    "identity_of",
    "no_log",
    "open_all",
    "open_file",
    "refuse_missing",
]


_READING = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def absolute(path: str | PathLike[str]) -> Path:
    """Return the place of a log as it is named now, links and all."""
    return Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100 - resolve() would follow a link


@contextmanager
def errors_made_ours(place: Path) -> Iterator[None]:
    """Turn what the system says into a StoreError that names the log."""
    try:
        yield
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else "unknown"
        message = f"{printable(str(place))} can't be read: {what}. See who may read it."
        raise StoreError(message, reason="audit_unreadable") from error


def refuse_missing(place: Path) -> None:
    """Raise ConfigurationError where there is no log at all."""
    if not place.exists() and not full_files(place):
        message = f"There is no audit log at {printable(str(place))}. Name the file that it is written to."
        raise ConfigurationError(message, field="path", reason="audit_missing")


@contextmanager
def open_file(place: Path) -> Iterator[BinaryIO]:
    """Open one file of a log; only a regular one is read."""
    try:
        file = open(place, "rb", opener=lambda name, _: os.open(name, _READING))  # noqa: SIM115 - closed below
    except IsADirectoryError:
        raise no_log(place) from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise no_log(place)
        yield file


def no_log(place: Path) -> ConfigurationError:
    """Return the error about what is there and is no log."""
    message = f"{printable(str(place))} is no audit log. Name the file that it is written to."
    return ConfigurationError(message, field="path", reason="audit_missing")


def open_all(place: Path) -> Iterator[BinaryIO]:
    """Yield the files of a log, the oldest first, each open until the next. The last one is opened first.

    So, if it is rotated meanwhile, it is found again among the full ones, and read once.
    """
    refuse_missing(place)
    with suppress(FileNotFoundError), open_file(place) as last:
        yield from _open_full(place, without=identity(os.fstat(last.fileno())))
        yield last
        return
    yield from _open_full(place, without=None)  # killed in the middle of a rotation


def _open_full(place: Path, *, without: tuple[int, int] | None) -> Iterator[BinaryIO]:
    for name in full_files(place):
        with suppress(FileNotFoundError), open_file(name) as file:
            if identity(os.fstat(file.fileno())) != without:
                yield file


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return what a file keeps when it is renamed."""
    return status.st_dev, status.st_ino


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file that has this name now, None where there is none."""
    try:
        return identity(path.stat())
    except FileNotFoundError:
        return None
