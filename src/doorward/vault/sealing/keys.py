"""Finds a vault's keys: in the operating system's keyring, in a key file, or from a passphrase. None is kept on disk.

A key that was found stays in this process, so that a session asks the keyring once, and not at each refresh.
"""

from __future__ import annotations

import os
import stat
import sys
from time import monotonic
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, KeyringUnavailable, UnsafePermissions, VaultError, printable
from doorward.vault.sealing import ciphers, os_keyring
from doorward.vault.sealing.seal import SealKey, from_base64, to_base64
from doorward.vault.trusted_file import read_trusted_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.vault.sealing.seal import Seal, Source

__all__ = ["KEYS", "KEY_FILE", "PASSPHRASE", "Keys", "make_key_file"]

KEY_FILE = "DOORWARD_VAULT_KEY_FILE"
PASSPHRASE = "DOORWARD_VAULT_PASSPHRASE"  # noqa: S105 - the name of a variable

_MOST_REMEMBERED = 64
_QUIET_S = 10.0
"""A keyring that did not answer is not waited for again so soon."""

_SHORTEST_KEY_FILE = 32
_LONGEST_KEY_FILE = 4096
_SHORTEST_PASSPHRASE = 12
_ARGON2ID = (1 << 16, 3, 4)
"""KiB of memory, passes and lanes: the second choice of RFC 9106, section 4, for where memory is short."""


class Keys:
    """The roots of keys, by the key's name.

    Args:
        passphrases, key_files: What is tried beside what the environment names.
    """

    def __init__(self, *, passphrases: tuple[str, ...] = (), key_files: tuple[str, ...] = ()) -> None:
        self._passphrases = passphrases
        self._key_files = key_files
        self._found: dict[str, bytes] = {}
        self._failed: dict[str, tuple[float, VaultError]] = {}

    def root(self, seal: Seal, key_id: str) -> bytes:
        """Return the root of a key that proves this seal.

        Raises:
            VaultError: The seal knows no such key, the key is not at hand, or it does not prove the seal.
            ConfigurationError: The key file or passphrase was not given, or can't be used.
        """
        key = seal.key(key_id)
        if key is None:
            message = (
                "An entry is sealed under a key that its vault does not know: it comes from a backup, or from somebody "
                "else. Nothing in it was used. Sign out, which removes it, and sign in again."
            )
            raise VaultError(message, reason="seal_key_unknown")
        known = self.known(key_id)
        if known is not None and seal.proven_by(key, known):
            return known
        for material in self._materials(key):
            root = _root(key, material)
            if seal.proven_by(key, root):
                self.remember(key_id, root)
                return root
        raise VaultError(_NO_PROOF[key.source], reason="seal_unproven")

    def known(self, key_id: str) -> bytes | None:
        """Return the root of a key that was found or made before."""
        return self._found.get(key_id)

    def remember(self, key_id: str, root: bytes) -> None:
        """Have the root of a key at hand from now on, in this process."""
        while len(self._found) >= _MOST_REMEMBERED:
            self._found.pop(next(iter(self._found)), None)
        self._found[key_id] = root

    def new(self, source: Source) -> SealKey:
        """Make a key, and have its root at hand. One for the keyring is not in there yet.

        A new key file or passphrase is the last that was given; else what the environment names serves again.
        """
        name, salt = os.urandom(16).hex(), to_base64(os.urandom(16))
        key = SealKey(name, source, salt, *_ARGON2ID) if source == "passphrase" else SealKey(name, source)
        if source == "keyring":
            self.remember(key.id, os.urandom(ciphers.KEY_BYTES))
        else:
            self.remember(key.id, _root(key, next(self._materials(key))))
        return key

    def keep(self, key: SealKey) -> None:
        """Put the root of a key into the keyring, and see that it is there.

        Raises:
            VaultError: The keyring is locked, missing, does not answer, or keeps something else.
        """
        text = to_base64(self._found[key.id])
        os_keyring.keep(key.id, text)
        if os_keyring.read(key.id) != text:
            message = (
                "The keyring took a key and gives back something else, as one does that is full or takes only short "
                "values. Nothing was sealed. Make room in it, or take a key file: doorward vault seal --key-file FILE"
            )
            raise KeyringUnavailable(message, reason="keyring_too_small")

    def _materials(self, key: SealKey) -> Iterator[bytes]:
        """Look in each place that such a key can come from."""
        if key.source == "keyring":
            yield self._from_keyring(key.id)
        elif key.source == "key_file":
            yield from map(_content_of_key_file, _given(KEY_FILE, self._key_files))
        else:
            for passphrase in _given(PASSPHRASE, self._passphrases):
                yield _checked(passphrase)

    def _from_keyring(self, key_id: str) -> bytes:
        failed_at, error = self._failed.get(key_id, (0.0, None))
        if error is not None and monotonic() - failed_at < _QUIET_S:
            raise type(error)(error.message, reason=error.reason)
        try:
            found = os_keyring.read(key_id)
        except KeyringUnavailable as unavailable:
            if unavailable.reason == "keyring_hung":
                self._failed = {key_id: (monotonic(), unavailable)}
            raise
        if found is None:
            message = (
                "The keyring has no key for this vault: it is another keyring than the one that the vault was sealed "
                "with, or the key was removed there. Restore the keyring from a backup; without its key the entries "
                "are lost: sign out, which removes them, and sign in again."
            )
            raise KeyringUnavailable(message, reason="seal_key_missing")
        try:
            return from_base64(found)
        except ValueError:
            return b""  # it proves nothing, which is then said


KEYS = Keys()
"""Those of this process."""


def make_key_file(path: str, *, vault_folder: str) -> None:
    """Make a key file, if there is none of that name yet.

    Raises:
        ConfigurationError: It can't be made, or would lie beside what it opens.
    """
    if os.path.commonpath([os.path.realpath(path), os.path.realpath(vault_folder)]) == os.path.realpath(vault_folder):
        message = "A key file inside of the vault's folder protects nothing. Keep it where the vault is not copied to."
        raise ConfigurationError(message, field=KEY_FILE, reason="key_file_in_vault")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(to_base64(os.urandom(ciphers.KEY_BYTES)).encode() + b"\n")
                file.flush()
                os.fsync(fd)
            _sync_folder_of(path)
        except BaseException:
            os.unlink(path)  # half a key would never be replaced
            raise
    except FileExistsError:
        return
    except OSError as error:
        message = f"The key file {printable(path)} can't be made: {error.strerror}."
        raise ConfigurationError(message, field=KEY_FILE, reason="key_file_unwritable") from None


def _sync_folder_of(path: str) -> None:
    """Have a file's name, too, outlive a power cut: the vault is sealed next."""
    if sys.platform != "win32":
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


_NO_PROOF: dict[Source, str] = {
    "keyring": (
        "The key in the keyring is not the one that this vault was sealed with, or seal.json in it was altered. "
        "Nothing was opened. Put seal.json back from a backup."
    ),
    "key_file": (
        "The key file is not the one that this vault was sealed with, or seal.json in it was altered. "
        f"Check {KEY_FILE}."
    ),
    "passphrase": (f"That is not the passphrase of this vault, or seal.json in it was altered. Check {PASSPHRASE}."),
}


def _given(variable: str, more: tuple[str, ...]) -> tuple[str, ...]:
    """Return what was given, the newest first.

    Raises:
        ConfigurationError: Nothing was.
    """
    found = tuple(dict.fromkeys(filter(None, (*reversed(more), os.environ.get(variable)))))
    if not found:
        what = "a key file. Name it with" if variable == KEY_FILE else "a passphrase. Put it into"
        message = f"This vault is sealed with {what} {variable}."
        raise ConfigurationError(message, field=variable, reason="seal_key_not_given")
    return found


def _root(key: SealKey, material: bytes) -> bytes:
    if key.source == "keyring":
        return material
    if key.source == "key_file":
        return ciphers.derived(material, f"key file {key.id}")
    salt = from_base64(key.salt)
    return ciphers.from_passphrase(material, salt=salt, memory_kib=key.memory_kib, passes=key.passes, lanes=key.lanes)


def _checked(passphrase: str) -> bytes:
    if len(passphrase) < _SHORTEST_PASSPHRASE:
        message = f"The passphrase of a vault has at least {_SHORTEST_PASSPHRASE} characters. Take five or six words."
        raise ConfigurationError(message, field=PASSPHRASE, reason="passphrase_short")
    return passphrase.encode(errors="surrogateescape")


def _content_of_key_file(path: str) -> bytes:
    try:
        content = read_trusted_file(path, most=_LONGEST_KEY_FILE).strip()
        status = os.stat(path)
    except OSError as error:
        message = f"The key file {printable(path)} can't be read: {error.strerror}. Check {KEY_FILE}."
        raise ConfigurationError(message, field=KEY_FILE, reason="key_file_unreadable") from None
    if sys.platform != "win32" and status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        message = f"Others can read the key file {printable(path)}: chmod 600, or better, take a new one."
        raise UnsafePermissions(message, reason="key_file_mode")
    if len(content) < _SHORTEST_KEY_FILE:
        message = f"The key file {printable(path)} holds fewer than {_SHORTEST_KEY_FILE} bytes. Have Doorward make one."
        raise ConfigurationError(message, field=KEY_FILE, reason="key_file_short")
    return content
