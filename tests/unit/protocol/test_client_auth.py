"""How a client proves itself: encoded as the standards say, chosen by what the provider takes, shown nowhere."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, parse_qsl, unquote_plus

import pytest

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.protocol.client_auth import (
    Client,
    NoAuthentication,
    PrivateKeyJwt,
    SecretBasic,
    SecretPost,
    TlsCertificate,
    build_form_request,
    choose_authentication,
)
from doorward.protocol.jwk import JwkSet, generate_signing_key, parse_jwk

ISSUER = "https://id.example.org"
URL = f"{ISSUER}/token"
NOW = 1_800_000_000.9
SECRET = Secret("pl:nted s/cret+%é")
KEY = generate_signing_key("ES256", kid="client-1")


def build(authentication, client_id="app:1", fields=(("grant_type", "x"),)):
    client = Client(client_id, authentication)
    return build_form_request(URL, "the token endpoint", fields, client, issuer=ISSUER, now=NOW, jti="unique")


def form(request):
    return parse_qs((request.body or b"").decode(), strict_parsing=True)


@pytest.mark.parametrize(
    "authentication", [NoAuthentication(), SecretBasic(SECRET), SecretPost(SECRET), PrivateKeyJwt(KEY)]
)
def test_every_request_is_a_form_that_wants_json_and_shows_nothing(authentication):
    request = build(authentication)
    assert (request.method, request.url, request.purpose) == ("POST", URL, "the token endpoint")
    assert request.headers["accept"] == "application/json"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.max_response_bytes == 1_048_576
    assert form(request)["grant_type"] == ["x"]
    shown = repr(request) + repr(authentication) + repr(Client("a", authentication))
    assert "nted" not in shown
    assert "private" not in shown.replace("PrivateKeyJwt", "")


def test_a_public_client_names_itself():
    request = build(NoAuthentication())
    assert form(request)["client_id"] == ["app:1"]
    assert "authorization" not in request.headers


def test_basic_is_form_encoded_before_it_is_base64():
    request = build(SecretBasic(SECRET))
    scheme, _, credentials = request.headers["authorization"].partition(" ")
    pair = base64.b64decode(credentials, validate=True).decode()
    assert (scheme, pair) == ("Basic", "app%3A1:pl%3Anted+s%2Fcret%2B%25%C3%A9")
    assert [unquote_plus(part) for part in pair.split(":")] == ["app:1", SECRET.reveal()]
    assert set(form(request)) == {"grant_type"}


def test_post_puts_the_secret_into_the_body():
    request = build(SecretPost(SECRET))
    assert form(request) == {"grant_type": ["x"], "client_id": ["app:1"], "client_secret": [SECRET.reveal()]}
    assert "authorization" not in request.headers


def test_a_signed_assertion_is_short_lived_and_for_this_issuer_alone():
    fields = form(build(PrivateKeyJwt(KEY)))
    assert fields["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    assert fields["client_id"] == ["app:1"]
    keys = JwkSet((parse_jwk(KEY.public_jwk()),))
    signed = verify_jwt(parse_jwt(fields["client_assertion"][0]), keys, algorithms={"ES256"})
    assert (signed.header.typ, signed.header.kid) == ("JWT", "client-1")
    assert signed.claims == {
        "iss": "app:1",
        "sub": "app:1",
        "aud": ISSUER,
        "jti": "unique",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
    }


def test_a_field_may_repeat_and_values_are_encoded():
    fields = [("resource", "https://a.example/?x=1&y=2"), ("resource", "https://b.example/")]
    body = (build(NoAuthentication(), fields=fields).body or b"").decode()
    assert parse_qsl(body) == [*fields, ("client_id", "app:1")]


@pytest.mark.parametrize("client_id", ["", "a\nb", "a\x00", "é", "a" * 2049])
def test_client_ids_that_are_none(client_id):
    with pytest.raises(ConfigurationError) as caught:
        Client(client_id)
    assert (caught.value.field, caught.value.reason) == ("client_id", "bad_client_id")


def test_methods_have_their_registered_names():
    methods = [each.method for each in (NoAuthentication, SecretBasic, SecretPost, PrivateKeyJwt)]
    assert methods == ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]


@pytest.mark.parametrize(
    ("supported", "chosen"),
    [
        (None, SecretBasic),
        (("client_secret_basic",), SecretBasic),
        (("client_secret_post", "client_secret_basic"), SecretBasic),
        (("client_secret_post",), SecretPost),
        (("private_key_jwt", "client_secret_post", "none"), SecretPost),
    ],
)
def test_choosing_for_a_secret(supported, chosen):
    assert choose_authentication(supported, client_secret=SECRET, signing_key=None) == chosen(SECRET)


@pytest.mark.parametrize("supported", [None, (), ("client_secret_basic",), ("none",)])
def test_without_a_secret_the_client_is_public_listed_or_not(supported):
    assert choose_authentication(supported, client_secret=None, signing_key=None) == NoAuthentication()


def test_choosing_for_a_key():
    chosen = choose_authentication(("none", "private_key_jwt"), client_secret=None, signing_key=KEY)
    assert chosen == PrivateKeyJwt(KEY)


@pytest.mark.parametrize(
    ("supported", "secret", "key", "field", "reason"),
    [
        (("client_secret_basic", "private_key_jwt"), SECRET, KEY, "client_secret", "two_authentications"),
        (None, Secret(""), None, "client_secret", "bad_secret"),
        (None, Secret("from-a-file\n"), None, "client_secret", "bad_secret"),
        (None, Secret("not-utf8-\udcff"), None, "client_secret", "bad_secret"),
        (("none", "private_key_jwt"), SECRET, None, "client_secret", "secret_unsupported"),
        ((), SECRET, None, "client_secret", "secret_unsupported"),
        (None, None, KEY, "signing_key", "private_key_jwt_unsupported"),
        (("client_secret_basic",), None, KEY, "signing_key", "private_key_jwt_unsupported"),
    ],
)
def test_no_choice(supported, secret, key, field, reason):
    with pytest.raises(ConfigurationError) as caught:
        choose_authentication(supported, client_secret=secret, signing_key=key)
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert "nted" not in caught.value.message


@pytest.mark.parametrize(
    ("supported", "method"),
    [
        (("self_signed_tls_client_auth",), "self_signed_tls_client_auth"),
        (("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"), "tls_client_auth"),
    ],
)
def test_a_certificate_is_shown_in_tls_and_nowhere_else(supported, method):
    chosen = choose_authentication(supported, client_secret=None, signing_key=None, certificate=True)
    assert chosen == TlsCertificate(method)
    request = build(chosen)
    assert form(request)["client_id"] == ["app:1"]
    assert "authorization" not in request.headers


@pytest.mark.parametrize("supported", [None, (), ("private_key_jwt", "none")])
def test_a_provider_that_knows_no_certificates(supported):
    with pytest.raises(ConfigurationError) as refused:
        choose_authentication(supported, client_secret=None, signing_key=None, certificate=True)
    assert (refused.value.field, refused.value.reason) == ("client_certificate", "certificate_unsupported")
