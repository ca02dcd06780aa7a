"""What is said to somebody who typed something odd, in the words that they typed."""

from __future__ import annotations

import pytest

from doorward.cli.app import run


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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell, capsys):
    assert run(["completion", shell]) == 0
    assert f"_DOORWARD_COMPLETE={shell}_complete" in capsys.readouterr().out
