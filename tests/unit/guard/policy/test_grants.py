from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.guard.policy.grants import Grants
from doorward.model import Principal

ISSUER = "https://id.example.org"
TEXT = (
    '{"public": ["*"], "team": ["group:eng", "user:A@example.org"],'
    ' "lab": {"read": ["user:s1"], "mint": ["group:ops"]}, "open": {"mint": ["*"]}, "closed": [], "none": {}}'
)
GRANTS = Grants.parse(TEXT)


def person(subject="nobody", **facts):
    return Principal(ISSUER, subject, **facts)


@pytest.mark.parametrize(
    ("principal", "read", "mint"),
    [
        (person(), ("public",), ("open",)),
        (person(groups=("eng",)), ("public", "team"), ("open",)),
        (person(groups=("x", "ops")), ("public",), ("lab", "open")),
        (person(email="a@EXAMPLE.org", email_verified=True), ("public", "team"), ("open",)),
        (person(email="a@example.org"), ("public",), ("open",)),  # not verified
        (person("a@example.org"), ("public",), ("open",)),  # an address, but a subject
        (person("s1"), ("public", "lab"), ("open",)),
        (person("S1"), ("public",), ("open",)),
        (person("s1", groups=("ops", "eng")), ("public", "team", "lab"), ("lab", "open")),
        (person(groups=("Eng", "group:eng", "*", "eng ")), ("public",), ("open",)),
        (person("x", kind="api_key"), ("public",), ("open",)),
    ],
)
@pytest.mark.parametrize("source", [TEXT, TEXT.encode()])
def test_what_each_principal_may(principal, read, mint, source):
    grants = Grants.parse(source)
    assert grants.audiences(principal, "read") == read
    assert grants.audiences(principal, "mint") == mint
    for audience in ("public", "team", "lab", "open", "closed", "none", "absent"):
        assert grants.may(principal, "read", audience) == (audience in read)
        assert grants.may(principal, "mint", audience) == (audience in mint)


@pytest.mark.parametrize("source", ["{}", '{"public": []}', '{"public": ["group:eng"]}', {"public": {"mint": []}}])
def test_everybody_reads_what_is_public_and_nobody_mints_it_unasked(source):
    grants = Grants.parse(source)
    assert grants.may(person(), "read", "public")
    assert grants.audiences(person(), "read") == ("public",)
    assert not grants.may(person(), "mint", "public")
    assert grants.audiences(person(), "mint") == ()


@pytest.mark.parametrize(
    "lookalike", ["a@example.org\u0131", "\u212a@example.org", "K@example.org\n", "\uff4b@example.org"]
)
def test_an_address_that_looks_alike_is_another(lookalike):
    grants = Grants.parse({"team": ["user:k@example.org", "user:a@example.org"]})
    assert not grants.may(person(email=lookalike, email_verified=True), "read", "team")
    assert grants.may(person(email="K@Example.ORG", email_verified=True), "read", "team")


@pytest.mark.parametrize(
    ("source", "field", "reason"),
    [
        ('{"a": ["*"], "a": []}', "grants", "json_repeated_name"),
        ('{"a": {"read": [], "read": ["*"]}}', "grants", "json_repeated_name"),
        ("{", "grants", "json_syntax"),
        ('"\udc80"', "grants", "json_syntax"),
        ("[]", "grants", "json_not_object"),
        ([], "grants", "grants_malformed"),
        (None, "grants", "grants_malformed"),
        ({"": ["*"]}, "grants", "audience_malformed"),
        ({"a b": ["*"]}, "grants", "audience_malformed"),
        ({"a\n": ["*"]}, "grants", "audience_malformed"),
        ({"é": ["*"]}, "grants", "audience_malformed"),
        ({"a" * 256: ["*"]}, "grants", "audience_malformed"),
        ({1: ["*"]}, "grants", "audience_malformed"),
        ({"a": "*"}, "grants.a", "grant_malformed"),
        ({"a": None}, "grants.a", "grant_malformed"),
        ({"a": {"raed": ["*"]}}, "grants.a", "grant_malformed"),
        ({"a": {"read": "*"}}, "grants.a.read", "grant_malformed"),
        ({"a": {"mint": None}}, "grants.a.mint", "grant_malformed"),
        ({"a": ["*", "eng"]}, "grants.a[1]", "selector_unknown"),
        ({"a": {"mint": ["*", "*", ["*"]]}}, "grants.a.mint[2]", "selector_unknown"),
        *(
            ({"a": [selector]}, "grants.a[0]", "selector_unknown")
            for selector in (
                *(
                    "",
                    "**",
                    " *",
                    "user:",
                    "user: x",
                    "user:x ",
                    "user:x\n",
                    "User:x",
                    "user",
                    "group:",
                    "role:x",
                    1,
                    None,
                ),
                *("user:a@b@c", "user:@b", "user:a@", "user:a @b", "user:" + "a" * 320 + "@b", "group:a\x00"),
            )
        ),
    ],
)
def test_a_mistake_stops_the_start_and_says_where(source, field, reason):
    with pytest.raises(ConfigurationError) as wrong:
        Grants.parse(source)
    assert (wrong.value.field, wrong.value.reason) == (field, reason)
    assert wrong.value.message.isprintable()


def test_an_action_nobody_has_heard_of_is_a_mistake_of_the_caller():
    for ask in (lambda: GRANTS.may(person(), "write", "team"), lambda: GRANTS.audiences(person(), "write")):
        with pytest.raises(ConfigurationError) as wrong:
            ask()
        assert wrong.value.reason == "action_unknown"


def test_longest_names_and_a_repr_without_people():
    assert Grants.parse({"a" * 255: ["*"]}).may(person(), "read", "a" * 255)
    assert repr(Grants.parse({"b": ["user:a@example.org"], "a": {"mint": []}})) == "Grants(['a', 'b'])"
