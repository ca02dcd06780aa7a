"""What tokens must say beside what all must: exact values, lists, patterns; nothing that is merely alike."""

from __future__ import annotations

import pytest

from doorward.errors import MissingClaim, WrongClaim
from doorward.guard.issuers.required_claims import read_required_claims


def fits(value, found, name="claim"):
    (required,) = read_required_claims({name: value})
    try:
        required.hold({"claim": found})
    except WrongClaim:
        return False
    return True


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("acme", "acme"),
        (["evil", "acme"], "acme"),
        ("acme", ["x", "acme"]),
        (True, True),
        (False, False),
        (7, 7),
        ("*", "anything at all"),
        ("a**", "any:thing/at\nall"),
        ("*/**", "any/thing:at\nall"),
        ("acme/*", "acme/api"),
        ("acme/*", "acme/"),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/api:ref:refs/heads/main"),
        ("repo:acme/**", "repo:acme/api:ref:refs/heads/a/b"),
        ("a*b*c", "aXbYc"),
        ("a*b*c", "abbbc"),
        ("a*bc", "abcbc"),
        ("*.example.org", "a.example.org"),
        ("*ab*ab", "abab"),
        ("x*/a*/**", "x/a/b/c"),
        ("*:*:b", "a::b"),
    ],
)
def test_what_fits(value, found):
    assert fits(value, found)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("acme", "Acme"),
        ("acme", "acme "),
        ("acme", "acme\n"),
        ("acme", "acme-evil"),
        ("acme", "evil-acme"),
        ("a.me", "acme"),
        ("acme", []),
        ("acme", [["acme"]]),
        ("acme", {"acme": True}),
        ("acme", ""),
        ("*", "a/b"),
        ("*", "a:b"),
        ("acme/*", "acme/x/y"),
        ("acme/*", "acme/x:y"),
        ("acme/*", "acme/x\n:y"),
        ("acme/*", "evil/acme/x"),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/x:environment:p:ref:refs/heads/main"),
        ("repo:acme/**", "repo:acme-evil/api"),
        ("a*b", "abc"),
        ("*ab*ab", "ab"),
        ("[a]*", "a"),
        (True, 1),
        (True, "true"),
        (1, True),
        (1, 1.0),
        (1, "1"),
        ("1", 1),
        ("true", True),
    ],
)
def test_what_does_not(value, found):
    assert not fits(value, found)


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("a.b", {"a": {"b": "x"}}),
        ("a.b", {"a.b": "x", "a": {"b": "y"}}),
        (r"a\.b.c", {"a.b": {"c": "x"}}),
        ("https://example.org/b", {"https://example.org/b": "x"}),
        (r"a.b\.c", {"a": {"b.c": "x"}}),
    ],
)
def test_where_it_stands(name, claims):
    (required,) = read_required_claims({name: "x"})
    required.hold(claims)


@pytest.mark.parametrize("claims", [{}, {"a": None}, {"a": "x"}, {"a": ["b"]}, {"a": {"c": "x"}}, {"a": {"b": None}}])
def test_what_is_not_there(claims):
    (required,) = read_required_claims({"a.b": "*"})
    with pytest.raises(MissingClaim) as refused:
        required.hold(claims)
    assert refused.value.reason == "required_claim_missing"


@pytest.mark.parametrize("pattern", ["a*" * 250 + "z", "*a" * 250 + "z**", "*" + "ab" * 200 + "*z", "*a*b*a*b*z"])
@pytest.mark.parametrize("found", ["a" * 65_536, "ab" * 32_768, "a" * 65_535 + "\n"])
def test_no_pattern_and_no_value_take_long(pattern, found):
    """A pattern that went back for another try would not be done with this before the year is over."""
    assert not fits(pattern, found)
