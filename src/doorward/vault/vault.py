"""The vault: profiles, and institutions beside them, in one folder. How entries are kept stands in ``shelf``."""

from __future__ import annotations

import os

from doorward.errors import ConfigurationError, printable
from doorward.system import SystemClock
from doorward.vault.entries import ProfileEntry
from doorward.vault.files import check_room
from doorward.vault.folders import institution_file, key_file, profile_file, unanswered_file, vault_folder
from doorward.vault.sealing.gate import check_writable
from doorward.vault.shelf import Kind, Shelf

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from typing import Any

    from doorward.ports import Clock
    from doorward.vault.institution_entries import InstitutionEntry
    from doorward.vault.kinds.client_keys import ClientKeyEntry
    from doorward.vault.lock import FileLock
    from doorward.vault.typed import LockPurpose

__all__ = ["Vault"]

_PROFILES = Kind(
    noun="profile",
    file_of=profile_file,
    name_of=lambda entry: entry.profile,
    read=ProfileEntry.from_json,
    sign_in_again="sign in again as {}",
    besides=lambda profile: (unanswered_file(profile),),
)


def _institution_from_json(document: object) -> InstitutionEntry:
    from doorward.vault.institution_entries import InstitutionEntry  # noqa: PLC0415 - most vaults are read for a profile

    return InstitutionEntry.from_json(document)


_INSTITUTIONS = Kind(
    noun="institution",
    file_of=institution_file,
    name_of=lambda entry: entry.name,
    read=_institution_from_json,
    sign_in_again="sign in again at {}",
)


def _client_key_from_json(document: object) -> ClientKeyEntry:
    from doorward.vault.kinds.client_keys import ClientKeyEntry  # noqa: PLC0415 - the same

    return ClientKeyEntry.from_json(document)


_CLIENT_KEYS = Kind(
    noun="key",
    file_of=key_file,
    name_of=lambda entry: entry.name,
    read=_client_key_from_json,
    sign_in_again="make another one of the name {}",
)


class Vault:
    """The entries of one folder: profiles by its own methods, others by ``institutions`` and ``client_keys``.

    Threads may share a vault, processes a folder.

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
        self.clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"Vault({self._folder!r})"

    @property
    def folder(self) -> str:
        """The absolute path of the folder."""
        return self._folder or vault_folder()

    @property
    def institutions(self) -> Shelf[InstitutionEntry]:
        """The entries of institutions."""
        return Shelf(_INSTITUTIONS, self.folder, self.clock)

    @property
    def client_keys(self) -> Shelf[ClientKeyEntry]:
        """The keys that clients prove themselves with."""
        return Shelf(_CLIENT_KEYS, self.folder, self.clock)

    @property
    def shelves(self) -> tuple[Shelf[ProfileEntry], Shelf[InstitutionEntry], Shelf[ClientKeyEntry]]:
        """All that there are: what is done to the whole vault is done to each."""
        return self.profiles, self.institutions, self.client_keys

    @property
    def profiles(self) -> Shelf[ProfileEntry]:
        """The entries of profiles."""
        return Shelf(_PROFILES, self.folder, self.clock)

    def get(self, profile: str) -> ProfileEntry | None:
        """Return the entry of a profile, None if there is none. Raises what ``Shelf.get`` does."""
        return self.profiles.get(profile)

    def put(self, entry: ProfileEntry) -> None:
        """Save an entry durably, in place of the one of the same profile. Raises what ``Shelf.put`` does."""
        self.profiles.put(entry)

    def forget(self, profile: str) -> bool:
        """Remove everything held about a profile, and return whether anything was. See ``Shelf.forget``."""
        return self.profiles.forget(profile)

    def names(self) -> list[str]:
        """Return the profiles that have an entry, in lower case, sorted."""
        return self.profiles.names()

    def held_names(self) -> list[str]:
        """Return the profiles of which anything is held. See ``Shelf.held_names``."""
        return self.profiles.held_names()

    def export(self, profile: str) -> dict[str, Any]:
        """Return what is held about a profile as JSON values, each secret as ``<secret>``. See ``Shelf.export``."""
        return self.profiles.export(profile)

    def check_room(self) -> None:
        """Make sure that an entry can be saved, before anybody is asked for one.

        Raises:
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused, such as a disk that is full.
            VaultError: The vault is sealed, and the key is not at hand.
        """
        check_room(self.folder)
        check_writable(self.folder)

    def others_sign_in(self, profile: str) -> bool:
        """Say whether anybody is being asked to sign in as another profile of this vault, in whatever process."""
        return self.profiles.others_held(profile, "sign_in")

    def lock(self, profile: str, purpose: LockPurpose = "refresh") -> FileLock:
        """Return the lock of a profile, not yet acquired. Each call gives a new one, which excludes all others."""
        return self.profiles.lock(profile, purpose)
