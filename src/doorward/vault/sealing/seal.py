"""The seal of a vault, as a value, and its one form as JSON: which keys there are, and what may be at rest. Pure.

Whoever can write in the folder could write a seal of their own. So each key proves the seal that names it: without
such a proof, nothing is opened or written by it.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from doorward.errors import CorruptEntry, Malformed, VaultError
from doorward.vault.fields import or_none, read_fields, text, texts, truth
from doorward.vault.own_json import loads_own, written
from doorward.vault.sealing.ciphers import derived, is_derived

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PLAIN", "Seal", "SealKey", "Source", "from_base64", "to_base64"]

_KIND = "seal"
_MOST_MEMORY_KIB = 1 << 20
_MOST_TURNS = 64
_MOST_KEYS = 8
_MOST_SECONDS = 1 << 53

Source = Literal["keyring", "key_file", "passphrase"]
_SOURCES: tuple[Source, ...] = ("keyring", "key_file", "passphrase")


class SealKey(NamedTuple):
    """Where a key comes from; never the key. The last four are Argon2id's, for a passphrase."""

    id: str
    source: Source
    salt: str = ""
    memory_kib: int = 0
    passes: int = 0
    lanes: int = 0


class Seal(NamedTuple):
    """What a vault's entries are sealed under.

    Attributes:
        keys: What entries may be sealed under, the newest first: more than one while they are sealed anew.
        writes: The key that entries are written under; None: they are written in plain, while a seal is taken off.
        plain: Entries may be in plain: while they are sealed for the first time, or the seal is taken off.
        until: Up to when they may, in epoch seconds. A seal of that moment that somebody kept allows nothing later.
        spare: Keys in the keyring that nothing is sealed under: of a change that was not begun, or is over.
        checks: What each key proves this seal by.
    """

    keys: tuple[SealKey, ...] = ()
    writes: str | None = None
    plain: bool = False
    until: int = 0
    spare: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()

    def key(self, key_id: str) -> SealKey | None:
        """Return the key of that name, None if it is none of this seal's."""
        return next((key for key in self.keys if key.id == key_id), None)

    def proven_by(self, key: SealKey, root: bytes) -> bool:
        """Say whether this is the root of that key, and nobody without it has written this seal."""
        return is_derived(root, self._said(), from_base64(self.checks[self.keys.index(key)]))

    def document(self) -> dict[str, Any]:
        """Return the JSON object of this seal."""
        return {"version": 1, "kind": _KIND, **self._asdict(), "keys": [key._asdict() for key in self.keys]}

    def to_bytes(self, roots: Mapping[str, bytes]) -> bytes:
        """Return the file of this seal, proven by the root of each of its keys."""
        said = self._said()
        checks = tuple(to_base64(derived(roots[key.id], said)) for key in self.keys)
        return written(self._replace(checks=checks).document())

    @classmethod
    def from_bytes(cls, data: bytes) -> Seal:
        """Read a file that may hold anything. Who wrote it is not known yet.

        Raises:
            VaultError: It is not what ``to_bytes`` gives, or a newer Doorward wrote it.
        """
        try:
            seal = cls(**read_fields(loads_own(data), kind=_KIND, readers=_READERS))
        except (Malformed, CorruptEntry) as error:
            newer = error.reason == "newer_version"
        else:
            named = {key.id for key in seal.keys}
            if len(named) == len(seal.keys) == len(seal.checks) and seal.writes in {*named, *([None] * seal.plain)}:
                return seal
            newer = False
        if newer:
            message = "This vault was sealed by a newer Doorward. Upgrade this one."
            raise VaultError(message, reason="newer_version")
        message = "The vault's seal.json is not what we wrote. Put it back from a backup; without it, nothing opens."
        raise VaultError(message, reason="seal_unreadable")

    def _said(self) -> str:
        return f"seal {written(self._replace(checks=()).document()).decode()}"


PLAIN = Seal(plain=True)
"""What a vault without a seal is like."""


def to_base64(data: bytes) -> str:
    """Return bytes as text."""
    return b2a_base64(data, newline=False).decode()


def from_base64(encoded: str) -> bytes:
    """Return the bytes of exactly what ``to_base64`` gives.

    Raises:
        ValueError: Any other text.
    """
    try:
        data = a2b_base64(encoded)
    except Error:
        data = b""
    if to_base64(data) != encoded:
        raise ValueError("base64")
    return data


def _base64(value: object) -> str:
    from_base64(text(value))
    return text(value)


def _source(value: object) -> Source:
    for source in _SOURCES:
        if value == source:
            return source
    raise ValueError


def _up_to(most: int) -> Callable[[object], int]:
    def number(value: object) -> int:
        if type(value) is not int or not 0 <= value <= most:  # a seal by somebody else must not cost us a machine
            raise ValueError
        return value

    return number


_KEY_READERS: dict[str, Callable[[object], Any]] = {
    "id": text,
    "source": _source,
    "salt": _base64,
    "memory_kib": _up_to(_MOST_MEMORY_KIB),
    "passes": _up_to(_MOST_TURNS),
    "lanes": _up_to(_MOST_TURNS),
}


def _key(value: object) -> SealKey:
    if not isinstance(value, dict) or value.keys() != _KEY_READERS.keys():
        raise ValueError
    return SealKey(**{name: read(value[name]) for name, read in _KEY_READERS.items()})


def _keys(value: object) -> tuple[SealKey, ...]:
    if not isinstance(value, list) or len(value) > _MOST_KEYS:
        raise ValueError
    return tuple(map(_key, value))


def _checks(value: object) -> tuple[str, ...]:
    return tuple(map(_base64, texts(value)))


_READERS: dict[str, Callable[[object], Any]] = {
    "keys": _keys,
    "writes": or_none(text),
    "plain": truth,
    "until": _up_to(_MOST_SECONDS),
    "spare": texts,
    "checks": _checks,
}
