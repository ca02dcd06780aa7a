"""The face of the room: addresses, rules, tokens made by hand, switches, the log of requests."""

from __future__ import annotations

import dataclasses
import time

import pytest

from doorward.errors import ConfigurationError
from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.protocol.jwk import parse_jwk_set
from doorward.testing import HABITS, MISBEHAVIOURS, DevIssuer, RequestRecord, Rules

EVERYWHERE = "0.0.0.0"  # noqa: S104 - the test shows that it is refused


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "", "192.0.2.1", "example.org", "localhost.example.org", "127.1"])
def test_it_serves_loopback_alone(host):
    with pytest.raises(ConfigurationError) as refused:
        DevIssuer(host=host)
    assert refused.value.field == "host"
    assert refused.value.reason == "not_loopback"


@pytest.mark.parametrize("path", ["realms/x", "/realms/x/", "/", "/a?b", "/ä"])
def test_a_path_is_a_path(path):
    with pytest.raises(ConfigurationError) as refused:
        DevIssuer(path=path)
    assert refused.value.field == "path"


def test_nothing_happens_before_the_start(no_leaks):
    issuer = DevIssuer()
    assert repr(issuer) == "<DevIssuer stopped>"
    for use in (lambda: issuer.url, lambda: issuer.issue_access_token("alice")):
        with pytest.raises(ConfigurationError) as refused:
            use()
        assert refused.value.reason == "not_started"
    issuer.stop()


def test_it_starts_once(issuer):
    with pytest.raises(ConfigurationError) as refused:
        issuer.start()
    assert refused.value.reason == "running"


def test_an_issuer_comes_back_where_it_was_and_knows_what_it_knew(issuer, caller):
    url, token = issuer.url, caller.sign_in()["refresh_token"]
    issuer.stop()
    with pytest.raises(ConnectionRefusedError):
        caller.get("/jwks")
    issuer.start()
    assert issuer.url == url
    assert caller.refresh(token).status == 200


def test_the_clock_of_the_system_is_the_default():
    assert abs(DevIssuer().clock.now() - time.time()) < 60


def test_a_taken_port_is_an_error_that_leaves_nothing_behind(issuer, leak_check):
    port = int(issuer.url.rpartition(":")[2])
    with leak_check():
        other = DevIssuer(port=port)
        with pytest.raises(ConfigurationError) as refused:
            other.start()
        assert refused.value.field == "port"
        other.stop()


def test_rules_change_while_it_runs(issuer):
    issuer.change(rotation="same")
    assert issuer.rules.rotation == "same"
    with pytest.raises(ConfigurationError) as refused:
        issuer.change(rotatoin="same")
    assert refused.value.reason == "no_such_rule"


def test_every_rule_is_described():
    assert [field.name for field in dataclasses.fields(Rules) if f"        {field.name}: " not in Rules.__doc__] == []


def test_users_sign_in_by_name(issuer):
    with pytest.raises(ConfigurationError) as refused:
        issuer.sign_in_as("nobody")
    assert refused.value.reason == "no_such_user"


def test_a_subject_may_differ_from_the_name(issuer, caller, jwt):
    issuer.add_user("carol", subject="248289761001", claims={"locale": "fi"})
    issuer.sign_in_as("carol")
    claims = jwt(caller.sign_in()["id_token"])[1]
    assert claims["sub"] == "248289761001"
    assert claims["preferred_username"] == "carol"
    assert claims["locale"] == "fi"


def test_access_tokens_can_be_made_by_hand(issuer, caller, jwt, clock):
    token = issuer.issue_access_token("alice", audience="api", scopes=["read", "write"], exp=1, jti=None, plan="gold")
    header, payload = jwt(token)
    assert header["typ"] == "at+jwt"
    assert payload == {
        "iss": issuer.url,
        "sub": "alice",
        "aud": "api",
        "exp": 1,
        "iat": clock.now(),
        "client_id": "dev-client",
        "scope": "read write",
        "auth_time": clock.now(),
        "groups": ["staff"],
        "plan": "gold",
    }
    keys = parse_jwk_set(caller.get("/jwks").body)
    verify_jwt(parse_jwt(token), keys, algorithms=["ES256"])
    assert jwt(issuer.issue_access_token("bot", audience=["a", "b"]))[1]["aud"] == ["a", "b"]


def test_id_tokens_can_be_made_by_hand(issuer, jwt):
    claims = jwt(issuer.issue_id_token("alice", client_id="cli", nonce="n", scopes=["openid", "email"]))[1]
    assert claims["aud"] == "cli"
    assert claims["nonce"] == "n"
    assert claims["email"] == "alice@example.org"
    assert "at_hash" not in claims


@pytest.mark.parametrize("keep_old", [True, False])
def test_keys_rotate(keep_old, issuer, caller, jwt):
    before = caller.get("/jwks").json["keys"]
    issuer.rotate_keys(keep_old=keep_old)
    after = caller.get("/jwks").json["keys"]
    assert after[0]["kid"] == "key-2"
    assert (before[0] in after) is keep_old
    assert jwt(issuer.issue_access_token("alice"))[0]["kid"] == "key-2"


def test_a_lie_lasts_as_long_as_its_context(issuer, jwt):
    def issued_by():
        return jwt(issuer.issue_access_token("alice"))[1]["iss"]

    with issuer.misbehave("access_token_wrong_issuer"):
        assert issued_by() == "https://evil.example"
    assert issued_by() == issuer.url
    issuer.misbehave("access_token_wrong_issuer", "access_token_expired")
    assert issued_by() == "https://evil.example"
    issuer.behave()
    assert issued_by() == issuer.url


def test_a_habit_changes_rules_and_gives_them_back(issuer):
    with issuer.adopt("access_token_five_minutes", "refresh_token_stays"):
        assert issuer.rules.access_token_lifetime_s == 300
        assert issuer.rules.rotation == "same"
    assert issuer.rules.access_token_lifetime_s == 3600
    assert issuer.rules.rotation == "rotate"


def test_only_switches_that_exist(issuer):
    for turn_on in (issuer.misbehave, issuer.adopt):
        with pytest.raises(ConfigurationError) as refused:
            turn_on("no_such_thing")
        assert refused.value.reason == "no_such_switch"


def test_the_tables_are_read_only():
    for table in (MISBEHAVIOURS, HABITS):
        with pytest.raises(TypeError):
            table["x"] = "y"


def test_requests_are_noted_and_counted(issuer, caller):
    caller.sign_in()
    caller.get("/nothing")
    caller.post("/token", client_id="cli", grant_type="made up")
    assert issuer.requests == (
        RequestRecord("GET", "/authorize", "authorize", "", 303),
        RequestRecord("POST", "/token", "token", "authorization_code", 200),
        RequestRecord("GET", "/nothing", "", "", 404),
        RequestRecord("POST", "/token", "token", "", 400),
    )
    assert issuer.count("token") == 2
    assert issuer.count("token", grant_type="authorization_code") == 1
