"""The rules of JWT access tokens, after the signature. Only the RFC 9068 profile: providers that stray from it need a
rule of their own, so that an ID token can never pass for an access token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.errors import Malformed, MissingClaim, UnknownIssuer, WrongAudience, WrongType, printable
from doorward.protocol.claims import audience, optional_numeric_date, require_string, validate_times

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.protocol.claims import SignedClaims

__all__ = ["AccessTokenClaims", "validate_access_token"]

_TYPES = frozenset({"at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class AccessTokenClaims:
    """An access token for which every rule of RFC 9068 section 4 held. Instants are epoch seconds in UTC."""

    issuer: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    jti: str
    expires_at: float
    issued_at: float
    claims: Mapping[str, Any] = field(repr=False)


def validate_access_token(
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
    if (signed.header.typ or "").lower() not in _TYPES:
        raise WrongType("Not an access token (typ is not at+jwt): send the access token.", reason="not_at_jwt")
    named = require_string(claims, "iss")
    if named != issuer:
        raise UnknownIssuer(f"The access token is of another issuer, {printable(named)}.", reason="issuer_mismatch")
    found = audience(claims)
    if not set(found) & set(audiences):
        message = "The access token is meant for another service: ask for one with this service's audience."
        raise WrongAudience(message, reason="audience_mismatch")
    expires_at, issued_at = _required_date(claims, "exp"), _required_date(claims, "iat")
    validate_times(claims, now=now, leeway_s=leeway_s, max_age_s=max_age_s)
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise Malformed("The access token's scope is not a string. Tell the provider.", reason="bad_scope")
    return AccessTokenClaims(
        issuer=named,
        subject=require_string(claims, "sub"),
        client_id=require_string(claims, "client_id"),
        audience=found,
        scopes=tuple(scope.split()),
        jti=require_string(claims, "jti"),
        expires_at=expires_at,
        issued_at=issued_at,
        claims=claims,
    )


def _required_date(claims: Mapping[str, Any], name: str) -> float:
    value = optional_numeric_date(claims, name)
    if value is None:
        raise MissingClaim(f"The access token has no {name}. Tell the provider.", reason=f"missing_{name}")
    return value
