"""Which issuer the ID token of a provider with many tenants must name."""

from __future__ import annotations

import json

import pytest

from doorward.errors import Expired, InvalidCredential, MissingClaim
from doorward.http.exchange import run
from doorward.model import HttpResponse, Secret, TokenSet
from doorward.protocol.claims import parse_jwt, sign_claims, verify_jwt
from doorward.protocol.jwk import generate_signing_key, parse_jwk_set
from doorward.protocol.metadata import ProviderMetadata
from doorward.signin.exchanges import issuer_of, telling_clock_skew, verify_id_token

TEMPLATE = "https://login.example.com/{tenantid}/v2.0"
OWN, OTHER = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
KEY = generate_signing_key("EdDSA", kid="k")


def named_by(issuer, **claims):
    keys = parse_jwk_set(json.dumps({"keys": [KEY.public_jwk()]}).encode())
    signed = verify_jwt(parse_jwt(sign_claims(claims, KEY)), keys, algorithms={"EdDSA"})
    return issuer_of(ProviderMetadata(issuer, issuer, f"{issuer}/t", f"{issuer}/keys"), signed)


def of_tenant(tenant):
    return TEMPLATE.replace("{tenantid}", tenant)


def test_that_of_its_own_tenant():
    assert named_by(TEMPLATE, tid=OWN, iss=of_tenant(OWN)) == of_tenant(OWN)
    assert named_by("https://id.example.org", tid=OWN, iss="x") == "https://id.example.org"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": of_tenant(OWN)},
        {"tid": OWN},
        {"tid": OWN, "iss": of_tenant(OTHER)},
        {"tid": 7, "iss": of_tenant("7")},
        {"tid": "{tenantid}", "iss": TEMPLATE},
        {"tid": "common", "iss": of_tenant("common")},
        {"tid": f"{OWN}/../x", "iss": of_tenant(f"{OWN}/../x")},
        {"tid": "", "iss": of_tenant("")},
    ],
)
def test_a_tenant_that_is_none_or_another_is_refused(claims):
    with pytest.raises(MissingClaim) as caught:
        named_by(TEMPLATE, **claims)
    assert caught.value.reason == "tenant_missing"


def verified(token, keys, *, algorithms=frozenset({"EdDSA"}), newer=None):
    """Verify an ID token; return its claims, and how often keys were asked for."""
    metadata = ProviderMetadata(ISSUER, ISSUER, f"{ISSUER}/t", f"{ISSUER}/keys", id_token_signing_algorithms=algorithms)
    asked = []

    class Keys:
        def send(self, request):
            asked.append(request.url)
            body = json.dumps({"keys": [each.public_jwk() for each in newer or ()]}).encode()
            return HttpResponse(200, {"content-type": "application/json"}, body)

    held = None if keys is None else parse_jwk_set(json.dumps({"keys": [each.public_jwk() for each in keys]}).encode())
    try:
        return run(verify_id_token(Secret(token), metadata, held, now=0.0), Keys()).claims, len(asked)
    except InvalidCredential as refused:
        return refused.reason, len(asked)


ISSUER = "https://id.example.org"
NEW = generate_signing_key("EdDSA", kid="new")
IMPOSTOR = generate_signing_key("EdDSA", kid="k")


@pytest.mark.parametrize(
    ("signer", "keys", "newer", "outcome"),
    [
        (KEY, [KEY], None, ({"sub": "a"}, 0)),
        (KEY, None, [KEY], ({"sub": "a"}, 1)),
        (NEW, [KEY], [NEW], ({"sub": "a"}, 1)),  # of a key that came after the ones that were fetched
        (NEW, [KEY], [KEY], ("unknown_kid", 1)),
        (IMPOSTOR, [KEY], [IMPOSTOR], ("bad_signature", 0)),  # nothing that newer keys could mend
        (KEY, [KEY, IMPOSTOR], [KEY], ("ambiguous_kid", 0)),
    ],
)
def test_keys_are_fetched_once_more_for_a_kid_that_is_unknown_and_for_nothing_else(signer, keys, newer, outcome):
    assert verified(sign_claims({"sub": "a"}, signer), keys, newer=newer) == outcome


def test_an_algorithm_that_the_provider_does_not_announce_is_refused():
    assert verified(sign_claims({"sub": "a"}, KEY), [KEY], algorithms=frozenset({"RS256"})) == ("alg_not_allowed", 0)


def test_a_long_id_token_is_read():
    claims = {"sub": "a", "picture": "x" * 100_000}
    assert verified(sign_claims(claims, KEY), [KEY]) == (claims, 0)
    assert verified(sign_claims({**claims, "more": "x" * 200_000}, KEY), [KEY])[0] == "token_too_long"


@pytest.mark.parametrize(
    ("skew_s", "told"), [(None, ""), (30, ""), (-30, ""), (31, "31 s ahead"), (-90, "90 s behind")]
)
def test_a_clock_that_is_wrong_is_told_of_where_a_time_does_not_hold(skew_s, told):
    tokens = TokenSet(Secret("at"), 0.0, clock_skew_s=skew_s)
    with pytest.raises(Expired) as refused, telling_clock_skew(tokens):
        raise Expired("It has expired.")
    assert ("clock" in refused.value.message) == bool(told)
    assert told in refused.value.message
