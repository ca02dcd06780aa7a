"""What the issuer remembers is bounded, and holds no token in clear."""

from __future__ import annotations

from doorward.testing.provider.store import BoundedMap, digest


def test_a_full_map_forgets_its_oldest_entry():
    entries: BoundedMap[int] = BoundedMap(2)
    for number in range(3):
        entries.put(str(number), number)
    assert list(entries) == [1, 2]
    assert len(entries) == 2
    assert entries.get("0") is None
    assert entries.pop("1") == 1
    assert entries.pop("1") is None
    entries.clear()
    assert not list(entries)


def test_any_text_has_a_digest():
    assert digest("token") != digest("Token")
    assert digest("\udcff")
