"""The audit's chain when its writers are killed: it holds, it goes on, and nothing that was written is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from doorward.guard.audit.decisions import Decision
from doorward.guard.audit.log import AuditLog
from doorward.journal.last_lines import tail
from doorward.journal.verification import verify

WORKER = Path(__file__).with_name("audit_worker.py")


def run(*arguments):
    command = [sys.executable, WORKER, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", "0123456789abcdef-key"])
def test_a_chain_survives_its_writers(tmp_path, key):
    path = tmp_path / "audit.log"
    kills = 200
    found = run("kill", path, kills, key)
    assert found == {"kills": kills, "broken": 0, "lost": 0}
    log = AuditLog(path, key=key or None, keep=None)
    log.record(Decision(at=0, outcome="accepted", subject="afterwards"))
    log.close()
    verification = verify(path, key=key or None)
    assert verification.problems == ()
    assert {remark.what for remark in verification.remarks} <= {"torn"}
    assert verification.files > 1
    assert tail(path, 1)[0]["subject"] == "afterwards"


@pytest.mark.slow
def test_a_chain_that_four_processes_share_survives_them(tmp_path):
    path = tmp_path / "audit.log"
    found = run("kill_one_of_four", path, 60, "")
    assert found == {"kills": 60, "broken": 0, "lost": 0}
