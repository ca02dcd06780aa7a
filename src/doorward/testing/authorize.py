"""The authorization endpoint: RFC 6749 section 4.1, PKCE (RFC 7636), OIDC Core section 3.1.2, RFC 9207."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from doorward.testing import pages
from doorward.testing.store import Authorization, Code, Interaction, digest
from doorward.testing.web import Refusal, redirect_reply, with_query

if TYPE_CHECKING:
    from doorward.testing.core import Core
    from doorward.testing.rules import Client
    from doorward.testing.web import Reply, Request

__all__ = ["INTERACTION_LIFETIME_S", "SESSION_COOKIE", "authorize", "finish_interaction"]

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
INTERACTION_LIFETIME_S = 600
SESSION_COOKIE = "dev_issuer_session"


def authorize(core: Core, request: Request) -> Reply:
    """Start a sign-in: answer at once in automatic mode, else with the sign-in page."""
    try:
        parameters = request.parameters()
        client, redirect_uri = _client_and_redirect(core, parameters)
    except Refusal as refusal:
        return pages.error_page(refusal.description)
    state = parameters.get("state")
    try:
        interaction = _check(core, request, client, redirect_uri, parameters)
        return _decide(core, request, interaction, parameters)
    except Refusal as refusal:
        return _send_error(core, client.client_id, redirect_uri, state, refusal)


def finish_interaction(core: Core, interaction: Interaction, *, subject: str | None) -> Reply:
    """Send the browser back to the client: with a code for ``subject``, or with ``access_denied``."""
    authorization = interaction.authorization
    if authorization is None or authorization.redirect_uri is None:
        raise Refusal("invalid_request", "This page does not belong to a sign-in.")
    if subject is None:
        refusal = Refusal("access_denied", "The person denied the request.")
        return _send_error(core, authorization.client_id, authorization.redirect_uri, interaction.state, refusal)
    return _send_code(core, interaction, authorization, subject, auth_time=core.now())


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


def _check(core: Core, request: Request, client: Client, redirect_uri: str, parameters: dict[str, str]) -> Interaction:
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
    if prompts - _PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise Refusal("invalid_request", "prompt is none alone, or some of login, consent and select_account")
    if not parameters.get("max_age", "0").isdecimal():
        raise Refusal("invalid_request", "max_age is a number of seconds")
    authorization = Authorization(
        client_id=client.client_id,
        subject="",
        scopes=core.grant_scopes(parameters.get("scope", "")),
        audience=request.every("audience") + request.every("resource"),
        nonce=parameters.get("nonce"),
        redirect_uri=redirect_uri,
        offline=parameters.get("access_type") == "offline",
    )
    return Interaction(
        expires_at=core.clock.now() + INTERACTION_LIFETIME_S,
        authorization=authorization,
        state=parameters.get("state"),
        code_challenge=_code_challenge(core, client, parameters),
    )


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


def _decide(core: Core, request: Request, interaction: Interaction, parameters: dict[str, str]) -> Reply:
    if core.mode == "deny":
        return finish_interaction(core, interaction, subject=None)
    if core.mode == "sign_in":
        return finish_interaction(core, interaction, subject=core.users[core.automatic_user].subject)
    session = core.store.sessions.get(digest(request.cookie(SESSION_COOKIE) or ""))
    if parameters.get("prompt") == "none":
        max_age_s = int(parameters.get("max_age", "-1"))
        if session is None or 0 <= max_age_s < core.now() - session[1]:
            raise Refusal("login_required", "nobody is signed in, and prompt=none forbids to ask")
        if interaction.authorization is None:
            raise Refusal("server_error")
        return _send_code(core, interaction, interaction.authorization, session[0], auth_time=session[1])
    interaction_id = core.random()
    core.store.interactions.put(digest(interaction_id), interaction)
    return pages.sign_in_page(core, interaction_id, interaction, current=session[0] if session else None)


def _send_code(
    core: Core, interaction: Interaction, authorization: Authorization, subject: str, *, auth_time: int
) -> Reply:
    code = core.random()
    allowed = dataclasses.replace(authorization, subject=subject, auth_time=auth_time)
    core.store.codes.put(
        digest(code), Code(allowed, interaction.code_challenge, core.clock.now() + core.rules.code_lifetime_s)
    )
    return _send_back(core, allowed.client_id, allowed.redirect_uri or "", interaction.state, [("code", code)])


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
