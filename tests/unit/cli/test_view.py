"""What an entry says in words, at every stage of its life."""

from __future__ import annotations

import dataclasses

import pytest

from doorward.cli.view import (
    access_in_words,
    duration_in_words,
    entry_object,
    renewal_in_words,
    signed_in_line,
    who,
)
from doorward.model import Secret
from doorward.vault.entries import ProfileEntry

NOW = 1_800_000_000.0

ENTRY = ProfileEntry(
    profile="work",
    issuer="https://id.example.org",
    client_id="cli",
    client_authentication="none",
    created_at=NOW,
    access_token=Secret("planted-access"),
    access_token_issued_at=NOW,
    access_token_expires_at=NOW + 2520,
    refresh_token=Secret("planted-refresh"),
    claims={"iss": "https://id.example.org", "sub": "u1", "email": "alice@example.org"},
)


def changed(**fields):
    return dataclasses.replace(ENTRY, **fields)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (2520, "42 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
        (86_400 * 2 - 1, "47 h 59 min"),
        (86_400 * 12, "12 days"),
    ],
)
def test_a_time_span_in_words(seconds, words):
    assert duration_in_words(seconds) == words


@pytest.mark.parametrize(
    ("fields", "access", "renewal"),
    [
        ({}, "good for 42 min", "by itself"),
        ({"access_token_expires_at": NOW}, "expired", "by itself"),
        ({"access_token": None}, "expired", "by itself"),
        ({"access_token_expires_at": None}, "good until refused", "by itself"),
        ({"refresh_token": None}, "good for 42 min", "sign in again"),
        ({"refresh_token": None, "access_token_expires_at": NOW - 1}, "expired", "sign in again"),
        ({"ended_at": NOW - 1}, "good for 42 min", "sign in again"),
        ({"ended_at": NOW - 1, "access_token_expires_at": NOW - 1}, "session ended", "sign in again"),
        ({"failures": 3, "retry_at": NOW + 30}, "good for 42 min", "retry in 30 s"),
        ({"failures": 3, "retry_at": NOW - 30}, "good for 42 min", "by itself"),
    ],
)
def test_access_and_renewal_in_words(fields, access, renewal):
    entry = changed(**fields)
    assert access_in_words(entry, now=NOW) == access
    assert renewal_in_words(entry, now=NOW) == renewal
    needed = renewal == "sign in again" and not access.startswith("good")
    assert entry_object(entry, now=NOW)["sign_in_needed"] is needed


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "u1", "email": "alice@example.org", "preferred_username": "alice"}, "alice@example.org"),
        ({"sub": "u1", "preferred_username": "alice", "name": "Alice"}, "alice"),
        ({"sub": "u1", "name": "Alice"}, "Alice"),
        ({"sub": "u1"}, "u1"),
        ({"sub": "u1", "email": ["alice@example.org"]}, "u1"),
        ({"sub": "u1", "email": "\x1b\x07"}, "u1"),
        ({"sub": "u1", "email": "a\x1b[31m\n@example.org"}, "a [31m @example.org"),
        (None, "somebody"),
    ],
)
def test_who_it_is(claims, name):
    assert who(changed(claims=claims)) == name


@pytest.mark.parametrize(
    ("fields", "rest"),
    [
        ({}, "The session renews itself."),
        ({"refresh_token": None}, "The session lasts 42 min and does not renew itself."),
        ({"refresh_token": None, "access_token_expires_at": None}, "The session does not renew itself."),
    ],
)
def test_the_last_line_of_a_sign_in(fields, rest):
    line = signed_in_line(changed(**fields), now=NOW)
    assert line == f"Signed in as alice@example.org at https://id.example.org (profile work). {rest}"


def test_an_object_for_programs_holds_no_secret_and_rfc_3339_times():
    described = entry_object(ENTRY, now=NOW)
    assert "planted" not in repr(described)
    assert described["signed_in_at"] == "2027-01-15T08:00:00.000000Z"
    assert described["ended_at"] is None
