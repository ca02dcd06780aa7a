"""``doorward exec``: run a program with a token in its environment, and in nobody else's."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from doorward.children import for_a_program
from doorward.cli.options import profile_option
from doorward.cli.terminal import print_note
from doorward.errors import ConfigurationError, printable
from doorward.signin.handing.tokens import hand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["command"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NOT_FOUND, _NOT_RUN = 127, 126
"""What shells, env and nohup say of a program that is not there, and of one that can't be run."""


@click.command("exec", context_settings={"allow_interspersed_args": False})
@profile_option
@click.option(
    "--var",
    "variable",
    metavar="NAME",
    default="BEARER_TOKEN",
    show_default=True,
    help="The variable that holds the token.",
)
@click.option("--id", "id_token", is_flag=True, help="The ID token instead of the access token.")
@click.argument("program", metavar="CMD…", nargs=-1, required=True, type=click.UNPROCESSED)
def command(*, profile: str, variable: str, id_token: bool, program: Sequence[str]) -> NoReturn:
    """Run CMD with a token in its environment, and in no other.

    The program takes the place of this one: terminal, signals and exit code are its own. The token is good for a while,
    and is not renewed while CMD runs.

    For example:  doorward exec --var GITLAB_TOKEN -- glab repo list
    """
    if not _VARIABLE.fullmatch(variable):
        message = "--var must be the name of a variable: letters, digits and _, such as API_TOKEN."
        raise ConfigurationError(message, field="--var", reason="bad_variable")
    token = hand(profile, "id" if id_token else "access", to=program[0], by="exec").token
    try:
        _become(program, {**for_a_program(os.environ), variable: token.reveal()})
    except OSError as error:
        print_note(f"doorward: {printable(program[0])} can't be run: {error.strerror}.")
        raise SystemExit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN) from None


def _become(program: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":  # its exec starts another process and ends, so that a shell does not wait
        import subprocess

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the console sends Ctrl-C to both
        raise SystemExit(subprocess.run(program, env=environment, check=False).returncode)  # noqa: S603 - as told
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and what is ignored stays so
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execvpe(program[0], list(program), dict(environment))  # noqa: S606 - no shell is wanted
