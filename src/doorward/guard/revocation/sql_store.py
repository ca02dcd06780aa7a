"""Revocations in a database, in the order in which they were committed, so that nobody who reads on misses one.

Whoever writes takes the next number from a row of its own, and holds that row's lock until the commit: a number is
visible only after all smaller ones are. The sequences of PostgreSQL do not promise that (decision 11).
"""

from __future__ import annotations

import hashlib
import json
from math import inf
from typing import TYPE_CHECKING, get_args

import sqlalchemy as sa

from doorward.errors import StoreError
from doorward.guard.revocation.revocation_list import Changes, Kind, Revocation
from doorward.guard.stores.schema import revocation_count, revocations
from doorward.system import SystemClock

if TYPE_CHECKING:
    from typing import Any

    from doorward.guard.stores.sql import Database
    from doorward.ports import Clock

__all__ = ["SqlRevocations"]

_PAGE = 1000
_KINDS = frozenset(get_args(Kind))
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
        target = _target(revocation)
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

    def read(self, position: int) -> Changes:
        """Return up to 1000 entries after ``position``, the oldest first. See ``RevocationStore.read``.

        Raises:
            StoreError: the database failed, or holds what this version does not understand (``unknown_revocation``).
        """
        number = revocations.c.number
        with self._database.reading() as connection:
            latest = connection.execute(sa.select(revocation_count.c.latest)).scalar_one()
            if latest == position:
                return Changes((), position, complete=True)
            start = position if position < latest else 0  # else this database is older than what was read of it
            found = connection.execute(sa.select(revocations).where(number > start).order_by(number).limit(_PAGE)).all()
        complete = len(found) < _PAGE
        # A row that is gone was forgotten, or replaced by one with a greater number, which is then read here too.
        reached = max([latest, *(row.number for row in found[-1:])]) if complete else found[-1].number
        return Changes(tuple(map(_revocation, found)), reached, complete)

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()


def _target(revocation: Revocation) -> str:
    names = json.dumps([revocation.kind, revocation.issuer, revocation.value])
    return hashlib.sha256(names.encode()).hexdigest()


def _revocation(row: sa.Row[Any]) -> Revocation:
    if row.kind not in _KINDS:
        message = (
            "The database holds a kind of revocation that this Doorward does not know: install the newer one here."
        )
        raise StoreError(message, reason="unknown_revocation")
    return Revocation(
        row.kind, row.issuer, row.value, _or_inf(row.before_at), _or_inf(row.until_at), row.revoked_at, row.revoked_by
    )


def _or_inf(instant: float | None) -> float:
    return inf if instant is None else instant


def _or_none(instant: float) -> float | None:
    return None if instant == inf else instant
