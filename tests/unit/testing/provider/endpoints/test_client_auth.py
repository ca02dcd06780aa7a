"""How clients prove who they are."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus

import pytest

from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key

SECRET = "p%ss: wörd+/&"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def web(issuer):
    return issuer.add_client("web app", secret=SECRET)


def basic(client_id: str, secret: str) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def test_basic_is_form_encoded_first(web, caller):
    answer = caller.post("/token", headers=basic("web app", SECRET), grant_type="client_credentials")
    assert answer.status == 200
    raw = base64.b64encode(f"web app:{SECRET}".encode()).decode()
    answer = caller.post("/token", headers={"Authorization": f"Basic {raw}"}, grant_type="client_credentials")
    assert answer.status == 401


def test_post(web, caller):
    form = {"client_id": "web app", "client_secret": SECRET, "grant_type": "client_credentials"}
    assert caller.post("/token", **form).status == 200


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        (basic("web app", "wrong"), {}),
        (basic("stranger", SECRET), {}),
        ({"Authorization": "Basic !!!"}, {}),
        ({"Authorization": "Basic " + base64.b64encode(b"no colon").decode()}, {}),
        ({"Authorization": "Bearer abc"}, {}),
        ({}, {"client_id": "web app", "client_secret": "wrong"}),
        ({}, {"client_id": "web app"}),
        ({}, {"client_id": "cli", "client_secret": "anything"}),
        (basic("cli", "anything"), {}),
    ],
)
def test_whoever_does_not_prove_it_is_refused(headers, form, web, caller):
    answer = caller.post("/token", headers=headers, grant_type="client_credentials", **form)
    assert answer.status == 401
    assert answer.json["error"] == "invalid_client"
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_one_way_at_a_time(web, caller):
    form = {"client_id": "web app", "client_secret": SECRET, "grant_type": "client_credentials"}
    answer = caller.post("/token", headers=basic("web app", SECRET), **form)
    assert answer.json["error"] == "invalid_request"
    answer = caller.post("/token", headers=basic("web app", SECRET), client_id="cli", grant_type="client_credentials")
    assert answer.json["error"] == "invalid_request"


def test_a_client_may_be_held_to_one_method(issuer, caller):
    issuer.add_client("orcid", secret="s", methods=["client_secret_post"])
    assert caller.post("/token", headers=basic("orcid", "s"), grant_type="client_credentials").status == 401
    form = {"client_id": "orcid", "client_secret": "s", "grant_type": "client_credentials"}
    assert caller.post("/token", **form).status == 200


@pytest.fixture
def key():
    return generate_signing_key("ES256", kid="client-key")


@pytest.fixture
def assertion(issuer, clock, key):
    issuer.add_client("service", jwks=json.dumps({"keys": [key.public_jwk()]}).encode())

    def make(signing_key=key, **changes):
        claims = {
            "iss": "service",
            "sub": "service",
            "aud": issuer.url,
            "jti": "jti-1",
            "iat": int(clock.now()),
            "exp": int(clock.now()) + 60,
            **changes,
        }
        return sign_claims({name: value for name, value in claims.items() if value is not None}, signing_key)

    return make


def send(caller, assertion, **changes):
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return caller.post("/token", **{**form, **changes})


def test_private_key_jwt_to_the_issuer_or_to_the_token_endpoint(issuer, caller, assertion):
    assert send(caller, assertion()).status == 200
    assert send(caller, assertion(jti="jti-2", aud=[f"{issuer.url}/token"]), client_id="service").status == 200


def test_an_assertion_works_once(caller, assertion):
    once = assertion()
    assert send(caller, once).status == 200
    answer = send(caller, once)
    assert answer.status == 401
    assert answer.json["error_description"] == "the client assertion was used before"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "stranger"},
        {"sub": "somebody-else"},
        {"aud": "https://somewhere.example.org"},
        {"aud": None},
        {"jti": None},
        {"exp": None},
        {"exp": 1},
        {"exp": 1_800_086_400},
        {"nbf": 1_800_086_400},
    ],
)
def test_a_wrong_assertion_is_refused(changes, caller, assertion):
    answer = send(caller, assertion(**changes))
    assert answer.status == 401
    assert answer.json["error"] == "invalid_client"


def test_an_assertion_of_another_key_is_refused(caller, assertion):
    other = generate_signing_key("ES256", kid="client-key")
    assert "bad_signature" in send(caller, assertion(other)).json["error_description"]


def test_an_assertion_says_its_type_and_its_client(caller, assertion):
    assert send(caller, assertion(), client_assertion_type="other").json["error"] == "invalid_request"
    assert send(caller, assertion(), client_id="cli").json["error"] == "invalid_client"
    assert send(caller, "not.a.jwt").json["error"] == "invalid_client"
