"""What was decided lately, so that it need not be decided again: bounded, and without the credential itself.

A decision is found by a keyed digest of the whole ``Authorization`` value: never by a part of a token, and by nothing
that means anything outside this process. Whether a decision still holds is for ``Guard`` to say, on every hit. Refusals
have a cache of their own, so that no number of bad tokens evicts a good one.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar

from doorward.guard.work import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.errors import InvalidCredential
    from doorward.guard.issuers.key_rings import KeyRing
    from doorward.model import Principal
    from doorward.protocol.jwk import JwkSet

__all__ = ["Accepted", "DecisionCache", "Rejected", "digester"]

T = TypeVar("T")

_BLOCK_BYTES = 64


def digester() -> Callable[[str | None], bytes]:
    """Return a digest function with a random key of its own.

    The key fills the first block of SHA-256. HMAC would cost twice as much for a promise that is not needed here:
    nobody sees a digest, so nobody can extend one.
    """
    keyed = sha256(secrets.token_bytes(_BLOCK_BYTES))

    def digest(authorization: str | None) -> bytes:
        hasher = keyed.copy()
        hasher.update((authorization or "").encode("utf-8", "surrogatepass"))
        return hasher.digest()

    return digest


class Accepted:
    """A credential that was accepted, and all that must still be as it was for the decision to hold.

    It holds from ``since`` on, until before ``until``: a clock that is set back prolongs nothing. ``signed`` is what
    revocation by token goes by: what a JWT's signature covers, or the fingerprint of any other credential.
    """

    __slots__ = (
        "issued_at",
        "jti",
        "keys",
        "kid",
        "principal",
        "ring",
        "signed",
        "since",
        "until",
        "version_of_api_keys",
        "version_of_revocations",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - made for every new token, and keywords cost
        self,
        principal: Principal,
        until: float,
        ring: KeyRing | None = None,
        keys: JwkSet | None = None,
        jti: str | None = None,
        issued_at: float | None = None,
        kid: str | None = None,
        signed: bytes = b"",
    ) -> None:
        self.principal = principal
        self.since = -inf
        self.until = until
        self.ring = ring
        self.keys = keys
        self.jti = jti
        self.issued_at = issued_at
        self.kid = kid
        self.signed = signed
        self.version_of_api_keys = 0
        self.version_of_revocations = -1  # not looked at yet


@dataclass(frozen=True, slots=True)
class Rejected:
    """A credential whose refusal can't turn into anything else for a while."""

    kind: type[InvalidCredential]
    message: str
    reason: str
    since: float
    until: float

    def again(self) -> InvalidCredential:
        """Return the error anew: one that was raised drags its traceback along."""
        return self.kind(self.message, reason=self.reason)


class DecisionCache(Generic[T]):
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
