"""One database of the guard: brought to the newest schema, bounded in time, and its failures made ours.

What is kept in it is the business of ``api_keys.sql_store`` and ``revocation.sql_store``. Values are always bound
parameters. A URL may hold a password: it stays out of every message and ``repr``.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from doorward.errors import ConfigurationError, StoreError, printable
from doorward.guard.stores import sqlite
from doorward.guard.stores.schema import INDEXES, MIGRATIONS, api_keys, schema
from doorward.guard.work import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Database"]

_POOL_SIZE = 4
_INDEX_TIMEOUT_S = 600.0  # a second for a million rows, more on a busy machine
_MIGRATION_LOCK = int.from_bytes(b"doorward")


class Database:
    """An SQLite file or a PostgreSQL database. The first use connects and brings the schema up to date.

    Made by ``opening.open_database``, which says what to install where something is missing.

    Args:
        url: ``sqlite:////absolute/path`` or ``postgresql://user:password@host:port/name``.
        timeout_s: how long one statement may take, and one wait for a connection or a lock, in seconds.
        read_only: write nothing, and make nothing that is not there; as where an SQLite file can't be written.

    Raises:
        ConfigurationError: Not such a URL.
    """

    def __init__(self, url: str, *, timeout_s: float = 2.0, read_only: bool = False) -> None:
        self._url = _checked(url)
        self._load()
        self._timeout_s = timeout_s
        self._read_only = read_only
        self._lock = threading.Lock()
        self._opening = threading.Lock()  # one thread connects and migrates: the others would only be in its way
        self._engine: sa.Engine | None = None
        self._has_indexes = False
        self._of_the_parent: sa.Engine | None = None
        renew_after_fork(self)

    def _load(self) -> None:
        """Import now what the first use would import, in a thread: a fork amid an import hangs the child."""
        self._url.get_dialect().import_dbapi()
        if self.path is None:
            import doorward.guard.stores.postgresql  # noqa: F401, PLC0415 - imports what only its extra brings

    @property
    def path(self) -> str | None:
        """The file of an SQLite database."""
        return self._url.database if self._url.get_backend_name() == "sqlite" else None

    @property
    def read_only(self) -> bool:
        """Whether nothing is written, as was asked for, or since the file can't be."""
        return self._read_only or not (self.path is None or sqlite.can_be_written(self.path))

    def __repr__(self) -> str:
        return f"Database({self._url.get_backend_name()})"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Hold a transaction that only reads.

        Raises:
            StoreError: Whatever the database did.
        """
        with self._errors_made_ours(), self._opened().connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Hold a transaction that writes: committed at the end of the block, rolled back by an exception.

        Raises:
            StoreError: Whatever the database did; reason ``conflict`` where a constraint of the schema forbids it.
        """
        with self._errors_made_ours(), self._opened().connect() as connection, _begin_writing(connection):
            yield connection

    def make_indexes(self) -> None:
        """Make the indexes that a database of an older Doorward lacks. Takes seconds for a million rows, and only once.

        For whoever is about to search by other columns than a primary key; a guard, which does not, waits for nothing.

        Raises:
            StoreError: Whatever the database did.
        """
        if self._has_indexes:
            return
        with self._errors_made_ours():
            engine = self._opened()
            with self._alone():
                if not self._has_indexes:
                    self._make_missing_indexes(engine)
                    self._has_indexes = True

    def close(self) -> None:
        """Close every connection. A later use opens new ones."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def after_fork(self) -> None:
        """Leave open connections to the parent: not even closing them here would be harmless."""
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._of_the_parent, self._engine = self._engine, None

    def _opened(self) -> sa.Engine:
        engine = self._engine
        if engine is not None:
            return engine
        with self._alone():
            return self._engine or self._open()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._opening.acquire(timeout=self._timeout_s):
            message = f"{self._where()} is still being opened. Try again in a moment."
            raise StoreError(message, reason="database_timeout")
        try:
            yield
        finally:
            self._opening.release()

    def _open(self) -> sa.Engine:
        engine = self._make_engine()
        try:
            _migrate(engine, read_only=self.read_only, where=self._where())
        except BaseException:
            engine.dispose()
            raise
        with self._lock:
            self._engine = engine
        return engine

    def _make_missing_indexes(self, engine: sa.Engine) -> None:
        with engine.connect() as connection, connection.begin():
            missing = _missing_indexes(connection)
        if not missing:
            return
        patient = self._make_engine(statement_timeout_s=_INDEX_TIMEOUT_S)
        try:
            for name in missing:  # a transaction each: others can write in between
                with patient.connect() as connection, _begin_writing(connection):
                    _lock_schema(connection)
                    connection.exec_driver_sql(INDEXES[name])
        finally:
            patient.dispose()

    def _make_engine(self, *, statement_timeout_s: float | None = None) -> sa.Engine:
        settings = {
            "hide_parameters": True,  # an exception of SQLAlchemy names no digest
            "max_overflow": 0,
            "pool_size": _POOL_SIZE,
            "pool_timeout": self._timeout_s,
        }
        if self.path is not None and self.read_only:
            return sqlite.make_reading_engine(self._url, timeout_s=self._timeout_s)
        if self.path is not None:
            return sqlite.make_engine(self._url, timeout_s=self._timeout_s, **settings)
        from doorward.guard.stores import postgresql  # noqa: PLC0415 - imports what only its extra brings

        limit_s = self._timeout_s if statement_timeout_s is None else statement_timeout_s
        return postgresql.make_engine(
            self._url,
            timeout_s=self._timeout_s,
            statement_timeout_s=limit_s,
            read_only=self._read_only,
            **settings,
        )

    @contextmanager
    def _errors_made_ours(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise StoreError("The database already holds what forbids this.", reason="conflict") from error
        except (SQLAlchemyError, OSError) as error:
            raise _store_error(error, self._where()) from error

    def _where(self) -> str:
        return "The PostgreSQL database" if self.path is None else printable(self.path)


def _checked(text: str) -> sa.URL:
    wanted = "Give sqlite:////absolute/path or postgresql://user@host:port/name."
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        message = f"The URL of the database can't be read. {wanted}"
        raise ConfigurationError(message, field="url", reason="database_url") from None  # it may hold a password
    if "@" in (url.host or ""):  # the end of a password, which the driver would repeat in its errors
        message = "The password in the URL of the database holds an @: write %40 for it."
        raise ConfigurationError(message, field="url", reason="database_url")
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and not url.query and Path(url.database or "").is_absolute():
        return url
    message = f"A database by {printable(url.drivername)!r} can't be used, or not with this path. {wanted}"
    raise ConfigurationError(message, field="url", reason="database_url")


def _begin_writing(connection: sa.Connection) -> sa.RootTransaction:
    return connection.execution_options(**{sqlite.WRITING: True}).begin()


def _migrate(engine: sa.Engine, *, read_only: bool, where: str) -> None:
    """Run the steps that the database has not seen, one process at a time, all or none."""
    with engine.connect() as connection, connection.begin():
        if _version(connection) == len(MIGRATIONS):
            return
    if read_only:
        message = (
            f"{where} is empty, or of an older Doorward, and nothing may be written there now. Start the service where "
            "it can write, or bring it up to date by: doorward keys list --db PATH_OR_URL"
        )
        raise StoreError(message, reason="schema_older")
    with engine.connect() as connection, _begin_writing(connection):
        _lock_schema(connection)
        version = _version(connection)
        for number, step in enumerate(MIGRATIONS[version:], version + 1):
            for statement in step:
                connection.exec_driver_sql(statement)
            connection.execute(sa.insert(schema).values(version=number))
        if not version:  # the tables are empty: indexes cost nothing
            for statement in INDEXES.values():
                connection.exec_driver_sql(statement)


def _lock_schema(connection: sa.Connection) -> None:
    """Let one process at a time change the schema, to the end of its transaction. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))


def _missing_indexes(connection: sa.Connection) -> list[str]:
    found = sa.inspect(connection).get_indexes(api_keys.name)
    return [name for name in INDEXES if name not in {index["name"] for index in found}]


def _version(connection: sa.Connection) -> int:
    """Return the number of the last step that ran.

    Raises:
        StoreError: It is one that this Doorward does not know.
    """
    if not sa.inspect(connection).has_table(schema.name):
        return 0
    version = connection.execute(sa.select(sa.func.max(schema.c.version))).scalar() or 0
    if version > len(MIGRATIONS):
        message = (
            f"The database was brought to schema {version} by a newer Doorward; this one knows {len(MIGRATIONS)}. "
            "Install the newer one here too."
        )
        raise StoreError(message, reason="schema_newer")
    return int(version)


def _store_error(error: SQLAlchemyError | OSError, where: str) -> StoreError:
    """Say in our words what a database or file system did. Its own words may hold values; they stay in the cause."""
    if isinstance(error, OSError):
        what = os.strerror(error.errno) if error.errno else "unknown"
        return StoreError(
            f"{where} could not be opened: {what}. Look at its folder and at who may write there.", reason="io"
        )
    if isinstance(error, PoolTimeout):
        return StoreError(f"All connections to {where} are busy. Try again in a moment.", reason="database_busy")
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or type(cause).__name__
    reason, remedy = _REMEDIES.get(state, ("database_failed", "Look at the database, then try again."))
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        reason, remedy = "database_unreachable", _UNREACHABLE
    return StoreError(f"{where} can't be used ({printable(state)}). {remedy}", reason=reason)


_UNREACHABLE = "See that it runs, can be reached, and knows this user, password and name of a database."
_REMEDIES = {
    "42501": ("database_forbidden", "Give its user the right to use, and at first to make, the tables."),
    "57014": ("database_timeout", "It took too long. Try again in a moment."),
    "55P03": ("database_timeout", "Another process held a lock for too long. Try again in a moment."),
    "ConnectionTimeout": ("database_timeout", "It did not answer. See that it runs and can be reached."),
    "OperationalError": ("database_unreachable", _UNREACHABLE),
    "SQLITE_BUSY": ("database_timeout", "Another process held its lock for too long. Try again in a moment."),
    "SQLITE_CANTOPEN": ("io", "Look at its folder and at who may read and write there."),
    "SQLITE_CORRUPT": ("database_corrupt", "It is damaged: restore it from a copy."),
    "SQLITE_FULL": ("disk_full", "Make room on the disk."),
    "SQLITE_NOTADB": ("database_corrupt", "It is no SQLite database: name another file, or move this one away."),
    "25006": ("read_only", "It is only read here: change it where it can be written."),
    "SQLITE_READONLY": ("read_only", "It is only read here: change it where it can be written."),
}
"""By SQLSTATE, SQLite's name of the error, or else the driver's class: our reason, and what to do."""
