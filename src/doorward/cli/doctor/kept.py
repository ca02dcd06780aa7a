"""What is kept on this computer: settings, a client's secret, the vault. It is read, and nothing is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.cli.doctor.finding import failed, from_error, ok, warning
from doorward.cli.doctor.subject import may_look
from doorward.errors import (
    ConfigurationError,
    DoorwardError,
    KeyringLocked,
    KeyringUnavailable,
    VaultError,
    printable,
)
from doorward.institution.settings import read_institutions
from doorward.signin.registration import read_client_key
from doorward.signin.settings.client_secrets import read_secret
from doorward.signin.settings.profiles import read_profiles
from doorward.vault.files import list_private_files, original_name
from doorward.vault.folders import config_folder
from doorward.vault.private_folder import opened_folder
from doorward.vault.sealing.changing import Sealing
from doorward.vault.settings_file import SETTINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.cli.doctor.finding import Finding
    from doorward.cli.doctor.subject import Subject

__all__ = ["entries", "sealing", "secret", "settings", "vault"]

_ROOM_BYTES = 65_536
_GO_ON = {"sealing": "seal", "rotating": "rotate", "unsealing": "unseal"}


def settings(_: Subject) -> Iterator[Finding]:
    """Whether ``doorward.toml`` can be read, all of it."""
    try:
        path = Path(config_folder(), SETTINGS_FILE)
        profiles, institutions = read_profiles(), read_institutions()
    except DoorwardError as error:
        yield from_error(error)
        return
    if path.exists():
        counted = f"Profiles: {len(profiles)}, institutions: {len(institutions)}."
        yield ok("settings", f"{printable(str(path))} can be read. {counted}")
    else:
        yield ok("no_settings", f"There is no {printable(str(path))}, and none is needed.")


def secret(subject: Subject) -> Iterator[Finding]:
    """Whether what the client proves itself with is at hand."""
    by_key, by_secret = subject.authentication == "private_key_jwt", subject.authentication.startswith("client_secret")
    if subject.issuer is None or subject.client_id is None or not (by_key or by_secret):
        return
    try:
        if by_key:
            found = "DOORWARD_CLIENT_KEY_FILE" if read_client_key() is not None else None
        elif os.environ.get("DOORWARD_CLIENT_SECRET"):
            found = "DOORWARD_CLIENT_SECRET"
        else:
            found = None if read_secret(subject.issuer, subject.client_id) is None else "the keyring"
    except DoorwardError as error:
        yield from_error(error)
        return
    if found is not None:
        yield ok("secret", f"What the client proves itself with comes from {found}.")
    elif by_key:
        yield failed("client_key_missing", "The client signs with a key. Name its file in DOORWARD_CLIENT_KEY_FILE.")
    else:
        yield failed(
            "client_secret_missing",
            "The client has a secret, and sessions can't be renewed without it. Set DOORWARD_CLIENT_SECRET, or keep "
            "it: doorward secret set",
        )


def vault(subject: Subject) -> Iterator[Finding]:
    """Whether the vault's folder is the user's alone, and can be written."""
    try:
        folder = Path(subject.vault.folder)
        if folder.is_dir() and not folder.is_symlink() and not may_look(subject.vault):
            where = printable(str(folder))
            yield warning(
                "folder_mode",
                f"{where} is open to others. Doorward closes it when it next uses it; or do it now: chmod 700 {where}",
            )
            return
        opened = opened_folder(str(folder))
        if opened is not None:
            with opened:
                pass
    except DoorwardError as error:
        yield from_error(error)
        return
    yield _writable(folder)


def _writable(folder: Path) -> Finding:
    nearest = next(path for path in (folder, *folder.parents) if path.is_dir())
    shown = printable(str(nearest))
    if sys.platform != "win32":
        disk = os.statvfs(nearest)
        if disk.f_flag & os.ST_RDONLY:
            return failed("read_only", f"{shown} is on a disk that is read-only. Set DOORWARD_HOME to another folder.")
        if disk.f_bavail * disk.f_frsize < _ROOM_BYTES:
            return failed("disk_full", f"The disk of {shown} is full. Make room: no session can be saved or renewed.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return failed("no_access", f"You can't write in {shown}. Set DOORWARD_HOME to a folder of your own.")
    if nearest == folder:
        return ok("vault", f"{shown} is yours alone, and can be written.")
    return ok("no_vault", f"There is no vault yet. The first sign-in makes {printable(str(folder))}.")


def _can_be_read(subject: Subject) -> bool:
    return may_look(subject.vault) and Path(subject.vault.folder).is_dir()


def sealing(subject: Subject) -> Iterator[Finding]:
    """Whether the vault is sealed, and its key at hand."""
    if not _can_be_read(subject):
        return
    try:
        standing = Sealing(subject.vault.folder, (subject.vault.profiles, subject.vault.institutions)).standing()
    except DoorwardError as error:
        yield from_error(error)
        return
    if standing.error is not None:
        yield from_error(standing.error)
    elif standing.state in _GO_ON:
        command = f"doorward vault {_GO_ON[standing.state]}"
        yield warning("seal_unfinished", f"A change of the vault's seal was begun and is not done. Go on: {command}")
    elif standing.state == "sealed":
        yield ok("sealed", "The vault is sealed, and its key is at hand.")
    else:
        yield ok("plain", "The vault is not sealed: whoever can read your files can use your sessions.")


def entries(subject: Subject) -> Iterator[Finding]:
    """Whether each entry can be read, and which files were set aside."""
    if not _can_be_read(subject):
        return
    good = 0
    try:
        for shelf, noun in ((subject.vault.profiles, "profile"), (subject.vault.institutions, "institution")):
            for name in shelf.names():
                try:
                    shelf.peek(name)
                except (KeyringLocked, KeyringUnavailable, ConfigurationError):
                    return  # that was said of the whole vault
                except VaultError as error:
                    yield from_error(
                        error, f"The {noun} {name!r} can't be read: {{}} Sign in again, which replaces it."
                    )
                else:
                    good += 1
        aside = [file for file in list_private_files(subject.vault.folder) if _is_aside(file)]
    except DoorwardError as error:
        yield from_error(error)
        return
    if aside:
        yield warning(
            "set_aside",
            f"What was not as Doorward writes it was set aside in the vault: {', '.join(map(printable, aside))}. "
            "Sign in again. doorward forget --profile NAME removes them, with the session.",
        )
    yield ok("entries", f"Sessions that can be read: {good}.")


def _is_aside(file: str) -> bool:
    return ".corrupt-" in file and original_name(file) != file
