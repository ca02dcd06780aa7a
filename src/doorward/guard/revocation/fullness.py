"""Telling in time, and not over and over, that the memory for revocations will not do."""

from __future__ import annotations

import logging
import threading

__all__ = ["Fullness"]

_log = logging.getLogger("doorward.guard.revocation")

_NEARLY, _ROOMY_AGAIN = 0.8, 0.7


class Fullness:
    """Says once in Python's log that a bound is near, and once that it is reached; again only after there was room.

    Args:
        max_entries: the bound.
        has_store: whether a store keeps what does not fit.
    """

    def __init__(self, max_entries: int, *, has_store: bool) -> None:
        self._max_entries = max_entries
        self._has_store = has_store
        self._lock = threading.Lock()
        self._told = 0

    def tell(self, entries: int) -> None:
        """Say what is new about this many entries, kept here or beyond."""
        share = entries / self._max_entries
        is_full = share > 1 if self._has_store else share >= 1
        level = 2 if is_full else int(share >= _NEARLY)
        if level <= self._told and (not self._told or share >= _ROOMY_AGAIN):
            return
        with self._lock:
            is_news, self._told = level > self._told, level
        if is_news:
            self._say(level)

    def _say(self, level: int) -> None:
        remedy = "Raise max_entries, and give until with what need not be kept for ever."
        bound = f"{self._max_entries} revocations that fit in memory (max_entries)"
        if level == 1:
            _log.warning("%d %% of the %s are taken. %s", round(100 * _NEARLY), bound, remedy)
        elif self._has_store:
            _log.warning("There are more than the %s: the store is asked about some tokens. %s", bound, remedy)
        else:
            _log.warning("All of the %s are taken: nothing more can be revoked. %s", bound, remedy)

    def renew_lock(self) -> None:
        """Forget who holds the lock: at a fork it stays in the parent."""
        self._lock = threading.Lock()
