"""What a key becomes when it is made, replaced or imported."""

from __future__ import annotations

import math

import pytest

from doorward.errors import ConfigurationError
from doorward.guard.api_keys.api_key import ApiKey
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.changes import checked_key, end_of_overlap, successor_of

NOW = 1_800_000_000.0
HOUR = 3600.0
MAY = {"scopes": ("read", "write"), "groups": ("eng",)}


@pytest.mark.parametrize("may_delegate", [False, True])
@pytest.mark.parametrize(
    ("ends", "successor_ends"),
    [(None, None), (NOW + HOUR, NOW + 2 * HOUR), (NOW - 1, NOW + HOUR - 1)],
)
def test_a_successor_may_do_what_the_old_key_could_and_lives_as_long(may_delegate, ends, successor_ends):
    old = ApiKey(
        "id", "bot", **MAY, may_delegate=may_delegate, created_at=NOW - HOUR, created_by="eve", expires_at=ends
    )
    assert successor_of(old, now=NOW, by="al\x1bice") == ApiKey(
        "", "bot", **MAY, may_delegate=may_delegate, created_at=NOW, created_by="al ice", expires_at=successor_ends
    )


@pytest.mark.parametrize(
    ("ends", "overlap_s", "end_at"),
    [
        (None, 0, NOW),
        (None, HOUR, NOW + HOUR),
        (NOW + 5, HOUR, NOW + 5),
        (NOW + HOUR, 5, NOW + 5),
        (NOW - 5, HOUR, NOW - 5),
    ],
)
def test_a_replaced_key_ends_with_the_overlap_and_never_later_than_it_would_have(ends, overlap_s, end_at):
    assert end_of_overlap(ApiKey("id", "bot", expires_at=ends), overlap_s, now=NOW) == end_at


@pytest.mark.parametrize("overlap_s", [-1, math.inf, math.nan])
def test_an_overlap_is_a_time_span(overlap_s):
    with pytest.raises(ConfigurationError) as refused:
        end_of_overlap(ApiKey("id", "bot"), overlap_s, now=NOW)
    assert refused.value.reason == "overlap"


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1, math.inf, math.nan])
def test_a_key_is_made_to_end_in_time_to_come(expires_at):
    with pytest.raises(ConfigurationError) as refused:
        checked_key(ApiKey("", "bot", expires_at=expires_at), now=NOW)
    assert refused.value.reason == "expires_at"


def test_who_did_it_is_told_without_what_a_terminal_would_obey():
    keys = ApiKeys.memory()
    _, made = keys.create("bot", created_by="al\x1bice")
    _, rotated = keys.rotate("bot", by="al\x1bice")
    imported = keys.import_keys([{"name": "old", "key": "abcdefgh"}], by="al\x1bice")[0]
    assert {each.created_by for each in (made, rotated, imported)} == {"al ice"}
    assert {each.revoked_by for each in keys.revoke("bot", by="al\x1bice")} == {"al ice"}
    keys.close()
