"""The FAPI 2.0 Security Profile: each thing that is lacking has its own reason, and nothing weaker passes."""

from __future__ import annotations

import msgspec
import pytest

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.protocol.client_auth import NoAuthentication, PrivateKeyJwt, SecretBasic, TlsCertificate
from doorward.protocol.jwk import generate_signing_key
from doorward.protocol.metadata import ProviderMetadata
from doorward.protocol.stronger.fapi import binds_by_certificate, hold_to_fapi2

ISSUER = "https://id.example.org"
GOOD = ProviderMetadata(
    ISSUER,
    f"{ISSUER}/authorize",
    f"{ISSUER}/token",
    f"{ISSUER}/jwks",
    pushed_authorization_request_endpoint=f"{ISSUER}/par",
    challenge_methods=("plain", "S256"),
    iss_parameter_supported=True,
    proof_algorithms=("ES256",),
    id_token_signing_algorithms=frozenset({"RS256", "PS256"}),
)
SIGNS = PrivateKeyJwt(generate_signing_key("ES256"))
CERTIFICATE = TlsCertificate("tls_client_auth")


@pytest.mark.parametrize("client", [SIGNS, CERTIFICATE], ids=["a key", "a certificate"])
def test_what_is_left_is_strong(client):
    held = hold_to_fapi2(GOOD, client)
    assert held.id_token_signing_algorithms == {"PS256"}
    assert msgspec.structs.replace(held, id_token_signing_algorithms=GOOD.id_token_signing_algorithms) == GOOD


def test_tokens_bound_to_a_certificate_need_no_proofs():
    bound = msgspec.structs.replace(GOOD, proof_algorithms=None, certificate_bound_tokens=True)
    assert hold_to_fapi2(bound, CERTIFICATE)
    assert binds_by_certificate(bound, CERTIFICATE)
    assert not binds_by_certificate(bound, SIGNS)
    assert not binds_by_certificate(GOOD, CERTIFICATE)


def test_a_server_that_names_nobody_signs_no_id_tokens():
    assert hold_to_fapi2(msgspec.structs.replace(GOOD, openid=False, id_token_signing_algorithms=frozenset()), SIGNS)


@pytest.mark.parametrize(
    ("changes", "client", "reason"),
    [
        ({}, NoAuthentication(), "fapi2_client"),
        ({}, SecretBasic(Secret("s")), "fapi2_client"),
        ({}, PrivateKeyJwt(generate_signing_key("RS256")), "fapi2_client"),
        ({"pushed_authorization_request_endpoint": None}, SIGNS, "fapi2_par"),
        ({"challenge_methods": None}, SIGNS, "fapi2_pkce"),
        ({"challenge_methods": ("plain",)}, SIGNS, "fapi2_pkce"),
        ({"iss_parameter_supported": False}, SIGNS, "fapi2_iss"),
        ({"proof_algorithms": None}, SIGNS, "fapi2_binding"),
        ({"proof_algorithms": None, "certificate_bound_tokens": True}, SIGNS, "fapi2_binding"),
        ({"proof_algorithms": ()}, CERTIFICATE, "fapi2_binding"),
        ({"id_token_signing_algorithms": frozenset({"RS256"})}, SIGNS, "fapi2_signatures"),
    ],
)
def test_what_is_lacking_is_named(changes, client, reason):
    with pytest.raises(ConfigurationError) as refused:
        hold_to_fapi2(msgspec.structs.replace(GOOD, **changes), client)
    assert (refused.value.field, refused.value.reason) == ("security_profile", reason)


def test_all_that_is_lacking_is_named_at_once():
    with pytest.raises(ConfigurationError) as refused:
        hold_to_fapi2(ProviderMetadata(ISSUER), NoAuthentication())
    for words in ("PAR", "PKCE", "iss", "DPoP", "ID tokens", "key"):
        assert words in refused.value.message
