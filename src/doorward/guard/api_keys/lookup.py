"""Asking a key store without harm: on threads of its own, within a deadline, once for all who ask the same.

Whatever goes wrong is a StoreError: that nobody could look is never told as "no such key".
"""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING, TypeVar

from doorward.errors import StoreError
from doorward.guard.api_keys.format import digest_foreign_key
from doorward.guard.work import SharedJobs, Workers, renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from doorward.guard.api_keys.api_key import KeyStore, StoredKey
    from doorward.guard.api_keys.format import Digested, Pepper
    from doorward.guard.work import Work

__all__ = ["KeyLookup"]

T = TypeVar("T")

_DEADLINE_S = 2.0
_REFUSED_FOR_S = 5.0
_MOST_REFUSED = 1000
_IMPORTED_FRESH_S = 30.0
_IMPORTED_STALE_S = 600.0
_RETRY_S = 5.0


class KeyLookup:
    """What is asked of a store on behalf of credentials.

    Attributes:
        imported: ids of the imported keys, as far as known.
        fresh_until: when ``imported`` should be asked for again; for ever, where there is no store.
    """

    def __init__(self, store: KeyStore | None) -> None:
        self._store = store
        self._workers = Workers("API keys")
        self._lock = threading.Lock()
        self._jobs = SharedJobs(self._workers, timeout_s=_DEADLINE_S)
        self._refused: dict[str, tuple[StoredKey | None, float]] = {}
        self._stale_at = 0.0
        self.imported: frozenset[str] = frozenset()
        self.fresh_until = 0.0 if store is not None else inf
        renew_after_fork(self)

    def find(self, key_id: str, now: float) -> Work[StoredKey | None]:
        """Return the key of this id, None if there is none.

        Raises:
            StoreError: Nobody could look.
        """
        refused, until = self._refused.get(key_id, (None, 0.0))
        if until - _REFUSED_FOR_S <= now < until:  # a clock that is set back prolongs nothing
            return refused
        assert self._store is not None  # noqa: S101 - no key has an id without a store
        store = self._store
        return (yield from self.ask(f"key {key_id}", lambda: store.find(key_id)))

    def remember_refused(self, key_id: str, stored: StoredKey | None, now: float) -> None:
        """Answer for a moment without the store: this key is not there, or has ended."""
        with self._lock:
            while len(self._refused) >= _MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
            until = self._refused.get(key_id, (None, 0.0))[1]
            if not until - _REFUSED_FOR_S <= now < until:  # asked anew in the end, however often it is sent
                self._refused[key_id] = stored, now + _REFUSED_FOR_S

    def read_imported(self, now: float) -> Work[None]:
        """Bring ``imported`` up to date. In an outage what is known serves for ten minutes.

        Raises:
            StoreError: Nothing is known, or nothing recent.
        """
        assert self._store is not None  # noqa: S101 - without one it is always fresh
        try:
            self.imported = yield from self.ask("imported keys", self._store.imported_ids)
        except StoreError:
            if now >= self._stale_at:
                raise
            self.fresh_until = now + _RETRY_S
        else:
            self.fresh_until, self._stale_at = now + _IMPORTED_FRESH_S, now + _IMPORTED_STALE_S

    def as_imported(self, credential: str, peppers: Iterable[Pepper]) -> Digested | None:
        """Return what the store knows of a credential, if that is an imported key as far as known."""
        if self.imported:
            for pepper in peppers:
                digested = digest_foreign_key(credential, pepper)
                if digested.key_id in self.imported:
                    return digested
        return None

    def ask(self, what: str, function: Callable[[], T]) -> Work[T]:
        """Have the store do something aside; who asks for the same meanwhile gets the same answer."""
        job = self._jobs.start(what, function)
        try:
            return (yield job)  # type: ignore[no-any-return] # what `function` returned
        except StoreError as error:  # an error of its own for each who waits: a traceback belongs to one thread
            raise StoreError(error.message, reason=error.reason, retry_after_s=error.retry_after_s) from error
        except TimeoutError as error:
            message = "The store of API keys did not answer in time. Try again in a moment."
            raise StoreError(message, reason="store_timeout") from error
        except Exception as error:
            message = f"The store of API keys failed in a way of its own ({type(error).__name__})."
            raise StoreError(message, reason="store_failed") from error

    def forget(self) -> None:
        """Answer from the store again: something was changed."""
        with self._lock:
            self._refused.clear()
            self._jobs.forget()
            self._stale_at = self.fresh_until = 0.0

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()

    def after_fork(self) -> None:
        """Have a lock that no thread of the parent holds."""
        self._lock = threading.Lock()
