"""A program that PyInstaller froze has the stubs and the modules that load late."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import doorward
from doorward.freezing import hook_folders

PROGRAM = """
import doorward
from doorward.guard import Guard, Issuer

guard = Guard([Issuer("https://id.example.org", ["api"])])
print(doorward.__version__, guard, doorward.open_session.__name__, doorward.errors.Expired.__name__)
"""
HEAVY = ("fastapi", "granian", "hypothesis", "keyring", "mypy", "nacl", "playwright", "PIL", "psycopg", "pygments",
         "pytest", "sphinx", "sqlalchemy", "uvicorn")  # fmt: skip
"""Installed for tests or as extras: what the program does not use, and PyInstaller would pack."""


def test_pyinstaller_finds_the_hook():
    [entry] = distribution("doorward").entry_points.select(group="pyinstaller40", name="hook-dirs")
    assert entry.load() is hook_folders
    [folder] = hook_folders()
    assert Path(folder, "hook-doorward.py").is_file()


def test_the_hook_names_what_is_loaded_late():
    [folder] = hook_folders()
    code = (
        "import json, runpy, sys; told = runpy.run_path(sys.argv[1], run_name='doorward.freezing.hook'); "
        "print(json.dumps([[source for source, _ in told['datas']], told['hiddenimports']]))"
    )
    command = [sys.executable, "-c", code, str(Path(folder, "hook-doorward.py"))]  # it starts processes of its own
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    stubs, modules = json.loads(done.stdout)
    package = Path(doorward.__file__).parent
    assert {str(package / "__init__.pyi"), str(package / "guard" / "__init__.pyi")} <= set(stubs)
    assert {"doorward.signin.sign_in", "doorward.guard.guard", "doorward.errors"} <= set(modules)


@pytest.mark.slow
def test_a_frozen_program_runs(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    folders = [f"--{name}path={tmp_path / name}" for name in ("dist", "work", "spec")]
    left_out = [f"--exclude-module={name}" for name in HEAVY]
    freeze = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=ERROR", *folders, *left_out, program]
    frozen = subprocess.run(freeze, capture_output=True, text=True, timeout=240, check=False)
    assert frozen.returncode == 0, frozen.stderr

    done = subprocess.run(
        [tmp_path / "dist" / "program" / "program"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env={"HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == doorward.__version__
    assert done.stdout.split()[-2:] == ["open_session", "Expired"]
