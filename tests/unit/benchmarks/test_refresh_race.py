"""The refresh race, small: it runs to its end and shows Doorward's rows, whether the peers are installed or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "refresh_race.py"


@pytest.fixture(params=["installed", "missing"])
def environment(request, tmp_path):
    if request.param == "installed":
        pytest.importorskip("msal_extensions", reason="needs the extra bench")
        return dict(os.environ)
    (tmp_path / "msal.py").write_text("raise ImportError")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}


def test_a_small_race_shows_one_refresh_and_no_broken_file_for_doorward(environment):
    sizes = ["--processes=2", "--threads=2", "--rounds=1", "--reads=50", "--kills=1"]
    run = subprocess.run(
        [sys.executable, SCRIPT, *sizes], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    race, reads = (line.split() for line in run.stdout.splitlines() if line.startswith("Doorward "))
    assert race[1:8] == ["1", "4", "of", "4", "1", "of", "1"]
    assert reads[1] == "0.0%"
    assert reads[3:] == ["0", "of", "1"]
