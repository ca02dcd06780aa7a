"""Every command line on a page is one that exists, with the options and arguments it is shown with."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from markdown_pages import PAGES, ROOT, blocks_of

from doorward.cli.app import application

COMMANDS = [block for page in PAGES for block in blocks_of(page) if block.language == "sh"]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

# What belongs to the system, or is a variable: nothing of ours to check.
OTHERS = {"cd", "curl", "echo", "export", "git", "sed"}


def simple_commands(text):
    """Take a script apart, as far as our pages go: pipes, lists, and commands within ``$(…)``."""
    inner = re.findall(r"\$\(([^()]*)\)", text)
    outer = re.sub(r"\$\([^()]*\)", "SUBSTITUTED", text)
    for part in (*inner, *outer.splitlines()):
        lexer = shlex.shlex(part, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, "|"]:
            if set(word) <= set("|&;"):
                if words:
                    yield words
                words = []
            elif words or not re.fullmatch(r"\w+=.*", word):
                words.append(word)


def check_doorward(arguments):
    """Parse them as the command line does, and run nothing."""
    command = application
    context = click.Context(command, info_name="doorward")
    while isinstance(command, click.Group):
        name, *arguments = arguments
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context(command.name, list(arguments))


def check_script(text, folder):
    for words in simple_commands(text):
        check(words, folder)


def check(words, folder):
    program, *arguments = words
    if program == "doorward":
        check_doorward(arguments)
    elif program == "make":
        assert {each for each in arguments if "=" not in each} <= TARGETS
    elif program == "pip":
        extras = [name for each in arguments for name in ",".join(re.findall(r"\[(.*)\]", each)).split(",") if name]
        assert set(extras) <= EXTRAS.keys()
    elif program in ("python", "pytest", "scripts/check", "scripts/test", ".venv/bin/pip"):
        scripts = [each for each in words if re.search(r"\.py$|^scripts/", each)]
        assert all((ROOT / each).exists() or (folder / each).exists() for each in scripts), words
    elif program == "uvicorn":
        assert (folder / arguments[0].partition(":")[0]).with_suffix(".py").exists()
    else:
        assert program in OTHERS, f"unknown here: {program}"


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_command_lines_are_as_they_are_written(block):
    check_script(block.text, (ROOT / block.page).parent)


@pytest.mark.parametrize(
    "wrong",
    [
        "doorward sing-in https://id.example.org",
        "doorward login https://id.example.org --no-such-option",
        "doorward keys create",
        'echo "$(doorward token --nonsense)" | cat',
        "make nothing",
        "pip install 'doorward[nothing]'",
    ],
)
def test_a_wrong_command_line_is_found(wrong):
    with pytest.raises((AssertionError, click.UsageError)):
        check_script(wrong, Path("/"))


def test_every_block_says_its_language():
    languages = {block.language for page in PAGES for block in blocks_of(page)}
    assert languages <= {"python", "sh", "text", "toml"}
