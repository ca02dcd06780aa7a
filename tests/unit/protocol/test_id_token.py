"""ID tokens: one rule broken at a time, each with its own error; and the habits of real providers that are allowed."""

from __future__ import annotations

import pytest

from doorward.errors import (
    Expired,
    InvalidCredential,
    Malformed,
    MissingClaim,
    NotYetValid,
    SubjectChanged,
    UnknownIssuer,
    WrongAudience,
    WrongAuthTime,
    WrongNonce,
    WrongTokenHash,
    WrongType,
)
from doorward.protocol.claims import SignedClaims, parse_jwt, sign_claims, verify_jwt
from doorward.protocol.id_token import validate_id_token, validate_refreshed_id_token
from doorward.protocol.jwk import JwkSet, generate_signing_key, parse_jwk
from doorward.protocol.jws import JoseHeader

ISSUER = "https://id.example.org"
NOW = 1_800_000_000
NONCE = "n" * 43
GOOD = {"iss": ISSUER, "sub": "alice", "aud": "app", "exp": NOW + 300, "iat": NOW - 5, "nonce": NONCE}
GONE = ...  # not object(): test names must be the same in every process of a parallel run

ACCESS_TOKEN = "planted-access-token"
AT_HASH = {  # by openssl dgst -binary, head and base64
    "256": "u_-J5uLytGon8WHGUQW55A",
    "384": "e-2h9ORU1v9z_-LwCXp1HUuiwA6DZarr",
    "512": "cULnkdhG7796NG-afFSraYKdeVGlbZ-8HhlCCteM_Q8",
}


def signed(changes=(), alg="RS256", typ="JWT"):
    claims = {name: value for name, value in (GOOD | dict(changes)).items() if value is not GONE}
    return SignedClaims(JoseHeader(alg, None, typ), claims)


def validate(changes=(), alg="RS256", typ="JWT", **options):
    expected = {"issuer": ISSUER, "client_id": "app", "now": NOW, "nonce": NONCE}
    return validate_id_token(signed(changes, alg, typ), **(expected | options))


def validate_refreshed(changes=(), **options):
    subject = dict(changes).get("sub", "alice")
    expected = {"issuer": ISSUER, "client_id": "app", "now": NOW, "nonce": NONCE, "previous_subject": subject}
    return validate_refreshed_id_token(signed(changes), **(expected | options))


def refused(*args, by=validate, **kwargs):
    with pytest.raises(InvalidCredential) as caught:
        by(*args, **kwargs)
    assert caught.value.message.isprintable()
    return type(caught.value), caught.value.reason


def test_a_good_one():
    valid = validate({"groups": ["a"]})
    assert (valid.issuer, valid.subject, valid.audience) == (ISSUER, "alice", ("app",))
    assert (valid.expires_at, valid.issued_at, valid.nonce) == (NOW + 300, NOW - 5, NONCE)
    assert valid.claims["groups"] == ["a"]
    assert NONCE not in repr(valid)


def test_from_signature_to_rules():
    key = generate_signing_key("EdDSA", kid="k")
    jwt = parse_jwt(sign_claims(GOOD, key))
    proven = verify_jwt(jwt, JwkSet((parse_jwk(key.public_jwk()),)), algorithms={"EdDSA"})
    valid = validate_id_token(proven, issuer=ISSUER, client_id="app", now=NOW, nonce=NONCE)
    assert valid.subject == "alice"


# What every ID token must keep to, at sign-in and after a refresh alike
BROKEN = [
    ({"iss": GONE}, MissingClaim, "iss_missing"),
    ({"iss": [ISSUER]}, Malformed, "iss_malformed"),
    ({"iss": f"{ISSUER}/"}, UnknownIssuer, "issuer_mismatch"),
    ({"iss": ISSUER[:-1]}, UnknownIssuer, "issuer_mismatch"),
    ({"iss": "\x1b[2J"}, UnknownIssuer, "issuer_mismatch"),
    ({"aud": GONE}, MissingClaim, "aud_missing"),
    ({"aud": 7}, Malformed, "aud_malformed"),
    ({"aud": [["app"]]}, Malformed, "aud_malformed"),
    ({"aud": []}, Malformed, "aud_malformed"),
    ({"aud": "other"}, WrongAudience, "audience_mismatch"),
    ({"aud": "application"}, WrongAudience, "audience_mismatch"),
    ({"aud": ["other"], "azp": "app"}, WrongAudience, "audience_mismatch"),
    ({"aud": ["app", "other"]}, WrongAudience, "authorized_party_missing"),
    ({"aud": ["app", "other"], "azp": "other"}, WrongAudience, "authorized_party_mismatch"),
    ({"azp": "other"}, WrongAudience, "authorized_party_mismatch"),
    ({"azp": ""}, Malformed, "azp_malformed"),
    ({"azp": ["app"]}, Malformed, "azp_malformed"),
    ({"exp": GONE}, MissingClaim, "exp_missing"),
    ({"exp": str(NOW + 300)}, Malformed, "exp_malformed"),
    ({"exp": NOW - 30.5}, Expired, "expired"),
    ({"exp": NOW - 30}, Expired, "expired"),
    ({"iat": GONE}, MissingClaim, "iat_missing"),
    ({"iat": True}, Malformed, "iat_malformed"),
    ({"iat": NOW + 31}, NotYetValid, "iat_in_future"),
    ({"nbf": NOW + 31}, NotYetValid, "nbf_in_future"),
    ({"sub": GONE}, MissingClaim, "sub_missing"),
    ({"sub": ""}, Malformed, "sub_malformed"),
    ({"sub": 7}, Malformed, "sub_malformed"),
    ({"sub": "a" * 256}, Malformed, "bad_subject"),
    ({"sub": "alice\r\nX-Admin: 1"}, Malformed, "bad_subject"),
    ({"sub": "alice\u202e"}, Malformed, "bad_subject"),
    ({"nonce": ""}, Malformed, "nonce_malformed"),
    ({"nonce": None}, Malformed, "nonce_malformed"),
    ({"nonce": "m" * 43}, WrongNonce, "nonce_mismatch"),
    ({"nonce": f"{NONCE}\u00e9"}, WrongNonce, "nonce_mismatch"),
    ({"at_hash": 7}, Malformed, "at_hash_malformed"),
    ({"at_hash": AT_HASH["256"] + "="}, WrongTokenHash, "at_hash_mismatch"),
]


@pytest.mark.parametrize("by", [validate, validate_refreshed])
@pytest.mark.parametrize(("changes", "kind", "reason"), BROKEN, ids=[f"{each[2]}-{each[0]}" for each in BROKEN])
def test_one_rule_broken(changes, kind, reason, by):
    assert refused(changes, access_token=ACCESS_TOKEN, by=by) == (kind, reason)


@pytest.mark.parametrize("by", [validate, validate_refreshed])
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["app"]},
        {"azp": "app"},
        {"aud": ["project", "app", "other"], "azp": "app"},  # Zitadel: all client ids and the project
        {"exp": NOW - 29},  # within the leeway
        {"iat": NOW + 30, "nbf": NOW + 30},
        {"iat": 0},  # old, but not expired
        {"sub": "a" * 255},
        {"sub": "http://cilogon.org/serverA/users/1"},
        {"sub": "Renée"},
        {"auth_time": "ignored unless max_age was asked"},
    ],
)
def test_what_is_allowed(changes, by):
    assert by(changes)


@pytest.mark.parametrize("by", [validate, validate_refreshed])
@pytest.mark.parametrize(
    ("aud", "known", "good"),
    [
        (["app", ISSUER], (), True),
        (["app", "https://api.example.org", ISSUER], ("https://api.example.org",), True),
        (["app", "named"], ("named",), True),
        (["app", "named", "other"], ("named",), False),
        (["app", f"{ISSUER}/"], (), False),
        (["named", ISSUER], ("named",), False),
    ],
)
def test_several_audiences_without_azp(aud, known, good, by):
    if good:
        assert by({"aud": aud}, known_audiences=known)
    else:
        assert refused({"aud": aud}, by=by, known_audiences=known)[0] is WrongAudience
        assert refused({"aud": aud, "azp": "other"}, by=by, known_audiences=known)[0] is WrongAudience


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "ID"])
def test_types(typ):
    assert validate(typ=typ)


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+JWT", "logout+jwt"])
def test_what_says_that_it_is_something_else(typ):
    assert refused(typ=typ) == (WrongType, "typ_mismatch")


def test_no_leeway():
    assert refused({"exp": NOW}, leeway_s=0) == (Expired, "expired")
    assert validate({"exp": NOW + 1}, leeway_s=0)


def test_nonce():
    assert refused({"nonce": GONE}) == (WrongNonce, "nonce_missing")
    assert refused(nonce=None) == (WrongNonce, "nonce_unexpected")
    assert validate({"nonce": GONE}, nonce=None).nonce is None


@pytest.mark.parametrize("alg", ["RS256", "PS384", "ES512", "RS512", "EdDSA"])
def test_at_hash_by_the_algorithm_of_the_header(alg):
    size = "512" if alg == "EdDSA" else alg[-3:]
    for each, at_hash in AT_HASH.items():
        if each == size:
            assert validate({"at_hash": at_hash}, alg, access_token=ACCESS_TOKEN)
            assert validate({"at_hash": at_hash}, alg)  # nothing beside it to compare with
            assert refused({"at_hash": at_hash}, alg, access_token="other") == (WrongTokenHash, "at_hash_mismatch")
        else:
            assert refused({"at_hash": at_hash}, alg, access_token=ACCESS_TOKEN)[0] is WrongTokenHash


def test_at_hash_may_be_absent():
    assert validate(access_token=ACCESS_TOKEN)


def test_at_hash_example_of_oidc_core():
    # appendix A.3: at_hash of the access token there, signed with RS256
    changes = {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}
    assert validate(changes, access_token="jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")


@pytest.mark.parametrize(
    ("auth_time", "expected"),
    [
        (GONE, (MissingClaim, "auth_time_missing")),
        (str(NOW), (Malformed, "auth_time_malformed")),
        (NOW - 91, (WrongAuthTime, "auth_time_too_old")),
        (NOW + 31, (WrongAuthTime, "auth_time_in_future")),
    ],
)
def test_auth_time_when_max_age_was_asked(auth_time, expected):
    assert refused({"auth_time": auth_time}, max_age_s=60) == expected


@pytest.mark.parametrize("auth_time", [NOW - 90, NOW, NOW + 30])
def test_auth_time_within_max_age(auth_time):
    assert validate({"auth_time": auth_time}, max_age_s=60)


def test_refreshed_about_somebody_else():
    assert refused({"sub": "mallory"}, previous_subject="alice", by=validate_refreshed) == (
        SubjectChanged,
        "subject_changed",
    )
    assert validate_refreshed({"sub": "mallory"}, previous_subject=None).subject == "mallory"


def test_refreshed_without_or_with_the_nonce():
    assert validate_refreshed({"nonce": GONE}).nonce is None
    assert validate_refreshed().nonce == NONCE
    assert validate_refreshed({"nonce": GONE}, nonce=None)
    assert validate_refreshed(nonce=None).nonce == NONCE
