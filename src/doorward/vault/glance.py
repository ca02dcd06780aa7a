"""A look at one token in the vault, for ``doorward token``: no dataclass, no lock, no HTTP. It changes nothing.

The files are read with all the care of ``files``, and opened if the vault is sealed. Whatever is not plainly a fresh
token gives None, and the caller goes the long way, which says what is wrong or renews it.
"""

from __future__ import annotations

import json
import os

from doorward.errors import DoorwardError
from doorward.vault.folders import config_folder, profile_file
from doorward.vault.sealing.gate import read_entry
from doorward.vault.times import format_instant, is_fresh, parse_instant

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from doorward.model import TokenKind

__all__ = ["fresh_token", "may_be_recorded"]

_LARGEST_SETTINGS = 1_048_577


def fresh_token(folder: str, profile: str, kind: TokenKind, *, now: float) -> tuple[str, str | None] | None:
    """Return the token of a profile and when it expires, if it needs no renewal; None for anything else.

    Args:
        folder: The vault's folder.
        profile: The name of the profile.
        kind: ``"access"`` or ``"id"``.
        now: Epoch seconds.
    """
    try:
        data = read_entry(folder, profile_file(profile))
        entry = None if data is None else json.loads(data.decode(), object_pairs_hook=_unique)
        if not isinstance(entry, dict) or not _is_live(entry, profile):
            return None
        if kind == "access" and entry.get("dpop_key") is not None:  # nobody can use it who is given it alone
            return None
        token, issued_at, expires_at = (entry[f"{kind}_token{suffix}"] for suffix in ("", "_issued_at", "_expires_at"))
        until = _instant(expires_at)
        fresh = is_fresh(_instant(issued_at), until, now=now, bounded=entry["refresh_token"] is not None)
    except (DoorwardError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if not (fresh and isinstance(token, str) and token.isascii() and token.isprintable()):
        return None
    return token, None if until is None else format_instant(until)


def may_be_recorded(environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether a record of uses may be kept here (``record.settings``); False is certain, and costs a look.

    Raises:
        ConfigurationError: There is no folder for settings.
    """
    if environ.get("DOORWARD_RECORD"):
        return True
    try:
        fd = os.open(os.path.join(config_folder(), "doorward.toml"), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    with open(fd, "rb", buffering=0) as file:
        try:
            return b"record" in (file.read(_LARGEST_SETTINGS) or b"")
        except OSError:  # a folder has that name
            return True


def _is_live(entry: dict[str, Any], profile: str) -> bool:
    version, name = entry["version"], entry["profile"]
    named = isinstance(name, str) and name.lower() == profile.lower()
    known = type(version) is int and version in (1, 2)
    return named and known and entry["kind"] == "profile" and entry["ended_at"] is None


def _instant(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("no instant")
    return parse_instant(value)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a name twice")
    return found
