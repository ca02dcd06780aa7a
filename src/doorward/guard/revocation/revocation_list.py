"""What is revoked, as look-ups in memory. It is asked for every new token: nothing here waits.

Of each entry the memory holds a digest and two instants, no names. What does not fit is dropped only where a store
keeps it, and then a filter remembers that there was something (decision 14). Where entries come from is the business of
``revocations``; what a store of them must do is said here.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypedDict, Unpack, get_args

import msgspec

from doorward.errors import Revoked, StoreError
from doorward.guard.revocation.bloom_filter import BloomFilter
from doorward.guard.revocation.digest_table import DigestTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from doorward.guard.revocation.fullness import Fullness

__all__ = [
    "Changes",
    "Entry",
    "Kind",
    "Marks",
    "Revocation",
    "RevocationList",
    "RevocationStore",
    "entry_of",
    "fingerprint",
    "target_of",
    "targets_of",
]

# A new kind needs a new step in `stores.schema`: then no older version starts on a database that may hold it.
Kind: TypeAlias = Literal["token", "jti", "subject", "key", "issuer"]
Entry: TypeAlias = tuple[Kind, bytes, float, float]
"""What decisions need of a revocation: kind, target (see ``target_of``), before, until."""

_BITS_BEYOND = 64  # of the filter, for each entry that fits
_PRUNE_EVERY_S = 60.0


class Revocation(msgspec.Struct, frozen=True):
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


class Marks(TypedDict):
    """What a token can be revoked by: ``iss``, ``sub``, ``jti``, ``iat``, the key's ``kid``, ``fingerprint``.

    Without ``iat`` it counts as issued before any instant.
    """

    issuer: str
    subject: str
    jti: str | None
    issued_at: float | None
    kid: str | None
    fingerprint: bytes


class Changes(msgspec.Struct, frozen=True):
    """Some of what a store holds, in order, and the number up to which this is all."""

    entries: Sequence[Entry]
    position: int


class RevocationStore(Protocol):
    """Where revocations are kept for several processes, durably, under growing numbers. Each failure is a StoreError.

    An entry for a target that has one replaces it, under a new number, and is never narrower.
    """

    def add(self, revocation: Revocation) -> None:
        """Keep an entry. It is durable, and in reach of every question that is asked later, when this returns."""
        ...

    def latest(self) -> int:
        """Return the greatest number given; 0 before the first.

        All entries up to it can be read, and no later one gets a smaller number (decision 11). It is smaller than
        before only where an older copy was restored.
        """
        ...

    def read(self, position: int, last: int) -> Changes:
        """Return entries with numbers above ``position``, the smallest first, and none above ``last``."""
        ...

    def find(self, targets: Sequence[bytes]) -> Sequence[Entry]:
        """Return the entries for these targets."""
        ...

    def close(self) -> None: ...


def fingerprint(signed: bytes) -> bytes:
    """Return what a token is revoked by: a digest of what was signed, ``header.payload``, or of a whole opaque token.

    Never of a signature: ECDSA has two for each token, and whoever holds one can write the other.
    """
    return sha256(signed).digest()


def target_of(kind: Kind, issuer: str, value: str) -> bytes:
    """Return what an entry is found by: SHA-256 of kind, issuer and value, written as JSON."""
    names = f'["{kind}", {encode_basestring_ascii(issuer)}, {encode_basestring_ascii(value)}]'
    return sha256(names.encode()).digest()


_of_few = lru_cache(1024)(target_of)  # there are few issuers, and few keys


def targets_of(marks: Marks) -> list[bytes]:
    """Return every target that would revoke a token."""
    issuer, jti, kid = marks["issuer"], marks["jti"], marks["kid"]
    targets = [
        target_of("token", "", marks["fingerprint"].hex()),
        _of_few("issuer", issuer, ""),
        target_of("subject", issuer, marks["subject"]),
    ]
    if jti is not None:
        targets.append(target_of("jti", issuer, jti))
    if kid is not None:
        targets.append(_of_few("key", issuer, kid))
    return targets


def entry_of(revocation: Revocation) -> Entry:
    """Return what decisions need of a revocation.

    Raises:
        ValueError: that of a token does not hold a fingerprint.
    """
    value = bytes.fromhex(revocation.value).hex() if revocation.kind == "token" else revocation.value
    target = target_of(revocation.kind, revocation.issuer, value)
    return revocation.kind, target, revocation.before, revocation.until


class RevocationList:
    """At most ``max_entries`` entries. Adding one twice, or an older state of it, changes nothing.

    What is there stays, until its time is over. ``beyond`` counts, about, what found no room: see ``add``. ``fullness``
    is told how many there are.
    """

    def __init__(self, max_entries: int, fullness: Fullness | None = None) -> None:
        self._max_entries = max_entries
        self._fullness = fullness
        self._lock = threading.Lock()
        self._size = 0
        self._earliest = inf  # no entry's `until` is before it
        self._pruned_at = -inf
        self._tables: dict[Kind, DigestTable] = {kind: DigestTable() for kind in get_args(Kind)}
        self._tokens, self._jtis = self._tables["token"], self._tables["jti"]
        self._subjects, self._keys, self._issuers = (self._tables[kind] for kind in ("subject", "key", "issuer"))
        self._beyond: BloomFilter | None = None
        self._next: BloomFilter | None = None  # while everything is read again: what will be in its place

    def __len__(self) -> int:
        return self._size

    @property
    def beyond(self) -> int:
        """How many entries a store holds for which there was no room here, about."""
        return 0 if self._beyond is None else len(self._beyond)

    def has_room_for_more(self, share: float) -> bool:
        """Return whether something found no room that may find some now: less than ``share`` of it is taken."""
        return self._beyond is not None and self._size <= share * self._max_entries

    def check(self, **marks: Unpack[Marks]) -> bool:
        """Refuse a token that is revoked in any way.

        Returns:
            Whether it is none of those that were added. False: perhaps of those that found no room; a store knows.

        Raises:
            Revoked: ``token_revoked``, ``jti_revoked``, ``key_revoked``, ``issuer_revoked`` or ``subject_revoked``.
        """
        beyond = self._beyond  # before the tables: what leaves this filter is in a table first
        issuer, jti, kid, issued_at = marks["issuer"], marks["jti"], marks["kid"], marks["issued_at"]
        if self._tokens and self._tokens.find(target_of("token", "", marks["fingerprint"].hex())):
            raise Revoked("This token was revoked: sign in again.", reason="token_revoked")
        if jti is not None and self._jtis and self._jtis.find(target_of("jti", issuer, jti)):
            raise Revoked("This token was revoked by its jti: sign in again.", reason="jti_revoked")
        if kid is not None and self._keys and self._keys.find(_of_few("key", issuer, kid)):
            raise Revoked("The key that signed this token was revoked: get a new token.", reason="key_revoked")
        # Written so that an `iat` that compares with nothing (NaN) refuses the token.
        entry = self._issuers.find(_of_few("issuer", issuer, "")) if self._issuers else None
        if entry is not None and not (issued_at is not None and issued_at > entry[0]):
            raise Revoked("Tokens of this issuer were revoked: get a new one.", reason="issuer_revoked")
        entry = self._subjects.find(target_of("subject", issuer, marks["subject"])) if self._subjects else None
        if entry is not None and not (issued_at is not None and issued_at > entry[0]):
            raise Revoked("This subject's tokens were revoked: sign in again.", reason="subject_revoked")
        return beyond is None or not any(target in beyond for target in targets_of(marks))

    def add(self, revocation: Revocation, *, now: float, elsewhere: bool = False) -> bool:
        """Add an entry, or let it widen one that is there. Return whether anything changed.

        Args:
            revocation: the entry.
            now: epoch seconds.
            elsewhere: a store keeps it as well. Without room it is then noted in a filter: ``check`` returns False
                for whatever it may revoke.

        Raises:
            StoreError: there is no room, also not after forgetting what may be forgotten (``revocations_full``).
        """
        return self.add_entries((entry_of(revocation),), now=now, elsewhere=elsewhere)

    def add_entries(self, entries: Iterable[Entry], *, now: float, elsewhere: bool = True) -> bool:
        """Add several, as ``add``. What is over is left out."""
        with self._lock:
            changed = self._add_entries(entries, now, elsewhere=elsewhere)
        if changed:
            self._tell()
        return changed

    def take_over(self, other: RevocationList) -> None:
        """Add all that stands in another list, also beyond ``max_entries``."""
        with other._lock:
            taken = [(kind, list(table.entries())) for kind, table in other._tables.items()]
        with self._lock:
            for kind, entries in taken:
                for target, before, until in entries:
                    self._size += self._tables[kind].put(target, before, until, has_room=True) == "added"
                    self._earliest = min(self._earliest, until)
        self._tell()

    def prune(self, *, now: float) -> None:
        """Forget the entries whose time is over."""
        with self._lock:
            if self._earliest < now:
                self._prune(now)
        self._tell()

    def begin_again(self) -> None:
        """Expect everything that a store holds: ``end`` then drops from the filter what has found room by then."""
        with self._lock:
            self._next = BloomFilter(_BITS_BEYOND * self._max_entries) if self._beyond is not None else None

    def end(self) -> None:
        """Take note that everything has come."""
        with self._lock:
            if self._next is not None:
                self._beyond, self._next = self._next or None, None

    def renew_lock(self) -> None:
        """Forget who holds the lock, at a fork: it stays in the parent, and so does what was being added."""
        self._lock = threading.Lock()
        self._size = sum(map(len, self._tables.values()))
        if self._fullness is not None:
            self._fullness.renew_lock()

    def _add_entries(self, entries: Iterable[Entry], now: float, *, elsewhere: bool) -> bool:
        tables, most, changed = self._tables, self._max_entries, False
        size, earliest = self._size, self._earliest
        try:
            for kind, target, before, until in entries:
                if until < now:
                    continue
                done = tables[kind].put(target, before, until, has_room=size < most)
                if done == "no room":
                    self._size, self._earliest = size, earliest
                    made_room = self._made_room(now, elsewhere=elsewhere)
                    size, earliest = self._size, self._earliest
                    if made_room:
                        done = tables[kind].put(target, before, until, has_room=True)
                    elif elsewhere:
                        self._note_beyond(target)
                    else:
                        raise StoreError(self._full(), reason="revocations_full")
                if done != "unchanged":
                    changed = True
                    size += done == "added"
                    earliest = min(earliest, until)
        finally:
            self._size, self._earliest = size, earliest
        return changed

    def _full(self) -> str:
        return (
            f"The list of revocations is full ({self._max_entries} entries), so this one was not taken: raise "
            "max_entries, and give until with what need not be kept for ever."
        )

    def _note_beyond(self, target: bytes) -> None:
        if self._beyond is None:
            self._beyond = BloomFilter(_BITS_BEYOND * self._max_entries)
        self._beyond.add(target)
        if self._next is not None:
            self._next.add(target)

    def _tell(self) -> None:
        if self._fullness is not None:
            self._fullness.tell(self._size + self.beyond)

    def _made_room(self, now: float, *, elsewhere: bool) -> bool:
        # To look through all for each that comes would take longer than to ask a store about a few tokens.
        lately = 0 <= now - self._pruned_at < _PRUNE_EVERY_S
        if self._earliest < now and not (elsewhere and lately):
            self._prune(now)
        return self._size < self._max_entries

    def _prune(self, now: float) -> None:
        self._pruned_at, earliest = now, inf
        for table in self._tables.values():
            dropped, first = table.forget(now)
            self._size -= dropped
            earliest = min(earliest, first)
        self._earliest = earliest
