"""The token endpoint: codes, refresh tokens in every rotation mode, client credentials."""

from __future__ import annotations

import pytest

from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.protocol.id_token import validate_id_token
from doorward.protocol.jwk import parse_jwk_set


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"])
def test_the_id_token_holds_by_every_rule(algorithm, issuer, caller, clock):
    issuer.add_client("cli", id_token_signed_response_alg=algorithm)
    tokens = caller.sign_in(max_age="60")
    keys = parse_jwk_set(caller.get("/jwks").body)
    signed = verify_jwt(parse_jwt(tokens["id_token"]), keys, algorithms=[algorithm])
    claims = validate_id_token(
        signed,
        issuer=issuer.url,
        client_id="cli",
        now=clock.now(),
        nonce="nonce-1",
        access_token=tokens["access_token"],
        max_age_s=60,
    )
    assert claims.subject == "alice"
    assert claims.claims["email"] == "alice@example.org"
    assert claims.claims["email_verified"] is True
    assert claims.claims["name"] == "Alice Liddell"
    assert claims.claims["groups"] == ["staff"]


def test_the_access_token_is_an_rfc_9068_one(issuer, caller, clock, jwt):
    tokens = caller.sign_in()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    header, payload = jwt(tokens["access_token"])
    assert header == {"alg": "ES256", "kid": "key-1", "typ": "at+jwt"}
    assert payload == {
        "iss": issuer.url,
        "sub": "alice",
        "aud": issuer.url,
        "exp": clock.now() + 3600,
        "iat": clock.now(),
        "jti": payload["jti"],
        "client_id": "cli",
        "scope": "openid email profile offline_access",
        "auth_time": clock.now(),
        "groups": ["staff"],
    }


def test_the_answer_is_not_to_be_kept(caller):
    answer = caller.redeem(caller.authorize().callback["code"])
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_openid_there_is_no_id_token_and_without_offline_access_no_refresh_token(caller):
    tokens = caller.sign_in(scope="email")
    assert "id_token" not in tokens
    assert "refresh_token" not in tokens


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"code": "no-such-code"}, "unknown code"),
        ({"code_verifier": "x" * 43}, "code_verifier does not belong to the code_challenge"),
        ({"code_verifier": ""}, "code_verifier is missing"),
        (
            {"redirect_uri": "http://127.0.0.1:2/callback"},
            "redirect_uri is not the one of the authorization request",
        ),
        ({"redirect_uri": ""}, "redirect_uri is not the one of the authorization request"),
        ({"client_id": "other"}, "unknown code"),
    ],
)
def test_a_code_is_bound_to_its_request(changes, description, issuer, caller):
    issuer.add_client("other")
    code = caller.authorize().callback["code"]
    answer = caller.redeem(code, **changes)
    assert answer.status == 400
    assert answer.json == {"error": "invalid_grant", "error_description": description}


def test_a_code_that_comes_twice_ends_what_it_gave(caller):
    code = caller.authorize().callback["code"]
    tokens = caller.redeem(code).json
    assert caller.redeem(code).json["error"] == "invalid_grant"
    assert caller.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert caller.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).status == 401


def test_a_code_lives_for_a_minute(caller, clock):
    code = caller.authorize().callback["code"]
    clock.at += 60
    assert caller.redeem(code).json["error_description"] == "the code has expired"


def test_a_refresh_rotates_and_keeps_sign_in_time_and_subject(caller, clock, jwt):
    first = caller.sign_in()
    clock.at += 100
    second = caller.refresh(first["refresh_token"]).json
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    before, after = jwt(first["id_token"])[1], jwt(second["id_token"])[1]
    assert after["iat"] == before["iat"] + 100
    assert after["auth_time"] == before["auth_time"]
    assert after["sub"] == before["sub"]
    assert "nonce" not in after


def test_a_refresh_token_used_twice_ends_its_family(caller):
    first = caller.sign_in()
    second = caller.refresh(first["refresh_token"]).json
    answer = caller.refresh(first["refresh_token"])
    assert answer.status == 400
    assert answer.json["error"] == "invalid_grant"
    assert caller.refresh(second["refresh_token"]).json["error"] == "invalid_grant"
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    assert caller.get("/userinfo", headers=bearer).status == 401


def test_with_a_grace_period_the_old_one_still_works_for_a_while(issuer, caller, clock):
    issuer.change(rotation_grace_s=30)
    first = caller.sign_in()
    second = caller.refresh(first["refresh_token"]).json
    clock.at += 29
    again = caller.refresh(first["refresh_token"])
    assert again.status == 200
    assert again.json["refresh_token"] not in {first["refresh_token"], second["refresh_token"]}
    clock.at += 1
    assert caller.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
    assert caller.refresh(second["refresh_token"]).json["error"] == "invalid_grant"


def test_the_old_one_may_stay_valid(issuer, caller):
    issuer.change(rotation="old_stays_valid")
    first = caller.sign_in()
    second = caller.refresh(first["refresh_token"]).json
    assert caller.refresh(first["refresh_token"]).status == 200
    assert caller.refresh(second["refresh_token"]).status == 200


def test_the_same_one_may_serve_for_ever(issuer, caller):
    issuer.change(rotation="same")
    first = caller.sign_in()
    for _ in range(3):
        answer = caller.refresh(first["refresh_token"])
        assert answer.status == 200
        assert "refresh_token" not in answer.json


def test_a_refresh_token_expires(issuer, caller, clock):
    issuer.change(refresh_token_lifetime_s=10)
    tokens = caller.sign_in()
    clock.at += 10
    assert caller.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("error", "status"),
    [("invalid_grant", 400), ("invalid_request", 400), ("interaction_required", 400), ("server_error", 500)],
)
def test_a_dead_refresh_token_is_refused_as_the_rules_say(error, status, issuer, caller):
    issuer.change(dead_refresh_token_error=error)
    answer = caller.refresh("no-such-token")
    assert answer.status == status
    assert answer.json["error"] == error
    assert ("claimed by another client" in answer.json["error_description"]) is (error == "invalid_request")


def test_a_refresh_may_narrow_the_scope_and_not_widen_it(caller):
    tokens = caller.sign_in()
    assert caller.refresh(tokens["refresh_token"], scope="openid admin").json["error"] == "invalid_scope"
    answer = caller.refresh(tokens["refresh_token"], scope="openid")
    assert answer.json["scope"] == "openid"


def test_a_refresh_token_is_bound_to_its_client(issuer, caller):
    issuer.add_client("other")
    tokens = caller.sign_in()
    assert caller.refresh(tokens["refresh_token"], client_id="other").json["error"] == "invalid_grant"
    assert caller.refresh(tokens["refresh_token"]).status == 200


def test_gitlab_wants_the_redirect_uri_and_kills_the_old_access_token(issuer, caller):
    issuer.change(refresh_needs_redirect_uri=True, refresh_kills_access_token=True)
    tokens = caller.sign_in()
    assert caller.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    answer = caller.refresh(tokens["refresh_token"], redirect_uri="http://127.0.0.1:1/callback")
    assert answer.status == 200
    old, new = ({"Authorization": f"Bearer {t['access_token']}"} for t in (tokens, answer.json))
    assert caller.get("/userinfo", headers=old).status == 401
    assert caller.get("/userinfo", headers=new).status == 200


@pytest.mark.parametrize(
    ("policy", "changes", "given"),
    [
        ("by_scope", {}, True),
        ("by_scope", {"scope": "openid"}, False),
        ("by_parameter", {}, False),
        ("by_parameter", {"access_type": "offline", "scope": "openid"}, True),
        ("always", {"scope": "openid"}, True),
        ("never", {"access_type": "offline"}, False),
    ],
)
def test_who_gets_a_refresh_token(policy, changes, given, issuer, caller):
    issuer.change(refresh_tokens=policy)
    assert ("refresh_token" in caller.sign_in(**changes)) is given


def test_client_credentials_need_a_client_that_authenticates(issuer, caller, jwt):
    issuer.add_client("batch", secret="s3cret")
    form = {"grant_type": "client_credentials", "client_id": "batch", "scope": "read", "audience": "api"}
    tokens = caller.post("/token", client_secret="s3cret", **form).json
    assert set(tokens) == {"access_token", "token_type", "expires_in", "scope"}
    assert jwt(tokens["access_token"])[1]["sub"] == "batch"
    assert jwt(tokens["access_token"])[1]["aud"] == "api"
    form["client_id"] = "cli"
    assert caller.post("/token", **form).json["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 401, "invalid_client"),
        ({"client_id": "stranger", "grant_type": "refresh_token"}, 401, "invalid_client"),
        ({"client_id": "cli"}, 400, "unsupported_grant_type"),
        ({"client_id": "cli", "grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": "coder", "grant_type": "refresh_token"}, 400, "unauthorized_client"),
    ],
)
def test_wrong_requests(form, status, error, issuer, caller):
    issuer.add_client("coder", grant_types=["authorization_code"])
    answer = caller.post("/token", **form)
    assert answer.status == status
    assert answer.json["error"] == error


def test_a_repeated_parameter_is_refused(caller):
    answer = caller.request("POST", "/token", "client_id=cli&grant_type=refresh_token&client_id=cli")
    assert answer.json == {"error": "invalid_request", "error_description": "repeated parameter: client_id"}


@pytest.mark.parametrize("form", ["at+jwt", "jwt", "untyped", "opaque"])
def test_every_form_of_access_token_works_at_the_issuer_itself(form, issuer, caller, jwt):
    issuer.change(access_token_format=form)
    token = caller.sign_in()["access_token"]
    if form == "opaque":
        assert "." not in token
    else:
        assert jwt(token)[0].get("typ") == {"at+jwt": "at+jwt", "jwt": "JWT", "untyped": None}[form]
    assert caller.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).json["sub"] == "alice"


def test_lifetimes_follow_the_rules(issuer, caller, clock, jwt):
    issuer.change(access_token_lifetime_s=300, id_token_lifetime_s=120)
    tokens = caller.sign_in()
    assert tokens["expires_in"] == 300
    assert jwt(tokens["access_token"])[1]["exp"] == clock.now() + 300
    assert jwt(tokens["id_token"])[1]["exp"] == clock.now() + 120
