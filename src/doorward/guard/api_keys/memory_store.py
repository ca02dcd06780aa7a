"""API keys in this process alone: for tests, and to try things out. They are gone with it."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from doorward.guard.api_keys.api_key import ApiKey, StoredKey

__all__ = ["MemoryKeyStore"]

_PAGE = 1000


class MemoryKeyStore:
    """A ``KeyStore`` that is a dictionary, with two indexes: ids by name, and in the order in which keys were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, StoredKey] = {}
        self._named: dict[str, list[str]] = {}
        self._made: list[tuple[float, str]] = []

    def find(self, key_id: str) -> StoredKey | None:
        return self._stored.get(key_id)

    def find_named(self, name: str) -> StoredKey | None:
        with self._lock:
            found = [self._stored[key_id] for key_id in self._named.get(name, ())]
        return max(found, key=lambda each: (each.key.is_current, each.key.created_at, each.key.key_id), default=None)

    def is_empty(self) -> bool:
        return not self._stored

    def imported_ids(self) -> frozenset[str]:
        with self._lock:
            return frozenset(key_id for key_id, stored in self._stored.items() if stored.key.imported)

    def add(self, stored: Iterable[StoredKey]) -> str | None:
        stored = tuple(stored)
        with self._lock:
            names: set[str] = set()
            key_ids: set[str] = set()
            for each in stored:
                if each.key.name in names or self._has_current(each.key.name):
                    return each.key.name
                if each.key.key_id in key_ids or each.key.key_id in self._stored:
                    return each.key.key_id
                names.add(each.key.name)
                key_ids.add(each.key.key_id)
            for each in stored:
                self._keep(each)
        return None

    def replace(self, ended: StoredKey, stored: StoredKey) -> bool:
        with self._lock:
            old = self._stored.get(ended.key.key_id)
            if old is None or not old.key.is_current:
                return False
            key = replace(old.key, replaced_by=ended.key.replaced_by, expires_at=ended.key.expires_at)
            self._stored[key.key_id] = replace(old, key=key, seal=ended.seal)
            self._keep(stored)
        return True

    def revoke(self, name_or_id: str, *, at: float, by: str) -> tuple[ApiKey, ...] | None:
        ended = []
        with self._lock:
            key_ids = {*self._named.get(name_or_id, ()), name_or_id} & self._stored.keys()
            for key_id in sorted(key_ids):
                stored = self._stored[key_id]
                if stored.key.revoked_at is None:
                    revoked = replace(stored.key, revoked_at=at, revoked_by=by)
                    self._stored[key_id] = replace(stored, key=revoked, seal="")
                    if not stored.key.has_ended(at):
                        ended.append(revoked)
        return tuple(ended) if key_ids else None

    def page(self, after: ApiKey | None = None) -> tuple[StoredKey, ...]:
        with self._lock:
            start = 0 if after is None else bisect_right(self._made, (after.created_at, after.key_id))
            return tuple(self._stored[key_id] for _, key_id in self._made[start : start + _PAGE])

    def seal(self, stored: StoredKey) -> bool:
        with self._lock:
            kept = self._stored.get(stored.key.key_id)
            if kept is None or kept.seal or kept.key.revoked_at is not None:
                return False
            self._stored[stored.key.key_id] = replace(kept, seal=stored.seal)
        return True

    def touch(self, used: Mapping[str, float]) -> None:
        with self._lock:
            for key_id, at in used.items():
                stored = self._stored.get(key_id)
                if stored is not None and (stored.key.last_used_at or 0.0) < at:
                    self._stored[key_id] = replace(stored, key=replace(stored.key, last_used_at=at))

    def close(self) -> None:
        pass

    def _has_current(self, name: str) -> bool:
        return any(self._stored[key_id].key.is_current for key_id in self._named.get(name, ()))

    def _keep(self, stored: StoredKey) -> None:
        key = stored.key
        self._stored[key.key_id] = stored
        self._named.setdefault(key.name, []).append(key.key_id)
        insort(self._made, (key.created_at, key.key_id))
