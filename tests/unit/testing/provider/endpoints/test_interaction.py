"""What a person's browser does: the sign-in page, the device page, signing out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest


class Form(HTMLParser):
    """The one form of a page: where it goes, what it holds, and the texts around it."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.action, self.method, self.fields, self.choices, self.buttons = "", "", {}, [], []
        self.tags: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        if tag == "form":
            self.action, self.method = attributes["action"], attributes["method"]
        elif tag == "input" and attributes["type"] == "hidden":
            self.fields[attributes["name"]] = attributes["value"]
        elif tag == "input" and attributes["type"] == "radio":
            self.choices.append(attributes["value"])
        elif tag == "button" and "value" in attributes:
            self.buttons.append(attributes["value"])


@pytest.fixture
def asking(issuer):
    issuer.add_user("bob", email="bob@example.org")
    issuer.ask()
    return issuer


@pytest.fixture
def sign_in_form(asking, caller):
    return Form(caller.authorize().body)


def test_the_page_asks_who_and_whether(asking, caller):
    page = caller.authorize()
    form = Form(page.body)
    assert page.status == 200
    assert b"Development issuer. Do not use in production." in page.body
    assert b"<strong>cli</strong>" in page.body
    assert b"stay signed in when you are away" in page.body
    assert b"http://127.0.0.1:1" in page.body
    assert form.action == f"{asking.url}/authorize/decide"
    assert form.method == "post"
    assert form.choices == ["alice", "bob"]
    assert form.buttons == ["allow", "deny"]
    assert "script" not in form.tags


def test_every_page_protects_itself(asking, caller):
    for page in (caller.authorize(), caller.authorize(client_id="stranger"), caller.get("/device")):
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"


def test_the_form_may_lead_back_to_the_client_and_nowhere_else(asking, caller):
    policy = caller.authorize().headers["Content-Security-Policy"]
    assert policy.endswith("form-action 'self' http://127.0.0.1:1")


def test_allowed(asking, caller, sign_in_form, jwt):
    answer = caller.post("/authorize/decide", **sign_in_form.fields, user="bob", decision="allow")
    callback = answer.callback
    assert callback["state"] == "state-1"
    assert jwt(caller.redeem(callback["code"]).json["id_token"])[1]["sub"] == "bob"


def test_denied(caller, sign_in_form):
    callback = caller.post("/authorize/decide", **sign_in_form.fields, decision="deny").callback
    assert callback["error"] == "access_denied"
    assert callback["state"] == "state-1"


def test_a_page_works_once(caller, sign_in_form):
    assert caller.post("/authorize/decide", **sign_in_form.fields, user="bob", decision="allow").status == 303
    answer = caller.post("/authorize/decide", **sign_in_form.fields, user="bob", decision="allow")
    assert answer.status == 400
    assert b"used before" in answer.body


def test_a_page_works_for_ten_minutes(caller, sign_in_form, clock):
    clock.at += 600
    assert caller.post("/authorize/decide", **sign_in_form.fields, user="bob", decision="allow").status == 400


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_a_form_of_another_site_is_refused_and_uses_nothing_up(headers, asking, caller, sign_in_form):
    fields = {**sign_in_form.fields, "user": "bob", "decision": "allow"}
    assert caller.post("/authorize/decide", headers=headers, **fields).status == 400
    own = {"Origin": asking.url, "Sec-Fetch-Site": "same-origin"}
    assert caller.post("/authorize/decide", headers=own, **fields).status == 303


@pytest.mark.parametrize(
    "fields", [{}, {"decision": "allow"}, {"decision": "maybe", "user": "bob"}, {"decision": "allow", "user": "eve"}]
)
def test_an_answer_that_says_nothing_is_refused(fields, caller, sign_in_form):
    assert caller.post("/authorize/decide", **sign_in_form.fields, **fields).status == 400


def test_names_of_clients_users_and_scopes_are_text(issuer, caller):
    issuer.add_client("<b>cli")
    issuer.add_user('"><script>alert(1)</script>', full_name="<i>Eve")
    issuer.ask()
    caller.client_id = "<b>cli"
    page = caller.authorize(scope="<script>").body
    assert b"<script" not in page
    assert b"<b>" not in page
    assert b"<i>" not in page


def test_without_users_only_denial_is_offered(new_caller):
    from doorward.testing import DevIssuer  # noqa: PLC0415 - this test alone makes an empty one

    with DevIssuer() as empty:
        empty.add_client("cli")
        page = new_caller(empty).authorize().body
        assert Form(page).buttons == ["deny"]
        assert b"no users yet" in page


def test_a_session_serves_prompt_none_until_it_is_too_old_or_ended(asking, caller, sign_in_form, clock, jwt):
    answer = caller.post("/authorize/decide", **sign_in_form.fields, user="bob", decision="allow")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    signed_in_at = clock.at
    browser = {"Cookie": f"a=b; {cookie.partition(';')[0]}"}

    def silently(**more):
        request = {"client_id": "cli", "redirect_uri": "http://127.0.0.1:1/callback", "response_type": "code"}
        challenge = {"code_challenge": "x" * 43, "code_challenge_method": "S256"}
        return caller.get("/authorize", headers=browser, prompt="none", **request, **challenge, **more).callback

    clock.at += 100
    assert "code" in silently()
    assert "code" in silently(max_age="100")
    assert silently(max_age="99")["error"] == "login_required"
    asking.sign_out_everywhere()
    assert silently()["error"] == "login_required"
    assert signed_in_at < clock.at


def test_a_device_is_confirmed_by_its_code(asking, caller, jwt):
    started = caller.start_device()
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", started["user_code"])
    typed = started["user_code"].replace("-", "").lower()
    page = caller.get("/device", user_code=typed)
    assert started["user_code"].encode() in page.body
    form = Form(page.body)
    assert form.action == f"{asking.url}/device/decide"
    done = caller.post("/device/decide", **form.fields, user="bob", decision="allow")
    assert b"The device is connected" in done.body
    tokens = caller.poll_device(started["device_code"]).json
    assert jwt(tokens["id_token"])[1]["sub"] == "bob"
    assert caller.poll_device(started["device_code"]).json["error"] == "invalid_grant"


def test_a_device_is_denied(asking, caller):
    started = caller.start_device()
    form = Form(caller.request("GET", started["verification_uri_complete"].removeprefix(asking.url)).body)
    assert b"Denied" in caller.post("/device/decide", **form.fields, decision="deny").body
    assert caller.poll_device(started["device_code"]).json["error"] == "access_denied"


def test_the_device_page_asks_for_a_code_and_knows_no_other(asking, caller):
    assert b'name="user_code"' in caller.get("/device").body
    answer = caller.get("/device", user_code="ABCD-EFGH")
    assert answer.status == 400
    assert b"No device waits for this code" in answer.body
    started = caller.start_device()
    asking.decide_device(started["user_code"], user="alice")
    assert caller.get("/device", user_code=started["user_code"]).status == 400


def test_pages_do_not_serve_each_other(asking, caller, sign_in_form):
    assert caller.post("/device/decide", **sign_in_form.fields, user="bob", decision="allow").status == 400
    device = Form(caller.get("/device", user_code=caller.start_device()["user_code"]).body)
    assert caller.post("/authorize/decide", **device.fields, user="bob", decision="allow").status == 400


def test_signing_out_leads_back_only_where_the_client_may_send_the_browser(issuer, caller):
    id_token = caller.sign_in()["id_token"]
    back = "http://127.0.0.1:9/bye"
    answer = caller.get("/end_session", id_token_hint=id_token, post_logout_redirect_uri=back, state="s")
    assert answer.headers["Location"] == f"{back}?state=s"
    answer = caller.get("/end_session", client_id="cli", post_logout_redirect_uri=back)
    assert answer.headers["Location"] == back
    assert b"Signed out" in caller.get("/end_session").body
    for wrong in (
        {"post_logout_redirect_uri": back},
        {"client_id": "cli", "post_logout_redirect_uri": "https://evil.example"},
        {"id_token_hint": id_token[:-8] + "AAAAAAAA", "post_logout_redirect_uri": back},
    ):
        answer = caller.get("/end_session", **wrong)
        assert answer.status == 400
        assert "Location" not in answer.headers


def test_signing_out_ends_the_session(asking, caller, sign_in_form):
    cookie = caller.post("/authorize/decide", **sign_in_form.fields, user="bob", decision="allow").headers["Set-Cookie"]
    browser = {"Cookie": cookie.partition(";")[0]}
    caller.get("/end_session", headers=browser)
    request = {"client_id": "cli", "redirect_uri": "http://127.0.0.1:1/callback", "response_type": "code"}
    challenge = {"code_challenge": "x" * 43, "code_challenge_method": "S256"}
    answer = caller.get("/authorize", headers=browser, prompt="none", **request, **challenge)
    assert answer.callback["error"] == "login_required"
