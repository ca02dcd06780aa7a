"""What an issuer's settings change for its tokens: where audience and subject stand, kinds, tenants, SVIDs."""

from __future__ import annotations

import pytest

from doorward.errors import (
    InvalidCredential,
    Malformed,
    MissingClaim,
    UnknownIssuer,
    WrongAudience,
    WrongClaim,
    WrongType,
)
from doorward.guard.issuers.claim_rules import ClaimRules
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.open_issuers import warning_for
from doorward.protocol.claims import SignedClaims
from doorward.protocol.jwk import generate_signing_key
from doorward.protocol.jws import JoseHeader

URL, NOW = "https://id.example.org", 1_800_000_000
KEYS = {"keys": [generate_signing_key("EdDSA", kid="k").public_jwk()]}


def validate(*, url=URL, audiences=("api",), typ="JWT", changes=(), **settings):
    given = {"iss": url, "sub": "alice", "aud": "api", "iat": NOW - 10, "exp": NOW + 300, **dict(changes)}
    claims = {name: value for name, value in given.items() if value is not ...}
    rules = ClaimRules(Issuer(url, audiences, jwks=KEYS, **settings))
    return rules.validate(SignedClaims(JoseHeader("EdDSA", "k", typ), claims), NOW)


def refusal(**arguments):
    with pytest.raises(InvalidCredential) as refused:
        validate(**arguments)
    return type(refused.value), refused.value.reason


def test_times_with_fractions():
    facts = validate(changes={"exp": NOW + 300.75, "iat": NOW - 10.5, "nbf": float(NOW)})
    assert (facts.expires_at, facts.issued_at) == (NOW + 300, NOW - 11)
    assert type(facts.expires_at) is int


class TestAudienceClaim:
    def test_it_counts_where_there_is_no_aud(self):
        facts = validate(audience_claim="client_id", audiences=["app"], changes={"aud": ..., "client_id": "app"})
        assert facts.audience == ("app",)

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [
            ({"aud": ..., "client_id": "other"}, (WrongAudience, "audience_mismatch")),
            ({"aud": ...}, (MissingClaim, "aud_missing")),
            ({"aud": ..., "client_id": ["app"]}, (Malformed, "aud_malformed")),
            ({"aud": ..., "client_id": ""}, (Malformed, "aud_malformed")),
            ({"aud": "other", "client_id": "app"}, (WrongAudience, "audience_mismatch")),
            ({"aud": None, "client_id": "app"}, (Malformed, "aud_malformed")),
            ({"aud": [], "client_id": "app"}, (Malformed, "aud_malformed")),
        ],
    )
    def test_and_never_in_place_of_one(self, changes, refused):
        assert refusal(audience_claim="client_id", audiences=["app"], changes=changes) == refused

    def test_never_by_default(self):
        for name in ("client_id", "azp", "cid"):
            assert refusal(changes={"aud": ..., name: "api"}) == (MissingClaim, "aud_missing")


class TestSubjectClaim:
    @pytest.mark.parametrize("nobody", [..., ""])
    @pytest.mark.parametrize("token_type", ["any", "access"])
    def test_it_counts_where_there_is_no_sub(self, nobody, token_type):
        changes = {"sub": nobody, "client_id": "robot", "jti": "1"}
        assert (
            validate(subject_claim="client_id", token_type=token_type, typ="at+jwt", changes=changes).subject == "robot"
        )

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [
            ({"sub": ...}, (MissingClaim, "sub_missing")),
            ({"sub": ..., "client_id": 7}, (Malformed, "sub_malformed")),
            ({"sub": None, "client_id": "robot"}, (Malformed, "sub_malformed")),
            ({"sub": 0, "client_id": "robot"}, (Malformed, "sub_malformed")),
        ],
    )
    def test_what_names_nobody(self, changes, refused):
        assert refusal(subject_claim="client_id", changes=changes) == refused

    def test_a_sub_counts_and_without_the_setting_nothing_else(self):
        assert validate(subject_claim="client_id", changes={"client_id": "robot"}).subject == "alice"
        assert refusal(changes={"sub": ..., "client_id": "robot"}) == (MissingClaim, "sub_missing")


@pytest.mark.parametrize(
    ("changes", "good_as"),
    [
        ({"typ": "Bearer"}, {"any", "access"}),
        ({"typ": "ID"}, {"any", "id"}),
        ({"typ": "Refresh"}, set()),
        ({"typ": "Offline"}, set()),
        ({"typ": "Logout"}, set()),
        ({"typ": "RegistrationAccessToken"}, set()),
        ({"typ": "JWT"}, {"any", "access", "id"}),
        ({"token_use": "access"}, {"any", "access"}),
        ({"token_use": "id"}, {"any", "id"}),
        ({"token_use": "refresh_token"}, set()),
        ({"token_type": "refresh"}, set()),
        ({"token_type": "Bearer"}, {"any", "access"}),
        ({"typ": 7}, set()),
        ({"token_use": ["access"]}, set()),
    ],
)
@pytest.mark.parametrize("token_type", ["any", "access", "id"])
def test_a_token_that_calls_itself_another_kind(changes, good_as, token_type):
    more = {"client_id": "app", "jti": "1", **changes}
    arguments = {"token_type": token_type, "typ": "at+jwt" if token_type == "access" else "JWT", "changes": more}
    if token_type in good_as:
        assert validate(**arguments).subject == "alice"
    else:
        assert refusal(**arguments)[0] in {WrongType, Malformed}


ENTRA = "https://login.microsoftonline.com/{tenantid}/v2.0"
OURS, OTHER = "aaaaaaaa-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"


def of_tenant(tenant, **claims):
    return {"iss": ENTRA.replace("{tenantid}", tenant), "tid": tenant, **claims}


class TestTenants:
    def test_each_is_an_issuer_of_its_own(self):
        assert validate(url=ENTRA, changes=of_tenant(OURS)).issuer == ENTRA.replace("{tenantid}", OURS)
        assert validate(url=ENTRA, tenants=[OURS], changes=of_tenant(OURS)).issuer.split("/")[3] == OURS

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [
            (of_tenant(OTHER), (UnknownIssuer, "tenant_not_listed")),
            (of_tenant(OURS, tid=OTHER), (WrongClaim, "tenant_mismatch")),
            (of_tenant(OURS, tid=...), (MissingClaim, "tid_missing")),
            (of_tenant(OURS, tid=[OURS]), (Malformed, "tid_malformed")),
            (of_tenant("{tenantid}"), (WrongClaim, "tenant_mismatch")),
            (of_tenant(f"{OURS}/x"), (WrongClaim, "tenant_mismatch")),
            (of_tenant(""), (Malformed, "tid_malformed")),
            (of_tenant(OURS, iss="https://evil.example/v2.0"), (WrongClaim, "tenant_mismatch")),
            (of_tenant(OURS.upper(), tid=OURS), (WrongClaim, "tenant_mismatch")),
        ],
    )
    def test_of_no_tenant_of_ours(self, changes, refused):
        assert refusal(url=ENTRA, tenants=[OURS], changes=changes) == refused


class TestSvids:
    DOMAIN = "spiffe://example.org"

    @pytest.mark.parametrize("typ", [None, "JWT", "JOSE", "jose"])
    def test_without_an_issuer(self, typ):
        facts = validate(url=self.DOMAIN, typ=typ, changes={"iss": ..., "sub": f"{self.DOMAIN}/ns/a", "iat": ...})
        assert (facts.issuer, facts.subject) == (self.DOMAIN, f"{self.DOMAIN}/ns/a")

    @pytest.mark.parametrize(
        "subject",
        [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org/a//b",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/./b",
            "spiffe:///a",
            "spiffe://example.org.evil/a",
            "spiffe://evil/a",
            "alice",
            "https://example.org/a",
        ],
    )
    def test_a_subject_that_is_not_of_the_trust_domain(self, subject):
        changes = {"iss": ..., "sub": subject}
        assert refusal(url=self.DOMAIN, changes=changes) == (WrongClaim, "trust_domain_mismatch")

    def test_with_an_issuer(self):
        changes = {"sub": f"{self.DOMAIN}/a"}
        assert validate(profile="spiffe", typ="JOSE", changes=changes).issuer == URL
        assert refusal(profile="spiffe", typ="JOSE") == (WrongClaim, "trust_domain_mismatch")
        assert refusal(typ="JOSE", changes=changes) == (WrongType, "typ_mismatch")


GITHUB, GOOGLE = "https://token.actions.githubusercontent.com", "https://accounts.google.com"


@pytest.mark.parametrize(
    ("url", "required"),
    [
        (GITHUB, {}),
        (GITHUB, {"ref": "refs/heads/main"}),
        (GITHUB, {"repository": "*/api"}),
        (GITHUB, {"sub": "repo:**"}),
        (GITHUB, {"sub": "repo:*/api:ref:refs/heads/main"}),
        (GITHUB, {"repository_owner": ["acme", "*"]}),
        ("https://gitlab.com", {}),
        ("https://gitlab.com", {"sub": "project_path:**"}),
        (GOOGLE, {}),
        (GOOGLE, {"email_verified": True}),
        (GOOGLE, {"hd": "*"}),
        ("accounts.google.com", {}),
        ("https://app.terraform.io", {}),
        ("https://agent.buildkite.com", {}),
        ("https://oidc.codefresh.io", {}),
        ("https://oauth2.sigstore.dev/auth", {}),
        ("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", {}),
        (ENTRA, {}),
    ],
)
def test_an_issuer_that_signs_for_anybody_is_warned_of(url, required):
    warning = warning_for(Issuer(url, ["api"], jwks=KEYS, required_claims=required))
    assert warning is not None
    assert url in warning


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        (GITHUB, {"required_claims": {"repository_owner": "acme"}}),
        (GITHUB, {"required_claims": {"sub": "repo:acme/**"}}),
        (GITHUB, {"required_claims": {"repository": ["acme/*", "acme-labs/api"], "ref": "refs/heads/main"}}),
        (f"{GITHUB}/acme-inc", {}),  # GitHub's for one enterprise
        ("https://gitlab.com", {"required_claims": {"namespace_path": "acme"}}),
        ("https://gitlab.example.org", {}),
        (GOOGLE, {"required_claims": {"hd": "example.org"}}),
        (ENTRA, {"tenants": [OURS]}),
        (ENTRA, {"required_claims": {"tid": [OURS]}}),
        ("https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", {}),
        ("https://oidc.circleci.com/org/8c5d1f7e-6a1b-4c53-9d6c-0f5b1d7a2e90", {}),
        (URL, {}),
    ],
)
def test_and_no_other(url, settings):
    assert warning_for(Issuer(url, ["api"], jwks=KEYS, **settings)) is None
