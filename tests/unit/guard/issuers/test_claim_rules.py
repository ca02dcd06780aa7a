"""The rules of G5, one at a time."""

import pytest

from doorward.errors import Expired, Malformed, MissingClaim, NotYetValid, WrongAudience, WrongType
from doorward.guard.issuers.claim_rules import CLAIMS, ClaimRules
from doorward.guard.issuers.issuer import Issuer
from doorward.protocol.claims import SignedClaims
from doorward.protocol.jws import JoseHeader

URL, NOW = "https://id.example.org", 1_800_000_000


def claims(**changes):
    given = {"iss": URL, "sub": "alice", "aud": "api", "iat": NOW - 10, "exp": NOW + 300, **changes}
    return {name: value for name, value in given.items() if value is not ...}


def validate(*, typ="JWT", now=NOW, audiences=("api",), changes=(), **settings):
    signed = SignedClaims(JoseHeader("RS256", "k", typ), claims(**dict(changes)))
    return ClaimRules(Issuer(URL, audiences, **settings)).validate(signed, now)


def test_what_holds_is_told():
    facts = validate(changes={"jti": "1", "aud": ["other", "api"]})
    assert (facts.subject, facts.audience, facts.jti) == ("alice", ("other", "api"), "1")
    assert (facts.expires_at, facts.issued_at) == (NOW + 300, NOW - 10)
    assert validate(changes={"iat": ...}).issued_at is None
    assert validate(audiences=["b", "api"]).audience == ("api",)


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "Jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_any_takes_access_and_id_tokens(typ):
    assert validate(typ=typ).subject == "alice"


@pytest.mark.parametrize("typ", ["logout+jwt", "secevent+jwt", "dpop+jwt", "JOSE", "id+jwt", ""])
def test_any_takes_nothing_else(typ):
    if typ == "":
        typ = " "
    with pytest.raises(WrongType):
        validate(typ=typ)


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "At+Jwt"])
def test_an_access_token_is_no_id_token(typ):
    with pytest.raises(WrongType) as refused:
        validate(typ=typ, token_type="id")
    assert refused.value.reason == "typ_mismatch"


@pytest.mark.parametrize("typ", [None, "JWT"])
def test_an_id_token_is_no_access_token(typ):
    with pytest.raises(WrongType):
        validate(typ=typ, token_type="access")


@pytest.mark.parametrize("kind", ["any", "access", "id"])
@pytest.mark.parametrize("bound", [{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, {}, None])
def test_what_is_bound_to_a_key_is_no_bearer_token(kind, bound):
    changes = {"client_id": "cli", "jti": "1", "cnf": bound}
    with pytest.raises(WrongType) as refused:
        validate(typ="at+jwt" if kind == "access" else "JWT", token_type=kind, changes=changes)
    assert refused.value.reason == "sender_constrained"


def test_an_access_token_by_the_profile():
    whole = {"client_id": "cli", "jti": "1"}
    assert validate(typ="at+jwt", token_type="access", changes=whole).jti == "1"
    for name in ("client_id", "jti", "iat", "sub"):
        with pytest.raises(MissingClaim):
            validate(typ="at+jwt", token_type="access", changes={**whole, name: ...})


@pytest.mark.parametrize("token_type", ["any", "id"])
def test_a_logout_token_signs_nobody_in(token_type):
    events = {"http://schemas.openid.net/event/backchannel-logout": {}}
    with pytest.raises(WrongType) as refused:
        validate(token_type=token_type, changes={"events": events})
    assert refused.value.reason == "security_event"


def test_a_token_bound_to_a_key_is_no_bearer_token():
    with pytest.raises(WrongType) as refused:
        validate(changes={"cnf": {"jkt": "x"}})
    assert refused.value.reason == "sender_constrained"


@pytest.mark.parametrize(
    ("aud", "error"),
    [
        ("other", WrongAudience),
        ("ap", WrongAudience),
        ("api/", WrongAudience),
        (["other"], WrongAudience),
        ([], Malformed),
        (["api", 1], Malformed),
        ([["api"]], Malformed),
        ({"api": 1}, Malformed),
        (1, Malformed),
        (None, Malformed),
        ("", Malformed),
        (..., MissingClaim),
    ],
)
@pytest.mark.parametrize("token_type", ["any", "id"])
def test_an_audience_that_is_not_ours(aud, error, token_type):
    with pytest.raises(error):
        validate(token_type=token_type, changes={"aud": aud})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"exp": NOW - 30}, Expired),
        ({"exp": ...}, MissingClaim),
        ({"exp": str(NOW + 300)}, Malformed),
        ({"exp": True}, Malformed),
        ({"nbf": NOW + 31}, NotYetValid),
        ({"iat": NOW + 31}, NotYetValid),
        ({"sub": ...}, MissingClaim),
        ({"sub": ""}, Malformed),
        ({"sub": 7}, Malformed),
        ({"jti": 7}, Malformed),
    ],
)
def test_times_and_names(changes, error):
    with pytest.raises(error):
        validate(changes=changes)


def test_leeway_and_age_are_the_issuers():
    assert validate(now=NOW + 300 + 29).subject == "alice"
    with pytest.raises(Expired):
        validate(now=NOW + 300, leeway_s=0)
    with pytest.raises(Expired) as refused:
        validate(now=NOW + 200, max_token_age_s=100)
    assert refused.value.reason == "too_old"
    with pytest.raises(MissingClaim):
        validate(max_token_age_s=100, changes={"iat": ...})


class TestIdTokens:
    def test_the_party_must_be_ours(self):
        assert validate(token_type="id", changes={"azp": "api"}).subject == "alice"
        with pytest.raises(WrongAudience) as refused:
            validate(token_type="id", changes={"azp": "another"})
        assert refused.value.reason == "azp_mismatch"

    def test_with_several_audiences_it_must_be_named(self):
        with pytest.raises(MissingClaim):
            validate(token_type="id", changes={"aud": ["api", "other"]})
        assert validate(token_type="id", changes={"aud": ["api", "other"], "azp": "api"}).subject == "alice"

    def test_the_time_of_issue_must_be_there(self):
        with pytest.raises(MissingClaim):
            validate(token_type="id", changes={"iat": ...})

    def test_the_party_of_other_tokens_is_whoever_asked_for_them(self):
        assert validate(changes={"azp": "some-client"}).subject == "alice"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.name}-{'-'.join(sorted(claim.kinds))}")
def test_each_row_says_what_is_asked_or_who_asks_it(claim):
    assert (claim.check is None) == bool(claim.elsewhere)
    assert claim.source
    assert claim.required <= claim.kinds


@pytest.mark.parametrize("kind", ["any", "access", "id"])
def test_a_claim_is_looked_at_once_in_tokens_of_one_kind(kind):
    names = [claim.name for claim in CLAIMS if kind in claim.kinds]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", ["any", "access", "id"])
def test_whatever_is_required_is_missed(kind):
    given = {"jti": "1", "client_id": "app"}
    required = [claim.name for claim in CLAIMS if kind in claim.required and claim.check is not None]
    assert {"exp", "aud", "sub"} <= set(required)
    for name in required:
        with pytest.raises(MissingClaim) as refused:
            validate(typ="at+jwt" if kind == "access" else "JWT", token_type=kind, changes={**given, name: ...})
        assert refused.value.reason == f"{name}_missing"


def test_no_clock_makes_a_time_before_1970_good():
    for now in (10, -5, float("nan")):
        with pytest.raises((Malformed, Expired, NotYetValid)):
            validate(now=now, leeway_s=300, changes={"exp": -29, "iat": ...})
