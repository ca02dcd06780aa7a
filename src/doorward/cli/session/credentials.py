"""Where the command line finds what a client proves itself with. Never among the arguments, which others can read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from doorward.errors import ConfigurationError, printable
from doorward.model import Secret
from doorward.signin.registration import find_client_secret, read_client_key
from doorward.signin.session import Session

if TYPE_CHECKING:
    from doorward.vault.vault import Vault

__all__ = ["client_secret", "session_of"]


def session_of(profile: str, vault: Vault) -> Session:
    """Return the session of a profile, with its client's key if it is one that signs.

    Raises:
        ConfigurationError: That key can't be read.
        VaultError: The entry can't be read.
    """
    entry = vault.get(profile)
    signs = entry is not None and entry.client_authentication == "private_key_jwt"
    return Session(profile, client_key=read_client_key() if signs else None, vault=vault)


def client_secret(issuer: str, client_id: str) -> Secret:
    """Return the client's secret: from ``DOORWARD_CLIENT_SECRET``, else the keyring, else asked for on the terminal.

    Raises:
        ConfigurationError: It is in neither, and nobody is at a terminal to ask.
    """
    secret = find_client_secret(issuer, client_id, None)
    if secret is not None:
        return secret
    if not sys.stdin.isatty():
        message = "The client's secret was not found. Set DOORWARD_CLIENT_SECRET, or run this in a terminal to type it."
        raise ConfigurationError(message, field="DOORWARD_CLIENT_SECRET", reason="client_secret_missing")
    return Secret(click.prompt(f"Secret of client {printable(client_id)}", hide_input=True, err=True))
