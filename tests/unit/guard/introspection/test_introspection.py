"""Settings of an introspection client, and what it refuses before it asks. Its conversations are in ``tests/flows``."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError, Malformed
from doorward.guard.introspection.introspection import Introspection
from doorward.guard.work import finish
from doorward.protocol.jwk import generate_signing_key

ISSUER = "https://id.example.org"


def make(**settings):
    return Introspection(ISSUER, "api", **{"client_secret": "planted-secret", **settings})


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": "line\n"}, "client_secret"),
        ({"client_key": generate_signing_key("EdDSA")}, "client_secret"),
        ({"secret_method": "client_secret_jwt"}, "secret_method"),
        ({"audiences": "urn:api"}, "audiences"),
        ({"for_scopes": "admin"}, "for_scopes"),
        ({"cache_ttl_s": -1}, "cache_ttl_s"),
        ({"cache_ttl_s": 301}, "cache_ttl_s"),
        ({"cache_ttl_s": float("nan")}, "cache_ttl_s"),
        ({"for_scopes_ttl_s": 6}, "for_scopes_ttl_s"),
        ({"timeout_s": 0}, "connect_timeout_s"),
        ({"leeway_s": 301}, "leeway_s"),
        ({"endpoint": "http://id.example.org/introspect"}, "endpoint"),
        ({"endpoint": ""}, "endpoint"),
        ({"profile": "nobody"}, "profile"),
    ],
)
def test_settings_that_can_not_be(settings, field):
    with pytest.raises(ConfigurationError) as caught:
        make(**settings)
    assert caught.value.field == field
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("issuer", "client_id", "field"), [("http://id.example.org", "api", "url"), (ISSUER, "", "client_id")]
)
def test_who_asks_whom(issuer, client_id, field):
    with pytest.raises(ConfigurationError) as caught:
        Introspection(issuer, client_id, client_secret="s")
    assert caught.value.field == field


def test_it_shows_no_secret():
    asking = make()
    assert (asking.issuer, repr(asking)) == (ISSUER, f"Introspection({ISSUER!r}, 'api')")


def test_the_issuer_as_the_policy_wants_it():
    issuer = make(trust_email=True, profile="okta", groups_claim="teams").as_issuer
    assert (issuer.url, issuer.trust_email, issuer.profile, issuer.groups_claim) == (ISSUER, True, "okta", "teams")


def test_scopes_of_high_privilege():
    asking = make(for_scopes=["admin", "delete"])
    assert asking.wanted_for(["read", "admin"])
    assert not asking.wanted_for(["read"])
    assert not asking.wanted_for(())
    assert not make().wanted_for(["admin"])


@pytest.mark.parametrize("token", ["", "a b", "a\n", "ä", "\ud800", "a" * 16_385])
def test_what_is_no_token_is_not_asked_about(token):
    with pytest.raises(Malformed) as caught:
        finish(make().ask(token, now=0))
    assert caught.value.reason == "token_malformed"


def test_nothing_is_started_before_the_first_question(no_leaks):
    asking = make()
    asking.forget("never seen")
    asking.close()
