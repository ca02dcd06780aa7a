"""The kit of hostile tokens: named, distinct, one thing wrong each, and refused for what is wrong."""

from __future__ import annotations

import json
import re

import pytest

from doorward.errors import ConfigurationError, InvalidCredential, UnknownIssuer, UnknownKey
from doorward.guard.issuers.claim_rules import ClaimRules
from doorward.guard.issuers.issuer import Issuer
from doorward.protocol.bearer import parse_authorization_header
from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.protocol.jwk import parse_jwk_set
from doorward.testing import DevIssuer, HostileToken, hostile_tokens, hostile_variants

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
MORE_ALGORITHMS = ["RS512", "ES384", "ES512"]


@pytest.fixture(scope="module", params=ALGORITHMS + MORE_ALGORITHMS)
def issuer(request):
    with DevIssuer() as issuer:
        issuer.change(signing_algorithm=request.param)
        yield issuer


@pytest.fixture(scope="module")
def hostile(issuer):
    return hostile_tokens(issuer, audience="api", scopes=("read",), access_only=True, max_token_age_s=60)


def accept(issuer: DevIssuer, token: str) -> str:
    """A guard in five lines."""
    keys = parse_jwk_set(json.dumps({"keys": [issuer.signing_key.public_jwk()]}).encode())
    token = parse_authorization_header(f"Bearer {token}")
    signed = verify_jwt(parse_jwt(token), keys, algorithms=set(ALGORITHMS + MORE_ALGORITHMS))
    if signed.claims.get("iss") != issuer.url:
        raise UnknownIssuer("x")
    settings = {"token_type": "access", "leeway_s": 299, "max_token_age_s": 60, "insecure_loopback_http": True}
    return ClaimRules(Issuer(issuer.url, ["api"], **settings)).validate(signed, issuer.clock.now()).subject


def test_the_token_they_are_made_from_is_good(issuer):
    assert accept(issuer, issuer.issue_access_token("alice", audience="api")) == "alice"


def test_each_is_refused_for_what_is_wrong_with_it(issuer, hostile):
    verdicts = {}
    for each in hostile:
        try:
            accept(issuer, each.token)
        except InvalidCredential as error:
            verdicts[each.name] = error.code
        else:
            verdicts[each.name] = "accepted"
    assert {each.name: verdicts[each.name] for each in hostile if verdicts[each.name] not in each.refused_as} == {}


def test_they_are_many_and_no_two_are_the_same(hostile):
    assert len(hostile) > 170
    for values in ([each.name for each in hostile], [each.token for each in hostile], [each.why for each in hostile]):
        assert sorted({value for value in values if values.count(value) > 1}) == []
    for each in hostile:
        assert re.fullmatch(r"[a-z0-9_-]+", each.name)
        assert each.why
        assert each.why.isprintable()


def test_a_token_does_not_show_itself(hostile):
    assert all(each.token not in repr(each) for each in hostile if each.token)


def test_what_no_header_can_hold_says_so(hostile):
    unsendable = {each.name for each in hostile if not each.sendable}
    assert {"spelled_nul_inside", "spelled_newline_at_end", "spelled_header_smuggled", "spelled_bom"} <= unsendable
    assert {"alg_none_lower_case", "exp_past", "spelled_padded_2", "kid_nul"} & unsendable == set()
    assert all("\n" not in each.token and "\r" not in each.token for each in hostile if each.sendable)


def test_names_stay_the_same(issuer):
    first, second = (hostile_tokens(issuer, audience="api") for _ in range(2))
    assert [each.name for each in first] == [each.name for each in second]


def test_variants_need_nothing_but_a_token(issuer):
    token = issuer.issue_access_token("alice", audience="api")
    without = hostile_variants(token)
    with_keys = hostile_variants(token, jwks={"keys": [issuer.signing_key.public_jwk()]})
    added = {each.name for each in with_keys} - {each.name for each in without}
    assert added
    assert all("public_key" in name for name in added)
    for each in with_keys:
        with pytest.raises(InvalidCredential):
            accept(issuer, each.token)


def test_options_add_what_only_some_guards_refuse(issuer):
    plain = {each.name for each in hostile_tokens(issuer, audience="api")}
    more = {each.name for each in hostile_tokens(issuer, audience="api", access_only=True, max_token_age_s=60)}
    assert more - plain == {"id_token_by_type", "untyped", "too_old"}


@pytest.mark.parametrize("token", ["", "opaque", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_signed_token_has_no_variants(token):
    with pytest.raises(ConfigurationError) as caught:
        hostile_variants(token)
    assert caught.value.field == "token"


def test_keys_of_somebody_else_are_an_error(issuer):
    with pytest.raises(UnknownKey):
        hostile_variants(issuer.issue_access_token("alice", audience="api"), jwks={"keys": []})


def test_a_token_by_hand():
    assert HostileToken("a", "secret", "b", frozenset()).sendable
    assert "secret" not in repr(HostileToken("a", "secret", "b", frozenset()))
