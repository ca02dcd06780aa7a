"""The rules of JWT access tokens, after the signature. Only the RFC 9068 profile, so that no ID token passes for one.

Providers that stray from the profile need a rule of their own, chosen by whoever trusts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.errors import Malformed, UnknownIssuer, WrongAudience, WrongType, printable
from doorward.protocol.claims import audience, require_numeric_date, require_string, validate_times

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.protocol.claims import SignedClaims

__all__ = ["ACCESS_TOKEN_TYPES", "AccessTokenClaims", "validate_access_token"]

ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class AccessTokenClaims:
    """An access token for which every rule of RFC 9068 section 4 held. Instants are epoch seconds in UTC."""

    issuer: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    jti: str
    expires_at: int
    issued_at: int
    claims: Mapping[str, Any] = field(repr=False)


def validate_access_token(  # noqa: PLR0913 - the rules' inputs, by keyword
    signed: SignedClaims,
    *,
    issuer: str,
    audiences: Collection[str],
    now: float,
    leeway_s: int = 30,
    max_age_s: int | None = None,
) -> AccessTokenClaims:
    """Hold a signed access token against the service that got it.

    Args:
        signed: Claims whose signature was verified with the issuer's keys.
        issuer: The issuer, exactly.
        audiences: The names of this service; one of them must be in ``aud``.
        now: Epoch seconds.
        leeway_s: How far clocks may differ.
        max_age_s: How long ago it may have been issued.

    Raises:
        InvalidCredential: The class of the rule that failed: WrongType, UnknownIssuer, WrongAudience, Expired,
            NotYetValid, MissingClaim or Malformed.

    Source: RFC 9068 sections 2 and 4.
    """
    claims = signed.claims
    if (signed.header.typ or "").lower() not in ACCESS_TOKEN_TYPES:
        raise WrongType("Not an access token (typ is not at+jwt): send the access token.", reason="not_at_jwt")
    named = require_string(claims, "iss")
    if named != issuer:
        raise UnknownIssuer(f"The access token is of another issuer, {printable(named)}.", reason="issuer_mismatch")
    found = audience(claims)
    if not set(found) & set(audiences):
        message = "The access token is meant for another service: ask for one with this service's audience."
        raise WrongAudience(message, reason="audience_mismatch")
    times = validate_times(claims, now=now, leeway_s=leeway_s, max_age_s=max_age_s)
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise Malformed("The access token's scope is not a string. Tell the provider.", reason="scope_malformed")
    return AccessTokenClaims(
        issuer=named,
        subject=require_string(claims, "sub"),
        client_id=require_string(claims, "client_id"),
        audience=found,
        scopes=tuple(scope.split()),
        jti=require_string(claims, "jti"),
        expires_at=times.expires_at,
        issued_at=require_numeric_date(claims, "iat"),
        claims=claims,
    )
