"""A filter never says no to what was added, and seldom yes to what was not."""

from __future__ import annotations

from hashlib import sha256

import pytest

from doorward.guard.revocation.bloom_filter import BloomFilter


@pytest.mark.parametrize(("bits", "most_strangers"), [(64_000, 0.005), (6400, 0.12), (1, 0.12)])
def test_of_a_thousand(bits, most_strangers):
    digests = [sha256(str(number).encode()).digest() for number in range(11_000)]
    bloom = BloomFilter(bits)
    for digest in digests[:1000]:
        bloom.add(digest)
    assert all(digest in bloom for digest in digests[:1000])
    assert sum(digest in bloom for digest in digests[1000:]) <= 10_000 * most_strangers
    assert 0.8 < len(bloom) / 1000 <= 1


def test_what_is_added_again_is_not_counted_again():
    bloom = BloomFilter(64)
    assert len(bloom) == 0
    for _ in range(3):
        bloom.add(bytes(range(32)))
    assert len(bloom) == 1


def test_what_has_one_place_for_two_counts_too():
    """A filter that counts nothing is taken for an empty one, and is dropped."""
    kept = BloomFilter(0)
    kept.add(bytes(32))
    assert (len(kept), bytes(32) in kept) == (1, True)
    kept.add(bytes(32))
    assert len(kept) == 1
