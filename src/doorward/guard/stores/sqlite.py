"""How the guard uses an SQLite file: private from its first moment, in WAL mode, with transactions that are its own."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from doorward.errors import StoreError, printable

__all__ = ["WRITING", "make_engine"]

WRITING = "doorward_writing"
"""The execution option of a connection whose transactions write."""

_making = threading.Lock()


def make_engine(url: sa.URL, *, timeout_s: float, **settings: Any) -> sa.Engine:
    """Return an engine on the file that ``url`` names, which is made if it is not there.

    Raises:
        StoreError: Not a file that could hold the database.
        OSError: The file system refused.
    """
    _make_private(str(url.database))
    engine = sa.create_engine(url, connect_args={"timeout": timeout_s}, **settings)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private(path: str) -> None:
    """Make the file with mode 0600. SQLite gives the files beside it the mode of this one."""
    # Closing a file that SQLite has open in this process drops SQLite's locks. Hence O_EXCL, and one at a time.
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600))
    status = os.stat(path)  # noqa: PTH116 - the path is text, from a URL
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{printable(path)} is no file. Name the file of the database.", reason="not_a_file")
    if os.name == "posix" and status.st_mode & stat.S_IWOTH:
        message = f"{printable(path)} can be changed by everybody on this computer. Close it: chmod o-w"
        raise StoreError(message, reason="file_mode")


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction by itself: `_begin` does
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a revocation that was confirmed survives a power cut


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later is refused where another one has written in between.
    writing = connection.get_execution_options().get(WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
