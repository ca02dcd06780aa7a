"""A sealed entry: what stands in its file, and how it is opened and closed under the seal of its vault."""

from __future__ import annotations

from time import time
from typing import Any, NamedTuple

from doorward.errors import CorruptEntry, Malformed, VaultError
from doorward.vault.own_json import loads_own, written
from doorward.vault.sealing.ciphers import decrypted, encrypted
from doorward.vault.sealing.keys import KEYS, Keys
from doorward.vault.sealing.marks import SEALED
from doorward.vault.sealing.seal import PLAIN, Seal, from_base64, to_base64

__all__ = ["Envelope", "closed", "opened", "proven"]

_VERSION = 2


class Envelope(NamedTuple):
    """What stands in the file of a sealed entry."""

    key: str
    nonce: bytes
    sealed: bytes

    def to_bytes(self, file: str) -> bytes:
        """Return the content of that file. Its kind is for an older Doorward, which says that a newer one wrote it."""
        texts = {"nonce": to_base64(self.nonce), "sealed": to_base64(self.sealed)}
        return written({"version": _VERSION, "key": self.key, "kind": file.partition("-")[0], **texts})

    @classmethod
    def from_bytes(cls, data: bytes, file: str) -> Envelope:
        """Read what stands in that file, which may be anything.

        Raises:
            CorruptEntry: It is not what ``to_bytes`` gives.
        """
        try:
            document: dict[str, Any] = loads_own(data)
            key, nonce, sealed = document["key"], document["nonce"], document["sealed"]
            found = cls(key, from_base64(nonce), from_base64(sealed))
            if found.to_bytes(file) == data:
                return found
        except (Malformed, KeyError, ValueError, TypeError, AttributeError):
            pass
        raise CorruptEntry("The file begins as a sealed entry, and is none that we wrote.", reason="seal_broken")


def opened(data: bytes, seal_file: bytes | None, *, file: str, keys: Keys = KEYS) -> bytes:
    """Return in plain what stands in an entry's file.

    Args:
        data: The file's content.
        seal_file: That of the vault's seal, read after it.
        file: The name that the entry was sealed as.
        keys: Where the key is looked for.

    Raises:
        CorruptEntry: It was altered, or is another entry's.
        VaultError: It may not be in plain, or the key is not at hand.
        ConfigurationError: The key has to be given, and was not.
    """
    seal = PLAIN if seal_file is None else Seal.from_bytes(seal_file)
    if data.startswith(SEALED):
        envelope = Envelope.from_bytes(data, file)
        if not seal.keys:
            message = (
                "The entry is sealed, and the vault's seal.json is gone. Put it back from a backup; or sign out, which "
                "removes the entry, and sign in again."
            )
            raise VaultError(message, reason="seal_missing")
        return decrypted(keys.root(seal, envelope.key), envelope.nonce, envelope.sealed, bound_to=file)
    if seal.plain:
        _check_plain(seal, keys)
        return data
    message = (
        "The vault is sealed, and this entry is in plain text: an older Doorward wrote it, or somebody put it there. "
        "Nothing in it was used. Sign out, which removes it, and sign in again."
    )
    raise VaultError(message, reason="plain_in_sealed_vault")


def closed(data: bytes | memoryview, seal_file: bytes, *, file: str, keys: Keys = KEYS) -> bytes | memoryview | None:
    """Return what to write into an entry's file: sealed, or as it is while the seal is taken off.

    Returns:
        None where no key proves the seal, since it names none: then it says nothing of what may be written.

    Raises:
        VaultError, ConfigurationError: The key is not at hand.
    """
    seal = Seal.from_bytes(seal_file)
    if not seal.keys:
        return None
    if seal.writes is None:
        _check_plain(seal, keys)
        return data
    root = keys.root(seal, seal.writes)
    return Envelope(seal.writes, *encrypted(root, data, bound_to=file)).to_bytes(file)


def _check_plain(seal: Seal, keys: Keys) -> None:
    """Make sure that a seal allows plain text, and that it is not one of long ago (decision 17)."""
    proven(seal, keys)
    if seal.keys and seal.until <= time():
        message = (
            "Sealing or unsealing of this vault was broken off over an hour ago, or somebody put back its seal.json of "
            "that time. If you began it, go on with it: doorward vault status says how. If not, put seal.json back "
            "from a backup."
        )
        raise VaultError(message, reason="seal_change_old")


def proven(seal: Seal, keys: Keys) -> None:
    """Make sure that nobody without a key of it wrote a seal. One that names no key allows what no seal allows."""
    if seal.keys:
        keys.root(seal, seal.keys[0].id)
