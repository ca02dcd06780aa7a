"""Whether a record is kept, and where: ``DOORWARD_RECORD``, or ``[record]`` in ``doorward.toml``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, printable
from doorward.vault.glance import may_be_recorded
from doorward.vault.settings_file import read_tables, refuse_unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["record_file", "record_key"]

_SHORTEST_KEY = 16


def record_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where the record is kept, None if none is.

    Raises:
        ConfigurationError: The setting can't be read, or names no absolute path.
    """
    if not may_be_recorded(environ):
        return None
    place = "DOORWARD_RECORD"
    named: object = environ.get(place)
    if not named:
        table = read_tables("record")
        refuse_unknown(table, ("path",), "record.")
        place, named = "record.path", table.get("path")
        if not table:
            return None
    if not isinstance(named, str):
        raise wrong(place, 'must be a path: path = "~/record/doorward.jsonl"', "wrong_value")
    path = Path(named).expanduser()
    if not path.is_absolute() or "\0" in named:
        message = f"{place} is {printable(named)!r}. Give the absolute path of the record's file."
        raise ConfigurationError(message, field=place, reason="record_not_absolute")
    if sys.platform == "win32":
        raise ConfigurationError("The record needs POSIX locks, which Windows has not.", field=place)
    return path


def record_key(environ: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the key of the record's chain, None for a chain that anybody could make.

    Raises:
        ConfigurationError: It could be guessed.
    """
    key = environ.get("DOORWARD_AUDIT_KEY")
    if key and len(key) < _SHORTEST_KEY:
        message = f"DOORWARD_AUDIT_KEY is shorter than {_SHORTEST_KEY} characters and could be guessed."
        raise ConfigurationError(message, field="DOORWARD_AUDIT_KEY", reason="key_too_short")
    return key.encode(errors="surrogatepass") if key else None
