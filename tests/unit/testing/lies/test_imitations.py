"""Each imitated provider still signs people in."""

from __future__ import annotations

import pytest

from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, parse_jwk_set
from doorward.testing import HABITS, IMITATIONS


@pytest.mark.parametrize("provider", IMITATIONS)
def test_a_sign_in_and_a_refresh_as_the_provider_wants_them(provider, issuer, caller):
    assert set(IMITATIONS[provider]) <= set(HABITS)
    issuer.adopt(*IMITATIONS[provider])
    metadata = caller.get("/.well-known/openid-configuration").json
    wanted = {"access_type": "offline", "scope": "openid email"}
    tokens = caller.sign_in(**(wanted if provider in {"cognito", "globus", "google"} else {}))
    keys = parse_jwk_set(caller.get("/jwks").body)
    algorithms = ASYMMETRIC_ALGORITHMS.intersection(metadata["id_token_signing_alg_values_supported"])
    signed = verify_jwt(parse_jwt(tokens["id_token"]), keys, algorithms=algorithms)
    assert signed.claims["sub"] == "alice"
    refreshed = caller.refresh(tokens["refresh_token"], redirect_uri="http://127.0.0.1:1/callback")
    assert refreshed.status == 200
    assert refreshed.json["access_token"] != tokens["access_token"]
