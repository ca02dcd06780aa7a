"""Revocations in a database, in the order in which they were committed, so that nobody who reads on misses one.

Whoever writes takes the next number from a row of its own, and holds that row's lock until the commit: a number is
visible only after all smaller ones are. The sequences of PostgreSQL do not promise that (decision 11).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, get_args

import sqlalchemy as sa

from doorward.errors import StoreError
from doorward.guard.revocation.revocation_list import Changes, Kind, target_of
from doorward.guard.stores.schema import revocation_count, revocations
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from doorward.guard.revocation.revocation_list import Entry, Revocation
    from doorward.guard.stores.sql import Database
    from doorward.ports import Clock

__all__ = ["SqlRevocations"]

_PAGE = 5000
_KINDS = frozenset(get_args(Kind))
_ENTRY = (revocations.c.kind, revocations.c.target, revocations.c.before_at, revocations.c.until_at)
_FORGET_AFTER_S = 3600.0  # beyond `until`, for computers whose clocks differ


class SqlRevocations:
    """The ``RevocationStore`` of one database.

    Args:
        database: where; closed with this object.
        clock: for tests.
    """

    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    def add(self, revocation: Revocation) -> None:
        """Keep an entry in place of an older one for the same target, never narrower than that was.

        Raises:
            StoreError: the database failed; the entry may be kept or not.
        """
        target = target_of(revocation.kind, revocation.issuer, revocation.value).hex()
        with self._database.writing() as connection:
            count = sa.update(revocation_count).values(latest=revocation_count.c.latest + 1)
            number = connection.execute(count.returning(revocation_count.c.latest)).scalar_one()
            known = connection.execute(sa.select(revocations).where(revocations.c.target == target)).one_or_none()
            before, until = revocation.before, revocation.until
            if known is not None:
                before, until = max(before, _or_inf(known.before_at)), max(until, _or_inf(known.until_at))
            superseded = revocations.c.target == target
            over = revocations.c.until_at < self._clock.now() - _FORGET_AFTER_S
            connection.execute(sa.delete(revocations).where(superseded | over))
            connection.execute(
                sa.insert(revocations).values(
                    number=number,
                    target=target,
                    kind=revocation.kind,
                    issuer=revocation.issuer,
                    value=revocation.value,
                    before_at=_or_none(before),
                    until_at=_or_none(until),
                    revoked_at=revocation.revoked_at,
                    revoked_by=revocation.revoked_by,
                )
            )

    def latest(self) -> int:
        """Return the greatest number given. See ``RevocationStore.latest``.

        Raises:
            StoreError: the database failed.
        """
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(revocation_count.c.latest)).scalar_one())

    def read(self, position: int, last: int) -> Changes:
        """Return up to 5000 entries after ``position``. See ``RevocationStore.read``.

        Raises:
            StoreError: the database failed, or holds what this version does not understand (``unknown_revocation``).
        """
        number = revocations.c.number
        wanted = sa.select(*_ENTRY, number).where(number > position, number <= last).order_by(number).limit(_PAGE)
        rows = self._rows(wanted)
        # A row that is gone was forgotten, or replaced by one with a greater number, which is read under that.
        return Changes(_entries(rows), rows[-1][-1] if len(rows) == _PAGE else last)

    def find(self, targets: Sequence[bytes]) -> Sequence[Entry]:
        """Return the entries for these targets, by one look into an index.

        Raises:
            StoreError: as ``read``.
        """
        wanted = [each.hex() for each in targets]
        return _entries(self._rows(sa.select(*_ENTRY).where(revocations.c.target.in_(wanted))))

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    def _rows(self, wanted: sa.Select[Any]) -> Sequence[tuple[Any, ...]]:
        with self._database.reading() as connection:
            cursor = connection.execute(wanted).cursor
            assert cursor is not None  # noqa: S101 - a SELECT has one; its plain rows take half the time of SQLAlchemy's
            return cursor.fetchall()


def _entries(rows: Sequence[tuple[Any, ...]]) -> Sequence[Entry]:
    if not {row[0] for row in rows} <= _KINDS:
        message = (
            "The database holds a kind of revocation that this Doorward does not know: install the newer one here."
        )
        raise StoreError(message, reason="unknown_revocation")
    digest = bytes.fromhex  # a million times at a start, hence no objects and few calls
    try:
        return [
            (kind, digest(target), inf if before is None else before + 0.0, inf if until is None else until + 0.0)
            for kind, target, before, until, *_ in rows
        ]
    except (TypeError, ValueError) as error:  # SQLite keeps whatever it is given
        message = "The database's list of revocations is damaged: restore it from a copy."
        raise StoreError(message, reason="entry_damaged") from error


def _or_inf(instant: float | None) -> float:
    return inf if instant is None else instant


def _or_none(instant: float) -> float | None:
    return None if instant == inf else instant
