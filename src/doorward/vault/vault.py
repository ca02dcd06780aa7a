"""The vault: named entries at rest, one file each. What entries mean and how files lie on disk is decided elsewhere.

JSON in and out, strictly; nothing that is read is ever executed. A file that is not what we wrote is set aside.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, get_args

from doorward.errors import ConfigurationError, CorruptEntry, Malformed, StoreError, VaultError, printable
from doorward.protocol.strict_json import loads_object
from doorward.system import SystemClock
from doorward.vault import files
from doorward.vault.entries import ProfileEntry
from doorward.vault.folders import profile_file, unanswered_file, vault_folder
from doorward.vault.lock import FileLock

if TYPE_CHECKING:
    from doorward.ports import Clock

__all__ = ["LockPurpose", "Vault"]

LockPurpose = Literal["refresh", "sign_in"]

_MAX_DEPTH = 20
"""Claims lie one level down, and no token is accepted whose claims are deeper than 16."""
_LOOKS = 3


class Vault:
    """The entries of one folder. Threads may share a vault, processes a folder.

    Args:
        folder: An absolute path; None means ``vault_folder()``, looked up at each use.
        clock: Tells when a file was set aside.

    Raises:
        ConfigurationError: ``folder`` is not an absolute path.
    """

    def __init__(self, folder: str | None = None, *, clock: Clock | None = None) -> None:
        if folder is not None and (not os.path.isabs(folder) or "\0" in folder):
            message = f"{printable(folder)!r} can't be the folder of a vault. Give an absolute path."
            raise ConfigurationError(message, field="folder", reason="folder_not_absolute")
        self._folder = folder
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"Vault({self._folder!r})"

    @property
    def folder(self) -> str:
        """The absolute path of the folder."""
        return self._folder or vault_folder()

    def get(self, profile: str) -> ProfileEntry | None:
        """Return the entry of a profile, None if there is none.

        Raises:
            ConfigurationError: Not a name of a profile.
            CorruptEntry: The file is not what we wrote; it was set aside, and the message says where.
            UnsafePermissions: Folder or file is not ours alone.
            StoreError: The file system refused.
            VaultError: A newer Doorward wrote it; it stays where it is.
        """
        name = profile_file(profile)
        for _ in range(_LOOKS):
            try:
                return self._read(name, name)
            except CorruptEntry as error:
                problem, reason = error.message, error.reason
            # Outside of the handler: what was read must not hang on the next error as its context.
            if reason == "newer_version":
                message = f"{problem} Upgrade this one, or sign in again as {profile!r}, which replaces it."
                raise VaultError(message, reason=reason)
            aside = self._set_aside(name)
            if aside is not None:
                message = (
                    f"{problem} It was set aside as {printable(os.path.join(self.folder, aside))}, and nothing in it "
                    f"was used. Sign in again as {profile!r}."
                )
                raise CorruptEntry(message, reason=reason)
        raise StoreError(f"The file of profile {profile!r} keeps changing. Try again.", reason="keeps_changing")

    def put(self, entry: ProfileEntry) -> None:
        """Save an entry durably, in place of the one of the same profile.

        Raises:
            ConfigurationError: Its ``profile`` is not a name of a profile.
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused; what was saved before is untouched.
            VaultError: It can't be written in a way that could be read again, such as a token of a megabyte.
        """
        name = profile_file(entry.profile)
        content = _encode(entry, name)
        if content is None:
            message = f"The provider's answer for profile {entry.profile!r} is too large or too odd to be kept."
            raise VaultError(message, reason="not_storable")
        files.write_private_file(self.folder, name, content)

    def forget(self, profile: str) -> bool:
        """Remove everything held about a profile: its entry, what was set aside of it, what killed writers left.

        Hold the profile's lock, or a refresh that is under way may save the entry again.

        Returns:
            Whether anything was held.

        Raises:
            ConfigurationError: Not a name of a profile.
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused.
        """
        name = profile_file(profile)
        removed = [files.remove_private_file(self.folder, file) for file in self._files(profile)]
        for purpose in get_args(LockPurpose):
            if _lock_file(name, purpose) in files.list_private_files(self.folder):
                with self.lock(profile, purpose) as lock:
                    lock.try_acquire()  # releasing it removes the file; one that is held goes when it is released
        return any(removed)

    def names(self) -> list[str]:
        """Return the profiles that have an entry, in lower case, sorted.

        Raises:
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused.
        """
        found = []
        for file in files.list_private_files(self.folder):
            profile = file.removeprefix("profile-").removesuffix(".json")
            with suppress(ConfigurationError):
                if profile_file(profile) == file:
                    found.append(profile)
        return found

    def export(self, profile: str) -> dict[str, Any]:
        """Return what is held about a profile as JSON values, each secret as ``<secret>``.

        Returns:
            ``entry`` (None if there is none), and in ``files`` the paths of all files that hold something.

        Raises:
            The same as ``get``.
        """
        entry = self.get(profile)
        held = [os.path.join(self.folder, file) for file in self._files(profile)]
        return {"profile": profile, "entry": entry and entry.masked(), "files": held}

    def lock(self, profile: str, purpose: LockPurpose = "refresh") -> FileLock:
        """Return the lock of a profile, not yet acquired. Each call gives a new one, which excludes all others.

        Raises:
            ConfigurationError: Not a name of a profile.
        """
        return FileLock(os.path.join(self.folder, _lock_file(profile_file(profile), purpose)))

    def _files(self, profile: str) -> list[str]:
        names = profile_file(profile), unanswered_file(profile)
        return [file for file in files.list_private_files(self.folder) if files.original_name(file) in names]

    def _read(self, file: str, name: str) -> ProfileEntry | None:
        data = files.read_private_file(self.folder, file)
        return None if data is None else _decode(data, name)

    def _set_aside(self, name: str) -> str | None:
        """Set a corrupt file aside and return its new name; None if it went or was replaced in the meantime."""
        aside = files.set_aside(self.folder, name, now=self._clock.now())
        if aside is None:
            return None
        try:
            self._read(aside, name)
        except CorruptEntry as error:
            if error.reason != "newer_version":
                return aside
        files.put_back(self.folder, aside, name)  # a writer was faster: what we moved was its good file
        return None


def _lock_file(name: str, purpose: LockPurpose) -> str:
    return f"{name.removesuffix('.json')}.{purpose}.lock"


def _encode(entry: ProfileEntry, name: str) -> memoryview | None:
    """Return what to write; None if it could not be read again. A memoryview does not show its content."""
    try:
        data = json.dumps(entry.to_json(), allow_nan=False, separators=(",", ":")).encode()
        _decode(data, name)
    except (ValueError, TypeError, RecursionError, CorruptEntry):
        return None
    return memoryview(data) if len(data) <= files.MAX_FILE_BYTES else None


def _decode(data: bytes, name: str) -> ProfileEntry:
    try:
        document = loads_object(data, what="The file", max_depth=_MAX_DEPTH)
    except Malformed as error:
        raise CorruptEntry("The file is not the JSON that we write.", reason=error.reason) from None
    entry = ProfileEntry.from_json(document)
    if profile_file(entry.profile) != name:
        raise CorruptEntry("The file holds another profile than its name says.", reason="wrong_profile")
    return entry
