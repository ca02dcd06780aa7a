from __future__ import annotations

import io
import os
import pty
import select
import termios
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from doorward.signin.prompt import TerminalPrompt, read_line_now, stop_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
        stop_reading()


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], str | None]]:
    """Type at the terminal, and read what there is."""
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "r+b", 0) as keyboard, os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        before = termios.tcgetattr(terminal)
        assert read_line_now() is None

        def type_and_read(keys: bytes) -> str | None:
            def echo() -> None:  # nobody could type on while nobody reads what is echoed
                while select.select([controller], [], [], 0.2)[0]:
                    os.read(controller, 65_536)

            echoing = threading.Thread(target=echo)
            echoing.start()
            line = None
            while keys:
                keys = keys[keyboard.write(keys[:1000]) :]
                line = read_line_now() or line
            echoing.join()
            return line or read_line_now()

        yield type_and_read
        stop_reading()
        assert termios.tcgetattr(terminal) == before


def test_a_line_of_any_length_is_read_whole(typing: Callable[[bytes], str | None]) -> None:
    """A terminal that edits lines itself keeps 4095 characters of each."""
    pasted = b"http://127.0.0.1:1/c?state=s&code=" + b"x" * 20_000
    assert typing(pasted + b"\n") == pasted.decode()


def test_what_is_typed_has_a_bound(typing: Callable[[bytes], str | None]) -> None:
    assert typing(b"x" * 262_145 + b"\n") is None
    assert typing(b"\x15right\n") == "right"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"abx\x7fc\n", "abc"),
        (b"abx\x08c\r", "abc"),
        (b"wrong\x15right\n", "right"),
        (b"\x7fa\n", "a"),
        (b"\n", None),
        (b"not yet", None),
        (b"one address,\n  broken into lines\n", "oneaddress,brokenintolines"),
    ],
)
def test_lines_are_edited_as_terminals_do(typing: Callable[[bytes], str | None], keys: bytes, line: str | None) -> None:
    assert typing(keys) == line


def test_an_unfinished_line_goes_on(typing: Callable[[bytes], str | None]) -> None:
    assert typing(b"half") is None
    assert typing(b" a line\nand") == "halfaline"
    assert typing(b" more\n") == "andmore"


def test_in_the_background_the_terminal_is_left_alone(
    typing: Callable[[bytes], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read there, or to set its mode, would stop the process."""
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    assert typing(b"a line\n") is None
    monkeypatch.undo()


def test_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin in (None, io.StringIO("a line\n")):
        monkeypatch.setattr("sys.stdin", stdin)
        assert "paste" not in told(device_offered=True)
        assert "device" in told(device_offered=True)
        assert read_line_now() is None
    with closing(io.StringIO()) as gone:
        monkeypatch.setattr("sys.stdin", gone)
    assert not TerminalPrompt(io.StringIO()).attended
