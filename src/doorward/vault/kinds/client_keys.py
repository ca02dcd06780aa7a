"""What the vault holds of a key that a client proves itself with, as a value, and its one form as JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doorward.secret import Secret
from doorward.vault.fields import VERSION, instant, or_none, read_fields, secret, text
from doorward.vault.folders import key_file
from doorward.vault.times import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ClientKeyEntry"]

_KIND = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeyEntry:
    """A key of a client, and the one that is to take its place. Instants are epoch seconds in UTC.

    Attributes:
        name: What the person calls it.
        kid: What its receiver calls it.
        alg: What it signs with.
        pem: The private key.
        created_at: When it was made.
        next_kid: The same of the key that the provider is told of, and that is not used yet.
        next_alg: The same.
        next_pem: The same.
    """

    name: str
    kid: str
    alg: str
    pem: Secret
    created_at: float
    next_kid: str | None = None
    next_alg: str | None = None
    next_pem: Secret | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this entry, with the keys in plain text: for the vault's file alone."""
        return self._to_json(Secret.reveal)

    def masked(self) -> dict[str, Any]:
        """Return the same with ``<secret>`` in place of each key."""
        return self._to_json(str)

    def _to_json(self, show: Callable[[Secret], str]) -> dict[str, Any]:
        document: dict[str, Any] = {"version": VERSION, "kind": _KIND}
        for name in _READERS:
            value = getattr(self, name)
            document[name] = show(value) if isinstance(value, Secret) else value
        return {**document, "created_at": format_instant(self.created_at)}

    @classmethod
    def from_json(cls, document: object) -> ClientKeyEntry:
        """Read an entry from decoded JSON that may hold anything.

        Raises:
            CorruptEntry: It is not what ``to_json`` gives; ``reason="newer_version"`` if a newer Doorward wrote it.
        """
        return cls(**read_fields(document, kind=_KIND, readers=_READERS))


def _name(value: object) -> str:
    name = text(value)
    key_file(name)
    return name


_READERS: dict[str, Callable[[object], Any]] = {
    "name": _name,
    "kid": text,
    "alg": text,
    "pem": secret,
    "created_at": instant,
    "next_kid": or_none(text),
    "next_alg": or_none(text),
    "next_pem": or_none(secret),
}
