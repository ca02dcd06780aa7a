"""A bounded memory of what was decided, found by a keyed digest: never by a part of a token.

The digest means nothing outside this process, so the memory holds no credential.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from doorward.guard.work import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BoundedCache", "digester"]

T = TypeVar("T")

_BLOCK_BYTES: Final = 64


def digester() -> Callable[[str | None], bytes]:
    """Return a digest function with a random key of its own.

    The key fills the first block of SHA-256. HMAC would cost twice as much for a promise that is not needed here:
    nobody sees a digest, so nobody can extend one.
    """
    keyed = sha256(os.urandom(_BLOCK_BYTES))

    def digest(authorization: str | None) -> bytes:
        hasher = keyed.copy()
        hasher.update((authorization or "").encode("utf-8", "surrogatepass"))
        return hasher.digest()

    return digest


class BoundedCache(Generic[T]):
    """At most ``size`` decisions; the oldest makes room. ``get`` is a plain look-up, for the hot path."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._decisions: OrderedDict[bytes, T] = OrderedDict()  # a dict would search for its oldest, ever longer
        self.get = self._decisions.get
        renew_after_fork(self)

    def put(self, digest: bytes, decision: T) -> None:
        """Remember a decision."""
        if not self._size:
            return
        with self._lock:
            self._decisions.pop(digest, None)
            if len(self._decisions) >= self._size:
                self._decisions.popitem(last=False)
            self._decisions[digest] = decision

    def drop(self, digest: bytes) -> None:
        """Forget one decision, if it is there."""
        with self._lock:
            self._decisions.pop(digest, None)

    def drop_where(self, fits: Callable[[T], bool]) -> int:
        """Forget every decision that fits; return how many."""
        with self._lock:
            found = [digest for digest, decision in self._decisions.items() if fits(decision)]
            for digest in found:
                del self._decisions[digest]
        return len(found)

    def after_fork(self) -> None:
        """Have a lock that no thread of the parent holds."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._decisions)
