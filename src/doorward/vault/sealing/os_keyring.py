"""The operating system's keyring, by one backend for each system, never whichever ``keyring`` finds: not plain text.

What a keyring can't do is said by name, and what to do about it. No call waits for longer than a few seconds.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from doorward.errors import KeyringUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep", "read", "remove"]


class _Store(Protocol):
    read: Callable[[str], str | None]
    keep: Callable[[str, str], None]
    remove: Callable[[str], None]


def read(name: str) -> str | None:
    """Return what is kept under a name, None if nothing is.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    return _store().read(name)


def keep(name: str, text: str) -> None:
    """Keep a text under a name. Raises what ``read`` does."""
    _store().keep(name, text)


def remove(name: str) -> None:
    """Remove what is kept under a name, if anything is. Raises what ``read`` does."""
    _store().remove(name)


def _store() -> _Store:
    module = "desktop_keyring" if sys.platform in ("darwin", "win32") else "secret_service"
    try:
        return cast("_Store", import_module(f"{__package__}.{module}"))
    except ImportError:
        pass
    message = (
        "The packages that talk to the keyring are missing: pip install 'doorward[keyring]'. Or take a key file or a "
        "passphrase: doorward vault --help"
    )
    raise KeyringUnavailable(message, reason="keyring_package_missing")
