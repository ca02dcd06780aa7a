"""A set that may say yes to what was never added, and never says no to what was: a few bits for each digest."""

from __future__ import annotations

__all__ = ["BloomFilter"]

_SMALLEST_BITS = 8192
_BYTES = 4  # of a digest, for each of two positions


class BloomFilter:
    """A set of SHA-256 digests in at least ``bits`` bits. Additions are made by one thread at a time.

    With 64 bits for each digest it says yes to one stranger in 1000; with 6.4 bits, to one in 14.
    """

    def __init__(self, bits: int) -> None:
        size = 1 << (max(bits, _SMALLEST_BITS) - 1).bit_length()
        self._mask = min(size, 1 << 8 * _BYTES) - 1
        self._bits = bytearray((self._mask + 1) // 8)
        self._count = 0

    def __len__(self) -> int:
        """Return how many were added, about."""
        return self._count

    def add(self, digest: bytes) -> None:
        bits, is_new = self._bits, False
        for position in self._positions(digest):
            byte, bit = position >> 3, 1 << (position & 7)
            is_new |= not bits[byte] & bit
            bits[byte] |= bit
        self._count += is_new

    def __contains__(self, digest: bytes) -> bool:
        bits = self._bits
        return all(bits[position >> 3] & 1 << (position & 7) for position in self._positions(digest))

    def _positions(self, digest: bytes) -> tuple[int, int]:
        # The end of the digest: its beginning is what `DigestTable` keeps.
        last, mask = len(digest), self._mask
        return (
            int.from_bytes(digest[last - _BYTES :]) & mask,
            int.from_bytes(digest[last - 2 * _BYTES : last - _BYTES]) & mask,
        )
