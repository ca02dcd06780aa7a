"""API keys: made, checked, rotated and revoked here; kept by a store, or standing in a keyring.

How a key is proved stands in ``checking``. What was found is not remembered: the guard remembers whole decisions, as
long as ``version`` stays.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from doorward.errors import ConfigurationError, StoreError, printable
from doorward.guard.api_keys.api_key import ApiKey, KeyStore, StoredKey, is_like_an_id, is_name_or_id
from doorward.guard.api_keys.changes import checked_key, end_of_overlap, imported_keys, no_such_key, successor_of
from doorward.guard.api_keys.checking import KeyCheck
from doorward.guard.api_keys.format import make_key
from doorward.guard.api_keys.keyring import Keyring, parse_entries, parse_keyring
from doorward.guard.api_keys.last_used import LastUsed
from doorward.guard.api_keys.lookup import KeyLookup
from doorward.guard.api_keys.peppers import PEPPER_VARIABLE, Peppers, generate_pepper, parse_peppers
from doorward.guard.api_keys.sealing import check_seal, sealed, with_verdict
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.model import Secret
from doorward.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from doorward.guard.api_keys.format import Pepper
    from doorward.guard.work import Work
    from doorward.ports import Clock

__all__ = ["ApiKeys"]

_Entries: TypeAlias = "str | bytes | Iterable[Mapping[str, Any]]"

_DAY_S = 86_400.0


class ApiKeys:
    """The API keys of a service. Made by ``memory``, ``sqlite``, ``sql`` or ``keyring``; nothing is opened before use.

    Args:
        store: where keys are kept, None for a keyring alone.
        keyring: entries of the configuration, ``{"name": …, "key": …}`` (see ``keyring``).
        pepper: what digests are keyed with, or several, the newest first, with white space between. At least 32 bytes.
        pepper_file: where the pepper is where none is given; made with the first key.
        clock: when keys are made, revoked and so on.

    Raises:
        ConfigurationError: An entry or the pepper is wrong, or there is a store and no pepper.

    Attributes:
        version: grows with each change made through this object.
    """

    def __init__(
        self,
        store: KeyStore | None = None,
        *,
        keyring: _Entries = (),
        pepper: Secret | str | None = None,
        pepper_file: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        entries = parse_keyring(keyring) if isinstance(keyring, str | bytes) else parse_entries(keyring)
        self._keyring = Keyring(entries)
        self._store = store
        if store is not None and pepper is None and pepper_file is None:
            message = (
                "API keys in a database need a pepper: without it, a copy of the database is worthless. Make one with "
                "doorward keys pepper, and set DOORWARD_API_KEY_PEPPER to it, for this process and for doorward keys."
            )
            raise ConfigurationError(message, field="pepper", reason="pepper_missing")
        self._peppers = Peppers(() if pepper is None else parse_peppers(pepper, field="pepper"), pepper_file)
        self._clock = clock or SystemClock()
        self._lookup = KeyLookup(store)
        self._last_used = LastUsed(store.touch if store is not None else lambda _used: None)
        self._check = KeyCheck(store, self._keyring, self._peppers, self._lookup, self._last_used)
        self.version = 0

    def __repr__(self) -> str:
        return f"ApiKeys(store={self._store!r}, keyring={len(self._keyring)})"

    @classmethod
    def memory(cls, *, keyring: _Entries = (), pepper: Secret | str | None = None, clock: Clock | None = None) -> Self:
        """Keep keys in this process, for tests. Arguments as for the class; without ``pepper``, one is made."""
        from doorward.guard.api_keys.memory_store import MemoryKeyStore  # noqa: PLC0415 - seldom wanted

        return cls(MemoryKeyStore(), keyring=keyring, pepper=pepper or generate_pepper(), clock=clock)

    @classmethod
    def keyring(cls, entries: _Entries, *, clock: Clock | None = None) -> Self:
        """Take keys from the configuration alone.

        Args:
            entries: each with ``name`` and ``key``, and maybe ``scopes``, ``groups``, ``may_delegate``, ``expires_at``;
                or a list of them as JSON.
            clock: for tests.

        Raises:
            ConfigurationError: An entry is wrong; ``field`` has its place.
        """
        return cls(keyring=entries, clock=clock)

    @classmethod
    def sqlite(
        cls,
        path: str | os.PathLike[str],
        *,
        keyring: _Entries = (),
        pepper: Secret | str | None = None,
        read_only: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Keep keys in an SQLite file, made with mode 0600 where there is none.

        Args:
            path: of the file. What is relative is taken from the folder that is current now.
            pepper: as for the class; left out, ``DOORWARD_API_KEY_PEPPER``, else a private file beside the database
                (``PATH.pepper``).
            keyring: as for the class.
            read_only: write nothing, not even when a key was last used. So it is too where the file can't be written.
            clock: as for the class.

        Raises:
            ConfigurationError: SQLAlchemy is not installed, or the pepper or an entry is wrong.
        """
        return cls.sql(sqlite_url(path), keyring=keyring, pepper=pepper, read_only=read_only, clock=clock)

    @classmethod
    def sql(
        cls,
        url: str,
        *,
        keyring: _Entries = (),
        pepper: Secret | str | None = None,
        read_only: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Keep keys in a database.

        Args:
            url: ``postgresql://user:password@host:port/name`` or ``sqlite:////absolute/path``.
            pepper: as for the class; left out, ``DOORWARD_API_KEY_PEPPER``.
            keyring: as for the class.
            read_only: write nothing, not even when a key was last used.
            clock: as for the class.

        Raises:
            ConfigurationError: The URL, the pepper or an entry is wrong, or what the database needs is not installed.
        """
        database = open_database(url, read_only=read_only)
        from doorward.guard.api_keys.sql_store import SqlKeyStore  # noqa: PLC0415 - imports what the extra brings

        if pepper is None:
            pepper = os.environ.get(PEPPER_VARIABLE) or None
        pepper_file = None if database.path is None else f"{database.path}.pepper"
        return cls(SqlKeyStore(database), keyring=keyring, pepper=pepper, pepper_file=pepper_file, clock=clock)

    # Checking

    def recognizes(self, credential: str) -> bool:
        """Say whether this is for us to judge. See ``KeyCheck.recognizes``; it asks no store."""
        return self._check.recognizes(credential)

    def is_ours(self, credential: str, *, now: float) -> Work[bool]:
        """Say the same, sure of what was imported. Raises StoreError: nobody can say."""
        return self._check.is_ours(credential, now)

    def check(self, credential: str, *, now: float, is_use: bool = True) -> Work[ApiKey]:
        """Return what is known of a key that is good now. Arguments and errors are those of ``KeyCheck.check``."""
        return self._check.check(credential, now, is_use=is_use)

    def touch(self, key_id: str, at: float) -> None:
        """Note that a stored key was used, where a decision was taken from a cache. Written once a minute."""
        self._last_used.note(key_id, at)

    # Managing: in the caller's thread, each call within the store's own deadlines

    def create(  # noqa: PLR0913 - what a key can be given, by keyword
        self,
        name: str,
        *,
        scopes: Iterable[str] = (),
        groups: Iterable[str] = (),
        may_delegate: bool = False,
        expires_at: float | None = None,
        created_by: str = "",
    ) -> tuple[Secret, ApiKey]:
        """Make a key and keep its digest. The key itself is returned once, and never again.

        Args:
            name: 1 to 255 of ``A-Z a-z 0-9 . _ @ -``; no other key that is neither revoked nor replaced has it.
            scopes: what requests with it may do.
            groups: what its principal is a member of.
            may_delegate: whether it may act for others.
            expires_at: when it ends, in epoch seconds; None: never.
            created_by: who made it, to be shown later.

        Raises:
            ConfigurationError: One of these is wrong; ``name_taken``.
            StoreError: It could not be kept.
        """
        key = ApiKey(
            key_id="",
            name=name,
            scopes=scopes,  # type: ignore[arg-type] # made a tuple by the check
            groups=groups,  # type: ignore[arg-type] # the same
            may_delegate=may_delegate,
            created_by=created_by,
            expires_at=expires_at,
        )
        secret, stored = self._make(checked_key(key, now=self._clock.now()))
        self._add([stored])
        return secret, stored.key

    def rotate(self, name: str, *, overlap_s: float = _DAY_S, by: str = "") -> tuple[Secret, ApiKey]:
        """Make a new key for a name; it may do the same and, if the old one was to end, lives as long as that did.

        Args:
            name: of a key that is neither revoked nor replaced; or its id.
            overlap_s: for how many seconds the old key goes on; 0 ends it now.
            by: who did it.

        Raises:
            ConfigurationError: There is no such key, or the overlap is no time span.
            StoreError: It could not be kept; the old key goes on. Or its entry is not as it was made.
        """
        now = self._clock.now()
        old = self._find(name)
        if old is None or not old.key.is_current:
            raise no_such_key(name)
        peppers = self._peppers.read(self._writable())
        check_seal(old, peppers)  # else its successor would get whatever somebody wrote there
        end_at = end_of_overlap(old.key, overlap_s, now=now)
        secret, stored = self._make(successor_of(old.key, now=now, by=by))
        ended = replace(old.key, replaced_by=stored.key.key_id, expires_at=end_at)
        if not self._writable().replace(sealed(replace(old, key=ended), peppers), stored):
            raise no_such_key(name)  # revoked or rotated by somebody else in this moment
        self._changed()
        return secret, stored.key

    def revoke(self, name_or_id: str, *, by: str = "") -> tuple[ApiKey, ...]:
        """End a key by its id, or by a name all keys that have it, at once. Returns those that were still good.

        Also a key that a rotation in this moment puts in the place of one.

        Raises:
            ConfigurationError: There is no such key.
            StoreError: It could not be written; nothing was revoked.
        """
        store, ended = self._writable(), None
        if is_name_or_id(name_or_id):
            ended = store.revoke(name_or_id, at=self._clock.now(), by=printable(by))
        if ended is None:
            raise no_such_key(name_or_id)
        self._changed()
        return ended

    def show(self, name_or_id: str) -> ApiKey:
        """Return what is known of the key with this id, else of the current one of this name, else of its newest.

        Raises:
            ConfigurationError: There is none.
            StoreError: Nobody could look.
        """
        found = self._find(name_or_id)
        if found is None:
            raise no_such_key(name_or_id)
        return with_verdict(found, self._peppers_at_hand())

    def list(self, *, ended: bool = False) -> tuple[ApiKey, ...]:
        """Return at once what ``each`` returns one by one."""
        return tuple(self.each(ended=ended))

    def each(self, *, ended: bool = False) -> Iterator[ApiKey]:
        """Return the keys of the keyring, then those of the store, the oldest first: a page in memory at a time.

        Args:
            ended: those too that are revoked or have expired.

        Raises:
            StoreError: Nobody could look; maybe after some keys.
        """
        now = self._clock.now()
        yield from (key for key in self._keyring.records() if ended or not key.has_ended(now))
        if self._store is not None:
            peppers, page = self._peppers_at_hand(), self._store.page()
            while page:
                yield from (with_verdict(each, peppers) for each in page if ended or not each.key.has_ended(now))
                page = self._store.page(page[-1].key)

    def seal(self, keys: Iterable[ApiKey]) -> None:
        """Vouch for entries that have no seal, once, after the upgrade from Doorward 0.1.

        Whoever can write to the database can have made them say what they say: look at each before (decision 16).

        Args:
            keys: as ``each`` or ``show`` gave them, and as they were looked at. Those with a seal are passed over.

        Raises:
            StoreError: It could not be written; or an entry is not what was looked at, or has another seal. Those
                before it are sealed.
        """
        store = self._writable()
        peppers = self._peppers.read(store)
        for key in keys:
            stored = store.find(key.key_id)
            if stored is None or replace(stored.key, last_used_at=None) != replace(key, last_used_at=None, sealed=True):
                message = f"The entry of API key {key.key_id} changed while it was being looked at. Look again."
                raise StoreError(message, reason="entry_altered")
            if stored.seal:
                check_seal(stored, peppers)
            else:
                store.seal(sealed(stored, peppers))
        self._changed()

    def import_keys(self, entries: _Entries, *, by: str = "") -> tuple[ApiKey, ...]:
        """Keep the digests of keys that were made elsewhere, all or none of them, so that they go on working.

        Args:
            entries: as in a keyring.
            by: who did it.

        Raises:
            ConfigurationError: An entry is wrong, or its name or key is there already, maybe revoked.
            StoreError: They could not be kept.
        """
        parsed = parse_keyring(entries) if isinstance(entries, str | bytes) else parse_entries(entries)
        pepper = self._peppers.newest(self._writable())
        stored = [sealed(each, [pepper]) for each in imported_keys(parsed, pepper, now=self._clock.now(), by=by)]
        self._add(stored)
        return tuple(each.key for each in stored)

    def close(self) -> None:
        """Write what was noted, and close the store. Call it once, at the end."""
        with suppress(StoreError):  # when a key was last used is worth no failing end
            self._last_used.flush()
        self._lookup.close()
        if self._store is not None:
            self._store.close()

    def _writable(self) -> KeyStore:
        if self._store is None:
            message = "These API keys stand in the configuration: change them there, or keep keys in a database."
            raise ConfigurationError(message, field="api_keys", reason="no_key_store")
        return self._store

    def _make(self, key: ApiKey) -> tuple[Secret, StoredKey]:
        pepper = self._peppers.newest(self._writable())
        text, digested = make_key(pepper, SystemEntropy())
        key = replace(key, key_id=digested.key_id, pepper_id=digested.pepper_id)
        return Secret(text), sealed(StoredKey(key, digested.digest), [pepper])

    def _peppers_at_hand(self) -> tuple[Pepper, ...]:
        """Return what seals can be looked at with. Keys are shown, and can be revoked, without it too."""
        try:
            return self._peppers.read(self._writable())
        except StoreError:
            return ()

    def _add(self, stored: Iterable[StoredKey]) -> None:
        store = self._writable()
        stored = tuple(stored)
        # Nobody may give a key the name that is another one's id: it would be shown, rotated and revoked in its place.
        names = [each.key.name for each in stored if is_like_an_id(each.key.name)]
        taken = next((name for name in names if store.find(name) is not None), None)
        taken = store.add(stored) if taken is None else taken
        if taken is not None:
            message = f"There is a key {taken} already. Take another name, rotate that key, or revoke it first."
            raise ConfigurationError(message, field="name", reason="name_taken")
        self._changed()

    def _find(self, name_or_id: str) -> StoredKey | None:
        store = self._writable()
        if not is_name_or_id(name_or_id):
            return None
        stored, named = store.find(name_or_id), store.find_named(name_or_id)
        if stored is not None and named is not None and named.key.key_id != stored.key.key_id:
            message = f"{name_or_id} is the id of one key and the name of another. Give the other one's id."
            raise ConfigurationError(message, field="name", reason="ambiguous_name")
        return named if stored is None else stored

    def _changed(self) -> None:
        self._lookup.forget()
        self.version += 1
