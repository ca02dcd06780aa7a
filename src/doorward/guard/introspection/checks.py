"""What is asked of an ``Introspection``'s settings, so that a mistake stops the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError
from doorward.protocol.client_auth import Client, SecretBasic, SecretPost, choose_authentication

if TYPE_CHECKING:
    from collections.abc import Collection

    from doorward.model import Secret
    from doorward.protocol.jwk import SigningKey

__all__ = ["check_client", "names", "seconds"]


def check_client(secret: Secret | None, key: SigningKey | None, secret_method: str | None, client_id: str) -> None:
    """Find now what would fail at the first question."""
    choose_authentication(None if key is None else ("private_key_jwt",), client_secret=secret, signing_key=key)
    if secret_method not in (None, SecretBasic.method, SecretPost.method):
        message = "secret_method must be 'client_secret_basic' or 'client_secret_post', or left out."
        raise ConfigurationError(message, field="secret_method")
    Client(client_id)


def names(given: Collection[str], field_name: str) -> frozenset[str]:
    """Read a setting that is a list of names."""
    if isinstance(given, str):
        raise ConfigurationError(f"{field_name} must be several names, not one string.", field=field_name)
    return frozenset(given)


def seconds(given: float, field_name: str, most: float) -> float:
    """Check a setting that says how old an answer may be."""
    if not 0 <= given <= most:
        message = f"{field_name} must lie between 0 and {most:g} seconds: that long a revoked token may still be taken."
        raise ConfigurationError(message, field=field_name)
    return given
