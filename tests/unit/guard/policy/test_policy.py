from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError, Malformed
from doorward.guard.api_keys.api_key import ApiKey
from doorward.guard.issuers.issuer import PROFILES, Issuer
from doorward.guard.policy.admins import API_KEY_ISSUER, Admin
from doorward.guard.policy.emails import fold_email, is_email
from doorward.guard.policy.policy import Policy

URL, OTHER = "https://id.example.org", "https://id.example.com"


def issuer(profile="generic", *, url=URL, trust_email=True, **settings):
    return Issuer(url, ["api"], trust_email=trust_email, profile=profile, **settings)


def principal(claims, from_=None, *, policy=None, subject="s1", kind="jwt"):
    from_ = from_ or issuer()
    return (policy or Policy()).principal(from_, from_.url, subject, ("api",), 9, claims, kind)


def test_a_principal_is_what_was_verified():
    claims = {"iss": "https://elsewhere.example", "sub": "root", "is_admin": True, "may_delegate": True, "n": [1]}
    made = principal(claims, kind="opaque")
    assert (made.issuer, made.subject, made.audience, made.expires_at, made.kind) == (URL, "s1", ("api",), 9, "opaque")
    assert (made.email, made.email_verified, made.groups, made.scopes) == (None, False, (), ())
    assert not made.is_admin
    assert not made.may_delegate
    assert made.claims == claims
    assert made.claims["n"] == (1,)
    assert "elsewhere" not in repr(made)


@pytest.mark.parametrize(
    ("profile", "claims", "email", "verified"),
    [
        *((each, {"email": "a@b.org", "email_verified": True}, "a@b.org", True) for each in sorted(PROFILES)),
        *(
            (each, {"email": "a@b.org", "email_verified": word}, "a@b.org", False)
            for each in sorted(PROFILES)
            for word in (False, "true", "True", 1, 1.0, [True], None)
        ),
        *((each, {"email": "a@b.org"}, "a@b.org", False) for each in sorted(PROFILES)),
        *(
            (each, {name: "a@b.org", "email_verified": True, "xms_edov": True}, "a@b.org", False)
            for each in sorted(PROFILES)
            for name in ("preferred_username", "upn", "unique_name")
        ),
        *(("entra", {"email": "a@b.org", "xms_edov": word}, "a@b.org", True) for word in (True, 1, "1", "true")),
        *(
            ("entra", {"email": "a@b.org", "xms_edov": word}, "a@b.org", False)
            for word in (False, 0, "0", "false", 2, 1.0, [1], {}, None, "yes")
        ),
        ("generic", {"email": "a@b.org", "xms_edov": True}, "a@b.org", False),
        ("entra", {"verified_primary_email": ["a@b.org", "c@d.org"], "email": "x@y.org"}, "a@b.org", True),
        ("entra", {"verified_primary_email": "a@b.org"}, "a@b.org", True),
        ("entra", {"verified_primary_email": [], "email": "x@y.org"}, "x@y.org", False),
        ("entra", {"verified_primary_email": ["a@evil@corp"], "upn": "x@y.org"}, "x@y.org", False),
        ("generic", {"verified_primary_email": ["a@b.org"]}, None, False),
        ("auth0", {"https://x.org/email": "a@b.org", "https://x.org/email_verified": True}, "a@b.org", True),
        ("auth0", {"https://x.org/email": "a@b.org", "email_verified": True}, "a@b.org", False),
        ("auth0", {"https://x.org/email": "a@b.org", "https://y.org/email_verified": True}, "a@b.org", False),
        ("auth0", {"https://x.org/email": "a@b.org", "https://y.org/email": "c@d.org"}, None, False),
        ("auth0", {"https://x.org/email": "a@b.org", "email": "c@d.org"}, "c@d.org", False),
        ("auth0", {"http://x.org/email": "a@b.org"}, None, False),
        ("generic", {"https://x.org/email": "a@b.org", "https://x.org/email_verified": True}, None, False),
        ("generic", {"email": "a@evil@corp", "email_verified": True}, None, False),
        ("generic", {"email": "a@evil@corp", "email_verified": True, "upn": "c@d.org"}, "c@d.org", False),
        ("generic", {"email": "", "email_verified": True}, None, False),
        ("generic", {"email": None, "preferred_username": "alice"}, None, False),
        ("generic", {"preferred_username": "alice", "upn": "b@d.org", "unique_name": "c@d.org"}, "b@d.org", False),
    ],
)
def test_where_the_email_address_comes_from(profile, claims, email, verified):
    made = principal(claims, issuer(profile))
    assert (made.email, made.email_verified) == (email, verified)
    mistrusted = principal(claims, issuer(profile, trust_email=False))
    assert (mistrusted.email, mistrusted.email_verified) == (email, False)


@pytest.mark.parametrize("text", ["a@b", "a.b+c@d-e.org", "é@b.org", "o'neil@b.org", "a" * 318 + "@b"])
def test_what_looks_like_an_address(text):
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "@", "a@", "@b", "a@evil@corp", "a@b@", "a b@c", " a@b", "a@b ", "a@b\n", "a\0@b", "a@b\u202e"),
        *(
            "a@b,c@d",
            "A <a@b>",
            '"a"@b',
            "a@b;c",
            "a@b:c",
            "a\\@b",
            "a@[1.2.3.4]",
            "a\u00a0@b",
            "a\ud800@b",
            "a" * 319 + "@b",
        ),
    ],
)
def test_what_does_not(text):
    assert not is_email(text)


def test_addresses_are_compared_by_ascii_case_alone():
    assert fold_email("Alice@EXAMPLE.org") == "alice@example.org"
    assert fold_email("ALICE\u00c9@EXAMPLE.org") == "alice\u00c9@example.org"
    assert fold_email("\u212aate@example.org") != "kate@example.org"
    assert not fold_email("\u0130@example.org").startswith("i")


@pytest.mark.parametrize(
    ("from_", "subject", "email", "verified", "is_admin"),
    [
        (issuer(), "root", None, False, True),
        (issuer(), "Root", None, False, False),
        (issuer(url=OTHER), "root", None, False, False),
        (issuer(url=URL + "/"), "root", None, False, False),
        (issuer(), "s1", "admin@example.org", True, True),
        (issuer(), "s1", "ADMIN@Example.org", True, True),
        (issuer(), "s1", "admin@example.org", False, False),
        (issuer(), "s1", "adm\u0131n@example.org", True, False),
        (issuer(), "s1", "admin@example.org@evil.org", True, False),
        (issuer(trust_email=False), "s1", "admin@example.org", True, False),
        (issuer(url=OTHER), "s1", "admin@example.org", True, False),
        (issuer(), "admin@example.org", None, False, False),
        (issuer(), "s1", "root", True, False),
        (issuer(), "ci", None, False, False),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_administrators_are_bound_to_an_issuer(from_, subject, email, verified, is_admin, known):
    admins = [Admin(URL, "root"), Admin(URL, email="Admin@example.org"), Admin(API_KEY_ISSUER, "ci")]
    policy = Policy(admins)
    claims = {} if email is None else {"email": email, "email_verified": verified}
    assert principal(claims, from_, policy=policy, subject=subject).is_admin == is_admin


def test_an_issuer_with_other_settings_is_read_by_those():
    policy = Policy()
    claims = {"email": "a@b.org", "email_verified": True}
    assert principal(claims, issuer(trust_email=False), policy=policy).email_verified is False
    assert principal(claims, issuer(), policy=policy).email_verified is True


@pytest.mark.parametrize("name", ["preferred_username", "upn", "unique_name"])
def test_a_name_for_display_makes_no_administrator(name):
    policy = Policy([Admin(URL, email="admin@example.org")])
    made = principal({name: "admin@example.org", "email_verified": True}, policy=policy)
    assert (made.email, made.email_verified, made.is_admin) == ("admin@example.org", False, False)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"issuer": "", "subject": "root"}, "admin_issuer_missing"),
        ({"issuer": URL}, "admin_ambiguous"),
        ({"issuer": URL, "subject": ""}, "admin_ambiguous"),
        ({"issuer": URL, "subject": "root", "email": "a@b.org"}, "admin_ambiguous"),
        ({"issuer": URL, "email": "root"}, "admin_email_malformed"),
    ],
)
def test_an_administrator_is_named_in_one_way(settings, reason):
    with pytest.raises(ConfigurationError) as wrong:
        Admin(**settings)
    assert (wrong.value.field, wrong.value.reason) == ("admins", reason)


@pytest.mark.parametrize(
    ("from_", "claims", "groups"),
    [
        (issuer(), {"groups": ["eng", "ops"]}, ("eng", "ops")),
        (issuer(), {"groups": []}, ()),
        (issuer(), {"groups": None}, ()),
        (issuer(), {"groups": "eng"}, ("eng",)),
        (issuer(), {"groups": ""}, ()),
        (issuer("keycloak"), {"realm_access": {"roles": ["eng"]}}, ()),
        (issuer("keycloak", groups_claim="realm_access.roles"), {"realm_access": {"roles": ["eng"]}}, ("eng",)),
        (issuer(groups_claim="realm_access.roles"), {"realm_access": {"roles": "eng"}, "groups": ["no"]}, ("eng",)),
        (issuer(groups_claim="realm_access.roles"), {"realm_access": {}}, ()),
        (issuer(groups_claim="realm_access.roles"), {"realm_access": ["roles"]}, ()),
        (issuer("keycloak", groups_claim="teams"), {"groups": ["a"]}, ()),
        (issuer("entra"), {"groups": ["0b1c"]}, ("0b1c",)),
        (issuer("entra"), {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}}, ()),
        (issuer(groups_claim="https://x.org/teams"), {"https://x.org/teams": ["a"], "groups": ["b"]}, ("a",)),
        (issuer(), {"groups": [f"g{n}" for n in range(1000)]}, tuple(f"g{n}" for n in range(1000))),
    ],
)
def test_where_the_groups_come_from(from_, claims, groups):
    assert principal(claims, from_).groups == groups


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "read write"}, ("read", "write")),
        ({"scope": " read  write "}, ("read", "write")),
        ({"scope": ""}, ()),
        ({"scope": "read\u00a0admin\tx"}, ("read\u00a0admin\tx",)),
        ({"scope": ["read", "write"]}, ("read", "write")),
        ({"scp": "read write"}, ("read", "write")),
        ({"scp": ["read", "write"]}, ("read", "write")),
        ({"scope": "read", "scp": ["write"]}, ("read",)),
        ({"scope": None, "scp": []}, ()),
    ],
)
def test_where_the_scopes_come_from(claims, scopes):
    assert principal(claims).scopes == scopes


@pytest.mark.parametrize(
    ("paths", "claims", "scopes"),
    [
        (["permissions"], {"scope": "openid", "permissions": ["read:x", "write:x"]}, ("read:x", "write:x")),
        (["scope", "permissions"], {"scope": "openid read:x", "permissions": ["read:x"]}, ("openid", "read:x")),
        (["scp", "roles"], {"roles": ["Task.Read"]}, ("Task.Read",)),
        (["roles"], {"roles": "Task.Read"}, ("Task.Read",)),
        (["resource_access.api.roles"], {"resource_access": {"api": {"roles": ["r"]}}}, ("r",)),
        (["permissions"], {"scope": "admin"}, ()),
        (["permissions"], {"scope": "admin", "permissions": None}, ()),
    ],
)
def test_scopes_may_stand_elsewhere(paths, claims, scopes):
    assert principal(claims, issuer(scope_claims=paths)).scopes == scopes


class TestWhatIsNotThereIsTold:
    def told(self, caplog, from_, *tokens):
        policy = Policy()
        for claims in tokens:
            principal(claims, from_, policy=policy)
        return [record.getMessage() for record in caplog.records]

    @pytest.mark.parametrize("settings", [{"groups_claim": "realm_acess.roles"}, {"scope_claims": ["permisions"]}])
    def test_a_claim_that_never_comes(self, caplog, settings):
        (name,) = settings
        (words,) = self.told(caplog, issuer(**settings), {}, {}, {"groups": ["a"]})
        assert name in words
        assert URL in words

    @pytest.mark.parametrize("settings", [{"groups_claim": "teams"}, {"scope_claims": ["teams"]}])
    def test_not_of_one_that_came_before(self, caplog, settings):
        assert self.told(caplog, issuer(**settings), {"teams": ["a"]}, {}) == []

    @pytest.mark.parametrize(
        "claims",
        [{"_claim_names": {"groups": "src1"}, "_claim_sources": {}}, {"hasgroups": True}, {"hasgroups": "true"}],
    )
    def test_groups_that_entra_left_out(self, caplog, claims):
        (words,) = self.told(caplog, issuer("entra"), claims, claims)
        assert "left them out" in words

    @pytest.mark.parametrize("claims", [{}, {"hasgroups": []}, {"_claim_names": ["groups"]}, {"groups": ["a"]}])
    def test_nothing_where_nothing_is_wrong(self, caplog, claims):
        assert self.told(caplog, issuer("entra"), claims) == []


@pytest.mark.parametrize(
    ("profile", "claims", "reason"),
    [
        ("generic", {"email": 1}, "email_malformed"),
        ("generic", {"email": ["a@b.org"]}, "email_malformed"),
        ("auth0", {"https://x.org/email": {}}, "email_malformed"),
        ("entra", {"verified_primary_email": [1]}, "verified_primary_email_malformed"),
        ("entra", {"verified_primary_email": {}}, "verified_primary_email_malformed"),
        ("generic", {"preferred_username": 1}, "preferred_username_malformed"),
        ("generic", {"upn": []}, "upn_malformed"),
        ("generic", {"unique_name": True}, "unique_name_malformed"),
        ("generic", {"groups": 1}, "groups_malformed"),
        ("generic", {"groups": {"eng": True}}, "groups_malformed"),
        ("generic", {"groups": ["eng", 1]}, "groups_malformed"),
        ("generic", {"groups": ["eng", None]}, "groups_malformed"),
        ("generic", {"groups": ["g"] * 1001}, "groups_too_many"),
        ("generic", {"scope": 1}, "scope_malformed"),
        ("generic", {"scope": ["read write"]}, "scope_malformed"),
        ("generic", {"scope": [""]}, "scope_malformed"),
        ("generic", {"scp": {"read": True}}, "scope_malformed"),
        ("generic", {"scp": [1]}, "scope_malformed"),
    ],
)
def test_a_claim_of_the_wrong_type_is_refused(profile, claims, reason):
    with pytest.raises(Malformed) as wrong:
        principal(claims, issuer(profile))
    assert wrong.value.reason == reason


def test_an_api_key_is_a_principal_of_its_own_issuer():
    key = ApiKey("k1", "ci", scopes=("read",), groups=("eng",), may_delegate=True, expires_at=9.0)
    made = Policy([Admin(URL, "ci")]).api_key_principal(key)
    assert (made.issuer, made.subject, made.kind) == (API_KEY_ISSUER, "ci", "api_key")
    assert (made.scopes, made.groups, made.expires_at) == (("read",), ("eng",), 9.0)
    assert made.may_delegate
    assert not made.is_admin
    assert not made.email_verified
    assert not Policy().api_key_principal(ApiKey("k2", "ci")).may_delegate
    assert Policy([Admin(API_KEY_ISSUER, "ci")]).api_key_principal(key).is_admin
