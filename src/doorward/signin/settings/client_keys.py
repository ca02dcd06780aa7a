"""The keys that clients prove themselves with (``private_key_jwt``), kept in the vault by names that people choose.

A key is changed in two steps: the provider has to know the new one before it is used.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, printable
from doorward.protocol.jwk import SigningKey, generate_signing_key
from doorward.protocol.stronger.dpop import thumbprint
from doorward.vault.kinds.client_keys import ClientKeyEntry

if TYPE_CHECKING:
    from doorward.model import Secret
    from doorward.vault.vault import Vault

__all__ = [
    "ALGORITHMS",
    "find_client_key",
    "finish_rotation",
    "kept_client_key",
    "make_client_key",
    "new_client_key",
    "public_keys",
    "read_entry",
    "rotate_client_key",
    "write_client_key",
]

ALGORITHMS = ("ES256", "PS256", "EdDSA")


def make_client_key(alg: str) -> SigningKey:
    """Make a key, named by its thumbprint (RFC 7638)."""
    key = generate_signing_key(alg)
    return replace(key, kid=thumbprint(key))


def read_entry(name: str, vault: Vault) -> ClientKeyEntry:
    """Return what is kept under a name.

    Raises:
        ConfigurationError: ``no_client_key``: nothing is; or it can't be a name.
        VaultError: The vault can't be used as it is.
    """
    entry = vault.client_keys.get(name)
    if entry is None:
        message = f"No key of the name {printable(name)!r} is kept. Make one: doorward client-key new {printable(name)}"
        raise ConfigurationError(message, field="client_key_name", reason="no_client_key")
    return entry


def kept_client_key(name: str, vault: Vault) -> SigningKey:
    """Return the key that is in use under a name. Raises as ``read_entry``."""
    entry = read_entry(name, vault)
    return _key(entry.pem, entry.alg, entry.kid)


def find_client_key(given: SigningKey | None, name: str | None, vault: Vault) -> SigningKey | None:
    """Return the key that was given, or the one of that name; None for neither.

    Raises:
        ConfigurationError: ``two_client_keys``; or as ``read_entry``.
    """
    if given is not None and name is not None:
        message = "Give client_key or client_key_name, not both: a client proves itself in one way."
        raise ConfigurationError(message, field="client_key_name", reason="two_client_keys")
    return given if name is None else kept_client_key(name, vault)


def new_client_key(name: str, alg: str, vault: Vault) -> ClientKeyEntry:
    """Make a key and keep it.

    Raises:
        ConfigurationError: ``client_key_exists``: there is one of that name; or it can't be a name.
    """
    if vault.client_keys.get(name) is not None:
        message = (
            f"There is a key of the name {printable(name)!r}. Change it: doorward client-key rotate {printable(name)}"
        )
        raise ConfigurationError(message, field="NAME", reason="client_key_exists")
    key = make_client_key(alg)
    entry = ClientKeyEntry(name=name, kid=str(key.kid), alg=key.alg, pem=key.to_pem(), created_at=vault.clock.now())
    vault.client_keys.put(entry)
    return entry


def rotate_client_key(name: str, alg: str | None, vault: Vault) -> ClientKeyEntry:
    """Make the key that is to take the place of the one in use, which goes on until ``finish_rotation``.

    Raises:
        ConfigurationError: ``rotation_begun``: there is one already.
    """
    entry = read_entry(name, vault)
    if entry.next_pem is not None:
        message = (
            "The next key is made already. When the provider knows it, use it: doorward client-key rotate "
            f"{printable(name)} --finish"
        )
        raise ConfigurationError(message, field="NAME", reason="rotation_begun")
    key = make_client_key(alg or entry.alg)
    entry = replace(entry, next_kid=key.kid, next_alg=key.alg, next_pem=key.to_pem())
    vault.client_keys.put(entry)
    return entry


def finish_rotation(name: str, vault: Vault) -> ClientKeyEntry:
    """Use the next key from now on, and forget the one before.

    Raises:
        ConfigurationError: ``no_rotation``: there is no next key.
    """
    entry = read_entry(name, vault)
    if entry.next_pem is None:
        message = f"There is no next key to use. Make it first: doorward client-key rotate {printable(name)}"
        raise ConfigurationError(message, field="--finish", reason="no_rotation")
    entry = ClientKeyEntry(
        name=entry.name,
        kid=str(entry.next_kid),
        alg=str(entry.next_alg),
        pem=entry.next_pem,
        created_at=vault.clock.now(),
    )
    vault.client_keys.put(entry)
    return entry


def public_keys(entry: ClientKeyEntry) -> dict[str, Any]:
    """Return the JWK Set to register at the provider: the key in use, and the next one if there is one."""
    keys = [_key(entry.pem, entry.alg, entry.kid)]
    if entry.next_pem is not None:
        keys.append(_key(entry.next_pem, str(entry.next_alg), str(entry.next_kid)))
    return {"keys": [key.public_jwk() for key in keys]}


def write_client_key(key: SigningKey, path: str) -> None:
    """Write a private key into a new file that nobody else can read.

    Raises:
        ConfigurationError: ``key_file_not_written``: there is a file, or the file system refuses.
    """

    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    try:
        with open(path, "x", encoding="ascii", opener=private) as file:
            file.write(key.to_pem().reveal())
    except OSError as error:
        message = f"The key was not written to {printable(path)}: {error.strerror}. Name a file that is not there yet."
        raise ConfigurationError(message, field="--file", reason="key_file_not_written") from None


def _key(pem: Secret, alg: str, kid: str) -> SigningKey:
    return SigningKey.from_pem(pem.reveal().encode(), alg=alg, kid=kid)
