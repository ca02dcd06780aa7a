"""What is revoked, as plain look-ups in memory. It is asked for every token: nothing here waits or is dropped silently.

Where the entries come from is the business of ``revocation``; what a store of them must do is said here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from doorward.errors import Revoked, StoreError

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Changes", "Kind", "Revocation", "RevocationList", "RevocationStore", "fingerprint"]

Kind: TypeAlias = Literal["token", "jti", "subject", "key", "issuer"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """One thing that is revoked. ``inf`` is for ever.

    ``value`` is the fingerprint in hexadecimal, the ``jti``, the subject or the ``kid``. ``issuer`` is empty for a
    token, as ``value`` is for an issuer. ``before`` (of a subject or an issuer) ends the tokens issued until then.
    After ``until`` the entry may be forgotten. Instants are epoch seconds in UTC.
    """

    kind: Kind
    issuer: str
    value: str
    before: float
    until: float
    revoked_at: float
    revoked_by: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What was added to a store since a position. ``position`` is where to go on; ``complete``: this is all."""

    revocations: tuple[Revocation, ...]
    position: int
    complete: bool


class RevocationStore(Protocol):
    """Where revocations are kept for several processes, durably. Every failure is a StoreError."""

    def add(self, revocation: Revocation) -> None:
        """Keep an entry. It is durable, and in reach of every ``read`` that begins later, when this returns."""
        ...

    def read(self, position: int) -> Changes:
        """Return what was added after ``position``: 0 for everything, else what the last read gave.

        A position that this store has not given (it was restored from a backup) counts as 0.
        """
        ...

    def close(self) -> None: ...


_Entries: TypeAlias = "dict[Hashable, tuple[float, float]]"  # before, until


def fingerprint(signed: bytes) -> bytes:
    """Return what a token is revoked by: a digest of what was signed, ``header.payload``, or of a whole opaque token.

    Never of a signature: ECDSA has two for each token, and whoever holds one can write the other.
    """
    return sha256(signed).digest()


class RevocationList:
    """At most ``max_entries`` entries. Adding one twice, or an older state of it, changes nothing."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._size = 0
        self._tokens: _Entries = {}
        self._jtis: _Entries = {}
        self._subjects: _Entries = {}
        self._keys: _Entries = {}
        self._issuers: _Entries = {}
        self._by_kind: dict[Kind, _Entries] = {
            "token": self._tokens,
            "jti": self._jtis,
            "subject": self._subjects,
            "key": self._keys,
            "issuer": self._issuers,
        }

    def __len__(self) -> int:
        return self._size

    def check(  # noqa: PLR0913 - the marks of one token, by keyword
        self,
        *,
        issuer: str,
        subject: str,
        jti: str | None,
        issued_at: float | None,
        kid: str | None,
        fingerprint: bytes,
    ) -> None:
        """Refuse a token that is revoked in any way.

        Args:
            issuer: its ``iss``.
            subject: its ``sub``.
            jti: its ``jti``.
            issued_at: its ``iat``. Where there is none, the token counts as issued before any instant.
            kid: the key it was signed with.
            fingerprint: what ``fingerprint`` gives for it.

        Raises:
            Revoked: ``token_revoked``, ``jti_revoked``, ``key_revoked``, ``issuer_revoked`` or ``subject_revoked``.
        """
        if not self._size:
            return
        if fingerprint in self._tokens:
            raise Revoked("This token was revoked: sign in again.", reason="token_revoked")
        if jti is not None and (issuer, jti) in self._jtis:
            raise Revoked("This token was revoked by its jti: sign in again.", reason="jti_revoked")
        if kid is not None and (issuer, kid) in self._keys:
            raise Revoked("The key that signed this token was revoked: get a new token.", reason="key_revoked")
        # Written so that an `iat` that compares with nothing (NaN) refuses the token.
        entry = self._issuers.get(issuer)
        if entry is not None and not (issued_at is not None and issued_at > entry[0]):
            raise Revoked("Tokens of this issuer were revoked: get a new one.", reason="issuer_revoked")
        entry = self._subjects.get((issuer, subject))
        if entry is not None and not (issued_at is not None and issued_at > entry[0]):
            raise Revoked("This subject's tokens were revoked: sign in again.", reason="subject_revoked")

    def add(self, revocation: Revocation, *, now: float) -> bool:
        """Add an entry, or let it widen one that is there. Return whether anything changed.

        Raises:
            StoreError: there is no room, also not after forgetting what may be forgotten (``revocations_full``).
        """
        entries, key = self._by_kind[revocation.kind], _key(revocation)
        with self._lock:
            known = entries.get(key)
            if known is not None:
                widened = max(known[0], revocation.before), max(known[1], revocation.until)
                if widened == known:
                    return False
                entries[key] = widened
                return True
            if self._size >= self._max_entries:
                self._prune(now)
            if self._size >= self._max_entries:
                message = (
                    f"The list of revocations is full ({self._max_entries} entries), so this one was not taken: raise "
                    "max_entries, and give until with what need not be kept for ever."
                )
                raise StoreError(message, reason="revocations_full")
            entries[key] = revocation.before, revocation.until
            self._size += 1
            return True

    def take_over(self, other: RevocationList) -> None:
        """Add all that stands in another list, also beyond ``max_entries``."""
        with other._lock:
            taken = {kind: dict(entries) for kind, entries in other._by_kind.items()}
        with self._lock:
            for kind, entries in taken.items():
                mine = self._by_kind[kind]
                for key, entry in entries.items():
                    known = mine.get(key, entry)
                    mine[key] = max(known[0], entry[0]), max(known[1], entry[1])
            self._size = sum(map(len, self._by_kind.values()))

    def prune(self, *, now: float) -> None:
        """Forget the entries whose time is over."""
        with self._lock:
            self._prune(now)

    def renew_lock(self) -> None:
        """Forget who holds the lock: at a fork it stays in the parent."""
        self._lock = threading.Lock()

    def _prune(self, now: float) -> None:
        for entries in self._by_kind.values():
            over = [key for key, (_, until) in entries.items() if until < now]
            for key in over:
                del entries[key]
            self._size -= len(over)


def _key(revocation: Revocation) -> Hashable:
    match revocation.kind:
        case "token":
            return bytes.fromhex(revocation.value)
        case "issuer":
            return revocation.issuer
    return revocation.issuer, revocation.value
