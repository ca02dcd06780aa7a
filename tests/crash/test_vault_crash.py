"""What becomes of the vault when processes are killed, race, or look on: V1, V3 and V4 against the real kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

WORKER = Path(__file__).with_name("vault_worker.py")
KILLS = 1_000
READS = 100_000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "vault"


@pytest.fixture
def folder_in_memory(tmp_path):
    """A folder where syncing costs nothing, so that a writer writes as often as it can."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder) / "vault"


@pytest.fixture
def start(tmp_path):
    """Start a worker; ``finish`` lets all of them end and returns what each reports."""
    stop, running = tmp_path / "stop", []

    def start(task, folder, last=stop):
        command = [sys.executable, WORKER, task, folder, str(last)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout.readline() == "ready\n"

    def finish():
        stop.touch()
        return [json.loads(process.communicate(timeout=280)[0]) for process in running]

    start.finish = finish
    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_thousand_killed_writers_lose_and_break_nothing(folder, start):
    start("kill", folder, KILLS)
    (found,) = start.finish()
    assert (found["kills"], found["unreadable"], found["lost"]) == (KILLS, 0, 0)
    assert found["mid_write"] > KILLS / 10, "the kills must hit writes, or nothing was shown"


@pytest.mark.slow
def test_no_read_is_torn_under_a_tight_writer(folder_in_memory, start):
    vault = Vault(str(folder_in_memory))
    vault.put(ProfileEntry(profile="work", issuer="i", client_id="c", client_authentication="none", created_at=0))
    start("write", folder_in_memory)
    seen = set()
    for _ in range(READS):
        entry = vault.get("work")
        if entry.failures:
            assert entry.access_token == entry.refresh_token
            assert entry.access_token == Secret(f"{entry.failures}." * (1 + entry.failures % 5 * 500))
        seen.add(entry.failures)
    (found,) = start.finish()
    assert len(seen) > 100, "the reads must meet many writes, or nothing was shown"
    assert found["written"] >= max(seen)


def test_nobody_else_can_read_at_any_instant(folder, start):
    """Under umask 000, a watcher never sees a file that is not 0600, nor the folder other than 0700."""
    folder.mkdir(mode=0o700)
    start("watch", folder)
    start("write", folder)
    vault = Vault(str(folder))
    mask = os.umask(0)
    try:
        for number in range(300):
            vault.put(
                ProfileEntry(profile="b", issuer="i", client_id="c", client_authentication="none", created_at=number)
            )
    finally:
        os.umask(mask)
    watched, _ = start.finish()
    assert watched == {"folder": [0o700], ".json": [0o600], ".tmp": [0o600], ".lock": [0o600]}
