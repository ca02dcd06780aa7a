"""What becomes of a vault whose seal is being changed when the process is killed (V6): at each step, and by chance.

``SEALING_KILLS=1000`` kills that many by chance.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from secret_service import SessionBus, find_programs

from doorward.vault.sealing.keys import make_key_file

WORKER = Path(__file__).with_name("sealing_worker.py")
KILLS = int(os.environ.get("SEALING_KILLS", "60"))
NOTHING_LOST = {"unreadable": 0, "lost": 0, "in_plain_though_sealed": 0, "not_completed": 0}


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "vault")


@pytest.fixture
def key_file(tmp_path, folder, monkeypatch):
    path = str(tmp_path / "vault.key")
    make_key_file(path, vault_folder=folder)
    monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", path)


@pytest.fixture
def keyring(require_peer, monkeypatch):
    programs = find_programs()
    require_peer("A Secret Service (gnome-keyring, dbus)", programs)
    with contextlib.closing(SessionBus(programs)) as bus:
        bus.start_keyring()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        yield bus


def worked(*arguments):
    done = subprocess.run(
        [sys.executable, WORKER, *arguments], stdout=subprocess.PIPE, text=True, timeout=3000, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


ALL = frozenset({"sealing", "rotating", "unsealing"})


def check_kills(found, least, *, amid=ALL):
    assert {name: found[name] for name in NOTHING_LOST} == NOTHING_LOST
    assert found["kills"] >= least
    assert len(found.keys() & ALL) >= len(amid), "kills must fall amid the changes"


@pytest.mark.slow
@pytest.mark.usefixtures("key_file")
def test_killed_at_each_single_step_nothing_is_lost_and_a_second_run_completes_it(folder):
    found = worked("steps", folder, "key_file")
    check_kills(found, 40)
    assert all(found[f"steps of {kind}"] > 10 for kind in ("seal", "rotate", "unseal"))


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.usefixtures("keyring")
def test_killed_at_each_single_step_beside_a_real_keyring_nothing_is_lost(folder):
    check_kills(worked("steps", folder, "keyring"), 15)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.usefixtures("key_file")
def test_killed_by_chance_beside_sessions_that_refresh_nothing_is_lost(folder):
    check_kills(worked("chance", folder, "key_file", str(KILLS)), KILLS / 10, amid={"any"})


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.timeout(3000)
@pytest.mark.usefixtures("keyring")
def test_killed_by_chance_beside_a_real_keyring_nothing_is_lost(folder):
    check_kills(worked("chance", folder, "keyring", str(KILLS)), KILLS / 10, amid={"any"})
