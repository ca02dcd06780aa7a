"""``doorward client-key``: make, show and change the keys of clients. No private key is ever shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from doorward.cli.options import json_option
from doorward.cli.terminal import print_facts, print_json, print_note
from doorward.cli.view import instant
from doorward.errors import printable
from doorward.signin.settings.client_keys import (
    ALGORITHMS,
    finish_rotation,
    make_client_key,
    new_client_key,
    public_keys,
    read_entry,
    rotate_client_key,
    write_client_key,
)
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.vault.kinds.client_keys import ClientKeyEntry

__all__ = ["command"]

_name = click.argument("name", required=False, default="default")
_algorithms = click.Choice(ALGORITHMS)


@click.group("client-key")
def command() -> None:
    """Keep the key that a client proves itself with, in place of a secret (private_key_jwt).

    Register what 'new' prints at the provider, then sign in with --client-key NAME. The private key stays in the vault.
    """


@command.command("new", short_help="Make a key, and print its public half.")
@_name
@click.option("--alg", type=_algorithms, default=ALGORITHMS[0], show_default=True, help="What it signs with.")
@click.option("--file", "path", metavar="PATH", help="Keep it in this new file instead of the vault.")
@json_option
def _new(*, name: str, alg: str, path: str | None, as_json: bool) -> None:
    """Make a key, keep it, and print its public half as a JWK Set to register at the provider."""
    del as_json  # it is JSON in any case
    if path is None:
        print_json(public_keys(new_client_key(name, alg, Vault())))
        print_note(f"Register this at the provider, then: doorward login ISSUER --client-id ID --client-key {name}")
        return
    key = make_client_key(alg)
    write_client_key(key, path)
    print_json({"keys": [key.public_jwk()]})
    print_note(
        f"Register this at the provider, then set DOORWARD_CLIENT_KEY_FILE to {printable(path)}, "
        f"DOORWARD_CLIENT_KEY_ALG to {key.alg} and DOORWARD_CLIENT_KEY_ID to {key.kid}."
    )


@command.command("show", short_help="Show what is known of a key.")
@_name
@json_option
def _show(*, name: str, as_json: bool) -> None:
    """Show a key's name, algorithm and age, and whether a next one waits."""
    entry = read_entry(name, Vault())
    facts = {"name": entry.name, "kid": entry.kid, "alg": entry.alg, "created_at": instant(entry.created_at)}
    facts |= {"next_kid": entry.next_kid, "next_alg": entry.next_alg}
    if as_json:
        print_json(facts)
    else:
        print_facts([(what, value) for what, value in facts.items() if value is not None])


@command.command("jwks", short_help="Print the public half again.")
@_name
@json_option
def _jwks(*, name: str, as_json: bool) -> None:
    """Print the JWK Set to register at the provider: the key in use, and the next one if there is one."""
    del as_json  # it is JSON in any case
    print_json(public_keys(read_entry(name, Vault())))


@command.command("rotate", short_help="Make the next key; with --finish, use it.")
@_name
@click.option("--alg", type=_algorithms, help="What it signs with, if that is to change.")
@click.option("--finish", is_flag=True, help="The provider knows the next key: use it, and forget the one before.")
@json_option
def _rotate(*, name: str, alg: str | None, finish: bool, as_json: bool) -> None:
    """Change a key in two steps, since the provider has to know the new one first.

    Without --finish the next key is made, and both are printed to be registered. The old one is used meanwhile.
    """
    del as_json  # it is JSON in any case
    vault = Vault()
    entry: ClientKeyEntry = finish_rotation(name, vault) if finish else rotate_client_key(name, alg, vault)
    print_json(public_keys(entry))
    if not finish:
        print_note(f"Register both at the provider, then: doorward client-key rotate {name} --finish")
