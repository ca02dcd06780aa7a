"""What is known of an API key, and what a store of them must do. Values and one Protocol; nothing here acts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from doorward.errors import ConfigurationError, Expired, Revoked, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "ApiKey",
    "KeyStore",
    "StoredKey",
    "check_name",
    "check_texts",
    "is_like_an_id",
    "is_name_or_id",
    "refuse_ended",
]

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,255}")
_ID = re.compile(r"x?[0-9A-Za-z]{11}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")  # RFC 6749 section 3.3
_MOST_TEXTS = 100
_LONGEST_GROUP = 255


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret. Instants are epoch seconds in UTC.

    ``key_id`` finds it. ``expires_at`` of a key that was replaced (``replaced_by``, an id) is the end of the overlap.
    ``pepper_id`` tells with which pepper it was made; of a key from a keyring it is empty. ``sealed`` is false where
    the database's entry is not as it was made, or has no seal (of what was revoked none is left): such a key opens
    nothing. It is None where that can't be told, since the key's pepper is not at hand.
    """

    key_id: str
    name: str
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    may_delegate: bool = False
    created_at: float = 0.0
    created_by: str = ""
    expires_at: float | None = None
    revoked_at: float | None = None
    revoked_by: str = ""
    last_used_at: float | None = None
    replaced_by: str | None = None
    imported: bool = False
    pepper_id: str = ""
    sealed: bool | None = True

    @property
    def is_current(self) -> bool:
        """Whether this is the key of its name: neither revoked nor replaced."""
        return self.revoked_at is None and self.replaced_by is None

    def has_ended(self, now: float) -> bool:
        """Whether it opens nothing any more."""
        return self.revoked_at is not None or (self.expires_at is not None and now >= self.expires_at)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key, the digest that proves it, and the seal that proves this entry."""

    key: ApiKey
    digest: str = field(repr=False)
    seal: str = field(default="", repr=False)


class KeyStore(Protocol):
    """Keeps API keys. Called from several threads at once, each call bounded in time; raises StoreError, no other.

    What a call takes depends on what it asks for, not on how many keys there are.
    """

    def find(self, key_id: str) -> StoredKey | None: ...

    def find_named(self, name: str) -> StoredKey | None:
        """Return the current key of a name; where there is none, the one made last."""
        ...

    def is_empty(self) -> bool:
        """Say whether no key was ever kept."""
        ...

    def imported_ids(self) -> frozenset[str]:
        """Return the ids of the imported keys, revoked ones too."""
        ...

    def add(self, stored: Iterable[StoredKey]) -> str | None:
        """Keep new keys, all or none. Return the name, or id, of one that is there already, None if all were kept."""
        ...

    def replace(self, ended: StoredKey, stored: StoredKey) -> bool:
        """Put a key in the place of a current one, which becomes ``ended``. False: that one is current no more.

        Of ``ended``, what is new is ``replaced_by``, ``expires_at`` and the seal.
        """
        ...

    def revoke(self, name_or_id: str, *, at: float, by: str) -> tuple[ApiKey, ...] | None:
        """Revoke the key of this id, and all keys of this name, all or none; what was revoked already stays as it is.

        Their seals are taken away, so that nobody makes them good again by undoing what is written here.
        Also those that a rotation adds in this moment: none that was there before the call, or replaces one that was,
        is good after it. Takes time for each key that is not revoked yet, but memory only for those returned.

        Returns:
            Those that were good until now. None if there is no key of this name or id.
        """
        ...

    def page(self, after: ApiKey | None = None) -> tuple[StoredKey, ...]:
        """Return some of the keys made after this one, or from the beginning, the oldest first. None left: ``()``.

        In the order of ``created_at``, then of ``key_id`` in one way or another. At most a thousand.
        """
        ...

    def seal(self, stored: StoredKey) -> bool:
        """Keep the seal of an entry that has none and is not revoked. False: there is none such."""
        ...

    def touch(self, used: Mapping[str, float]) -> None:
        """Note when keys were last used, by id."""
        ...

    def close(self) -> None: ...


def refuse_ended(key: ApiKey, *, now: float) -> None:
    """Let only a key pass that is good now.

    Raises:
        Revoked: Reason ``key_revoked``.
        Expired: Reason ``key_expired``, or ``key_replaced`` after the overlap of a rotation.
    """
    if key.revoked_at is not None:
        raise Revoked("This API key was revoked. Ask for a new one.", reason="key_revoked")
    if key.has_ended(now):
        reason = "key_expired" if key.replaced_by is None else "key_replaced"
        raise Expired("This API key has expired. Ask for the one that replaces it.", reason=reason)


def check_name(name: str, *, field: str = "name") -> None:
    """Refuse what can't be the name of a key.

    Raises:
        ConfigurationError: Not 1 to 255 of ``A-Z a-z 0-9 . _ @ -``.
    """
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        # Not repeated: in a keyring whose name and key were mixed up, it is the key.
        message = "This can't be the name of a key. Take up to 255 letters, digits and any of . _ @ -"
        raise ConfigurationError(message, field=field, reason="key_name")


def is_name_or_id(text: str) -> bool:
    """Tell whether a key can have this name or id."""
    return _NAME.fullmatch(text) is not None


def is_like_an_id(name: str) -> bool:
    """Tell whether a name could be the id of a key."""
    return _ID.fullmatch(name) is not None


def check_texts(values: Iterable[str], *, field: str) -> tuple[str, ...]:
    """Return scopes or groups as a tuple.

    Raises:
        ConfigurationError: A string alone, too many, or one that can't be a scope or the name of a group.
    """
    if isinstance(values, str):
        raise ConfigurationError(f"{field} is a list: give [{values!r}].", field=field, reason="not_a_list")
    checked = tuple(values)
    if len(checked) > _MOST_TEXTS:
        raise ConfigurationError(f"More than {_MOST_TEXTS} {field} are too many.", field=field, reason="too_many")
    for value in checked:
        is_text = isinstance(value, str)
        if not is_text or not (_SCOPE.fullmatch(value) if field.endswith("scopes") else _is_group(value)):
            message = f"{field} can't hold {printable(repr(value))}. Give each by itself, in printable letters"
            message += ", without spaces and quotes." if field.endswith("scopes") else "."
            raise ConfigurationError(message, field=field, reason="bad_text")
    return checked


def _is_group(value: str) -> bool:
    return 0 < len(value) <= _LONGEST_GROUP and value.isprintable()
