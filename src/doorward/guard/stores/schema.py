"""The tables of the guard's database, and the steps that lead to them. No connection is made here.

The statements run on SQLite and PostgreSQL as they stand. A step of ``MIGRATIONS`` that has been released never
changes: a new table or column is a new step at the end, and the tables say the same. ``INDEXES`` are no steps: programs
that do not know them go on working.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, Table, Text

__all__ = ["INDEXES", "MIGRATIONS", "api_keys", "metadata", "revocation_count", "revocations", "schema"]

metadata = MetaData()

schema = Table(
    "doorward_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

api_keys = Table(
    "doorward_api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("pepper_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_current", Integer, nullable=False),  # 1 until revoked or replaced; one of a name at most
    Column("is_imported", Integer, nullable=False),  # a key of another shape, whose id is a digest of it
    Column("scopes", Text, nullable=False),  # JSON
    Column("groups", Text, nullable=False),  # JSON
    Column("may_delegate", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("revoked_by", Text, nullable=False),
    Column("replaced_by", Text),
    Column("last_used_at", Double),
    Column("seal", Text, nullable=False),  # who has the pepper vouches for the entry; empty: nobody (decision 16)
)

revocations = Table(
    "doorward_revocations",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # from `revocation_count`: in order of commit
    Column("target", Text, nullable=False, unique=True),  # digest of kind, issuer and value: those may be long
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("before_at", Double),  # None: whenever issued
    Column("until_at", Double),  # None: for ever
    Column("revoked_at", Double, nullable=False),
    Column("revoked_by", Text, nullable=False),
)

revocation_count = Table(
    "doorward_revocation_count",
    metadata,
    Column("latest", BigInteger, nullable=False),  # one row
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE doorward_schema (version INTEGER NOT NULL PRIMARY KEY)",
        """
        CREATE TABLE doorward_api_keys (
            key_id TEXT NOT NULL PRIMARY KEY,
            digest TEXT NOT NULL,
            pepper_id TEXT NOT NULL,
            name TEXT NOT NULL,
            is_current INTEGER NOT NULL,
            is_imported INTEGER NOT NULL,
            scopes TEXT NOT NULL,
            groups TEXT NOT NULL,
            may_delegate INTEGER NOT NULL,
            created_at DOUBLE PRECISION NOT NULL,
            created_by TEXT NOT NULL,
            expires_at DOUBLE PRECISION,
            revoked_at DOUBLE PRECISION,
            revoked_by TEXT NOT NULL,
            replaced_by TEXT,
            last_used_at DOUBLE PRECISION
        )
        """,
        "CREATE UNIQUE INDEX doorward_api_keys_current ON doorward_api_keys (name) WHERE is_current = 1",
        "CREATE INDEX doorward_api_keys_imported ON doorward_api_keys (key_id) WHERE is_imported = 1",
    ),
    (
        """
        CREATE TABLE doorward_revocations (
            number BIGINT NOT NULL PRIMARY KEY,
            target TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            issuer TEXT NOT NULL,
            value TEXT NOT NULL,
            before_at DOUBLE PRECISION,
            until_at DOUBLE PRECISION,
            revoked_at DOUBLE PRECISION NOT NULL,
            revoked_by TEXT NOT NULL
        )
        """,
        "CREATE INDEX doorward_revocations_until ON doorward_revocations (until_at)",
        "CREATE TABLE doorward_revocation_count (latest BIGINT NOT NULL)",
        "INSERT INTO doorward_revocation_count (latest) VALUES (0)",
    ),
    # Entries are not sealed here: whoever can write to the database could have it run this step again.
    ("ALTER TABLE doorward_api_keys ADD COLUMN seal TEXT NOT NULL DEFAULT ''",),
)
"""Each step's number is its place, from 1; the table ``doorward_schema`` holds the numbers of those that ran."""

INDEXES: dict[str, str] = {
    "doorward_api_keys_name": (  # the current key of a name, or the one made last
        "CREATE INDEX IF NOT EXISTS doorward_api_keys_name ON doorward_api_keys (name, is_current, created_at, key_id)"
    ),
    "doorward_api_keys_not_revoked": (  # what there is to revoke of a name
        "CREATE INDEX IF NOT EXISTS doorward_api_keys_not_revoked"
        " ON doorward_api_keys (name, key_id) WHERE revoked_at IS NULL"
    ),
    "doorward_api_keys_made": (  # all keys, the oldest first
        "CREATE INDEX IF NOT EXISTS doorward_api_keys_made ON doorward_api_keys (created_at, key_id)"
    ),
}
"""By name, what the management of keys needs. A new database has them at once, an older one when they are needed."""
