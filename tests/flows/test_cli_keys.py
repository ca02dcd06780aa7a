"""``doorward keys`` as people and scripts meet it: real processes, SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.stores.schema import INDEXES
from doorward.guard.work import finish

DOORWARD = Path(sys.executable).with_name("doorward")
KEY = re.compile(r"dw_[0-9A-Za-z]{11}_[0-9A-Za-z]{43}_[0-9A-Za-z]{7}\n")
PLANTED = "planted-key-0123456789"
PASSWORD = "planted-database-password"


def run(*arguments, given="", **environment):
    done = subprocess.run(
        [DOORWARD, "keys", *arguments],
        env={**os.environ, **environment},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def done_well(*arguments, **options):
    done = run(*arguments, **options)
    assert done.returncode == 0, done.stderr + done.stdout
    return done


def json_of(*arguments, **options):
    return json.loads(done_well(*arguments, "--json", **options).stdout)


def state_of(path, secret):
    keys = ApiKeys.sqlite(path)
    try:
        return finish(keys.check(secret.strip(), now=time.time()))
    finally:
        keys.close()


def test_the_life_of_a_key(doorward_home):
    made = done_well("create", "bot", "--scope", "read", "--scope", "write", "--group", "eng", "--expires", "90d")
    assert KEY.fullmatch(made.stdout)
    assert made.stdout.strip() not in made.stderr
    assert "shown this once" in made.stderr
    found = state_of(doorward_home / "keys.db", made.stdout)
    assert (found.name, found.scopes, found.groups, found.may_delegate) == ("bot", ("read", "write"), ("eng",), False)
    assert found.expires_at - found.created_at == pytest.approx(90 * 86_400, abs=60)
    assert (doorward_home / "keys.db").stat().st_mode & 0o777 == 0o600

    rotated = done_well("rotate", "bot", "--overlap", "1h")
    assert KEY.fullmatch(rotated.stdout)
    assert "1 h" in rotated.stderr
    assert state_of(doorward_home / "keys.db", made.stdout).replaced_by

    listed = done_well("list").stdout
    assert listed.count("bot") == 2
    assert "replaced, good for" in listed
    shown = done_well("show", "bot").stdout
    for text in ("read write", "eng", "never", found.pepper_id):
        assert text in shown

    assert found.key_id in done_well("revoke", "bot").stdout
    assert "already" in done_well("revoke", "bot").stdout
    assert "There is no key" in done_well("list").stdout
    assert done_well("list", "--all").stdout.count("revoked") == 2
    assert "Revoked" in done_well("show", "bot").stdout

    everything = listed + shown + "".join(done_well(*each).stdout for each in (["list", "--all"], ["show", "bot"]))
    for secret in (made.stdout, rotated.stdout):
        assert secret.split("_")[2] not in everything


def test_programs_get_json():
    made = json_of("create", "bot", "--may-delegate")
    assert KEY.fullmatch(made.pop("key") + "\n")
    assert made["may_delegate"] is True
    assert json_of("list") == [made] == [json_of("show", made["id"])]
    rotated = json_of("rotate", "bot", "--overlap", "0s")
    assert rotated["id"] != made["id"]
    assert json_of("revoke", rotated["id"]) == {"revoked": [rotated["id"]]}
    assert json_of("list") == []
    error = json.loads(run("create", "a b", "--json").stdout)["error"]
    assert (error["code"], error["reason"]) == ("configuration", "key_name")


def test_keys_are_imported_from_a_file_or_a_pipe(tmp_path, doorward_home):
    text = json.dumps([{"name": "old", "key": PLANTED, "scopes": ["read"]}])
    (tmp_path / "keys.json").write_text(text)
    done = done_well("import", str(tmp_path / "keys.json"))
    assert "old" in done.stdout
    assert PLANTED not in done.stdout + done.stderr
    assert state_of(doorward_home / "keys.db", PLANTED).imported
    assert json_of("import", "-", given=text.replace("old", "new").replace(PLANTED, PLANTED + "x"))[0]["name"] == "new"
    again = run("import", "-", given=text.replace("old", "other"))
    assert again.returncode == 2
    assert PLANTED not in again.stderr + again.stdout
    assert PLANTED.encode() not in (doorward_home / "keys.db").read_bytes()


def test_more_keys_than_a_page_are_listed_under_one_header():
    entries = [{"name": f"bot{number}", "key": f"{PLANTED}-{number}"} for number in range(1100)]
    json_of("import", "-", given=json.dumps(entries))
    latest = json_of("create", "latest")
    header, *rows = done_well("list").stdout.splitlines()
    assert header.split() == ["NAME", "ID", "SCOPES", "STATE", "LAST", "USED"]
    listed = json_of("list")
    assert [row.split()[:2] for row in rows] == [[key["name"], key["id"]] for key in listed]
    assert {key["name"] for key in listed} == {entry["name"] for entry in entries} | {"latest"}
    assert listed[-1]["id"] == latest["id"]


@pytest.mark.parametrize("command", ["show", "revoke", "rotate"])
def test_a_database_of_an_older_version_gets_its_indexes(command, doorward_home):
    done_well("create", "bot")
    with closing(sqlite3.connect(doorward_home / "keys.db")) as connection:
        for name in INDEXES:
            connection.execute(f"DROP INDEX {name}")
    done_well(command, "bot")
    with closing(sqlite3.connect(doorward_home / "keys.db")) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert INDEXES.keys() <= {name for (name,) in found}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create"], "NAME"),
        (["create", "bot", "--expires", "soon"], "90d"),
        (["create", "bot", "--expires", "0d"], "'--expires': Such a key would open nothing. Give a span like 90d"),
        (["rotate", "bot", "--overlap", "soon"], "'--overlap'"),
        (["seal"], "--all"),
        (["seal", "bot", "--all"], "--all"),
        (["create", "bot", "--scope", "a b"], "--scope"),
        (["rotate", "nobody"], "no database"),
        (["list"], "doorward keys create"),
        (["import", "/nowhere/keys.json"], "No such file"),
        (["import", "-"], "not valid JSON"),
        (["create", "bot", "--db", f"postgresql://u:{PASSWORD}@127.0.0.1/x"], "DOORWARD_KEYS_DB"),
        (["create", "bot", "--db", f"postgresql://127.0.0.1/x?password={PASSWORD}"], "DOORWARD_KEYS_DB"),
        (["create", "bot", "--db", "postgresql://u@127.0.0.1/x"], "DOORWARD_API_KEY_PEPPER"),
        (["create", "bot", "--db", "mysql://u@127.0.0.1/x"], "postgresql://"),
    ],
)
def test_a_mistake_is_explained(arguments, says, doorward_home):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr
    assert PASSWORD not in done.stderr
    assert not (doorward_home / "keys.db").exists()


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["list"], "doorward keys create NAME --db '{0}'"),
        (["show", "nobody"], "doorward keys list --all --db '{0}'"),
        (["rotate", "old"], "doorward keys seal --db '{0}'"),
        (["list", "--db", "other.db"], "doorward keys create NAME --db other.db"),
    ],
)
def test_the_database_that_was_named_is_named_in_the_advice(arguments, advice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "the keys.db"
    if "--db" not in arguments:
        done_well("create", "old", "--db", path)
        if arguments == ["list"]:
            done_well("revoke", "old", "--db", path)
        as_if_by_0_1(tmp_path / path)
        arguments = [*arguments, "--db", path]
    done = run(*arguments)
    assert advice.format(path) in done.stdout + done.stderr
    assert not re.search("doorward keys .* --db", run("show", "nobody", DOORWARD_KEYS_DB=path).stderr)


def as_if_by_0_1(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE doorward_api_keys DROP COLUMN seal")
        connection.execute("DELETE FROM doorward_schema WHERE version > 2")


def test_keys_of_an_older_version_are_sealed_by_who_looked(doorward_home):
    made = done_well("create", "bot", "--scope", "read", "--group", "eng").stdout
    as_if_by_0_1(doorward_home / "keys.db")
    assert "altered or unsealed" in done_well("list").stdout
    assert json_of("list")[0]["sealed"] is False
    refused = run("seal", "--all", given="n\n")
    assert refused.returncode == 1
    assert all(text in refused.stdout for text in ("bot", "read", "eng"))
    assert "Sealed bot" in done_well("seal", "--all", given="y\n").stdout
    assert state_of(doorward_home / "keys.db", made).name == "bot"
    assert "have their seals" in done_well("seal", "bot").stdout

    with closing(sqlite3.connect(doorward_home / "keys.db")) as connection, connection:
        connection.execute("UPDATE doorward_api_keys SET seal = ''")
    done_well("create", "newer")
    assert run("seal", "--all", "--yes").returncode == 2, "one that lost its seal is no older one"
    assert len(json_of("seal", "bot", "--yes")["sealed"]) == 1


def test_a_large_import_is_refused():
    assert "1 MiB" in run("import", "-", given=" " * 1_100_000).stderr


def test_a_database_that_can_not_be_reached_is_an_outage(tmp_path):
    assert run("create", "bot", "--db", str(tmp_path / "missing" / "keys.db")).returncode == 4
    url = f"postgresql://u:{PASSWORD}@127.0.0.1:1/x"
    done = run("list", DOORWARD_KEYS_DB=url, DOORWARD_API_KEY_PEPPER="p" * 32)
    assert done.returncode == 4
    assert PASSWORD not in done.stderr


def test_a_path_may_be_given(tmp_path):
    made = done_well("create", "bot", "--db", str(tmp_path / "k.db"))
    assert state_of(tmp_path / "k.db", made.stdout).name == "bot"
    assert "bot" in done_well("list", DOORWARD_KEYS_DB=str(tmp_path / "k.db")).stdout


def test_help_and_pepper():
    assert "revoke" in done_well().stdout
    pepper = done_well("pepper").stdout
    assert len(pepper.strip()) == 43
    assert pepper != done_well("pepper").stdout


@pytest.mark.peer
def test_postgresql_is_managed_alike(postgresql):
    database = {"DOORWARD_KEYS_DB": postgresql, "DOORWARD_API_KEY_PEPPER": done_well("pepper").stdout.strip()}
    made = done_well("create", "bot", **database)
    assert KEY.fullmatch(made.stdout)
    assert json_of("list", **database)[0]["name"] == "bot"
    without = postgresql.replace(f":{PASSWORD}", "")
    pepper = {"DOORWARD_API_KEY_PEPPER": database["DOORWARD_API_KEY_PEPPER"]}
    assert json_of("list", "--db", without, PGPASSWORD=PASSWORD, **pepper)[0]["name"] == "bot"
    done_well("revoke", "bot", **database)
    assert json_of("list", **database) == []
