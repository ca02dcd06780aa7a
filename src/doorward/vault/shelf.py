"""Entries of one kind at rest, a file each. What an entry means, and how files lie on disk, is decided elsewhere.

JSON in and out, strictly; nothing that is read is ever executed. A file that is not what we wrote is set aside.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass

from doorward.errors import ConfigurationError, CorruptEntry, Malformed, StoreError, VaultError, printable
from doorward.vault import files
from doorward.vault.lock import FileLock
from doorward.vault.own_json import loads_own, written
from doorward.vault.sealing.gate import read_entry, write_entry

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Generic

    from doorward.ports import Clock
    from doorward.vault.typed import _E, LockPurpose

    class _Of(Generic[_E]):
        """What makes a class generic."""

else:
    _E = None

    class _Of:
        def __class_getitem__(cls, _entry: None) -> type:
            return cls


__all__ = ["Kind", "Shelf"]

_PURPOSES: tuple[LockPurpose, ...] = ("refresh", "sign_in", "set_aside")
_LOOKS = 100
_BETWEEN_LOOKS_S = 0.01
_MOST_BYTES = 1_048_576
"""Of an entry, in plain."""


@dataclass(frozen=True, slots=True)
class Kind(_Of[_E]):
    """What tells one kind of entry from another.

    Attributes:
        noun: What an entry is about, in a person's words; its file's name begins with it.
        file_of: The name of the file for a name, whatever its case; ``ConfigurationError`` if it can't be one.
        name_of: The name that an entry has.
        read: An entry from decoded JSON that may hold anything, or ``CorruptEntry``.
        sign_in_again: What replaces a broken entry, as a sentence's beginning; ``{}`` is the name.
        besides: Names of files that belong to an entry too.
    """

    noun: str
    file_of: Callable[[str], str]
    name_of: Callable[[_E], str]
    read: Callable[[object], _E]
    sign_in_again: str
    besides: Callable[[str], tuple[str, ...]] = lambda _: ()


class Shelf(_Of[_E]):
    """The entries of one kind in a vault's folder. Threads may share a shelf, processes a folder.

    Args:
        kind: What is kept.
        folder: Its absolute path.
        clock: Tells when a file was set aside.
    """

    def __init__(self, kind: Kind[_E], folder: str, clock: Clock) -> None:
        self._kind = kind
        self._folder = folder
        self._clock = clock

    def get(self, name: str) -> _E | None:
        """Return the entry of that name, None if there is none.

        Raises:
            ConfigurationError: It can't be a name.
            CorruptEntry: The file is not what we wrote; it was set aside, and the message says where.
            UnsafePermissions: Folder or file is not ours alone.
            StoreError: The file system refused.
            VaultError: A newer Doorward wrote it, or it is sealed and can't be opened; it stays where it is.
        """
        file, again = self._kind.file_of(name), self._kind.sign_in_again.format(repr(name))
        for _ in range(_LOOKS):
            try:
                return self._read(file, file)
            except CorruptEntry as error:
                problem, reason = error.message, error.reason
            # Outside of the handler: what was read must not hang on the next error as its context.
            if reason == "newer_version":
                raise VaultError(f"{problem} Upgrade this one, or {again}, which replaces it.", reason=reason)
            with self.lock(name, "set_aside") as lock:
                # One at a time. Of two that each move a writer's good file, one might put the older one back.
                aside = self._set_aside(file) if lock.try_acquire() else None
            if aside is not None:
                path = printable(os.path.join(self._folder, aside))
                again = again[0].upper() + again[1:]
                message = f"{problem} It was set aside as {path}, and nothing in it was used. {again}."
                raise CorruptEntry(message, reason=reason)
            time.sleep(_BETWEEN_LOOKS_S)
        raise StoreError(f"The file of {self._kind.noun} {name!r} keeps changing. Try again.", reason="keeps_changing")

    def put(self, entry: _E) -> None:
        """Save an entry durably, in place of the one of the same name.

        Raises:
            ConfigurationError: Its name can't be one.
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused; what was saved before is untouched.
            VaultError: It can't be written in a way that could be read again, such as a token of a megabyte; or the
                vault is sealed, and the key is not at hand.
        """
        name = self._kind.name_of(entry)
        file = self._kind.file_of(name)
        content = self._encode(entry, file)
        if content is None:
            message = f"What the other side gave for {self._kind.noun} {name!r} is too large or too odd to be kept."
            raise VaultError(message, reason="not_storable")
        write_entry(self._folder, file, content)

    def forget(self, name: str) -> bool:
        """Remove everything held under a name: its entry, what was set aside of it, what killed writers left.

        Hold the name's lock, or a refresh that is under way may save the entry again.

        Returns:
            Whether anything was held.

        Raises:
            ConfigurationError: It can't be a name.
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused.
        """
        removed = [files.remove_private_file(self._folder, file) for file in self._files(name)]
        for purpose in _PURPOSES:
            if self._lock_file(name, purpose) in files.list_private_files(self._folder):
                with self.lock(name, purpose) as lock:
                    lock.try_acquire()  # releasing it removes the file; one that is held goes when it is released
        return any(removed)

    def names(self) -> list[str]:
        """Return the names that have an entry, in lower case, sorted.

        Raises:
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused.
        """
        found = []
        for file in files.list_private_files(self._folder):
            name = file.removeprefix(f"{self._kind.noun}-").removesuffix(".json")
            with suppress(ConfigurationError):
                if self._kind.file_of(name) == file:
                    found.append(name)
        return found

    def held_names(self) -> list[str]:
        """Return the names under which anything is held, in lower case, sorted: what to forget to forget all.

        Besides those of ``names``, these are names of which only what was set aside is there, or what a killed writer
        left. Raises the same.
        """
        found = set()
        for file in files.list_private_files(self._folder):
            held = files.original_name(file)
            name = held.partition(f"{self._kind.noun}-")[2].removesuffix(".json")
            with suppress(ConfigurationError):
                if held in {self._kind.file_of(name), *self._kind.besides(name)}:
                    found.add(name)
        return sorted(found)

    def locked_names(self) -> list[str]:
        """Return the names that have a lock's file, in lower case, sorted: it is held, or a killed holder left it.

        Raises the same as ``names``.
        """
        found = set()
        for file in files.list_private_files(self._folder):
            entry, purpose, end = file.rsplit(".", 2) if file.count(".") > 1 else ("", "", "")
            name = entry.removeprefix(f"{self._kind.noun}-")
            with suppress(ConfigurationError):
                if end == "lock" and purpose in _PURPOSES and self._kind.file_of(name) == f"{entry}.json":
                    found.add(name)
        return sorted(found)

    def export(self, name: str) -> dict[str, Any]:
        """Return what is held under a name as JSON values, each secret as ``<secret>``.

        Returns:
            The name; ``entry`` (None if there is none); in ``files`` the paths of all files that hold something.

        Raises:
            The same as ``get``.
        """
        entry = self.get(name)
        return {self._kind.noun: name, "entry": entry and entry.masked(), "files": self.paths_of(name)}

    def paths_of(self, name: str) -> list[str]:
        """Return the paths of all files that hold something under a name. Raises what ``files_of`` does."""
        return [os.path.join(self._folder, file) for file in self._files(name)]

    def files_of(self, name: str) -> list[str]:
        """Return the files that hold an entry of that name: its own, those set aside, those that killed writers left.

        Raises:
            ConfigurationError: It can't be a name.
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused.
        """
        entry = self._kind.file_of(name)
        return [file for file in files.list_private_files(self._folder) if files.original_name(file) == entry]

    def lock(self, name: str, purpose: LockPurpose = "refresh") -> FileLock:
        """Return the lock of a name, not yet acquired. Each call gives a new one, which excludes all others.

        Raises:
            ConfigurationError: It can't be a name.
        """
        return FileLock(os.path.join(self._folder, self._lock_file(name, purpose)))

    def others_held(self, name: str, purpose: LockPurpose) -> bool:
        """Say whether the lock of any other name is held for this purpose.

        Raises:
            UnsafePermissions: The folder is not ours alone.
            StoreError: The file system refused.
        """
        ours, end = self._lock_file(name, purpose), f".{purpose}.lock"
        for file in files.list_private_files(self._folder):
            if file.startswith(f"{self._kind.noun}-") and file.endswith(end) and file != ours:
                with FileLock(os.path.join(self._folder, file)) as lock:
                    if not lock.try_acquire():
                        return True
        return False

    def _files(self, name: str) -> list[str]:
        names = self._kind.file_of(name), *self._kind.besides(name)
        return [file for file in files.list_private_files(self._folder) if files.original_name(file) in names]

    def _lock_file(self, name: str, purpose: LockPurpose) -> str:
        return f"{self._kind.file_of(name).removesuffix('.json')}.{purpose}.lock"

    def _read(self, file: str, as_file: str) -> _E | None:
        data = read_entry(self._folder, file, as_file=as_file)
        return None if data is None else self._decode(data, as_file)

    def _set_aside(self, file: str) -> str | None:
        """Set a corrupt file aside and return its new name; None if it went or was replaced in the meantime."""
        aside = files.set_aside(self._folder, file, now=self._clock.now())
        if aside is None:
            return None
        try:
            self._read(aside, file)
        except CorruptEntry as error:
            if error.reason != "newer_version":
                return aside
        files.put_back(self._folder, aside, file)  # a writer was faster: what we moved was its good file
        return None

    def _encode(self, entry: _E, file: str) -> memoryview | None:
        """Return what to write; None if it could not be read again. A memoryview does not show its content."""
        try:
            data = written(entry.to_json())
            self._decode(data, file)
        except (ValueError, TypeError, RecursionError, CorruptEntry):
            return None
        return memoryview(data)

    def _decode(self, data: bytes, file: str) -> _E:
        if len(data) > _MOST_BYTES:
            raise CorruptEntry("The file is larger than any that we write.", reason="too_large")
        try:
            document = loads_own(data)
        except Malformed as error:
            raise CorruptEntry("The file is not the JSON that we write.", reason=error.reason) from None
        entry = self._kind.read(document)
        if self._kind.file_of(self._kind.name_of(entry)) != file:
            message = f"The file holds another {self._kind.noun} than its name says."
            raise CorruptEntry(message, reason=f"wrong_{self._kind.noun}")
        return entry
