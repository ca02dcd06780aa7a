"""The token endpoint and the device authorization endpoint: RFC 6749 sections 4.1.3, 4.4, 6; RFC 7636; RFC 8628."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from doorward.protocol.base64url import encode_base64url
from doorward.protocol.token_exchange import JWT_BEARER, TOKEN_EXCHANGE
from doorward.testing.provider.endpoints.client_auth import authenticate_client
from doorward.testing.provider.endpoints.exchange import token_for_assertion, token_for_token
from doorward.testing.provider.endpoints.proofs import check_proof, next_nonce
from doorward.testing.provider.endpoints.tokens import confirmation, mint_access_token, mint_tokens
from doorward.testing.provider.rules import DEVICE_CODE_GRANT
from doorward.testing.provider.store import Authorization, Device, Grant, digest
from doorward.testing.provider.web import Refusal, json_reply

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.rules import Client
    from doorward.testing.provider.web import Reply, Request

__all__ = ["GRANTS", "device_authorization", "token"]

_USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words (RFC 8628 section 6.1)
_SLOW_DOWN_S = 5


def token(core: Core, request: Request) -> Reply:
    """Exchange a grant for tokens."""
    try:
        return json_reply(_exchange(core, request), headers={"Pragma": "no-cache", **next_nonce(core, request)})
    except Refusal as refusal:
        grant_type = next((value for name, value in request.form if name == "grant_type"), "")
        return _error(core, refusal, grant_type=grant_type)


def device_authorization(core: Core, request: Request) -> Reply:
    """Give a device its codes (RFC 8628 section 3.2)."""
    try:
        return json_reply(_device_codes(core, request))
    except Refusal as refusal:
        return _error(core, refusal)


def _exchange(core: Core, request: Request) -> Any:
    parameters = request.parameters()
    client = authenticate_client(core, request)
    grant_type = parameters.get("grant_type", "")
    if grant_type not in GRANTS:
        raise Refusal("unsupported_grant_type", "this issuer does not know the grant type")
    if grant_type not in client.grant_types:
        raise Refusal("unauthorized_client", "this client may not use the grant type")
    jkt = check_proof(core, request, "token")
    if jkt is None and core.rules.dpop == "required":
        raise Refusal("invalid_dpop_proof", "a proof is missing")
    return GRANTS[grant_type](core, client, request, parameters, jkt)


def _device_codes(core: Core, request: Request) -> Any:
    parameters = request.parameters()
    client = authenticate_client(core, request)
    if DEVICE_CODE_GRANT not in client.grant_types:
        raise Refusal("unauthorized_client", "this client may not use the device flow")
    scopes = core.grant_scopes(parameters.get("scope", ""))
    rules, device_code = core.rules, core.random()
    device = Device(
        client_id=client.client_id,
        user_code=_user_code(core),
        scopes=scopes,
        audience=request.every("audience") + request.every("resource"),
        expires_at=core.clock.now() + rules.device_code_lifetime_s,
        interval_s=rules.device_interval_s,
    )
    core.store.devices.put(digest(device_code), device)
    answer = {
        "device_code": device_code,
        "user_code": device.user_code,
        "verification_uri": core.endpoint("device"),
        "verification_uri_complete": f"{core.endpoint('device')}?user_code={device.user_code}",
        "expires_in": rules.device_code_lifetime_s,
        "interval": rules.device_interval_s,
    }
    return core.bend("device_authorization", answer, core.moment(client_id=client.client_id))


def _authorization_code(
    core: Core, client: Client, _request: Request, parameters: dict[str, str], jkt: str | None
) -> Any:
    code = core.store.codes.get(digest(parameters.get("code", "")))
    if code is None or code.authorization.client_id != client.client_id:
        raise Refusal("invalid_grant", "unknown code")
    if code.grant is not None:
        code.grant.revoked = True  # RFC 6749 section 4.1.2: a code that comes twice ends what it gave
        raise Refusal("invalid_grant", "the code was used before")
    if code.expires_at <= core.clock.now():
        raise Refusal("invalid_grant", "the code has expired")
    if parameters.get("redirect_uri") != code.authorization.redirect_uri:
        raise Refusal("invalid_grant", "redirect_uri is not the one of the authorization request")
    _check_verifier(code.code_challenge, parameters.get("code_verifier"))
    if code.authorization.dpop_jkt not in {None, jkt}:
        raise Refusal("invalid_grant", "the code is bound to another key")
    code.grant = Grant(code.authorization, jkt=jkt)
    return mint_tokens(core, code.grant, grant_type="authorization_code", scopes=code.authorization.scopes)


def _check_verifier(challenge: str | None, verifier: str | None) -> None:
    if challenge is None:
        if verifier is not None:
            raise Refusal("invalid_grant", "code_verifier without a code_challenge")  # RFC 9700 section 4.8.2
        return
    if verifier is None:
        raise Refusal("invalid_grant", "code_verifier is missing")
    made = encode_base64url(hashlib.sha256(verifier.encode()).digest())
    if not hmac.compare_digest(made, challenge):
        raise Refusal("invalid_grant", "code_verifier does not belong to the code_challenge")


def _refresh_token(core: Core, client: Client, _request: Request, parameters: dict[str, str], jkt: str | None) -> Any:
    rules, now = core.rules, core.clock.now()
    refresh = core.store.refresh_tokens.get(digest(parameters.get("refresh_token", "")))
    if refresh is None or refresh.grant.authorization.client_id != client.client_id:
        raise _dead_refresh_token(core, "unknown")
    if refresh.grant.jkt != jkt:
        raise Refusal("invalid_dpop_proof", "the refresh token is bound to another key, or to none")
    if refresh.grant.revoked:
        raise _dead_refresh_token(core, "revoked")
    if refresh.expires_at <= now:
        raise _dead_refresh_token(core, "expired")
    reused = refresh.superseded_at is not None and now >= refresh.superseded_at + rules.rotation_grace_s
    if reused and rules.rotation == "rotate":
        refresh.grant.revoked = True
        raise _dead_refresh_token(core, "used before")
    authorization = refresh.grant.authorization
    if rules.refresh_needs_redirect_uri and authorization.redirect_uri not in {"", parameters.get("redirect_uri")}:
        raise Refusal("invalid_grant", "redirect_uri is missing or not the one of the authorization request")
    scopes = tuple(parameters.get("scope", "").split()) or authorization.scopes
    if not set(scopes) <= set(authorization.scopes):
        raise Refusal("invalid_scope", "a refresh can't widen the scope")
    return mint_tokens(core, refresh.grant, grant_type="refresh_token", scopes=scopes, refreshed=refresh)


def _dead_refresh_token(core: Core, why: str) -> Refusal:
    error = core.rules.dead_refresh_token_error
    text = f"refresh token is {why}"
    if error == "invalid_request":  # Dex's own words: a client can tell this error from others by nothing else
        text = "Refresh token is invalid or has already been claimed by another client."
    return Refusal(error, text, status=500 if error == "server_error" else 400)


def _client_credentials(
    core: Core, client: Client, request: Request, parameters: dict[str, str], jkt: str | None
) -> Any:
    if client.public:
        raise Refusal("unauthorized_client", "only a client that authenticates may use client credentials")
    scopes = core.grant_scopes(parameters.get("scope", ""))
    audience = request.every("audience") + request.every("resource")
    authorization = Authorization(client.client_id, subject=client.client_id, scopes=scopes, audience=audience)
    access_token, _ = mint_access_token(core, authorization, scopes, overrides=confirmation(jkt))
    response = {
        "access_token": access_token,
        "token_type": "Bearer" if jkt is None else "DPoP",
        "expires_in": core.rules.access_token_lifetime_s,
        "scope": " ".join(scopes),
    }
    return core.bend("token_response", response, core.moment(client_id=client.client_id))


def _device_code(core: Core, client: Client, _request: Request, parameters: dict[str, str], jkt: str | None) -> Any:
    device_code = digest(parameters.get("device_code", ""))
    device, now = core.store.devices.get(device_code), core.clock.now()
    if device is None or device.client_id != client.client_id:
        raise Refusal("invalid_grant", "unknown device code")
    if device.expires_at <= now:
        raise Refusal("expired_token", "the device code has expired")
    early = device.last_poll_at is not None and now < device.last_poll_at + device.interval_s
    device.last_poll_at = now
    device.polls += 1
    if early:
        device.interval_s += _SLOW_DOWN_S
        raise Refusal("slow_down")
    _decide_automatically(core, device)
    if device.decision == "pending":
        raise Refusal("authorization_pending")
    core.store.devices.pop(device_code)
    if device.decision == "denied":
        raise Refusal("access_denied", "The person denied the request.")
    authorization = Authorization(
        client.client_id,
        subject=device.subject,
        scopes=device.scopes,
        audience=device.audience,
        auth_time=device.auth_time,
    )
    return mint_tokens(core, Grant(authorization, jkt=jkt), grant_type=DEVICE_CODE_GRANT, scopes=device.scopes)


def _decide_automatically(core: Core, device: Device) -> None:
    if device.decision != "pending" or core.mode == "ask" or device.polls <= core.rules.device_pending_polls:
        return
    device.decide(None if core.mode == "deny" else core.users[core.automatic_user].subject, now=core.now())


def _user_code(core: Core) -> str:
    letters = hashlib.sha256(core.random().encode()).digest()[:8]
    text = "".join(_USER_CODE_LETTERS[byte % len(_USER_CODE_LETTERS)] for byte in letters)
    return f"{text[:4]}-{text[4:]}"


def _error(core: Core, refusal: Refusal, *, grant_type: str = "") -> Reply:
    document = {"error": refusal.error}
    if refusal.description:
        document["error_description"] = refusal.description
    bent = core.bend("token_error", document, core.moment(grant_type=grant_type))
    return json_reply(bent, status=refusal.status, headers=refusal.headers)


GRANTS = {
    "authorization_code": _authorization_code,
    "refresh_token": _refresh_token,
    "client_credentials": _client_credentials,
    DEVICE_CODE_GRANT: _device_code,
    TOKEN_EXCHANGE: token_for_token,
    JWT_BEARER: token_for_assertion,
}
