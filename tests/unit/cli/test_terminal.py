"""Lines for people and programs: whole where no terminal is, fitting where one is."""

from __future__ import annotations

import json

import pytest

from doorward.cli.terminal import _shortened, print_facts, print_json, print_table, print_text, wrapped


def test_a_table_without_a_terminal_is_aligned_plain_and_whole(capsys):
    issuer = "id.example.org/" + "x" * 200
    print_table(("A", "ISSUER", "C"), [("1", issuer, "é"), ("long one", "short", "漢字")], shorten=1)
    header, first, second = capsys.readouterr().out.splitlines()
    assert first == f"1         {issuer}  é"
    assert second.startswith("long one  short  ")
    assert header.index("C") == first.index("é")
    assert header == header.rstrip()


@pytest.mark.parametrize(
    "rows",
    [
        [("1", "short"), ("long one", "")],
        [("", " leading and trailing "), ("é", "漢字"), ("", "")],
        [("[bold]x[/]", ":smile: https://id.example.org"), ("\u0301a", "☺️ \U0001f600")],
        [("1", "x" * 200)],
        [("1", "x" * 11_000), ("2", "y")],
        [("tab\there", "line\nbreak"), ("\x1b[31m", "x\u202e")],
    ],
)
def test_without_a_terminal_it_is_what_rich_prints(rows, capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    print_table(("A", "B"), rows, shorten=1)
    print_facts(rows)
    plain = capsys.readouterr().out

    monkeypatch.setenv("TTY_COMPATIBLE", "0")  # has rich decide, and find no terminal
    print_table(("A", "B"), rows, shorten=1)
    print_facts(rows)
    assert plain == capsys.readouterr().out


def test_facts_stand_beneath_each_other(capsys):
    print_facts([("Issuer", "https://id.example.org"), ("E-mail", "[b]x[/b]")])
    assert capsys.readouterr().out == "Issuer  https://id.example.org\nE-mail  [b]x[/b]\n"


@pytest.mark.parametrize("width", [18, 19, 30, 59])
def test_a_shortened_address_keeps_its_ends(width):
    text = "login.example.org/0f6dd5a2-52c8-4c3f-9f5b-3a1d2c4b5e6f/v2.0"
    short = _shortened(text, width)
    assert len(short) == min(width, len(text))
    assert short.startswith("login.ex")
    assert short.endswith("/v2.0")
    assert ("…" in short) == (width < len(text))


def test_a_sentence_is_broken_on_a_terminal_alone(capsys, monkeypatch):
    text = "word " * 40 + "https://id.example.org/" + "x" * 120
    print_text(text)
    assert capsys.readouterr().out == f"{text}\n"

    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "60")
    lines = wrapped(text, Terminal()).splitlines()
    assert max(map(len, lines[:-1])) <= 60
    assert lines[-1].startswith("https://"), "an address stays in one piece"


def test_json_is_ascii(capsys):
    print_json({"email": "ä\x1b[31m\u202e\x9b"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"email": "ä\x1b[31m\u202e\x9b"}
