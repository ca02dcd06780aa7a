"""Where a credential may be, which one counts, and what a cookie alone opens."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError, Forbidden
from doorward.integrations.gate.credential_places import CredentialPlaces, websocket_tokens, without_websocket_tokens

ALL = ("authorization", "header:X-API-Key", "cookie:__Host-session", "websocket-protocol")


def http(method="GET", **headers):
    given = [(name.replace("_", "-").encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    return {"type": "http", "method": method, "scheme": "https", "headers": given}


def websocket(*protocols, **headers):
    return {**http(**headers), "type": "websocket", "scheme": "wss", "subprotocols": list(protocols)}


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (http(), None),
        (http(authorization="Bearer a"), "Bearer a"),
        (http(authorization="Basic a"), "Basic a"),
        (http(x_api_key="dw_k"), "Bearer dw_k"),
        (http(x_api_key="Bearer dw_k"), "Bearer dw_k"),
        (http(cookie="a=b; __Host-session=t; c=d"), "Bearer t"),
        (http(cookie="session=t"), None),
        *[(http(cookie=f"{blank}__Host-session=t"), None) for blank in ("\xa0", "\x85", "\x0b", "\x1f", "\u3000")],
        (websocket("bearer", "t"), "Bearer t"),
        (websocket("chat", "bearer", "t"), "Bearer t"),
        (websocket("bearer"), "Bearer "),
        (websocket("bearer", "t", "bearer", "t"), "Bearer t"),
        (websocket("bearer", "t", "bearer", "u"), "Bearer t, Bearer u"),
        (websocket("chat"), None),
        # the same one twice is one
        (http(authorization="Bearer a", x_api_key="a"), "Bearer a"),
        # two that differ are a list, which no guard takes
        (http(authorization="Bearer a", x_api_key="b"), "Bearer a, Bearer b"),
        (websocket("bearer", "t", authorization="Bearer a"), "Bearer a, Bearer t"),
        (http(cookie="__Host-session=t; __Host-session=u"), "Bearer t, Bearer u"),
        # a cookie comes along by itself, so it does not count beside what somebody put there
        (http(authorization="Bearer a", cookie="__Host-session=t"), "Bearer a"),
    ],
)
def test_which_one_counts(scope, found):
    assert CredentialPlaces(ALL).find(scope) == found


def test_a_place_that_was_not_named_holds_nothing():
    places = CredentialPlaces(["header:x-goog-iap-jwt-assertion"])
    assert places.find(http(authorization="Bearer a", x_api_key="b", cookie="__Host-session=t")) is None
    assert places.find(websocket("bearer", "t")) is None
    assert places.find(http(x_goog_iap_jwt_assertion="j")) == "Bearer j"


COOKIE = {"cookie": "__Host-session=t", "host": "api.example.org"}
HERE, THERE = "https://api.example.org", "https://evil.example"


@pytest.mark.parametrize(
    "scope",
    [
        http("GET", **COOKIE, sec_fetch_site="cross-site"),
        http("HEAD", **COOKIE, origin=THERE),
        http("POST", **COOKIE, sec_fetch_site="same-origin"),
        http("POST", **COOKIE, sec_fetch_site="none"),
        http("DELETE", **COOKIE, origin=HERE),
        http("POST", **COOKIE, origin="https://app.example.org", sec_fetch_site="same-site"),
        websocket(**COOKIE, origin=HERE),
        websocket(**COOKIE, origin=HERE, sec_fetch_site="same-origin"),
    ],
)
def test_a_cookie_opens_what_the_pages_of_this_site_ask_for(scope):
    places = CredentialPlaces(ALL, allowed_origins=["https://app.example.org"])
    assert places.find(scope) == "Bearer t"


@pytest.mark.parametrize(
    "scope",
    [
        http("POST", **COOKIE),
        http("POST", **COOKIE, origin=THERE),
        http("POST", **COOKIE, origin="null"),
        http("POST", **COOKIE, origin="http://api.example.org:8080"),
        http("POST", **COOKIE, origin="https://api.example.org.evil.example"),
        http("POST", **COOKIE, origin="https://other.example.org", sec_fetch_site="same-site"),
        http("POST", **COOKIE, origin=HERE, sec_fetch_site="cross-site"),
        http("PATCH", **COOKIE, sec_fetch_site="cross-site"),
        http("TRACE", **COOKIE),
        websocket(**COOKIE),
        websocket(**COOKIE, origin=THERE),
        websocket(**COOKIE, origin=THERE, sec_fetch_site="cross-site"),
    ],
)
def test_a_cookie_opens_nothing_to_what_another_site_may_have_made(scope):
    with pytest.raises(Forbidden) as caught:
        CredentialPlaces(ALL, allowed_origins=["https://app.example.org"]).find(scope)
    assert caught.value.reason == "cross_site_request"


def test_an_application_never_sees_the_token_among_the_subprotocols():
    offered = ["chat", "bearer", "t", "v2", "bearer", "u"]
    scope = websocket(*offered, sec_websocket_protocol=", ".join(offered), host="x")
    tokens, others = websocket_tokens(scope)
    assert (tokens, others) == (["t", "u"], ["chat", "v2"])
    assert without_websocket_tokens(scope, others) == {
        "subprotocols": ["chat", "v2"],
        "headers": [(b"host", b"x"), (b"sec-websocket-protocol", b"chat, v2")],
    }
    alone = websocket("bearer", "t", sec_websocket_protocol="bearer, t")
    assert without_websocket_tokens(alone, []) == {"subprotocols": [], "headers": []}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"places": "authorization"}, "not_a_list"),
        ({"places": []}, "not_a_list"),
        ({"places": ["query:token"]}, "unknown_place"),
        ({"places": ["header:"]}, "unknown_place"),
        ({"places": ["cookie:a b"]}, "unknown_place"),
        ({"allowed_origins": "https://x"}, "not_a_list"),
        ({"allowed_origins": ["https://x/"]}, "not_an_origin"),
        ({"allowed_origins": ["*"]}, "not_an_origin"),
    ],
)
def test_settings_that_are_wrong(settings, reason):
    with pytest.raises(ConfigurationError) as caught:
        CredentialPlaces(**settings)
    assert caught.value.reason == reason


def test_only_pages_of_the_web_are_origins():
    with pytest.raises(ConfigurationError) as refused:
        CredentialPlaces(["cookie:session"], allowed_origins=["ftp://app.example.org"])
    assert refused.value.reason == "not_an_origin"
