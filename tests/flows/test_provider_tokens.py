"""Imitations of real providers' tokens, each held against the very settings that docs/recipes.md gives for it.

Every token is signed here, with the algorithm and the header that its provider uses, and says what its provider's do.
Only where the keys come from is changed on the page's settings: they are in a file, since nobody here is that provider.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from markdown_pages import ROOT, blocks_of

from doorward.errors import InvalidCredential
from doorward.guard import Guard, Issuer
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import generate_signing_key
from doorward.protocol.jws import sign_jws

KEYS = {alg: generate_signing_key(alg, kid=f"key-{alg}") for alg in ("RS256", "ES256")}
NOW = int(time.time())
TIMES = {"iat": NOW, "nbf": NOW, "exp": NOW + 3600}
OURS, THEIRS = "aaaaaaaa-2222-3333-4444-555555555555", "bbbbbbbb-2222-3333-4444-555555555555"
API = "cccccccc-2222-3333-4444-555555555555"


def recipes() -> dict[str, str]:
    """The settings on the page, by the heading above each."""
    lines = (ROOT / "docs" / "recipes.md").read_text().splitlines()
    headings = {number: line.removeprefix("## ") for number, line in enumerate(lines, 1) if line.startswith("## ")}
    return {
        headings[max(number for number in headings if number < block.line)]: block.text
        for block in blocks_of("docs/recipes.md")
        if block.language == "toml"
    }


RECIPES = recipes()


@dataclass
class Kind:
    """What a provider's tokens of one kind are like."""

    recipe: str
    claims: dict[str, Any]
    subject: str
    more: dict[str, Any] = field(default_factory=dict)
    """What else there is to be known of the principal."""
    alg: str = "RS256"
    typ: str | None = "JWT"
    header: dict[str, Any] = field(default_factory=dict)

    def token(self, changes: dict[str, Any], *, alg: str | None = None, typ: Any = ...) -> str:
        claims = {name: value for name, value in {**TIMES, **self.claims, **changes}.items() if value is not ...}
        key, typ = KEYS[alg or self.alg], self.typ if typ is ... else typ
        return sign_jws(json.dumps(claims).encode(), key, typ=typ, extra_header=self.header or None)


def entra(tenant: str, **more: Any) -> dict[str, Any]:
    issuer = f"https://login.microsoftonline.com/{tenant}/v2.0"
    return {"iss": issuer, "tid": tenant, "aud": API, "sub": "pairwise", "oid": "o", "ver": "2.0", "uti": "u", **more}


ENTRA_V1 = {
    "iss": f"https://sts.windows.net/{OURS}/",
    "aud": f"api://{API}",
    "sub": "pairwise",
    "oid": "o",
    "tid": OURS,
    "appid": "c",
    "appidacr": "0",
    "scp": "access",
    "unique_name": "a@example.org",
    "upn": "a@example.org",
    "ver": "1.0",
    "amr": ["pwd"],
}
AUTH0 = {
    "iss": "https://acme.eu.auth0.com/",
    "sub": "auth0|1",
    "azp": "c",
    "scope": "openid read:x",
    "aud": ["https://api.example.org", "https://acme.eu.auth0.com/userinfo"],
}
KEYCLOAK = {
    "iss": "https://sso.example.org/realms/acme",
    "sub": "u",
    "typ": "Bearer",
    "azp": "web",
    "sid": "s",
    "acr": "1",
    "scope": "email profile",
    "email_verified": True,
    "email": "a@example.org",
    "jti": "j",
    "nbf": ...,
    "realm_access": {"roles": ["staff"]},
    "resource_access": {"account": {"roles": ["manage-account"]}, "api": {"roles": ["orders"]}},
}
COGNITO = {
    "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc123",
    "sub": "u",
    "nbf": ...,
    "jti": "j",
    "event_id": "e",
    "origin_jti": "o",
    "cognito:groups": ["staff"],
}
GITHUB = {
    "iss": "https://token.actions.githubusercontent.com",
    "aud": "https://api.example.org",
    "jti": "j",
    "sub": "repo:acme/app:ref:refs/heads/main",
    "repository": "acme/app",
    "repository_owner": "acme",
    "ref": "refs/heads/main",
    "repository_id": "1",
    "actor": "alice",
    "runner_environment": "github-hosted",
}
GITLAB = {
    "iss": "https://gitlab.com",
    "aud": "https://api.example.org",
    "jti": "j",
    "user_email": "a@example.org",
    "sub": "project_path:acme/team/app:ref_type:branch:ref:main",
    "project_path": "acme/team/app",
    "namespace_path": "acme/team",
    "ref": "main",
    "ref_type": "branch",
    "ref_protected": "true",
}
KUBERNETES = {
    "iss": "https://kubernetes.default.svc.cluster.local",
    "aud": ["api.example.org"],
    "sub": "system:serviceaccount:prod:worker",
    "kubernetes.io": {"namespace": "prod", "pod": {"name": "p", "uid": "u"}, "warnafter": NOW + 3607},
}
SVID = {"sub": "spiffe://example.org/ns/prod/sa/api", "aud": ["api"], "nbf": ...}
GOOGLE = {"iss": "https://accounts.google.com", "email": "a@example.org", "email_verified": True, "nbf": ...}
DUENDE = {
    "iss": "https://id.example.org",
    "aud": "api",
    "sub": "u",
    "client_id": "web",
    "scope": ["openid", "api"],
    "jti": "j",
    "sid": "s",
    "auth_time": NOW,
    "idp": "local",
    "amr": ["pwd"],
}
CLOUDFLARE = {
    "iss": "https://acme.cloudflareaccess.com",
    "aud": ["4714c1358e65fe4b408ad6d432a5f878"],
    "type": "app",
    "sub": "u",
    "email": "a@example.org",
    "country": "DE",
    "identity_nonce": "n",
}

KINDS = {
    "Entra v2": Kind(
        "Microsoft Entra ID",
        entra(OURS, scp="User.Read Files.Read", azp="c", azpacr="0", preferred_username="a@example.org"),
        "pairwise",
        {"scopes": ("User.Read", "Files.Read"), "email": "a@example.org", "email_verified": False},
    ),
    "Entra app roles": Kind(
        "Microsoft Entra ID", entra(OURS, roles=["Task.Read"], idtyp="app"), "pairwise", {"scopes": ("Task.Read",)}
    ),
    "Entra v1": Kind(
        "Microsoft Entra ID, version 1 tokens", ENTRA_V1, "pairwise", {"scopes": ("access",)}, header={"x5t": "abc"}
    ),
    "Entra, many tenants": Kind(
        "Microsoft Entra ID, many tenants",
        entra(OURS, scp="access"),
        "pairwise",
        {"issuer": f"https://login.microsoftonline.com/{OURS}/v2.0", "scopes": ("access",)},
    ),
    "Auth0": Kind(
        "Auth0",
        {**AUTH0, "permissions": ["read:x", "write:x"], "https://example.org/roles": ["staff"]},
        "auth0|1",
        {"scopes": ("openid", "read:x", "write:x"), "groups": ("staff",)},
    ),
    "Auth0, machine to machine": Kind(
        "Auth0",
        {**AUTH0, "aud": "https://api.example.org", "sub": "c@clients", "gty": "client-credentials", "scope": "read:x"},
        "c@clients",
        {"scopes": ("read:x",), "groups": ()},
    ),
    "Okta": Kind(
        "Okta",
        {
            "iss": "https://acme.okta.com/oauth2/default",
            "aud": "api://default",
            "sub": "a@example.org",
            "cid": "c",
            "uid": "u",
            "scp": ["openid", "orders"],
            "ver": 1,
            "jti": "AT.1",
            "auth_time": NOW,
        },
        "a@example.org",
        {"scopes": ("openid", "orders")},
        typ=None,
    ),
    "Keycloak with an audience mapper": Kind(
        "Keycloak",
        {**KEYCLOAK, "aud": ["api", "account"]},
        "u",
        {"scopes": ("email", "profile", "orders"), "groups": ("staff",)},
    ),
    "Keycloak without an audience mapper": Kind(
        "Keycloak without an audience mapper",
        {**KEYCLOAK, "aud": "account"},
        "u",
        {"audience": ("account",), "groups": ()},
    ),
    "Keycloak without any audience": Kind(
        "Keycloak without an audience mapper", KEYCLOAK, "u", {"audience": ("web",), "groups": ()}
    ),
    "Cognito access": Kind(
        "Amazon Cognito, access tokens",
        {**COGNITO, "client_id": "4q5example", "token_use": "access", "scope": "openid", "username": "a", "version": 2},
        "u",
        {"audience": ("4q5example",), "scopes": ("openid",), "groups": ("staff",)},
        typ=None,
    ),
    "Cognito ID": Kind(
        "Amazon Cognito, ID tokens",
        {**COGNITO, "aud": "4q5example", "token_use": "id", "email": "a@example.org", "cognito:username": "a"},
        "u",
        {"groups": ("staff",)},
        typ=None,
    ),
    "Google": Kind(
        "Google",
        {**GOOGLE, "aud": "1234.apps.googleusercontent.com", "azp": "1234.apps.googleusercontent.com", "sub": "1"}
        | {"hd": "example.org", "at_hash": "x"},
        "1",
        {"email": "a@example.org", "email_verified": True},
    ),
    "Google service account": Kind(
        "Google service accounts",
        {**GOOGLE, "aud": "https://api.example.org", "azp": "99", "sub": "99"}
        | {"email": "robot@project.iam.gserviceaccount.com"},
        "99",
    ),
    "Google IAP": Kind(
        "Google Identity-Aware Proxy",
        {
            "iss": "https://cloud.google.com/iap",
            "aud": "/projects/1234/global/backendServices/5678",
            "nbf": ...,
            "sub": "accounts.google.com:1",
            "email": "a@example.org",
            "hd": "example.org",
        },
        "accounts.google.com:1",
        alg="ES256",
    ),
    "Cloudflare Access": Kind("Cloudflare Access", CLOUDFLARE, "u", {"email_verified": False}),
    "Cloudflare service token": Kind(
        "Cloudflare Access", {**CLOUDFLARE, "sub": "", "email": ..., "common_name": "e36.access"}, "e36.access"
    ),
    "Apple": Kind(
        "Apple",
        {
            "iss": "https://appleid.apple.com",
            "aud": "org.example.app",
            "sub": "000.1",
            "nbf": ...,
            "email": "a@example.org",
            "email_verified": "true",
            "is_private_email": "true",
            "nonce_supported": True,
        },
        "000.1",
        {"email_verified": False},
        typ=None,
    ),
    "GitHub Actions": Kind("GitHub Actions", GITHUB, "repo:acme/app:ref:refs/heads/main", header={"x5t": "x"}),
    "GitLab CI": Kind("GitLab CI", GITLAB, "project_path:acme/team/app:ref_type:branch:ref:main"),
    "Kubernetes": Kind(
        "Kubernetes service accounts", KUBERNETES, "system:serviceaccount:prod:worker", {"email": None}, typ=None
    ),
    "SPIFFE without iss": Kind("SPIFFE", SVID, SVID["sub"], {"issuer": "spiffe://example.org"}, "ES256", "JOSE"),
    "SPIFFE with iss": Kind(
        "SPIFFE with an issuer",
        {**SVID, "iss": "https://oidc.example.org"},
        SVID["sub"],
        {"issuer": "https://oidc.example.org"},
        "ES256",
    ),
    "Firebase": Kind(
        "Firebase",
        {
            "iss": "https://securetoken.google.com/my-project",
            "aud": "my-project",
            "sub": "u",
            "user_id": "u",
            "auth_time": NOW,
            "firebase": {"identities": {}, "sign_in_provider": "password"},
            "nbf": ...,
        },
        "u",
    ),
    "Supabase": Kind(
        "Supabase",
        {
            "iss": "https://abcd.supabase.co/auth/v1",
            "aud": "authenticated",
            "sub": "u",
            "role": "authenticated",
            "session_id": "s",
            "is_anonymous": False,
            "aal": "aal1",
            "email": "a@example.org",
        },
        "u",
        alg="ES256",
    ),
    "Clerk": Kind(
        "Clerk",
        {"iss": "https://clerk.example.org", "azp": "https://app.example.org", "sub": "user_1", "sid": "s", "v": 2},
        "user_1",
        {"audience": ("https://app.example.org",)},
    ),
    "UAA": Kind(
        "Cloud Foundry UAA and SAP BTP",
        {
            "iss": "https://uaa.example.org/oauth/token",
            "aud": ["openid", "api"],
            "sub": "u",
            "cid": "c",
            "client_id": "c",
            "scope": ["openid", "api.read"],
            "zid": "uaa",
            "jti": "j",
            "rev_sig": "a",
        },
        "u",
        {"scopes": ("openid", "api.read")},
    ),
    "AD FS": Kind(
        "AD FS",
        {
            "iss": "http://adfs.example.org/adfs/services/trust",
            "aud": "microsoft:identityserver:api",
            "upn": "a@example.org",
            "group": "staff",
            "appid": "c",
            "ver": "1.0",
            "scp": "openid",
            "nbf": ...,
        },
        "a@example.org",
        {"groups": ("staff",), "scopes": ("openid",)},
        header={"x5t": "x"},
    ),
    "Duende": Kind("Duende IdentityServer", DUENDE, "u", {"scopes": ("openid", "api")}, typ="at+jwt"),
    "Duende, client credentials": Kind(
        "Duende IdentityServer", {**DUENDE, "sub": ..., "client_id": "worker"}, "worker", typ="at+jwt"
    ),
    "JetBrains Hub": Kind(
        "JetBrains Hub",
        {"iss": "https://hub.example.org/hub", "aud": ["0-0-0-0-0", "x"], "sub": "u", "nbf": ...}
        | {"iat": NOW - 0.517, "exp": NOW + 3600.483, "scope": "0-0-0-0-0"},
        "u",
        {"expires_at": NOW + 3600},
    ),
}

REFUSED = [
    # of whom, how it differs, the code and the reason
    ("Entra v2", entra(THEIRS), "unknown_issuer", ""),
    ("Entra v2", {"aud": "00000003-0000-0000-c000-000000000000"}, "wrong_audience", "audience_mismatch"),
    ("Entra v2", {"iss": ENTRA_V1["iss"], "ver": "1.0"}, "unknown_issuer", ""),
    ("Entra app roles", {"sub": ...}, "missing_claim", "sub_missing"),
    ("Entra v1", {"iss": f"https://sts.windows.net/{THEIRS}/"}, "unknown_issuer", ""),
    ("Entra, many tenants", entra(THEIRS), "unknown_issuer", "tenant_not_listed"),
    ("Entra, many tenants", {"tid": THEIRS}, "wrong_claim", "tenant_mismatch"),
    ("Auth0", {"aud": "client-id"}, "wrong_audience", "audience_mismatch"),  # an ID token
    ("Auth0", {"iss": "https://acme.eu.auth0.com"}, "unknown_issuer", ""),
    ("Okta", {"iss": "https://acme.okta.com", "aud": "https://acme.okta.com"}, "unknown_issuer", ""),
    ("Keycloak with an audience mapper", {"aud": "account"}, "wrong_audience", "audience_mismatch"),
    ("Keycloak with an audience mapper", {"typ": "Refresh"}, "wrong_type", "token_kind"),
    ("Keycloak with an audience mapper", {"typ": "Offline"}, "wrong_type", "token_kind"),
    ("Keycloak with an audience mapper", {"typ": "ID", "aud": "web"}, "wrong_audience", "audience_mismatch"),
    ("Keycloak without an audience mapper", {"azp": "evil"}, "wrong_claim", "required_claim_mismatch"),
    ("Keycloak without any audience", {"azp": "evil"}, "wrong_audience", "audience_mismatch"),
    ("Cognito access", {"client_id": "other"}, "wrong_audience", "audience_mismatch"),
    ("Cognito access", {"token_use": "id"}, "wrong_claim", "required_claim_mismatch"),
    ("Cognito access", {"token_use": "refresh"}, "wrong_type", "token_kind"),
    ("Cognito ID", {"token_use": "access"}, "wrong_type", "token_kind"),
    ("Google", {"hd": ...}, "missing_claim", "required_claim_missing"),  # a private account
    ("Google", {"hd": "evil.example"}, "wrong_claim", "required_claim_mismatch"),
    ("Google", {"iss": "accounts.google.com"}, "unknown_issuer", ""),
    ("Google service account", {"email": "x@evil.iam.gserviceaccount.com"}, "wrong_claim", "required_claim_mismatch"),
    ("Google IAP", {"aud": "/projects/1234/apps/other"}, "wrong_audience", "audience_mismatch"),
    ("Cloudflare Access", {"aud": ["another"]}, "wrong_audience", "audience_mismatch"),
    ("Cloudflare Access", {"sub": ""}, "missing_claim", "sub_missing"),
    ("Apple", {"aud": "org.example.other"}, "wrong_audience", "audience_mismatch"),
    (
        "GitHub Actions",
        {"repository_owner": "evil", "repository": "evil/app"},
        "wrong_claim",
        "required_claim_mismatch",
    ),
    ("GitHub Actions", {"ref": "refs/heads/feature"}, "wrong_claim", "required_claim_mismatch"),
    ("GitHub Actions", {"ref": "refs/tags/v1/x"}, "wrong_claim", "required_claim_mismatch"),
    ("GitLab CI", {"project_path": "acme-evil/app"}, "wrong_claim", "required_claim_mismatch"),
    ("GitLab CI", {"ref_protected": "false"}, "wrong_claim", "required_claim_mismatch"),
    ("Kubernetes", {"sub": "system:serviceaccount:default:worker"}, "wrong_claim", "required_claim_mismatch"),
    ("Kubernetes", {"aud": ["https://kubernetes.default.svc.cluster.local"]}, "wrong_audience", "audience_mismatch"),
    ("SPIFFE without iss", {"sub": "spiffe://evil.example/ns/prod/x"}, "unknown_issuer", ""),
    ("SPIFFE without iss", {"sub": "spiffe://example.org/ns/dev/x"}, "wrong_claim", "required_claim_mismatch"),
    ("SPIFFE without iss", {"exp": ...}, "missing_claim", "exp_missing"),
    ("SPIFFE without iss", {"aud": ...}, "missing_claim", "aud_missing"),
    ("SPIFFE without iss", {"sub": "alice"}, "missing_claim", "iss_missing"),
    ("SPIFFE with iss", {"iss": "https://evil.example"}, "unknown_issuer", ""),
    ("SPIFFE with iss", {"sub": "alice"}, "wrong_claim", "trust_domain_mismatch"),
    ("Firebase", {"firebase": {"sign_in_provider": "anonymous"}}, "wrong_claim", "required_claim_mismatch"),
    ("Firebase", {"iss": "https://session.firebase.google.com/my-project"}, "unknown_issuer", ""),
    ("Supabase", {"is_anonymous": True}, "wrong_claim", "required_claim_mismatch"),
    ("Clerk", {"azp": "https://evil.example"}, "wrong_audience", "audience_mismatch"),
    ("UAA", {"aud": ["openid", "other"]}, "wrong_audience", "audience_mismatch"),
    ("AD FS", {"iss": "https://adfs.example.org/adfs"}, "unknown_issuer", ""),
    ("Duende", {"aud": "https://id.example.org/resources"}, "wrong_audience", "audience_mismatch"),
    ("Duende, client credentials", {"client_id": ...}, "missing_claim", "client_id_missing"),
    ("JetBrains Hub", {"exp": NOW - 30.5}, "expired", "expired"),
]


@pytest.fixture
def guard_for(tmp_path):
    made = []

    def make(recipe: str) -> Guard:
        keys = {"keys": [key.public_jwk() for key in KEYS.values()]}
        (tmp_path / "keys.json").write_text(json.dumps(keys))
        settings = re.sub(r"^jwks_\w+ = .*\n", "", RECIPES[recipe], flags=re.MULTILINE)
        (tmp_path / "guard.toml").write_text(f'{settings}jwks_file = "keys.json"\n')
        made.append(Guard.from_file(tmp_path / "guard.toml"))
        return made[-1]

    yield make
    for guard in made:
        guard.close()


def refusal(guard, token):
    with pytest.raises(InvalidCredential) as refused:
        guard.authenticate(f"Bearer {token}")
    explained = guard.explain(token)
    assert (explained.code, explained.reason) == (refused.value.code, refused.value.reason)
    return refused.value.code, refused.value.reason


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_accepted(kind, guard_for, caplog):
    guard, token = guard_for(kind.recipe), kind.token({})
    principal = guard.authenticate(f"Bearer {token}")
    assert {"subject": principal.subject} | {name: getattr(principal, name) for name in kind.more} == {
        "subject": kind.subject,
        **kind.more,
    }
    assert guard.explain(token).accepted
    caplog.clear()
    guard_for(kind.recipe)  # no recipe lets anybody in
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(("name", "changes", "code", "reason"), REFUSED)
def test_what_is_refused_and_why(name, changes, code, reason, guard_for):
    kind = KINDS[name]
    assert refusal(guard_for(kind.recipe), kind.token(changes)) == (code, reason or code)


@pytest.mark.parametrize("name", ["Entra v2", "Auth0", "Keycloak with an audience mapper", "Cognito access"])
def test_what_is_no_access_token_by_the_profile(name, guard_for, tmp_path):
    """Whoever asks for RFC 9068 of a provider that does not keep to it is told what is wrong."""
    kind = KINDS[name]
    guard_for(kind.recipe)
    settings = (tmp_path / "guard.toml").read_text()
    (tmp_path / "guard.toml").write_text(f'{settings}token_type = "access"\n')
    guard = Guard.from_file(tmp_path / "guard.toml")
    assert refusal(guard, kind.token({})) == ("wrong_type", "not_at_jwt")
    guard.close()


def test_a_token_for_an_application_without_sub_needs_the_setting_that_the_recipe_names(guard_for, tmp_path):
    kind = KINDS["Entra app roles"]
    guard_for(kind.recipe)
    settings = (tmp_path / "guard.toml").read_text()
    (tmp_path / "guard.toml").write_text(f'{settings}subject_claim = "oid"\n')
    guard = Guard.from_file(tmp_path / "guard.toml")
    assert guard.authenticate(f"Bearer {kind.token({'sub': ...})}").subject == "o"
    guard.close()


def test_what_is_signed_with_a_shared_secret(guard_for):
    """Auth0's HS256 APIs, Supabase's old keys, Authentik without a key."""
    part = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    assert refusal(guard_for("Supabase"), f"{part}.e30.AAAA") == ("algorithm_not_allowed", "alg_symmetric")


def test_the_token_of_an_aws_load_balancer_is_none(guard_for):
    """x-amzn-oidc-data: padded parts, no aud, keys as PEM files. Its access token is the identity provider's own."""

    def part(members):
        return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()

    claims = {**KINDS["Okta"].claims, "exp": NOW + 120}
    header = {"typ": "JWT", "kid": "key-ES256", "alg": "ES256", "iss": claims["iss"], "client": "c", "signer": "arn"}
    signed = f"{part(header)}.{part(claims)}"
    assert "=" in signed
    signature = ALGORITHMS["ES256"].sign(KEYS["ES256"].private_key, signed.encode())
    token = f"{signed}.{base64.urlsafe_b64encode(signature).decode()}"
    guard = guard_for("Okta")
    assert refusal(guard, token) == ("malformed", "base64_alphabet")
    assert guard.authenticate(f"Bearer {KINDS['Okta'].token({})}").subject == "a@example.org"


def test_every_recipe_has_its_tokens_and_every_token_its_recipe():
    assert set(RECIPES) == {kind.recipe for kind in KINDS.values()}
    assert {name for name, *_ in REFUSED} >= {
        next(name for name, kind in KINDS.items() if kind.recipe == recipe) for recipe in RECIPES
    }


def test_a_long_token_needs_a_setting():
    """A person in 1000 groups. Web servers limit headers too; docs/guard-settings.md names their settings."""
    issuer = Issuer("https://id.example.org", ["api"], jwks={"keys": [KEYS["RS256"].public_jwk()]})
    groups = [f"{number:036d}" for number in range(1000)]
    claims = {**TIMES, "iss": issuer.url, "aud": "api", "sub": "alice", "groups": groups}
    token = sign_jws(json.dumps(claims).encode(), KEYS["RS256"], typ="JWT")
    assert refusal(Guard([issuer]), token) == ("malformed", "token_too_long")
    guard = Guard([issuer], max_token_bytes=65_536)
    assert guard.authenticate(f"Bearer {token}").groups == tuple(groups)
    assert guard.explain(token).accepted
