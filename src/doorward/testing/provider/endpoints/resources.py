"""The endpoints that take a token: introspection (RFC 7662), revocation (RFC 7009), userinfo (OIDC Core 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.testing.provider.endpoints.client_auth import authenticate_client
from doorward.testing.provider.endpoints.proofs import check_proof
from doorward.testing.provider.store import digest
from doorward.testing.provider.web import Refusal, Reply, json_reply

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.web import Request

__all__ = ["introspect", "revoke", "userinfo"]


def introspect(core: Core, request: Request) -> Reply:
    """Say whether a token is good now, to a client that proves who it is."""
    try:
        return json_reply(_introspect(core, request))
    except Refusal as refusal:
        return _error(refusal)


def revoke(core: Core, request: Request) -> Reply:
    """End a token; with a refresh token its whole family. Unknown tokens are no error (RFC 7009 section 2.2)."""
    try:
        client = authenticate_client(core, request)
        token = _token_parameter(request)
    except Refusal as refusal:
        return _error(refusal)
    refresh = core.store.refresh_tokens.get(digest(token))
    if refresh is not None and refresh.grant.authorization.client_id == client.client_id:
        refresh.grant.revoked = True
    access = core.store.access_tokens.get(digest(token))
    if access is not None and access.claims.get("client_id") == client.client_id:
        access.revoked = True
    return Reply(content_type="text/plain", headers=(("Cache-Control", "no-store"),))


def userinfo(core: Core, request: Request) -> Reply:
    """Return the claims that the access token's scopes release."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in {"bearer", "dpop"} or not token:
        return _error(Refusal("invalid_request", status=401, headers={"WWW-Authenticate": "Bearer"}))
    access = core.store.access_tokens.get(digest(token))
    if access is None or not access.alive(core.clock.now()):
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return _error(Refusal("invalid_token", status=401, headers=headers))
    bound_to = access.claims.get("cnf", {}).get("jkt")
    try:
        proven = check_proof(core, request, "userinfo", token=token, status=401) if scheme.lower() == "dpop" else None
    except Refusal as refusal:
        return _error(refusal)
    if bound_to != proven:
        headers = {"WWW-Authenticate": 'DPoP error="invalid_token"'}
        return _error(Refusal("invalid_token", "the token is bound to another key", status=401, headers=headers))
    scopes = frozenset(str(access.claims.get("scope", "")).split())
    user = core.user(str(access.claims.get("sub")))
    if user is None or "openid" not in scopes:
        headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="openid"'}
        return _error(Refusal("insufficient_scope", status=403, headers=headers))
    claims = {**user.claims_for(scopes), "sub": user.subject}
    return json_reply(core.bend("userinfo", claims, core.moment(client_id=str(access.claims.get("client_id")))))


def _introspect(core: Core, request: Request) -> dict[str, Any]:
    if authenticate_client(core, request).public:
        raise Refusal("invalid_client", "introspection needs a client that authenticates", status=401)
    token, now = _token_parameter(request), core.clock.now()
    access = core.store.access_tokens.get(digest(token))
    if access is not None and access.alive(now):
        return {"active": True, "token_type": "Bearer", **access.claims}
    refresh = core.store.refresh_tokens.get(digest(token))
    superseded = refresh is not None and refresh.superseded_at is not None and core.rules.rotation == "rotate"
    if refresh is None or refresh.grant.revoked or refresh.expires_at <= now or superseded:
        return {"active": False}
    authorization = refresh.grant.authorization
    return {
        "active": True,
        "iss": core.issuer,
        "sub": authorization.subject,
        "client_id": authorization.client_id,
        "scope": " ".join(authorization.scopes),
        "exp": int(refresh.expires_at),
    }


def _token_parameter(request: Request) -> str:
    token = request.parameters().get("token")
    if token is None:
        raise Refusal("invalid_request", "token is missing")
    return token


def _error(refusal: Refusal) -> Reply:
    document = {"error": refusal.error}
    if refusal.description:
        document["error_description"] = refusal.description
    return json_reply(document, status=refusal.status, headers=refusal.headers)
