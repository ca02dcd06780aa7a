"""What is asked of the token endpoint, what its answers must look like, and what ends a session."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from doorward.errors import (
    ConfigurationError,
    DoorwardError,
    InvalidResponse,
    OAuthError,
    ProviderUnavailable,
    SignInCancelled,
    SignInTimeout,
)
from doorward.model import HttpRequest, HttpResponse, Secret, TokenSet
from doorward.protocol.authorization import PendingSignIn, ValidatedCallback
from doorward.protocol.client_auth import Client, PrivateKeyJwt, SecretBasic, SecretPost
from doorward.protocol.jwk import generate_signing_key
from doorward.protocol.metadata import ProviderMetadata
from doorward.protocol.token_endpoint import (
    DeviceAuthorization,
    DevicePending,
    build_client_credentials_request,
    build_code_request,
    build_device_authorization_request,
    build_device_token_request,
    build_refresh_request,
    ended_session,
    needs_interaction,
    parse_device_authorization_response,
    parse_device_token_response,
    parse_token_response,
    renewed_by_signing_in,
    salvage_refresh_token,
)

ISSUER = "https://id.example.org"
METADATA = ProviderMetadata(
    ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/jwks", device_authorization_endpoint=f"{ISSUER}/device"
)
PUBLIC = Client("app")
NOW = 1_800_000_000.0
AT = {"now": NOW, "jti": "unique"}
REQUEST = HttpRequest("POST", METADATA.token_endpoint, "the token endpoint")
VERIFIER = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
TOKENS = {"access_token": "at", "token_type": "Bearer"}
DEVICE = {
    "device_code": "dc",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://id.example.org/device",
    "expires_in": 600,
}


def form(request):
    fields = parse_qs((request.body or b"").decode(), strict_parsing=True)
    return {name: value for name, (value,) in fields.items()}


def answer(body, status=200, **headers):
    return HttpResponse(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


def parse(body, *, bound=False, **headers):
    return parse_token_response(answer(body, **headers), request=REQUEST, now=NOW, bound=bound)


def refused(call, *args, **kwargs):
    with pytest.raises(DoorwardError) as caught:
        call(*args, **kwargs)
    return caught.value


class TestRequests:
    def test_code(self):
        pending = PendingSignIn(ISSUER, "s" * 43, "n" * 43, Secret("v" * 43), "http://127.0.0.1:1/cb")
        callback = ValidatedCallback(Secret("c"), pending)
        request = build_code_request(METADATA, PUBLIC, callback, **AT)
        assert (request.method, request.url, request.purpose) == ("POST", f"{ISSUER}/token", "the token endpoint")
        expected = {
            "grant_type": "authorization_code",
            "code": "c",
            "redirect_uri": "http://127.0.0.1:1/cb",
            "code_verifier": "v" * 43,
            "client_id": "app",
        }
        assert form(request) == expected
        request = build_code_request(METADATA, PUBLIC, callback, **AT, resource="urn:a")
        assert form(request) == expected | {"resource": "urn:a"}

    def test_refresh(self):
        request = build_refresh_request(METADATA, PUBLIC, Secret("rt"), **AT)
        expected = {"grant_type": "refresh_token", "refresh_token": "rt", "client_id": "app"}
        assert form(request) == expected
        more = {"redirect_uri": "http://127.0.0.1:1/cb", "resource": "urn:a", "audience": "api"}
        request = build_refresh_request(METADATA, PUBLIC, Secret("rt"), **AT, scopes=("a", "b"), **more)
        assert form(request) == expected | more | {"scope": "a b"}

    def test_client_credentials(self):
        client = Client("app", SecretPost(Secret("pw")))
        request = build_client_credentials_request(
            METADATA, client, **AT, scopes=("a",), audience="x", resource="urn:y"
        )
        assert form(request) == {
            "grant_type": "client_credentials",
            "scope": "a",
            "audience": "x",
            "resource": "urn:y",
            "client_id": "app",
            "client_secret": "pw",
        }

    def test_client_credentials_need_credentials(self):
        error = refused(build_client_credentials_request, METADATA, PUBLIC, **AT)
        assert (type(error), error.reason) == (ConfigurationError, "no_client_credentials")

    def test_an_assertion_is_for_the_issuer(self):
        client = Client("app", PrivateKeyJwt(generate_signing_key("ES256")))
        assert "client_assertion" in form(build_client_credentials_request(METADATA, client, **AT))

    def test_device_authorization(self):
        request = build_device_authorization_request(
            METADATA, PUBLIC, **AT, code_verifier=VERIFIER, scopes=("openid",), audience="x"
        )
        assert (request.url, request.purpose) == (f"{ISSUER}/device", "the device authorization endpoint")
        asked = form(request)
        challenge = asked.pop("code_challenge"), asked.pop("code_challenge_method")
        assert challenge == ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "S256")  # RFC 7636 appendix B
        assert asked == {"client_id": "app", "scope": "openid", "audience": "x"}

    def test_no_device_flow(self):
        metadata = ProviderMetadata(ISSUER, f"{ISSUER}/a", f"{ISSUER}/t", f"{ISSUER}/j")
        error = refused(build_device_authorization_request, metadata, PUBLIC, **AT, code_verifier=VERIFIER)
        assert (type(error), error.reason) == (ConfigurationError, "no_device_flow")

    def test_device_token(self):
        client = Client("app", SecretBasic(Secret("pw")))  # Google wants its secret here
        request = build_device_token_request(METADATA, client, Secret("dc"), **AT, code_verifier=VERIFIER)
        assert form(request) == {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": "dc",
            "code_verifier": VERIFIER.reveal(),
        }
        assert "authorization" in request.headers


class TestTokens:
    def test_the_least(self):
        assert parse(TOKENS) == TokenSet(Secret("at"), NOW)

    def test_all(self):
        body = TOKENS | {"expires_in": 300, "refresh_token": "rt", "id_token": "a.b.c", "scope": "openid email"}
        tokens = parse(body | {"other_tokens": [1]}, date="Fri, 15 Jan 2027 07:59:50 GMT")
        assert tokens == TokenSet(
            Secret("at"), NOW, NOW + 300, Secret("rt"), Secret("a.b.c"), ("openid", "email"), clock_skew_s=10.0
        )
        assert "rt" not in repr(tokens)

    @pytest.mark.parametrize("token_type", ["bearer", "BEARER", "Bearer"])
    def test_bearer_in_any_case(self, token_type):
        assert parse(TOKENS | {"token_type": token_type})

    @pytest.mark.parametrize("token_type", ["DPoP", "mac", "N_A", "", "Bearer "])
    def test_only_bearer(self, token_type):
        assert refused(parse, TOKENS | {"token_type": token_type}).reason == "unsupported_token_type"

    @pytest.mark.parametrize("token_type", ["DPoP", "dpop"])
    def test_a_token_that_was_asked_for_with_a_proof(self, token_type):
        assert parse(TOKENS | {"token_type": token_type}, bound=True)

    @pytest.mark.parametrize("token_type", [None, "", "Bearer", "mac", "DPoP "])
    def test_a_token_that_is_not_bound_though_a_proof_was_sent(self, token_type):
        assert refused(parse, TOKENS | {"token_type": token_type}, bound=True).reason == "token_not_bound"

    def test_what_must_be_there(self):
        assert refused(parse, TOKENS | {"access_token": None}).reason == "missing_member"

    def test_a_token_without_a_type_is_used_as_bearer(self):
        assert parse({"access_token": "at"}).access_token == Secret("at")

    @pytest.mark.parametrize(
        ("expires_in", "life_s"),
        [
            (0, 0),
            (3599, 3599),
            (3599.5, 3599),
            ("3600", 3600),
            ("3600.0", 3600),
            (631_138_518, 631_138_518),
            (None, None),
            *((endless, 100 * 365 * 86_400) for endless in (2**63, 1e300)),
        ],
    )
    def test_lifetimes(self, expires_in, life_s):
        tokens = parse(TOKENS | {"expires_in": expires_in})
        assert tokens.expires_at == (None if life_s is None else NOW + life_s)

    @pytest.mark.parametrize(
        ("expires_in", "reason"),
        [
            (-1, "negative_duration"),
            ("-3600", "negative_duration"),
            (True, "wrong_member_type"),
            ("", "wrong_member_type"),
            ("1e3", "wrong_member_type"),
            ("2027-01-15", "wrong_member_type"),
            ([3600], "wrong_member_type"),
        ],
    )
    def test_lifetimes_that_are_none(self, expires_in, reason):
        assert refused(parse, TOKENS | {"expires_in": expires_in}).reason == reason

    @pytest.mark.parametrize("name", ["access_token", "refresh_token", "id_token"])
    @pytest.mark.parametrize("token", [1, True, ["a"], {"a": 1}, "a b", "a\r\nX-Injected: 1", "a\x00", "é", "\x7f"])
    def test_tokens_that_are_none(self, name, token):
        error = refused(parse, TOKENS | {name: token})
        assert (type(error), error.reason) == (InvalidResponse, "wrong_member_type")

    def test_an_empty_access_token_is_none(self):
        assert refused(parse, TOKENS | {"access_token": ""}).reason == "wrong_member_type"

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_empty_optional_tokens_are_absent(self, nothing):
        tokens = parse(TOKENS | {"refresh_token": nothing, "id_token": nothing})
        assert (tokens.refresh_token, tokens.id_token) == (None, None)

    @pytest.mark.parametrize(
        ("scope", "scopes"), [("", ()), ("a", ("a",)), (" a  b ", ("a", "b")), (["a", "b"], ("a", "b")), (None, None)]
    )
    def test_scopes(self, scope, scopes):
        assert parse(TOKENS | {"scope": scope}).scopes == scopes

    @pytest.mark.parametrize("scope", [["openid", 1], 1, False])
    def test_scopes_that_are_none(self, scope):
        assert refused(parse, TOKENS | {"scope": scope}).reason == "wrong_member_type"

    def test_slack_and_github_refuse_with_200(self):
        error = refused(parse, {"ok": False, "error": "invalid_code"})
        assert (type(error), error.error) == (OAuthError, "invalid_code")
        assert type(refused(parse, TOKENS | {"error": "bad_verification_code"})) is OAuthError

    def test_a_repeated_refresh_token_stays_secret(self):
        request = build_refresh_request(METADATA, PUBLIC, Secret("rt-planted"), **AT)
        body = {"error": "invalid_grant", "error_description": "rt-planted was revoked"}
        error = refused(parse_token_response, answer(body, 400), request=request, now=NOW)
        assert error.description == "<secret> was revoked"
        assert "planted" not in repr(error)


class TestDevice:
    def parse(self, body, status=200):
        return parse_device_authorization_response(answer(body, status), request=REQUEST, now=NOW)

    def poll(self, body, status=400):
        return parse_device_token_response(answer(body, status), request=REQUEST, now=NOW)

    def test_the_least(self):
        assert self.parse(DEVICE) == DeviceAuthorization(
            Secret("dc"), "WDJB-MJHT", "https://id.example.org/device", None, NOW + 600, 5
        )

    def test_all(self):
        found = self.parse(DEVICE | {"verification_uri_complete": f"{ISSUER}/device?c=W#x", "interval": "10"})
        assert (found.verification_uri_complete, found.interval_s) == (f"{ISSUER}/device?c=W#x", 10)

    def test_google(self):
        body = DEVICE | {"verification_uri": None, "verification_url": "https://www.google.com/device"}
        assert self.parse(body).verification_uri == "https://www.google.com/device"

    @pytest.mark.parametrize(("interval", "interval_s"), [(0, 1), (1, 1), (10**9, 300), (None, 5)])
    def test_intervals_are_bounded(self, interval, interval_s):
        assert self.parse(DEVICE | {"interval": interval}).interval_s == interval_s

    def test_lifetimes_are_bounded(self):
        assert self.parse(DEVICE | {"expires_in": 10**12}).expires_at == NOW + 86_400

    @pytest.mark.parametrize("name", ["device_code", "user_code", "verification_uri", "expires_in"])
    def test_what_must_be_there(self, name):
        assert refused(self.parse, DEVICE | {name: None}).reason == "missing_member"

    def test_a_user_code_can_not_drive_a_terminal(self):
        assert self.parse(DEVICE | {"user_code": "\x1b[2JAB\u202eCD\r\n"}).user_code == "[2JAB CD"

    @pytest.mark.parametrize("user_code", ["7", "a" * 64])
    def test_user_codes(self, user_code):
        assert self.parse(DEVICE | {"user_code": user_code}).user_code == user_code

    @pytest.mark.parametrize("user_code", ["", " ", "\x00\n", "a" * 65])
    def test_user_codes_that_are_none(self, user_code):
        assert refused(self.parse, DEVICE | {"user_code": user_code}).reason == "bad_user_code"

    @pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
    @pytest.mark.parametrize(
        "uri",
        [
            "http://id.example.org/device",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "id.example.org/device",
            "https://id.example.org/\x1b[2J",
            "https://id.example.org@evil.example/",
            "https://id.example.org/\n",
            " ",
        ],
    )
    def test_addresses_that_must_not_be_opened(self, name, uri):
        error = refused(self.parse, DEVICE | {name: uri})
        assert error.reason == "bad_verification_uri"
        assert error.message.isprintable()

    def test_an_address_on_loopback(self):
        uri = "http://127.0.0.1:8080/device?a=b"
        assert self.parse(DEVICE | {"verification_uri": uri}).verification_uri == uri

    def test_an_empty_address_is_none(self):
        assert refused(self.parse, DEVICE | {"verification_uri": ""}).reason == "bad_verification_uri"

    def test_a_refusal(self):
        assert refused(self.parse, {"error": "unauthorized_client"}, 401).error == "unauthorized_client"

    def test_tokens(self):
        assert self.poll(TOKENS, 200).access_token == Secret("at")

    @pytest.mark.parametrize("status", [200, 400, 403, 428])
    def test_nobody_yet(self, status):
        assert self.poll({"error": "authorization_pending"}, status) == DevicePending(slow_down=False)

    @pytest.mark.parametrize("status", [200, 400, 403, 429])
    def test_slow_down(self, status):
        assert self.poll({"error": "slow_down"}, status) == DevicePending(slow_down=True)
        assert self.poll({"error": "slow_down", "interval": 10**6}, status).interval_s == 300

    @pytest.mark.parametrize("status", [429, 503])
    def test_an_outage_is_no_answer(self, status):
        assert type(refused(self.poll, {"error": "authorization_pending"}, status)) is ProviderUnavailable
        broken = HttpResponse(status, {}, b"busy")
        error = refused(parse_device_token_response, broken, request=REQUEST, now=NOW)
        assert type(error) is ProviderUnavailable

    @pytest.mark.parametrize("error", ["access_denied", "authorization_declined"])
    def test_denied(self, error):
        assert type(refused(self.poll, {"error": error})) is SignInCancelled

    def test_expired(self):
        error = refused(self.poll, {"error": "expired_token"})
        assert (type(error), error.reason) == (SignInTimeout, "device_code_expired")

    @pytest.mark.parametrize("code", ["bad_verification_code", "invalid_grant", "device_flow_disabled"])
    def test_unknown_errors_end_it_with_their_name(self, code):
        error = refused(self.poll, {"error": code})
        assert (type(error), error.error) == (OAuthError, code)
        assert code in error.message


class TestEndOfASession:
    @pytest.mark.parametrize(
        ("error", "description"),
        [
            ("invalid_grant", ""),
            ("invalid_grant", "reauth related error (invalid_rapt)"),
            ("invalid_request", "Refresh token is invalid or has already been claimed by another client."),
            ("invalid_request", "Refresh token expired."),
        ],
    )
    def test_what_ends_it(self, error, description):
        assert ended_session(OAuthError("x", error=error, description=description))

    @pytest.mark.parametrize(
        ("error", "description"),
        [
            ("invalid_request", ""),
            ("invalid_request", "No refresh token is found in request."),
            ("invalid_request", "Missing parameter: refresh_token"),
            ("invalid_request", "The refresh token is invalid"),
            ("invalid_client", "Refresh token is invalid"),
            ("interaction_required", "AADSTS50076"),
            ("invalid_scope", ""),
            ("unauthorized_client", ""),
            ("INVALID_GRANT", ""),
            ("slow_down", ""),
            ("", "invalid_grant"),
        ],
    )
    def test_what_does_not(self, error, description):
        assert not ended_session(OAuthError("x", error=error, description=description))

    @pytest.mark.parametrize(
        ("error", "description", "helps"),
        [
            ("Bad Request", "Invalid refresh token", True),
            ("invalid_request", "The refresh token is invalid", True),
            ("invalid_token", "", True),
            ("invalid_refresh_token", "", True),
            ("bad_refresh_token", "", True),
            ("status 400", "Token has been revoked", True),
            ("invalid_request", "client_id is missing", False),
            ("invalid_scope", "", False),
            ("invalid_client", "Invalid refresh token", False),
            ("unauthorized_client", "", False),
            ("unsupported_grant_type", "", False),
            ("invalid_target", "", False),
        ],
    )
    def test_what_a_new_sign_in_helps_against_though_the_token_is_kept(self, error, description, helps):
        refusal = OAuthError("x", error=error, description=description)
        assert renewed_by_signing_in(refusal) is helps
        assert not ended_session(refusal)

    def test_a_person_may_be_wanted_though_the_token_lives(self):
        assert needs_interaction(OAuthError("x", error="interaction_required"))
        assert not needs_interaction(OAuthError("x", error="invalid_grant"))


class TestSalvage:
    @pytest.mark.parametrize(
        ("status", "body", "found"),
        [
            (200, b'{"refresh_token": "new", "token_type": "mac"}', "new"),
            (200, b'{"refresh_token": "two words"}', None),
            (200, b'{"refresh_token": 7}', None),
            (200, b"{}", None),
            (200, b'{"refresh_token": "ne', None),
            (400, b'{"refresh_token": "new"}', None),
        ],
    )
    def test_the_refresh_token_of_an_odd_answer(self, status, body, found):
        token = salvage_refresh_token(HttpResponse(status, {}, body))
        assert (token and token.reveal()) == found
