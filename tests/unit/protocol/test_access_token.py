"""JWT access tokens of the RFC 9068 profile: one rule broken at a time, and no ID token passes for one."""

from __future__ import annotations

import pytest

from doorward.errors import (
    Expired,
    InvalidCredential,
    Malformed,
    MissingClaim,
    NotYetValid,
    UnknownIssuer,
    WrongAudience,
    WrongType,
)
from doorward.protocol.access_token import validate_access_token
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


def validate(changes=(), typ="at+jwt", **options):
    claims = {name: value for name, value in (GOOD | dict(changes)).items() if value is not GONE}
    signed = SignedClaims(JoseHeader("RS256", None, typ), claims)
    return validate_access_token(signed, **({"issuer": ISSUER, "audiences": ["api", "api2"], "now": NOW} | options))


def refused(*args, **kwargs):
    with pytest.raises(InvalidCredential) as caught:
        validate(*args, **kwargs)
    return type(caught.value), caught.value.reason


def test_a_good_one():
    valid = validate({"extra": 1})
    assert (valid.issuer, valid.subject, valid.client_id, valid.jti) == (ISSUER, "alice", "app", "j")
    assert (valid.audience, valid.scopes) == (("api",), ("read", "write"))
    assert (valid.expires_at, valid.issued_at, valid.claims["extra"]) == (NOW + 300, NOW, 1)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_types(typ):
    assert validate(typ=typ)


@pytest.mark.parametrize("typ", [None, "JWT", "at", "id+jwt", "at+jwt "])
def test_other_types_such_as_id_tokens(typ):
    assert refused(typ=typ) == (WrongType, "not_at_jwt")


@pytest.mark.parametrize("changes", [{"aud": ["x", "api2"]}, {"scope": GONE}, {"nbf": NOW}, {"exp": NOW - 29}])
def test_what_is_allowed(changes):
    assert validate(changes)


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"iss": f"{ISSUER}/"}, UnknownIssuer, "issuer_mismatch"),
        ({"aud": "app"}, WrongAudience, "audience_mismatch"),
        ({"aud": "ap"}, WrongAudience, "audience_mismatch"),
        ({"exp": NOW - 30}, Expired, "expired"),
        ({"nbf": NOW + 31}, NotYetValid, "nbf_in_future"),
        ({"scope": ["read"]}, Malformed, "scope_malformed"),
        *[({name: GONE}, MissingClaim, f"{name}_missing") for name in GOOD if name != "scope"],
    ],
)
def test_one_rule_broken(changes, kind, reason):
    assert refused(changes) == (kind, reason)


def test_age():
    assert refused({"iat": NOW - 100}, max_age_s=60) == (Expired, "too_old")
    assert validate({"iat": NOW - 80}, max_age_s=60)
