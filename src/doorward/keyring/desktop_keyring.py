"""The keyrings of macOS and Windows, through the ``keyring`` package. Type-checked; tests run it on a stand-in.

The system's own backend is named, so no setting and no other package can put one in its place that keeps plain text.
"""

from __future__ import annotations

import queue
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from keyring import errors

from doorward.keyring.problems import DEADLINE_S, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.keyring.entry import Entry

__all__ = ["check", "keep", "read", "remove"]


def check() -> None:
    """Ask for what nobody has kept: a keyring that works answers. Raises what ``read`` does."""
    _in_time(lambda: _backend().get_password("doorward", "nobody"))


def read(entry: Entry) -> str | None:
    """Return the text of an entry, None if nothing is kept.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    found: str | None = _in_time(lambda: _backend().get_password(entry.service, entry.user))
    return found


def keep(entry: Entry, text: str) -> None:
    """Keep the text of an entry. Raises what ``read`` does."""
    _in_time(lambda: _backend().set_password(entry.service, entry.user, text))


def remove(entry: Entry) -> bool:
    """Remove an entry, and return whether there was one. Raises what ``read`` does."""

    def delete() -> bool:
        there = _backend().get_password(entry.service, entry.user) is not None
        if there:
            _backend().delete_password(entry.service, entry.user)
        return there

    return bool(_in_time(delete))


def _backend() -> Any:
    if sys.platform == "win32":
        return import_module("keyring.backends.Windows").WinVaultKeyring()
    return import_module("keyring.backends.macOS").Keyring()


def _in_time(ask: Callable[[], Any]) -> Any:
    """Return what a call gives, within the deadline. A thread asks, and is left behind if it gets no answer."""
    answers: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

    def asking() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:  # noqa: BLE001 - the caller sorts out what a keyring may raise
            answers.put((None, error))

    threading.Thread(target=asking, name="doorward-keyring", daemon=True).start()
    try:
        answer, error = answers.get(timeout=DEADLINE_S)
    except queue.Empty:
        raise problem("hung") from None
    if error is None:
        return answer
    if isinstance(error, errors.KeyringLocked):
        raise problem("locked")
    raise problem("refused", type(error).__name__)
