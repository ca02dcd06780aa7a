"""The tables of the guard's database, and the steps that lead to them. No connection is made here.

The statements of ``MIGRATIONS`` run on SQLite and PostgreSQL as they stand. A step that has been released never
changes: a new table or column is a new step at the end, and the tables say the same.
"""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, MetaData, Table, Text

__all__ = ["MIGRATIONS", "api_keys", "metadata", "schema"]

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
    Column("scopes", Text, nullable=False),  # JSON
    Column("groups", Text, nullable=False),  # JSON
    Column("may_delegate", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("revoked_by", Text, nullable=False),
    Column("replaced_by", Text),
    Column("overlap_ends_at", Double),
    Column("last_used_at", Double),
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
            scopes TEXT NOT NULL,
            groups TEXT NOT NULL,
            may_delegate INTEGER NOT NULL,
            created_at DOUBLE PRECISION NOT NULL,
            created_by TEXT NOT NULL,
            expires_at DOUBLE PRECISION,
            revoked_at DOUBLE PRECISION,
            revoked_by TEXT NOT NULL,
            replaced_by TEXT,
            overlap_ends_at DOUBLE PRECISION,
            last_used_at DOUBLE PRECISION
        )
        """,
        "CREATE UNIQUE INDEX doorward_api_keys_current ON doorward_api_keys (name) WHERE is_current = 1",
    ),
)
"""Each step's number is its place, from 1; the table ``doorward_schema`` holds the numbers of those that ran."""
