"""The database of the guard: how it is made, migrated, shared, and how it fails."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from doorward.errors import ConfigurationError, StoreError, UnknownApiKey
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.stores import opening, schema
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.guard.work import finish

PLANTED = "planted-database-password"
PEPPER = "p" * 32


@pytest.fixture
def database(database_url):
    made = open_database(database_url)
    yield made
    made.close()


def why(database):
    with pytest.raises(StoreError) as caught, database.reading():
        pytest.fail("it was opened")
    assert PLANTED not in str(caught.value)
    return caught.value.reason


def test_the_steps_lead_to_the_tables(database):
    with database.reading() as connection:
        found = sa.inspect(connection)
        assert set(found.get_table_names()) == set(schema.metadata.tables)
        for name, table in schema.metadata.tables.items():
            columns = {each["name"]: each for each in found.get_columns(name)}
            assert list(columns) == [column.name for column in table.columns]
            for column in table.columns:
                assert columns[column.name]["nullable"] == column.nullable
                assert columns[column.name]["type"]._type_affinity is column.type._type_affinity  # noqa: SLF001 - SQLAlchemy has no public word for it
            assert found.get_pk_constraint(name)["constrained_columns"] == [each.name for each in table.primary_key]


def test_several_at_once_make_one_schema(database_url):
    start = threading.Barrier(4)

    def open_at_once():
        start.wait(10)
        database = open_database(database_url, timeout_s=30)  # a busy machine takes its time
        with database.reading() as connection:
            versions = connection.execute(sa.select(schema.schema.c.version)).scalars().all()
        database.close()
        return sorted(versions)

    with ThreadPoolExecutor(4) as pool:
        answers = [each.result(60) for each in [pool.submit(open_at_once) for _ in range(4)]]
    assert answers == [list(range(1, len(schema.MIGRATIONS) + 1))] * 4


def test_threads_that_open_one_database_share_it(database_url):
    database = open_database(database_url, timeout_s=30)  # a busy machine takes its time
    start = threading.Barrier(4)

    def read():
        start.wait(10)
        with database.reading() as connection:
            return connection.execute(sa.text("SELECT 1")).scalar()

    with ThreadPoolExecutor(4) as pool:
        assert [each.result(60) for each in [pool.submit(read) for _ in range(4)]] == [1] * 4
    database.close()


def test_a_newer_schema_is_left_alone(database, database_url):
    with database.writing() as connection:
        connection.execute(sa.insert(schema.schema).values(version=len(schema.MIGRATIONS) + 1))
    assert why(open_database(database_url)) == "schema_newer"


def test_an_older_schema_is_brought_up_to_date(database, database_url, monkeypatch):
    with database.reading():
        pass
    monkeypatch.setattr("doorward.guard.stores.sql.MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE newer (a TEXT)",)))
    newer = open_database(database_url)
    with newer.reading() as connection:
        assert sa.inspect(connection).has_table("newer")
    newer.close()


def test_a_step_that_fails_leaves_nothing(database_url, monkeypatch):
    monkeypatch.setattr("doorward.guard.stores.sql.MIGRATIONS", (("CREATE TABLE a (b TEXT)", "no SQL"),))
    assert why(open_database(database_url)) == "database_failed"
    monkeypatch.undo()
    database = open_database(database_url)
    with database.reading() as connection:
        assert not sa.inspect(connection).has_table("a")
    database.close()


def test_an_exception_undoes_what_was_written(database):
    def write_and_fail():
        with database.writing() as connection:
            connection.execute(sa.insert(schema.schema).values(version=1000))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.reading() as connection:
        assert 1000 not in connection.execute(sa.select(schema.schema.c.version)).scalars().all()


def test_a_lock_is_waited_for_and_not_for_ever(database_url):
    one, other = open_database(database_url, timeout_s=1.0), open_database(database_url, timeout_s=1.0)
    statement = sa.update(schema.schema).values(version=schema.schema.c.version + 1000)
    with one.writing() as connection:
        connection.execute(statement)
        with pytest.raises(StoreError) as caught, other.writing() as second:
            second.execute(statement)
        connection.rollback()
    assert caught.value.reason == "database_timeout"
    one.close()
    other.close()


def test_all_connections_busy_is_an_outage(database_url):
    database = open_database(database_url, timeout_s=0.5)
    with database.reading(), database.reading(), database.reading(), database.reading():
        assert why(database) == "database_busy"
    database.close()


def test_sqlite_files_are_private(tmp_path):
    database = open_database(sqlite_url(tmp_path / "keys.db"))
    with database.writing():
        files = sorted((each.name, each.stat().st_mode & 0o777) for each in tmp_path.iterdir())
    assert files == [(f"keys.db{end}", 0o600) for end in ("", "-shm", "-wal")]
    database.close()


def test_who_may_only_read_makes_and_writes_nothing(database_url):
    looking, writing = open_database(database_url, read_only=True), open_database(database_url)
    assert why(looking) in {"schema_older", "io"}, "there is nothing yet"
    with writing.writing() as connection:
        connection.execute(sa.insert(schema.schema).values(version=0))
    with looking.reading() as connection:
        assert 0 in connection.execute(sa.select(schema.schema.c.version)).scalars().all()
    with pytest.raises(StoreError) as caught, looking.writing() as connection:
        connection.execute(sa.insert(schema.schema).values(version=-1))
    assert caught.value.reason == "read_only"
    writing.close()
    looking.close()


READER = """
import sys, time
from doorward.errors import DoorwardError
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.work import finish
keys = ApiKeys.sqlite(sys.argv[1], pepper=sys.argv[2])
for line in sys.stdin:
    try:
        print(finish(keys.check(line.strip(), now=time.time())).name if line.strip() else keys.create("newer"))
    except DoorwardError as error:
        print(error.reason)
    sys.stdout.flush()
keys.close()
print(keys.show("good").last_used_at)
"""


@pytest.fixture
def on_a_read_only_mount(tmp_path, require_peer):
    """Ask a process to which a folder is read-only, line by line."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    mounted = []
    if os.geteuid() == 0:  # root writes whatever a folder's mode is
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        mounted = ["unshare", "--mount", "sh", "-c", mount, folder]
        tried = subprocess.run([*mounted, "true"], capture_output=True, check=False, timeout=30)
        require_peer("The right to mount (unshare --mount)", not tried.returncode)
    python = [*mounted, sys.executable, "-c", READER, folder / "keys.db", PEPPER]
    processes = []

    def start():
        if not mounted:
            folder.chmod(0o500)
        process = subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)

        def ask(line):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        return ask

    yield folder, start
    folder.chmod(0o700)
    for process in processes:
        said, _ = process.communicate(timeout=30)
        assert said == "None\n", "when a key was last used is written by nobody"


def test_a_database_on_a_read_only_mount_is_read_whether_anybody_writes_it_or_not(on_a_read_only_mount):
    folder, start = on_a_read_only_mount
    keys = ApiKeys.sqlite(folder / "keys.db", pepper=PEPPER)
    good, ended, other = (keys.create(name)[0].reveal() for name in ("good", "ended", "other"))
    keys.close()
    alone = start()
    assert [alone(secret) for secret in (good, ended, "")] == ["good", "ended", "read_only"]
    if os.geteuid() == 0:  # the folder is read-only to the other one alone
        keys.revoke("ended")
        assert [alone(secret) for secret in (good, ended)] == ["good", "key_revoked"], "what stands in the log counts"
        beside = start()
        keys.revoke("other")
        assert [beside(secret) for secret in (good, ended, other)] == ["good", "key_revoked", "key_revoked"]
        keys.close()
        assert [alone(secret) for secret in (good, other)] == ["good", "key_revoked"]


def _write(content, mode=0o600):
    def write(path):
        path.write_bytes(content)
        path.chmod(mode)

    return write


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "not_a_file"),
        (lambda path: os.mkfifo(path, 0o600), "not_a_file"),
        (_write(b"no database " * 1000), "database_corrupt"),
        (_write(b"", 0o602), "file_mode"),
        (lambda path: path.symlink_to(path / "nowhere"), "io"),
    ],
)
def test_what_is_no_database_is_not_used(make, reason, tmp_path):
    make(tmp_path / "keys.db")
    assert why(open_database(sqlite_url(tmp_path / "keys.db"))) == reason


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert why(open_database(sqlite_url(tmp_path / "missing" / "keys.db"))) == "io"


def test_a_sqlite_database_that_another_program_holds_is_an_outage(tmp_path):
    database = open_database(sqlite_url(tmp_path / "keys.db"), timeout_s=0.2)
    with database.writing():
        pass
    other = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError) as caught, database.writing():
        pytest.fail("it was locked")
    assert caught.value.reason == "database_timeout"
    other.close()
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keys.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///relative.db",
        "sqlite:////tmp/x?mode=ro",
        f"mysql://u:{PLANTED}@h/x",
        f"postgresql+asyncpg://u:{PLANTED}@h/x",
        f"postgresql://u:pa@{PLANTED}@h/x",
        f"postgresql://u:{PLANTED}@h:port/x",
    ],
)
def test_other_urls_are_refused_without_repeating_them(url):
    with pytest.raises(ConfigurationError) as caught:
        open_database(url)
    assert (caught.value.reason, caught.value.field) == ("database_url", "url")
    error = caught.value
    while error is not None:
        assert PLANTED not in str(error)
        error = error.__cause__


@pytest.mark.parametrize(
    ("url", "missing", "extra"),
    [
        ("sqlite:////x", "sqlalchemy", "doorward[sql]"),
        ("postgresql://h/x", "sqlalchemy", "doorward[postgresql]"),
        ("postgresql://h/x", "psycopg", "doorward[postgresql]"),
    ],
)
def test_what_is_not_installed_is_named(url, missing, extra, monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(ConfigurationError) as caught:
        open_database(url)
    assert caught.value.reason == "extra_missing"
    assert f"pip install '{extra}'" in str(caught.value)


@pytest.mark.peer
def test_a_wrong_password_is_not_repeated(postgresql):
    assert why(open_database(postgresql.replace(PLANTED, PLANTED[::-1]))) == "database_unreachable"
    assert why(open_database(postgresql + "nowhere")) == "database_unreachable"


@pytest.mark.peer
@pytest.mark.parametrize("where", ["postgresql", "pooled"])
def test_a_statement_that_takes_too_long_is_ended(where, request):
    database = open_database(request.getfixturevalue(where), timeout_s=0.3)
    with pytest.raises(StoreError) as caught, database.reading() as connection:
        connection.execute(sa.text("SELECT pg_sleep(20)"))
    assert caught.value.reason == "database_timeout"
    database.close()


@pytest.mark.peer
def test_behind_a_pooler_the_limits_end_with_their_transaction(pooled):
    database = open_database(pooled, timeout_s=0.3)
    for limit, value in (("statement_timeout", "300ms"), ("lock_timeout", "300ms")):
        with database.reading() as connection:
            assert connection.execute(sa.text(f"SHOW {limit}")).scalar() == value
    with psycopg.connect(pooled, autocommit=True) as other:  # another program, in a session that we used
        shown = {other.execute(f"SHOW {limit}").fetchone()[0] for limit in ("statement_timeout", "lock_timeout")}
    assert shown == {"0"}
    database.close()


@pytest.mark.peer
def test_many_stores_share_the_sessions_of_a_pooler(pooled):
    start = threading.Barrier(4)

    def work(number):
        start.wait(10)
        keys = ApiKeys.sql(pooled, pepper=PEPPER)
        try:
            made = [keys.create(f"bot-{number}-{each}") for each in range(12)]  # psycopg prepares what it sees often
            return [finish(keys.check(secret.reveal(), now=time.time())) == key for secret, key in made]
        finally:
            keys.close()

    first = ApiKeys.sql(pooled, pepper=PEPPER)
    first.create("first")  # a schema is made by one
    first.close()
    with ThreadPoolExecutor(4) as pool:
        assert [each.result(60) for each in [pool.submit(work, number) for number in range(4)]] == [[True] * 12] * 4


@pytest.mark.peer
def test_options_of_the_url_are_passed_on(postgresql):
    database = open_database(f"{postgresql}?options=-c%20search_path%3Delsewhere")
    assert why(database) == "database_failed"
    database.close()


@pytest.mark.peer
def test_a_server_that_stops_answering_is_left(postgresql, postgresql_server):
    database = open_database(postgresql, timeout_s=0.3)
    with database.reading():
        pass
    processes = [*_children_of(postgresql_server.process_id), postgresql_server.process_id]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        assert why(database) == "database_timeout"
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    database.close()


def _children_of(process_id):
    return [int(each) for each in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


@pytest.mark.peer
def test_postgresql_stopped_in_the_middle_of_a_load(postgresql, postgresql_server):
    keys = ApiKeys.sql(postgresql, pepper=PEPPER)
    secrets = [keys.create(f"bot{number}")[0].reveal() for number in range(8)]
    ended, seen = threading.Event(), []

    def ask(secret):
        while not ended.is_set():
            try:
                seen.append(finish(keys.check(secret, now=time.time())).name)
            except StoreError:
                seen.append("outage")
            except UnknownApiKey:
                seen.append("unknown")

    def wait_for(what, count):
        give_up_at = time.monotonic() + 60
        while seen.count(what) < count:
            assert time.monotonic() < give_up_at, set(seen)
            time.sleep(0.01)

    threads = [threading.Thread(target=ask, args=(secret,)) for secret in secrets]
    for thread in threads:
        thread.start()
    try:
        wait_for("bot0", 20)
        postgresql_server.stop()
        wait_for("outage", 40)
    finally:
        postgresql_server.start()
    wait_for("bot7", seen.count("bot7") + 5)
    ended.set()
    for thread in threads:
        thread.join(60)
    assert "unknown" not in seen
    assert set(seen) <= {"outage", *(f"bot{number}" for number in range(8))}
    keys.close()
