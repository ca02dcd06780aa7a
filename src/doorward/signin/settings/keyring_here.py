"""Asks the keyring in this process, for as long as that takes: ``os_keyring`` starts another one for it.

As a program: one request as JSON on standard input, one answer on standard output. No secret is an argument.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ask"]

_SERVICE = "doorward"
_NONE = ("keyring.backends.fail", "doorward.integrations")  # ours for package indexes keeps nothing
_UNSAFE = ("keyring.backends.null", "keyrings.alt")
"""One keeps nothing, the other keeps plain text or asks for a password of its own."""


def ask(request: Mapping[str, str]) -> dict[str, str]:
    """Get, set or delete what is kept under a name.

    Args:
        request: ``action``, ``name``, and ``secret`` to set.

    Returns:
        ``secret``, if there is one, or ``problem`` and what it is about.
    """
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow
        from keyring import errors  # noqa: PLC0415 - the same
    except ImportError:
        return {"problem": "package"}
    try:
        backend = _first_good(keyring.get_keyring())
        module = type(backend).__module__
        if module.startswith((*_NONE, *_UNSAFE)):
            return {"problem": "absent" if module.startswith(_NONE) else "unsafe", "what": module}
        secret = _done(backend, request)  # one that is none says so
    except errors.KeyringLocked:
        return {"problem": "locked"}
    except (errors.NoKeyringError, errors.InitError):
        return {"problem": "absent"}
    except Exception as error:  # noqa: BLE001 - a keyring may raise anything, and its words may hold anything
        return {"problem": "refused", "what": type(error).__name__}
    return {} if secret is None else {"secret": secret}


def _first_good(backend: Any) -> Any:
    """Of several keyrings that ``keyring`` would ask in turn, take the first that is one."""
    several = list(getattr(backend, "backends", ()))
    good = (each for each in several if not type(each).__module__.startswith((*_NONE, *_UNSAFE)))
    return next(good, several[0] if several else backend)


def _done(backend: Any, request: Mapping[str, str]) -> str | None:
    name = request["name"]
    if request["action"] == "set":
        backend.set_password(_SERVICE, name, request["secret"])
    kept: str | None = backend.get_password(_SERVICE, name)
    if request["action"] == "delete" and kept is not None:
        backend.delete_password(_SERVICE, name)
    return kept


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(json.load(sys.stdin))))
