"""What every store of API keys does: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from doorward.errors import ConfigurationError, Expired, Revoked, StoreError, UnknownApiKey
from doorward.guard.api_keys.api_key import ApiKey, StoredKey
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.memory_store import MemoryKeyStore
from doorward.guard.api_keys.peppers import generate_pepper
from doorward.guard.api_keys.sql_store import SqlKeyStore
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.guard.stores.schema import INDEXES, MIGRATIONS, api_keys, schema
from doorward.guard.work import afinish, finish

NOW = 1_800_000_000.0
INJECTION = "x'; DROP TABLE doorward_api_keys; --"


class StoppedClock:
    at = NOW

    def now(self):
        return self.at


@pytest.fixture(
    params=["memory", "sqlite", *(pytest.param(each, marks=pytest.mark.peer) for each in ("postgresql", "pooled"))]
)
def key_store(request, tmp_path):
    if request.param == "memory":
        store = MemoryKeyStore()
    elif request.param == "sqlite":
        store = SqlKeyStore(open_database(sqlite_url(tmp_path / "keys.db")))
    else:
        store = SqlKeyStore(open_database(request.getfixturevalue(request.param)))
    yield store
    store.close()


@pytest.fixture
def older(database_url, monkeypatch):
    """A database as it was made before there were indexes by name, by a program that knows none."""
    with monkeypatch.context() as patch:
        patch.setattr("doorward.guard.stores.sql.INDEXES", {})
        database = open_database(database_url)
        with database.reading():
            pass
    database.make_indexes = lambda: None
    yield database
    database.close()


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
    assert key_store.page() == (whole,)
    assert key_store.imported_ids() == {"id1"}
    assert key_store.find("id2") is None


def replaced(store, key_id, stored, *, expires_at, by=None):
    old = store.find(key_id)
    ended = dataclasses.replace(old.key, replaced_by=stored.key.key_id, expires_at=expires_at)
    return (by or store).replace(dataclasses.replace(old, key=ended, seal="s"), stored)


def dated(created_at, name="bot", key_id="id1"):
    stored = record(name, key_id)
    return dataclasses.replace(stored, key=dataclasses.replace(stored.key, created_at=created_at))


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
    assert [each.key.key_id for each in key_store.page()] == ["id1"]


def test_a_name_is_free_again_after_revocation(key_store):
    key_store.add([record()])
    key_store.revoke("id1", at=NOW, by="root")
    assert key_store.add([record(key_id="id2")]) is None
    assert key_store.add([record(key_id="id1", name="other")]) == "id1"


def test_a_key_is_replaced_once(key_store):
    key_store.add([record()])
    assert replaced(key_store, "id1", record(key_id="id2"), expires_at=NOW + 5)
    assert not replaced(key_store, "id1", record(key_id="id3"), expires_at=NOW + 5)
    old, new = (each.key for each in key_store.page())
    assert (old.replaced_by, old.expires_at, old.is_current) == ("id2", NOW + 5, False)
    assert new.is_current
    assert key_store.add([record(key_id="id4")]) == "bot"


def test_the_current_key_of_a_name_is_found_else_the_one_made_last(key_store):
    assert key_store.find_named("bot") is None
    key_store.add([record(), record("other", "id0")])
    replaced(key_store, "id1", dated(NOW - 9, key_id="id2"), expires_at=NOW + 5)  # by a clock that was set back
    assert key_store.find_named("bot").key.key_id == "id2"
    key_store.revoke("bot", at=NOW, by="")
    assert key_store.find_named("bot").key.key_id == "id1"
    key_store.add([dated(NOW + 1, key_id="id3")])
    key_store.revoke("id3", at=NOW, by="")
    assert key_store.find_named("bot").key.key_id == "id3"
    assert key_store.find_named("id3") is None


def test_a_name_is_revoked_with_all_its_keys(key_store):
    key_store.add([record(), record("other", "id9")])
    replaced(key_store, "id1", record(key_id="id2", expires_at=NOW + 99), expires_at=NOW + 5)
    replaced(key_store, "id2", record(key_id="id3"), expires_at=NOW + 50)
    ended = key_store.revoke("bot", at=NOW + 5, by="root")
    assert sorted(key.key_id for key in ended) == ["id2", "id3"], "id1 was over"
    assert {(key.revoked_at, key.revoked_by) for key in ended} == {(NOW + 5, "root")}
    assert [key_store.find(f"id{number}").key.revoked_at for number in (1, 2, 3, 9)] == [NOW + 5] * 3 + [None]
    assert not key_store.find_named("bot").key.is_current
    assert key_store.revoke("bot", at=NOW + 6, by="root") == ()
    assert key_store.revoke("nobody", at=NOW, by="root") is None


def test_a_key_is_revoked_by_its_id_alone(key_store):
    key_store.add([record()])
    replaced(key_store, "id1", record(key_id="id2"), expires_at=NOW + 5)
    assert [key.key_id for key in key_store.revoke("id1", at=NOW, by="")] == ["id1"]
    assert key_store.find_named("bot").key.is_current
    assert key_store.revoke("id1", at=NOW, by="") == ()


def test_a_key_can_not_hide_behind_the_name_of_another(key_store):
    key_store.add([record(), record("id1", "id2")])
    assert {key.key_id for key in key_store.revoke("id1", at=NOW, by="")} == {"id1", "id2"}


def test_a_name_with_more_than_a_thousand_keys_is_revoked_and_those_that_were_good_are_told(key_store):
    key_store.add([record(key_id="0")])
    for number in range(1200):
        over = NOW - 1 if number < 1198 else NOW + 1
        assert replaced(key_store, str(number), record(key_id=str(number + 1)), expires_at=over)
    ended = key_store.revoke("bot", at=NOW, by="root")
    assert sorted(int(key.key_id) for key in ended) == [1198, 1199, 1200]
    assert all(key_store.find(str(number)).key.revoked_at == NOW for number in range(1201))


def test_no_key_of_a_rotation_under_way_outlives_the_revocation_of_its_name(keys, key_store):
    keys.create("bot")

    def rotate():
        while True:
            try:
                keys.rotate("bot")
            except ConfigurationError:
                if not key_store.find_named("bot").key.is_current:
                    return

    with ThreadPoolExecutor(3) as pool:
        rotating = [pool.submit(rotate) for _ in range(3)]
        while len(keys.list()) < 10:
            time.sleep(0.001)
        keys.revoke("bot")
        for each in rotating:
            each.result(60)
    assert keys.list() == ()


def test_all_keys_come_page_by_page_the_oldest_first(key_store):
    made = [dated(NOW + number // 7, f"bot{number}", f"id{number:04}") for number in range(2500)]
    assert key_store.add(made[::-1]) is None
    pages, after = [], ()
    while page := key_store.page(*after):
        pages.append(page)
        after = [page[-1].key]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert [each for page in pages for each in page] == made


def test_a_store_says_whether_it_ever_held_a_key(key_store):
    assert key_store.is_empty()
    key_store.add([record()])
    key_store.revoke("id1", at=NOW, by="")
    assert not key_store.is_empty()


def test_the_first_revocation_counts(key_store):
    key_store.add([record()])
    key_store.revoke("id1", at=NOW, by="first")
    key_store.revoke("id1", at=NOW + 1, by="second")
    assert (key_store.find("id1").key.revoked_at, key_store.find("id1").key.revoked_by) == (NOW, "first")


def test_last_used_only_grows_and_makes_no_key(key_store):
    key_store.add([record()])
    key_store.touch({"id1": NOW + 2, "nobody": NOW})
    key_store.touch({"id1": NOW + 1})
    assert [each.key.last_used_at for each in key_store.page()] == [NOW + 2]


def test_a_seal_is_kept_where_there_is_none_and_nothing_was_revoked(key_store):
    key_store.add([record(), record("other", "id2")])
    sealed = dataclasses.replace(record(), seal="s")
    assert key_store.seal(sealed)
    assert not key_store.seal(dataclasses.replace(sealed, seal="t"))
    assert key_store.find("id1") == sealed
    for key_id in ("id1", "id2"):
        key_store.revoke(key_id, at=NOW, by="")
        assert key_store.find(key_id).seal == ""
        assert not key_store.seal(dataclasses.replace(record(key_id=key_id), seal="s"))
    assert not key_store.seal(dataclasses.replace(record(key_id="nobody"), seal="s"))


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
    replaced(key_store, two.key_id, StoredKey(dataclasses.replace(two, key_id="three"), digest), expires_at=NOW)
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


def test_a_damaged_entry_can_be_revoked(database_url):
    database = open_database(database_url)
    keys = ApiKeys(SqlKeyStore(database), pepper=generate_pepper())
    secret, made = keys.create("bot")
    with database.writing() as connection:
        connection.execute(sa.update(api_keys).values(scopes="["))
    assert keys.revoke("bot") == ()
    with database.writing() as connection:
        connection.execute(sa.update(api_keys).values(scopes="[]"))
    assert keys.show(made.key_id).revoked_at is not None
    with pytest.raises(Revoked):
        finish(keys.check(secret.reveal(), now=NOW))
    keys.close()


class HeldDatabase:
    """A database that holds on before it commits."""

    def __init__(self, database):
        self._database = database
        self.reached, self.go_on = threading.Event(), threading.Event()

    @contextmanager
    def writing(self):
        with self._database.writing() as connection:
            yield connection
            self.reached.set()
            assert self.go_on.wait(30)


@pytest.mark.peer
@pytest.mark.parametrize("with_old_revoked", [False, True])
def test_a_revocation_waits_for_a_rotation_and_ends_what_it_made(with_old_revoked, postgresql):
    database, other = open_database(postgresql, timeout_s=20), open_database(postgresql, timeout_s=20)
    store, held = SqlKeyStore(database), HeldDatabase(other)
    store.add([record()])
    with ThreadPoolExecutor(3) as pool:
        rotated = pool.submit(replaced, store, "id1", record(key_id="id2"), expires_at=NOW + 5, by=SqlKeyStore(held))
        assert held.reached.wait(30)
        revoked = []
        for what in ["id1", "bot"] if with_old_revoked else ["bot"]:
            revoked.append(pool.submit(store.revoke, what, at=NOW, by="root"))
            wait_for_waiters(database, len(revoked))
        held.go_on.set()
        assert rotated.result(30)
        assert all(each.result(30) is not None for each in revoked)
    assert [each.key.revoked_at for each in store.page()] == [NOW] * 2
    store.close()
    other.close()


def wait_for_waiters(database, count):
    give_up_at = time.monotonic() + 30
    while True:
        with database.reading() as connection:
            waiting = connection.execute(sa.text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")).scalar()
        if waiting >= count:
            return
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


MANY_MORE = """
INSERT INTO doorward_api_keys
WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
SELECT 'id' || CAST(n AS TEXT), digest, pepper_id, 'bot' || CAST(n AS TEXT), is_current, is_imported, scopes, groups,
    may_delegate, created_at + n, created_by, expires_at, revoked_at, revoked_by, replaced_by, last_used_at, seal
FROM numbers, doorward_api_keys
"""


def test_more_imported_keys_than_fit_into_memory_are_told(database_url, monkeypatch):
    monkeypatch.setattr("doorward.guard.api_keys.sql_store._MOST_IMPORTED", 1)
    store = SqlKeyStore(open_database(database_url, timeout_s=30))
    store.add([record("one", "id1", imported=True)])
    assert store.imported_ids() == {"id1"}
    store.add([record("two", "id2", imported=True)])
    with pytest.raises(StoreError) as caught:
        store.imported_ids()
    assert caught.value.reason == "too_many_imported"
    store.close()


def test_every_question_is_answered_by_an_index(database_url):
    database = open_database(database_url, timeout_s=30)
    store = SqlKeyStore(database)
    store.add([record()])
    with database.writing() as connection:
        connection.execute(sa.text(MANY_MORE))
        connection.execute(sa.text("ANALYZE"))
        connection.execute(sa.text("UPDATE doorward_api_keys SET is_imported = 1 WHERE key_id = 'id7'"))
    with asked(database) as statements:
        store.find("id1")
        store.imported_ids()
        store.find_named("bot5000")
        store.page()
        store.page(store.find("id9").key)
        store.add([record("new", "new")])
        replaced(store, "new", record("new", "newer"), expires_at=NOW)
        store.revoke("new", at=NOW, by="")
        store.touch({"id1": NOW})
    assert len(statements) >= 12
    with database.reading() as connection:
        for statement, values in statements:
            plan = planned(connection, statement, values)
            assert "Seq Scan" not in plan, (statement, plan)
            assert all("USING" in line for line in plan.splitlines() if line.startswith("SCAN")), (statement, plan)
            if "revoked_at IS NULL ORDER BY" not in statement:  # sorts a name's own, or uses the index's order
                assert not re.search("TEMP B-TREE|Sort", plan), (statement, plan)
    store.close()


@contextmanager
def asked(database):
    """Collect what is said to a database about keys, but for what only adds."""
    statements = []

    def note(_connection, _cursor, statement, values, _context, many):
        if "doorward_api_keys" in statement and not statement.startswith("INSERT"):
            statements.append((statement, values[0] if many else values))

    with database.reading() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def planned(connection, statement, values):
    explain = "EXPLAIN " if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    return "\n".join(row[-1] for row in connection.exec_driver_sql(explain + statement, values))


def index_names(database):
    with database.reading() as connection:
        return {each["name"] for each in sa.inspect(connection).get_indexes(api_keys.name)}


def test_an_older_database_gets_its_indexes_when_keys_are_managed(older, database_url):
    SqlKeyStore(older).add([record(), record("other", "id2")])
    assert not INDEXES.keys() & index_names(older)
    database = open_database(database_url)
    store = SqlKeyStore(database)
    assert store.find("id1").key.name == "bot"
    assert store.imported_ids() == frozenset()
    assert not store.is_empty()
    assert not INDEXES.keys() & index_names(database), "a guard does not wait for what it does not use"
    assert store.find_named("bot").key.key_id == "id1"
    assert INDEXES.keys() <= index_names(database)
    assert [key.key_id for key in store.revoke("bot", at=NOW, by="")] == ["id1"]
    with asked(database) as statements:
        store.find_named("bot")
    assert len(statements) == 1, "indexes are looked for once"
    store.close()


def test_an_older_program_goes_on_with_a_database_that_got_indexes(older, database_url, monkeypatch):
    database = open_database(database_url)
    SqlKeyStore(database).find_named("bot")
    SqlKeyStore(older).add([record()])
    replaced(SqlKeyStore(older), "id1", record(key_id="id2"), expires_at=NOW + 5)
    older.close()  # as at a restart: it connects anew, and is not told that the schema is newer
    monkeypatch.setattr("doorward.guard.stores.sql.INDEXES", {})
    assert SqlKeyStore(older).find("id2").key.is_current
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.max(schema.c.version))).scalar() == len(MIGRATIONS)
    database.close()


def test_several_at_once_make_the_indexes_once(older, database_url):
    start = threading.Barrier(4)

    def manage():
        store = SqlKeyStore(open_database(database_url, timeout_s=30))  # a busy machine takes its time
        start.wait(10)
        store.find_named("bot")
        store.close()

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(manage) for _ in range(4)]:
            each.result(60)
    assert INDEXES.keys() <= index_names(older)


@pytest.mark.peer
def test_indexes_may_take_longer_than_a_statement(postgresql, monkeypatch):
    first = open_database(postgresql)
    first.make_indexes()
    first.close()
    monkeypatch.setattr("doorward.guard.stores.sql.INDEXES", {"slow": "SELECT pg_sleep(2.5)"})
    database = open_database(postgresql, timeout_s=0.5)
    database.make_indexes()
    with pytest.raises(StoreError) as caught, database.reading() as connection:
        connection.execute(sa.text("SELECT pg_sleep(2.5)"))
    assert caught.value.reason == "database_timeout"
    database.close()


def test_indexes_that_can_not_be_made_keep_nobody_from_managing_keys(older, database_url, monkeypatch, caplog):
    SqlKeyStore(older).add([record(), record("other", "id2")])
    monkeypatch.setattr("doorward.guard.stores.sql.INDEXES", {"broken": "CREATE INDEX broken ON nowhere (a)"})
    store = SqlKeyStore(open_database(database_url))
    for _ in range(2):
        assert store.find_named("bot").key.key_id == "id1"
        assert [each.key.key_id for each in store.page()] == ["id1", "id2"]
    assert [key.key_id for key in store.revoke("bot", at=NOW, by="")] == ["id1"]
    assert [key.key_id for key in store.revoke("id2", at=NOW, by="")] == ["id2"]
    (said,) = caplog.messages
    assert "without an index" in said
    assert "can't be used" in said
    store.close()


def test_an_end_that_is_no_instant_is_an_outage(tmp_path):
    database = open_database(sqlite_url(tmp_path / "keys.db"))
    keys = ApiKeys(SqlKeyStore(database), pepper=generate_pepper())
    secret, _ = keys.create("bot")
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE doorward_api_keys SET expires_at = 'never'")
    with pytest.raises(StoreError):
        finish(keys.check(secret.reveal(), now=NOW))
    keys.close()


def test_no_key_gets_the_name_that_is_another_ones_id(keys):
    _, victim = keys.create("billing", scopes=["admin"])
    with pytest.raises(ConfigurationError) as caught:
        keys.create(victim.key_id)
    assert caught.value.reason == "name_taken"
    keys.create("development")  # as long as an id, and none


def test_an_id_that_is_a_name_too_is_not_guessed_at(keys, key_store):
    key_store.add([record("billing", "GSKLywxrT5E"), record("GSKLywxrT5E", "otherotheri")])  # an older one allowed it
    for ask in (keys.show, keys.rotate):
        with pytest.raises(ConfigurationError) as caught:
            ask("GSKLywxrT5E")
        assert caught.value.reason == "ambiguous_name"
    assert keys.show("otherotheri").name == "GSKLywxrT5E"


@pytest.mark.parametrize("text", ["\udcff", "a\0b", "%", "", "x" * 300])
def test_what_can_be_no_name_is_no_key(keys, text):
    for ask in (keys.show, keys.rotate, keys.revoke):
        with pytest.raises(ConfigurationError) as caught:
            ask(text)
        assert caught.value.reason == "no_such_key"
