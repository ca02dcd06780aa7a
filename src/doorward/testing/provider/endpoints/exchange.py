"""Tokens for tokens: RFC 8693, and RFC 7523 section 2.1. Whose token it is: this issuer's own, or a platform's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.errors import DoorwardError
from doorward.protocol.claims import audience, parse_jwt, require_string, validate_times, verify_jwt
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, parse_jwk_set
from doorward.testing.provider.endpoints.tokens import confirmation, mint_access_token
from doorward.testing.provider.store import Authorization, digest
from doorward.testing.provider.web import Refusal

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.rules import Client
    from doorward.testing.provider.web import Request

__all__ = ["platform_refusal", "token_for_assertion", "token_for_token"]

_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a kind of token


def token_for_token(core: Core, client: Client, request: Request, parameters: dict[str, str], jkt: str | None) -> Any:
    """Exchange a token (RFC 8693 section 2)."""
    if parameters.get("requested_token_type", _ACCESS_TOKEN) != _ACCESS_TOKEN:
        raise Refusal("invalid_request", "only access tokens are given here")
    if "subject_token_type" not in parameters:
        raise Refusal("invalid_request", "subject_token_type is missing")
    answer = _answer(core, client, request, parameters.get("subject_token", ""), jkt)
    answer["issued_token_type"] = _ACCESS_TOKEN
    return core.bend("token_response", answer, core.moment(client_id=client.client_id))


def token_for_assertion(
    core: Core, client: Client, request: Request, parameters: dict[str, str], jkt: str | None
) -> Any:
    """Take a JWT for a grant (RFC 7523 section 2.1)."""
    answer = _answer(core, client, request, parameters.get("assertion", ""), jkt)
    return core.bend("token_response", answer, core.moment(client_id=client.client_id))


def platform_refusal(core: Core, client: Client, token: str) -> str | None:
    """Say why a token is not what the client's platform gives it; None if it is."""
    platform = client.platform
    if platform is None:
        return "this client runs on no platform that is trusted here"
    try:
        claims = verify_jwt(parse_jwt(token), parse_jwk_set(platform.jwks), algorithms=ASYMMETRIC_ALGORITHMS).claims
        validate_times(claims, now=core.clock.now())
        told = require_string(claims, "iss"), require_string(claims, "sub"), audience(claims)
    except DoorwardError as error:
        return error.reason
    accepted = platform.audience or core.issuer
    if told[:2] != (platform.issuer, platform.subject) or accepted not in told[2]:
        return "the platform's token names another issuer, subject or audience"
    return None


def _answer(core: Core, client: Client, request: Request, token: str, jkt: str | None) -> dict[str, Any]:
    scopes = core.grant_scopes(request.parameters().get("scope", ""))
    to = request.every("audience") + request.every("resource")
    overrides = {}
    held = core.store.access_tokens.get(digest(token))
    if held is not None and held.alive(core.clock.now()) and not client.public:
        subject = str(held.claims["sub"])
        overrides = {"act": {"sub": client.client_id}}
    elif platform_refusal(core, client, token) is None:
        subject = client.client_id
    else:
        raise Refusal("invalid_grant", "the token is not good, or not for this client to exchange")
    minted, _ = mint_access_token(
        core,
        Authorization(client.client_id, subject, scopes, to),
        scopes,
        overrides={**overrides, **confirmation(jkt)},
    )
    return {
        "access_token": minted,
        "token_type": "Bearer" if jkt is None else "DPoP",
        "expires_in": core.rules.access_token_lifetime_s,
        "scope": " ".join(scopes),
    }
