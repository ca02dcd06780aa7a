"""The claims of a signed token, held against one issuer's settings: G5's rules, one issuer at a time.

The signature was verified with this issuer's keys before anything comes here, and ``iss`` led to the issuer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from doorward.errors import WrongAudience, WrongType
from doorward.protocol.access_token import ACCESS_TOKEN_TYPES, validate_access_token
from doorward.protocol.claims import (
    audience,
    optional_string,
    require_numeric_date,
    require_string,
    validate_times,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from doorward.guard.issuers.issuer import Issuer
    from doorward.protocol.claims import SignedClaims

__all__ = ["Facts", "validate_claims"]

_PLAIN_TYPES = frozenset({None, "jwt"})
_ANY_TYPE = _PLAIN_TYPES | ACCESS_TOKEN_TYPES


class Facts(msgspec.Struct, frozen=True):
    """What a token says that was checked. Instants are epoch seconds in UTC."""

    subject: str
    audience: tuple[str, ...]
    expires_at: int
    issued_at: int | None
    jti: str | None


def validate_claims(signed: SignedClaims, issuer: Issuer, *, now: float) -> Facts:
    """Hold a signed token against what is asked of its issuer's tokens.

    Args:
        signed: verified with the keys of ``issuer``, whose ``url`` is its ``iss``.
        issuer: the settings.
        now: epoch seconds.

    Raises:
        InvalidCredential: the class of the rule that failed: WrongType, WrongAudience, Expired, NotYetValid,
            MissingClaim or Malformed.

    Source: RFC 7519 section 4.1; RFC 9068 section 4 for ``access``; OIDC Core 3.1.3.7 for ``id``, as far as a service
    can: it knows no nonce and has no access token beside it.
    """
    if "cnf" in signed.claims:  # RFC 9449 section 7.2, RFC 8705 section 3
        raise WrongType(
            "The token is bound to its sender's key and no bearer token: ask for one that is.",
            reason="sender_constrained",
        )
    if issuer.token_type == "access":  # noqa: S105 - a kind
        accepted = validate_access_token(
            signed,
            issuer=issuer.url,
            audiences=issuer.audiences,
            now=now,
            leeway_s=issuer.leeway_s,
            max_age_s=issuer.max_token_age_s,
        )
        return Facts(accepted.subject, accepted.audience, accepted.expires_at, accepted.issued_at, accepted.jti)
    is_id = issuer.token_type == "id"  # noqa: S105 - a kind
    claims, typ = signed.claims, signed.header.typ
    if (typ and typ.lower()) not in (_PLAIN_TYPES if is_id else _ANY_TYPE):
        wanted = "an ID token" if is_id else "an access token or ID token"
        raise WrongType(f"The token is not {wanted} (typ): send the right one.", reason="typ_mismatch")
    if "events" in claims:  # RFC 8417: a logout token has the same header, audience and subject as an ID token
        raise WrongType(
            "The token is a security event, such as a logout: send an access token.", reason="security_event"
        )
    times = validate_times(claims, now=now, leeway_s=issuer.leeway_s, max_age_s=issuer.max_token_age_s)
    meant_for = claims.get("aud")
    named: tuple[str, ...]
    if type(meant_for) is str and meant_for in issuer.audiences:
        named = (meant_for,)
    else:
        named = audience(claims)
        if issuer.audiences.isdisjoint(named):
            message = "The token is meant for another service: ask for one with this service's audience."
            raise WrongAudience(message, reason="audience_mismatch")
    if is_id:
        _validate_id_claims(claims, named, issuer)
    subject = claims.get("sub")
    if type(subject) is not str or not subject:
        subject = require_string(claims, "sub")
    jti = optional_string(claims, "jti") if "jti" in claims else None
    return Facts(subject, named, times.expires_at, times.issued_at, jti)


def _validate_id_claims(claims: Mapping[str, Any], named: tuple[str, ...], issuer: Issuer) -> None:
    require_numeric_date(claims, "iat")
    if len(named) > 1:
        require_string(claims, "azp")
    party = optional_string(claims, "azp")
    if party is not None and party not in issuer.audiences:
        message = "The ID token was issued to another client (azp): sign in with this service's client."
        raise WrongAudience(message, reason="azp_mismatch")
