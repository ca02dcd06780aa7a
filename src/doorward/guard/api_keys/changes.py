"""What a key becomes when it is made, replaced or imported: checked values in, records out. No store, no clock."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, printable
from doorward.guard.api_keys.api_key import ApiKey, StoredKey, check_name, check_texts
from doorward.guard.api_keys.format import digest_foreign_key, is_key_shaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.guard.api_keys.format import Pepper
    from doorward.guard.api_keys.keyring import KeyringEntry

__all__ = ["checked_key", "end_of_overlap", "imported_keys", "no_such_key", "successor_of"]


def checked_key(key: ApiKey, *, now: float) -> ApiKey:
    """Return a key that is about to be made, with what it was given in order.

    Raises:
        ConfigurationError: Its name, scopes, groups or end of life is wrong.
    """
    check_name(key.name)
    if key.expires_at is not None and not now < key.expires_at < math.inf:
        message = "expires_at lies in the past, or is no instant. Give epoch seconds of a time to come."
        raise ConfigurationError(message, field="expires_at", reason="expires_at")
    return replace(
        key,
        scopes=check_texts(key.scopes, field="scopes"),
        groups=check_texts(key.groups, field="groups"),
        created_at=now,
        created_by=printable(key.created_by),
    )


def successor_of(old: ApiKey, *, now: float, by: str) -> ApiKey:
    """Return the key that takes the place of another: it may do the same, and is to live as long."""
    return ApiKey(
        key_id="",
        name=old.name,
        scopes=old.scopes,
        groups=old.groups,
        may_delegate=old.may_delegate,
        created_at=now,
        created_by=printable(by),
        expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
    )


def end_of_overlap(old: ApiKey, overlap_s: float, *, now: float) -> float:
    """Return when a key that is being replaced ends: never later than it would have.

    Raises:
        ConfigurationError: ``overlap_s`` is no time span.
    """
    if not 0 <= overlap_s < math.inf:
        message = "overlap_s is no time span. Give seconds, or 0 to end the old key now."
        raise ConfigurationError(message, field="overlap_s", reason="overlap")
    return min(now + overlap_s, math.inf if old.expires_at is None else old.expires_at)


def imported_keys(entries: Iterable[KeyringEntry], pepper: Pepper, *, now: float, by: str) -> list[StoredKey]:
    """Return what to keep of keys that were made elsewhere.

    Raises:
        ConfigurationError: One has the shape of a key of ours, and would be taken for one.
    """
    stored = []
    for place, entry in enumerate(entries):
        if is_key_shaped(entry.secret.reveal()):
            message = (
                f"Entry {place} has a key that begins like Doorward's own: it can't be imported. Create a new one."
            )
            raise ConfigurationError(message, field=f"api_keys[{place}]", reason="import_own_shape")
        digested = digest_foreign_key(entry.secret.reveal(), pepper)
        key = replace(
            entry.key,
            key_id=digested.key_id,
            created_at=now,
            created_by=printable(by),
            imported=True,
            pepper_id=pepper.id,
        )
        stored.append(StoredKey(key, digested.digest))
    return stored


def no_such_key(name_or_id: str) -> ConfigurationError:
    """Return what to raise."""
    message = (
        f"There is no API key {printable(repr(name_or_id))}, or none that is in use. See: doorward keys list --all"
    )
    return ConfigurationError(message, field="name", reason="no_such_key")
