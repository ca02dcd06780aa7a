"""Whatever a provider answers and whatever calls back: a value or a DoorwardError, never anything else."""

from __future__ import annotations

import base64
import contextlib
import json
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.errors import CallbackRejected, DoorwardError, InvalidCredential, OAuthError
from doorward.guard.issuers.claim_rules import ClaimRules
from doorward.guard.issuers.issuer import Issuer
from doorward.model import HttpRequest, HttpResponse, Secret
from doorward.protocol.authorization import PendingSignIn, build_authorization_request, validate_callback
from doorward.protocol.bearer import build_authorization_header, parse_authorization_header
from doorward.protocol.claims import SignedClaims
from doorward.protocol.client_auth import Client, NoAuthentication, SecretBasic, SecretPost, build_form_request
from doorward.protocol.endpoints import parse_introspection_response, parse_revocation_response
from doorward.protocol.id_token import validate_id_token, validate_refreshed_id_token
from doorward.protocol.jws import JoseHeader
from doorward.protocol.metadata import (
    ProviderMetadata,
    build_metadata_requests,
    check_issuer_url,
    parse_jwks_response,
    parse_metadata_response,
)
from doorward.protocol.reading.urls import url_flaw
from doorward.protocol.token_endpoint import (
    ended_session,
    parse_device_authorization_response,
    parse_device_token_response,
    parse_token_response,
)

ISSUER = "https://id.example.org"
METADATA = ProviderMetadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/jwks")
STATE = "s" * 43
PENDING = PendingSignIn(ISSUER, STATE, "n" * 43, Secret("v" * 43), "http://127.0.0.1:1/cb", iss_required=True)
NOW = 1_800_000_000
PARSERS = {
    "metadata": lambda response, _: parse_metadata_response(response, issuer=ISSUER, now=NOW),
    "jwks": lambda response, _: parse_jwks_response(response, now=NOW),
    "tokens": lambda response, request: parse_token_response(response, request=request, now=NOW),
    "device": lambda response, request: parse_device_authorization_response(response, request=request, now=NOW),
    "poll": lambda response, request: parse_device_token_response(response, request=request, now=NOW),
    "revocation": lambda response, request: parse_revocation_response(response, request=request, now=NOW),
    "introspection": lambda response, request: parse_introspection_response(response, request=request, now=NOW),
}

unhurried = settings(deadline=None)  # a loaded machine is no failure
text = st.text(st.characters())  # lone surrogates too
printable_text = st.text(min_size=1).filter(str.isprintable)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(ISSUER),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(
    [
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "id_token",
        "scope",
        "error",
        "error_description",
        "ok",
        "active",
        "device_code",
        "user_code",
        "verification_uri",
        "verification_url",
        "verification_uri_complete",
        "interval",
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "keys",
        "scopes_supported",
        "id_token_signing_alg_values_supported",
    ]
)
plausible = st.dictionaries(members, json_values | st.sampled_from(["bearer", "slow_down", f"{ISSUER}/x"]), max_size=8)
pairs = st.lists(
    st.tuples(st.sampled_from(["code", "state", "iss", "error", "error_description", "x"]), text | st.just(ISSUER))
)
bodies = st.binary() | plausible.map(lambda body: json.dumps(body).encode())
responses = st.builds(
    HttpResponse,
    st.just(200) | st.just(400) | st.integers(100, 999),
    st.fixed_dictionaries(
        {},
        optional={
            "content-type": st.just("application/json") | st.just("application/json") | text,
            "retry-after": text | st.integers(0).map(str),
            "date": text,
        },
    ),
    bodies,
)
requests = st.builds(
    lambda fields, authentication: build_form_request(
        f"{ISSUER}/x", "the endpoint", fields, Client("app", authentication), issuer=ISSUER, now=NOW, jti="j"
    ),
    st.lists(st.tuples(st.sampled_from(["code", "refresh_token", "scope"]), printable_text), max_size=3),
    st.sampled_from([NoAuthentication()])
    | st.builds(SecretBasic, printable_text.map(Secret))
    | st.builds(SecretPost, printable_text.map(Secret)),
)


def attempt(call, *args):
    """Return a value and None, or None and an error of ours; let anything else through."""
    try:
        return call(*args), None
    except DoorwardError as error:
        return None, error


@unhurried
@given(response=responses, request=requests)
def test_any_answer_gives_a_value_or_an_error_of_ours(response, request):
    for parse in PARSERS.values():
        _, error = attempt(parse, response, request)
        if error is not None:
            assert error.message.isprintable()
            assert error.reason.replace("_", "").isalnum()


GOOD = {
    "metadata": {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/a",
        "token_endpoint": f"{ISSUER}/t",
        "jwks_uri": f"{ISSUER}/j",
    },
    "jwks": {"keys": []},
    "tokens": {"access_token": "at", "token_type": "bearer", "expires_in": 60, "scope": "a"},
    "device": {"device_code": "d", "user_code": "u", "verification_uri": f"{ISSUER}/d", "expires_in": 60},
    "poll": {"access_token": "at", "token_type": "bearer", "refresh_token": "rt"},
    "introspection": {"active": True},
}


@unhurried
@given(endpoint=st.sampled_from(sorted(GOOD)), changes=st.dictionaries(members, json_values, min_size=1, max_size=2))
def test_a_good_answer_with_members_changed_gives_a_value_or_an_error_of_ours(endpoint, changes):
    request = HttpRequest("POST", f"{ISSUER}/x", "the endpoint")

    def answer(body):
        response = HttpResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())
        return attempt(PARSERS[endpoint], response, request)

    assert answer(GOOD[endpoint])[1] is None
    _, error = answer(GOOD[endpoint] | changes)
    assert error is None or error.message.isprintable()


@unhurried
@given(secret=st.text(min_size=4), name=st.sampled_from(["refresh_token", "code", "device_code", "client_secret"]))
def test_no_error_repeats_a_secret(secret, name):
    request = HttpRequest("POST", f"{ISSUER}/token", "the token endpoint", body=urlencode({name: secret}).encode())
    body = {"error": "invalid_grant", "error_description": f"[{secret}]"}
    response = HttpResponse(400, {"content-type": "application/json"}, json.dumps(body).encode())
    with pytest.raises(OAuthError) as caught:
        parse_token_response(response, request=request, now=NOW)
    assert caught.value.description == "[<secret>]"


@unhurried
@given(query=text | pairs.map(lambda pairs: urlencode(pairs, errors="surrogatepass")))
@example(query="state=\ud800")
@example(query="%")
def test_any_callback_without_our_state_is_rejected(query):
    _, error = attempt(validate_callback, PENDING, query)
    assert type(error) is CallbackRejected
    assert error.reason.startswith("state_")  # by which a sign-in knows that it may go on waiting


@unhurried
@given(pairs=pairs.map(lambda pairs: [pair for pair in pairs if pair[0] != "state"]))
def test_any_callback_with_our_state_gives_a_code_or_an_error_of_ours(pairs):
    callback, error = attempt(validate_callback, PENDING, urlencode([("state", STATE), *pairs], errors="surrogatepass"))
    if error is None:
        assert dict(pairs).items() >= {"code": callback.code.reveal(), "iss": ISSUER}.items()
    else:
        assert not error.reason.startswith("state_")
        assert error.message.isprintable()


@unhurried
@given(
    claims=st.dictionaries(
        st.sampled_from(
            [
                "iss",
                "sub",
                "aud",
                "exp",
                "iat",
                "nbf",
                "nonce",
                "azp",
                "at_hash",
                "auth_time",
                "client_id",
                "jti",
                "scope",
            ]
        ),
        json_values | st.sampled_from([ISSUER, "app", NOW, ["app"], "n" * 43]),
    ),
    alg=st.sampled_from(["RS256", "ES384", "EdDSA"]),
)
def test_any_claims_give_a_value_or_an_error_of_ours(claims, alg):
    common = {"issuer": ISSUER, "now": NOW}
    signed = SignedClaims(JoseHeader(alg, None, "at+jwt"), claims)
    with contextlib.suppress(InvalidCredential):
        valid = validate_id_token(signed, client_id="app", nonce="n" * 43, access_token="at", max_age_s=60, **common)
        assert (valid.issuer, valid.nonce) == (ISSUER, "n" * 43)
    with contextlib.suppress(InvalidCredential):
        valid = validate_refreshed_id_token(signed, client_id="app", nonce=None, previous_subject="alice", **common)
        assert valid.subject == "alice"
    with contextlib.suppress(InvalidCredential):
        access = Issuer(ISSUER, ["app"], token_type="access")
        assert ClaimRules(access).validate(signed, NOW).audience


@unhurried
@given(url=text)
def test_any_text_is_a_url_or_has_a_flaw(url):
    if not url_flaw(url, loopback_http=False):
        assert urlsplit(url).scheme == "https"
        assert urlsplit(url).hostname


@unhurried
@given(path=st.from_regex(r"(/[a-z0-9]{0,5}){0,3}", fullmatch=True))
def test_metadata_is_asked_for_below_the_issuer(path):
    issuer = ISSUER + path
    check_issuer_url(issuer)
    urls = [request.url for request in build_metadata_requests(issuer)]
    assert urls[0].removesuffix("/.well-known/openid-configuration") == issuer.removesuffix("/")
    assert all(url.startswith(f"{ISSUER}/") for url in urls)
    assert 2 <= len(urls) == len({*urls}) <= 4


@unhurried
@given(client_id=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1), secret=printable_text)
def test_basic_credentials_come_back_as_they_were(client_id, secret):
    client = Client(client_id, SecretBasic(Secret(secret)))
    request = build_form_request(f"{ISSUER}/x", "x", (), client, issuer=ISSUER, now=NOW, jti="j")
    credentials = base64.b64decode(request.headers["authorization"].removeprefix("Basic "), validate=True)
    assert [unquote_plus(part) for part in credentials.decode().split(":")] == [client_id, secret]


@unhurried
@given(extra=st.dictionaries(printable_text, printable_text, max_size=4), audience=st.none() | printable_text)
def test_an_authorization_url_carries_what_was_given(extra, audience):
    taken = {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "audience"} | {
        "code_challenge",
        "code_challenge_method",
    }
    extra = {name: value for name, value in extra.items() if name not in taken}
    url, _ = build_authorization_request(
        METADATA,
        client_id="app",
        redirect_uri="http://127.0.0.1:1/cb",
        scopes=("openid",),
        state=STATE,
        nonce="n" * 43,
        code_verifier=Secret("v" * 43),
        audience=audience,
        extra=tuple(extra.items()),
    )
    assert url.isascii()
    sent = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert {name: [value] for name, value in extra.items()}.items() <= sent.items()
    assert "v" * 43 not in url


@unhurried
@given(value=text | text.map("Bearer {}".format))
def test_any_header_gives_a_token_or_an_error_of_ours(value):
    with contextlib.suppress(InvalidCredential):
        token = parse_authorization_header(value)
        assert build_authorization_header(Secret(token)).split() == ["Bearer", token]


@unhurried
@given(error=text, description=text)
def test_only_two_errors_can_end_a_session(error, description):
    if ended_session(OAuthError("x", error=error, description=description)):
        assert error.strip() in {"invalid_grant", "invalid_request"}
