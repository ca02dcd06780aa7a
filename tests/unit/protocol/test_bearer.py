"""Bearer tokens in headers: one header, one scheme, one space, and nothing that splits a header comes out."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError, Malformed, MissingCredential
from doorward.model import Secret
from doorward.protocol.bearer import build_authorization_header, build_www_authenticate, parse_authorization_header


def test_out():
    assert build_authorization_header(Secret("a.b-c_d~e+f/g==")) == "Bearer a.b-c_d~e+f/g=="


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Auth-User: root", "a\x00", "é", "\ud800"])
def test_what_can_not_be_sent(token):
    with pytest.raises(Malformed) as caught:
        build_authorization_header(Secret(token))
    assert caught.value.reason == "unsendable_token"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_in(scheme):
    assert parse_authorization_header(f"{scheme} a.b-c_d~e+f/g==") == "a.b-c_d~e+f/g=="


def test_the_longest_token():
    assert len(parse_authorization_header("Bearer " + "a" * 16_384)) == 16_384
    with pytest.raises(Malformed) as caught:
        parse_authorization_header("Bearer " + "a" * 16_385)
    assert caught.value.reason == "token_too_long"


@pytest.mark.parametrize("values", [(), (None,), (None, None)])
def test_none(values):
    with pytest.raises(MissingCredential) as caught:
        parse_authorization_header(*values)
    assert caught.value.reason == "no_authorization"


@pytest.mark.parametrize(
    "value", ["", "Basic dXNlcjpwdw==", "Bearer.x y", "Bearers x", " Bearer x", "DPoP x", "Béarer x"]
)
def test_other_schemes(value):
    with pytest.raises(MissingCredential) as caught:
        parse_authorization_header(value)
    assert caught.value.reason == "other_scheme"


def test_two_headers():
    with pytest.raises(Malformed) as caught:
        parse_authorization_header("Bearer a", "Bearer a")
    assert caught.value.reason == "authorization_repeated"
    with pytest.raises(Malformed):
        parse_authorization_header("Bearer a, Bearer b")  # as some servers join them


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer  a",
        "Bearer\ta",
        "Bearer a ",
        "Bearer a b",
        "Bearer a\tb",
        "Bearer a\n",
        "Bearer\na",
        "Bearer a\x00",
        "Bearer é",
        "Bearer =",
        "Bearer a=b",
        "Bearer a,b",
        'Bearer "a"',
        "Bearer a;b",
        "Bearer\xa0a",
        "Bearer ' OR 1=1 --",
        "bearer, a",
    ],
)
def test_what_is_no_bearer_token(value):
    with pytest.raises(Malformed) as caught:
        parse_authorization_header(value)
    assert caught.value.reason == "bad_bearer_token"


def test_challenges():
    assert build_www_authenticate() == "Bearer"
    assert build_www_authenticate(error="invalid_token") == 'Bearer error="invalid_token"'
    assert build_www_authenticate(
        realm="api",
        error="insufficient_scope",
        error_description="more is needed",
        scopes=("read", "write"),
        resource_metadata="https://api.example.org/.well-known/oauth-protected-resource",
    ) == (
        'Bearer realm="api", error="insufficient_scope", error_description="more is needed", scope="read write", '
        'resource_metadata="https://api.example.org/.well-known/oauth-protected-resource"'
    )


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\r\nb", "é", "\x7f"])
@pytest.mark.parametrize("name", ["realm", "error_description", "resource_metadata", "scopes"])
def test_what_can_not_be_quoted(name, value):
    with pytest.raises(ConfigurationError) as caught:
        build_www_authenticate(**{name: (value,) if name == "scopes" else value})
    assert caught.value.reason == "unquotable"
