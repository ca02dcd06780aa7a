"""What a reader sees while another process writes, and what is left when that process is killed.

All stores hold the same JSON, and are written as often as they can. Nothing here prints.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from doorward.errors import CorruptEntry
from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

try:
    import msal_extensions
except ImportError:
    msal_extensions = None

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext
    from multiprocessing.process import BaseProcess
    from pathlib import Path

__all__ = ["ENTRY_BYTES", "DoorwardStore", "ExtensionsStore", "PlainStore", "Store", "count_broken", "count_torn"]

_DEADLINE_S = 30
_TOKEN = Secret("benchmark." + "x" * 1200)
_ENTRY = ProfileEntry(
    profile="default",
    issuer="https://id.example.org",
    client_id="cli",
    client_authentication="none",
    created_at=1,
    access_token=_TOKEN,
    id_token=_TOKEN,
    refresh_token=_TOKEN,
)
_TEXT = json.dumps(_ENTRY.to_json())
ENTRY_BYTES = len(_TEXT)


class Store(Protocol):
    """A place for one entry. Its name is the row of the table."""

    @property
    def name(self) -> str: ...

    def write(self) -> None:
        """Write the entry over the one that is there."""

    def read(self) -> bool:
        """Say whether what is there is the entry."""


@dataclass(frozen=True)
class DoorwardStore:
    """``Vault``: a new file, synced and renamed over the old one."""

    folder: Path
    name: str = "Doorward"

    def write(self) -> None:
        Vault(str(self.folder / "vault")).put(_ENTRY)

    def read(self) -> bool:
        try:
            return Vault(str(self.folder / "vault")).get("default") == _ENTRY
        except CorruptEntry:
            return False


@dataclass(frozen=True)
class ExtensionsStore:
    """``FilePersistence`` of msal-extensions."""

    folder: Path
    name: str = "msal-extensions, FilePersistence"

    def write(self) -> None:
        self._persistence().save(_TEXT)

    def read(self) -> bool:
        return _whole(self._persistence().load())

    def _persistence(self) -> Any:
        return msal_extensions.FilePersistence(str(self.folder / "token_cache.bin"))


@dataclass(frozen=True)
class PlainStore:
    """A file opened and written, without more."""

    folder: Path
    name: str = "open(file, 'w').write(...)"

    def write(self) -> None:
        (self.folder / "plain.json").write_text(_TEXT)

    def read(self) -> bool:
        return _whole((self.folder / "plain.json").read_text())


def count_torn(store: Store, reads: int, context: ForkServerContext) -> tuple[int, int]:
    """Read while another process writes. Returns how many reads failed, and how many writes there were meanwhile."""
    written = context.Value("Q", 0, lock=False)
    writer = _start_writer(store, context, written)
    try:
        before = written.value
        torn = sum(not store.read() for _ in range(reads))
        return torn, written.value - before
    finally:
        _kill(writer)


def count_broken(store: Store, kills: int, context: ForkServerContext) -> int:
    """Kill writers with SIGKILL, each at an instant left to chance, and count those that leave nothing readable."""
    broken = 0
    for _ in range(kills):
        writer = _start_writer(store, context, context.Value("Q", 0, lock=False))
        time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - chance is enough
        _kill(writer)
        broken += not store.read()
    return broken


def _whole(text: str) -> bool:
    try:
        return bool(json.loads(text))
    except ValueError:
        return False


def _start_writer(store: Store, context: ForkServerContext, written: Any) -> BaseProcess:
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=_write_for_ever, args=(store, theirs, written), daemon=True)
    writer.start()
    theirs.close()
    if not ours.poll(_DEADLINE_S):
        _kill(writer)
        message = f"The writer of {store.name} has not begun after {_DEADLINE_S} s."
        raise TimeoutError(message)
    ours.close()
    return writer


def _write_for_ever(store: Store, ready: Connection, written: Any) -> None:
    store.write()
    ready.send("writing")
    while True:
        store.write()
        written.value += 1


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join(_DEADLINE_S)
