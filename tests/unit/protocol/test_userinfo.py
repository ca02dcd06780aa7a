"""UserInfo: asked where an ID token is thin, about its subject and nobody else, and never in the place of a token."""

from __future__ import annotations

import json

import pytest

from doorward.errors import DoorwardError, InvalidResponse, ProviderUnavailable
from doorward.model import HttpResponse, Secret
from doorward.protocol.metadata import ProviderMetadata
from doorward.protocol.userinfo import build_userinfo_request, lacks_claims, parse_userinfo_response

URL = "https://id.example.org/me"


def answer(document, media_type="application/json", status=200):
    return HttpResponse(status, {"content-type": media_type}, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("claims", "scopes", "lacking"),
    [
        ({}, ["openid"], False),
        ({}, ["openid", "offline_access", "read"], False),
        ({}, ["email"], True),
        ({"email": None}, ["email"], False),
        ({"email": "a@b"}, ["email", "profile"], True),
        ({"name": "A"}, ["profile"], False),
        ({"preferred_username": "a"}, ["profile"], False),
        ({}, ["groups"], True),
        ({"groups": []}, ["groups"], False),
    ],
)
def test_only_what_was_asked_for_and_is_not_there_is_lacking(claims, scopes, lacking):
    assert lacks_claims(claims, scopes) is lacking


def test_the_token_goes_in_a_header_alone():
    request = build_userinfo_request(ProviderMetadata("https://id.example.org", userinfo_endpoint=URL), Secret("a-t"))
    assert (request.method, request.url, request.body) == ("GET", URL, None)
    assert request.headers == {"accept": "application/json", "authorization": "Bearer a-t"}
    assert "a-t" not in repr(request)
    assert request.max_response_bytes == 64 * 1024, "a person is told of in few words"


def test_what_only_a_token_may_say_is_left_out():
    told = {"sub": "alice", "email": "a@b", "acr": "gold", "amr": ["pwd"], "auth_time": 1, "iss": "i", "nonce": "n"}
    assert parse_userinfo_response(answer(told), subject="alice", now=0) == {"sub": "alice", "email": "a@b"}


@pytest.mark.parametrize("whose", [{"sub": sub} for sub in ("Alice", "alice ", "", None, ["alice"], 7)] + [{}], ids=str)
def test_about_somebody_else_or_nobody_it_is_refused(whose):
    with pytest.raises(InvalidResponse) as refused:
        parse_userinfo_response(answer({**whose, "email": "a@b"}), subject="alice", now=0)
    assert refused.value.reason == "subject_mismatch"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer({"sub": "alice"}, "application/jwt"), "not_json"),
        (answer({"error": "invalid_token"}, status=401), "oauth_error"),
        (answer({}, status=403), "unexpected_status"),
        (HttpResponse(302, {"location": "https://evil.example"}), "redirect"),
        (answer(["alice"]), "invalid_json"),
    ],
)
def test_what_is_no_answer_is_refused(response, reason):
    with pytest.raises(DoorwardError) as refused:
        parse_userinfo_response(response, subject="alice", now=0)
    assert refused.value.reason == reason


def test_an_outage_is_one():
    with pytest.raises(ProviderUnavailable):
        parse_userinfo_response(HttpResponse(503), subject="alice", now=0)
