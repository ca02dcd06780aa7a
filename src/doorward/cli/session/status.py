"""``doorward status``: what the vault holds, without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from doorward.cli.ending import error_object
from doorward.cli.options import json_option
from doorward.cli.terminal import print_json, print_table, print_text
from doorward.cli.view import access_in_words, entry_object, renewal_in_words, who
from doorward.errors import DoorwardError, printable
from doorward.system import SystemClock
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.vault.entries import ProfileEntry

__all__ = ["command"]

_HEADER = ("PROFILE", "WHO", "ISSUER", "ACCESS TOKEN", "RENEWAL")
_ISSUER = 2


@click.command("status")
@json_option
def command(*, as_json: bool) -> None:
    """Show every profile: who is signed in where, and for how long. No network is used."""
    now = SystemClock().now()
    entries, broken = _read()
    if as_json:
        listed: list[dict[str, Any]] = [entry_object(entry, now=now) for entry in entries]
        listed += [{"profile": profile, "error": error_object(error)} for profile, error in broken]
        print_json(sorted(listed, key=lambda each: str(each["profile"])))
        return
    if entries:
        print_table(_HEADER, [_row(entry, now=now) for entry in entries], shorten=_ISSUER)
    for profile, error in broken:
        print_text(f"{profile}: {error.message}")
    if not entries and not broken:
        print_text("Nobody is signed in. Sign in with: doorward login ISSUER --client-id ID")


def _read() -> tuple[list[ProfileEntry], list[tuple[str, DoorwardError]]]:
    """Read every profile. One that can't be read hides none of the others."""
    vault = Vault()
    entries, broken = [], []
    for profile in vault.names():
        try:
            entry = vault.get(profile)
        except DoorwardError as error:
            broken.append((profile, error))
        else:
            if entry is not None:  # signed out in between
                entries.append(entry)
    return entries, broken


def _row(entry: ProfileEntry, *, now: float) -> tuple[str, ...]:
    issuer = printable(entry.issuer.removeprefix("https://"))
    return entry.profile, who(entry), issuer, access_in_words(entry, now=now), renewal_in_words(entry, now=now)
