"""How the guard uses an SQLite file: private from its first moment, in WAL mode, with transactions that are its own.

Where it may only read, as on a read-only mount, it makes no file and keeps nobody from writing.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event

from doorward.errors import StoreError, printable
from doorward.guard.work import OwnLock

__all__ = ["WRITING", "can_be_written", "make_engine", "make_reading_engine"]

WRITING = "doorward_writing"
"""The execution option of a connection whose transactions write."""

_making = OwnLock()


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


def can_be_written(path: str) -> bool:
    """Tell whether the file can be written, or made; and the files beside it, without which nothing is written."""
    folder = os.path.dirname(path)  # noqa: PTH120 - the path is text, from a URL
    return os.access(folder, os.W_OK) and (not os.access(path, os.F_OK) or os.access(path, os.W_OK))


def make_reading_engine(url: sa.URL, *, timeout_s: float) -> sa.Engine:
    """Return an engine that only reads the file that ``url`` names, and opens it anew for each transaction."""
    path = str(url.database)

    def connect() -> sqlite3.Connection:
        # Who writes keeps a log beside the file, and an index of it: both are read. Without a log the file is whole by
        # itself; SQLite would want to make the two, and has to be told that nobody writes. Hence opened anew each time.
        alone = "" if _has_log(path) else "&immutable=1"
        return sqlite3.connect(f"file:{quote(path)}?mode=ro{alone}", uri=True, timeout=timeout_s, isolation_level=None)

    engine = sa.create_engine(url, creator=connect, poolclass=sa.NullPool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    return engine


def _has_log(path: str) -> bool:
    try:
        return os.stat(f"{path}-wal").st_size > 0  # noqa: PTH116 - as above
    except FileNotFoundError:
        return False


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
