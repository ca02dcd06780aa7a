"""Introspection, revocation, userinfo."""

from __future__ import annotations

import pytest


@pytest.fixture
def ask(issuer, caller):
    issuer.add_client("api", secret="api-secret")

    def introspect(token, /, **changes):
        form = {"client_id": "api", "client_secret": "api-secret", "token": token}
        return caller.post("/introspect", **{**form, **changes})

    return introspect


def test_introspection_tells_what_a_token_says(issuer, caller, ask, clock):
    issuer.change(access_token_format="opaque")
    tokens = caller.sign_in(audience="api")
    answer = ask(tokens["access_token"]).json
    assert answer["active"] is True
    assert answer["sub"] == "alice"
    assert answer["aud"] == "api"
    assert answer["client_id"] == "cli"
    assert answer["exp"] == clock.now() + 3600
    assert ask(tokens["refresh_token"]).json["active"] is True


def test_dead_tokens_are_inactive_and_no_more_is_said(issuer, caller, ask, clock):
    tokens = caller.sign_in()
    caller.refresh(tokens["refresh_token"])
    assert ask(tokens["refresh_token"]).json == {"active": False}
    assert ask("no-such-token").json == {"active": False}
    clock.at += 3600
    assert ask(tokens["access_token"]).json == {"active": False}


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "cli", "client_secret": ""}, 401, "invalid_client"),
        ({"token": ""}, 400, "invalid_request"),
    ],
)
def test_introspection_is_for_clients_that_authenticate(changes, status, error, ask):
    answer = ask("whatever", **changes)
    assert answer.status == status
    assert answer.json["error"] == error


def test_revoking_a_refresh_token_ends_the_family(caller, ask):
    tokens = caller.sign_in()
    assert caller.post("/revoke", client_id="cli", token=tokens["refresh_token"]).status == 200
    assert caller.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert ask(tokens["access_token"]).json == {"active": False}


def test_revoking_an_access_token_ends_it_alone(caller, ask):
    tokens = caller.sign_in()
    assert caller.post("/revoke", client_id="cli", token=tokens["access_token"]).status == 200
    assert ask(tokens["access_token"]).json == {"active": False}
    assert caller.refresh(tokens["refresh_token"]).status == 200


def test_nobody_revokes_the_tokens_of_others(caller, ask):
    tokens = caller.sign_in()
    for token in (tokens["refresh_token"], tokens["access_token"], "no-such-token"):
        assert caller.post("/revoke", client_id="api", client_secret="api-secret", token=token).status == 200
    assert ask(tokens["access_token"]).json["active"] is True
    assert caller.refresh(tokens["refresh_token"]).status == 200
    assert caller.post("/revoke", client_id="stranger", token="x").status == 401


def test_userinfo_follows_the_scopes(issuer, caller):
    def userinfo(**changes):
        token = caller.sign_in(**changes)["access_token"]
        return caller.get("/userinfo", headers={"Authorization": f"bearer {token}"})

    assert userinfo(scope="openid").json == {"sub": "alice"}
    assert userinfo(scope="openid email groups").json == {
        "sub": "alice",
        "email": "alice@example.org",
        "email_verified": True,
        "groups": ["staff"],
    }
    refused = userinfo(scope="email")
    assert refused.status == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize("value", [None, "Basic abc", "Bearer", "Bearer no-such-token"])
def test_userinfo_wants_a_good_token(value, caller):
    answer = caller.get("/userinfo", headers={"Authorization": value} if value else {})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_everything_of_a_person_can_be_revoked(issuer, caller, ask):
    tokens, code = caller.sign_in(), caller.authorize().callback["code"]
    made = issuer.issue_access_token("alice")
    issuer.revoke_everything("alice")
    assert ask(tokens["access_token"]).json == {"active": False}
    assert ask(made).json == {"active": False}
    assert caller.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert caller.redeem(code).json["error"] == "invalid_grant"
    assert caller.refresh(caller.sign_in()["refresh_token"]).status == 200
