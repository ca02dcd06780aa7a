"""What is said to somebody who typed something odd, in the words that they typed."""

from __future__ import annotations

import logging

import pytest

from doorward.cli.app import _Lines, run


@pytest.mark.parametrize("group", ["", "audit", "institution", "keys"])
def test_a_group_alone_prints_its_help(group, capsys):
    assert run([group] if group else []) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"Usage: doorward {group}".rstrip())
    assert "\nCommands:\n" in said.out
    assert not said.err


@pytest.mark.parametrize(
    ("typed", "meant"), [(["logn"], "'login'"), (["statsu"], "'status'"), (["keys", "lst"], "'list'")]
)
def test_a_misspelt_command_is_told_which_was_meant(typed, meant, capsys):
    assert run(typed) == 2
    assert meant in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (["--timeout", "-3"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),
        (["--scope", ""], "--scope"),
        (["--port", "99999"], "--port"),
        (["--redirect-uri", "https://app.example.org/"], "--redirect-uri"),
    ],
)
def test_a_wrong_option_is_called_what_was_typed(options, option, capsys):
    assert run(["login", "https://id.example.org", "--client-id", "cli", *options]) == 2
    said = capsys.readouterr().err.partition(" See: ")[0]
    assert option in said
    assert "_s" not in said, "no parameter of Python"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("login.acme.example", "https://login.acme.example"),
        ("http://login.acme.example/realms/x", "https://login.acme.example/realms/x"),
        ("ftp://login.acme.example", "https://id.example.org"),
    ],
)
def test_an_address_that_lacks_https_is_given_back_with_it(typed, meant, capsys):
    assert run(["login", typed, "--client-id", "cli"]) == 2
    assert f"such as {meant}" in capsys.readouterr().err


@pytest.mark.parametrize("typed", [["completion"], ["status", "extra"], ["issuer", "--port", "x"]])
def test_what_is_wrong_is_one_line_that_ends_where_help_is(typed, capsys):
    assert run(typed) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("doorward: ")
    assert f". See: doorward {typed[0]} --help" in line


@pytest.mark.parametrize(
    ("typed", "after"),
    [
        (["login", "", "--client-id", "cli"], "login"),
        (["login", "https://id.example.org", "--client-id="], "--client-id"),
        (["keys", "create", "bot", "--db", ""], "--db"),
        (["secret", "set", ""], "set"),
        (["vault", "seal", "--key-file", ""], "--key-file"),
        (["explain", "--config", "", "x"], "--config"),
    ],
)
def test_an_empty_argument_is_not_taken_for_none(typed, after, capsys, doorward_home):
    """``doorward keys create bot --db "$DB"`` without a DB would else go to a database that was not meant."""
    assert run(typed) == 2
    assert f"What follows {after} is empty" in capsys.readouterr().err
    assert not doorward_home.exists()


@pytest.mark.parametrize("typed", [["exec", "--", "true", ""], ["curl", "-d", "", "https://api.example.org"]])
def test_an_empty_word_of_another_program_is_passed_on(typed, capsys):
    assert run(typed) == 3  # nobody is signed in
    assert "is empty" not in capsys.readouterr().err


@pytest.mark.parametrize("typed", [["token", "--least-life", "2h"], ["login", "--timeout", "x"]])
def test_seconds_are_asked_for_in_words(typed, capsys):
    assert run(typed) == 2
    said = capsys.readouterr().err
    assert f"'{typed[1]}'" in said
    assert "Give seconds, such as 600." in said
    assert "float" not in said


def test_a_question_ends_in_one_mark(capsys):
    assert run(["tokn"]) == 2
    assert "Did you mean 'token'? See: doorward --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    "typed", [["login", "http://127.0.0.1:1", "--client-id", "x"], ["fetch", "http://127.0.0.1:1/a"]]
)
def test_a_remedy_is_an_option_and_no_keyword_of_python(typed, capsys):
    assert run(typed) == 2
    said = capsys.readouterr().err
    assert "--insecure-loopback-http" in said
    assert "=True" not in said


@pytest.mark.parametrize("group", [[], ["vault"], ["keys"], ["audit"], ["institution"], ["secret"], ["token"]])
def test_help_fits_80_columns_and_breaks_no_sentence_off(group, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*group, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines[1:] if line.endswith("...")]


def test_what_is_logged_is_broken_as_all_else_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    record = logging.LogRecord("doorward", logging.WARNING, "", 0, "%s", ("a word " * 30,), None)
    assert max(map(len, _Lines("doorward: %(message)s").format(record).splitlines())) <= 80


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell, capsys):
    assert run(["completion", shell]) == 0
    assert f"_DOORWARD_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_zsh_completes_where_nothing_has_set_completion_up(capsys):
    run(["completion", "zsh"])
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "#compdef doorward", "by this zsh finds the script among its own"
    assert "compinit" in second


@pytest.mark.parametrize("words", ["doorward ", "doorward vault "])
def test_the_shell_shows_whole_sentences(words, monkeypatch, capsys):
    typed = {"_DOORWARD_COMPLETE": "fish_complete", "COMP_WORDS": words, "COMP_CWORD": ""}
    for name, value in typed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        run([])
    told = capsys.readouterr().out
    assert "seal" in told or "vault" in told
    assert "..." not in told
