"""What a full list remembers of what found no room in it, while everything is read again."""

from __future__ import annotations

from math import inf

import pytest

from doorward.errors import Revoked
from doorward.guard.revocation.revocation_list import Revocation, RevocationList, entry_of

ISSUER, NOW = "https://id.example.org", 1_800_000_000.0
MARKS = {"issuer": ISSUER, "subject": "s", "issued_at": NOW, "kid": "k", "fingerprint": b"f"}


def entry(number, until=inf):
    return entry_of(Revocation("jti", ISSUER, f"j{number}", inf, until, NOW))


def is_good(entries, number):
    """Whether a token is good; False where it is revoked, or a store has to be asked."""
    try:
        return entries.check(**MARKS, jti=f"j{number}")
    except Revoked:
        return False


@pytest.fixture
def full():
    entries = RevocationList(1)
    entries.add_entries([entry(0, until=NOW + 9), entry(1), entry(2)], now=NOW)
    assert not any(is_good(entries, number) for number in range(3))
    assert entries.beyond == 2
    return entries


def test_what_finds_no_room_again_is_still_asked_about(full):
    full.begin_again()
    full.add_entries([entry(1), entry(2)], now=NOW)
    assert not any(is_good(full, number) for number in range(3))
    full.end()
    assert not any(is_good(full, number) for number in range(3))
    assert is_good(full, 3)


def test_what_came_meanwhile_is_too(full):
    full.begin_again()
    full.add(Revocation("jti", ISSUER, "j3", inf, inf, NOW), now=NOW, elsewhere=True)
    full.end()
    assert not is_good(full, 3)


def test_what_has_found_room_is_asked_about_no_more(full):
    full.begin_again()
    full.add_entries([entry(1)], now=NOW + 10)
    full.end()
    assert full.beyond == 0
    assert not is_good(full, 1)
    assert [is_good(full, number) for number in (0, 2)] == [True, True]
