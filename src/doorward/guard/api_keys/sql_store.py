"""API keys in a ``Database``: one row each, found by id. What a row means is decided in ``api_keys``."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from doorward.errors import StoreError, printable
from doorward.guard.api_keys.api_key import ApiKey, StoredKey
from doorward.guard.stores.schema import api_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from doorward.guard.stores.sql import Database

__all__ = ["SqlKeyStore"]

_log = logging.getLogger("doorward.guard")

_MOST_IMPORTED = 100_000
_PAGE = 1000
_c = api_keys.c
_ONE = sa.literal(1, literal_execute=True)  # written out, so that the indexes with this condition are seen to serve


class SqlKeyStore:
    """A ``KeyStore`` in SQLite or PostgreSQL.

    Args:
        database: where; closed with this store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_told = False

    def __repr__(self) -> str:
        return f"SqlKeyStore({self._database!r})"

    def find(self, key_id: str) -> StoredKey | None:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(api_keys).where(_c.key_id == key_id)).one_or_none()
        return None if row is None else _stored(row)

    def find_named(self, name: str) -> StoredKey | None:
        self._wish_for_indexes()
        best_first = _c.is_current.desc(), _c.created_at.desc(), _c.key_id.desc()
        query = sa.select(api_keys).where(_c.name == name).order_by(*best_first).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _stored(row)

    def is_empty(self) -> bool:
        with self._database.reading() as connection:
            return connection.execute(sa.select(sa.literal(1)).select_from(api_keys).limit(1)).scalar() is None

    def imported_ids(self) -> frozenset[str]:
        with self._database.reading() as connection:
            query = sa.select(_c.key_id).where(_c.is_imported == _ONE).limit(_MOST_IMPORTED + 1)
            found = frozenset(connection.execute(query).scalars())
        if len(found) > _MOST_IMPORTED:
            message = (
                f"The database holds more than {_MOST_IMPORTED} imported keys. Replace them by keys of Doorward's."
            )
            raise StoreError(message, reason="too_many_imported")
        return found

    def add(self, stored: Iterable[StoredKey]) -> str | None:
        stored = tuple(stored)
        try:
            with self._database.writing() as connection:
                for each in stored:
                    if taken := _taken(connection, each.key):
                        connection.rollback()
                        return taken
                    connection.execute(sa.insert(api_keys).values(_row(each)))
        except StoreError as error:
            if error.reason == "conflict":  # another process came in between
                return stored[0].key.name
            raise
        return None

    def replace(self, ended: StoredKey, stored: StoredKey) -> bool:
        old = ended.key
        with self._database.writing() as connection:
            replaced = connection.execute(
                sa.update(api_keys)
                .where(_c.key_id == old.key_id, _c.is_current == 1)
                .values(is_current=0, replaced_by=old.replaced_by, expires_at=old.expires_at, seal=ended.seal)
            )
            if not replaced.rowcount:
                return False
            connection.execute(sa.insert(api_keys).values(_row(stored)))
        return True

    def revoke(self, name_or_id: str, *, at: float, by: str) -> tuple[ApiKey, ...] | None:
        self._wish_for_indexes()
        ended: list[ApiKey] = []
        with self._database.writing() as connection:
            is_known = False
            for which in (_c.key_id == name_or_id, _c.name == name_or_id):
                is_known |= connection.execute(sa.select(sa.literal(1)).where(which).limit(1)).scalar() is not None
                for rows in _not_revoked(connection, which):
                    _revoke(connection, rows, at=at, by=by)
                    ended += _good(rows, at=at, by=by)
        return tuple(ended) if is_known else None

    def page(self, after: ApiKey | None = None) -> tuple[StoredKey, ...]:
        self._wish_for_indexes()
        place = sa.tuple_(_c.created_at, _c.key_id)
        query = sa.select(api_keys).order_by(_c.created_at, _c.key_id).limit(_PAGE)
        if after is not None:
            query = query.where(place > sa.tuple_(after.created_at, after.key_id))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(_stored(row) for row in rows)

    def seal(self, stored: StoredKey) -> bool:
        unsealed = _c.key_id == stored.key.key_id, _c.seal == "", _c.revoked_at.is_(None)
        with self._database.writing() as connection:
            return bool(connection.execute(sa.update(api_keys).where(*unsealed).values(seal=stored.seal)).rowcount)

    def touch(self, used: Mapping[str, float]) -> None:
        if self._database.read_only:
            return
        statement = (
            sa.update(api_keys)
            .where(_c.key_id == sa.bindparam("id"), sa.func.coalesce(_c.last_used_at, 0.0) < sa.bindparam("at"))
            .values(last_used_at=sa.bindparam("at"))
        )
        with self._database.writing() as connection:
            # In one order everywhere, or two processes would wait for each other.
            connection.execute(statement, [{"id": key_id, "at": at} for key_id, at in sorted(used.items())])

    def close(self) -> None:
        self._database.close()

    def _wish_for_indexes(self) -> None:
        """Make them, where the database was made without. Where this user may not, all goes on more slowly."""
        try:
            self._database.make_indexes()
        except StoreError as error:
            if not self._is_told and error.reason != "database_corrupt":  # which the next statement tells
                _log.warning("Keys are found by name, listed and revoked slowly, without an index: %s", error.message)
            self._is_told = True


def _taken(connection: sa.Connection, key: ApiKey) -> str | None:
    same_name = sa.select(_c.name).where(_c.name == key.name, _c.is_current == _ONE)
    same_id = sa.select(_c.key_id).where(_c.key_id == key.key_id)
    return connection.execute(sa.union_all(same_name, same_id).limit(1)).scalar()


def _not_revoked(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Iterator[Sequence[sa.Row[Any]]]:
    """Yield keys to revoke until there is none left; who asks for more has revoked these.

    A rotation that is under way lets go of the key that it replaces only when its new one shows; until then the old one
    shows as not revoked. So nothing is missed once a look finds none that waits for nobody and came after every wait.
    """
    query = sa.select(api_keys).where(which, _c.revoked_at.is_(None)).order_by(_c.key_id).limit(_PAGE)
    while rows := connection.execute(query).all():
        yield rows


def _revoke(connection: sa.Connection, rows: Sequence[sa.Row[Any]], *, at: float, by: str) -> None:
    statement = (
        sa.update(api_keys)
        .where(_c.key_id == sa.bindparam("id"), _c.revoked_at.is_(None))
        .values(is_current=0, revoked_at=at, revoked_by=by, seal="")
    )
    # In the order in which `touch` takes them, or the two would wait for each other.
    connection.execute(statement, [{"id": key_id} for key_id in sorted(row.key_id for row in rows)])


def _good(rows: Sequence[sa.Row[Any]], *, at: float, by: str) -> Iterator[ApiKey]:
    """Yield those that were good until they were revoked. A damaged entry opened nothing."""
    for row in rows:
        with suppress(StoreError):
            key = _key(row)
            if not key.has_ended(at):
                yield replace(key, revoked_at=at, revoked_by=by)


def _row(stored: StoredKey) -> dict[str, Any]:
    key = stored.key
    return {
        "key_id": key.key_id,
        "digest": stored.digest,
        "pepper_id": key.pepper_id,
        "name": key.name,
        "is_current": int(key.is_current),
        "is_imported": int(key.imported),
        "scopes": json.dumps(key.scopes),
        "groups": json.dumps(key.groups),
        "may_delegate": int(key.may_delegate),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "revoked_by": key.revoked_by,
        "replaced_by": key.replaced_by,
        "last_used_at": key.last_used_at,
        "seal": stored.seal,
    }


def _stored(row: sa.Row[Any]) -> StoredKey:
    if not (isinstance(row.digest, str) and row.digest.isascii() and isinstance(row.seal, str)):
        raise _damaged(row.key_id)
    return StoredKey(_key(row), row.digest, row.seal)


def _key(row: sa.Row[Any]) -> ApiKey:
    try:
        scopes, groups = json.loads(row.scopes), json.loads(row.groups)
    except (ValueError, TypeError) as error:
        raise _damaged(row.key_id) from error
    lists = isinstance(scopes, list) and isinstance(groups, list)
    texts = (row.key_id, row.pepper_id, row.name, row.created_by, row.replaced_by or "")
    instants = (row.created_at, row.expires_at or 0, row.revoked_at or 0)
    if not (  # SQLite keeps whatever it is given
        lists and all(isinstance(text, str) for text in texts) and all(isinstance(at, float | int) for at in instants)
    ):
        raise _damaged(row.key_id)
    return ApiKey(
        key_id=row.key_id,
        name=row.name,
        scopes=tuple(scopes),
        groups=tuple(groups),
        may_delegate=row.may_delegate == 1,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        last_used_at=row.last_used_at,
        replaced_by=row.replaced_by,
        imported=row.is_imported == 1,
        pepper_id=row.pepper_id,
    )


def _damaged(key_id: str) -> StoreError:
    message = f"The database's entry of key {printable(key_id)} is damaged. Revoke that key and create another."
    return StoreError(message, reason="entry_damaged")
