"""How the guard speaks to PostgreSQL: through psycopg, with a deadline for each wait on either side.

Also through a pooler that gives each transaction another of the server's sessions, such as PgBouncer in transaction
mode or Neon's: nothing is kept in a session. So limits hold for a transaction, and no statement is prepared by name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["make_engine"]

_SHORTEST_CONNECT_TIMEOUT_S = 2  # libpq takes less for 2


def make_engine(
    url: sa.URL, *, timeout_s: float, statement_timeout_s: float, read_only: bool, **settings: Any
) -> sa.Engine:
    """Return an engine whose connections give up by themselves. Nothing is connected yet.

    Args:
        url: of the database.
        timeout_s: how long a wait for a connection or a lock may take.
        statement_timeout_s: how long a statement may take, with its waits.
        read_only: whether the server is to refuse whatever writes.
        settings: for SQLAlchemy's engine.
    """
    ms, statement_ms = int(timeout_s * 1000), int(statement_timeout_s * 1000)
    begin = (
        f"BEGIN{' READ ONLY' if read_only else ''}; "
        f"SET LOCAL statement_timeout = {statement_ms}; SET LOCAL lock_timeout = {ms}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {10 * ms}"
    )
    arguments = {
        "application_name": "doorward",
        "connect_timeout": max(_SHORTEST_CONNECT_TIMEOUT_S, int(timeout_s)),
        "autocommit": True,  # psycopg begins no transaction by itself: `begin` does, and says its limits in one go
        "prepare_threshold": None,
    }
    engine = sa.create_engine(url, connect_args=arguments, pool_pre_ping=True, **settings)
    patience_s = statement_timeout_s + 1.0  # the server ends a statement first, if it still can

    class ImpatientConnection(psycopg.Connection[Any]):
        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
            try:
                return super().wait(_until(gen, time.monotonic() + patience_s), *args, **kwargs)
            except psycopg.errors.ConnectionTimeout:
                self.pgconn.finish()  # its late answer must not be taken for the next statement's
                raise

    def connect(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> psycopg.Connection[Any]:
        return ImpatientConnection.connect(*args, **options)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _until(gen: Generator[Any, Any, Any], give_up_at: float) -> Generator[Any, Any, Any]:
    """Pass on what psycopg waits for. Where nothing comes, psycopg looks in here ten times a second."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= give_up_at:
                raise psycopg.errors.ConnectionTimeout("the server stopped answering")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value
