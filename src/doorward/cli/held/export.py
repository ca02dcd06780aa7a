"""``doorward export``: everything that is held about a person here, each secret masked."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.ending import error_object
from doorward.cli.held.holdings import all_holdings, choosing, chosen
from doorward.cli.options import json_option
from doorward.cli.session.credentials import secret_source
from doorward.cli.terminal import print_facts, print_json, print_line, print_text
from doorward.errors import DoorwardError, printable
from doorward.vault.folders import config_folder
from doorward.vault.sealing.gate import read_seal
from doorward.vault.settings_file import SETTINGS_FILE
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.cli.held.holdings import Holding

__all__ = ["command"]


@click.command("export")
@choosing
@json_option
def command(*, profile: str | None, institution: str | None, every: bool, as_json: bool) -> None:
    """Show everything that is held here, as for data protection: of one profile or institution, or of all.

    A secret shows as <secret>, never in part. Nothing is changed, and no provider is asked.
    """
    vault = Vault()
    named = chosen(vault, profile=profile, institution=institution, every=every)
    shown = [_shown(each) for each in (all_holdings(vault) if named is None else named)]
    settings = os.path.join(config_folder(), SETTINGS_FILE)  # noqa: PTH118 - the vault's paths are texts
    about: dict[str, Any] = {
        "vault": vault.folder,
        "sealed": read_seal(vault.folder) is not None,
        "settings": settings if os.path.exists(settings) else None,  # noqa: PTH110 - the same
    }
    if as_json:
        print_json({**about, "held": shown})
        return
    print_facts([(name, _text(value)) for name, value in about.items() if value is not None])
    for each in shown:
        print_line("")
        print_facts(_facts(each))
    if not shown:
        print_text("Nothing is held about anybody.")


def _shown(holding: Holding) -> dict[str, Any]:
    entry = holding.read()
    failed = isinstance(entry, DoorwardError)
    shown: dict[str, Any] = {
        holding.noun: holding.name,
        "entry": None if failed or entry is None else entry.masked(),
        "files": holding.shelf.paths_of(holding.name),
    }
    if failed:
        shown["error"] = error_object(entry)
    client = holding.client(entry)
    if client is not None:
        shown["client_secret"] = secret_source(client.issuer, client.client_id)
    return shown


def _facts(shown: dict[str, Any]) -> list[tuple[str, str]]:
    """Return all of it as names and values, a line each. What is not there gets none."""
    facts = []
    for name, value in {**shown, **(shown["entry"] or {})}.items():
        if name == "error":
            facts.append((name, value["message"]))
        elif name != "entry" and value not in (None, [], ""):
            several = value if isinstance(value, list) else [value]
            facts += [(name, _text(each)) for each in several]
    return facts


def _text(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value))
