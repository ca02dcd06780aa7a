"""The quick look: a fresh token or None, and never anything else."""

import json
import os
import subprocess
import sys

import pytest

from doorward.model import Secret
from doorward.vault.glance import fresh_token
from doorward.vault.times import format_instant

HEAVY = {
    "dataclasses",
    "typing",
    "pathlib",
    "platformdirs",
    "secrets",
    "msgspec",
    "httpx2",
    "cryptography",
    "doorward.model",
}


@pytest.fixture
def saved(vault, make_entry):
    vault.put(make_entry(ended_at=None))


def rewrite(folder, **changes):
    path = os.path.join(folder, "profile-work.json")
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    document |= changes
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)


@pytest.mark.usefixtures("saved")
class TestAGoodFile:
    @pytest.mark.parametrize(
        ("kind", "seconds", "token"),
        [
            ("access", 0, "planted-access"),
            ("access", 3299, "planted-access"),
            ("access", 3300, None),
            ("id", 59, "planted-id"),
            ("id", 60, None),
            ("refresh", 0, None),
            ("", 0, None),
        ],
    )
    def test_it_gives_a_token_while_it_is_fresh(self, folder, now, kind, seconds, token):
        found = fresh_token(folder, "WORK", kind, now=now + seconds)
        assert (found and found[0]) == token

    @pytest.mark.parametrize("kind", ["access", "id"])
    def test_it_tells_when_the_token_expires_as_the_entry_does(self, vault, folder, now, kind):
        _, expires_at = fresh_token(folder, "work", kind, now=now)
        assert expires_at == format_instant(getattr(vault.get("work"), f"{kind}_token_expires_at"))

    @pytest.mark.parametrize("profile", ["home", "", "../work", "work/"])
    def test_another_profile_gives_nothing(self, folder, now, profile):
        assert fresh_token(folder, profile, "access", now=now) is None

    def test_another_folder_gives_nothing(self, tmp_path, now):
        assert fresh_token(str(tmp_path / "nowhere"), "work", "access", now=now) is None
        assert list(tmp_path.iterdir()) == [tmp_path / "vault"]

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 3},
            {"version": 2, "dpop_key": "a key"},
            {"version": True},
            {"version": 1.0},
            {"kind": "institution"},
            {"profile": "home"},
            {"profile": None},
            {"ended_at": "2026-11-21T22:26:40.000000Z"},
            {"access_token": None},
            {"access_token": 5},
            {"access_token": ["planted-access"]},
            {"access_token": "planted\naccess"},
            {"access_token": "planted-accéss"},
            {"access_token_expires_at": 9e9},
            {"access_token_expires_at": "2030-01-01"},
            {"access_token_expires_at": "2030-01-01T00:00:00Z"},
            {"access_token_issued_at": True},
        ],
    )
    def test_a_file_that_is_odd_gives_nothing(self, folder, now, change):
        rewrite(folder, **change)
        assert fresh_token(folder, "work", "access", now=now) is None

    def test_an_end_that_is_not_told_counts_as_it_does_for_the_session(self, folder, now):
        rewrite(folder, access_token_expires_at=None)
        assert fresh_token(folder, "work", "access", now=now) == ("planted-access", None)
        assert fresh_token(folder, "work", "access", now=now + 1e9) is None
        rewrite(folder, refresh_token=None)
        assert fresh_token(folder, "work", "access", now=now + 1e9) == ("planted-access", None)

    def test_a_file_open_to_others_gives_nothing(self, folder, now):
        os.chmod(os.path.join(folder, "profile-work.json"), 0o640)
        assert fresh_token(folder, "work", "access", now=now) is None

    def test_it_loads_little(self, folder, now):
        code = f"""
import sys
before = set(sys.modules)
from doorward.vault.folders import vault_folder
from doorward.vault.glance import fresh_token
print(fresh_token(vault_folder(), "work", "access", now={now})[0])
print(*(set(sys.modules) - before))
"""
        environment = {**os.environ, "DOORWARD_HOME": os.path.dirname(folder)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        token, modules = done.stdout.splitlines()
        assert token == "planted-access"
        assert not HEAVY & set(modules.split())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b'{"version":1,"version":1}',
        "{}".encode("utf-16"),
    ],
)
def test_no_content_raises(folder, content, now):
    os.mkdir(folder, 0o700)
    path = os.path.join(folder, "profile-work.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content)
    assert fresh_token(folder, "work", "access", now=now) is None


def test_a_name_twice_gives_nothing(vault, folder, make_entry, now):
    vault.put(make_entry(ended_at=None, access_token=Secret("planted")))
    path = os.path.join(folder, "profile-work.json")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:-1] + ',"access_token":"other"}')
    assert fresh_token(folder, "work", "access", now=now) is None
