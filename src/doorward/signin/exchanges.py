"""The exchanges every sign-in shares, as flows: discover the provider, fetch its keys, prove an ID token."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from doorward.errors import (
    Expired,
    InvalidResponse,
    MissingClaim,
    NotYetValid,
    ProviderError,
    UnavailableError,
    UnknownKey,
)
from doorward.protocol.claims import SignedClaims, parse_jwt, verify_jwt
from doorward.protocol.metadata import (
    build_jwks_request,
    build_metadata_requests,
    issuer_matches,
    leads_on,
    parse_jwks_response,
    parse_metadata_response,
)
from doorward.protocol.stronger.fapi import hold_to_fapi2
from doorward.protocol.userinfo import build_userinfo_request, lacks_claims, parse_userinfo_response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from doorward.model import HttpRequest, HttpResponse, Secret, TokenSet
    from doorward.ports import Flow
    from doorward.protocol.id_token import IdTokenClaims
    from doorward.protocol.jwk import JwkSet
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.registration import Registration

__all__ = [
    "answer_to",
    "ask_plainly",
    "ask_userinfo",
    "discover",
    "fetch_keys",
    "issuer_of",
    "telling_clock_skew",
    "verify_id_token",
]

_log = logging.getLogger("doorward.signin")

_SKEW_WORTH_TELLING_S = 30
_LONGEST_ID_TOKEN = 262_144
"""It came straight from the provider and goes into no header; groups and pictures make some very long."""


def answer_to(request: HttpRequest) -> Flow[HttpResponse]:
    """Send one request; a flow's way to say that a request, unlike a pause, has an answer."""
    response = yield request
    if response is None:
        raise InvalidResponse(f"No answer came from {request.purpose}. Try again.", reason="no_answer")
    return response


def discover(registration: Registration, *, now: float) -> Flow[ProviderMetadata]:
    """Fetch and check the provider's metadata. Where no place has any, what the first one answered is the error."""
    first: ProviderError | None = None
    for request in build_metadata_requests(registration.issuer):
        response = yield from answer_to(request)
        try:
            metadata = parse_metadata_response(
                response,
                issuer=registration.issuer,
                now=now,
                insecure_loopback_http=registration.insecure_loopback_http,
                accepted_issuer_template=registration.habits.issuer_template,
                openid="openid-configuration" in request.url,
            )
        except ProviderError as error:
            if not leads_on(response):
                raise
            first = first or error
        else:
            return _for_client(metadata, registration)
    assert first is not None  # noqa: S101 - for type checkers: at least one place was asked
    raise first


def _for_client(metadata: ProviderMetadata, registration: Registration) -> ProviderMetadata:
    """Return what the metadata says to this client, under the profile that it keeps to."""
    if registration.client_certificate is not None:
        metadata = metadata.by_certificate()
    if registration.security_profile is not None:
        metadata = hold_to_fapi2(metadata, registration.client_for(metadata).authentication)
    return metadata


def fetch_keys(metadata: ProviderMetadata, *, now: float) -> Flow[JwkSet]:
    """Fetch the provider's JWK Set."""
    return parse_jwks_response((yield from answer_to(build_jwks_request(metadata))), now=now)


def verify_id_token(
    id_token: Secret, metadata: ProviderMetadata, keys: JwkSet | None, *, now: float
) -> Flow[SignedClaims]:
    """Prove who signed an ID token. Keys fetched before the token was made may be too old: then once more."""
    jwt = parse_jwt(id_token.reveal(), max_bytes=_LONGEST_ID_TOKEN)
    algorithms = metadata.id_token_signing_algorithms
    if keys is not None:
        try:
            return verify_jwt(jwt, keys, algorithms=algorithms)
        except UnknownKey as error:
            if error.reason != "unknown_kid":  # which a newer set may have; nothing else is mended by fetching it
                raise
    return verify_jwt(jwt, (yield from fetch_keys(metadata, now=now)), algorithms=algorithms)


def ask_plainly(build: Callable[[], HttpRequest]) -> Flow[tuple[HttpRequest, HttpResponse]]:
    """Send a request as it is built. ``Proofs.ask`` is the other way."""
    request = build()
    return request, (yield from answer_to(request))


def ask_userinfo(  # noqa: PLR0913 - what is asked, and how
    metadata: ProviderMetadata,
    tokens: TokenSet,
    proven: IdTokenClaims,
    scopes: Collection[str],
    *,
    now: float,
    ask: Callable[[Callable[[], HttpRequest]], Flow[tuple[HttpRequest, HttpResponse]]] = ask_plainly,
) -> Flow[Mapping[str, Any] | None]:
    """Fetch what the ID token lacks of what was asked for. It is for display: without it, a sign-in is as good."""
    if metadata.userinfo_endpoint is None or not lacks_claims(proven.claims, scopes):
        return None
    try:
        _, response = yield from ask(lambda: build_userinfo_request(metadata, tokens.access_token))
        return parse_userinfo_response(response, subject=proven.subject, now=now)
    except (UnavailableError, ProviderError) as error:
        _log.warning("Nothing was taken from the UserInfo endpoint of %s: %s", metadata.issuer, error.reason)
        return None


def issuer_of(metadata: ProviderMetadata, signed: SignedClaims) -> str:
    """Return the issuer an ID token must name: the metadata's own, or Entra's with the token's own tenant put in."""
    if "{tenantid}" not in metadata.issuer:
        return metadata.issuer
    tenant, issuer = signed.claims.get("tid"), signed.claims.get("iss")
    named = metadata.issuer.replace("{tenantid}", tenant) if isinstance(tenant, str) else ""
    if named != issuer or named == metadata.issuer or not issuer_matches(metadata.issuer, named):
        message = "The ID token of a multi-tenant issuer names no tenant (tid). Sign in with your own tenant's issuer."
        raise MissingClaim(message, reason="tenant_missing")
    return named


@contextmanager
def telling_clock_skew(tokens: TokenSet) -> Iterator[None]:
    """Add to an error about times what the provider's clock says, where the two disagree. Never a reason to accept."""
    try:
        yield
    except (Expired, NotYetValid) as error:
        skew_s = tokens.clock_skew_s
        if skew_s is not None and abs(skew_s) > _SKEW_WORTH_TELLING_S:
            direction = "ahead of" if skew_s > 0 else "behind"
            hint = f"This computer's clock is {abs(skew_s):.0f} s {direction} the provider's: set it, then try again."
            error.args = (f"{error.message} {hint}",)
        raise
