"""``doorward forget``: remove everything that is held about a profile or an institution, without asking anybody."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.ending import FAILED
from doorward.cli.held.holdings import all_holdings, choosing, chosen, clients_of
from doorward.cli.options import json_option
from doorward.cli.terminal import print_json, print_text
from doorward.errors import DoorwardError, KeyringLocked, KeyringUnavailable, LockTimeout, printable
from doorward.journal.chain_file import full_files, head_file
from doorward.keyring.problems import NO_KEYRING
from doorward.record.noting import noting
from doorward.record.settings import record_file
from doorward.signin.settings.client_secrets import forget_secret
from doorward.system import SystemClock
from doorward.vault.entries import ProfileEntry
from doorward.vault.files import list_private_files
from doorward.vault.folders import config_folder
from doorward.vault.sealing.changing import Sealing
from doorward.vault.sealing.marks import SEAL_FILE
from doorward.vault.settings_file import SETTINGS_FILE
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.cli.held.holdings import Client, Holding

__all__ = ["command"]

_LOCK_TIMEOUT_S = 5.0


@click.command("forget")
@choosing
@click.option("--seal", "with_seal", is_flag=True, help="With --all: the seal of the vault and its key as well.")
@click.option("--record", "with_record", is_flag=True, help="With --all: the record of what was done here as well.")
@json_option
def command(  # noqa: PLR0913 - the options of the command, all by keyword
    *, profile: str | None, institution: str | None, every: bool, with_seal: bool, with_record: bool, as_json: bool
) -> int:
    """Remove everything that is held here about a profile or an institution, also what can't be read any more.

    No provider is asked, so that it works without a network: to have a session revoked there too, sign out first, with
    doorward logout. A client's secret goes from the keyring unless another profile needs it.
    """
    if (with_seal or with_record) and not every:
        raise click.UsageError("--seal and --record go with --all")
    vault = Vault()
    holdings = chosen(vault, profile=profile, institution=institution, every=every)
    if holdings is None:
        raise click.UsageError("Say what to forget: --profile NAME, --institution NAME, or --all")
    gone = {(each.noun, each.name.lower()) for each in holdings}
    needed = clients_of(each for each in all_holdings(vault) if (each.noun, each.name) not in gone)
    forgotten = [_noted(each, needed) for each in holdings]
    problem = _drop_seal(vault) if with_seal else None
    if with_record:
        _remove_record()
    failed = problem is not None or any(each.problem for each in forgotten)
    if as_json:
        print_json(
            {
                "forgotten": [each.to_object() for each in forgotten],
                "provider_asked": False,
                "stays": _what_stays(vault, every=every),
                "problem": problem,
            }
        )
        return FAILED if failed else 0
    told = [each for each in forgotten if each.removed or each.secret == "removed" or each.problem]  # noqa: S105 - no secret
    for each in told:
        print_text(each.in_words())
    if not told:
        print_text("Nothing was held.")
    if problem:
        print_text(problem)
    if any(each.removed for each in forgotten):
        print_text(
            "No provider was asked. Whoever has a copy of what was here can use it until it expires; you may still be "
            "signed in in your browser."
        )
    for what, why in _what_stays(vault, every=every).items():
        print_text(f"{printable(what)} stays: {why}")
    return FAILED if failed else 0


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """What became of one. ``secret``: ``removed``, ``kept`` as another profile needs it, ``unknown``, or empty."""

    noun: str
    name: str
    removed: bool
    secret: str = ""
    problem: str | None = None

    def in_words(self) -> str:
        what = f"{self.noun.capitalize()} {self.name}"
        said = [f"{what}: everything that was held here is removed." if self.removed else f"{what}: nothing was held."]
        if self.problem is not None:
            said = [f"{what} is not all removed: {self.problem}"]
        return " ".join([*said, *filter(None, [_SECRET_IN_WORDS.get(self.secret)])])

    def to_object(self) -> dict[str, Any]:
        return {
            self.noun: self.name,
            "removed": self.removed,
            "client_secret": self.secret or None,
            "problem": self.problem,
        }


_SECRET_IN_WORDS = {
    "removed": "Its client's secret is removed from the keyring.",
    "kept": "Its client's secret stays in the keyring, since another profile needs it.",
    "unknown": (
        "Which client it had can't be read any more; if the keyring has its secret: doorward secret forget ISSUER "
        "--client-id ID"
    ),
}


def _noted(holding: Holding, needed: set[Client]) -> _Forgotten:
    about = {holding.noun: holding.name}
    with noting("forget", profile=about.get("profile"), institution=about.get("institution")) as ended:
        forgotten = _forget(holding, needed)
        ended["result"] = "not_all" if forgotten.problem else "removed" if forgotten.removed else "not_held"
        return forgotten


def _forget(holding: Holding, needed: set[Client]) -> _Forgotten:
    client = holding.client(holding.read())
    is_untold = client is None and holding.noun == "profile" and _is_unreadable(holding)
    try:
        removed = _remove(holding)
    except DoorwardError as error:  # the others go in any case
        return _Forgotten(holding.noun, holding.name, removed=False, problem=error.message)
    secret, problem = "", None
    if client is not None:
        secret, problem = _forget_secret(client, needed)
    elif is_untold:
        secret = "unknown"  # noqa: S105 - no secret
    return _Forgotten(holding.noun, holding.name, removed, secret, problem)


def _is_unreadable(holding: Holding) -> bool:
    """Say whether there is an entry, and only what can't be read of it: it was set aside, or can't be opened."""
    try:
        return bool(holding.shelf.files_of(holding.name)) and not isinstance(holding.read(), ProfileEntry)
    except DoorwardError:
        return True


def _remove(holding: Holding) -> bool:
    """Remove its files while nobody refreshes it; after a few seconds in any case."""
    clock = SystemClock()
    with holding.shelf.lock(holding.name) as lock:
        try:
            for pause in lock.acquire(clock, timeout_s=_LOCK_TIMEOUT_S, unless=lambda: None):
                clock.sleep(pause.seconds)
        except LockTimeout:
            pass
        return holding.shelf.forget(holding.name)


def _forget_secret(client: Client, needed: set[Client]) -> tuple[str, str | None]:
    if client in needed:
        return "kept", None
    try:
        return ("removed" if forget_secret(client.issuer, client.client_id) else ""), None
    except (KeyringLocked, KeyringUnavailable) as error:
        if error.reason in NO_KEYRING:
            return "", None
        return "", f"its client's secret may be in the keyring. {error.message}"


def _drop_seal(vault: Vault) -> str | None:
    try:
        problem = Sealing(vault.folder, vault.shelves).drop()
    except DoorwardError as error:
        return error.message
    return None if problem is None else f"The seal is removed. Its key may still be in the keyring: {problem}"


def _remove_record() -> None:
    record = record_file()
    if record is not None:
        for file in (*full_files(record), record, head_file(record)):
            file.unlink(missing_ok=True)


def _what_stays(vault: Vault, *, every: bool) -> dict[str, str]:
    """Return what is left, by its path, and why."""
    stays = {}
    settings = os.path.join(config_folder(), SETTINGS_FILE)  # noqa: PTH118 - the vault's paths are texts
    if os.path.exists(settings):  # noqa: PTH110 - the same
        stays[settings] = "it holds settings, and no session. Remove it yourself if it says who you are."
    record = record_file()
    if record is not None and record.exists():
        stays[str(record)] = "a record that can be changed proves nothing. To remove it: doorward forget --all --record"
    with suppress(DoorwardError):  # of a folder that can't be used, each name has told already
        left = list_private_files(vault.folder)
        if SEAL_FILE in left:
            stays["The seal of the vault"] = "what comes next is sealed too. To remove it: doorward forget --all --seal"
        for file in left if every else ():
            if file != SEAL_FILE and not file.endswith(".lock"):
                stays[os.path.join(vault.folder, file)] = "it is none of our files."  # noqa: PTH118 - the same
    return stays
