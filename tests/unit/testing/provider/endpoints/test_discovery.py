"""The two documents."""

from __future__ import annotations

import pytest

from doorward.protocol.jwk import parse_jwk_set
from doorward.protocol.metadata import check_issuer_url
from doorward.testing import DevIssuer


@pytest.mark.parametrize(
    ("path", "trailing_slash"), [("", False), ("", True), ("/realms/x", False), ("/realms/x", True)]
)
def test_the_metadata_names_the_issuer_as_it_was_given(path, trailing_slash, new_caller):
    with DevIssuer(path=path, trailing_slash=trailing_slash) as issuer:
        answer = new_caller(issuer).get("/.well-known/openid-configuration")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json["issuer"] == issuer.url
        assert issuer.url.endswith(path + ("/" if trailing_slash else ""))
        check_issuer_url(issuer.url, insecure_loopback_http=True)
        for name in ("token_endpoint", "jwks_uri", "authorization_endpoint", "end_session_endpoint"):
            assert answer.json[name].startswith(issuer.url.rstrip("/") + "/")


def test_rfc_8414_puts_the_well_known_part_first(new_caller):
    with DevIssuer(path="/realms/x") as issuer:
        caller = new_caller(issuer)
        answer = caller.get("/.well-known/openid-configuration")
        assert caller.get("//.well-known/oauth-authorization-server/realms/x").json == answer.json


def test_the_key_set_holds_one_usable_key_for_each_algorithm(new_caller):
    with DevIssuer() as issuer:
        issuer.add_client("ps", id_token_signed_response_alg="PS256")
        issuer.add_client("es", id_token_signed_response_alg="ES256")
        issuer.add_client("ed", id_token_signed_response_alg="EdDSA")
        caller = new_caller(issuer)
        metadata = caller.get("/.well-known/openid-configuration").json
        answer = caller.get("/jwks")
    assert metadata["id_token_signing_alg_values_supported"] == ["RS256", "PS256", "ES256", "EdDSA"]
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys = parse_jwk_set(answer.body)
    assert not keys.rejected
    assert [set(key.algorithms) for key in keys.keys] == [{"RS256"}, {"PS256"}, {"ES256"}, {"EdDSA"}]
    assert len({key.kid for key in keys.keys}) == 4


def test_two_issuers_have_keys_of_the_same_name_and_other_content(issuer, caller, new_caller):
    with DevIssuer(rules=issuer.rules) as other:
        ours, theirs = caller.get("/jwks").json["keys"][0], new_caller(other).get("/jwks").json["keys"][0]
    assert ours["kid"] == theirs["kid"]
    assert ours["x"] != theirs["x"]
