"""The FAPI 2.0 Security Profile: what a provider and a client must have, all of it, or nobody signs in.

Source: FAPI 2.0 Security Profile, sections 5.3.2 and 5.4. What section 5.3.3 asks of a client, a sign-in does anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from doorward.errors import ConfigurationError
from doorward.protocol.client_auth import PrivateKeyJwt, TlsCertificate
from doorward.protocol.stronger.dpop import choose_proof_algorithm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.protocol.client_auth import ClientAuthentication
    from doorward.protocol.metadata import ProviderMetadata

__all__ = ["FAPI_ALGORITHMS", "binds_by_certificate", "hold_to_fapi2"]

FAPI_ALGORITHMS = frozenset({"PS256", "ES256", "EdDSA"})


def binds_by_certificate(metadata: ProviderMetadata, client: ClientAuthentication) -> bool:
    """Say whether the provider binds tokens to the certificate that the client has."""
    return isinstance(client, TlsCertificate) and metadata.certificate_bound_tokens


def hold_to_fapi2(metadata: ProviderMetadata, client: ClientAuthentication) -> ProviderMetadata:
    """Return the metadata without what the profile forbids.

    Raises:
        ConfigurationError: ``field`` is ``security_profile``; the message names all that is lacking, and ``reason`` the
            first: ``fapi2_client``, ``fapi2_par``, ``fapi2_pkce``, ``fapi2_iss``, ``fapi2_binding``,
            ``fapi2_signatures``.
    """
    lacking = dict(_lacking(metadata, client))
    if lacking:
        what = "; ".join(lacking.values())
        message = f"This can't be a sign-in by the FAPI 2.0 security profile: {what}."
        raise ConfigurationError(message, field="security_profile", reason=next(iter(lacking)))
    strong = metadata.id_token_signing_algorithms & FAPI_ALGORITHMS
    return msgspec.structs.replace(metadata, id_token_signing_algorithms=strong)


def _lacking(metadata: ProviderMetadata, client: ClientAuthentication) -> Iterator[tuple[str, str]]:
    signs = isinstance(client, PrivateKeyJwt) and client.key.alg in FAPI_ALGORITHMS
    if not (signs or isinstance(client, TlsCertificate)):
        yield "fapi2_client", "the client must prove itself with a key (PS256, ES256 or EdDSA) or a certificate"
    if metadata.pushed_authorization_request_endpoint is None:
        yield "fapi2_par", "the provider takes no pushed authorization requests (PAR)"
    if "S256" not in (metadata.challenge_methods or ()):
        yield "fapi2_pkce", "the provider does not announce PKCE with S256"
    if not metadata.iss_parameter_supported:
        yield "fapi2_iss", "the provider does not name itself in the callback (iss)"
    if not (binds_by_certificate(metadata, client) or choose_proof_algorithm(metadata.proof_algorithms)):
        yield "fapi2_binding", "the provider binds tokens neither to a key (DPoP) nor to the client's certificate"
    if metadata.openid and not metadata.id_token_signing_algorithms & FAPI_ALGORITHMS:
        yield "fapi2_signatures", "the provider signs ID tokens with none of PS256, ES256 and EdDSA"
