"""Whatever is sealed opens under its own name and key alone, and nothing else opens at all."""

from __future__ import annotations

import os

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from doorward.errors import CorruptEntry, VaultError
from doorward.vault.sealing.envelope import Envelope, closed, opened
from doorward.vault.sealing.keys import Keys
from doorward.vault.sealing.marks import SEALED
from doorward.vault.sealing.seal import Seal, SealKey

FILES = st.from_regex(r"(profile|institution)-[a-z0-9][a-z0-9._@+-]{0,20}\.json", fullmatch=True)


def sealed_vault() -> tuple[bytes, Keys]:
    """The seal of a vault, and what knows its key."""
    key, root = SealKey(os.urandom(16).hex(), "keyring"), os.urandom(32)
    keys = Keys()
    keys.remember(key.id, root)
    return Seal(keys=(key,), writes=key.id).to_bytes({key.id: root}), keys


SEAL, KEYS = sealed_vault()

untimed = settings(deadline=None)  # a busy machine takes the time it takes


@untimed
@given(st.binary(max_size=3000), FILES)
def test_what_is_sealed_opens_again_and_shows_nothing(data: bytes, file: str) -> None:
    kept = closed(data, SEAL, file=file, keys=KEYS)
    assert bytes(kept).startswith(SEALED)
    assert len(data) < 8 or data not in Envelope.from_bytes(bytes(kept), file).sealed  # what is around it is known
    assert opened(bytes(kept), SEAL, file=file, keys=KEYS) == data


@untimed
@given(st.binary(max_size=100), FILES, FILES)
def test_no_entry_passes_for_another(data: bytes, file: str, other: str) -> None:
    assume(file != other)
    kept = closed(data, SEAL, file=file, keys=KEYS)
    with pytest.raises(CorruptEntry):
        opened(bytes(kept), SEAL, file=other, keys=KEYS)


@untimed
@given(st.binary(max_size=100), st.integers(0, 10_000), st.integers(1, 255))
def test_nothing_altered_opens(data: bytes, at: int, change: int) -> None:
    kept = bytearray(closed(data, SEAL, file="profile-a.json", keys=KEYS))
    kept[at % len(kept)] ^= change
    with pytest.raises(VaultError):
        opened(bytes(kept), SEAL, file="profile-a.json", keys=KEYS)


@untimed
@given(st.binary(max_size=300))
def test_whatever_stands_in_a_file_only_our_errors_come_out(junk: bytes) -> None:
    for data, seal in ((SEALED + junk, SEAL), (junk, SEAL), (SEALED + junk, junk), (junk, junk)):
        with pytest.raises(VaultError):
            opened(data, seal, file="profile-a.json", keys=KEYS)


@untimed
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_altered_seal_counts(at: int, change: int) -> None:
    kept = bytes(closed(b"data", SEAL, file="profile-a.json", keys=KEYS))
    seal = bytearray(SEAL)
    seal[at % len(seal)] ^= change
    for use in (
        lambda: opened(kept, bytes(seal), file="profile-a.json", keys=KEYS),
        lambda: closed(b"data", bytes(seal), file="profile-a.json", keys=KEYS),
    ):
        with pytest.raises(VaultError):
            use()
