"""Proofs (RFC 9449): what is signed, by the RFC's own examples where it has some, and what servers say to them."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from doorward.model import HttpResponse, Secret
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import SigningKey, generate_signing_key, parse_jwk
from doorward.protocol.stronger.dpop import (
    PROOF_ALGORITHMS,
    build_proof,
    choose_proof_algorithm,
    demands_proof,
    nonce_of,
    proof_refusal,
    thumbprint,
)

KEY = generate_signing_key("ES256", kid="its name stays here")
OF_THE_RFC = Secret("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")  # section 7.1


def opened(proof):
    header, payload, signature = proof.split(".")
    parts = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, payload))
    return *parts, f"{header}.{payload}".encode(), base64.urlsafe_b64decode(signature + "==")


def proof(key=KEY, **changes):
    said = {"method": "POST", "url": "https://id.example.org/token", "now": 1562262616.9, "jti": "j"}
    return build_proof(key, **said | changes)


@pytest.mark.parametrize("alg", PROOF_ALGORITHMS)
def test_a_proof_is_signed_by_the_key_that_it_holds(alg):
    key = generate_signing_key(alg)
    header, claims, signed, signature = opened(proof(key))
    ALGORITHMS[alg].verify(parse_jwk(header["jwk"]).public_key, signature, signed)
    assert (header["typ"], header["alg"]) == ("dpop+jwt", alg)
    assert not {"d", "p", "q", "kid", "use", "alg"} & header["jwk"].keys()
    assert claims == {"jti": "j", "htm": "POST", "htu": "https://id.example.org/token", "iat": 1562262616}


def test_the_key_keeps_its_name():
    header, *_ = opened(proof())
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}


def test_what_is_bound_to_a_token_and_a_nonce():
    _, claims, *_ = opened(proof(access_token=OF_THE_RFC, nonce="eyJ7S_zG.eyJH0-Z.HX4w-7v"))
    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"  # section 7.1
    assert claims["nonce"] == "eyJ7S_zG.eyJH0-Z.HX4w-7v"


@pytest.mark.parametrize(
    ("url", "htu"),
    [
        ("https://id.example.org", "https://id.example.org/"),
        ("HTTPS://ID.Example.org:443/Token", "https://id.example.org/Token"),
        ("https://id.example.org:8443/token?a=b#c", "https://id.example.org:8443/token"),
        ("http://127.0.0.1:80/a%2Fb", "http://127.0.0.1/a%2Fb"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
    ],
)
def test_the_url_as_its_receiver_will_write_it(url, htu):
    assert opened(proof(url=url))[1]["htu"] == htu


def test_a_thumbprint():
    members = {name: value for name, value in KEY.public_jwk().items() if name in {"crv", "kty", "x", "y"}}
    canonical = json.dumps(dict(sorted(members.items())), separators=(",", ":")).encode()
    assert thumbprint(KEY) == base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("announced", "chosen"),
    [
        (("RS256", "ES256"), "ES256"),
        (("PS256", "EdDSA"), "EdDSA"),
        (("RS256",), "RS256"),
        (("HS256", "none", "ES256K"), None),
        ((), None),
        (None, None),
    ],
)
def test_which_algorithm(announced, chosen):
    assert choose_proof_algorithm(announced) == chosen


@pytest.mark.parametrize("nonce", ["abc", "eyJ7S_zG.eyJH0-Z.HX4w-7v", "!"])
def test_a_nonce(nonce):
    assert nonce_of(HttpResponse(200, {"dpop-nonce": nonce})) == nonce


@pytest.mark.parametrize("nonce", ["", 'a"b', "a b", "a\\b", "a\nb", "é", "a" * 1025])
def test_no_nonce_that_a_header_could_not_hold(nonce):
    assert nonce_of(HttpResponse(200, {"dpop-nonce": nonce})) is None


def refusal(status, body=b"", challenge=""):
    return proof_refusal(HttpResponse(status, {"www-authenticate": challenge}, body))


@pytest.mark.parametrize("error", ["use_dpop_nonce", "invalid_dpop_proof"])
def test_why_a_proof_was_refused(error):
    body = json.dumps({"error": error}).encode()
    assert refusal(400, body) == refusal(401, body) == error
    assert refusal(401, challenge=f'DPoP error="{error}", error_description="…"') == error
    assert refusal(401, challenge=f'Bearer, DPoP algs="ES256", error={error}') == error


@pytest.mark.parametrize(
    ("status", "body", "challenge"),
    [
        (200, b'{"error": "use_dpop_nonce"}', ""),
        (500, b'{"error": "use_dpop_nonce"}', ""),
        (400, b'{"error": "invalid_grant"}', ""),
        (400, b'{"error": ["use_dpop_nonce"]}', ""),
        (400, b"<html>use_dpop_nonce", ""),
        (401, b"{}", 'Bearer error="use_dpop_nonce"'),
        (401, b"{}", 'DPoP error="invalid_token"'),
    ],
)
def test_other_answers_are_about_something_else(status, body, challenge):
    assert refusal(status, body, challenge) is None


@pytest.mark.parametrize(
    ("error", "description", "demanded"),
    [
        ("invalid_dpop_proof", "", True),
        ("use_dpop_nonce", "", True),
        ("invalid_grant", "DPoP proof JWT not provided", True),
        ("invalid_request", "dpop header missing", True),
        ("invalid_grant", "the code has expired", False),
    ],
)
def test_what_demands_a_proof(error, description, demanded):
    assert demands_proof(error, description) is demanded


def test_a_key_that_was_kept_signs_as_before():
    again = SigningKey.from_pem(KEY.to_pem().reveal().encode(), alg="ES256")
    assert thumbprint(again) == thumbprint(KEY)
    assert "PRIVATE" not in f"{KEY!r} {KEY.to_pem()!r}"
