"""G16: settings by environment and TOML file; a mistake names its place, and shows no secret."""

from __future__ import annotations

import json
import os
from textwrap import dedent

import pytest

from doorward.errors import ConfigurationError, Revoked
from doorward.guard import Guard
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.audit.log import AuditLog
from doorward.guard.introspection.introspection import Introspection
from doorward.guard.policy.admins import API_KEY_ISSUER, Admin
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.settings.settings import read_environment, read_file
from doorward.guard.throttle import Throttle
from doorward.protocol.jwk import generate_signing_key

GOOGLE = "https://accounts.google.com"
ENTRA = "https://login.microsoftonline.com/tenant/v2.0"
PLANTED = "planted-secret-0123456789abcdef-0123456789"
ONE_ISSUER = {"issuers": [{"issuer": GOOGLE, "audience": "app"}]}


def from_env(**variables):
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}
    return read_environment("MICROMEGAS", {f"MICROMEGAS_{name}": value for name, value in texts.items()})


def wrong(*, field, reason, **variables):
    with pytest.raises(ConfigurationError) as caught:
        from_env(**variables).arguments()
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert field in caught.value.message
    assert PLANTED not in caught.value.message
    return caught.value.message


@pytest.fixture
def toml(tmp_path):
    """Write a TOML file and read it."""

    def read(text, **environment):
        file = tmp_path / "guard.toml"
        file.write_text(dedent(text))
        return read_file(file, environment)

    return read


@pytest.fixture
def wrong_toml(toml):
    def read(text, *, field, reason, **environment):
        with pytest.raises(ConfigurationError) as caught:
            toml(text, **environment).arguments()
        assert (caught.value.field, caught.value.reason) == (field, reason)
        assert caught.value.message.startswith("guard.toml")
        assert PLANTED not in caught.value.message

    return read


# The environment


def test_micromegas_variables_are_taken_unchanged():
    environment = {
        "MICROMEGAS_OIDC_CONFIG": '{"issuers":[{"issuer":"https://accounts.google.com","audience":"app"}],'
        '"jwks_refresh_interval_secs":3600,"token_cache_size":1000,"token_cache_ttl_secs":300}',
        "MICROMEGAS_API_KEYS": '[{"name":"batch","key":"0123456789abcdef"}]',
        "MICROMEGAS_ADMINS": '["alice@example.org", "1234567890"]',
    }
    settings = read_environment("MICROMEGAS", environment)
    (issuer,) = settings.issuers
    assert (issuer.url, issuer.audiences, issuer.trust_email) == (GOOGLE, {"app"}, True)
    assert settings.admins == (Admin(GOOGLE, email="alice@example.org"), Admin(GOOGLE, subject="1234567890"))
    assert settings.options == {"jwks_refresh_s": 3600, "token_cache_size": 1000, "token_cache_ttl_s": 300}
    guard = Guard.from_env("MICROMEGAS", environment)
    assert guard.authenticate("Bearer 0123456789abcdef").subject == "batch"
    guard.close()


def test_every_variable_is_read(tmp_path):
    settings = from_env(
        OIDC_CONFIG={
            "issuers": [
                {
                    "issuer": ENTRA,
                    "audience": ["one", "two"],
                    "token_type": "access",
                    "algorithms": ["RS256"],
                    "jwks_url": "https://login.microsoftonline.com/keys",
                    "trust_email": False,
                    "leeway_s": 5,
                    "max_token_age_s": 600,
                    "insecure_loopback_http": False,
                    "profile": "entra",
                    "groups_claim": "roles",
                }
            ]
        },
        API_KEYS_DB=str(tmp_path / "keys.db"),
        API_KEY_PEPPER=PLANTED,
        API_KEYS=[{"name": "batch", "key": PLANTED}],
        ADMINS=[{"issuer": ENTRA, "subject": "alice"}, {"issuer": API_KEY_ISSUER, "subject": "batch"}],
        AUDIT_LOG=str(tmp_path / "audit.log"),
        AUDIT_KEY=PLANTED,
        INTROSPECTION={"issuer": ENTRA, "client_id": "api", "audience": "one"},
        INTROSPECTION_CLIENT_SECRET=PLANTED,
        REVOCATIONS_DB=f"sqlite:///{tmp_path}/revoked.db",
        TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.1",
        GRANTS={"team": ["group:eng"]},
    )
    (issuer,) = settings.issuers
    assert (issuer.audiences, issuer.token_type, issuer.algorithms) == ({"one", "two"}, "access", {"RS256"})
    assert (issuer.leeway_s, issuer.max_token_age_s, issuer.groups_claim) == (5, 600, "roles")
    assert settings.trusted_proxies == ("10.0.0.0/8", "192.0.2.1")
    assert settings.grants is not None
    made = settings.arguments()
    kinds = {
        "api_keys": ApiKeys,
        "audit": AuditLog,
        "introspection": Introspection,
        "revocations": Revocations,
    }
    assert {name: type(made[name]) for name in kinds} == kinds
    assert made["api_keys"].recognizes(PLANTED)
    assert PLANTED not in repr(settings)
    Guard(**made).close()


@pytest.mark.parametrize("name", ["AUDIT_KEY", "INTROSPECTION_CLIENT_SECRET"])
def test_what_means_nothing_by_itself_is_a_mistake(name):
    wrong(field=f"MICROMEGAS_{name}", reason="missing_setting", OIDC_CONFIG=ONE_ISSUER, **{name: PLANTED})


def test_a_misspelt_variable_is_told_of_and_the_services_own_are_not(caplog):
    from_env(OIDC_CONFIG=ONE_ISSUER, AUDITLOG=PLANTED, TRUSTED_PROXY=PLANTED, PORT="1", DATABASE="x")
    assert sorted(record.getMessage() for record in caplog.records) == [
        "MICROMEGAS_AUDITLOG is no setting; did you mean MICROMEGAS_AUDIT_LOG?",
        "MICROMEGAS_TRUSTED_PROXY is no setting; did you mean MICROMEGAS_TRUSTED_PROXIES?",
    ]


@pytest.mark.parametrize("prefix", ["", "\x1b[2J", "A-B", "1A", "Ä"])
def test_a_prefix_that_no_variable_has(prefix):
    with pytest.raises(ConfigurationError) as caught:
        read_environment(prefix, {f"{prefix}_OIDC_CONFIG": json.dumps(ONE_ISSUER)})
    assert (caught.value.field, caught.value.reason) == ("prefix", "prefix_malformed")
    assert caught.value.message.isprintable()


def test_an_empty_variable_is_none():
    settings = from_env(OIDC_CONFIG=ONE_ISSUER, API_KEYS="", ADMINS="", AUDIT_LOG="")
    assert settings.arguments() == {
        "issuers": settings.issuers,
        "admins": (),
        "trusted_proxies": (),
        "grants": None,
    }


def test_nothing_at_all_is_a_mistake():
    assert "MICROMEGAS_API_KEYS" in wrong(field="MICROMEGAS_OIDC_CONFIG", reason="nobody_allowed")
    wrong(field="MICROMEGAS_OIDC_CONFIG", reason="nobody_allowed", OIDC_CONFIG={"issuers": []})


def test_one_issuer_with_several_audiences_may_be_there_several_times():
    twice = [{"issuer": GOOGLE, "audience": "one"}, {"issuer": GOOGLE, "audience": "two"}]
    (issuer,) = from_env(OIDC_CONFIG={"issuers": twice}).issuers
    assert issuer.audiences == {"one", "two"}
    twice[1]["leeway_s"] = 10
    field = "MICROMEGAS_OIDC_CONFIG.issuers[1].issuer"
    wrong(field=field, reason="issuer_twice", OIDC_CONFIG={"issuers": twice})


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("issuer", "ftp://example.org", "not_https"),
        ("issuer", 7, "wrong_value"),
        ("audience", [], "wrong_value"),
        ("audience", ["a", 7], "wrong_value"),
        ("audience", " a", "not_a_name"),
        ("token_type", "both", "token_type_unknown"),
        ("algorithms", "HS256", "algorithm_unknown"),
        ("jwks_url", "http://example.org", "not_https"),
        ("trust_email", "true", "wrong_value"),
        ("trust_email", None, "wrong_value"),
        ("leeway_s", 301, "wrong_value"),
        ("leeway_s", True, "wrong_value"),
        ("max_token_age_s", 0.5, "wrong_value"),
        ("profile", "nobody", "profile_unknown"),
        ("audiences", "app", "unknown_setting"),
        (PLANTED[:4], "x", "unknown_setting"),
    ],
)
def test_a_mistake_about_an_issuer_names_its_place(member, value, reason):
    issuers = [{"issuer": ENTRA, "audience": "app"}, {"issuer": GOOGLE, "audience": "app"} | {member: value}]
    with pytest.raises(ConfigurationError) as caught:
        from_env(OIDC_CONFIG={"issuers": issuers})
    assert caught.value.field == f"MICROMEGAS_OIDC_CONFIG.issuers[1].{member}"
    assert caught.value.field in caught.value.message
    assert caught.value.reason == reason


def test_what_is_missing_is_named():
    field = "MICROMEGAS_OIDC_CONFIG.issuers[0].audience"
    wrong(field=field, reason="missing_setting", OIDC_CONFIG={"issuers": [{"issuer": GOOGLE}]})
    field = "MICROMEGAS_OIDC_CONFIG.issuers[0].issuer"
    wrong(field=field, reason="missing_setting", OIDC_CONFIG={"issuers": [{"audience": "app"}]})
    wrong(field="MICROMEGAS_OIDC_CONFIG.issuers[0]", reason="not_a_table", OIDC_CONFIG={"issuers": [GOOGLE]})


def test_a_misspelt_member_is_told_its_name():
    field = "MICROMEGAS_OIDC_CONFIG.token_cache_sise"
    assert "token_cache_size?" in wrong(
        field=field, reason="unknown_setting", OIDC_CONFIG=ONE_ISSUER | {"token_cache_sise": 1}
    )


@pytest.mark.parametrize("name", ["OIDC_CONFIG", "API_KEYS", "ADMINS", "INTROSPECTION"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'["{PLANTED}"', "json_syntax"),
        (f'[{{"name": "a", "name": "{PLANTED}"}}]', "json_repeated_name"),
        ('[]}, "more": {', "json_syntax"),
        ("[], 1", "json_syntax"),
        ('[], "more": {}', "json_syntax"),
        ("\ud800", "json_syntax"),
        ("[" * 100 + "]" * 100, "json_too_deep"),
    ],
)
def test_json_is_read_strictly(name, text, reason):
    variables = {"OIDC_CONFIG": ONE_ISSUER} | {name: text}
    with pytest.raises(ConfigurationError) as caught:
        from_env(**variables)
    assert caught.value.field == f"MICROMEGAS_{name}"
    assert PLANTED not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.reason == reason


def test_other_mistakes_name_their_variable(tmp_path):
    keys = {"API_KEYS": [{"name": "batch", "key": "0123456789abcdef"}]}
    wrong(field="MICROMEGAS_API_KEYS[0]", reason="keyring_key_length", API_KEYS=[{"name": "a", "key": "short"}])
    wrong(field="MICROMEGAS_API_KEYS", reason="keyring_shape", API_KEYS={"name": "a", "key": PLANTED})
    wrong(field="MICROMEGAS_ADMINS", reason="not_a_list", ADMINS={"alice": 1}, **keys)
    wrong(field="MICROMEGAS_AUDIT_KEY", reason="key_too_short", AUDIT_LOG="x", AUDIT_KEY="short", **keys)
    wrong(field="MICROMEGAS_INTROSPECTION", reason="not_a_table", INTROSPECTION=[], **keys)
    wrong(
        field="MICROMEGAS_INTROSPECTION.audience",
        reason="not_a_name",
        INTROSPECTION={"issuer": GOOGLE, "client_id": "a", "audience": " b"},
        INTROSPECTION_CLIENT_SECRET=PLANTED,
    )
    with pytest.raises(ConfigurationError) as caught:
        from_env(API_KEYS_DB=f"mysql://root:{PLANTED}@db/keys", API_KEY_PEPPER=PLANTED).arguments()
    assert caught.value.field == "MICROMEGAS_API_KEYS_DB"
    assert PLANTED not in caught.value.message
    with pytest.raises(ConfigurationError) as caught:
        from_env(API_KEYS_DB=str(tmp_path / "keys.db"), API_KEY_PEPPER="short").arguments()
    assert caught.value.field == "MICROMEGAS_API_KEY_PEPPER"
    with pytest.raises(ConfigurationError) as caught:
        from_env(TRUSTED_PROXIES="everybody", **keys)
    assert caught.value.field.startswith("MICROMEGAS_TRUSTED_PROXIES")


# Administrators


def test_plain_admins_need_a_single_issuer():
    two = {"issuers": [{"issuer": GOOGLE, "audience": "app"}, {"issuer": ENTRA, "audience": "app"}]}
    said = wrong(field="MICROMEGAS_ADMINS[1]", reason="admin_issuer_missing", OIDC_CONFIG=two, ADMINS=[
        {"issuer": ENTRA, "subject": "alice"}, "bob@example.org"
    ])  # fmt: skip
    assert '{"issuer": "https://…", "email": "…"}' in said
    keys = [{"name": "batch", "key": "0123456789abcdef"}]
    wrong(field="MICROMEGAS_ADMINS[0]", reason="admin_issuer_missing", API_KEYS=keys, ADMINS=["alice"])


@pytest.mark.parametrize(
    ("admin", "reason"),
    [
        ("", "admin_email_malformed"),
        ("@", "admin_email_malformed"),
        ({"issuer": GOOGLE}, "admin_ambiguous"),
        ({"issuer": GOOGLE, "subject": "a", "email": "a@b"}, "admin_ambiguous"),
        ({"issuer": GOOGLE, "email": "a@evil@corp"}, "admin_email_malformed"),
        (7, "not_a_table"),
    ],
)
def test_an_admin_that_can_t_be_meant(admin, reason):
    wrong(field="MICROMEGAS_ADMINS[0]", reason=reason, OIDC_CONFIG=ONE_ISSUER, ADMINS=[admin])


def test_an_admin_of_an_issuer_that_is_not_there():
    admin = {"issuer": GOOGLE + "/", "subject": "alice"}
    field = "MICROMEGAS_ADMINS[0].issuer"
    wrong(field=field, reason="admin_issuer_unknown", OIDC_CONFIG=ONE_ISSUER, ADMINS=[admin])
    field = "MICROMEGAS_ADMINS[0].name"
    wrong(field=field, reason="unknown_setting", OIDC_CONFIG=ONE_ISSUER, ADMINS=[{"issuer": GOOGLE, "name": "alice"}])


class TestAnAdminOfATenant:
    TEMPLATE = "https://login.microsoftonline.com/{tenantid}/v2.0"
    OURS = "https://login.microsoftonline.com/aaaaaaaa-2222-3333-4444-555555555555/v2.0"

    def config(self, **settings):
        return {"issuers": [{"issuer": self.TEMPLATE, "audience": "app", **settings}]}

    def test_is_named_with_its_issuer(self):
        admins = [{"issuer": self.OURS, "subject": "alice"}]
        assert from_env(OIDC_CONFIG=self.config(), ADMINS=admins).admins == (Admin(self.OURS, "alice"),)
        admins = [{"issuer": self.OURS, "email": "a@example.org"}]
        listed = self.config(tenants=[self.OURS.split("/")[3]])
        assert from_env(OIDC_CONFIG=listed, ADMINS=admins).issuers[0].trust_email

    @pytest.mark.parametrize("admin", ["alice", "a@example.org"])
    def test_is_not_one_of_every_tenant(self, admin):
        field = "MICROMEGAS_ADMINS[0]"
        wrong(field=field, reason="admin_of_every_tenant", OIDC_CONFIG=self.config(), ADMINS=[admin])

    def test_is_of_no_other_issuer(self):
        admin = {"issuer": "https://login.microsoftonline.com/a/b/v2.0", "subject": "alice"}
        field = "MICROMEGAS_ADMINS[0].issuer"
        wrong(field=field, reason="admin_issuer_unknown", OIDC_CONFIG=self.config(), ADMINS=[admin])

    def test_has_no_address_by_the_word_of_every_tenant(self):
        admin = {"issuer": self.OURS, "email": "a@example.org"}
        field = "MICROMEGAS_OIDC_CONFIG.issuers[0].trust_email"
        wrong(field=field, reason="every_tenant_trusted", OIDC_CONFIG=self.config(), ADMINS=[admin])


def test_the_clients_of_an_introspection(toml, tmp_path):
    (tmp_path / "secret").write_text(PLANTED)
    asked = 'issuer = "https://id.example.org"\nclient_id = "api"\nclient_secret_file = "secret"\n'
    more = 'client_ids = ["app"]\nscope_claims = ["scope", "roles"]\nrequired_claims = { org = "acme" }\n'
    given = toml(f"[introspection]\n{asked}{more}").introspection
    assert (given["client_ids"], given["scope_claims"]) == (("app",), ("scope", "roles"))
    assert given["required_claims"] == {"org": "acme"}


def test_text_with_two_ats_is_a_subject():
    assert from_env(OIDC_CONFIG=ONE_ISSUER, ADMINS=["a@b@c"]).admins == (Admin(GOOGLE, subject="a@b@c"),)


def test_an_email_admin_of_the_only_issuer_means_trust_unless_that_was_decided():
    assert not from_env(OIDC_CONFIG=ONE_ISSUER, ADMINS=["alice"]).issuers[0].trust_email
    assert from_env(OIDC_CONFIG=ONE_ISSUER, ADMINS=["a@example.org"]).issuers[0].trust_email
    mistrusted = {"issuers": [{"issuer": GOOGLE, "audience": "app", "trust_email": False}]}
    field = "MICROMEGAS_ADMINS[0]"
    wrong(field=field, reason="admin_email_untrusted", OIDC_CONFIG=mistrusted, ADMINS=["a@example.org"])
    two = {"issuers": [{"issuer": GOOGLE, "audience": "app"}, {"issuer": ENTRA, "audience": "app"}]}
    admins = [{"issuer": GOOGLE, "email": "a@example.org"}]
    wrong(field=field, reason="admin_email_untrusted", OIDC_CONFIG=two, ADMINS=admins)
    two["issuers"][0]["trust_email"] = True
    assert [issuer.trust_email for issuer in from_env(OIDC_CONFIG=two, ADMINS=admins).issuers] == [True, False]


# TOML

WHOLE = """
admins = ["alice@example.org", {issuer = "https://accounts.google.com", subject = "bob"}]
trusted_proxies = ["10.0.0.0/8"]

[[issuers]]
issuer = "https://accounts.google.com"
audience = "app"

[api_keys]
db = "keys.db"
pepper_env = "PEPPER"
keyring_env = "KEYRING"

[introspection]
issuer = "https://accounts.google.com"
client_id = "api"
client_secret_file = "secret"
audience = ["app"]
for_scopes = ["admin"]
cache_ttl_s = 10

[throttle]
free_failures = 5
base_delay_s = 0.5
max_delay_s = 60
forget_after_s = 600
max_addresses = 5000
spared_checks = 100
spared_questions = 0

[revocations]
db = "revoked.db"
poll_s = 0.5
max_stale_s = 10

[audit]
path = "audit.log"
key_env = "AUDIT_KEY"
max_bytes = 1_000_000
keep = 0

[cache]
token_size = 10
token_ttl_s = 60
api_key_ttl_s = 0.5

[jwks]
refresh_s = 600
max_stale_s = 60

[grants]
team = ["group:eng"]
"""

SECRETS = {
    "PEPPER": PLANTED,
    "KEYRING": json.dumps([{"name": "batch", "key": PLANTED}]),
    "AUDIT_KEY": PLANTED,
}


def test_a_whole_file(toml, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text(f"{PLANTED}\n")
    settings = toml(WHOLE, **SECRETS)
    assert PLANTED not in repr(settings)
    assert settings.admins == (Admin(GOOGLE, email="alice@example.org"), Admin(GOOGLE, subject="bob"))
    assert settings.options == {
        "token_cache_size": 10,
        "token_cache_ttl_s": 60,
        "api_key_cache_ttl_s": 0.5,
        "jwks_refresh_s": 600,
        "jwks_max_stale_s": 60,
    }
    assert settings.introspection["client_secret"].reveal() == PLANTED
    assert settings.audit["path"] == str(tmp_path / "audit.log")
    assert settings.audit["keep"] is None
    assert settings.api_keys["db"].reveal() == str(tmp_path / "keys.db")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    guard = Guard.from_file(tmp_path / "guard.toml")
    assert guard.authenticate(f"Bearer {PLANTED}").subject == "batch"
    guard.close()
    assert (tmp_path / "audit.log").exists()


MINIMAL = """
[[issuers]]
issuer = "https://accounts.google.com"
audience = "app"
"""


def test_an_audit_on_standard_output_by_settings(toml):
    settings = toml(MINIMAL + '[audit]\npath = "-"\nkey_env = "AUDIT_KEY"\nqueue_size = 9', AUDIT_KEY=PLANTED)
    assert repr(settings.arguments()["audit"]) == "AuditLog('-')"
    assert settings.audit.keys() == {"path", "key", "queue_size"}
    settings = from_env(OIDC_CONFIG=ONE_ISSUER, AUDIT_LOG="-")
    assert repr(settings.arguments()["audit"]) == "AuditLog('-')"


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("", "issuers", "nobody_allowed"),
        ("[[issuers]]\nissuer = 7\naudience = 'a'", "issuers[0].issuer", "wrong_value"),
        (MINIMAL + "audiance = 1", "issuers[0].audiance", "unknown_setting"),
        ("throtle = 1\n" + MINIMAL, "throtle", "unknown_setting"),
        ("throttle = 1\n" + MINIMAL, "throttle", "wrong_value"),
        (MINIMAL + "[throttle]\nfree_failures = -1", "throttle.free_failures", "wrong_value"),
        (MINIMAL + "[throttle]\nbase_delay_s = nan", "throttle.base_delay_s", "wrong_value"),
        (MINIMAL + "[throttle]\nbase_delay_s = 10\nmax_delay_s = 1", "throttle.max_delay_s", "max_delay_s_range"),
        (MINIMAL + "[revocations]\npoll_s = 1", "revocations.poll_s", "unknown_setting"),
        (MINIMAL + "[audit]\nkeep = 1", "audit.path", "missing_setting"),
        (MINIMAL + '[audit]\npath = "-"\nkeep = 1', "audit.keep", "unknown_setting"),
        (MINIMAL + '[audit]\npath = "-"\nfsync_s = 1', "audit.fsync_s", "unknown_setting"),
        (MINIMAL + f'[audit]\npath = "x"\nkey = "{PLANTED}"', "audit.key", "secret_in_file"),
        (MINIMAL + '[audit]\npath = "x"\nkey_env = "GONE"', "audit.key_env", "variable_missing"),
        (MINIMAL + '[audit]\npath = "x"\nkey_file = "gone"', "audit.key_file", "file_unreadable"),
        (MINIMAL + '[audit]\npath = "x"\nkey_file = "empty"', "audit.key_file", "file_not_text"),
        (MINIMAL + '[audit]\npath = "x"\nkey_file = "folder"', "audit.key_file", "file_unreadable"),
        (MINIMAL + '[audit]\npath = "x"\nkey_file = "fifo"', "audit.key_file", "file_unreadable"),
        (MINIMAL + '[audit]\npath = "x"\nkey_file = "a\\u0000b"', "audit.key_file", "wrong_value"),
        (MINIMAL + '[audit]\npath = "a\\u0000b"', "audit.path", "wrong_value"),
        (MINIMAL + '[audit]\npath = "x"\nkey_file = "a"\nkey_env = "B"', "audit.key_file", "given_twice"),
        (f'[api_keys]\ndb = "postgresql://u:{PLANTED}@h/d"', "api_keys.db", "secret_in_file"),
        (f'[api_keys]\ndb = "postgresql://h/d?user=u&password={PLANTED}"', "api_keys.db", "secret_in_file"),
        (MINIMAL + '[api_keys]\npepper_file = "text"', "api_keys", "missing_setting"),
        (f'[api_keys]\npepper = "{PLANTED}"', "api_keys.pepper", "secret_in_file"),
        ('[api_keys]\nkeyring_file = "empty"', "api_keys.keyring_file", "file_not_text"),
        ('[api_keys]\nkeyring_file = "text"', "api_keys.keyring", "json_syntax"),
        (MINIMAL + 'jwks_file = "text"', "issuers[0].jwks_file", "json_syntax"),
        (MINIMAL + "[cache]\ntoken_size = 1.5", "cache.token_size", "wrong_value"),
        (MINIMAL + "[jwks]\nrefresh_s = 1", "jwks.refresh_s", "wrong_value"),
        ("trusted_proxies = 1\n" + MINIMAL, "trusted_proxies", "wrong_value"),
        ("admins = [1979-05-27]\n" + MINIMAL, "admins[0]", "not_a_table"),
    ],
)
def test_a_mistake_in_a_file_names_its_place(wrong_toml, tmp_path, text, field, reason):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "text").write_text(PLANTED)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    wrong_toml(text, field=field, reason=reason)


@pytest.mark.parametrize(
    "content",
    [f'key = "{PLANTED}'.encode(), b"\xff", b"a = " + b"[" * 10_000, b"a = " + b"9" * 10_000, b" " * 2_000_000],
)
def test_what_is_no_toml(tmp_path, content):
    file = tmp_path / "guard.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_file(file, {})
    assert caught.value.field == "guard.toml"
    assert PLANTED not in caught.value.message


def test_no_file(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        read_file(tmp_path / "gone.toml", {})
    assert caught.value.reason == "file_unreadable"


def test_keys_of_an_issuer_from_a_file(toml, tmp_path):
    keys = {"keys": [generate_signing_key("ES256", kid="k").public_jwk()]}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (made,) = toml(MINIMAL + 'jwks_file = "keys.json"').issuers
    assert made.static_keys.keys


# Reload


def test_parts_whose_settings_are_the_same_are_taken_over(toml, tmp_path):
    (tmp_path / "secret").write_text(f"{PLANTED}\n")
    before = toml(WHOLE, **SECRETS)
    made = before.arguments()
    after = toml(WHOLE.replace("free_failures = 5", "free_failures = 6"), **SECRETS)
    again = after.arguments((before, made))
    parts = ("api_keys", "introspection", "throttle", "revocations", "audit")
    assert [name for name in parts if again[name] is not made[name]] == ["throttle"]
    assert isinstance(again["throttle"], Throttle)
    rekeyed = toml(WHOLE, **SECRETS | {"AUDIT_KEY": PLANTED[::-1]})
    again = rekeyed.arguments((before, made))
    assert [name for name in parts if again[name] is not made[name]] == ["audit"]


def test_what_is_no_longer_asked_for_is_undone(toml):
    before = toml(MINIMAL + "[throttle]\nfree_failures = 1000000\n[revocations]\ndb = 'revocations.db'")
    made = before.arguments()
    without = toml(MINIMAL)
    again = without.arguments((before, made))
    assert again["throttle"] is not made["throttle"]
    assert again["revocations"] is not made["revocations"]
    assert {"throttle", "revocations"}.isdisjoint(toml(MINIMAL).arguments((without, again)))


def test_what_was_revoked_in_memory_stays_so(toml):
    before = toml(MINIMAL + "[revocations]\nmax_entries = 10")
    assert "revocations" not in toml(MINIMAL).arguments((before, before.arguments()))


def test_a_guard_reloads_its_file_and_keeps_the_old_when_the_new_is_wrong(tmp_path):
    (tmp_path / "keys").write_text('[{"name": "old", "key": "0123456789abcdef"}]')
    file = tmp_path / "guard.toml"
    file.write_text('[api_keys]\nkeyring_file = "keys"')
    guard = Guard.from_file(file)
    assert guard.authenticate("Bearer 0123456789abcdef").subject == "old"
    file.write_text("nonsense")
    with pytest.raises(ConfigurationError):
        guard.reload()
    assert guard.authenticate("Bearer 0123456789abcdef").subject == "old"
    (tmp_path / "keys").write_text('[{"name": "new", "key": "0123456789abcdef"}]')
    file.write_text('[api_keys]\nkeyring_file = "keys"')
    guard.reload()
    assert guard.authenticate("Bearer 0123456789abcdef").subject == "new"
    guard.close()


@pytest.mark.parametrize("after", ["max_entries = 20", "db = 'revocations.db'"])
def test_a_guard_that_reloads_forgets_nothing_that_was_revoked_in_memory(tmp_path, after):
    file = tmp_path / "guard.toml"
    (tmp_path / "keys").write_text('[{"name": "one", "key": "0123456789abcdef"}]')
    whole = '[api_keys]\nkeyring_file = "keys"\n[revocations]\n'
    file.write_text(whole + "max_entries = 10")
    guard = Guard.from_file(file)
    guard.revocations.revoke(token="0123456789abcdef")
    file.write_text(whole + after)
    guard.reload()
    with pytest.raises(Revoked):
        guard.authenticate("Bearer 0123456789abcdef")
    guard.close()
