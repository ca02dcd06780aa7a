"""The ``doorward`` command: which commands there are, and how each of them ends. What they do stands in their modules.

A command's module is imported only when it is invoked, so that each pays for what it uses and nothing else.
"""

from __future__ import annotations

import errno
import keyword
import logging
import re
import signal
import sys
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

import click

import doorward
from doorward.cli import ending
from doorward.cli.terminal import replace_unprintable, wrapped
from doorward.errors import ConfigurationError, DoorwardError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["application", "run"]

_COMMANDS = {
    "login": ("session", "Sign in, in your browser or with a code."),
    "logout": ("session", "Sign out, and forget the session."),
    "status": ("session", "Show who is signed in, and for how long."),
    "token": ("session", "Print a token that is good for a while."),
    "secret": ("session", "Keep a client's secret in the keyring, or forget it."),
    "client-key": ("session", "Keep the key that a client proves itself with, or change it."),
    "whoami": ("session", "Show who you are to the provider."),
    "doctor": ("doctor", "Look at what a sign-in stands on, and say what helps."),
    "vault": ("session", "Encrypt what is kept on this computer, and see whether it is."),
    "exec": ("helpers", "Run a program with a token in its environment."),
    "curl": ("helpers", "Send a request with a token."),
    "credential": ("helpers", "Give a token to git, docker, kubectl or AWS, as each asks for it."),
    "export": ("held", "Show everything that is held here, without the secrets."),
    "forget": ("held", "Remove everything that is held here about somebody."),
    "import": ("held", "Go on with a session that another program has kept."),
    "fetch": ("institution", "Fetch papers by their addresses, and keep what is a PDF."),
    "institution": ("institution", "Sign in at a university or library, with the browser you have."),
    "explain": ("guard", "Say why a guard accepts or refuses a token."),
    "audit": ("guard", "Check and read an audit log, of a guard or of this computer."),
    "keys": ("guard", "Make, list, rotate and revoke the API keys of a service."),
    "demo": ("demo", "Watch a sign-in, a call and six forgeries, on this computer."),
    "issuer": ("demo", "Run an OpenID provider for development, on this computer."),
    "completion": ("", "Print what lets your shell complete commands and options."),
}

_EPILOG = """\b
Exit codes:
  0  done
  1  failed, or stopped with Ctrl-C
  2  the command line or a setting is wrong
  3  a person has to sign in: doorward login
  4  the provider or the vault is out of reach for now; nothing was changed

\b
Environment:
  DOORWARD_PROFILE        the profile, where --profile is not given
  DOORWARD_HOME           the folder for everything Doorward keeps
  DOORWARD_VAULT_KEY_FILE, DOORWARD_VAULT_PASSPHRASE
                          what a sealed vault is opened with, beside a keyring
  DOORWARD_CLIENT_SECRET  a confidential client's secret
  DOORWARD_KEYS_DB        the database of API keys, where --db is not given
  DOORWARD_API_KEY_PEPPER what their digests are keyed with
  DOORWARD_CLIENT_KEY_NAME
                          the key of a client that signs, by its name
  DOORWARD_CLIENT_CERTIFICATE, DOORWARD_CLIENT_CERTIFICATE_KEY
                          files of a client's certificate for TLS, and its key
  DOORWARD_CLIENT_KEY_FILE, DOORWARD_CLIENT_KEY_ALG, DOORWARD_CLIENT_KEY_ID
                          the same, in a file
  DOORWARD_AUDIT_KEY      the key of an audit log's chain
  DOORWARD_RECORD         the file for a record of what Doorward does here
  DOORWARD_BROWSER        the browser to sign in at an institution with
  DOORWARD_INSTITUTION    the one that fetch takes by itself
  NO_COLOR                no colours
  DOORWARD_DEBUG=1        show where Doorward made a mistake
"""


_PASS_ON = frozenset({"curl", "exec"})
"""They have words that are another program's, which may be empty."""

_ENDS = (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))

_EMPTY_OPTION = re.compile(r"--[a-z-]+=")
_OPTION_BESIDE = re.compile(r"\w+=True \((--[a-z-]+)\)")
"""A keyword of Python with the option that does the same."""

_OUTPUT_LOST = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""How writing to standard output fails. The vault's own such errors come as StoreError."""


class _LazyGroup(click.Group):
    """A group that knows its commands' names and first lines without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in _COMMANDS:
            return None
        room, text = _COMMANDS[cmd_name]
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name.replace("-", "_")
        command: click.Command = import_module(".".join(filter(None, (__package__, room, module)))).command
        command.short_help = text  # as the shell shows it beside the name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:  # click knows of no command that has not been imported
            raise click.exceptions.NoSuchCommand(args[0], possibilities=_COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(doorward.__version__, message="doorward %(version)s")
def application() -> None:
    """Sign in once, keep the session safe, and use it from anywhere.

    Commands that print results take --json. Start with: doorward login ISSUER --client-id ID
    """


class _Lines(logging.Formatter):
    """Breaks what is logged at the width of the terminal, as all else is."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.exc_info else wrapped(text, sys.stderr)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Of SIG_IGN, Python complains where the signal has come already."""


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through every ``finally`` when told to end: no temporary folder and no listener stays behind.

    A terminal that goes away sends SIGHUP after its shell's SIGTERM: that breaks nothing off. The same signal again,
    or Ctrl-C, ends us at once.
    """
    for end in _ENDS:
        signal.signal(end, signal.SIG_DFL if end == number else _ignore)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise SystemExit(128 + number)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Lets through only KeyboardInterrupt and a lost output."""
    replace_unprintable()
    for end in _ENDS:
        if signal.getsignal(end) is signal.SIG_DFL:  # nohup ignores it, and means it
            signal.signal(end, _end)
    told = logging.StreamHandler()
    told.setFormatter(_Lines("doorward: %(message)s"))
    logging.basicConfig(handlers=[told], level=logging.WARNING)
    try:
        _refuse_empty(arguments)
        status = application.main(args=list(arguments), prog_name="doorward", standalone_mode=False)
    except click.exceptions.Abort:
        return ending.stopped(arguments)
    except click.exceptions.NoArgsIsHelpError as error:  # a group alone
        click.echo(error.ctx.get_help())
        return 0
    except click.ClickException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "doorward")
        message = " ".join(error.format_message().split()).removesuffix(".")
        return ending.usage(f"{message}{'' if message.endswith('?') else '.'} See: {where} --help", arguments)
    except DoorwardError as error:
        return ending.failed(_in_words_typed(error, arguments), arguments)
    except Exception as error:  # the last resort: a person sees no traceback
        if isinstance(error, OSError) and error.errno in _OUTPUT_LOST:
            raise
        return ending.unexpected(error, arguments)
    return status if isinstance(status, int) else 0


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse what was given empty, as by ``"$DB"`` without a DB: it never means what is taken where nothing is given.

    Raises:
        UsageError: Something was.
    """
    if arguments[:1] and arguments[0] in _PASS_ON:
        return
    for before, word in pairwise(["doorward", *arguments]):
        if word == "" or _EMPTY_OPTION.fullmatch(word):
            after = word[:-1] or printable(before)
            raise click.UsageError(f"What follows {after} is empty: is a variable not set? Give it, or leave it out.")


def _in_words_typed(error: DoorwardError, arguments: Sequence[str]) -> DoorwardError:
    """Return the error with the option that the person typed, where its message names a parameter of Python."""
    if not isinstance(error, ConfigurationError):
        return error
    error = ConfigurationError(_OPTION_BESIDE.sub(r"\1", error.message), field=error.field, reason=error.reason)
    command: click.Command | None = application
    for word in arguments:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    for parameter in command.params if command else ():
        if parameter.name == error.field and isinstance(parameter, click.Option):
            message = re.sub(rf"(?<!\S){re.escape(error.field)}\b", parameter.opts[0], error.message)
            return ConfigurationError(message, field=parameter.opts[0], reason=error.reason)
    return error
