"""What every store of API keys does: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import sqlalchemy as sa

from doorward.errors import ConfigurationError, Expired, Revoked, StoreError, UnknownApiKey
from doorward.guard.api_keys.api_key import ApiKey, StoredKey
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.memory_store import MemoryKeyStore
from doorward.guard.api_keys.peppers import generate_pepper
from doorward.guard.api_keys.sql_store import SqlKeyStore
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.guard.stores.schema import api_keys
from doorward.guard.work import afinish, finish

NOW = 1_800_000_000.0
INJECTION = "x'; DROP TABLE doorward_api_keys; --"


class StoppedClock:
    at = NOW

    def now(self):
        return self.at


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def key_store(request, tmp_path):
    if request.param == "memory":
        store = MemoryKeyStore()
    elif request.param == "sqlite":
        store = SqlKeyStore(open_database(sqlite_url(tmp_path / "keys.db")))
    else:
        store = SqlKeyStore(open_database(request.getfixturevalue("postgresql")))
    yield store
    store.close()


@pytest.fixture
def clock():
    return StoppedClock()


@pytest.fixture
def keys(key_store, clock):
    made = ApiKeys(key_store, pepper=generate_pepper(), clock=clock)
    yield made
    made.close()


def record(name="bot", key_id="id1", **fields):
    return StoredKey(ApiKey(key_id, name, created_at=NOW, pepper_id="p", **fields), "d" * 48)


def test_a_key_comes_back_as_it_was_kept(key_store):
    whole = record(
        scopes=("read", "a:b/*"),
        groups=("eng", "naïve ☂"),
        may_delegate=True,
        created_by="root",
        expires_at=NOW + 0.25,
        imported=True,
    )
    assert key_store.add([whole]) is None
    assert key_store.find("id1") == whole
    assert key_store.page() == (whole.key,)
    assert key_store.imported_ids() == {"id1"}
    assert key_store.find("id2") is None


def test_the_digest_is_not_shown(key_store):
    key_store.add([record()])
    assert "ddd" not in repr(key_store.find("id1")) + repr(key_store)


@pytest.mark.parametrize("field", ["key_id", "name", "created_by"])
def test_values_are_never_part_of_a_statement(field, key_store):
    key_store.add([record(name="other", key_id="id0")])
    odd = dataclasses.replace(record().key, **{field: INJECTION}, scopes=(INJECTION,))
    assert key_store.add([StoredKey(odd, "d" * 48)]) is None
    assert key_store.find(odd.key_id).key == odd
    key_store.touch({odd.key_id: NOW})
    key_store.revoke(odd.key_id, at=NOW, by=INJECTION)
    assert key_store.find(odd.key_id).key.revoked_by == INJECTION
    assert len(key_store.page()) == 2


def test_several_are_added_all_or_none(key_store):
    assert key_store.add([record()]) is None
    assert key_store.add([record("new", "id2"), record("bot", "id3")]) == "bot"
    assert key_store.add([record("new", "id2"), record("other", "id1")]) == "id1"
    assert key_store.add([record("twin", "id4"), record("twin", "id5")]) == "twin"
    assert [key.key_id for key in key_store.page()] == ["id1"]


def test_a_name_is_free_again_after_revocation(key_store):
    key_store.add([record()])
    key_store.revoke("id1", at=NOW, by="root")
    assert key_store.add([record(key_id="id2")]) is None
    assert key_store.add([record(key_id="id1", name="other")]) == "id1"


def test_a_key_is_replaced_once(key_store):
    key_store.add([record()])
    assert key_store.replace("id1", record(key_id="id2"), expires_at=NOW + 5)
    assert not key_store.replace("id1", record(key_id="id3"), expires_at=NOW + 5)
    old, new = key_store.page()
    assert (old.replaced_by, old.expires_at, old.is_current) == ("id2", NOW + 5, False)
    assert new.is_current
    assert key_store.add([record(key_id="id4")]) == "bot"


def test_the_first_revocation_counts(key_store):
    key_store.add([record()])
    key_store.revoke("id1", at=NOW, by="first")
    key_store.revoke("id1", at=NOW + 1, by="second")
    assert (key_store.find("id1").key.revoked_at, key_store.find("id1").key.revoked_by) == (NOW, "first")


def test_last_used_only_grows_and_makes_no_key(key_store):
    key_store.add([record()])
    key_store.touch({"id1": NOW + 2, "nobody": NOW})
    key_store.touch({"id1": NOW + 1})
    assert [key.last_used_at for key in key_store.page()] == [NOW + 2]


def test_two_that_make_one_name_at_once_make_one_key(key_store):
    start = threading.Barrier(4)
    answers = []

    def add(number):
        start.wait(10)
        answers.append(key_store.add([record(key_id=f"id{number}")]))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers, key=str) == [None, "bot", "bot", "bot"]
    assert len(key_store.page()) == 1


def test_life_of_a_key(keys, clock):
    secret, made = keys.create("bot", scopes=["read"], groups=["eng"], may_delegate=True, created_by="root")
    found = finish(keys.check(secret.reveal(), now=NOW))
    assert found == made
    assert (found.scopes, found.groups, found.may_delegate, found.created_by) == (("read",), ("eng",), True, "root")

    clock.at += 100
    newer_secret, newer = keys.rotate("bot", overlap_s=50, by="op")
    assert (newer.scopes, newer.groups, newer.may_delegate) == (("read",), ("eng",), True)
    assert newer.key_id != made.key_id
    assert finish(keys.check(secret.reveal(), now=clock.at + 49)).replaced_by == newer.key_id
    with pytest.raises(Expired) as caught:
        finish(keys.check(secret.reveal(), now=clock.at + 50))
    assert caught.value.reason == "key_replaced"
    assert finish(keys.check(newer_secret.reveal(), now=clock.at + 50)) == newer

    assert {key.key_id for key in keys.revoke("bot", by="op")} == {made.key_id, newer.key_id}
    with pytest.raises(Revoked) as refused:
        finish(keys.check(newer_secret.reveal(), now=clock.at))
    assert refused.value.reason == "key_revoked"
    assert keys.list() == ()
    assert [key.revoked_by for key in keys.list(ended=True)] == ["op", "op"]
    assert keys.version == 3


def test_rotation_without_overlap_ends_the_old_key_now(keys):
    secret, _ = keys.create("bot")
    keys.rotate("bot", overlap_s=0)
    with pytest.raises(Expired):
        finish(keys.check(secret.reveal(), now=NOW))


def test_a_successor_lives_as_long_and_the_overlap_prolongs_nothing(keys, clock):
    keys.create("bot", expires_at=NOW + 1000)
    clock.at += 900
    _, newer = keys.rotate("bot", overlap_s=500)
    assert newer.expires_at == clock.at + 1000
    assert keys.list()[0].expires_at == NOW + 1000


def test_a_key_ends_when_it_was_said_to(keys):
    secret, _ = keys.create("bot", expires_at=NOW + 10)
    assert finish(keys.check(secret.reveal(), now=NOW + 9.9))
    with pytest.raises(Expired) as caught:
        finish(keys.check(secret.reveal(), now=NOW + 10))
    assert caught.value.reason == "key_expired"


def test_a_key_with_the_secret_of_another_is_refused(keys, key_store):
    mine, one = keys.create("one")
    _, two = keys.create("two")
    swapped = mine.reveal().replace(one.key_id, two.key_id)
    with pytest.raises(UnknownApiKey):
        finish(keys.check(swapped, now=NOW))
    # Even one whose checksum holds is compared with the digest of its own id.
    digest = key_store.find(two.key_id).digest
    key_store.revoke(one.key_id, at=NOW, by="")
    key_store.replace(two.key_id, StoredKey(dataclasses.replace(two, key_id="three"), digest), expires_at=NOW)
    with pytest.raises(Revoked):
        finish(keys.check(mine.reveal(), now=NOW))


def test_imported_keys_go_on_working(keys):
    entries = [
        {"name": "old", "key": "abcdefgh", "scopes": ["read"], "expires_at": "2030-01-01T00:00:00Z"},
        {"name": "older", "key": "/+zzzzzzzz=="},
    ]
    first, _ = keys.import_keys(entries, by="root")
    assert finish(keys.is_ours("abcdefgh", now=NOW))
    found = finish(keys.check("abcdefgh", now=NOW))
    assert found == first
    assert (found.scopes, found.imported) == (("read",), True)
    assert finish(keys.check(entries[1]["key"], now=NOW)).name == "older"
    assert not finish(keys.is_ours("abcdefgi", now=NOW))
    with pytest.raises(UnknownApiKey):
        finish(keys.check("abcdefgi", now=NOW))

    keys.revoke(first.key_id)
    with pytest.raises(Revoked):
        finish(keys.check("abcdefgh", now=NOW))
    with pytest.raises(ConfigurationError) as caught:  # what was revoked does not come back under another name
        keys.import_keys([{"name": "new", "key": "abcdefgh"}])
    assert caught.value.reason == "name_taken"


def test_last_used_is_written_when_closed(key_store, clock):
    keys = ApiKeys(key_store, pepper=generate_pepper(), clock=clock)
    secret, made = keys.create("bot")
    for second in range(5):
        finish(keys.check(secret.reveal(), now=NOW + second))
    assert key_store.find(made.key_id).key.last_used_at is None
    keys._last_used.flush()  # noqa: SLF001 - closing would close the store, which is looked at
    assert key_store.find(made.key_id).key.last_used_at == NOW + 4
    keys.close()


async def test_a_key_is_checked_in_a_task_too(keys):
    secret, made = keys.create("bot")
    assert await afinish(keys.check(secret.reveal(), now=NOW)) == made


@pytest.mark.parametrize(
    ("column", "value"),
    [("digest", "\u00e9" * 48), ("scopes", "7"), ("groups", '"admin"'), ("scopes", "[")],
)
def test_an_entry_that_somebody_damaged_is_an_outage(column, value, tmp_path):
    database = open_database(sqlite_url(tmp_path / "keys.db"))
    keys = ApiKeys(SqlKeyStore(database), pepper=generate_pepper())
    secret, _ = keys.create("bot")
    with database.writing() as connection:
        connection.execute(sa.update(api_keys).values({column: value}))
    with pytest.raises(StoreError) as caught:
        finish(keys.check(secret.reveal(), now=NOW))
    assert caught.value.reason == "entry_damaged"
    keys.close()


def test_an_end_that_is_no_instant_is_an_outage(tmp_path):
    database = open_database(sqlite_url(tmp_path / "keys.db"))
    keys = ApiKeys(SqlKeyStore(database), pepper=generate_pepper())
    secret, _ = keys.create("bot")
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE doorward_api_keys SET expires_at = 'never'")
    with pytest.raises(StoreError):
        finish(keys.check(secret.reveal(), now=NOW))
    keys.close()
