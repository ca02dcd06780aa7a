"""What the prompt draws, on terminals of several sizes and where there is none."""

from __future__ import annotations

import io
import re

import pytest
import segno
from rich.console import Console

from doorward.cli.session import prompt as prompt_module
from doorward.cli.session.prompt import TerminalPrompt
from doorward.model import Secret
from doorward.protocol.token_endpoint import DeviceAuthorization
from doorward.system import SystemClock

COMPLETE = "https://id.example.org/device?user_code=WDJB-MJHT"


def authorization(**fields):
    values = {
        "device_code": Secret("planted-device-code"),
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://id.example.org/device",
        "verification_uri_complete": COMPLETE,
        "expires_at": SystemClock().now() + 600,
        "interval_s": 5,
    }
    return DeviceAuthorization(**{**values, **fields})


@pytest.fixture
def screen(monkeypatch):
    """Make a prompt that draws on a terminal of a given size, and what it drew."""

    def make(columns=80, rows=24, *, terminal=True):
        paper = io.StringIO()
        console = Console(
            file=paper,
            width=columns,
            height=rows,
            force_terminal=terminal,
            no_color=True,
            highlight=False,
            markup=False,
        )
        monkeypatch.setattr(prompt_module, "make_console", lambda **_: console)
        return TerminalPrompt(issuer="https://id.example.org", timeout_s=300, clock=SystemClock()), paper

    return make


def text_of(paper: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", paper.getvalue())


def squares(lines: list[str]) -> list[list[int]]:
    """Read a drawn QR code back: 1 is dark. Ink is light, so that it is right on a dark ground."""
    halves = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = []
    for line in lines:
        upper, lower = zip(*(halves[character] for character in line), strict=True)
        rows += [list(upper), list(lower)]
    return rows


def test_the_qr_code_is_that_of_the_complete_address(screen):
    prompt, paper = screen()
    with prompt:
        prompt.device_code(authorization())
    expected = [list(row) for row in segno.make_qr(COMPLETE, error="l").matrix_iter(border=2)]
    width = len(expected[0])
    drawn = [line[2 : 2 + width] for line in text_of(paper).splitlines() if line[2:3] == "█"]
    assert squares(drawn)[: len(expected)] == expected


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (60, 24), (80, 12), (20, 24)])
def test_a_device_sees_code_and_address_whatever_the_size(screen, columns, rows):
    prompt, paper = screen(columns, rows)
    with prompt:
        prompt.device_code(authorization())
    drawn = paper.getvalue()
    assert "WDJB-MJHT" in drawn
    assert "https://id.example.org/device" in drawn
    assert ("▀" in drawn) == (columns >= 80 and rows >= 24)
    assert "planted" not in drawn


def test_an_address_too_long_for_its_place_takes_the_place_of_the_picture(screen):
    prompt, paper = screen()
    long = f"https://id.example.org/{'device/' * 10}"
    with prompt:
        prompt.device_code(authorization(verification_uri=long))
    assert f"\n{long}\n" in text_of(paper), "in one piece, to be copied"
    assert "▀" not in paper.getvalue()


def test_an_address_too_long_for_a_qr_code_is_still_shown(screen):
    prompt, paper = screen(200, 100)
    with prompt:
        prompt.device_code(authorization(verification_uri_complete=COMPLETE + "x" * 5000))
    assert "https://id.example.org/device" in paper.getvalue()
    assert "▀" not in paper.getvalue()


def test_a_quiet_prompt_says_nothing_and_is_not_attended(capsys):
    prompt = TerminalPrompt(issuer="https://id.example.org", timeout_s=1, clock=SystemClock(), quiet=True)
    with prompt:
        prompt.browser_opened("https://id.example.org")
        prompt.device_code(authorization())
    assert capsys.readouterr() == ("", "")
    assert not prompt.attended


def test_without_a_terminal_there_are_plain_lines(screen):
    prompt, paper = screen(10_000, terminal=False)
    with prompt:
        prompt.device_code(authorization())
    assert paper.getvalue() == (
        "On any device, open this address:\n\nhttps://id.example.org/device\n\nand enter this code:\n\nWDJB-MJHT\n\n"
        "Waiting for you to enter it, for 5 min at most…\n"
    )


def test_the_address_is_never_broken(screen):
    address = f"https://id.example.org/authorize?state={'x' * 300}"
    prompt, paper = screen(40)
    with prompt:
        prompt.browser_opened(address)
        prompt.open_yourself(address, why="No browser here.", redirect_uri="http://127.0.0.1:1/", device_offered=True)
    assert text_of(paper).count(f"\n{address}\n") == 2
    assert "--device" in paper.getvalue()


def test_markup_and_emoji_names_from_outside_stay_text(screen):
    prompt, paper = screen()
    prompt.callback_refused("[bold]state[/bold] :smiley:")
    assert "[bold]state[/bold] :smiley:" in paper.getvalue().replace("\n", " ")


def test_another_sign_in_is_named_with_what_to_do(screen):
    prompt, paper = screen()
    with prompt:
        prompt.waiting_for_another("work", 300)
        prompt.browser_opened("https://id.example.org/authorize")  # the other one ended without
    said = " ".join(text_of(paper).split())
    assert "Another program is signing in as profile work now. Finish that sign-in" in said
    assert "or give another --profile" in said
    assert "Waiting for the other sign-in" in said
