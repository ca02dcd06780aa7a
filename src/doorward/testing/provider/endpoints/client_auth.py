"""Who calls an endpoint: RFC 6749 section 2.3 and RFC 7523. One method a request, compared in constant time."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError
from doorward.protocol.claims import audience, parse_jwt, require_string, validate_times, verify_jwt
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, parse_jwk_set
from doorward.testing.provider.endpoints.exchange import platform_refusal
from doorward.testing.provider.store import digest
from doorward.testing.provider.web import Refusal, parse_basic

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.rules import AuthenticationMethod, Client
    from doorward.testing.provider.web import Request

__all__ = ["authenticate_client"]

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST_ASSERTION_LIFE_S = 600


def authenticate_client(core: Core, request: Request) -> Client:
    """Return the client that sends a request; raise Refusal(invalid_client) if it can't prove it."""
    parameters = request.parameters()
    header = request.headers.get("authorization")
    ways = [header is not None, "client_secret" in parameters, "client_assertion" in parameters]
    if sum(ways) > 1:
        raise Refusal("invalid_request", "more than one way of client authentication")
    if header is not None:
        pair = parse_basic(header)
        if pair is None:
            raise _invalid_client("the Authorization header is not Basic authentication")
        if parameters.get("client_id", pair[0]) != pair[0]:
            raise Refusal("invalid_request", "client_id differs from the Authorization header's")
        return _with_secret(core, pair[0], pair[1], "client_secret_basic")
    if "client_secret" in parameters:
        client_id = parameters.get("client_id", "")
        return _with_secret(core, client_id, parameters["client_secret"], "client_secret_post")
    if "client_assertion" in parameters:
        return _with_assertion(core, parameters)
    return _client(core, parameters.get("client_id", ""), "none")


def _with_secret(core: Core, client_id: str, secret: str, method: AuthenticationMethod) -> Client:
    client = _client(core, client_id, method)
    expected = client.secret.reveal() if client.secret is not None else ""
    if not expected or not hmac.compare_digest(expected.encode(), secret.encode()):
        raise _invalid_client("wrong client secret")
    return client


def _with_assertion(core: Core, parameters: dict[str, str]) -> Client:
    if parameters.get("client_assertion_type") != _ASSERTION_TYPE:
        raise Refusal("invalid_request", "client_assertion_type must be the JWT bearer type")
    if (platform_client := core.clients.get(parameters.get("client_id", ""))) and platform_client.platform:
        return _with_platform(core, platform_client, parameters["client_assertion"])
    now = core.clock.now()
    try:
        unverified = parse_jwt(parameters["client_assertion"])
        client_id = require_string(unverified.claims, "iss")
        client = _client(core, client_id, "private_key_jwt")
        claims = verify_jwt(unverified, parse_jwk_set(client.jwks or b""), algorithms=ASYMMETRIC_ALGORITHMS).claims
        times = validate_times(claims, now=now)
        jti = require_string(claims, "jti")
        subject = require_string(claims, "sub")
        audiences = audience(claims)
    except DoorwardError as error:
        raise _invalid_client(f"client assertion refused: {error.reason}") from error
    if subject != client_id or parameters.get("client_id", client_id) != client_id:
        raise _invalid_client("the client assertion's iss, sub and client_id differ")
    if not {core.issuer, core.endpoint("token")} & set(audiences):
        raise _invalid_client("the client assertion is meant for somebody else")
    if times.expires_at > now + _LONGEST_ASSERTION_LIFE_S:
        raise _invalid_client("the client assertion lives for too long")
    used = digest(f"{client_id} {jti}")
    if core.store.assertions.get(used) is not None:
        raise _invalid_client("the client assertion was used before")
    core.store.assertions.put(used, times.expires_at)
    return client


def _with_platform(core: Core, client: Client, token: str) -> Client:
    refusal = platform_refusal(core, client, token)
    if refusal is not None:
        raise _invalid_client(f"client assertion refused: {refusal}")
    return client


def _client(core: Core, client_id: str, method: AuthenticationMethod) -> Client:
    client = core.clients.get(client_id)
    if client is None:
        raise _invalid_client("unknown client")
    if method not in client.methods:
        raise _invalid_client(f"this client does not authenticate with {method}")
    return client


def _invalid_client(description: str) -> Refusal:
    return Refusal("invalid_client", description, status=401, headers={"WWW-Authenticate": 'Basic realm="DevIssuer"'})
