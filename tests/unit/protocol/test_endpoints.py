"""Revocation, introspection and logout: asked as the standards say, and no answer is taken for more than it is."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import structs

from doorward.errors import ConfigurationError, DoorwardError, InvalidResponse, OAuthError, ProviderUnavailable
from doorward.model import HttpRequest, HttpResponse, Secret
from doorward.protocol.client_auth import Client, NoAuthentication, SecretBasic, SecretPost
from doorward.protocol.endpoints import (
    build_introspection_request,
    build_logout_url,
    build_revocation_request,
    parse_introspection_response,
    parse_revocation_response,
)
from doorward.protocol.metadata import ProviderMetadata

ISSUER = "https://id.example.org"
BARE = ProviderMetadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/jwks")
FULL = ProviderMetadata(
    ISSUER,
    f"{ISSUER}/authorize",
    f"{ISSUER}/token",
    f"{ISSUER}/jwks",
    revocation_endpoint=f"{ISSUER}/revoke",
    introspection_endpoint=f"{ISSUER}/introspect",
    end_session_endpoint=f"{ISSUER}/logout",
)
CLIENT = Client("app", SecretPost(Secret("pw")))
AT = {"now": 0, "jti": "unique"}
REQUEST = HttpRequest("POST", f"{ISSUER}/x", "the endpoint", body=b"token=planted-token")


def form(request):
    return {name: value for name, (value,) in parse_qs((request.body or b"").decode(), strict_parsing=True).items()}


def answer(body, status=200):
    return HttpResponse(status, {"content-type": "application/json"}, json.dumps(body).encode())


def refused(call, *args, **kwargs):
    with pytest.raises(DoorwardError) as caught:
        call(*args, **kwargs)
    return caught.value


def test_revocation_request():
    request = build_revocation_request(FULL, CLIENT, Secret("rt"), token_type_hint="refresh_token", **AT)
    assert (request.method, request.url, request.purpose) == ("POST", f"{ISSUER}/revoke", "the revocation endpoint")
    assert form(request) == {
        "token": "rt",
        "token_type_hint": "refresh_token",
        "client_id": "app",
        "client_secret": "pw",
    }


@pytest.mark.parametrize(
    ("authentication", "methods", "sent"),
    [
        (SecretPost(Secret("pw")), ("client_secret_basic",), "header"),  # CILogon
        (SecretBasic(Secret("pw")), ("client_secret_post", "none"), "body"),
        (SecretPost(Secret("pw")), None, "body"),
        (SecretBasic(Secret("pw")), (), "header"),
        (SecretPost(Secret("pw")), ("client_secret_basic", "client_secret_post"), "body"),
        (SecretBasic(Secret("pw")), ("private_key_jwt",), "header"),
        (NoAuthentication(), ("client_secret_basic",), "nowhere"),
    ],
)
def test_the_secret_is_sent_as_the_endpoint_takes_it(authentication, methods, sent):
    metadata = structs.replace(
        FULL, revocation_endpoint_auth_methods=methods, introspection_endpoint_auth_methods=methods
    )
    client = Client("app", authentication)
    for request in (
        build_revocation_request(metadata, client, Secret("rt"), token_type_hint="refresh_token", **AT),
        build_introspection_request(metadata, client, Secret("rt"), **AT),
    ):
        assert ("authorization" in request.headers) == (sent == "header")
        assert ("client_secret" in form(request)) == (sent == "body")


def test_no_revocation():
    error = refused(build_revocation_request, BARE, CLIENT, Secret("rt"), token_type_hint="refresh_token", **AT)
    assert (type(error), error.reason) == (ConfigurationError, "no_revocation_endpoint")


@pytest.mark.parametrize("response", [HttpResponse(200), HttpResponse(200, {"content-type": "text/html"}, b"<p>ok")])
def test_revoked_whatever_the_body(response):
    parse_revocation_response(response, request=REQUEST, now=0)


@pytest.mark.parametrize(
    ("response", "kind", "reason"),
    [
        (answer({"error": "unsupported_token_type"}, 400), OAuthError, "oauth_error"),
        (answer({"error": "invalid_client"}, 401), OAuthError, "invalid_client"),
        (HttpResponse(503, {"retry-after": "5"}), ProviderUnavailable, "server_failure"),
        (HttpResponse(302), InvalidResponse, "redirect"),
        (HttpResponse(404), InvalidResponse, "unexpected_status"),
    ],
)
def test_not_revoked(response, kind, reason):
    error = refused(parse_revocation_response, response, request=REQUEST, now=0)
    assert (type(error), error.reason) == (kind, reason)


def test_introspection_request():
    request = build_introspection_request(FULL, CLIENT, Secret("at"), **AT)
    assert (request.url, request.purpose) == (f"{ISSUER}/introspect", "the introspection endpoint")
    assert (form(request)["token"], form(request)["token_type_hint"]) == ("at", "access_token")


def test_no_introspection():
    error = refused(build_introspection_request, BARE, CLIENT, Secret("at"), **AT)
    assert (type(error), error.reason) == (ConfigurationError, "no_introspection_endpoint")


def test_active():
    found = parse_introspection_response(answer({"active": True, "sub": "planted"}), request=REQUEST, now=0)
    assert (found.active, found.claims["sub"]) == (True, "planted")
    assert "planted" not in repr(found)


def test_what_is_not_active_has_no_claims():
    found = parse_introspection_response(answer({"active": False, "sub": "alice"}), request=REQUEST, now=0)
    assert (found.active, found.claims) == (False, {})


@pytest.mark.parametrize("active", [None, "true", 1, 0, [], "false"])
def test_active_is_true_or_false(active):
    error = refused(parse_introspection_response, answer({"active": active}), request=REQUEST, now=0)
    assert (type(error), error.reason) == (InvalidResponse, "bad_active")


def test_an_introspected_token_is_not_repeated():
    body = {"error": "invalid_request", "error_description": "planted-token?"}
    error = refused(parse_introspection_response, answer(body, 400), request=REQUEST, now=0)
    assert "planted" not in repr(error) + error.description


def test_logout():
    assert build_logout_url(BARE, client_id="app") is None
    assert build_logout_url(FULL, client_id="app") == f"{ISSUER}/logout?client_id=app"
    url = build_logout_url(
        FULL,
        client_id="app",
        logout_hint="alice@example.org",
        id_token_hint=Secret("a.b.c"),
        post_logout_redirect_uri="http://127.0.0.1:1/bye?a=b",
        state="x y",
    )
    assert {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()} == {
        "client_id": "app",
        "logout_hint": "alice@example.org",
        "id_token_hint": "a.b.c",
        "post_logout_redirect_uri": "http://127.0.0.1:1/bye?a=b",
        "state": "x y",
    }


def test_logout_keeps_the_query_of_the_endpoint():
    metadata = ProviderMetadata(
        ISSUER, f"{ISSUER}/a", f"{ISSUER}/t", f"{ISSUER}/j", end_session_endpoint=f"{ISSUER}/logout?p=x"
    )
    assert build_logout_url(metadata, client_id="app") == f"{ISSUER}/logout?p=x&client_id=app"


@pytest.mark.parametrize("uri", ["http://evil.example/", "javascript:alert(1)", "https://a.example/#x"])
def test_logout_leads_nowhere_unsafe(uri):
    error = refused(build_logout_url, FULL, client_id="app", post_logout_redirect_uri=uri)
    assert (type(error), error.field) == (ConfigurationError, "post_logout_redirect_uri")
