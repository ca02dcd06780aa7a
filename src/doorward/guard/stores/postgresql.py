"""How the guard speaks to PostgreSQL: through psycopg, with a deadline for each wait on either side."""

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


def make_engine(url: sa.URL, *, timeout_s: float, statement_timeout_s: float, **settings: Any) -> sa.Engine:
    """Return an engine whose connections give up by themselves. Nothing is connected yet.

    Args:
        url: of the database.
        timeout_s: how long a wait for a connection or a lock may take.
        statement_timeout_s: how long a statement may take, with its waits.
        settings: for SQLAlchemy's engine.
    """
    ms, statement_ms = int(timeout_s * 1000), int(statement_timeout_s * 1000)
    given = url.query.get("options", "")
    limits = (
        f"-c statement_timeout={statement_ms} -c lock_timeout={ms} -c idle_in_transaction_session_timeout={10 * ms}"
    )
    arguments = {
        "application_name": "doorward",
        "connect_timeout": max(_SHORTEST_CONNECT_TIMEOUT_S, int(timeout_s)),
        "options": f"{given if isinstance(given, str) else ''} {limits}".strip(),
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
