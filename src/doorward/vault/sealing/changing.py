"""Seals a vault, changes its key, takes the seal off: each in steps that may be cut off anywhere, and are gone on with.

1. The new key is put into the keyring, and read back. Until then nothing else has changed.
2. The seal names the new key beside the old one. From here on, all entries are written under it.
3. Each entry is written anew.
4. The seal names the new key alone. Then the old one is removed from the keyring.

Meanwhile, the lock of every entry is held: no refresh is cut in two by a change of keys (decision 17). Who is killed at
any step leaves entries that are open to the old key or the new one, and a seal that names both.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from doorward.errors import CorruptEntry, DoorwardError, LockTimeout, VaultError, printable
from doorward.system import SystemClock
from doorward.vault.files import MAX_FILE_BYTES, read_private_file, remove_private_file, write_private_file
from doorward.vault.lock import FileLock
from doorward.vault.sealing import os_keyring
from doorward.vault.sealing.envelope import Envelope, closed, opened, proven
from doorward.vault.sealing.gate import read_seal
from doorward.vault.sealing.keys import Keys
from doorward.vault.sealing.marks import SEAL_FILE, SEALED
from doorward.vault.sealing.seal import PLAIN, Seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorward.ports import Clock
    from doorward.vault.sealing.seal import SealKey, Source
__all__ = ["Changed", "Holds", "Sealing", "Standing"]

_LOCK_FILE = "seal.lock"
_LOCK_TIMEOUT_S = 60.0
_PLAIN_FOR_S = 3600
"""For so long a change that was broken off leaves entries in plain readable. Then it has to be gone on with first."""


class Changed(NamedTuple):
    """What a change did.

    Attributes:
        source: Where the key comes from that entries are sealed under now; None for a plain vault.
        rewritten: How many files were written anew.
        left: Files that could not be opened, and are as they were.
        completed: It only went on with an earlier change that had been cut off.
        problem: Why a key that is no longer used is still in the keyring.
    """

    source: Source | None
    rewritten: int
    left: tuple[str, ...]
    completed: bool
    problem: str | None


class Standing(NamedTuple):
    """How a vault stands.

    Attributes:
        state: ``plain``, ``sealed``, or what was begun and is not done: ``sealing``, ``rotating``, ``unsealing``.
        source: Where the key comes from.
        sealed, plain: The files of entries that are sealed, and in plain.
        error: Why the key is not at hand.
    """

    state: str
    source: Source | None
    sealed: tuple[str, ...]
    plain: tuple[str, ...]
    error: DoorwardError | None


class Holds(Protocol):
    """What is asked of a shelf."""

    def held_names(self) -> list[str]: ...
    def files_of(self, name: str, /) -> list[str]: ...
    def lock(self, name: str, /) -> FileLock: ...


class Sealing:
    """The seal of one vault.

    Args:
        folder: The vault's.
        shelves: Everything that it keeps.
        keys: Where keys are looked for; by default in the keyring, and in what the environment names.
        clock: Measures how long locks are waited for.
    """

    def __init__(
        self, folder: str, shelves: Sequence[Holds], *, keys: Keys | None = None, clock: Clock | None = None
    ) -> None:
        self._folder = folder
        self._shelves = shelves
        self._keys = keys or Keys()
        self._clock = clock or SystemClock()
        self._rewritten = 0
        self._left: list[str] = []

    @property
    def source(self) -> Source | None:
        """Where the key comes from that entries are sealed under; None for a plain vault."""
        return _source(self._read())

    def standing(self) -> Standing:
        """Return how the vault stands, and ask for its key to see whether it is at hand."""
        seal, error = self._read(), None
        try:
            proven(seal, self._keys)
        except DoorwardError as found:
            error = found
        held: dict[bool, list[str]] = {True: [], False: []}
        for file in self._entry_files():
            try:
                data = read_private_file(self._folder, file)
            except CorruptEntry:
                data = b""
            if data is not None:
                held[data.startswith(SEALED)].append(file)
        return Standing(_state(seal), _source(seal), tuple(held[True]), tuple(held[False]), error)

    def seal(self, source: Source) -> Changed:
        """Seal the vault under a new key.

        Raises:
            VaultError: It is sealed; or the key can't be kept, which the message names.
            ConfigurationError: The key file or passphrase was not given, or can't be used.
            LockTimeout: An entry, or the seal, was in use all the time.
            UnsafePermissions, StoreError: What ``files`` raises.
        """
        with self._alone():
            seal = self._read()
            if _state(seal) == "sealed":
                message = "This vault is sealed. For a new key, or another kind of key: doorward vault rotate"
                raise VaultError(message, reason="already_sealed")
            completed = _state(seal) != "plain"
            seal = self._finished(seal)
            if seal.writes is None:
                completed, seal = False, self._finished(self._begun(seal, source))
            return self._done(seal, completed=completed)

    def rotate(self, source: Source | None = None) -> Changed:
        """Seal the vault under another new key, of the same kind or another. Raises what ``seal`` does."""
        with self._alone():
            seal = self._read()
            completed = _state(seal) not in ("plain", "sealed")
            seal = self._finished(seal)
            kind = source or _source(seal)
            if seal.writes is None or kind is None:
                raise _not_sealed()
            if not completed:
                seal = self._finished(self._begun(seal, kind))
            return self._done(seal, completed=completed)

    def unseal(self) -> Changed:
        """Take the seal off: entries are in plain again. Raises what ``seal`` does."""
        with self._alone():
            seal = self._read()
            if seal == PLAIN:
                raise _not_sealed()
            completed = _state(seal) == "unsealing"
            seal = self._finished(seal)
            if seal.writes is not None:
                seal = self._finished(self._write(seal._replace(writes=None, plain=True)))
            return self._done(seal, completed=completed)

    def drop(self) -> str | None:
        """Remove the seal of a vault that holds nothing, and its keys from the keyring. No key is needed for it.

        Returns:
            Why a key is still in the keyring; None if none is.

        Raises:
            VaultError: Something is still held.
            LockTimeout: The seal was in use all the time.
            UnsafePermissions, StoreError: What ``files`` raises.
        """
        with self._alone():
            if self._entry_files():
                message = "The seal stays: something is still held under it. Forget that first: doorward forget --all"
                raise VaultError(message, reason="vault_not_empty")
            try:
                seal = self._read()
                kept = (*seal.spare, *(key.id for key in seal.keys if key.source == "keyring"))
                for key_id in kept:
                    os_keyring.remove(key_id)
                problem = None
            except VaultError as error:  # one that can't be read names no key
                problem = error.message
            remove_private_file(self._folder, SEAL_FILE)
        return problem

    # The steps

    def _begun(self, seal: Seal, source: Source) -> Seal:
        """Make a new key, and have entries written under it from now on."""
        new = self._keys.new(source)
        if source == "keyring":
            self._write(seal._replace(spare=(*seal.spare, new.id)))
            try:
                self._keys.keep(new)
            except VaultError:
                self._write_back(seal, new)
                raise
        return self._write(seal._replace(keys=(new, *seal.keys), writes=new.id))

    def _write_back(self, seal: Seal, new: SealKey) -> None:
        """Leave things as they were before a keyring did not keep a new key."""
        with suppress(VaultError):  # what it may have kept after all protects nothing, and tells nothing
            os_keyring.remove(new.id)
        if seal == PLAIN:
            remove_private_file(self._folder, SEAL_FILE)
        else:
            self._write(seal)

    def _finished(self, seal: Seal) -> Seal:
        """Write each entry anew as the seal has it, and drop what is then no longer needed."""
        for key in seal.keys:  # all prove what was read, before anything rests on it or a seal of ours repeats it
            self._keys.root(seal, key.id)
        if _state(seal) not in ("plain", "sealed"):
            seal = self._write(seal)
            seal_file = self._seal_file(seal)
            for file in self._entry_files(sweep=True):
                self._rewrite(file, seal, seal_file)
            kept = tuple(key for key in seal.keys if key.id == seal.writes)
            spare = (key.id for key in seal.keys if key not in kept and key.source == "keyring")
            seal = self._write(Seal(keys=kept, writes=seal.writes, plain=not kept, spare=(*seal.spare, *spare)))
        return seal

    def _done(self, seal: Seal, *, completed: bool) -> Changed:
        """Remove from the keyring what nothing is sealed under, and the seal itself if it says nothing any more."""
        problem = None
        try:
            for key_id in seal.spare:
                os_keyring.remove(key_id)
        except VaultError as error:
            problem = error.message
        else:
            if seal.spare:
                seal = self._write(seal._replace(spare=()))
            if seal == PLAIN:
                remove_private_file(self._folder, SEAL_FILE)
        return Changed(_source(seal), self._rewritten, tuple(self._left), completed, problem)

    def _rewrite(self, file: str, seal: Seal, seal_file: bytes) -> None:
        try:
            data = read_private_file(self._folder, file)
            if data is None or _is_as_written(file, data, seal):
                return
            plain = opened(data, seal_file, file=file, keys=self._keys)
        except VaultError as error:
            if not isinstance(error, CorruptEntry) and error.reason not in _NEVER_OPEN:
                raise
            self._left.append(file)
            return
        kept = closed(plain, seal_file, file=file, keys=self._keys)
        if kept is None or len(kept) > MAX_FILE_BYTES:
            self._left.append(file)
            return
        write_private_file(self._folder, file, kept)
        self._rewritten += 1

    # Files and locks

    def _read(self) -> Seal:
        seal_file = read_seal(self._folder)
        return PLAIN if seal_file is None else Seal.from_bytes(seal_file)

    def _write(self, seal: Seal) -> Seal:
        until = int(self._clock.now()) + _PLAIN_FOR_S if seal.plain and seal.keys else 0
        seal_file = self._seal_file(seal._replace(until=until))
        write_private_file(self._folder, SEAL_FILE, seal_file)
        return Seal.from_bytes(seal_file)  # not what stands there by now

    def _seal_file(self, seal: Seal) -> bytes:
        return seal.to_bytes({key.id: self._root_of(key) for key in seal.keys})

    def _root_of(self, key: SealKey) -> bytes:
        """Return the root of a key, by the seal that is there: the one to be written is not proven yet."""
        held = self._keys.known(key.id)
        return self._keys.root(self._read(), key.id) if held is None else held

    def _entry_files(self, *, sweep: bool = False) -> list[str]:
        found = []
        for shelf in self._shelves:
            for name in shelf.held_names():
                for file in shelf.files_of(name):
                    if not file.startswith("."):
                        found.append(file)
                    elif sweep:  # a killed writer's, since we hold the lock; it may be in plain
                        remove_private_file(self._folder, file)
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the seal, and of each entry, so that nobody is amid a refresh."""
        with ExitStack() as held:
            seal = held.enter_context(FileLock(os.path.join(self._folder, _LOCK_FILE)))
            if not seal.try_acquire():
                message = f"Another process is changing the seal of {printable(self._folder)}. Wait until it is done."
                raise LockTimeout(message, reason="lock_held")
            for shelf in self._shelves:
                for name in shelf.held_names():
                    lock = held.enter_context(shelf.lock(name))
                    for pause in lock.acquire(self._clock, timeout_s=_LOCK_TIMEOUT_S, unless=lambda: None):
                        self._clock.sleep(pause.seconds)
            yield


_NEVER_OPEN = ("seal_key_unknown", "plain_in_sealed_vault")


def _state(seal: Seal) -> str:
    if not seal.keys:
        return "plain"
    if seal.writes is None:
        return "unsealing"
    if seal.plain:
        return "sealing"
    return "sealed" if len(seal.keys) == 1 else "rotating"


def _source(seal: Seal) -> Source | None:
    return seal.keys[0].source if seal.keys else None


def _is_as_written(file: str, data: bytes, seal: Seal) -> bool:
    """Say whether a file is already as entries are written under this seal."""
    if not data.startswith(SEALED):
        return seal.writes is None
    return Envelope.from_bytes(data, file).key == seal.writes


def _not_sealed() -> VaultError:
    return VaultError("This vault is not sealed. To seal it: doorward vault seal", reason="not_sealed")
