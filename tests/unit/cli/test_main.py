"""The console script: what even it does not foresee ends in one line."""

from __future__ import annotations

import io
import sys

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
