"""API keys that stand in the configuration: micromegas' JSON, ``[{"name": …, "key": …}]``, checked when read.

Each entry may also have ``scopes``, ``groups``, ``may_delegate`` and ``expires_at`` (RFC 3339). A mistake is named by
the entry's place, never by its key. Keys are found by a keyed digest of their own, so how long that takes says nothing.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, Malformed
from doorward.guard.api_keys.api_key import ApiKey, check_name, check_texts
from doorward.guard.credentials import looks_signed
from doorward.model import Secret
from doorward.protocol.reading.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Keyring", "KeyringEntry", "parse_entries", "parse_keyring"]

_SHORTEST_KEY, _LONGEST_KEY = 8, 512
_SENDABLE = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1
_MEMBERS = {"name", "key", "scopes", "groups", "may_delegate", "expires_at"}
_MOST_ENTRIES = 10_000
_LATEST = 1e11  # the year 5138


@dataclass(frozen=True, slots=True)
class KeyringEntry:
    """One entry, checked."""

    secret: Secret
    key: ApiKey


def parse_keyring(text: str | bytes, *, field: str = "api_keys") -> tuple[KeyringEntry, ...]:
    """Read a keyring from JSON.

    Args:
        text: a list of objects.
        field: where it stands, for messages.

    Raises:
        ConfigurationError: It is something else, or an entry is wrong.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    try:
        whole = loads_object(b'{"entries":' + data + b"}", what="The keyring")
    except Malformed:
        message = f'{field} is not valid JSON. Give a list: [{{"name": "…", "key": "…"}}]'
        raise ConfigurationError(message, field=field, reason="keyring_json") from None  # the cause may show a key
    entries = whole["entries"]
    if not isinstance(entries, list) or len(whole) > 1:
        message = f'{field} is no list. Give [{{"name": "…", "key": "…"}}]'
        raise ConfigurationError(message, field=field, reason="keyring_shape")
    return parse_entries(entries, field=field)


def parse_entries(entries: Iterable[Mapping[str, Any]], *, field: str = "api_keys") -> tuple[KeyringEntry, ...]:
    """Check the entries of a keyring.

    Raises:
        ConfigurationError: One is wrong, or has the name or key of another; its field is ``FIELD[PLACE]``, from 0.
    """
    parsed: list[KeyringEntry] = []
    names: set[str] = set()
    keys: set[Secret] = set()
    for place, entry in enumerate(entries):
        where = f"{field}[{place}]"
        if place == _MOST_ENTRIES:
            message = f"{field} has more than {_MOST_ENTRIES} entries. Keep as many keys in a database."
            raise ConfigurationError(message, field=field, reason="keyring_size")
        checked = _checked(entry, where)
        for seen, value, what in ((names, checked.key.name, "name"), (keys, checked.secret, "key")):
            if value in seen:
                message = f"{where} has the {what} of an entry before it. Give each a {what} of its own."
                raise ConfigurationError(message, field=where, reason=f"keyring_{what}_twice")
            seen.add(value)  # type: ignore[arg-type] # each goes to the set of its kind
        parsed.append(checked)
    return tuple(parsed)


class Keyring:
    """Finds the key that a credential is among checked entries."""

    __slots__ = ("_digest_key", "_keys")

    def __init__(self, entries: Iterable[KeyringEntry]) -> None:
        self._digest_key = os.urandom(32)
        self._keys = {self._digest(entry.secret.reveal()): entry.key for entry in entries}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, credential: str) -> ApiKey | None:
        """Return what is known of the key, None if there is none such."""
        return self._keys.get(self._digest(credential)) if self._keys else None

    def records(self) -> tuple[ApiKey, ...]:
        """Return all keys, in order of their entries."""
        return tuple(self._keys.values())

    def _digest(self, credential: str) -> bytes:
        data = credential.encode(errors="surrogatepass")
        return hashlib.blake2b(data, key=self._digest_key, digest_size=32).digest()


def _checked(entry: Mapping[str, Any], where: str) -> KeyringEntry:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} is no object with a name and a key.", field=where, reason="keyring_shape")
    if not _MEMBERS.issuperset(entry):
        message = f"{where} has a member that means nothing here. Known are {', '.join(sorted(_MEMBERS))}."
        raise ConfigurationError(message, field=where, reason="keyring_member")
    name = entry.get("name", "")
    check_name(name, field=where)
    key = entry.get("key")
    secret = _checked_secret(key.reveal() if isinstance(key, Secret) else key, where)
    may_delegate = entry.get("may_delegate", False)
    if not isinstance(may_delegate, bool):
        message = f"{where} has a may_delegate that is neither true nor false."
        raise ConfigurationError(message, field=where, reason="keyring_may_delegate")
    return KeyringEntry(
        secret,
        ApiKey(
            key_id=f"keyring:{name}",
            name=name,
            scopes=check_texts(_listed(entry.get("scopes", ()), where), field=f"{where}.scopes"),
            groups=check_texts(_listed(entry.get("groups", ()), where), field=f"{where}.groups"),
            may_delegate=may_delegate,
            expires_at=_instant(entry.get("expires_at"), where),
        ),
    )


def _checked_secret(secret: Any, where: str) -> Secret:
    if not isinstance(secret, str) or not _SHORTEST_KEY <= len(secret) <= _LONGEST_KEY:
        message = f"{where} has no key of {_SHORTEST_KEY} to {_LONGEST_KEY} characters. Shorter ones are guessed."
        raise ConfigurationError(message, field=where, reason="keyring_key_length")
    if not _SENDABLE.fullmatch(secret):
        message = f"{where} has a key that can't be sent as a bearer token. Take letters, digits and any of - . _ ~ + /"
        raise ConfigurationError(message, field=where, reason="keyring_key_unsendable")
    if looks_signed(secret):
        message = f"{where} has a key that looks like a signed token, and would be taken for one. Take another."
        raise ConfigurationError(message, field=where, reason="keyring_key_jwt")
    return Secret(secret)


def _listed(value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        message = f"{where} has scopes or groups that are no list."
        raise ConfigurationError(message, field=where, reason="not_a_list")
    return tuple(value)


def _instant(value: Any, where: str) -> float | None:
    """Return an end of life in epoch seconds: given so, or as RFC 3339 with its zone."""
    if value is None:
        return None
    at = math.nan
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            at = moment.timestamp() if moment.tzinfo is not None else at
    elif isinstance(value, int | float) and not isinstance(value, bool):
        at = float(value) if abs(value) < _LATEST else at
    if not math.isfinite(at):
        message = f"{where} has an expires_at that is no instant. Give one like 2027-01-31T00:00:00Z."
        raise ConfigurationError(message, field=where, reason="keyring_expires_at")
    return at
