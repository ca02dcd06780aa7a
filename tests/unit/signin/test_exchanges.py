"""Which issuer the ID token of a provider with many tenants must name."""

from __future__ import annotations

import json

import pytest

from doorward.errors import MissingClaim
from doorward.protocol.claims import parse_jwt, sign_claims, verify_jwt
from doorward.protocol.jwk import generate_signing_key, parse_jwk_set
from doorward.protocol.metadata import ProviderMetadata
from doorward.signin.exchanges import issuer_of

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
