"""Digests and two instants for each, in 32 bytes an entry: what a million revocations fit in. No names are here.

Entries stand one after another in buckets by the first two bytes of their digest. Whoever looks one up holds no lock:
a bucket only grows, an entry is changed in place by one call, and what forgets makes new buckets.
"""

from __future__ import annotations

from math import inf
from struct import Struct
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DigestTable", "Put"]

Put: TypeAlias = Literal["added", "widened", "unchanged", "no room"]

_DIGEST_BYTES = 16  # of SHA-256: nobody finds a second text for one, and by chance there is none
_BUCKET_BYTES = 2
_entry = Struct("<16sdd")
_ENTRY_BYTES = _entry.size
_instants = Struct("<dd")


class DigestTable:
    """Two instants for each digest, of which the first 16 bytes count. Changes are made by one thread at a time."""

    def __init__(self) -> None:
        self._buckets: dict[bytes, bytearray] = {}

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values())) // _ENTRY_BYTES

    def find(self, digest: bytes) -> tuple[float, float] | None:
        """Return the instants of a digest, None where it is not there."""
        bucket = self._buckets.get(digest[:_BUCKET_BYTES])
        if bucket is None:
            return None
        at = _place(bucket, digest[:_DIGEST_BYTES])
        return None if at < 0 else _instants.unpack_from(bucket, at + _DIGEST_BYTES)

    def put(self, digest: bytes, first: float, second: float, *, has_room: bool) -> Put:
        """Add a digest, where there is room, or raise its instants."""
        key, head = digest[:_DIGEST_BYTES], digest[:_BUCKET_BYTES]
        bucket = self._buckets.get(head)
        at = -1 if bucket is None else bucket.find(key)
        if at > 0 and at % _ENTRY_BYTES and bucket is not None:
            at = _place(bucket, key)
        if at >= 0 and bucket is not None:
            known = _instants.unpack_from(bucket, at + _DIGEST_BYTES)
            if known[0] >= first and known[1] >= second:
                return "unchanged"
            _instants.pack_into(bucket, at + _DIGEST_BYTES, max(known[0], first), max(known[1], second))
            return "widened"
        if not has_room:
            return "no room"
        if bucket is None:
            self._buckets[head] = bytearray(_entry.pack(key, first, second))
        else:
            bucket += _entry.pack(key, first, second)
        return "added"

    def entries(self) -> Iterator[tuple[bytes, float, float]]:
        """Return all of them, with digests of 16 bytes."""
        for bucket in self._buckets.values():
            yield from _entry.iter_unpack(bucket)

    def forget(self, now: float) -> tuple[int, float]:
        """Drop the entries whose second instant is before ``now``. Return how many, and the first that is left."""
        dropped, earliest = 0, inf
        for key, bucket in list(self._buckets.items()):
            instants = [second for _, _, second in _entry.iter_unpack(bucket)]
            first = min(instants)
            if first < now:
                left = [each for each in _entry.iter_unpack(bucket) if not each[2] < now]
                dropped += len(instants) - len(left)
                if not left:
                    del self._buckets[key]
                    continue
                self._buckets[key] = bytearray().join(_entry.pack(*each) for each in left)
                first = min(second for _, _, second in left)
            earliest = min(earliest, first)
        return dropped, earliest


def _place(bucket: bytearray, digest: bytes) -> int:
    at = bucket.find(digest)
    while at >= 0 and at % _ENTRY_BYTES:  # across two entries, or within instants
        at = bucket.find(digest, at + 1)
    return at
