"""Proving an API key: found by its id, its digest compared in constant time. One that is not there costs the same.

What was refused is remembered for five seconds, so that nobody can make the store work with a bad key.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from doorward.errors import Expired, Revoked, UnknownApiKey
from doorward.guard.api_keys.api_key import refuse_ended
from doorward.guard.api_keys.format import digest_key, is_key_shaped
from doorward.guard.api_keys.sealing import check_seal

if TYPE_CHECKING:
    from doorward.guard.api_keys.api_key import ApiKey, KeyStore
    from doorward.guard.api_keys.format import Digested, Pepper
    from doorward.guard.api_keys.keyring import Keyring
    from doorward.guard.api_keys.last_used import LastUsed
    from doorward.guard.api_keys.lookup import KeyLookup
    from doorward.guard.api_keys.peppers import Peppers
    from doorward.guard.work import Work

__all__ = ["KeyCheck"]

_NO_DIGEST: Final = "0" * 48


class KeyCheck:
    """Judges credentials by the keyring and the store that ``ApiKeys`` was given."""

    def __init__(
        self, store: KeyStore | None, keyring: Keyring, peppers: Peppers, lookup: KeyLookup, last_used: LastUsed
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._peppers = peppers
        self._lookup = lookup
        self._last_used = last_used

    def recognizes(self, credential: str) -> bool:
        """Say whether this is for us to judge: by its shape, or because it is in the keyring, or was imported.

        Asks no store: imported keys are known as they were when ``is_ours`` or ``check`` last had to look.
        """
        return (
            is_key_shaped(credential)
            or self._keyring.find(credential) is not None
            or self._lookup.as_imported(credential, self._peppers.known) is not None
        )

    def is_ours(self, credential: str, now: float) -> Work[bool]:
        """Say the same, after a look at which keys were imported where that was not known: once in half a minute.

        Raises:
            StoreError: Nobody can say.
        """
        if self.recognizes(credential):
            return True
        yield from self._learn_imported(now)
        return self._lookup.as_imported(credential, self._peppers.known) is not None

    def check(self, credential: str, now: float, *, is_use: bool = True) -> Work[ApiKey]:
        """Return what is known of a key that is good now.

        Args:
            credential: the key.
            now: epoch seconds.
            is_use: whether to note that it was used.

        Raises:
            UnknownApiKey: Reason ``key_shape``, ``key_checksum``, ``unknown_key_id`` or ``wrong_secret``.
            Revoked: Reason ``key_revoked``.
            Expired: Reason ``key_expired``, or ``key_replaced`` after the overlap of a rotation.
            StoreError: Nobody can say; or the entry is not as it was made (``entry_altered``, ``entry_unsealed``).
        """
        key = self._keyring.find(credential)
        if key is not None:
            refuse_ended(key, now=now)
            return key
        digested = yield from self._digest(credential, now)
        stored = yield from self._lookup.find(digested.key_id, now)
        proved = hmac.compare_digest(digested.digest, _NO_DIGEST if stored is None else stored.digest)
        if stored is None:
            self._lookup.remember_refused(digested.key_id, None, now)
            raise UnknownApiKey("There is no such API key. Ask for a new one.", reason="unknown_key_id")
        if not proved:
            raise UnknownApiKey("This is not the API key of that id. Ask for a new one.", reason="wrong_secret")
        if stored.key.revoked_at is None:
            check_seal(stored, self._peppers.known)
        try:
            refuse_ended(stored.key, now=now)
        except (Revoked, Expired):
            self._lookup.remember_refused(digested.key_id, stored, now)
            raise
        if is_use:
            self._last_used.note(stored.key.key_id, now)
        return stored.key

    def _digest(self, credential: str, now: float) -> Work[Digested]:
        """Work out what the store would know of a credential; refuse what was never a key of its."""
        if self._store is None:
            raise UnknownApiKey("There is no such API key. Ask for a new one.", reason="key_shape")
        if not is_key_shaped(credential):
            yield from self._learn_imported(now)
            digested = self._lookup.as_imported(credential, self._peppers.known)
            reason = "key_shape"
        else:
            peppers = self._peppers.known or (yield from self._read_peppers())
            digested = digest_key(credential, peppers)
            reason = "key_checksum"
        if digested is None:
            raise UnknownApiKey(
                "This is no API key of this service: it is not whole, or was made for another database or pepper.",
                reason=reason,
            )
        return digested

    def _learn_imported(self, now: float) -> Work[None]:
        if now >= self._lookup.fresh_until:
            if not self._peppers.known:
                yield from self._read_peppers()
            yield from self._lookup.read_imported(now)

    def _read_peppers(self) -> Work[tuple[Pepper, ...]]:
        assert self._store is not None  # noqa: S101 - without one nothing of ours needs a pepper
        store = self._store
        # Where no key was ever made, a made-up one costs a look at the disk, so that the first that is made is good at
        # once. Nobody else waits for that.
        return (yield from self._lookup.ask("pepper", lambda: self._peppers.read(store)))
