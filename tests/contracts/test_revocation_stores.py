"""One suite for every place where revocations are kept: what is written by one process is law in all of them."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa

from doorward.errors import Revoked, StoreError
from doorward.guard.revocation.revocation_list import Revocation, entry_of, fingerprint, target_of
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.revocation.sql_store import SqlRevocations
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.guard.work import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ISSUER = "https://id.example.org"
NOW = 1_800_000_000.0
SHARED = ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)]


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return sqlite_url(tmp_path / "guard.db")


@pytest.fixture
def process(url: str, clock: Clock) -> Iterator[Callable[..., Revocations]]:
    """Make what another process would have: revocations of its own at the same database."""
    made: list[Revocations] = []

    def make(**settings: Any) -> Revocations:
        made.append(Revocations.sql(url, clock=clock, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[SqlRevocations]:
    made = SqlRevocations(open_database(url), clock=clock)
    yield made
    made.close()


def entry(value: str, *, before: float = NOW, until: float = math.inf) -> Revocation:
    return Revocation("subject", ISSUER, value, before, until, NOW)


def why(revocations: Revocations, **marks: Any) -> str | None:
    token = {"issuer": ISSUER, "subject": "alice", "jti": "j", "issued_at": NOW - 1, "kid": "k", "fingerprint": b""}
    try:
        revocations.check(**{**token, **marks})
    except Revoked as error:
        return error.reason
    return None


@pytest.mark.parametrize("kind", ["memory", *SHARED])
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"token": "opaque"}, "token_revoked"),
        ({"issuer": ISSUER, "jti": "j"}, "jti_revoked"),
        ({"issuer": ISSUER, "kid": "k"}, "key_revoked"),
        ({"issuer": ISSUER, "subject": "alice"}, "subject_revoked"),
        ({"issuer": ISSUER, "subject": "alice", "before": math.inf}, "subject_revoked"),
        ({"issuer": ISSUER}, "issuer_revoked"),
        ({"issuer": ISSUER, "before": NOW, "until": NOW + 60}, "issuer_revoked"),
    ],
)
def test_each_way_to_revoke(kind: str, what: dict[str, Any], reason: str, request, tmp_path, clock) -> None:
    if kind == "memory":
        here = there = Revocations.memory(clock=clock)
    elif kind == "sqlite":
        here, there = (Revocations.sqlite(tmp_path / "guard.db", clock=clock) for _ in range(2))
    else:
        url = request.getfixturevalue("postgresql")
        here, there = (Revocations.sql(url, clock=clock) for _ in range(2))
    here.revoke(**what, by="a person")
    finish(there.current(NOW))
    marks = {"fingerprint": fingerprint(b"opaque")} if "token" in what else {}
    assert [why(each, **marks) for each in (here, there)] == [reason, reason]
    assert why(there, issuer="https://other.example", fingerprint=b"") is None
    for each in (here, there):
        each.close()


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_revocation_is_seen_elsewhere_within_poll_s(process: Callable[..., Revocations], clock: Clock) -> None:
    here, there = process(poll_s=1.0), process(poll_s=1.0)
    finish(there.current(clock.at))
    for number in range(5):
        here.revoke(issuer=ISSUER, jti=str(number))
        clock.at += 1
        finish(there.current(clock.at))
        assert why(there, jti=str(number)) == "jti_revoked"


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_names_of_any_script_and_length(process: Callable[..., Revocations]) -> None:
    here, there = process(), process()
    names = ["Алиса 🐇", "x" * 2048, "';--", "\n", "漢" * 2000, "a", "A", "a "]
    for name in names:
        here.revoke(issuer=ISSUER, subject=name)
    finish(there.current(NOW))
    assert [why(there, subject=name) for name in names] == ["subject_revoked"] * len(names)
    assert why(there, subject="x" * 2047) is None


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_an_entry_is_replaced_and_never_narrowed(store: SqlRevocations) -> None:
    store.add(entry("alice", before=NOW + 9, until=NOW + 50))
    store.add(entry("bob"))
    store.add(entry("alice", before=NOW, until=math.inf))
    changes = store.read(0, store.latest())
    assert changes.entries == [entry_of(entry("bob")), entry_of(entry("alice", before=NOW + 9))]
    assert (changes.position, store.latest()) == (3, 3)
    assert store.read(2, 3).entries == changes.entries[1:]
    assert store.read(0, 2).entries == changes.entries[:1]
    assert store.read(3, 3).entries == []
    assert sorted(store.find([each[1] for each in changes.entries])) == sorted(changes.entries)
    assert store.find([target_of("subject", ISSUER, "bo"), target_of("jti", ISSUER, "bob")]) == []


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_what_is_over_is_forgotten_and_nothing_else(store: SqlRevocations, clock: Clock) -> None:
    store.add(entry("alice", until=NOW + 60))
    store.add(entry("bob", until=NOW + 10_000))
    store.add(entry("carol"))
    clock.at += 5000
    store.add(entry("dan", until=NOW + 60))
    changes = store.read(0, 4)
    assert [each[1] for each in changes.entries] == [entry_of(entry(name))[1] for name in ("bob", "carol", "dan")]
    assert store.read(1, 4).entries == changes.entries


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_more_than_a_page(store: SqlRevocations, process: Callable[..., Revocations], url: str) -> None:
    with closing(open_database(url)) as database, database.writing() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO doorward_revocations (number, target, kind, issuer, value, revoked_at, revoked_by)"
                " VALUES (:number, :target, 'jti', :issuer, :value, 0, '')"
            ),
            [
                {"number": n, "target": target_of("jti", ISSUER, f"j{n}").hex(), "issuer": ISSUER, "value": f"j{n}"}
                for n in range(1, 12_501)
            ],
        )
        connection.execute(sa.text("UPDATE doorward_revocation_count SET latest = 12500"))
    there = process()
    finish(there.current(NOW))
    assert len(there) == 12_500
    assert [why(there, jti=f"j{number}") for number in (1, 5000, 5001, 12_500, 12_501)] == ["jti_revoked"] * 4 + [None]
    store.add(entry("alice"))
    assert store.read(12_500, store.latest()).position == 12_501


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_what_a_newer_version_wrote_is_not_passed_over(store: SqlRevocations, process, url: str) -> None:
    store.add(entry("alice"))
    with closing(open_database(url)) as database, database.writing() as connection:
        connection.execute(sa.text("UPDATE doorward_revocations SET kind = 'device'"))
    with pytest.raises(StoreError) as caught:
        finish(process().current(NOW))
    assert caught.value.reason == "revocations_stale"
    with pytest.raises(StoreError) as caught:
        store.read(0, 1)
    assert caught.value.reason == "unknown_revocation"


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_whoever_follows_the_numbers_misses_none(url: str, clock: Clock) -> None:
    """Writers and a reader at once: a number that is read is never followed by a smaller one."""
    database = open_database(url, timeout_s=20)
    store = SqlRevocations(database, clock=clock)
    store.latest()
    seen: set[bytes] = set()
    writing = threading.Event()
    writing.set()

    def follow() -> None:
        position = 0
        while True:
            last = not writing.is_set()
            changes = store.read(position, store.latest())
            seen.update(each[1] for each in changes.entries)
            position = changes.position
            if last:
                return

    def write(writer: int) -> None:
        mine = SqlRevocations(open_database(url, timeout_s=20), clock=clock)
        for number in range(15):
            mine.add(entry(f"{writer}-{number}"))
            mine.add(entry("shared"))
        mine.close()

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(follow)
        for each in [pool.submit(write, writer) for writer in range(4)]:
            each.result(60)
        writing.clear()
        reading.result(60)
    names = {f"{writer}-{number}" for writer in range(4) for number in range(15)} | {"shared"}
    assert seen == {target_of("subject", ISSUER, name) for name in names}
    store.close()


@pytest.mark.peer
def test_a_slow_writer_holds_back_the_numbers_after_it(postgresql: str, clock: Clock) -> None:
    """What a sequence would let happen: 2 is committed and read while 1 is still to come."""
    store = SqlRevocations(open_database(postgresql, timeout_s=10), clock=clock)
    store.latest()
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(postgresql) as slow:
            slow.execute("UPDATE doorward_revocation_count SET latest = latest + 1")
            slow.execute(
                "INSERT INTO doorward_revocations (number, target, kind, issuer, value, revoked_at, revoked_by)"
                " VALUES (1, %s, 'subject', %s, 'slow', 0, '')",
                [target_of("subject", ISSUER, "slow").hex(), ISSUER],
            )
            other = pool.submit(store.add, entry("quick"))
            time.sleep(0.3)
            assert (store.latest(), store.read(0, 2).entries) == (0, [])
        other.result(10)
    found = [each[1] for each in store.read(0, store.latest()).entries]
    assert found == [target_of("subject", ISSUER, name) for name in ("slow", "quick")]
    store.close()


def test_a_database_restored_from_a_copy(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "guard.db"
    here = Revocations.sqlite(file, clock=clock)
    there = Revocations.sqlite(file, clock=clock)
    here.revoke(issuer=ISSUER, jti="before")
    with sqlite3.connect(file) as source, sqlite3.connect(tmp_path / "copy.db") as copy:
        source.backup(copy)
    source.close()
    for jti in ("lost-1", "lost-2"):
        here.revoke(issuer=ISSUER, jti=jti)
    finish(there.current(clock.at))
    with sqlite3.connect(tmp_path / "copy.db") as source, sqlite3.connect(file) as target:
        source.backup(target)
    source.close()
    target.close()
    copy.close()
    here.revoke(issuer=ISSUER, jti="after")  # under a number that was given out before
    clock.at += 5
    finish(there.current(clock.at))
    assert {jti: why(there, jti=jti) for jti in ("before", "after", "lost-1")} == dict.fromkeys(
        ("before", "after", "lost-1"), "jti_revoked"
    )
    here.close()
    there.close()


@pytest.mark.peer
def test_a_server_that_stops_is_outlived_for_max_stale_s(postgresql_server, clock: Clock) -> None:
    url = postgresql_server.new_database()
    revocations = Revocations.sql(url, clock=clock, max_stale_s=30)
    revocations.revoke(issuer=ISSUER, subject="alice")
    finish(revocations.current(clock.at))
    postgresql_server.stop()
    try:
        for clock.at in (NOW + 5, NOW + 29):
            finish(revocations.current(clock.at))
            assert why(revocations) == "subject_revoked"
        clock.at = NOW + 31
        with pytest.raises(StoreError) as caught:
            finish(revocations.current(clock.at))
        assert (caught.value.reason, caught.value.status_hint) == ("revocations_stale", 503)
        with pytest.raises(StoreError, match="in this process"):
            revocations.revoke(issuer=ISSUER, subject="bob")
        assert why(revocations, subject="bob") == "subject_revoked"
    finally:
        postgresql_server.start()
    clock.at += 10
    finish(revocations.current(clock.at))
    revocations.close()


@pytest.mark.parametrize(("column", "value"), [("until_at", "'abc'"), ("before_at", "x'00'"), ("target", "'zz'")])
def test_a_damaged_row_is_an_outage(tmp_path: Path, clock: Clock, column: str, value: str) -> None:
    database = open_database(sqlite_url(tmp_path / "guard.db"))
    store = SqlRevocations(database, clock=clock)
    store.add(entry("j1"))
    with database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE doorward_revocations SET {column} = {value}")  # noqa: S608 - from above
    with pytest.raises(StoreError) as caught:
        store.read(0, 1)
    assert caught.value.reason == "entry_damaged"
    store.close()
