"""What a refused request hears: the same for every bad credential, and never why."""

from __future__ import annotations

import math

import pytest

from doorward.errors import (
    BadSignature,
    ConfigurationError,
    Expired,
    Forbidden,
    Malformed,
    MissingCredential,
    ProviderUnavailable,
    Revoked,
    StoreError,
    Throttled,
    UnknownApiKey,
)
from doorward.integrations.gate.refusals import Refusals

REFUSALS = Refusals(realm="notes", resource_metadata="https://api.example.org/meta", scopes=["read"])


@pytest.mark.parametrize("kind", [BadSignature, Expired, Malformed, Revoked, UnknownApiKey])
def test_every_bad_credential_gets_one_answer(kind):
    answer = REFUSALS.answer(kind("a planted reason", reason="planted"))
    assert answer == REFUSALS.answer(Malformed("x"))
    assert answer.status == 401
    assert answer.content == {"error": "unauthorized"}
    assert answer.headers == {
        "Cache-Control": "no-store",
        "WWW-Authenticate": 'Bearer realm="notes", error="invalid_token", scope="read", '
        'resource_metadata="https://api.example.org/meta"',
    }


def test_without_a_credential_the_challenge_names_no_error():
    answer = REFUSALS.answer(MissingCredential("x"))
    assert answer.content == REFUSALS.answer(Malformed("x")).content
    assert "error=" not in answer.headers["WWW-Authenticate"]
    assert Refusals().answer(MissingCredential("x")).headers["WWW-Authenticate"] == "Bearer"


def test_missing_scopes_are_named():
    answer = REFUSALS.answer(Forbidden("x", missing_scopes=("write", "mint")))
    assert answer.status == 403
    assert answer.content == {"error": "forbidden", "missing_scopes": ["write", "mint"]}
    assert 'error="insufficient_scope", scope="write mint"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("seconds", "header"),
    [(0.2, "1"), (0, "1"), (-3, "1"), (7.01, "8"), (30, "30"), (1e9, "86400"), (math.inf, "86400")],
)
def test_who_failed_too_often_hears_whole_seconds_rounded_up(seconds, header):
    answer = REFUSALS.answer(Throttled("x", retry_after_s=seconds))
    assert (answer.status, answer.headers["Retry-After"]) == (429, header)
    assert "WWW-Authenticate" not in answer.headers


def test_an_outage_says_when_to_try_again_whether_known_or_not():
    known = REFUSALS.answer(ProviderUnavailable("x", retry_after_s=12.5))
    unknown = REFUSALS.answer(StoreError("x"))
    assert (known.status, known.headers["Retry-After"]) == (503, "13")
    assert (unknown.status, unknown.headers["Retry-After"]) == (503, "5")
    assert known.content == unknown.content == {"error": "unavailable"}


def test_what_no_header_can_hold_stops_the_start():
    with pytest.raises(ConfigurationError) as refused:
        Refusals(realm='a"b')
    assert refused.value.field == "realm"
