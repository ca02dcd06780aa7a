"""For how long an answer of the store stands: what was refused, and which keys were imported."""

from __future__ import annotations

import pytest

from doorward.errors import StoreError
from doorward.guard.api_keys.format import Pepper, digest_foreign_key
from doorward.guard.api_keys.lookup import KeyLookup
from doorward.guard.api_keys.memory_store import MemoryKeyStore
from doorward.guard.work import finish
from doorward.model import Secret

NOW = 1_800_000_000.0
PEPPER = Pepper(Secret("p" * 32))
FOREIGN = digest_foreign_key("abcdefgh", PEPPER)


class Asked(MemoryKeyStore):
    """A store that notes what it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.broken = False

    def find(self, key_id):
        self.asked.append(key_id)
        return super().find(key_id)

    def imported_ids(self):
        self.asked.append("imported")
        if self.broken:
            raise StoreError("gone")
        return frozenset({FOREIGN.key_id})


@pytest.fixture
def store():
    return Asked()


@pytest.fixture
def lookup(store):
    made = KeyLookup(store)
    yield made
    made.close()


def is_asked(store, lookup, key_id, *, at):
    store.asked.clear()
    finish(lookup.find(key_id, at))
    return store.asked == [key_id]


@pytest.mark.parametrize(
    ("after_s", "asked"),
    [(0, False), (4.9, False), (5, True), (-0.1, True), (-1000, True)],  # a clock may be set back
)
def test_what_was_refused_is_asked_anew_after_five_seconds(store, lookup, after_s, asked):
    lookup.remember_refused("id", None, NOW)
    assert is_asked(store, lookup, "id", at=NOW + after_s) == asked
    assert is_asked(store, lookup, "another", at=NOW)


def test_who_keeps_sending_it_does_not_put_that_off(store, lookup):
    for after_s in range(5):
        lookup.remember_refused("id", None, NOW + after_s)
    assert is_asked(store, lookup, "id", at=NOW + 5)
    lookup.remember_refused("id", None, NOW + 5)
    assert not is_asked(store, lookup, "id", at=NOW + 9)


def test_a_clock_that_was_set_back_begins_anew(store, lookup):
    lookup.remember_refused("id", None, NOW)
    lookup.remember_refused("id", None, NOW - 1000)
    assert not is_asked(store, lookup, "id", at=NOW - 999)
    assert is_asked(store, lookup, "id", at=NOW - 995)


def test_few_refusals_are_remembered_the_newest(store, lookup):
    for number in range(3000):
        lookup.remember_refused(str(number), None, NOW)
    asked = [is_asked(store, lookup, str(number), at=NOW) for number in range(3000)]
    assert asked.count(False) == 1000
    assert not any(asked[2000:])


def test_which_keys_were_imported_is_asked_each_half_minute_and_outlasts_an_outage_of_ten(store, lookup):
    assert lookup.as_imported("abcdefgh", [PEPPER]) is None
    finish(lookup.read_imported(NOW))
    assert lookup.as_imported("abcdefgh", [PEPPER]) == FOREIGN
    assert lookup.fresh_until == NOW + 30
    store.broken = True
    finish(lookup.read_imported(NOW + 30))
    assert lookup.fresh_until == NOW + 35, "asked again soon, and not by each request"
    finish(lookup.read_imported(NOW + 599))
    with pytest.raises(StoreError):
        finish(lookup.read_imported(NOW + 600))


def test_what_was_changed_is_asked_anew_at_once(store, lookup):
    finish(lookup.read_imported(NOW))
    lookup.remember_refused("id", None, NOW)
    lookup.forget()
    assert is_asked(store, lookup, "id", at=NOW)
    assert lookup.fresh_until <= NOW
    store.broken = True
    with pytest.raises(StoreError):
        finish(lookup.read_imported(NOW))
