"""A client's secret in the keyring. 0.1 kept them there through the ``keyring`` package: these are the same entries."""

from __future__ import annotations

from doorward.keyring import os_keyring
from doorward.keyring.entry import Entry
from doorward.model import Secret

__all__ = ["forget_secret", "keep_secret", "read_secret"]


def read_secret(issuer: str, client_id: str) -> Secret | None:
    """Return the secret that is kept for a client, None if none is.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    secret = os_keyring.read(_entry(issuer, client_id))
    return Secret(secret) if secret else None


def keep_secret(issuer: str, client_id: str, secret: Secret) -> None:
    """Keep a client's secret, and see that it is there. Raises what ``read_secret`` does."""
    os_keyring.keep(_entry(issuer, client_id), secret.reveal())


def forget_secret(issuer: str, client_id: str) -> bool:
    """Remove a client's secret, and return whether there was one. Raises what ``read_secret`` does."""
    return os_keyring.remove(_entry(issuer, client_id))


def _entry(issuer: str, client_id: str) -> Entry:
    service, user = "doorward", f"{client_id}@{issuer}"
    return Entry(
        service=service,
        user=user,
        attributes={"service": service, "username": user},
        label=f"Doorward: the secret of client {client_id} at {issuer}",
        instead="Or set DOORWARD_CLIENT_SECRET instead.",
        written={"application": "Python keyring library"},  # as that package marks what it writes
    )
