"""Reads, keeps and removes entries, by one backend for each system: never by whichever a package finds, in plain text.

What a keyring can't do is said by name, and what to do about it. No call waits for longer than a few seconds.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from doorward.errors import KeyringLocked, KeyringUnavailable, VaultError
from doorward.keyring.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.keyring.entry import Entry

__all__ = ["check", "keep", "read", "remove"]

_T = TypeVar("_T")


class _Store(Protocol):
    check: Callable[[], None]
    read: Callable[[Entry], str | None]
    keep: Callable[[Entry, str], None]
    remove: Callable[[Entry], bool]


def check() -> None:
    """Make sure that the keyring is there, unlocked, and answers. Nothing is read or kept.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    _store().check()


def read(entry: Entry) -> str | None:
    """Return the text of an entry, None if nothing is kept.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    return _asked(entry, lambda store: store.read(entry))


def keep(entry: Entry, text: str) -> None:
    """Keep the text of an entry, and see that it is there. Raises what ``read`` does."""

    def kept(store: _Store) -> None:
        store.keep(entry, text)
        if store.read(entry) != text:
            with suppress(VaultError):  # half a secret is none
                store.remove(entry)
            raise problem("too_small")

    _asked(entry, kept)


def remove(entry: Entry) -> bool:
    """Remove an entry, and return whether there was one. Raises what ``read`` does."""
    return _asked(entry, lambda store: store.remove(entry))


def _asked(entry: Entry, ask: Callable[[_Store], _T]) -> _T:
    try:
        return ask(_store())
    except (KeyringLocked, KeyringUnavailable) as problem:
        error = type(problem)(f"{problem.message} {entry.instead}", reason=problem.reason)
    raise error


def _store() -> _Store:
    module = "desktop_keyring" if sys.platform in ("darwin", "win32") else "secret_service"
    try:
        return cast("_Store", import_module(f"{__package__}.{module}"))
    except ImportError:
        pass
    raise problem("package_missing")
