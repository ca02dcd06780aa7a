"""``doorward secret``: keep a client's secret in the keyring, or forget it. It is never an argument."""

from __future__ import annotations

import sys

import click

from doorward.cli.options import Group, json_option, profile_names, profile_option
from doorward.cli.session.credentials import is_profile_name, type_secret
from doorward.cli.terminal import print_json, print_text
from doorward.errors import ConfigurationError, printable
from doorward.model import Secret
from doorward.signin.registration import Registration
from doorward.signin.settings.client_secrets import forget_secret, keep_secret, read_secret
from doorward.signin.settings.profiles import read_profiles, unknown_profile
from doorward.vault.vault import Vault

__all__ = ["command"]

_LONGEST = 65_536

_issuer = click.argument("issuer", required=False, metavar="[ISSUER|NAME]", shell_complete=profile_names)
_client_id = click.option("--client-id", metavar="ID", help="The client, where no profile names it yet.")


@click.group("secret", cls=Group)
def command() -> None:
    """Keep the secret of a confidential client in the keyring, so that its sessions can be renewed.

    Name the client by a profile, or by ISSUER and --client-id.
    """


@command.command("set", short_help="Keep a client's secret.")
@_issuer
@_client_id
@profile_option
@json_option
def _keep(*, issuer: str | None, client_id: str | None, profile: str, as_json: bool) -> None:
    """Keep a client's secret in the keyring. It is typed unseen, or comes from standard input."""
    issuer, client_id = _client(issuer, client_id, profile)
    read_secret(issuer, client_id)  # where there is no keyring, nobody types for nothing
    secret = type_secret(client_id) if sys.stdin.isatty() else Secret(sys.stdin.read(_LONGEST).rstrip("\r\n"))
    Registration(issuer, client_id, secret, insecure_loopback_http=True)  # what is no secret is refused
    keep_secret(issuer, client_id, secret)
    _tell(issuer, client_id, "kept", as_json=as_json)


@command.command("forget", short_help="Remove a client's secret from the keyring.")
@_issuer
@_client_id
@profile_option
@json_option
def _forget(*, issuer: str | None, client_id: str | None, profile: str, as_json: bool) -> None:
    """Remove a client's secret from the keyring. Its sessions can't be renewed without it."""
    issuer, client_id = _client(issuer, client_id, profile)
    removed = forget_secret(issuer, client_id)
    _tell(issuer, client_id, "removed" if removed else "not_kept", as_json=as_json)


def _client(issuer: str | None, client_id: str | None, profile: str) -> tuple[str, str]:
    if issuer and client_id:
        return issuer, client_id
    named, vault = read_profiles(), Vault()
    if issuer and is_profile_name(issuer, {*named, *vault.names()}):
        profile, issuer = issuer, None
    if issuer or client_id:
        message = "Give both ISSUER and --client-id, or a profile alone."
        raise ConfigurationError(message, field="--client-id" if issuer else "ISSUER", reason="missing_setting")
    if profile.lower() in named:
        keywords = named[profile.lower()].keywords
        return keywords["issuer"], keywords["client_id"]
    entry = vault.get(profile)
    if entry is None:
        raise unknown_profile(profile, {*named, *vault.names()})
    return entry.issuer, entry.client_id


def _tell(issuer: str, client_id: str, outcome: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"issuer": issuer, "client_id": client_id, "outcome": outcome})
        return
    of = f"the secret of client {printable(client_id)} at {printable(issuer)}"
    said = {"kept": f"Kept in the keyring: {of}.", "removed": f"Removed from the keyring: {of}."}
    print_text(said.get(outcome, f"The keyring does not hold {of}."))
