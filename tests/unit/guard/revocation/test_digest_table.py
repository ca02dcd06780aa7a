"""What the compact table says is what a dictionary would say, also of digests that look like parts of others."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from doorward.guard.revocation.digest_table import DigestTable

# Few bytes, so that buckets are shared, and one entry's end with the next one's beginning reads like a third.
digests = st.lists(st.sampled_from([0, 1]), min_size=14, max_size=14).map(lambda tail: bytes([0, 0, *tail]))
instants = st.sampled_from([0.0, 1.0, 2.0, 5e-324, inf])


@given(st.lists(st.tuples(digests, instants, instants), max_size=40), st.sampled_from([0.0, 1.5, 3.0]), digests)
def test_like_a_dictionary(puts, now, stranger):
    table, plain = DigestTable(), {}
    for digest, first, second in puts:
        known = plain.get(digest)
        wider = (first, second) if known is None else (max(known[0], first), max(known[1], second))
        expected = "added" if known is None else "unchanged" if wider == known else "widened"
        assert table.put(digest, first, second, has_room=True) == expected
        plain[digest] = wider
    assert {digest: table.find(digest) for digest in plain} == plain
    assert table.find(stranger) == plain.get(stranger)
    assert sorted(table.entries()) == sorted((digest, *both) for digest, both in plain.items())
    assert (len(table), bool(table)) == (len(plain), bool(plain))
    left = {digest: both for digest, both in plain.items() if not both[1] < now}
    earliest = min((second for _, second in left.values()), default=inf)
    assert table.forget(now) == (len(plain) - len(left), earliest)
    assert {digest: table.find(digest) for digest in plain} == {digest: left.get(digest) for digest in plain}
    assert len(table) == len(left)


def test_across_two_entries_is_no_entry():
    """The end of one entry and the beginning of the next read like a digest: that must not revoke a stranger."""
    table = DigestTable()
    table.put(bytes(16), 0.0, 0.0, has_room=True)  # a digest of zeros and instants of zeros
    table.put(bytes(15) + b"\1", 0.0, 0.0, has_room=True)
    assert table.find(bytes(14) + b"\1\0") is None
    assert table.put(bytes(14) + b"\1\0", 1.0, 2.0, has_room=True) == "added"
    assert table.find(bytes(15) + b"\1") == (0.0, 0.0)


def test_without_room_what_is_there_can_be_widened():
    table = DigestTable()
    assert table.put(b"a" * 32, 1.0, 2.0, has_room=False) == "no room"
    assert not table
    table.put(b"a" * 32, 1.0, 2.0, has_room=True)
    assert table.put(b"a" * 32, 0.0, 3.0, has_room=False) == "widened"
    assert table.find(b"a" * 16 + b"what comes after does not count") == (1.0, 3.0)
