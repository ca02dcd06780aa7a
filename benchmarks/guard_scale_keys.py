"""What it takes to manage API keys where there are a million, in SQLite and in PostgreSQL.

Times are of one call from beginning to end, commit and disk included, by a program that has the database open.
PostgreSQL is a server of its own on loopback, made for this run where its programs are installed.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.sql_store import SqlKeyStore
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.guard.stores.schema import INDEXES
from doorward.model import Secret

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
import postgres

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from doorward.guard.stores.sql import Database
    from measuring import Report

__all__ = ["show_managed_keys"]

_MOST_MS = 50.0
_AT_ONCE = 20_000
_FILL = f"""
INSERT INTO doorward_api_keys
WITH RECURSIVE numbers(n) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
SELECT 'id' || CAST(n AS TEXT), '{"0" * 48}', 'pepper', 'service-' || CAST(n AS TEXT), 1, 0, '["orders:read"]', '[]',
    0, 1700000000 + n, 'benchmark', NULL, NULL, '', NULL, NULL, ''
FROM numbers
"""  # noqa: S608 - nothing from outside


def show_managed_keys(report: Report, chosen: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _show(report, chosen, "SQLite", sqlite_url(Path(folder) / "keys.db"))
    programs = postgres.find_programs()
    if programs is None:
        report.figures("Management of API keys, PostgreSQL", {"not measured": "PostgreSQL is not installed"})
        return
    with closing(postgres.PostgreSQL(programs)) as server:
        server.start(durable=True)
        _show(report, chosen, "PostgreSQL", server.new_database())


def _show(report: Report, chosen: argparse.Namespace, where: str, url: str) -> None:
    count, times = (2000, 5) if chosen.quick else (1_000_000, 200)
    with _filled(url, count) as database:
        keys = ApiKeys(SqlKeyStore(database), pepper=Secret("a-pepper-of-32-bytes-for-this-run-alone"))
        began_at = time.perf_counter()
        database.make_indexes()
        figures = {"making the indexes, of a database without them": f"{time.perf_counter() - began_at:8.2f} s"}
        numbers = random.sample(range(count), times)
        calls: dict[str, Callable[[int], object]] = {
            "show, by name": lambda number: keys.show(f"service-{number}"),
            "show, by id": lambda number: keys.show(f"id{number}"),
            "create": lambda number: keys.create(f"new-{number}"),
            "rotate": lambda number: keys.rotate(f"new-{number}"),  # only what has a seal is rotated
            "revoke, by name": lambda number: keys.revoke(f"service-{number}"),
            "revoke, by id": lambda number: keys.revoke(f"id{(number + 1) % count}"),
        }
        goals = {}
        for name, call in calls.items():
            taken_ms = [_time_ms(call, number) for number in numbers]
            goals[name] = max(taken_ms)
            figures[name] = f"{statistics.median(taken_ms):8.2f} ms median {max(taken_ms):8.2f} ms at most"
        began_at = time.perf_counter()
        listed = sum(1 for _ in keys.each(ended=True))
        figures[f"listing all {listed}, page by page"] = f"{time.perf_counter() - began_at:8.2f} s"
    title = f"Management of API keys, {where}, {count} keys, {times} calls each"
    report.figures(title, figures)
    for name, worst_ms in goals.items():
        report.goal(f"{name}, {count} keys, {where}, the slowest of {times}, ms", worst_ms, most=_MOST_MS)


@contextmanager
def _filled(url: str, count: int) -> Iterator[Database]:
    """Yield a database full of keys, as one of a Doorward that knew no indexes by name."""
    with closing(open_database(url, timeout_s=60.0)) as filling, filling.writing() as connection:
        for name in INDEXES:
            connection.execute(sa.text(f"DROP INDEX {name}"))
        for first in range(0, count, _AT_ONCE):
            connection.execute(sa.text(_FILL), {"first": first, "last": min(first + _AT_ONCE, count) - 1})
    with closing(open_database(url)) as database:
        yield database


def _time_ms(call: Callable[[int], object], number: int) -> float:
    began_ns = time.perf_counter_ns()
    call(number)
    return (time.perf_counter_ns() - began_ns) / 1e6
