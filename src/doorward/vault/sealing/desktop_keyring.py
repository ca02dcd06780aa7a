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

from doorward.errors import KeyringLocked, KeyringUnavailable, printable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep", "read", "remove"]

_SERVICE = "doorward-vault"
_DEADLINE_S = 5.0


def read(name: str) -> str | None:
    """Return what is kept under a name, None if nothing is.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    found: str | None = _in_time(lambda: _backend().get_password(_SERVICE, name))
    return found


def keep(name: str, text: str) -> None:
    """Keep a text under a name. Raises what ``read`` does."""
    _in_time(lambda: _backend().set_password(_SERVICE, name, text))


def remove(name: str) -> None:
    """Remove what is kept under a name, if anything is. Raises what ``read`` does."""

    def delete() -> None:
        if _backend().get_password(_SERVICE, name) is not None:
            _backend().delete_password(_SERVICE, name)

    _in_time(delete)


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
        answer, error = answers.get(timeout=_DEADLINE_S)
    except queue.Empty:
        message = (
            f"The keyring did not answer within {_DEADLINE_S:g} s. See whether it waits for you in a window, answer "
            "it, and try again. Nothing is lost."
        )
        raise KeyringUnavailable(message, reason="keyring_hung") from None
    if error is None:
        return answer
    if isinstance(error, errors.KeyringLocked):
        message = "The keyring is locked, or you did not let Doorward use it. Unlock it and try again. Nothing is lost."
        raise KeyringLocked(message, reason="keyring_locked")
    message = (
        f"The keyring refused: {printable(type(error).__name__)}. Look at it in its own program. Or take a key file or "
        "a passphrase: doorward vault --help"
    )
    raise KeyringUnavailable(message, reason="keyring_refused")
