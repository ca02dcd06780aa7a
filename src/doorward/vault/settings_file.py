"""Reads ``doorward.toml``: tables of people's settings, which other rooms understand. No secrets stand in it."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, UnsafePermissions, printable
from doorward.vault.folders import config_folder
from doorward.vault.trusted_file import read_trusted_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["SETTINGS_FILE", "read_tables", "refuse_unknown", "wrong"]

SETTINGS_FILE = "doorward.toml"
_LARGEST_FILE = 1_048_576
_TABLES = ("institutions", "profiles", "record")
_WHERE = re.compile(r"\((at line [0-9]+, column [0-9]+)\)$")


def read_tables(kind: str, path: str | None = None) -> dict[str, Any]:
    """Return the tables ``[KIND.NAME]`` by their names as written. No file means none.

    Args:
        kind: ``"institutions"`` or ``"profiles"``; or ``"record"``, whose settings stand in the table itself.
        path: Of another file than the one in the configuration folder.

    Raises:
        ConfigurationError: The file can't be read, somebody else can write it, or it holds other tables.
    """
    document = _load(path or os.path.join(config_folder(), SETTINGS_FILE))
    refuse_unknown(document, _TABLES, "")
    tables = document.get(kind, {})
    if not isinstance(tables, dict):
        raise wrong(kind, f"must be tables: [{kind}.NAME]", "not_a_table")
    return tables


def _load(path: str) -> dict[str, Any]:
    try:
        data = read_trusted_file(path, most=_LARGEST_FILE + 1)
    except FileNotFoundError:
        return {}
    except UnsafePermissions as error:
        raise ConfigurationError(
            f"{SETTINGS_FILE}: {error.message}", field=SETTINGS_FILE, reason=error.reason
        ) from None
    except OSError as error:
        raise wrong("", f"can't be read: {printable(path)}: {error.strerror}", "file_unreadable") from None
    if len(data) > _LARGEST_FILE:
        raise wrong("", f"can't be read: {printable(path)} is larger than 1 MiB", "file_unreadable")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        at = _WHERE.search(str(error))
        line = f", {at[1]}" if at else ""  # what stands there may be a secret in the wrong place
        raise wrong("", f"is not valid TOML in UTF-8: {printable(path)}{line}", "toml_syntax") from None


def refuse_unknown(table: Mapping[str, Any], known: Collection[str], place: str) -> None:
    """Refuse a name that is no setting, with what was most likely meant. ``place`` ends where the name comes."""
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
            raise wrong(f"{place}{printable(name)}", f"is no setting; {remedy}", "unknown_setting")


def wrong(place: str, what: str, reason: str) -> ConfigurationError:
    """Build the error for a place in the file."""
    message = f"{SETTINGS_FILE}: {place} {what}" if place else f"{SETTINGS_FILE} {what}"
    message = message if message.endswith("?") else f"{message}."
    return ConfigurationError(message, field=place or SETTINGS_FILE, reason=reason)
