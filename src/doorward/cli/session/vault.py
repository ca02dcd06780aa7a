"""``doorward vault``: encrypt what is kept here, change the key, take the encryption off, and see how it stands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from doorward.cli.ending import error_object
from doorward.cli.options import Group, json_option
from doorward.cli.terminal import print_facts, print_json, print_text
from doorward.errors import ConfigurationError, printable
from doorward.record.noting import noting
from doorward.vault.sealing.changing import Sealing
from doorward.vault.sealing.keys import KEY_FILE, PASSPHRASE, Keys, make_key_file
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.vault.sealing.changing import Changed, Standing
    from doorward.vault.sealing.seal import Source

__all__ = ["command"]

_NEW_PASSPHRASE = "DOORWARD_VAULT_NEW_PASSPHRASE"  # noqa: S105 - the name of a variable

_IN_WORDS: dict[Source | None, str] = {
    "keyring": "a key in your keyring",
    "key_file": "a key file",
    "passphrase": "a passphrase",
    None: "no key",
}
_STATES = {
    "plain": "not sealed: whoever can read your files can use your sessions",
    "sealed": "sealed",
    "sealing": "being sealed; if no other process is at it, go on with: doorward vault seal",
    "rotating": "getting a new key; if no other process is at it, go on with: doorward vault rotate",
    "unsealing": "being unsealed; if no other process is at it, go on with: doorward vault unseal",
}

_PLAIN_BEFORE = (
    "What was in plain text before may still be in backups, in snapshots, and on the disk. To make that worthless, "
    "sign out and in again."
)
_SEALED_BEFORE = (
    "Who has the old key can still open what was sealed under it, in backups and in snapshots. To make that worthless, "
    "sign out and in again."
)

_key_file_option = click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Take a key file, made if it is not there. Later it is named by DOORWARD_VAULT_KEY_FILE.",
)
_passphrase_option = click.option(
    "--passphrase",
    "by_passphrase",
    is_flag=True,
    help="Take a passphrase. Later it comes from DOORWARD_VAULT_PASSPHRASE.",
)


@click.group("vault", cls=Group)
def command() -> None:
    """Seal what Doorward keeps on this computer: encrypt it with a key that lies elsewhere.

    By default the key is in your system's keyring. Where there is none, as on a server, take a key file or a
    passphrase.
    """


@command.command("status")
@json_option
def _status(*, as_json: bool) -> None:
    """Show whether the vault is sealed, under what key, and whether that key is at hand."""
    vault = Vault()
    standing = _sealing(vault, _keys(vault)).standing()
    if as_json:
        print_json(
            {
                "folder": vault.folder,
                "state": standing.state,
                "key": standing.source,
                "error": standing.error and error_object(standing.error),
                "sealed": standing.sealed,
                "plain": standing.plain,
            }
        )
        return
    print_facts([("Vault", printable(vault.folder)), *_facts(standing)])
    if standing.error is not None:
        print_text(standing.error.message)
    if standing.state == "sealed" and standing.plain:
        print_text(
            "What is in plain text in a sealed vault is not used: an older Doorward wrote it, or somebody put it "
            "there. Sign out of it, which removes it, and sign in again."
        )


@command.command("seal")
@_key_file_option
@_passphrase_option
@json_option
def _seal(*, key_file: str | None, by_passphrase: bool, as_json: bool) -> None:
    """Encrypt every session that is kept, and all that come later.

    The key is tried out before anything is changed. Seals that were broken off half-way are gone on with.
    """
    vault = Vault()
    source, keys = _chosen(vault, key_file=key_file, by_passphrase=by_passphrase)
    with noting("seal"):
        done = _sealing(vault, keys).seal(source or "keyring")
    _tell(done, key_file, left_behind=_PLAIN_BEFORE, as_json=as_json)


@command.command("rotate")
@click.option("--keyring", "by_keyring", is_flag=True, help="Keep the new key in the keyring.")
@_key_file_option
@_passphrase_option
@json_option
def _rotate(*, by_keyring: bool, key_file: str | None, by_passphrase: bool, as_json: bool) -> None:
    """Encrypt everything anew under a new key, of the same kind unless you say otherwise.

    While it does, the old key is needed too: DOORWARD_VAULT_KEY_FILE and DOORWARD_VAULT_PASSPHRASE stand for that one.
    """
    vault = Vault()
    source, keys = _chosen(vault, key_file=key_file, by_passphrase=by_passphrase, by_keyring=by_keyring)
    if source is None and _sealing(vault).source in ("key_file", "passphrase"):
        raise click.UsageError("Say what the new key is: --key-file FILE, --passphrase, or --keyring")
    with noting("rotate"):
        done = _sealing(vault, keys).rotate(source)
    _tell(done, key_file, left_behind=_SEALED_BEFORE, as_json=as_json)


@command.command("unseal")
@json_option
def _unseal(*, as_json: bool) -> None:
    """Take the encryption off: sessions are kept in plain text again, for you alone."""
    vault = Vault()
    with noting("unseal"):
        done = _sealing(vault, _keys(vault)).unseal()
    _tell(done, as_json=as_json)


def _sealing(vault: Vault, keys: Keys | None = None) -> Sealing:
    return Sealing(vault.folder, vault.shelves, keys=keys)


def _chosen(
    vault: Vault, *, key_file: str | None, by_passphrase: bool, by_keyring: bool = False
) -> tuple[Source | None, Keys]:
    """Return the kind of key that was asked for, if any was, and where its like are found."""
    if bool(key_file) + by_passphrase + by_keyring > 1:
        raise click.UsageError("Take one kind of key: a key file, a passphrase, or the keyring")
    if key_file:
        path = str(Path(key_file).absolute())
        make_key_file(path, vault_folder=vault.folder)
        return "key_file", _keys(vault, key_file=path)
    if by_passphrase:
        return "passphrase", _keys(vault, passphrase=_new_passphrase(sealed=_sealing(vault).source == "passphrase"))
    return "keyring" if by_keyring else None, _keys(vault)


def _keys(vault: Vault, *, key_file: str | None = None, passphrase: str | None = None) -> Keys:
    """Return where keys are found; the passphrase of today is asked for where the environment does not have it."""
    today = None
    if _sealing(vault).source == "passphrase" and not os.environ.get(PASSPHRASE) and sys.stdin.isatty():
        today = click.prompt("Passphrase of the vault", hide_input=True, err=True)
    return Keys(passphrases=tuple(filter(None, (today, passphrase))), key_files=(key_file,) if key_file else ())


def _new_passphrase(*, sealed: bool) -> str:
    given = os.environ.get(_NEW_PASSPHRASE if sealed else PASSPHRASE)
    if given:
        return given
    if not sys.stdin.isatty():
        variable = _NEW_PASSPHRASE if sealed else PASSPHRASE
        what = "new passphrase" if sealed else "passphrase"
        message = f"There is no {what}. Set {variable}, or run this in a terminal to type it."
        raise ConfigurationError(message, field=variable, reason="passphrase_missing")
    new: str = click.prompt("New passphrase of the vault", hide_input=True, confirmation_prompt=True, err=True)
    return new


def _facts(standing: Standing) -> list[tuple[str, str]]:
    facts = [("State", _STATES[standing.state])]
    if standing.source is not None:
        at_hand = "at hand" if standing.error is None else "not at hand"
        facts.append(("Key", f"{_IN_WORDS[standing.source]}: {at_hand}"))
    facts += [(name, ", ".join(map(printable, held))) for name, held in _named(standing) if held]
    return facts


def _named(standing: Standing) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("Sealed", standing.sealed), ("In plain text", standing.plain)


def _tell(done: Changed, key_file: str | None = None, *, left_behind: str = "", as_json: bool) -> None:
    if as_json:
        print_json(
            {"key": done.source, "rewritten": done.rewritten, "left": done.left, "completed": done.completed}
            | {"problem": done.problem}
        )
        return
    files = "1 file was" if done.rewritten == 1 else f"{done.rewritten} files were"
    began = "An earlier change, which was broken off, is completed. " if done.completed else ""
    if done.source is None:
        print_text(f"{began}The vault is not sealed any more. {files} written in plain text.")
    else:
        print_text(f"{began}The vault is sealed with {_IN_WORDS[done.source]}. {files} written anew.")
        print_text(left_behind)
    if done.source == "key_file" and key_file:
        print_text(
            f"From now on, set {KEY_FILE} to {printable(str(Path(key_file).absolute()))} wherever Doorward runs."
        )
    elif done.source == "passphrase":
        print_text(f"From now on, programs find the passphrase in {PASSPHRASE}.")
    if done.left:
        names = ", ".join(map(printable, done.left))
        print_text(f"These could not be opened, and are as they were. Sign out of them, and in again: {names}")
    if done.problem:
        print_text(f"A key that nothing is sealed with any more is still in the keyring: {done.problem}")
