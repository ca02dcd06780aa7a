"""The issuer's signing keys: made when needed, published, rotated; and the draft of a token, before it is signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.protocol.base64url import encode_base64url
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import SigningKey, generate_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Draft", "KeyRing", "draft_for", "hash_of", "signer_of"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A token about to be signed. ``signer`` makes the signature from the signing input."""

    header: Mapping[str, Any]
    payload: bytes = field(repr=False)
    signer: Callable[[bytes], bytes] = field(repr=False)


class KeyRing:
    """One key signs for each algorithm; older ones may stay published. Key ids count from ``key-1`` at every issuer."""

    def __init__(self) -> None:
        self._current: dict[str, SigningKey] = {}
        self._old: list[SigningKey] = []
        self._spare: dict[str, SigningKey] = {}
        self._made = 0

    def current(self, algorithm: str) -> SigningKey:
        """Return the key that signs with ``algorithm``, making it when there is none yet."""
        if algorithm not in self._current:
            self._current[algorithm] = self._make(algorithm)
        return self._current[algorithm]

    def published(self, algorithms: Iterable[str]) -> list[dict[str, Any]]:
        """Return the public keys: those that sign now with one of ``algorithms``, then the old ones that are kept."""
        return [key.public_jwk() for key in (*map(self.current, algorithms), *self._old)]

    def rotate(self, *, keep_old: bool) -> None:
        """Let new keys sign; the old ones stay published or vanish at once."""
        self._old = list(self._current.values()) if keep_old else []
        self._current = {algorithm: self._make(algorithm) for algorithm in self._current}

    def spare(self, algorithm: str) -> SigningKey:
        """Return a key that is neither used nor published by an honest issuer: for lies."""
        if algorithm not in self._spare:
            self._spare[algorithm] = generate_signing_key(algorithm, kid=f"spare-{algorithm}")
        return self._spare[algorithm]

    def _make(self, algorithm: str) -> SigningKey:
        self._made += 1
        return generate_signing_key(algorithm, kid=f"key-{self._made}")


def draft_for(key: SigningKey, payload: bytes, *, typ: str | None) -> Draft:
    """Return the honest draft of a token."""
    header = {"alg": key.alg, "kid": key.kid, **({"typ": typ} if typ else {})}
    return Draft(header, payload, signer_of(key))


def signer_of(key: SigningKey) -> Callable[[bytes], bytes]:
    """Return the function that signs with a key."""
    return lambda signing_input: ALGORITHMS[key.alg].sign(key.private_key, signing_input)


def hash_of(token: str, algorithm: str) -> str:
    """Return the left half of a token's hash (``at_hash``; OIDC Core 3.1.3.6; SHA-512 for Ed25519)."""
    bits = "512" if algorithm == "EdDSA" else algorithm[2:]
    whole = hashlib.new(f"sha{bits}", token.encode()).digest()
    return encode_base64url(whole[: len(whole) // 2])
