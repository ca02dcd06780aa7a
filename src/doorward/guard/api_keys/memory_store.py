"""API keys in this process alone: for tests, and to try things out. They are gone with it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from doorward.guard.api_keys.api_key import ApiKey, StoredKey

__all__ = ["MemoryKeyStore"]


class MemoryKeyStore:
    """A ``KeyStore`` that is a dictionary."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, StoredKey] = {}

    def find(self, key_id: str) -> StoredKey | None:
        return self._stored.get(key_id)

    def imported_ids(self) -> frozenset[str]:
        with self._lock:
            return frozenset(key_id for key_id, stored in self._stored.items() if stored.key.imported)

    def add(self, stored: Iterable[StoredKey]) -> str | None:
        with self._lock:
            kept = dict(self._stored)
            names = {each.key.name for each in kept.values() if each.key.is_current}
            for each in stored:
                if each.key.name in names:
                    return each.key.name
                if each.key.key_id in kept:
                    return each.key.key_id
                names.add(each.key.name)
                kept[each.key.key_id] = each
            self._stored = kept
        return None

    def replace(self, key_id: str, stored: StoredKey, *, expires_at: float) -> bool:
        with self._lock:
            old = self._stored.get(key_id)
            if old is None or not old.key.is_current:
                return False
            ended = replace(old.key, replaced_by=stored.key.key_id, expires_at=expires_at)
            self._stored[key_id] = replace(old, key=ended)
            self._stored[stored.key.key_id] = stored
        return True

    def revoke(self, key_ids: Iterable[str], *, at: float, by: str) -> None:
        with self._lock:
            for key_id in key_ids:
                stored = self._stored[key_id]
                if stored.key.revoked_at is None:
                    self._stored[key_id] = replace(stored, key=replace(stored.key, revoked_at=at, revoked_by=by))

    def records(self) -> tuple[ApiKey, ...]:
        with self._lock:
            found = [stored.key for stored in self._stored.values()]
        return tuple(sorted(found, key=lambda key: (key.created_at, key.key_id)))

    def touch(self, used: Mapping[str, float]) -> None:
        with self._lock:
            for key_id, at in used.items():
                stored = self._stored.get(key_id)
                if stored is not None and (stored.key.last_used_at or 0.0) < at:
                    self._stored[key_id] = replace(stored, key=replace(stored.key, last_used_at=at))

    def close(self) -> None:
        pass
