"""Gives pip, uv and twine a token for the package indexes that ``doorward.toml`` lists, as a backend of ``keyring``.

The ``keyring`` package finds it by its entry point, and asks it before the system's keyring about every name that any
program asks for. So it has nothing for whatever is not the https address of a listed origin, keeps nothing, and raises
nothing where another backend may know better.
"""

from __future__ import annotations

import logging

from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential
from keyring.errors import NoKeyringError

from doorward.errors import DoorwardError

__all__ = ["PackageIndexKeyring"]

_log = logging.getLogger("doorward.package_index")


class PackageIndexKeyring(KeyringBackend):
    """What ``keyring`` asks. Safe beside other backends: it answers for listed package indexes alone."""

    priority = 9  # before the system's keyring, which may be locked and open a window

    def get_password(self, service: str, username: str) -> str | None:
        found = _credential(service, username)
        return None if found is None else found.password

    def get_credential(self, service: str, username: str | None) -> SimpleCredential | None:
        return _credential(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:  # noqa: ARG002 - keyring calls it
        raise _NothingKept

    def delete_password(self, service: str, username: str) -> None:  # noqa: ARG002 - the same
        raise _NothingKept


class _NothingKept(NoKeyringError, NotImplementedError):
    """Has ``keyring`` go on to the next backend; where there is none, it is what ``keyring`` itself would raise."""

    def __str__(self) -> str:
        return "No keyring is here that keeps anything. Doorward's backend gives tokens for package indexes alone."


def _credential(service: str, username: str | None) -> SimpleCredential | None:
    if not service.startswith("https://"):
        return None
    # Late: each program that uses keyring for anything imports this module.
    from doorward.protocol.reading.origins import origin_of  # noqa: PLC0415 - as was just said
    from doorward.signin.handing.permission import may_go_to  # noqa: PLC0415 - the same

    to = origin_of(service)
    try:
        permission = may_go_to(to, profile=None) if to is not None else None
        if permission is None or username not in (None, permission.username):
            return None
        from doorward.signin.handing.tokens import hand  # noqa: PLC0415 - the same

        token = hand(permission.profile, to=str(to), by="keyring").token
    except DoorwardError as error:
        _log.warning("%s", error.message)
        return None
    return SimpleCredential(permission.username, token.reveal())
