"""What a person's browser posts back: the decision on a sign-in, on a device; and the pages around it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError
from doorward.protocol.claims import audience, parse_jwt, verify_jwt
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, parse_jwk_set
from doorward.testing.provider.endpoints import pages
from doorward.testing.provider.endpoints.authorize import SESSION_COOKIE, answer, open_interaction
from doorward.testing.provider.store import AuthorizationRequest, Device, digest
from doorward.testing.provider.web import Refusal, redirect_reply, with_query

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.rules import User
    from doorward.testing.provider.web import Reply, Request

__all__ = ["decide_device", "decide_sign_in", "device", "end_session"]


def decide_sign_in(core: Core, request: Request) -> Reply:
    """Take the answer to the sign-in page and send the browser back to the client."""
    try:
        asked, user = _take_decision(core, request)
    except Refusal as refusal:
        return pages.error_page(refusal.description)
    if not isinstance(asked, AuthorizationRequest):
        return pages.error_page("This page does not belong to a sign-in.")
    reply = answer(core, asked, subject=user.subject if user else None)
    if user is None:
        return reply
    session = core.random()
    core.store.sessions.put(digest(session), (user.subject, core.now()))
    secure = "; Secure" if core.origin.startswith("https:") else ""
    cookie = f"{SESSION_COOKIE}={session}; Path={core.path or '/'}; HttpOnly; SameSite=Lax{secure}"
    return dataclasses.replace(reply, headers=(*reply.headers, ("Set-Cookie", cookie)))


def device(core: Core, request: Request) -> Reply:
    """Ask for a user code, or whether the device that shows it may sign in (RFC 8628 section 3.3)."""
    try:
        user_code = request.parameters().get("user_code", "")
    except Refusal as refusal:
        return pages.device_page(core, problem=refusal.description)
    if not user_code:
        return pages.device_page(core)
    found = core.store.device_by_user_code(user_code)
    if found is None or found.decision != "pending" or found.expires_at <= core.clock.now():
        return pages.device_page(core, problem="No device waits for this code. Look at it again, or start anew.")
    return pages.device_page(core, interaction_id=open_interaction(core, found), device=found)


def decide_device(core: Core, request: Request) -> Reply:
    """Take the answer to the device page."""
    try:
        asked, user = _take_decision(core, request)
    except Refusal as refusal:
        return pages.error_page(refusal.description)
    if not isinstance(asked, Device):
        return pages.error_page("This page does not belong to a device.")
    asked.decide(user.subject if user else None, now=core.now())
    if user is None:
        return pages.message_page("Denied", "The device stays signed out. You can close this page.")
    return pages.message_page("The device is connected", "Go back to it. You can close this page.")


def end_session(core: Core, request: Request) -> Reply:
    """End the browser session (OIDC RP-Initiated Logout 1.0) and go where the client may send the browser."""
    try:
        parameters = request.parameters()
        client_id = parameters.get("client_id") or _client_of_hint(core, parameters.get("id_token_hint"))
    except Refusal as refusal:
        return pages.error_page(refusal.description)
    if session := request.cookie(SESSION_COOKIE):
        core.store.sessions.pop(digest(session))
    wanted = parameters.get(core.rules.logout_redirect_parameter)
    if wanted is None:
        return pages.message_page("Signed out", "You are signed out of this development issuer.")
    client = core.clients.get(client_id or "")
    if client is None or not client.allows_redirect(wanted):
        return pages.error_page("Signed out, but the client may not send the browser to that address.")
    state = parameters.get("state")
    return redirect_reply(with_query(wanted, [("state", state)] if state is not None else []))


def _client_of_hint(core: Core, id_token_hint: str | None) -> str | None:
    if id_token_hint is None:
        return None
    keys = parse_jwk_set(json.dumps({"keys": core.keys.published(core.id_token_algorithms())}).encode())
    try:
        signed = verify_jwt(parse_jwt(id_token_hint), keys, algorithms=ASYMMETRIC_ALGORITHMS)
        return audience(signed.claims)[0]
    except DoorwardError:
        raise Refusal("invalid_request", "id_token_hint is not an ID token of this issuer.") from None


def _take_decision(core: Core, request: Request) -> tuple[AuthorizationRequest | Device, User | None]:
    """Return what the page was about, once, and who allowed it; None for a denial."""
    if request.headers.get("origin", core.origin) != core.origin:
        raise Refusal("invalid_request", "The form was sent from another site.")
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Refusal("invalid_request", "The form was sent from another site.")
    parameters = request.parameters()
    interaction = core.store.interactions.pop(digest(parameters.get("interaction", "")))
    if interaction is None or interaction.expires_at <= core.clock.now():
        raise Refusal("invalid_request", "This page was used before or is too old. Start the sign-in again.")
    decision = parameters.get("decision")
    if decision == "deny":
        return interaction.about, None
    user = core.users.get(parameters.get("user", ""))
    if decision != "allow" or user is None:
        raise Refusal("invalid_request", "Nobody was chosen. Start the sign-in again.")
    return interaction.about, user
