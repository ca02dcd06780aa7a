"""JWT access tokens of the RFC 9068 profile: one rule broken at a time, and no ID token passes for one."""

from __future__ import annotations

import pytest

from doorward.errors import (
    Expired,
    InvalidCredential,
    Malformed,
    MissingClaim,
    NotYetValid,
    WrongAudience,
    WrongType,
)
from doorward.guard.issuers.claim_rules import ClaimRules
from doorward.guard.issuers.issuer import Issuer
from doorward.protocol.claims import SignedClaims
from doorward.protocol.jws import JoseHeader

ISSUER = "https://id.example.org"
NOW = 1_800_000_000
GOOD = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": "api",
    "client_id": "app",
    "jti": "j",
    "exp": NOW + 300,
    "iat": NOW,
    "scope": "read write",
}
GONE = object()


def validate(changes=(), typ="at+jwt", **settings):
    claims = {name: value for name, value in (GOOD | dict(changes)).items() if value is not GONE}
    signed = SignedClaims(JoseHeader("RS256", None, typ), claims)
    return ClaimRules(Issuer(ISSUER, ["api", "api2"], token_type="access", **settings)).validate(signed, NOW)


def refused(*args, **kwargs):
    with pytest.raises(InvalidCredential) as caught:
        validate(*args, **kwargs)
    return type(caught.value), caught.value.reason


def test_a_good_one():
    facts = validate({"extra": 1})
    assert (facts.subject, facts.audience, facts.jti) == ("alice", ("api",), "j")
    assert (facts.expires_at, facts.issued_at) == (NOW + 300, NOW)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_types(typ):
    assert validate(typ=typ)


@pytest.mark.parametrize("typ", [None, "JWT", "at", "id+jwt", "at+jwt "])
def test_other_types_such_as_id_tokens(typ):
    assert refused(typ=typ) == (WrongType, "not_at_jwt")


@pytest.mark.parametrize(
    "changes", [{"aud": ["x", "api2"]}, {"scope": GONE}, {"scope": ["read"]}, {"nbf": NOW}, {"exp": NOW - 29}]
)
def test_what_is_allowed(changes):
    assert validate(changes)


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"aud": "app"}, WrongAudience, "audience_mismatch"),
        ({"aud": "ap"}, WrongAudience, "audience_mismatch"),
        ({"exp": NOW - 30}, Expired, "expired"),
        ({"nbf": NOW + 31}, NotYetValid, "nbf_in_future"),
        ({"scope": [["read"]]}, Malformed, "scope_malformed"),
        ({"scope": {"read": True}}, Malformed, "scope_malformed"),
        *[({name: GONE}, MissingClaim, f"{name}_missing") for name in GOOD if name not in {"iss", "scope"}],
    ],
)
def test_one_rule_broken(changes, kind, reason):
    assert refused(changes) == (kind, reason)


def test_age():
    assert refused({"iat": NOW - 100}, max_token_age_s=60) == (Expired, "too_old")
    assert validate({"iat": NOW - 80}, max_token_age_s=60)
