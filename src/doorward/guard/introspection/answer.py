"""What must hold of a token that its issuer calls active, before this service takes it. Nobody is asked here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doorward.errors import MissingClaim, UnknownIssuer, WrongAudience, WrongType, printable
from doorward.guard.issuers.claim_paths import ClaimPath
from doorward.guard.issuers.kinds import KIND_CLAIMS, check_kind
from doorward.protocol.claims import audience, optional_string, require_string, validate_times

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from doorward.guard.issuers.required_claims import RequiredClaim

__all__ = ["Introspected", "Rules"]

_NO_END = 253_402_300_799  # where the answer gives no `exp`: it is asked about again soon enough
_BEARER_TYPES = frozenset({"bearer", "access_token", "urn:ietf:params:oauth:token-type:access_token"})


@dataclass(frozen=True, slots=True)
class Introspected:
    """An active token whose claims held. Instants are epoch seconds in UTC.

    ``expires_at`` is None where the issuer did not say; after ``good_until`` the issuer wants to be asked again.
    """

    claims: Mapping[str, Any] = field(repr=False)
    subject: str
    audience: tuple[str, ...]
    jti: str | None
    issued_at: int | None
    expires_at: int | None
    asked_at: float
    good_until: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose tokens are taken, meant for whom. Described at ``Introspection``."""

    issuer: str
    audiences: frozenset[str]
    leeway_s: int
    ttl_s: float
    client_ids: frozenset[str] = frozenset()
    required: tuple[RequiredClaim, ...] = ()
    subject_claim: str | None = None

    def hold(self, answer: Mapping[str, Any], *, asked_at: float, now: float) -> Introspected:
        """Hold an active answer against this service. A member that is null counts as absent, as some write it.

        Raises:
            InvalidCredential: UnknownIssuer, WrongType, WrongAudience, Expired, NotYetValid, MissingClaim or Malformed.

        Source: RFC 7662 sections 2.2 and 4, RFC 9449 section 7.2 on ``cnf``.
        """
        claims = {name: value for name, value in answer.items() if value is not None}
        named = optional_string(claims, "iss")
        if named is not None and named != self.issuer:
            message = f"The issuer answers for a token of another one, {printable(named)}: get one of its own."
            raise UnknownIssuer(message, reason="iss_mismatch")
        self._hold_kind(claims)
        meant_for = self._hold_audience(claims)
        times = validate_times({"exp": _NO_END, **claims}, now=now, leeway_s=self.leeway_s)
        subject = self._subject(claims)
        for each in self.required:
            each.hold(claims)
        return Introspected(
            claims,
            subject,
            meant_for,
            optional_string(claims, "jti"),
            times.issued_at,
            times.expires_at if "exp" in claims else None,
            asked_at,
            min(asked_at + self.ttl_s, times.expires_at),
        )

    def _subject(self, claims: Mapping[str, Any]) -> str:
        """Whose token it is. A client's own may have no ``sub``, and what it is called might be a person's ``sub``."""
        subject = optional_string(claims, "sub")
        if subject is not None:
            return subject
        if self.subject_claim is None:
            message = (
                "The issuer does not say whose token it is (sub). If it is a client's own, and no client can be called "
                'as a person\'s sub is, set subject_claim="client_id".'
            )
            raise MissingClaim(message, reason="sub_missing")
        found = ClaimPath(self.subject_claim).find(claims)
        if type(found) is not str or not found:
            message = f"The issuer does not say whose token it is (sub or {self.subject_claim}): get another one."
            raise MissingClaim(message, reason="sub_missing")
        named: str = found
        return named

    def _hold_audience(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Whom the token is for. An issuer need not say so (RFC 7662): then its client must be one of ours."""
        if self.client_ids and ("aud" not in claims or not self.audiences):
            if require_string(claims, "client_id") not in self.client_ids:
                message = (
                    "The token was given to a client that is not named here: add it to client_ids, if it should be."
                )
                raise WrongAudience(message, reason="client_mismatch")
            return audience(claims) if "aud" in claims else ()
        meant_for = audience(claims) if self.audiences or "aud" in claims else ()
        if self.audiences and self.audiences.isdisjoint(meant_for):
            message = "The token is meant for another service: ask for one with this service's audience."
            raise WrongAudience(message, reason="audience_mismatch")
        return meant_for

    def _hold_kind(self, claims: Mapping[str, Any]) -> None:
        kind = optional_string(claims, "token_type")
        if kind is None and not self.audiences and not self.client_ids:
            message = (
                "The issuer says neither what kind of token it is (token_type) nor for whom (aud). If it never does, "
                "name in client_ids the clients whose tokens are for this service; else give audiences."
            )
            raise MissingClaim(message, reason="token_type_missing")
        if (kind or "bearer").lower() not in _BEARER_TYPES:
            raise WrongType("The token is no access token for a bearer: send the access token.", reason="token_type")
        for name in KIND_CLAIMS:
            if name in claims and name != "token_type":
                check_kind(name, claims[name], "access")
        if "cnf" in claims:  # only who holds a key may use it, and nobody has proved that here
            raise WrongType("The token is bound to a key (DPoP, mTLS): get one without.", reason="token_bound")
