"""Minting: from what a person allowed to the answer of the token endpoint, with every value open to the switches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from doorward.protocol.base64url import encode_base64url
from doorward.testing.provider.keys import Draft, draft_for, hash_of
from doorward.testing.provider.store import AccessToken, Grant, RefreshToken, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.testing.provider.core import Core
    from doorward.testing.provider.store import Authorization
    from doorward.testing.provider.switches import Moment

__all__ = ["confirmation", "id_token", "mint_access_token", "mint_tokens"]


def mint_tokens(
    core: Core, grant: Grant, *, grant_type: str, scopes: tuple[str, ...], refreshed: RefreshToken | None = None
) -> Any:
    """Return the token response (RFC 6749 section 5.1, OIDC Core 3.1.3.3) for a grant, and remember its tokens."""
    authorization, rules = grant.authorization, core.rules
    token, record = mint_access_token(core, authorization, scopes, grant=grant, overrides=confirmation(grant.jkt))
    response: dict[str, Any] = {
        "access_token": token,
        "token_type": "Bearer" if grant.jkt is None else "DPoP",
        "expires_in": rules.access_token_lifetime_s,
        "scope": " ".join(scopes),
    }
    moment = core.moment(client_id=authorization.client_id, grant_type=grant_type, access_token=token)
    refresh_token = _refresh_token(core, grant, record, refreshed)
    if refresh_token is not None:
        response["refresh_token"] = refresh_token
    if rules.openid and "openid" in scopes and (refreshed is None or rules.refresh_gives_id_token):
        nonce = authorization.nonce if refreshed is None or rules.refresh_repeats_nonce else None
        minted = id_token(core, authorization, scopes=scopes, nonce=nonce, moment=moment)
        if minted is not None:
            response["id_token"] = minted
    return core.bend("token_response", response, moment)


def confirmation(jkt: str | None) -> dict[str, Any]:
    """Return the claim that binds a token to a key (RFC 9449 section 6.1)."""
    return {} if jkt is None else {"cnf": {"jkt": jkt}}


def _access_token_claims(core: Core, authorization: Authorization, scopes: tuple[str, ...]) -> dict[str, Any]:
    """Return the claims of a JWT access token (RFC 9068 section 2.2)."""
    rules, now = core.rules, core.now()
    audience = authorization.audience or (rules.default_audience or core.issuer,)
    claims: dict[str, Any] = {
        "iss": core.issuer,
        "sub": authorization.subject,
        "aud": audience[0] if len(audience) == 1 else list(audience),
        "exp": now + rules.access_token_lifetime_s,
        "iat": now,
        "jti": core.random(),
        "client_id": authorization.client_id,
        "scope": " ".join(scopes),
    }
    user = core.user(authorization.subject)
    if user is not None:
        claims["auth_time"] = authorization.auth_time
        if user.groups:
            claims["groups"] = list(user.groups)
    return claims


def mint_access_token(
    core: Core,
    authorization: Authorization,
    scopes: tuple[str, ...],
    *,
    grant: Grant | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[str, AccessToken]:
    """Sign (or draw) an access token and remember it, so that introspection and revocation know it.

    ``overrides`` replace claims; one of None leaves a claim out.
    """
    rules = core.rules
    claims = _access_token_claims(core, authorization, scopes) | dict(overrides or {})
    claims = {name: value for name, value in claims.items() if value is not None}
    record = AccessToken(claims, expires_at=core.clock.now() + rules.access_token_lifetime_s, grant=grant)
    moment = core.moment(client_id=authorization.client_id)
    if rules.access_token_format == "opaque":  # noqa: S105 - a format
        token = core.random()
    else:
        typ = {"at+jwt": "at+jwt", "jwt": "JWT"}.get(rules.access_token_format)
        draft = _draft(core, core.bend("access_token_claims", claims, moment), rules.signing_algorithm, typ)
        token = _sign_draft(core.bend("access_token_draft", draft, moment))
    token = core.bend("access_token", token, moment)
    core.store.access_tokens.put(digest(token), record)
    return token, record


def id_token(
    core: Core, authorization: Authorization, *, scopes: tuple[str, ...], nonce: str | None, moment: Moment
) -> str | None:
    """Return an ID token (OIDC Core section 2), or whatever a switch made of it."""
    client = core.clients.get(authorization.client_id)
    rules, now = core.rules, core.now()
    algorithm = (client.id_token_signed_response_alg if client else None) or rules.signing_algorithm
    claims: dict[str, Any] = {
        "iss": core.issuer,
        "sub": authorization.subject,
        "aud": authorization.client_id,
        "exp": now + rules.id_token_lifetime_s,
        "iat": now,
        "auth_time": authorization.auth_time,
    }
    if nonce is not None:
        claims["nonce"] = nonce
    if moment.access_token is not None:
        claims["at_hash"] = hash_of(moment.access_token, algorithm)
    user = core.user(authorization.subject)
    if user is not None and rules.user_claims_in_id_token:
        claims = user.claims_for(frozenset(scopes)) | claims
    draft = _draft(core, core.bend("id_token_claims", claims, moment), algorithm, "JWT")
    token: str | None = core.bend("id_token", _sign_draft(core.bend("id_token_draft", draft, moment)), moment)
    return token


def _sign_draft(draft: Draft) -> str:
    """Sign whatever the draft holds: unlike the product's own ``sign_jws``, this asks no questions."""
    header = encode_base64url(json.dumps(dict(draft.header)).encode())
    signing_input = f"{header}.{encode_base64url(draft.payload)}"
    return f"{signing_input}.{encode_base64url(draft.signer(signing_input.encode()))}"


def _draft(core: Core, claims: Mapping[str, Any], algorithm: str, typ: str | None) -> Draft:
    return draft_for(core.keys.current(algorithm), json.dumps(claims).encode(), typ=typ)


def _refresh_token(core: Core, grant: Grant, access: AccessToken, refreshed: RefreshToken | None) -> str | None:
    authorization, rules = grant.authorization, core.rules
    now = core.clock.now()
    allowed = {
        "by_scope": "offline_access" in authorization.scopes,
        "by_parameter": authorization.offline,
        "always": True,
        "never": False,
    }[rules.refresh_tokens]
    client = core.clients.get(authorization.client_id)
    if not allowed or client is None or "refresh_token" not in client.grant_types:
        return None
    if refreshed is not None:
        if rules.refresh_kills_access_token:
            refreshed.access_token.revoked = True
        refreshed.access_token = access
        if rules.rotation == "same":
            return None
        refreshed.superseded_at = refreshed.superseded_at or now
    token = core.random()
    record = RefreshToken(grant=grant, expires_at=now + rules.refresh_token_lifetime_s, access_token=access)
    core.store.refresh_tokens.put(digest(token), record)
    return token
