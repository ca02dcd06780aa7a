"""The way to a ``Database`` that imports SQLAlchemy only when one is asked for, and says what to install without it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    from doorward.guard.stores.sql import Database

__all__ = ["open_database", "sqlite_url"]


def sqlite_url(path: str | os.PathLike[str]) -> str:
    """Return the URL of an SQLite file. A relative path is taken from the folder that is current now."""
    return "sqlite:///" + os.path.abspath(path)  # noqa: PTH100 - a folder of that name may not be there yet


def open_database(url: str, *, timeout_s: float = 2.0, read_only: bool = False) -> Database:
    """Return the database at ``url``. No I/O yet: its first use connects.

    Args:
        url: ``sqlite:////absolute/path`` or ``postgresql://user:password@host:port/name``.
        timeout_s: how long one statement may take, and one wait for a connection, in seconds.
        read_only: write nothing, and make nothing that is not there.

    Raises:
        ConfigurationError: Not such a URL, or what it needs is not installed.
    """
    is_postgresql = url.partition(":")[0].startswith("postgres")
    for module, extra in (("sqlalchemy", "postgresql" if is_postgresql else "sql"), ("psycopg", "postgresql")):
        if (module != "psycopg" or is_postgresql) and find_spec(module) is None:
            message = f"This kind of database needs a package that is not installed: pip install 'doorward[{extra}]'"
            raise ConfigurationError(message, field="url", reason="extra_missing")
    from doorward.guard.stores.sql import Database  # noqa: PLC0415 - heavy, and for users of the extra alone

    return Database(url, timeout_s=timeout_s, read_only=read_only)
