"""Lines for people and programs: whole where no terminal is, fitting where one is."""

from __future__ import annotations

import json
import re

import pytest

from doorward.cli.terminal import _shortened, print_facts, print_json, print_json_list, print_table, print_text, wrapped


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


def test_a_long_table_has_one_header_and_takes_its_rows_as_it_goes(capsys):
    taken = []

    def rows():
        for number in range(2500):
            taken.append(number)
            yield str(number), "b", "c"

    print_table(("A", "ISSUER", "C"), rows(), shorten=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["A", "ISSUER", "C"], *([str(each), "b", "c"] for each in taken)]
    assert len({line.index("c") for line in lines[1001:]}) == 1


def test_a_long_table_keeps_its_columns_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table(("A", "ISSUER", "C"), ((str(9 * 10**9 // 10**n), "b" * 80, "c") for n in range(10)), shorten=1)
    short = capsys.readouterr().out.splitlines()
    assert "…" in short[1]
    print_table(("A", "ISSUER", "C"), [("a" * 20, "b", "c")] * 1000 + [("a", "b", "c")] * 5, shorten=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1006
    assert lines[-1].index("c") == lines[1].index("c")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_row_that_does_not_fit_becomes_a_block(width, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    row = (
        "work",
        "a.very.long.name@department.university.example.org",
        "id.example.org/" + "x" * 60,
        "good for 42 min",
    )
    print_table(("PROFILE", "WHO", "ISSUER", "ACCESS TOKEN"), [row, ("home", "bob", "b.example", "expired")], shorten=2)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].rstrip() == "work"
    assert "  access token  good for 42 min" in map(str.rstrip, lines)
    assert "home" in map(str.rstrip, lines)
    assert row[2] in "".join(line.removeprefix("  issuer").strip() for line in lines), "nothing is left out"


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


@pytest.mark.parametrize("values", [[], [{}], [1, {"a": ["b\n", {}]}]])
def test_a_list_in_json_is_the_same_value_by_value(values, capsys):
    print_json(values)
    whole = capsys.readouterr().out
    print_json_list(iter(values))
    assert capsys.readouterr().out == whole


def test_json_is_ascii(capsys):
    print_json({"email": "ä\x1b[31m\u202e\x9b"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"email": "ä\x1b[31m\u202e\x9b"}
