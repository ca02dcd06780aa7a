"""The authorization endpoint: RFC 6749 section 4.1, PKCE (RFC 7636), OIDC Core section 3.1.2, RFC 9126, RFC 9207."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from doorward.testing.provider.endpoints import pages
from doorward.testing.provider.endpoints.client_auth import authenticate_client
from doorward.testing.provider.store import Authorization, AuthorizationRequest, Code, Interaction, Pushed, digest
from doorward.testing.provider.web import Refusal, json_reply, redirect_reply, with_query

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.rules import Client
    from doorward.testing.provider.store import Device
    from doorward.testing.provider.web import Reply, Request

__all__ = ["SESSION_COOKIE", "answer", "authorize", "open_interaction", "push"]

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_PUSHED = "urn:ietf:params:oauth:request_uri:"
_PROOFS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
_MAX_AGE = re.compile(r"[0-9]{1,9}")
_INTERACTION_LIFETIME_S = 600
SESSION_COOKIE = "dev_issuer_session"


def authorize(core: Core, request: Request) -> Reply:
    """Start a sign-in: answer at once in automatic mode, else with the sign-in page."""
    try:
        request = _as_pushed(core, request)
        parameters = request.parameters()
        client, redirect_uri = _client_and_redirect(core, parameters)
    except Refusal as refusal:
        return pages.error_page(refusal.description)
    state = parameters.get("state")
    try:
        asked = _check(core, request, client, redirect_uri, parameters)
        return _decide(core, request, asked, parameters)
    except Refusal as refusal:
        return _send_error(core, client.client_id, redirect_uri, state, refusal)


def push(core: Core, request: Request) -> Reply:
    """Take an authorization request from the client itself (RFC 9126 section 2)."""
    try:
        authenticated = authenticate_client(core, request)
        parameters = {"client_id": authenticated.client_id, **request.parameters()}
        asked = tuple((name, value) for name, value in parameters.items() if name not in _PROOFS)
        client, redirect_uri = _client_and_redirect(core, parameters)
        _check(core, request, client, redirect_uri, parameters)
    except Refusal as refusal:
        document = {"error": refusal.error, "error_description": refusal.description}
        return json_reply(document, status=refusal.status, headers=refusal.headers)
    request_uri, life_s = f"{_PUSHED}{core.random()}", core.rules.pushed_lifetime_s
    core.store.pushed.put(digest(request_uri), Pushed(client.client_id, asked, core.clock.now() + life_s))
    moment = core.moment(client_id=client.client_id)
    document = core.bend("pushed_response", {"request_uri": request_uri, "expires_in": life_s}, moment)
    return json_reply(document, status=201)


def _as_pushed(core: Core, request: Request) -> Request:
    """Return the request that ``request_uri`` stands for, once; the request itself where it has none."""
    parameters = request.parameters()
    if not parameters.get("request_uri", "").startswith(_PUSHED):
        if core.rules.pushed_requests == "required":
            raise Refusal("invalid_request", "This development issuer takes pushed authorization requests alone.")
        return request
    pushed = core.store.pushed.pop(digest(parameters["request_uri"]))
    if pushed is None or pushed.client_id != parameters.get("client_id") or pushed.expires_at <= core.clock.now():
        raise Refusal("invalid_request_uri", "The pushed request is unknown, was used, or has expired. Start again.")
    return dataclasses.replace(request, method="GET", query=pushed.parameters, form=())


def answer(core: Core, asked: AuthorizationRequest, *, subject: str | None, auth_time: int | None = None) -> Reply:
    """Send the browser back to the client: with a code for ``subject``, or with ``access_denied`` for None."""
    authorization = asked.authorization
    if subject is None:
        refusal = Refusal("access_denied", "The person denied the request.")
        return _send_error(core, authorization.client_id, authorization.redirect_uri, asked.state, refusal)
    allowed = dataclasses.replace(
        authorization, subject=subject, auth_time=core.now() if auth_time is None else auth_time
    )
    code, expires_at = core.random(), core.clock.now() + core.rules.code_lifetime_s
    core.store.codes.put(digest(code), Code(allowed, asked.code_challenge, expires_at))
    return _send_back(core, allowed.client_id, allowed.redirect_uri, asked.state, [("code", code)])


def open_interaction(core: Core, about: AuthorizationRequest | Device) -> str:
    """Remember what a page is about; return the id that its form carries, good for one answer."""
    interaction_id = core.random()
    expires_at = core.clock.now() + _INTERACTION_LIFETIME_S
    core.store.interactions.put(digest(interaction_id), Interaction(about, expires_at))
    return interaction_id


def _client_and_redirect(core: Core, parameters: dict[str, str]) -> tuple[Client, str]:
    client = core.clients.get(parameters.get("client_id", ""))
    if client is None:
        raise Refusal("invalid_request", "This development issuer has no client of that name. Add it with add_client.")
    redirect_uri = parameters.get("redirect_uri", "")
    if not redirect_uri and len(client.redirect_uris) == 1:
        redirect_uri = client.redirect_uris[0]
    if not client.allows_redirect(redirect_uri):
        raise Refusal("invalid_request", "The redirect URI is not one of this client's.")
    return client, redirect_uri


def _check(
    core: Core, request: Request, client: Client, redirect_uri: str, parameters: dict[str, str]
) -> AuthorizationRequest:
    if parameters.get("response_type") != "code":
        raise Refusal("unsupported_response_type", "only the response type code is offered")
    if "authorization_code" not in client.grant_types:
        raise Refusal("unauthorized_client", "this client may not use the authorization code flow")
    for unsupported in ("request", "request_uri"):
        if unsupported in parameters:
            raise Refusal(f"{unsupported}_not_supported")
    if parameters.get("response_mode", "query") != "query":
        raise Refusal("invalid_request", "only the response mode query is offered")
    prompts = set(parameters.get("prompt", "").split())
    if prompts - {*core.rules.prompts} or ("none" in prompts and len(prompts) > 1):
        raise Refusal("invalid_request", f"prompt is none alone, or some of {', '.join(core.rules.prompts)}")
    if not _MAX_AGE.fullmatch(parameters.get("max_age", "0")):
        raise Refusal("invalid_request", "max_age is a number of seconds")
    scopes = core.grant_scopes(parameters.get("scope", ""))
    if core.rules.offline_access_needs_consent and "consent" not in prompts:
        scopes = tuple(scope for scope in scopes if scope != "offline_access")
    authorization = Authorization(
        client_id=client.client_id,
        subject="",
        scopes=scopes,
        audience=request.every("audience") + request.every("resource"),
        nonce=parameters.get("nonce"),
        redirect_uri=redirect_uri,
        offline=parameters.get("access_type") == "offline",
        dpop_jkt=parameters.get("dpop_jkt"),
    )
    return AuthorizationRequest(authorization, parameters.get("state"), _code_challenge(core, client, parameters))


def _code_challenge(core: Core, client: Client, parameters: dict[str, str]) -> str | None:
    challenge = parameters.get("code_challenge")
    if challenge is None:
        if client.public or core.rules.pkce_required:
            raise Refusal("invalid_request", "code_challenge is missing: PKCE is required")
        return None
    if parameters.get("code_challenge_method") != "S256":
        raise Refusal("invalid_request", "code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(challenge):
        raise Refusal("invalid_request", "code_challenge is not a SHA-256 digest in base64url")
    return challenge


def _decide(core: Core, request: Request, asked: AuthorizationRequest, parameters: dict[str, str]) -> Reply:
    if core.mode == "deny":
        return answer(core, asked, subject=None)
    if core.mode == "sign_in":
        return answer(core, asked, subject=core.users[core.automatic_user].subject)
    subject, auth_time = core.store.sessions.get(digest(request.cookie(SESSION_COOKIE) or "")) or (None, 0)
    if parameters.get("prompt") == "none":
        too_old = "max_age" in parameters and core.now() - auth_time > int(parameters["max_age"])
        if subject is None or too_old:
            raise Refusal("login_required", "nobody is signed in, and prompt=none forbids to ask")
        return answer(core, asked, subject=subject, auth_time=auth_time)
    return pages.sign_in_page(core, open_interaction(core, asked), asked.authorization, current=subject)


def _send_error(core: Core, client_id: str, redirect_uri: str, state: str | None, refusal: Refusal) -> Reply:
    pairs = [("error", refusal.error)]
    if refusal.description:
        pairs.append(("error_description", refusal.description))
    return _send_back(core, client_id, redirect_uri, state, pairs)


def _send_back(core: Core, client_id: str, redirect_uri: str, state: str | None, pairs: list[tuple[str, str]]) -> Reply:
    if state is not None:
        pairs = [*pairs, ("state", state)]
    moment = core.moment(client_id=client_id)
    pairs = core.bend("callback", [*pairs, ("iss", core.issuer)], moment)
    return redirect_reply(with_query(core.bend("redirect_uri", redirect_uri, moment), pairs))
