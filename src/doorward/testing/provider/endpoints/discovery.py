"""The two documents anyone may read: the provider metadata (OIDC Discovery 1.0, RFC 8414) and the JWK Set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.testing.provider.endpoints.proofs import PROOF_ALGORITHMS
from doorward.testing.provider.rules import GRANT_TYPES
from doorward.testing.provider.web import json_reply

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.web import Reply, Request

__all__ = ["discovery", "jwks"]

_METHODS = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
_OF_OPENID = {"jwks_uri", "userinfo_endpoint", "subject_types_supported", "id_token_signing_alg_values_supported"}
_ASSERTION_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]


def discovery(core: Core, request: Request) -> Reply:
    """Answer with the provider metadata."""
    if not core.rules.openid and request.path.endswith("openid-configuration"):
        return json_reply({"error": "not_found"}, status=404)
    scopes = core.rules.allowed_scopes or ("openid", "email", "profile", "groups", "offline_access")
    metadata = {
        "issuer": core.issuer,
        "authorization_endpoint": core.endpoint("authorize"),
        "token_endpoint": core.endpoint("token"),
        "jwks_uri": core.endpoint("jwks"),
        "device_authorization_endpoint": core.endpoint("device_authorization"),
        "userinfo_endpoint": core.endpoint("userinfo"),
        "introspection_endpoint": core.endpoint("introspect"),
        "revocation_endpoint": core.endpoint("revoke"),
        "end_session_endpoint": core.endpoint("end_session"),
        "scopes_supported": list(scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(core.id_token_algorithms()),
        "token_endpoint_auth_methods_supported": _METHODS,
        "token_endpoint_auth_signing_alg_values_supported": _ASSERTION_ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": _METHODS,
        "introspection_endpoint_auth_methods_supported": _METHODS[1:],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": list(core.rules.prompts),
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
    if core.rules.pushed_requests != "not_offered":
        metadata["pushed_authorization_request_endpoint"] = core.endpoint("par")
        metadata["require_pushed_authorization_requests"] = core.rules.pushed_requests == "required"
    if core.rules.dpop != "not_offered":
        metadata["dpop_signing_alg_values_supported"] = list(PROOF_ALGORITHMS)
    if not core.rules.openid:
        metadata = {name: value for name, value in metadata.items() if name not in _OF_OPENID}
    return json_reply(core.bend("metadata", metadata))


def jwks(core: Core, _request: Request) -> Reply:
    """Answer with the public keys: those that sign now, and those that still may be needed."""
    document = core.bend("jwks", {"keys": core.keys.published(core.id_token_algorithms())})
    return json_reply(document, headers={"Cache-Control": f"public, max-age={core.rules.jwks_max_age_s}"})
