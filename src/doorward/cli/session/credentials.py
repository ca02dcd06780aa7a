"""Where the command line finds what a client proves itself with. Never among the arguments, which others can read."""

from __future__ import annotations

import os
import sys

import click

from doorward.cli.terminal import print_note
from doorward.errors import ConfigurationError, KeyringLocked, KeyringUnavailable, printable
from doorward.model import Secret
from doorward.signin.handing.tokens import session_of
from doorward.signin.registration import find_client_secret
from doorward.signin.settings.os_keyring import keep_secret, read_secret

__all__ = ["client_secret", "say_what_renewals_need", "secret_source", "session_of", "type_secret"]


def secret_source(issuer: str, client_id: str) -> str:
    """Say where a client's secret comes from: ``environment``, ``keyring``, or ``missing``."""
    if os.environ.get("DOORWARD_CLIENT_SECRET"):
        return "environment"
    return "missing" if find_client_secret(issuer, client_id, None) is None else "keyring"


def type_secret(client_id: str) -> Secret:
    """Have the person type the client's secret, unseen."""
    return Secret(click.prompt(f"Secret of client {printable(client_id)}", hide_input=True, err=True))


def client_secret(issuer: str, client_id: str) -> tuple[Secret, str]:
    """Return the client's secret: from ``DOORWARD_CLIENT_SECRET``, else the keyring, else asked for on the terminal.

    Returns:
        It, and where it comes from: ``environment``, ``keyring``, or ``terminal``.

    Raises:
        ConfigurationError: It is in neither, and nobody is at a terminal to ask.
    """
    secret = find_client_secret(issuer, client_id, None)
    if secret is not None:
        return secret, "environment" if os.environ.get("DOORWARD_CLIENT_SECRET") else "keyring"
    if not sys.stdin.isatty():
        message = "The client's secret was not found. Set DOORWARD_CLIENT_SECRET, or run this in a terminal to type it."
        raise ConfigurationError(message, field="DOORWARD_CLIENT_SECRET", reason="client_secret_missing")
    return type_secret(client_id), "terminal"


def say_what_renewals_need(issuer: str, client_id: str, secret: Secret, source: str) -> None:
    """Tell that the secret is needed again, and offer to keep one that was typed where a keyring can keep it."""
    if source == "keyring":
        return
    if source == "terminal" and _has_keyring(issuer, client_id):
        question = "Renewals need the secret again. Keep it in your keyring?"
        if click.confirm(question, default=True, err=True):
            keep_secret(issuer, client_id, secret)
            return
    kept = "keep DOORWARD_CLIENT_SECRET set" if source == "environment" else "set DOORWARD_CLIENT_SECRET"
    print_note(f"Renewals need the client's secret again: {kept}, or keep it in the keyring: doorward secret set")


def _has_keyring(issuer: str, client_id: str) -> bool:
    try:
        read_secret(issuer, client_id)
    except (KeyringLocked, KeyringUnavailable):
        return False
    return True
