"""One issuer for many tenants, at the guard; and what a guard says in its log, so that nobody is surprised."""

from __future__ import annotations

import json

import pytest

from doorward.errors import AlgorithmNotAllowed, ConfigurationError, Revoked, UnknownIssuer, UnknownKey
from doorward.guard import Admin, Guard, Issuer
from doorward.guard.issuers.discovery import fetch_keys
from doorward.model import HttpResponse
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key

URL, NOW = "https://id.example.org", 1_800_000_000
ENTRA = "https://login.microsoftonline.com/{tenantid}/v2.0"
OURS, THEIRS = "aaaaaaaa-2222-3333-4444-555555555555", "bbbbbbbb-2222-3333-4444-555555555555"
KEY, NEXT, ELLIPTIC = (generate_signing_key(alg, kid=alg + "1") for alg in ("EdDSA", "RS256", "ES512"))


class Stopped:
    def now(self):
        return float(NOW)

    monotonic = now


def of(tenant):
    return ENTRA.replace("{tenantid}", tenant)


def guard_of(*issuers, **options):
    return Guard(issuers, clock=Stopped(), **options)


def token(key=KEY, **claims):
    return sign_claims({"iss": URL, "sub": "alice", "aud": "api", "exp": NOW + 300, **claims}, key)


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "doorward.guard"]


class TestTenants:
    def issuer(self, *keys, **settings):
        keys = keys or (KEY.public_jwk(),)
        return Issuer(ENTRA, ["api"], jwks={"keys": list(keys)}, **settings)

    def test_each_is_an_issuer_of_its_own(self):
        guard = guard_of(self.issuer(), admins=[Admin(of(OURS), "alice")])
        ours, theirs = (guard.authenticate(f"Bearer {token(iss=of(tid), tid=tid)}") for tid in (OURS, THEIRS))
        assert (ours.issuer, theirs.issuer) == (of(OURS), of(THEIRS))
        assert (ours.is_admin, theirs.is_admin) == (True, False)
        guard.revocations.revoke(issuer=of(OURS), subject="alice")
        guard.invalidate()
        assert guard.explain(token(iss=of(OURS), tid=OURS)).code == "revoked"
        assert guard.explain(token(iss=of(THEIRS), tid=THEIRS)).accepted

    @pytest.mark.parametrize("named", [{"kid": "EdDSA1"}, {"subject": "alice"}, {"jti": "1"}, {}])
    @pytest.mark.parametrize("issuer", [ENTRA, of(OURS)])
    def test_what_is_revoked_of_all_tenants_or_of_one(self, named, issuer):
        guard = guard_of(self.issuer())
        tokens = {tid: f"Bearer {token(iss=of(tid), tid=tid, jti='1')}" for tid in (OURS, THEIRS)}
        for authorization in tokens.values():
            guard.authenticate(authorization)
        guard.revocations.revoke(issuer=issuer, **named)
        with pytest.raises(Revoked):
            guard.authenticate(tokens[OURS])
        if issuer == ENTRA:
            with pytest.raises(Revoked):
                guard.authenticate(tokens[THEIRS])
        else:
            assert guard.authenticate(tokens[THEIRS]).issuer == of(THEIRS)

    @pytest.mark.parametrize(
        "issuer", [f"{of(OURS)}/", of(f"{OURS}/x"), of(""), of("a.b"), of("x" * 65), "https://evil.example", URL]
    )
    def test_an_issuer_of_another_form(self, issuer):
        with pytest.raises(UnknownIssuer):
            guard_of(self.issuer()).authenticate(f"Bearer {token(iss=issuer, tid=OURS)}")

    @pytest.mark.parametrize(
        ("key_issuer", "tenant", "good"),
        [
            (ENTRA, OURS, True),
            (of(OURS), OURS, True),
            (of(OURS), THEIRS, False),
            (7, OURS, True),
        ],
    )
    def test_a_key_of_one_tenant_counts_for_no_other(self, key_issuer, tenant, good):
        guard = guard_of(self.issuer(KEY.public_jwk() | {"issuer": key_issuer}))
        if good:
            assert guard.authenticate(f"Bearer {token(iss=of(tenant), tid=tenant)}").issuer == of(tenant)
            return
        with pytest.raises(UnknownKey) as refused:
            guard.authenticate(f"Bearer {token(iss=of(tenant), tid=tenant)}")
        assert refused.value.reason == "key_of_another_tenant"

    @pytest.mark.parametrize(
        ("admin", "settings", "reason"),
        [
            ("alice", {}, "admin_of_every_tenant"),
            (Admin(ENTRA, "alice"), {}, "admin_of_every_tenant"),
            (Admin(of(THEIRS), "alice"), {"tenants": [OURS]}, "admin_issuer_unknown"),
            (Admin(of(OURS), email="a@example.org"), {"tenants": [OURS]}, "admin_email_untrusted"),
        ],
    )
    def test_an_administrator_who_can_not_be(self, admin, settings, reason):
        with pytest.raises(ConfigurationError) as wrong:
            guard_of(self.issuer(**settings), admins=[admin])
        assert wrong.value.reason == reason

    def test_where_their_keys_are(self):
        """All tenants share the metadata under ``common``, whose issuer is the template itself."""
        asked = []

        class Entra:
            def send(self, request):
                asked.append(request.url)
                metadata = {"issuer": ENTRA, "jwks_uri": "https://login.microsoftonline.com/common/discovery/v2.0/keys"}
                body = metadata if len(asked) == 1 else {"keys": [KEY.public_jwk()]}
                return HttpResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())

        assert fetch_keys(Issuer(ENTRA, ["api"]), Entra(), now=NOW).select("EdDSA1", "EdDSA")
        assert asked == [
            "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
            "https://login.microsoftonline.com/common/discovery/v2.0/keys",
        ]


GITHUB = "https://token.actions.githubusercontent.com"


class TestWarnings:
    def test_an_issuer_that_signs_for_anybody(self, caplog):
        open_one = Issuer(GITHUB, ["api"], jwks={"keys": [KEY.public_jwk()]})
        guard = guard_of(open_one)
        (words,) = warnings(caplog)
        assert "required_claims" in words
        notes = [step.text for step in guard.explain(token(iss=GITHUB)).steps if step.outcome == "note"]
        assert words in notes

    def test_an_algorithm_that_is_not_allowed_is_named_once(self, caplog):
        guard = guard_of(Issuer(URL, ["api"], jwks={"keys": [KEY.public_jwk(), ELLIPTIC.public_jwk()]}))
        for subject in ("alice", "bob"):
            with pytest.raises(AlgorithmNotAllowed):
                guard.authenticate(f"Bearer {token(ELLIPTIC, sub=subject)}")
        (words,) = warnings(caplog)
        assert "ES512" in words
        assert "algorithms" in words
        last = guard.explain(token(ELLIPTIC)).steps[-1].text
        assert "ES512" in last
        assert "EdDSA" in last
        assert "algorithms" in last

    def test_explain_says_what_a_token_lacks(self):
        issuer = Issuer(
            URL,
            ["api"],
            jwks={"keys": [KEY.public_jwk()]},
            groups_claim="realm_acess.roles",
            required_claims={"org": "acme"},
        )
        guard = guard_of(issuer)
        text = " ".join(step.text for step in guard.explain(token(org="acme", realm_access={"roles": ["a"]})).steps)
        assert "Of org, which is required, it says acme." in text
        assert "no realm_acess.roles" in text
        assert "Nobody looks at: realm_access." in text
        refused = guard.explain(token(realm_access={"roles": ["a"]}))
        assert (refused.accepted, refused.reason) == (False, "required_claim_missing")
        assert "it says nothing." in " ".join(step.text for step in refused.steps)


@pytest.mark.parametrize("size", [0, 1023, 262_145, "65536", True])
def test_how_long_a_token_may_be(size):
    with pytest.raises(ConfigurationError) as wrong:
        guard_of(Issuer(URL, ["api"]), max_token_bytes=size)
    assert (wrong.value.field, wrong.value.reason) == ("max_token_bytes", "out_of_range")


def test_how_long_a_token_may_be_by_the_settings(tmp_path):
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [KEY.public_jwk()]}))
    (tmp_path / "guard.toml").write_text(
        f'max_token_bytes = 65536\n[[issuers]]\nissuer = "{URL}"\naudience = "api"\njwks_file = "keys.json"\n'
    )
    issuer = {"issuer": URL, "audience": "api", "jwks_file": str(tmp_path / "keys.json")}
    config = json.dumps({"issuers": [issuer], "max_token_bytes": 65_536})
    long = f"Bearer {token(padding='x' * 20_000)}"
    for guard in (
        Guard.from_file(tmp_path / "guard.toml", clock=Stopped()),
        Guard.from_env("X", {"X_OIDC_CONFIG": config}, clock=Stopped()),
    ):
        assert guard.authenticate(long).subject == "alice"
