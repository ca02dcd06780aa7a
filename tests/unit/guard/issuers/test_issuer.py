"""What an issuer's setting may be: every field checked, every mistake named, and equal settings are equal."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from doorward.errors import ConfigurationError
from doorward.guard.issuers.issuer import DEFAULT_ALGORITHMS, PROFILES, Issuer
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, generate_signing_key

URL = "https://id.example.org"
KEY = generate_signing_key("ES256", kid="a").public_jwk()
KEYS = {"keys": [KEY]}


def refused(*args, **kwargs):
    with pytest.raises(ConfigurationError) as caught:
        Issuer(*args, **kwargs)
    assert caught.value.message.isprintable()
    assert caught.value.field in caught.value.message or caught.value.field == "url"
    return caught.value.field, caught.value.reason


def test_what_is_usual():
    issuer = Issuer(URL, ["api"])
    assert issuer.algorithms is DEFAULT_ALGORITHMS
    assert sorted(DEFAULT_ALGORITHMS) == ["ES256", "EdDSA", "PS256", "RS256"]
    assert dataclasses.asdict(issuer) == {
        "url": URL,
        "audiences": frozenset({"api"}),
        "token_type": "any",
        "algorithms": DEFAULT_ALGORITHMS,
        "jwks": None,
        "jwks_url": None,
        "trust_email": False,
        "leeway_s": 30,
        "max_token_age_s": None,
        "insecure_loopback_http": False,
        "jwks_token_file": None,
        "jwks_ca_file": None,
        "insecure_jwks_http": False,
        "profile": "generic",
        "groups_claim": None,
        "scope_claims": None,
        "audience_claim": None,
        "subject_claim": None,
        "required_claims": (),
        "tenants": None,
        "static_keys": None,
    }


def test_everything_may_be_said():
    given = {
        "url": "http://127.0.0.1:8080/",
        "audiences": frozenset({"api", "https://api.example.org"}),
        "token_type": "access",
        "algorithms": ASYMMETRIC_ALGORITHMS,
        "jwks_url": "http://127.0.0.1:8080/keys?v=1",
        "trust_email": True,
        "leeway_s": 300,
        "max_token_age_s": 1,
        "insecure_loopback_http": True,
        "profile": "okta",
        "groups_claim": "https://example.org/groups",
        "scope_claims": ("scope", "resource_access.my\\.api.roles"),
        "audience_claim": "client_id",
        "subject_claim": "client_id",
    }
    issuer = Issuer(**given)
    assert {name: getattr(issuer, name) for name in given} == given


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/a", f"{URL}/a/", f"{URL}:8443//a%20b"])
def test_the_issuer_stays_as_it_was_written(url):
    assert Issuer(url, ["api"]).url == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "bad_characters"),
        (None, "not_a_string"),
        (URL.encode(), "not_a_string"),
        ("id.example.org", "no_host"),
        ("http://id.example.org", "not_https"),
        ("http://127.0.0.1:8080", "not_https"),
        (f"{URL}?tenant=a", "has_query"),
        (f"{URL}#a", "has_fragment"),
        ("https://alice:hunter2@id.example.org", "has_userinfo"),
        (f"{URL}\n", "bad_characters"),
        (f" {URL}", "bad_characters"),
    ],
)
def test_an_issuer_that_is_none(url, reason):
    assert refused(url, ["api"]) == ("url", reason)


@pytest.mark.parametrize(
    "name",
    [
        "http://adfs.example.org/adfs/services/trust",
        "kubernetes/serviceaccount",
        "accounts.google.com",
        "spiffe://a.b-c_d",
    ],
)
def test_where_keys_are_given_an_issuer_is_no_more_than_a_name(name):
    assert Issuer(name, ["api"], jwks=KEYS).url == name
    assert Issuer(name, ["api"], jwks_url=f"{URL}/keys").url == name
    assert refused(name, ["api"])[0] == "url"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("urn:doorward:api-keys", "no_host"),  # the issuer of API keys' principals
        ("URN:DOORWARD:x", "no_host"),
        ("https://alice:hunter2@id.example.org", "has_userinfo"),
        ("a" * 513, "no_host"),
        ("a\nb", "bad_characters"),
        ("spiffe://Example.org", "trust_domain_malformed"),
        ("spiffe://example.org/", "trust_domain_malformed"),
        ("spiffe://example.org/ns/a", "trust_domain_malformed"),
        ("spiffe:example.org", "trust_domain_malformed"),
    ],
)
def test_a_name_that_no_issuer_may_have(name, reason):
    assert refused(name, ["api"], jwks=KEYS) == ("url", reason)


ENTRA = "https://login.microsoftonline.com/{tenantid}/v2.0"


class TestTenants:
    def test_one_issuer_stands_for_many(self):
        issuer = Issuer(ENTRA, ["api"], tenants=["a", "b"])
        assert (issuer.url, issuer.tenants) == (ENTRA, {"a", "b"})
        assert issuer.asked_at == "https://login.microsoftonline.com/common/v2.0"
        assert Issuer(URL, ["api"]).asked_at == URL
        assert Issuer("https://sts.windows.net/{tenantid}/", ["api"], jwks_url=f"{URL}/keys").tenants is None

    @pytest.mark.parametrize(
        ("url", "settings", "refusal"),
        [
            (ENTRA, {"tenants": "a"}, ("tenants", "not_a_list")),
            (ENTRA, {"tenants": []}, ("tenants", "empty")),
            (ENTRA, {"trust_email": True}, ("trust_email", "every_tenant_trusted")),
            ("https://sts.windows.net/{tenantid}/", {}, ("url", "template_without_keys")),
            ("https://{tenantid}.example.org/", {"jwks": KEYS}, ("url", "template_malformed")),
            (f"{URL}/x{{tenantid}}/", {"jwks": KEYS}, ("url", "template_malformed")),
            (f"{URL}/{{tenantid}}x", {"jwks": KEYS}, ("url", "template_malformed")),
            (f"{URL}/{{tenantid}}/{{tenantid}}", {"jwks": KEYS}, ("url", "template_malformed")),
            (f"{URL}/{{tenant}}", {"jwks": KEYS}, ("url", "bad_characters")),
        ],
    )
    def test_what_is_no_such_issuer(self, url, settings, refusal):
        assert refused(url, ["api"], **settings) == refusal

    def test_listed_tenants_may_be_believed(self):
        assert Issuer(ENTRA, ["api"], tenants=["a"], trust_email=True).trust_email


def test_a_password_in_the_issuer_is_not_shown():
    with pytest.raises(ConfigurationError) as caught:
        Issuer("https://alice:hunter2@id.example.org", ["api"])
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("field", ["audiences", "algorithms"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("RS256", "not_a_list"),
        (b"RS256", "not_a_list"),
        (None, "not_a_list"),
        (7, "not_a_list"),
        ({"RS256": True}, "not_a_list"),
        (iter(["RS256"]), "not_a_list"),
        ([], "empty"),
        (["RS256", ""], "not_a_name"),
        (["RS256 "], "not_a_name"),
        (["RS\x00256"], "not_a_name"),
        ([None], "not_a_name"),
        ([["RS256"]], "not_a_name"),
    ],
)
def test_lists_of_names(field, value, reason):
    assert refused(URL, **({"audiences": ["api"]} | {field: value})) == (field, reason)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "rs256", "RSA-OAEP", "ES256K", "\x1b[2Jnone"])
def test_an_algorithm_that_must_not_verify(algorithm):
    expected = "not_a_name" if "\x1b" in algorithm else "algorithm_unknown"
    assert refused(URL, ["api"], algorithms=["RS256", algorithm]) == ("algorithms", expected)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("token_type", "refresh", "token_type_unknown"),
        ("token_type", None, "token_type_unknown"),
        ("trust_email", "false", "not_a_flag"),
        ("trust_email", 1, "not_a_flag"),
        ("insecure_loopback_http", None, "not_a_flag"),
        ("leeway_s", -1, "seconds_out_of_range"),
        ("leeway_s", 301, "seconds_out_of_range"),
        ("leeway_s", "30", "seconds_out_of_range"),
        ("leeway_s", True, "seconds_out_of_range"),
        ("leeway_s", float("nan"), "seconds_out_of_range"),
        ("leeway_s", None, "seconds_out_of_range"),
        ("max_token_age_s", 0, "seconds_out_of_range"),
        ("max_token_age_s", float("inf"), "seconds_out_of_range"),
        ("max_token_age_s", "1h", "seconds_out_of_range"),
        ("profile", "Google", "profile_unknown"),
        ("profile", "", "profile_unknown"),
        ("groups_claim", "", "groups_claim"),
        ("groups_claim", ["groups"], "groups_claim"),
        ("groups_claim", "realm_access..roles", "groups_claim"),
        ("groups_claim", ".roles", "groups_claim"),
        ("scope_claims", "scope", "not_a_list"),
        ("scope_claims", [], "empty"),
        ("scope_claims", ["a."], "scope_claims"),
        ("scope_claims", [f"a{n}" for n in range(21)], "too_many"),
        ("audience_claim", " azp", "audience_claim"),
        ("subject_claim", 7, "subject_claim"),
        ("tenants", ["a"], "no_template"),
        ("required_claims", ["hd"], "not_a_mapping"),
        ("required_claims", (1,), "not_a_mapping"),
        ("required_claims", {"": "a"}, "not_a_name"),
        ("required_claims", {"hd": "**"}, "pattern_matches_all"),
        ("required_claims", {"hd": ["example.org", "***"]}, "pattern_matches_all"),
        ("required_claims", {"hd ": "a"}, "not_a_name"),
        ("required_claims", {"hd": ""}, "not_a_value"),
        ("required_claims", {"hd": []}, "not_a_value"),
        ("required_claims", {"hd": None}, "not_a_value"),
        ("required_claims", {"hd": 1.5}, "not_a_value"),
        ("required_claims", {"hd": {"a": 1}}, "not_a_value"),
        ("required_claims", {"hd": b"a"}, "not_a_value"),
        ("required_claims", {"hd": ["a", ["b"]]}, "not_a_value"),
        ("required_claims", {"hd": [str(n) for n in range(1001)]}, "too_many_values"),
        ("required_claims", {"sub": "a**b"}, "pattern_malformed"),
        ("required_claims", {"sub": "**a**"}, "pattern_malformed"),
        ("required_claims", {"sub": "a*" * 257}, "pattern_malformed"),
        ("jwks_url", "http://id.example.org/keys", "not_https"),
        ("jwks_url", "http://127.0.0.1/keys", "not_https"),
        ("jwks_url", "/keys", "no_host"),
        ("jwks_url", f"{URL}/keys#a", "has_fragment"),
        ("jwks_url", 7, "not_a_string"),
        ("jwks", [KEY], "not_a_mapping"),
        ("jwks", '{"keys": []}', "not_a_mapping"),
        ("jwks", {}, "jwk_set_without_keys"),
        ("jwks", {"keys": KEY}, "jwk_set_without_keys"),
        ("jwks", {"keys": [b"a"]}, "not_json"),
        ("jwks", {"keys": []}, "no_key_fits"),
        ("jwks", {"keys": [KEY] * 101}, "jwk_set_too_many_keys"),
    ],
)
def test_a_mistake_is_named(field, value, reason):
    assert refused(URL, ["api"], **{field: value}) == (field, reason)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ({"kty": "oct", "k": "AAAA", "kid": "b"}, "jwk_symmetric"),
        (KEY | {"d": "planted-secret", "kid": "b"}, "jwk_private"),
        (KEY | {"use": "enc"}, "jwk_use_mismatch"),
        (KEY | {"alg": "RS256"}, "jwk_alg_mismatch"),
        (KEY | {"kid": "\x1b[2J"}, "jwk_kid_malformed"),
        ("key", "jwk_not_object"),
    ],
)
def test_a_bad_key_among_those_given_is_a_mistake(key, reason):
    with pytest.raises(ConfigurationError) as caught:
        Issuer(URL, ["api"], jwks={"keys": [KEY, key]})
    assert (caught.value.field, caught.value.reason) == ("jwks", reason)
    assert reason in caught.value.message
    assert caught.value.message.isprintable()
    assert "planted-secret" not in caught.value.message


def test_a_key_that_no_algorithm_uses_is_a_mistake():
    assert refused(URL, ["api"], jwks=KEYS, algorithms=["RS256"]) == ("jwks", "no_key_fits")


def test_keys_are_given_once():
    assert refused(URL, ["api"], jwks=KEYS, jwks_url=f"{URL}/keys") == ("jwks_url", "keys_given_twice")


def test_given_keys_are_read():
    issuer = Issuer(URL, ["api"], jwks=KEYS)
    [key] = issuer.static_keys.select("a", "ES256")
    assert key.kid == "a"
    assert KEY["x"] not in repr(issuer)


@pytest.mark.parametrize(
    ("url", "profile"),
    [
        ("https://accounts.google.com", "google"),
        ("https://ACCOUNTS.google.com", "google"),
        ("https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0", "entra"),
        ("https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/", "entra"),
        ("https://login.microsoftonline.us/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0", "entra"),
        ("https://login.partner.microsoftonline.cn/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0", "entra"),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", "entra"),
        ("https://example.eu.auth0.com/", "auth0"),
        ("https://example.okta.com/oauth2/default", "okta"),
        ("https://example.oktapreview.com", "okta"),
        ("https://sso.example.org/realms/staff", "keycloak"),
        ("https://sso.example.org/auth/realms/staff", "keycloak"),
        ("https://sso.example.org/realms", "generic"),
        ("https://accounts.google.com.evil.example", "generic"),
        ("https://evilauth0.com", "generic"),
        ("https://auth0.com.evil.example/", "generic"),
        (URL, "generic"),
    ],
)
def test_the_host_shows_the_profile(url, profile):
    assert Issuer(url, ["api"]).profile == profile
    assert profile in PROFILES


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_profile_may_be_named(profile):
    assert Issuer("https://accounts.google.com", ["api"], profile=profile).profile == profile


def test_equal_settings_are_equal():
    one = Issuer(
        URL, ["api", "web"], algorithms=["ES256", "RS256"], jwks=KEYS, required_claims={"a": ["b", "*"], "c": "d"}
    )
    same = Issuer(
        URL,
        ("web", "api"),
        algorithms={"RS256", "ES256"},
        jwks=copy.deepcopy(KEYS),
        profile="generic",
        required_claims={"c": ["d"], "a": ("*", "b")},
    )
    assert one == same
    assert hash(one) == hash(same)
    assert dataclasses.replace(one) == one


@pytest.mark.parametrize(
    "change",
    [
        {"url": f"{URL}/"},
        {"audiences": ["api", "web"]},
        {"token_type": "id"},
        {"algorithms": ["ES256"]},
        {"jwks": {"keys": [KEY | {"kid": "b"}]}},
        {"trust_email": True},
        {"leeway_s": 0},
        {"max_token_age_s": 60},
        {"insecure_loopback_http": True},
        {"profile": "okta"},
        {"groups_claim": "roles"},
        {"scope_claims": ["roles"]},
        {"audience_claim": "azp"},
        {"subject_claim": "azp"},
        {"required_claims": {"hd": "example.org"}},
    ],
)
def test_any_difference_makes_another(change):
    issuer = Issuer(URL, ["api"], jwks=KEYS)
    assert dataclasses.replace(issuer, **change) != issuer


def test_what_was_given_may_change_and_the_issuer_does_not():
    audiences, jwks = ["api"], copy.deepcopy(KEYS)
    issuer, same = Issuer(URL, audiences, jwks=jwks), Issuer(URL, ["api"], jwks=KEYS)
    audiences.append("admin")
    jwks["keys"][0]["kid"] = "b"
    assert issuer == same
    with pytest.raises(dataclasses.FrozenInstanceError):
        issuer.url = "https://evil.example"


def test_an_id_token_has_its_audience_nowhere_else():
    with pytest.raises(ConfigurationError) as wrong:
        Issuer("https://id.example.org", ["api"], audience_claim="azp", token_type="id")
    assert (wrong.value.field, wrong.value.reason) == ("audience_claim", "audience_claim")
