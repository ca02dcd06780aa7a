"""What a token exchange asks and what an answer must be (RFC 8693; RFC 7523 section 2.1)."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from doorward.errors import InvalidResponse
from doorward.model import HttpResponse, Secret
from doorward.protocol.client_auth import Client, ClientAssertion
from doorward.protocol.metadata import ProviderMetadata
from doorward.protocol.token_exchange import (
    build_jwt_bearer_request,
    build_token_exchange_request,
    parse_token_exchange_response,
)

METADATA = ProviderMetadata("https://id.example.org", token_endpoint="https://id.example.org/token")
CLIENT = Client("api", ClientAssertion(Secret("made.elsewhere")))
WHEN = {"now": 1000.0, "jti": "j"}
TYPE = "urn:ietf:params:oauth:token-type:"
PROOF = {
    "client_id": ["api"],
    "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
    "client_assertion": ["made.elsewhere"],
}


def form_of(request):
    assert (request.method, request.url) == ("POST", "https://id.example.org/token")
    assert "caller" not in repr(request)
    return parse_qs(request.body.decode())


def test_an_exchange_names_both_kinds_of_token():
    request = build_token_exchange_request(
        METADATA, CLIENT, Secret("caller"), audience="other", resource="https://api", scopes=["read", "write"], **WHEN
    )
    assert form_of(request) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "subject_token": ["caller"],
        "subject_token_type": [TYPE + "access_token"],
        "requested_token_type": [TYPE + "access_token"],
        "audience": ["other"],
        "resource": ["https://api"],
        "scope": ["read write"],
        **PROOF,
    }


@pytest.mark.parametrize("told", [False, True])
def test_a_jwt_is_the_grant_itself(told):
    request = build_jwt_bearer_request(METADATA, CLIENT, Secret("caller"), on_behalf_of=told, scopes=["read"], **WHEN)
    use = {"requested_token_use": ["on_behalf_of"]} if told else {}
    assert form_of(request) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "assertion": ["caller"],
        "scope": ["read"],
        **use,
        **PROOF,
    }


def answer(**members):
    body = {"access_token": "a", "token_type": "Bearer", "expires_in": 60, **members}
    request = build_token_exchange_request(METADATA, CLIENT, Secret("caller"), **WHEN)
    response = HttpResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())
    return parse_token_exchange_response(response, request=request, now=1000.0)


@pytest.mark.parametrize(
    "issued", [{}, {"issued_token_type": TYPE + "access_token"}, {"issued_token_type": TYPE + "jwt"}]
)
def test_an_access_token_is_taken(issued):
    assert answer(**issued).access_token == Secret("a")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"issued_token_type": TYPE + "refresh_token"}, "wrong_issued_token_type"),
        ({"issued_token_type": TYPE + "id_token"}, "wrong_issued_token_type"),
        ({"issued_token_type": ""}, "wrong_issued_token_type"),
        ({"issued_token_type": 7}, "wrong_member_type"),
        ({"token_type": "N_A"}, "unsupported_token_type"),
    ],
)
def test_another_kind_is_not(members, reason):
    with pytest.raises(InvalidResponse) as refused:
        answer(**members)
    assert refused.value.reason == reason
