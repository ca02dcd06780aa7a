"""The authorization endpoint, in automatic mode; its pages are in test_interaction."""

from __future__ import annotations

from typing import ClassVar

import pytest

REDIRECT = "http://127.0.0.1:1/callback"


def test_a_sign_in_comes_back_with_code_state_and_issuer(issuer, caller):
    answer = caller.authorize()
    assert answer.headers["Location"].startswith("http://127.0.0.1:1/callback?code=")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    callback = answer.callback
    assert callback == {"code": callback["code"], "state": "state-1", "iss": issuer.url}


def test_post_works_too(caller, issuer):
    from_get = caller.authorize().headers["Location"]
    assert "code=" in from_get
    answer = caller.post("/authorize", client_id="cli", redirect_uri="http://127.0.0.1:1/cb", response_type="token")
    assert answer.callback == {
        "error": "unsupported_response_type",
        "error_description": "only the response type code is offered",
        "iss": issuer.url,
    }


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "x"}, "request_uri_not_supported"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "sing"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
    ],
)
def test_a_wrong_request_goes_back_as_an_error_with_state_and_issuer(changes, error, issuer, caller):
    callback = caller.authorize(**changes).callback
    assert callback["error"] == error
    assert callback["state"] == "state-1"
    assert callback["iss"] == issuer.url
    assert "code" not in callback


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "stranger"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/"},
        {"redirect_uri": "http://user@127.0.0.1/"},
        {"redirect_uri": "http://127.0.0.1/#fragment"},
        {"redirect_uri": "http://127.0.0.1:99999999/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": None},
    ],
)
def test_the_browser_is_never_sent_where_the_client_did_not_register(changes, caller):
    answer = caller.authorize(**changes)
    assert answer.status == 400
    assert "Location" not in answer.headers
    assert b"<h1>" in answer.body


def test_a_repeated_parameter_is_refused(caller):
    answer = caller.get("/authorize?client_id=cli&client_id=cli")
    assert answer.status == 400
    assert "Location" not in answer.headers


def test_a_client_without_the_grant_type_is_refused(issuer, caller):
    issuer.add_client("cli", grant_types=["client_credentials"])
    assert caller.authorize().callback["error"] == "unauthorized_client"


def test_a_confidential_client_may_do_without_pkce_only_where_the_rules_say_so(issuer, caller):
    issuer.add_client("web", secret="web-secret")
    caller.client_id = "web"
    without = {"code_challenge": None, "code_challenge_method": None}
    assert caller.authorize(**without).callback["error"] == "invalid_request"
    issuer.change(pkce_required=False)
    code = caller.authorize(**without).callback["code"]
    answer = caller.redeem(code, client_secret="web-secret")
    assert answer.json["error_description"] == "code_verifier without a code_challenge"
    answer = caller.redeem(code, client_secret="web-secret", code_verifier="")
    assert answer.status == 200


def test_the_only_registered_redirect_uri_need_not_be_named(issuer, caller):
    issuer.add_client("web", redirect_uris=["https://app.example.org/cb?tenant=1"])
    caller.client_id = "web"
    location = caller.authorize(redirect_uri=None).headers["Location"]
    assert location.startswith("https://app.example.org/cb?tenant=1&code=")


def test_denied(issuer, caller):
    issuer.deny()
    callback = caller.authorize().callback
    assert callback["error"] == "access_denied"
    assert callback["state"] == "state-1"
    assert callback["iss"] == issuer.url


def test_scopes_can_be_refused_or_ignored(issuer, caller, jwt):
    issuer.change(allowed_scopes=("openid", "email"))
    assert caller.authorize(scope="openid calendar").callback["error"] == "invalid_scope"
    issuer.change(allowed_scopes=None, ignored_scopes=("email",))
    assert caller.sign_in(scope="openid email")["scope"] == "openid"


@pytest.mark.parametrize("name", ["audience", "resource"])
def test_audience_and_resource_end_in_the_access_token(name, caller, jwt):
    tokens = caller.sign_in(**{name: "https://api.example.org"})
    assert jwt(tokens["access_token"])[1]["aud"] == "https://api.example.org"


def test_prompt_none_works_in_automatic_mode_and_needs_a_session_otherwise(issuer, caller):
    assert "code" in caller.authorize(prompt="none").callback
    issuer.ask()
    assert caller.authorize(prompt="none").callback["error"] == "login_required"


class TestPushed:
    ASKED: ClassVar = {"response_type": "code", "redirect_uri": REDIRECT, "code_challenge_method": "S256"}

    def push(self, caller, **changes):
        return caller.post("/par", client_id="cli", code_challenge="c" * 43, **(self.ASKED | changes))

    def open(self, caller, request_uri):
        return caller.get("/authorize", client_id="cli", request_uri=request_uri)

    def test_a_pushed_request_is_good_once(self, issuer, caller):
        pushed = self.push(caller, state="s" * 43)
        assert (pushed.status, pushed.json["expires_in"]) == (201, 60)
        assert self.open(caller, pushed.json["request_uri"]).callback["state"] == "s" * 43
        assert self.open(caller, pushed.json["request_uri"]).status == 400

    def test_it_expires(self, issuer, caller):
        issuer.change(pushed_lifetime_s=0)
        assert self.open(caller, self.push(caller).json["request_uri"]).status == 400

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"client_id": "nobody"}, "invalid_client"),
            ({"redirect_uri": "https://evil.example"}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"request_uri": "urn:x"}, "request_uri_not_supported"),
        ],
    )
    def test_what_is_wrong_is_refused_at_once(self, issuer, caller, changes, error):
        asked = {"client_id": "cli", "code_challenge": "c" * 43, **self.ASKED} | changes
        assert caller.post("/par", **asked).json["error"] == error

    def test_it_can_be_the_only_way(self, issuer, caller):
        issuer.change(pushed_requests="required")
        assert caller.authorize(redirect_uri=REDIRECT).status == 400
        assert self.open(caller, self.push(caller).json["request_uri"]).status == 303
