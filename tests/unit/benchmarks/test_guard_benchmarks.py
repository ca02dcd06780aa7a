"""The guard's benchmarks, small: they run to their end, with the peers or without. No time counts here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
PEERS = ["authlib", "jose", "joserfc", "jwt", "oxyjwt", "starlette"]


@pytest.fixture(params=["installed", "missing"])
def environment(request, tmp_path):
    if request.param == "installed":
        for peer in PEERS:
            pytest.importorskip(peer, reason="needs the extra bench")
        return dict(os.environ)
    for peer in PEERS:
        (tmp_path / f"{peer}.py").write_text("raise ImportError")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}


def run(name: str, environment, tmp_path) -> tuple[str, dict]:
    command = [sys.executable, BENCHMARKS / name, "--quick", "--json", tmp_path / "figures.json"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout, json.loads((tmp_path / "figures.json").read_text())


def test_tokens_are_checked_beside_the_peers_that_are_there(environment, tmp_path):
    printed, figures = run("guard_tokens.py", environment, tmp_path)
    cold = {row["name"]: row for row in figures["sections"]["Cold, RS256"]}
    assert cold["raw signature check"]["ratio"] == 1
    assert not cold["Doorward's guard"]["note"]  # it lets nothing pass
    assert {"PyJWT, one key", "python-jose, one key"} <= cold.keys() or "not installed: PyJWT, one key" in printed
    assert {"Cold, PS256", "Cold, ES256", "Cold, EdDSA"} < figures["sections"].keys()
    assert "cold RS256, times raw" in {goal["what"] for goal in figures["goals"]}


def test_growth_and_trouble(tmp_path):
    _, figures = run("guard_scale.py", os.environ, tmp_path)
    counted = {goal["what"]: goal["measured"] for goal in figures["goals"]}
    assert counted["store accesses for 200000 garbage keys"] == 0
    assert counted["fetches for 200 random kids, for each cooldown"] <= 1
    assert counted["memory for an issuer with one key, KB"] > 0


def test_a_million_revocations(tmp_path):
    printed, figures = run("guard_revocations.py", os.environ, tmp_path)
    assert "20000 revocations in SQLite" in figures["sections"]
    assert "20000 revocations in PostgreSQL" in figures["sections"] or "PostgreSQL is not installed" in printed
    wrong = {goal["what"]: goal["measured"] for goal in figures["goals"] if goal["what"].endswith("wrong decisions")}
    assert set(wrong.values()) == {0}


def test_servers_answer(environment, tmp_path):
    pytest.importorskip("uvicorn", reason="needs the extra demo")
    printed, figures = run("guard_asgi.py", environment, tmp_path)
    assert "not installed: Starlette" in printed or "uvicorn, Starlette" in printed
    names = {row["name"] for row in figures["sections"]["uvicorn, bare ASGI: the server's time for a request"]}
    assert {"no check", "GuardMiddleware, one token", "GuardMiddleware, new tokens"} <= names
