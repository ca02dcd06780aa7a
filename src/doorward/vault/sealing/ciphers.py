"""The cryptography of a sealed vault, and nothing else of it: AES-256-GCM, HKDF-SHA256 and Argon2id, by their names.

AES-GCM is in every OpenSSL, so a folder that several machines share opens on each; AES-GCM-SIV and XChaCha20 are not.
Its nonces are random, and each entry has a key of its own, so 2**32 writes of one entry would be needed for a risk.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidKey, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from doorward.errors import CorruptEntry, VaultError

__all__ = ["KEY_BYTES", "decrypted", "derived", "encrypted", "from_passphrase", "is_derived"]

KEY_BYTES = 32
_NONCE_BYTES = 12


def derived(root: bytes, purpose: str) -> bytes:
    """Return the key for one purpose (HKDF, RFC 5869). It tells nothing of the root, nor of other keys."""
    return _derivation(purpose).derive(root)


def is_derived(root: bytes, purpose: str, key: bytes) -> bool:
    """Say whether that is the key for the purpose, in a time that tells nothing of where it differs."""
    try:
        _derivation(purpose).verify(root, key)
    except InvalidKey:
        return False
    return True


def _derivation(purpose: str) -> HKDF:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"doorward vault {purpose}".encode())


def encrypted(root: bytes, data: bytes | memoryview, *, bound_to: str) -> tuple[bytes, bytes]:
    """Encrypt, and bind to a text that has to be given again. Return the nonce and what was made."""
    nonce, bound = os.urandom(_NONCE_BYTES), f"entry {bound_to}"
    return nonce, AESGCM(derived(root, bound)).encrypt(nonce, data, bound.encode())


def decrypted(root: bytes, nonce: bytes, sealed: bytes, *, bound_to: str) -> bytes:
    """Decrypt what ``encrypted`` made with the same root and text.

    Raises:
        CorruptEntry: It is anything else.
    """
    bound = f"entry {bound_to}"
    try:
        return AESGCM(derived(root, bound)).decrypt(nonce, sealed, bound.encode())
    except (InvalidTag, ValueError):
        pass
    message = "The file was altered since it was sealed, or was sealed as another entry."
    raise CorruptEntry(message, reason="seal_broken")


def from_passphrase(passphrase: bytes, *, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    """Return a root key (Argon2id, RFC 9106)."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415 - most vaults know no passphrase

    try:
        argon = Argon2id(salt=salt, length=KEY_BYTES, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    except UnsupportedAlgorithm:
        message = "This build of cryptography has no Argon2id, as it has no OpenSSL from 3.2. Take a key file instead."
        raise VaultError(message, reason="no_argon2id") from None
    return argon.derive(passphrase)
