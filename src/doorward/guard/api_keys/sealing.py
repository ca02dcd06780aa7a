"""The seal of an entry: by it one sees that a store gives back what was put there (decision 16).

It covers all that an entry allows: whose key it is, its digest, what it may do, and until when. Only who has the key's
pepper can make one. A revocation takes the seal away; what is revoked needs none to be refused.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from doorward.errors import StoreError, printable
from doorward.guard.api_keys.format import is_seal_of, seal_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.guard.api_keys.api_key import ApiKey, StoredKey
    from doorward.guard.api_keys.format import Pepper

__all__ = ["check_seal", "sealed", "with_verdict"]


def sealed(stored: StoredKey, peppers: Iterable[Pepper]) -> StoredKey:
    """Return an entry with the seal of what it says now.

    Raises:
        StoreError: The pepper it was made with is not among these: reason ``pepper_unknown``.
    """
    return replace(stored, seal=seal_of(_sealed_text(stored), _pepper_of(stored.key, peppers)))


def check_seal(stored: StoredKey, peppers: Iterable[Pepper]) -> None:
    """Let only an entry pass that says what it said when it was sealed.

    Raises:
        StoreError: It has no seal (``entry_unsealed``) or says something else (``entry_altered``), or nobody can tell
            (``pepper_unknown``).
    """
    key = stored.key
    if not stored.seal:
        message = (
            f"The entry of API key {printable(key.key_id)} has no seal: it is from Doorward 0.1, or somebody wrote to "
            "the database. See what it may do, and seal it if that is right: doorward keys seal"
        )
        raise StoreError(message, reason="entry_unsealed")
    if not is_seal_of(_sealed_text(stored), _pepper_of(key, peppers), stored.seal):
        message = (
            f"The entry of API key {printable(key.key_id)} is not what it was: somebody wrote to the database. Find "
            "out who can, revoke that key and create another."
        )
        raise StoreError(message, reason="entry_altered")


def with_verdict(stored: StoredKey, peppers: Iterable[Pepper]) -> ApiKey:
    """Return the key with ``sealed`` as its entry deserves."""
    try:
        check_seal(stored, peppers)
    except StoreError as error:
        return replace(stored.key, sealed=None if error.reason == "pepper_unknown" else False)
    return stored.key


def _pepper_of(key: ApiKey, peppers: Iterable[Pepper]) -> Pepper:
    for pepper in peppers:
        if pepper.id == key.pepper_id:
            return pepper
    message = f"The pepper of API key {printable(key.key_id)} is not among those given. Add it, or revoke that key."
    raise StoreError(message, reason="pepper_unknown")


def _sealed_text(stored: StoredKey) -> str:
    """Write out what the seal covers: not when the key was last used, nor by whom it was revoked."""
    key = stored.key
    end_at = None if key.expires_at is None else float(key.expires_at)
    covered = [
        *(key.key_id, stored.digest, key.pepper_id, key.name, key.imported),
        *(key.scopes, key.groups, key.may_delegate),
        *(float(key.created_at), key.created_by, end_at, key.replaced_by),
    ]
    return json.dumps(covered)
