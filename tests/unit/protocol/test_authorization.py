"""The authorization request and its callback: PKCE always, state before anything else, one issuer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from doorward.errors import (
    CallbackRejected,
    ConfigurationError,
    DoorwardError,
    InvalidResponse,
    OAuthError,
    ProviderUnavailable,
    SignInCancelled,
    SignInRequired,
)
from doorward.model import HttpResponse, Secret
from doorward.protocol.authorization import (
    PendingSignIn,
    authorization_parameters,
    build_authorization_request,
    build_pushed_request,
    join_scopes,
    parse_pushed_response,
    validate_callback,
)
from doorward.protocol.client_auth import Client, SecretBasic, SecretPost
from doorward.protocol.metadata import ProviderMetadata

ISSUER = "https://id.example.org"
METADATA = ProviderMetadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/jwks")
STATE, NONCE, VERIFIER = "s" * 43, "n" * 43, "v" * 43
REDIRECT = "http://127.0.0.1:49152/callback"


def build(metadata=METADATA, **changes):
    arguments = {
        "client_id": "app",
        "redirect_uri": REDIRECT,
        "scopes": ("openid", "email"),
        "state": STATE,
        "nonce": NONCE,
        "code_verifier": Secret(VERIFIER),
    }
    return build_authorization_request(metadata, **(arguments | changes))


def pending(*, iss_required=False, issuer=ISSUER, silent=False):
    return PendingSignIn(issuer, STATE, NONCE, Secret(VERIFIER), REDIRECT, iss_required, silent)


def rejected(query, waiting=None):
    with pytest.raises(CallbackRejected) as caught:
        validate_callback(waiting or pending(), query if isinstance(query, str) else urlencode(query))
    return caught.value.reason


class TestRequest:
    def test_it_asks_for_a_code_with_pkce_state_and_nonce(self):
        url, waiting = build()
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == METADATA.authorization_endpoint
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
        assert parse_qs(parts.query, strict_parsing=True) == {
            "response_type": ["code"],
            "client_id": ["app"],
            "redirect_uri": [REDIRECT],
            "scope": ["openid email"],
            "state": [STATE],
            "nonce": [NONCE],
            "code_challenge": [challenge],
            "code_challenge_method": ["S256"],
        }
        assert waiting == pending()

    def test_rfc_7636_appendix_b(self):
        url, _ = build(code_verifier=Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
        assert "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&" in url

    def test_options_are_sent_when_given(self):
        url, _ = build(
            scopes=(),
            audience="https://api.example.org/",
            resource="urn:api",
            max_age_s=0,
            extra=[("prompt", "consent"), ("access_type", "offline"), ("hd", "a b&c")],
        )
        sent = parse_qs(urlsplit(url).query)
        assert "scope" not in sent
        assert sent["audience"] == ["https://api.example.org/"]
        assert (sent["resource"], sent["prompt"], sent["max_age"]) == (["urn:api"], ["consent"], ["0"])
        assert (sent["access_type"], sent["hd"]) == (["offline"], ["a b&c"])

    def test_what_the_endpoint_has_already_is_kept(self):
        metadata = ProviderMetadata(ISSUER, f"{ISSUER}/authorize?p=b2c", f"{ISSUER}/t", f"{ISSUER}/j")
        assert build(metadata)[0].startswith(f"{ISSUER}/authorize?p=b2c&response_type=code&")
        with pytest.raises(ConfigurationError) as caught:
            build(metadata, extra=[("p", "other")])
        assert caught.value.reason == "parameter_repeated"

    @pytest.mark.parametrize("name", ["state", "redirect_uri", "code_challenge_method", "scope", "client_id"])
    def test_extra_parameters_replace_nothing(self, name):
        with pytest.raises(ConfigurationError) as caught:
            build(extra=[(name, "x")])
        assert (caught.value.field, caught.value.reason) == ("extra", "parameter_repeated")

    def test_extra_parameters_come_once(self):
        with pytest.raises(ConfigurationError, match="parameter hd"):
            build(extra=[("hd", "a"), ("hd", "b")])
        assert "prompt=login" in build(extra=[("prompt", "login")])[0]

    @pytest.mark.parametrize(("prompt", "silent"), [("none", True), ("login", False)])
    def test_a_silent_one_is_known_as_such(self, prompt, silent):
        assert build(extra=[("prompt", prompt)])[1].silent is silent

    def test_a_provider_that_announces_iss_must_send_it(self):
        metadata = ProviderMetadata(ISSUER, f"{ISSUER}/a", f"{ISSUER}/t", f"{ISSUER}/j", iss_parameter_supported=True)
        assert build(metadata)[1].iss_required is True

    def test_nothing_of_a_pending_sign_in_shows(self):
        shown = repr(build()[1])
        assert not [each for each in (STATE, NONCE, VERIFIER) if each in shown]
        assert ISSUER in shown

    @pytest.mark.parametrize(
        ("changes", "field", "reason"),
        [
            ({"redirect_uri": "http://app.example.org/cb"}, "redirect_uri", "not_https"),
            ({"redirect_uri": "http://0.0.0.0:80/cb"}, "redirect_uri", "not_https"),
            ({"redirect_uri": "myapp://callback"}, "redirect_uri", "not_https"),
            ({"redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}, "redirect_uri", "no_host"),
            ({"redirect_uri": "http://127.0.0.1/#x"}, "redirect_uri", "has_fragment"),
            ({"redirect_uri": "http://127.0.0.1@evil.example/"}, "redirect_uri", "has_userinfo"),
            ({"state": "short"}, "state", "not_random"),
            ({"state": "s" * 42 + "\n"}, "state", "not_random"),
            ({"nonce": "n" * 21}, "nonce", "not_random"),
            ({"code_verifier": Secret("v" * 42)}, "code_verifier", "not_random"),
            ({"code_verifier": Secret("v" * 129)}, "code_verifier", "not_random"),
            ({"code_verifier": Secret("v" * 43 + "+")}, "code_verifier", "not_random"),
            ({"scopes": ("openid email",)}, "scopes", "bad_scope"),
            ({"max_age_s": -1}, "max_age_s", "negative"),
        ],
    )
    def test_what_can_not_be_asked(self, changes, field, reason):
        with pytest.raises(ConfigurationError) as caught:
            build(**changes)
        assert (caught.value.field, caught.value.reason) == (field, reason)

    @pytest.mark.parametrize(
        "uri", ["http://localhost", "http://[::1]:7/", "https://app.example.org/cb?x=1", "http://127.0.0.1:1/"]
    )
    def test_redirect_uris(self, uri):
        assert build(redirect_uri=uri)[1].redirect_uri == uri

    def test_a_provider_whose_id_tokens_can_not_be_verified(self):
        metadata = ProviderMetadata(
            ISSUER, f"{ISSUER}/a", f"{ISSUER}/t", f"{ISSUER}/j", id_token_signing_algorithms=frozenset()
        )
        with pytest.raises(InvalidResponse, match="signing key") as caught:
            build(metadata)
        assert caught.value.reason == "no_asymmetric_algorithm"
        assert build(metadata, scopes=("api",))


OWNED = [
    *("client_id", "redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method", "code_verifier"),
    *("response_type", "response_mode", "scope", "audience", "resource", "max_age", "request", "request_uri"),
    *("registration", "dpop_jkt", "grant_type", "code", "device_code", "client_secret", "client_assertion"),
    *("client_assertion_type", "access_token", "refresh_token", "password"),
]


class TestParameters:
    def test_all_that_may_be_asked(self):
        asked = authorization_parameters(
            prompt="select_account login",
            login_hint="zoë@example.org",
            acr_values="gold silver",
            ui_locales="de en",
            parameters={"kc_idp_hint": "github", "claims": '{"id_token": {"acr": null}}', "urn:x.y-z": " "},
        )
        assert asked == {
            "prompt": "select_account login",
            "login_hint": "zoë@example.org",
            "acr_values": "gold silver",
            "ui_locales": "de en",
            "kc_idp_hint": "github",
            "claims": '{"id_token": {"acr": null}}',
            "urn:x.y-z": " ",
        }
        assert parse_qs(urlsplit(build(extra=asked.items())[0]).query)["login_hint"] == ["zoë@example.org"]

    def test_nothing_asked(self):
        assert authorization_parameters() == authorization_parameters(parameters={}) == {}

    @pytest.mark.parametrize("name", [*OWNED, "Scope", "STATE", "redirect.uri", "client-id", "nonce".title()])
    def test_what_the_protocol_owns_is_refused_by_name(self, name):
        with pytest.raises(ConfigurationError, match=re.escape(name)) as caught:
            authorization_parameters(parameters={name: "x"})
        assert (caught.value.field, caught.value.reason) == ("parameters", "reserved_parameter")

    @pytest.mark.parametrize(
        ("given", "field", "reason"),
        [
            ({"prompt": ""}, "prompt", "bad_parameter"),
            ({"prompt": "none login"}, "prompt", "prompt_none_not_alone"),
            ({"parameters": {"prompt": "login none"}}, "prompt", "prompt_none_not_alone"),
            ({"login_hint": "a\nb"}, "login_hint", "bad_parameter"),
            ({"acr_values": ["gold"]}, "acr_values", "bad_parameter"),
            ({"ui_locales": 1}, "ui_locales", "bad_parameter"),
            ({"parameters": {"hd": ""}}, "parameters", "bad_parameter"),
            ({"parameters": {"hd": None}}, "parameters", "bad_parameter"),
            ({"parameters": {"": "x"}}, "parameters", "bad_parameter"),
            ({"parameters": {"scope[]": "x"}}, "parameters", "bad_parameter"),
            ({"parameters": {"scope ": "x"}}, "parameters", "bad_parameter"),
            ({"parameters": {"a&scope": "x"}}, "parameters", "bad_parameter"),
            ({"parameters": {1: "x"}}, "parameters", "bad_parameter"),
            ({"parameters": "hd=example.org"}, "parameters", "parameters_not_a_mapping"),
            ({"parameters": [("hd", "a")]}, "parameters", "parameters_not_a_mapping"),
            ({"prompt": "login", "parameters": {"prompt": "consent"}}, "parameters", "parameter_repeated"),
            ({"parameters": {"hd": "a", "HD": "b"}}, "parameters", "parameter_repeated"),
        ],
    )
    def test_what_can_not_be_asked(self, given, field, reason):
        with pytest.raises(ConfigurationError) as caught:
            authorization_parameters(**given)
        assert (caught.value.field, caught.value.reason) == (field, reason)


class TestScopes:
    def test_joined(self):
        assert join_scopes(["openid", "https://api.example.org/.default"]) == "openid https://api.example.org/.default"
        assert join_scopes([]) is join_scopes(None) is None

    @pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "é", "a\n", "a" * 513])
    def test_refused(self, scope):
        with pytest.raises(ConfigurationError):
            join_scopes(["openid", scope])

    def test_one_string_is_not_a_sequence_of_scopes(self):
        with pytest.raises(ConfigurationError):
            join_scopes("openid")


class TestCallback:
    def test_the_real_one(self):
        validated = validate_callback(pending(), urlencode({"code": "c/+=& ~", "state": STATE, "session_state": "x"}))
        assert validated.code.reveal() == "c/+=& ~"
        assert validated.pending == pending()
        assert "c/+" not in repr(validated)

    @pytest.mark.parametrize(
        ("query", "reason"),
        [
            ("", "state_missing"),
            ("&&&", "state_missing"),
            ("code=c", "state_missing"),
            ("error=access_denied", "state_missing"),
            (f"STATE={STATE}", "state_missing"),
            ("state", "state_mismatch"),
            ("state=", "state_mismatch"),
            (f"state={STATE}x", "state_mismatch"),
            (f"state={STATE[:-1]}", "state_mismatch"),
            (f"state={STATE.upper()}", "state_mismatch"),
            ("state=%ff%00&code=c", "state_mismatch"),
            ("state=\udcff&code=c", "state_mismatch"),
            (f"state={STATE}&state={STATE}", "state_repeated"),
            (f"state=x&state={STATE}", "state_repeated"),
            (f"state={STATE}&code={'c' * 16_384}", "state_unreadable"),
            (f"state={'s' * 16_379}", "state_unreadable"),
            (f"state={'s' * 16_378}", "state_mismatch"),
            ("state=x" + "&a=b" * 50, "state_unreadable"),
            ("state=x" + "&a=b" * 49, "state_mismatch"),
            ("&" * 10_000, "state_unreadable"),
        ],
    )
    def test_what_is_not_for_this_sign_in(self, query, reason):
        assert rejected(query) == reason

    @pytest.mark.parametrize("forged", [{"error": "access_denied"}, {"code": "c", "iss": "https://evil.example"}])
    def test_nothing_is_read_before_state(self, forged):
        assert rejected({**forged, "state": "wrong"}) == "state_mismatch"
        assert rejected(forged) == "state_missing"

    @pytest.mark.parametrize(
        "error", ["login_required", "interaction_required", "consent_required", "account_selection_required"]
    )
    def test_a_silent_sign_in_that_needs_the_person_says_so(self, error):
        with pytest.raises(SignInRequired, match="prompt") as caught:
            validate_callback(pending(silent=True), urlencode({"state": STATE, "error": error}))
        assert type(caught.value) is SignInRequired
        assert caught.value.reason == error

    def test_a_silent_sign_in_can_be_denied(self):
        with pytest.raises(SignInCancelled):
            validate_callback(pending(silent=True), urlencode({"state": STATE, "error": "access_denied"}))

    @pytest.mark.parametrize("name", ["code", "iss", "error", "anything"])
    def test_a_parameter_may_not_repeat(self, name):
        assert rejected(f"state={STATE}&{name}=a&{name}=a") == "parameter_repeated"

    @pytest.mark.parametrize("iss", ["", f"{ISSUER}/", "https://evil.example", ISSUER.upper(), "\x1b[2J"])
    @pytest.mark.parametrize("outcome", [{"code": "c"}, {"error": "access_denied"}, {"error": "server_error"}])
    @pytest.mark.parametrize("iss_required", [True, False])
    def test_iss_must_match_where_present(self, iss, outcome, iss_required):
        query = {"state": STATE, "iss": iss, **outcome}
        assert rejected(query, pending(iss_required=iss_required)) == "iss_mismatch"

    @pytest.mark.parametrize("outcome", [{"code": "c"}, {"error": "access_denied"}])
    def test_iss_must_be_present_where_announced(self, outcome):
        assert rejected({"state": STATE, **outcome}, pending(iss_required=True)) == "iss_missing"

    @pytest.mark.parametrize("iss_required", [True, False])
    def test_iss_that_matches(self, iss_required):
        query = urlencode({"state": STATE, "iss": ISSUER, "code": "c"})
        assert validate_callback(pending(iss_required=iss_required), query).code == Secret("c")

    def test_iss_of_a_tenant(self):
        waiting = pending(issuer="https://login.example.com/{tenantid}/v2.0")
        iss = "https://login.example.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
        assert validate_callback(waiting, urlencode({"state": STATE, "iss": iss, "code": "c"}))
        assert rejected({"state": STATE, "iss": ISSUER, "code": "c"}, waiting) == "iss_mismatch"

    def test_denied(self):
        query = urlencode({"state": STATE, "error": "access_denied", "error_description": "no\x1b[31m\n"})
        with pytest.raises(SignInCancelled) as caught:
            validate_callback(pending(), query)
        assert caught.value.message == "The sign-in was denied (no [31m). If that was a mistake, sign in again."
        with pytest.raises(SignInCancelled, match=r"^The sign-in was denied\. If"):
            validate_callback(pending(), f"state={STATE}&error=access_denied")

    @pytest.mark.parametrize("error", ["access_denied", "consent_required", "interaction_required"])
    def test_each_way_to_say_no(self, error):
        with pytest.raises(SignInCancelled) as caught:
            validate_callback(pending(), f"state={STATE}&error={error}")
        assert caught.value.reason == error

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ("invalid_scope", OAuthError),
            ("login_required", OAuthError),
            ("<script>", OAuthError),
            ("server_error", ProviderUnavailable),
            ("temporarily_unavailable", ProviderUnavailable),
        ],
    )
    def test_other_errors(self, error, kind):
        query = urlencode({"state": STATE, "error": error, "error_description": "why", "code": "c"})
        with pytest.raises(DoorwardError) as caught:
            validate_callback(pending(), query)
        assert type(caught.value) is kind
        assert f"{error} (why)" in caught.value.message

    @pytest.mark.parametrize(
        ("query", "reason"),
        [
            ("", "code_missing"),
            ("&code=", "code_missing"),
            ("&error=", "code_missing"),
            ("&code=%0a", "code_malformed"),
            ("&code=%C3%A9", "code_malformed"),
            ("&code=" + "c" * 8193, "code_malformed"),
        ],
    )
    def test_no_usable_code(self, query, reason):
        assert rejected(f"state={STATE}{query}") == reason


class TestPushed:
    METADATA = ProviderMetadata(
        ISSUER,
        f"{ISSUER}/authorize?policy=b2c",
        f"{ISSUER}/token",
        pushed_authorization_request_endpoint=f"{ISSUER}/par",
    )

    def request(self, client=Client("app")):  # noqa: B008 - it is frozen
        url, _ = build(self.METADATA, extra=(("login_hint", "a&b=c@example.org"),))
        return url, build_pushed_request(self.METADATA, client, url, now=0, jti="j")

    @pytest.mark.parametrize(
        ("client", "more"),
        [
            (Client("app"), {}),
            (Client("app", SecretPost(Secret("s3cret"))), {"client_secret": ["s3cret"]}),
            (Client("app", SecretBasic(Secret("s3cret"))), {}),
        ],
        ids=["none", "post", "basic"],
    )
    def test_it_says_what_the_browser_would_have_said(self, client, more):
        url, request = self.request(client)
        said = parse_qs(urlsplit(url).query)
        assert said.pop("policy") == ["b2c"]  # the endpoint's own, and no parameter of ours
        assert parse_qs(request.body.decode()) == said | more
        assert (request.method, request.url) == ("POST", f"{ISSUER}/par")
        assert ("authorization" in request.headers) == isinstance(client.authentication, SecretBasic)

    def parse(self, document, status=201):
        answer = HttpResponse(status, {"content-type": "application/json"}, json.dumps(document).encode())
        _, request = self.request()
        return parse_pushed_response(answer, metadata=self.METADATA, client_id="app", request=request, now=0)

    @pytest.mark.parametrize("status", [200, 201])
    def test_the_browser_says_no_more_than_what_was_pushed(self, status):
        assert self.parse({"request_uri": "urn:x:a+b/c", "expires_in": 60}, status) == (
            f"{ISSUER}/authorize?policy=b2c&client_id=app&request_uri=urn%3Ax%3Aa%2Bb%2Fc"
        )

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            ({"expires_in": 60}, "missing_member"),
            ({"request_uri": "urn:x"}, "missing_member"),
            ({"request_uri": "urn:x", "expires_in": -1}, "negative_duration"),
            ({"request_uri": "urn:x\r\ny", "expires_in": 60}, "wrong_member_type"),
            ({"request_uri": "", "expires_in": 60}, "wrong_member_type"),
        ],
        ids=["no request_uri", "no life", "a negative life", "a line break", "empty"],
    )
    def test_an_answer_that_is_none(self, document, reason):
        with pytest.raises(InvalidResponse) as refused:
            self.parse(document)
        assert refused.value.reason == reason

    def test_a_refusal_repeats_nothing_that_was_secret(self):
        document = {"error": "invalid_request", "error_description": f"bad code, state {STATE}"}
        with pytest.raises(OAuthError, match=r"bad code, state <secret>"):
            self.parse(document, 400)
