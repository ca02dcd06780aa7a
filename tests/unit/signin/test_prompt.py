from __future__ import annotations

import io
import os
import pty
from contextlib import closing
from typing import TYPE_CHECKING

from doorward.signin.prompt import TerminalPrompt, read_line_now

if TYPE_CHECKING:
    import pytest


def told(*, device_offered: bool) -> str:
    stream = io.StringIO()
    prompt = TerminalPrompt(stream)
    prompt.open_yourself(
        "https://id.example.org/a", why="No.", redirect_uri="http://127.0.0.1:1/c", device_offered=device_offered
    )
    return stream.getvalue()


def test_pasting_is_offered_where_a_line_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "wb", 0) as keyboard, os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "paste" in told(device_offered=False)
        assert read_line_now() is None
        keyboard.write(b"http://127.0.0.1:1/c?code=x\n")
        assert read_line_now() == "http://127.0.0.1:1/c?code=x"


def test_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin in (None, io.StringIO("a line\n")):
        monkeypatch.setattr("sys.stdin", stdin)
        assert "paste" not in told(device_offered=True)
        assert "device" in told(device_offered=True)
        assert read_line_now() is None
    with closing(io.StringIO()) as gone:
        monkeypatch.setattr("sys.stdin", gone)
    assert not TerminalPrompt(io.StringIO()).attended
