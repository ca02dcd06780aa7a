"""That PyInstaller finds our hook. That a frozen program runs was seen by hand: freezing one takes half a minute."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

from doorward.freezing import hook_folders


def test_pyinstaller_finds_the_hook():
    [entry] = distribution("doorward").entry_points.select(group="pyinstaller40", name="hook-dirs")
    assert entry.load() is hook_folders
    [folder] = hook_folders()
    assert Path(folder, "hook-doorward.py").is_file()
