"""``doorward explain``: why a token is accepted or refused, step by step, for the administrator of a guard."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from doorward.cli.ending import FAILED, UNAVAILABLE
from doorward.cli.options import json_option
from doorward.cli.terminal import make_console, print_json, print_note, print_text, show
from doorward.errors import ConfigurationError
from doorward.guard import Guard
from doorward.guard.explain import explain_alone
from doorward.guard.settings.settings import read_environment, read_file
from doorward.system import SystemClock

if TYPE_CHECKING:
    from doorward.guard.explain import Explanation

__all__ = ["command"]

_LONGEST = 65_536
_STYLES = {"ok": "green", "refused": "bold red", "unavailable": "bold yellow", "note": "dim"}


@click.command("explain")
@click.argument("token", default="-", metavar="[TOKEN]")
@click.option("--config", metavar="FILE", help="The guard's settings, such as guard.toml.")
@click.option("--env", "prefix", metavar="PREFIX", help="Settings from variables such as PREFIX_OIDC_CONFIG instead.")
@json_option
def command(*, token: str, config: str | None, prefix: str | None, as_json: bool) -> int:
    """Say why a guard accepts or refuses a token or an API key. Never prints the token.

    Pipe the token in, or give it as TOKEN (then it shows in the list of processes). Without --config or --env, only
    what the token says of itself is shown. Exits with 0 if it is accepted, 1 if not, 4 if nobody can say now.
    """
    credential = _read(token)
    if config and prefix:
        raise ConfigurationError("--config and --env both name settings: give one of them.", field="config")
    explanation = _explain(credential, config, prefix)
    if as_json:
        print_json(asdict(explanation))
    else:
        _print(explanation)
    if explanation.accepted is None:
        return UNAVAILABLE if explanation.code else FAILED
    return 0 if explanation.accepted else FAILED


def _read(token: str) -> str:
    if token == "-":  # noqa: S105 - standard input
        if sys.stdin.isatty():
            print_note("Paste the token and press Enter:")
        token = sys.stdin.readline(_LONGEST)
    words = token.split()
    token = " ".join(words[1:] if words and words[0].lower() == "bearer" else words)
    if not token:
        message = "There is no token: pipe one in, such as: doorward token | doorward explain"
        raise ConfigurationError(message, field="token", reason="token_missing")
    return token


def _explain(credential: str, config: str | None, prefix: str | None) -> Explanation:
    if config is None and prefix is None:
        return explain_alone(credential, now=SystemClock().now())
    settings = read_file(config) if config is not None else read_environment(prefix or "")
    guard = Guard(**settings.only_reading().arguments())
    try:
        return guard.explain(credential)
    finally:
        guard.close()


def _print(explanation: Explanation) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for step in explanation.steps:
        table.add_row(
            Text(step.name, style="bold"),
            Text("-" if step.outcome == "note" else step.outcome, style=_STYLES[step.outcome]),
            Text(step.text, overflow="fold"),
        )
    show(table, make_console())
    if explanation.accepted:
        print_text("Accepted.")
    elif explanation.accepted is None and not explanation.code:
        print_text("Nothing was verified: give the guard's settings with --config or --env.")
    else:
        verdict = "Nobody can say now" if explanation.accepted is None else "Refused"
        reason = "" if explanation.reason == explanation.code else f", {explanation.reason}"
        print_text(f"{verdict} ({explanation.code}{reason}).")
