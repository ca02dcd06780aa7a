"""The text of an API key, and what is kept of it: pure functions of the text and a pepper. No store, no clock.

``dw_<id>_<secret>_<checksum>``: 64 random bits by which the key is found, 256 that nobody can guess, and 41 that only
who has the pepper can work out. So a key made up by a stranger is refused by arithmetic, and costs the store nothing
(decision 12). Of the one keyed digest, a part is that checksum and another is what the store keeps: from what is in the
store, neither secret nor checksum follows.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

import msgspec

from doorward.protocol.base64url import decode_base64url
from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.model import Secret
    from doorward.ports import Entropy

__all__ = [
    "Digested",
    "Pepper",
    "digest_foreign_key",
    "digest_key",
    "is_key_shaped",
    "is_seal_of",
    "key_id_of",
    "make_key",
    "seal_of",
]

_PREFIX = "dw_"
_SHAPE = re.compile(r"dw_([0-9A-Za-z]{11})_[0-9A-Za-z]{43}_([0-9A-Za-z]{7})")
_NAMED = re.compile(r"dw_([0-9A-Za-z]{11})_")
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 11, 43, 7
_ID_BYTES, _SECRET_BYTES, _CHECKSUM_BYTES = 8, 32, 8
_FOREIGN = b"imported key\0"  # no key of ours begins so: the two never share a digest
_SEALED = b"entry of a key\0"  # and no key begins so: nobody gets a seal by having a key digested


class Pepper:
    """What digests are keyed with. ``id`` names it to people and in the store, and gives nothing of it away."""

    __slots__ = ("id", "key")

    def __init__(self, secret: Secret) -> None:
        self.key = secret.reveal().encode()
        self.id = hmac.digest(self.key, b"the name of this pepper", "sha256").hex()[:8]

    def __repr__(self) -> str:
        return f"Pepper({self.id})"


class Digested(msgspec.Struct, frozen=True):
    """A key as the store knows it: by which id, with which digest, by which pepper."""

    key_id: str
    digest: str
    pepper_id: str

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"Digested(key_id={self.key_id!r}, pepper_id={self.pepper_id!r})"


def make_key(pepper: Pepper, entropy: Entropy) -> tuple[str, Digested]:
    """Make a new key. Return its text, to be shown once, and what to keep of it."""
    key_id = _base62(_random(entropy, _ID_BYTES), _ID_LENGTH)
    unsealed = f"{_PREFIX}{key_id}_{_base62(_random(entropy, _SECRET_BYTES), _SECRET_LENGTH)}"
    mac = hmac.digest(pepper.key, unsealed.encode(), "sha256")
    return f"{unsealed}_{_checksum(mac)}", Digested(key_id, _digest(mac), pepper.id)


def is_key_shaped(credential: str) -> bool:
    """Tell by its beginning whether this is, or was meant to be, a key of ours.

    A key with a slip in it counts too: it must not go to the provider that is asked about opaque tokens.
    """
    return credential.startswith(_PREFIX)


def key_id_of(credential: str) -> str | None:
    """Return the id that a credential names, before its secret; None where it has none, or another shape."""
    named = _NAMED.match(credential)
    return None if named is None else named[1]


def digest_key(credential: str, peppers: Sequence[Pepper]) -> Digested | None:
    """Return what the store would know of this key; None if it was made with none of ``peppers``, or altered since."""
    shape = _SHAPE.fullmatch(credential)
    if shape is None:
        return None
    key_id, checksum = shape.groups()
    unsealed = credential[: -_CHECKSUM_LENGTH - 1].encode()
    for pepper in peppers:
        mac = hmac.digest(pepper.key, unsealed, "sha256")
        if hmac.compare_digest(_checksum(mac), checksum):
            return Digested(key_id, _digest(mac), pepper.id)
    return None


def digest_foreign_key(credential: str, pepper: Pepper) -> Digested:
    """Return what the store knows of a key that was made elsewhere and imported: its id is a part of the digest."""
    mac = hmac.digest(pepper.key, _FOREIGN + credential.encode(errors="surrogatepass"), "sha256")
    return Digested("x" + _base62(int.from_bytes(mac[:_ID_BYTES]), _ID_LENGTH), _digest(mac), pepper.id)


def seal_of(text: str, pepper: Pepper) -> str:
    """Return what only who has the pepper can say of a text: the seal of an entry (decision 16)."""
    return hmac.digest(pepper.key, _SEALED + text.encode(), "sha256").hex()


def is_seal_of(text: str, pepper: Pepper, seal: str) -> bool:
    """Tell whether this is the seal of a text, in constant time."""
    return hmac.compare_digest(seal_of(text, pepper).encode(), seal.encode(errors="surrogatepass"))


def _digest(mac: bytes) -> str:
    return mac[_CHECKSUM_BYTES:].hex()


def _checksum(mac: bytes) -> str:
    return _base62(int.from_bytes(mac[:_CHECKSUM_BYTES]), _CHECKSUM_LENGTH)


def _random(entropy: Entropy, nbytes: int) -> int:
    return int.from_bytes(decode_base64url(entropy.token_urlsafe(nbytes), what="randomness"))


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
