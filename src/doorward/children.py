"""Which programs we start, and what they learn of the environment: nothing of ours, and no secret by any prefix."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["for_a_program", "is_interpreter", "without_secrets"]

_OURS = "DOORWARD_"
_HARMLESS = ("DOORWARD_HOME", "DOORWARD_PROFILE")
# Guards and services read them under a prefix of their own, too. The databases' addresses may hold passwords.
_SECRETS = ("_API_KEYS", "_API_KEYS_DB", "_API_KEY_PEPPER", "_AUDIT_KEY", "_CLIENT_SECRET", "_REVOCATIONS_DB")
_INTERPRETER = re.compile(r"(python|pypy|graalpy)[\w.-]*", re.IGNORECASE)


def is_interpreter() -> bool:
    """Say whether ``sys.executable`` is Python: in a program that is frozen or embeds it, it is the program itself."""
    return not getattr(sys, "frozen", False) and bool(_INTERPRETER.fullmatch(Path(sys.executable or "").name))


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a browser, a launcher or a keyring's program.

    A browser lives for days, gives its environment to all that it starts, and every program of its user can read it.
    Left out: each variable that begins with ``DOORWARD_``, and each that ends as one of ours that holds a secret,
    such as ``MYAPP_CLIENT_SECRET``. All else is passed on: what the desktop, the session bus and an editor's helper
    needs is not for us to know.
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(_OURS) and not name.upper().endswith(_SECRETS)
    }


def for_a_program(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program that the person named, which may call ``doorward`` again.

    Left out is what begins with ``DOORWARD_``, but the vault's folder and the profile. All else is the person's: a
    variable such as ``ARM_CLIENT_SECRET`` may be just what that program needs.
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(_OURS) or name.upper() in _HARMLESS
    }
