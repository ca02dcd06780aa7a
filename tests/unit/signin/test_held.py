"""What may be asked for, and which token will do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.signin.held import Wanted, principal_of
from doorward.vault.entries import ProfileEntry

ENTRY = ProfileEntry(
    profile="work",
    issuer="https://id.example.org",
    client_id="cli",
    client_authentication="none",
    created_at=0,
    access_token=Secret("held"),
    access_token_issued_at=0,
    access_token_expires_at=3600,
)


@pytest.mark.parametrize("kind", ["refresh", "", None])
def test_a_kind_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(ConfigurationError, match="'access' or 'id'"):
        Wanted(kind)  # type: ignore[arg-type] # that is the test


@pytest.mark.parametrize("least_life_s", [-1, 86_401, float("nan"), float("inf"), True, "60"])
def test_a_least_life_out_of_range_is_refused(least_life_s: float) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 86400") as caught:
        Wanted("access", least_life_s=least_life_s)
    assert caught.value.field == "least_life_s"


@pytest.mark.parametrize(
    ("wanted", "now", "fresh", "usable"),
    [
        (Wanted("access"), 0, "held", "held"),
        (Wanted("access"), 3400, None, "held"),
        (Wanted("access"), 3590, None, None),
        (Wanted("access", rejected="other"), 0, "held", "held"),
        (Wanted("access", rejected="held"), 0, None, None),
        (Wanted("access", least_life_s=3600), 0, None, "held"),
        (Wanted("id"), 0, None, None),
    ],
)
def test_a_token_will_do_or_not(wanted: Wanted, now: float, fresh: str | None, usable: str | None) -> None:
    assert wanted.fresh(ENTRY, now=now) == fresh
    assert wanted.usable(ENTRY, now=now, at_least_s=10) == usable


def test_the_rejected_token_is_not_shown() -> None:
    assert "secret" not in repr(Wanted("access", rejected="secret"))


def test_a_token_of_each_kind_is_that_kinds() -> None:
    both = dataclasses.replace(ENTRY, id_token=Secret("held-id"), id_token_issued_at=0, id_token_expires_at=3600)
    assert (Wanted("access").fresh(both, now=0), Wanted("id").fresh(both, now=0)) == ("held", "held-id")
    assert Wanted("id").usable(both, now=0, at_least_s=0) == "held-id"


def test_one_whose_end_is_not_told_may_be_good_still() -> None:
    endless = dataclasses.replace(ENTRY, access_token_expires_at=None)
    assert Wanted("access").usable(endless, now=1e9, at_least_s=10) == "held"


@pytest.mark.parametrize(
    ("told", "email", "verified", "groups"),
    [
        ({}, None, False, ()),
        ({"email": "a@b.example", "email_verified": True, "groups": ["x", "y"]}, "a@b.example", True, ("x", "y")),
        ({"email": "a@b.example", "email_verified": "true", "groups": "x"}, "a@b.example", False, ()),
        ({"email": ["a@b.example"], "email_verified": 1, "groups": ["x", 1, None, ["y"]]}, None, False, ("x",)),
    ],
    ids=str,
)
def test_a_principal_is_who_the_claims_name_and_nothing_made_up(
    told: dict[str, Any], email: str | None, *, verified: bool, groups: tuple[str, ...]
) -> None:
    found = principal_of(dataclasses.replace(ENTRY, scopes=("a", "b")), {"iss": "i", "sub": "s", **told})
    assert (found.issuer, found.subject, found.audience) == ("i", "s", ("cli",))
    assert (found.email, found.email_verified, found.groups) == (email, verified, groups)
    assert found.scopes == ("a", "b")
    narrowed = dataclasses.replace(ENTRY, scopes=("a", "b"), granted_scopes=("a",))
    assert principal_of(narrowed, {"iss": "i", "sub": "s"}).scopes == ("a",)
