"""What an active answer must say: one thing wrong at a time, and each has its own error."""

from __future__ import annotations

import math

import pytest

from doorward.errors import (
    Expired,
    InvalidCredential,
    Malformed,
    MissingClaim,
    NotYetValid,
    UnknownIssuer,
    WrongAudience,
    WrongClaim,
    WrongType,
)
from doorward.guard.introspection.answer import Rules
from doorward.guard.issuers.required_claims import read_required_claims

ISSUER = "https://id.example.org"
NOW = 1_800_000_000
RULES = Rules(ISSUER, frozenset({"urn:api"}), leeway_s=30, ttl_s=30)
ANSWER = {
    "active": True,
    "iss": ISSUER,
    "sub": "alice",
    "client_id": "cli",
    "aud": "urn:api",
    "exp": NOW + 300,
    "iat": NOW - 5,
    "jti": "j1",
    "token_type": "Bearer",
}


def hold(rules=RULES, asked_at=NOW, now=NOW, **changes):
    answer = {name: value for name, value in {**ANSWER, **changes}.items() if value is not ...}
    return rules.hold(answer, asked_at=asked_at, now=now)


def test_what_holds():
    said = hold(email="planted@example.org")
    assert (said.subject, said.audience, said.jti, said.issued_at) == ("alice", ("urn:api",), "j1", NOW - 5)
    assert (said.expires_at, said.good_until, said.asked_at) == (NOW + 300, NOW + 30, NOW)
    assert said.claims["email"] == "planted@example.org"
    assert "planted" not in repr(said)


@pytest.mark.parametrize(
    ("changes", "expires_at", "good_until"),
    [
        ({"exp": NOW + 10}, NOW + 10, NOW + 10),
        ({"exp": NOW + 10.7, "iat": NOW - 0.5}, NOW + 10, NOW + 10),
        ({"exp": NOW - 10}, NOW - 10, NOW - 10),  # within the leeway: taken, and asked about again each time
        ({"exp": ...}, None, NOW + 30),
        ({"exp": None}, None, NOW + 30),
    ],
)
def test_how_long_it_is_good(changes, expires_at, good_until):
    said = hold(**changes)
    assert (said.expires_at, said.good_until) == (expires_at, good_until)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"iss": None},
        {"aud": ["other", "urn:api"]},
        {"token_type": ...},
        {"token_type": "bearer"},
        {"token_type": "access_token"},
        {"typ": "Bearer"},
        {"token_use": "access_token"},
        {"iat": ..., "jti": ..., "nbf": None},
        {"nbf": NOW + 29},
    ],
)
def test_what_may_differ(changes):
    assert hold(**changes).subject == "alice"


class TestAClientsOwnToken:
    """It may say nothing of a subject, and what its client is called might be a person's ``sub``."""

    BY_CLIENT = Rules(ISSUER, frozenset({"urn:api"}), leeway_s=30, ttl_s=30, subject_claim="client_id")

    def test_it_is_refused_until_a_setting_says_whose_it_is(self):
        with pytest.raises(MissingClaim) as caught:
            hold(sub=...)
        assert caught.value.reason == "sub_missing"
        assert 'subject_claim="client_id"' in caught.value.message

    def test_then_it_is_its_clients(self):
        assert hold(self.BY_CLIENT, sub=...).subject == "cli"
        assert hold(self.BY_CLIENT, sub=None).subject == "cli"
        assert hold(self.BY_CLIENT).subject == "alice"  # a person's token stays the person's

    @pytest.mark.parametrize("client_id", [..., None, "", 7, ["cli"]])
    def test_unless_it_does_not_say_that_either(self, client_id):
        with pytest.raises(MissingClaim) as caught:
            hold(self.BY_CLIENT, sub=..., client_id=client_id)
        assert caught.value.reason == "sub_missing"


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"iss": ISSUER + "/"}, UnknownIssuer, "iss_mismatch"),
        ({"iss": "https://evil.example"}, UnknownIssuer, "iss_mismatch"),
        ({"iss": [ISSUER]}, Malformed, "iss_malformed"),
        ({"aud": ...}, MissingClaim, "aud_missing"),
        ({"aud": None}, MissingClaim, "aud_missing"),
        ({"aud": "urn:api:other"}, WrongAudience, "audience_mismatch"),
        ({"aud": "urn:ap"}, WrongAudience, "audience_mismatch"),
        ({"aud": []}, Malformed, "aud_malformed"),
        ({"aud": {"urn:api": 1}}, Malformed, "aud_malformed"),
        ({"exp": NOW - 30}, Expired, "expired"),
        ({"exp": str(NOW + 300)}, Malformed, "exp_malformed"),
        ({"exp": math.inf}, Malformed, "exp_malformed"),
        ({"exp": 1e300}, Malformed, "exp_range"),
        ({"exp": True}, Malformed, "exp_malformed"),
        ({"exp": 10**400}, Malformed, "exp_range"),
        ({"nbf": NOW + 31}, NotYetValid, "nbf_in_future"),
        ({"nbf": "now"}, Malformed, "nbf_malformed"),
        ({"iat": NOW + 31}, NotYetValid, "iat_in_future"),
        ({"iat": NOW + 31.5}, NotYetValid, "iat_in_future"),
        ({"token_type": "refresh_token"}, WrongType, "token_type"),
        ({"token_type": "DPoP"}, WrongType, "token_type"),
        ({"token_type": 1}, Malformed, "token_type_malformed"),
        ({"typ": "Refresh"}, WrongType, "token_kind"),
        ({"typ": "ID"}, WrongType, "token_kind"),
        ({"token_use": "refresh_token"}, WrongType, "token_kind"),
        ({"token_use": 1}, Malformed, "token_use_malformed"),
        ({"cnf": {"jkt": "x"}}, WrongType, "token_bound"),
        ({"cnf": {}}, WrongType, "token_bound"),
        ({"sub": ...}, MissingClaim, "sub_missing"),
        ({"sub": ..., "client_id": ...}, MissingClaim, "sub_missing"),
        ({"sub": ""}, Malformed, "sub_malformed"),
        ({"sub": 7}, Malformed, "sub_malformed"),
        ({"jti": 7}, Malformed, "jti_malformed"),
    ],
)
def test_what_is_refused(changes, kind, reason):
    with pytest.raises(InvalidCredential) as caught:
        hold(**changes)
    assert (type(caught.value), caught.value.reason) == (kind, reason)


def test_without_audiences_the_issuer_must_say_what_it_is():
    anybody = Rules(ISSUER, frozenset(), leeway_s=30, ttl_s=30)
    assert hold(anybody, aud=...).audience == ()
    assert hold(anybody, aud="urn:other").audience == ("urn:other",)
    with pytest.raises(MissingClaim) as caught:  # it may be a refresh token
        hold(anybody, token_type=...)
    assert caught.value.reason == "token_type_missing"
    assert "client_ids" in caught.value.message


class TestWithoutAnAudience:
    """RFC 7662 asks for ``active`` alone. An answer of Ory Hydra or a GitLab of one's own may have no aud."""

    OURS = Rules(ISSUER, frozenset(), 30, 30, client_ids=frozenset({"cli"}))
    BOTH = Rules(ISSUER, frozenset({"urn:api"}), 30, 30, client_ids=frozenset({"cli"}))

    @pytest.mark.parametrize("rules", [OURS, BOTH])
    def test_the_clients_say_whom_a_token_is_for(self, rules):
        assert hold(rules, aud=..., token_type=...).audience == ()
        for client, error in (("other", WrongAudience), (..., MissingClaim), (["cli"], Malformed)):
            with pytest.raises(error):
                hold(rules, aud=..., token_type=..., client_id=client)

    def test_an_audience_that_is_told_counts(self):
        assert hold(self.BOTH, client_id="other").audience == ("urn:api",)
        with pytest.raises(WrongAudience):
            hold(self.BOTH, aud="urn:other")

    def test_the_client_counts_where_no_audience_is_ours(self):
        assert hold(self.OURS, aud="urn:whatever").audience == ("urn:whatever",)
        with pytest.raises(WrongAudience):
            hold(self.OURS, aud="urn:api", client_id="other")


def test_what_is_required_of_an_answer_too():
    rules = Rules(ISSUER, frozenset({"urn:api"}), 30, 30, required=read_required_claims({"org": "acme"}))
    assert hold(rules, org="acme").subject == "alice"
    with pytest.raises(WrongClaim):
        hold(rules, org="evil")
