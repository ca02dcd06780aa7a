"""The console script: what even it does not foresee ends in one line."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from doorward.cli.main import main


class _Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise RuntimeError("planted")


def test_a_mistake_of_ours_on_the_short_way_shows_no_traceback(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["doorward", "status"])
    monkeypatch.setattr(sys, "stdout", _Broken())
    assert main() == 1
    error = capsys.readouterr().err
    assert error.startswith("doorward: Doorward made a mistake of its own (RuntimeError).")
    assert len(error.splitlines()) == 1


def test_it_is_a_module_for_whom_the_scripts_are_not_on_the_path():
    for arguments in (["--version"], ["token", "--no-such"], []):
        module, script = (
            subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
            for command in ([sys.executable, "-m", "doorward"], [str(Path(sys.executable).with_name("doorward"))])
        )
        assert (module.returncode, module.stdout, module.stderr) == (script.returncode, script.stdout, script.stderr)
        assert module.stdout + module.stderr
