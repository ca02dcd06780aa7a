"""What is asked of each claim of a signed token, as one table: the check, who needs the claim, and which rule says so.

The signature was verified with this issuer's keys before anything comes here, and ``iss`` led to the issuer. A token is
held against the table from top to bottom; the first rule that fails refuses it. ``ClaimRules`` gathers the rows for one
issuer's settings, and holds a token against what these ask beyond the table.

The walk costs less than the same checks written out one after the other did (1.1 against 1.7 µs): a row is one look-up,
and one call where the claim is there. A check begins with the one line that nearly every token passes.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from doorward.errors import Malformed, MissingClaim, WrongAudience, WrongClaim, WrongType
from doorward.guard.issuers.claim_paths import ABSENT, ClaimPath
from doorward.guard.issuers.kinds import KIND_CLAIMS, check_kind
from doorward.guard.issuers.tenants import TENANT, Template
from doorward.protocol.claims import (
    LAST_INSTANT,
    audience,
    check_expiry,
    check_issued,
    check_not_before,
    require_numeric_date,
    require_string,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doorward.guard.issuers.issuer import Issuer, TokenType
    from doorward.protocol.claims import SignedClaims

    _Claims: TypeAlias = Mapping[str, Any]
    _Check: TypeAlias = Callable[[_Claims, Any, Issuer, float], None]

__all__ = ["CLAIMS", "Claim", "ClaimRules", "Facts"]

_ALL: Final = frozenset({"any", "access", "id"})
_NONE: Final[frozenset[str]] = frozenset()
_ACCESS: Final = frozenset({"access"})
_ID: Final = frozenset({"id"})
_NOT_ACCESS: Final = frozenset({"any", "id"})
_NOT_ID: Final = frozenset({"any", "access"})


class Facts(msgspec.Struct, frozen=True):
    """What a token says that was checked. Instants are epoch seconds in UTC."""

    issuer: str
    subject: str
    audience: tuple[str, ...]
    expires_at: int
    issued_at: int | None
    jti: str | None


class Claim(msgspec.Struct, frozen=True):
    """One row: what is asked of a claim in tokens of some kinds (``Issuer.token_type``).

    ``check`` gets all claims, the value, the issuer and the instant, and raises. It is None where the claim is looked
    at ``elsewhere``.
    """

    name: str
    check: _Check | None
    source: str
    kinds: frozenset[str] = _ALL
    required: frozenset[str] = _NONE
    elsewhere: str = ""


# The checks


def _is_bound(_claims: _Claims, _value: Any, _issuer: Issuer, _now: float) -> None:
    raise WrongType(
        "The token is bound to its sender's key and no bearer token: ask for one that is.", reason="sender_constrained"
    )


def _is_event(_claims: _Claims, _value: Any, _issuer: Issuer, _now: float) -> None:
    # A logout token has the same header, audience and subject as an ID token.
    raise WrongType("The token is a security event, such as a logout: send an access token.", reason="security_event")


# What nearly every token holds is told by the first line; the rest knows what is wrong, and the words for it.


def _expires(claims: _Claims, value: Any, issuer: Issuer, now: float) -> None:
    if not (type(value) is int and now < value + issuer.leeway_s and 0 <= value <= LAST_INSTANT):
        check_expiry(require_numeric_date(claims, "exp"), now=now, leeway_s=issuer.leeway_s)


def _begins(claims: _Claims, value: Any, issuer: Issuer, now: float) -> None:
    if not (type(value) is int and 0 <= value <= now):
        check_not_before(require_numeric_date(claims, "nbf"), now=now, leeway_s=issuer.leeway_s)


def _was_issued(claims: _Claims, value: Any, issuer: Issuer, now: float) -> None:
    if not (type(value) is int and 0 <= value <= now and issuer.max_token_age_s is None):
        issued_at = require_numeric_date(claims, "iat")
        check_issued(issued_at, now=now, leeway_s=issuer.leeway_s, max_age_s=issuer.max_token_age_s)


def _names(values: list[Any]) -> bool:
    for value in values:  # noqa: SIM110 - for each token, where all() costs three times as much
        if type(value) is not str or not value:
            return False
    return True


def _is_for_us(claims: _Claims, value: Any, issuer: Issuer, _now: float) -> None:
    if type(value) is str:
        if value in issuer.audiences:
            return
    elif type(value) is list and _names(value) and not issuer.audiences.isdisjoint(value):
        return
    if issuer.audiences.isdisjoint(audience(claims)):
        message = "The token is meant for another service: ask for one with this service's audience."
        raise WrongAudience(message, reason="audience_mismatch")


def _is_for_us_alone(claims: _Claims, value: Any, issuer: Issuer, now: float) -> None:
    _is_for_us(claims, value, issuer, now)
    if type(value) is list and len(value) > 1:
        require_string(claims, "azp")


def _was_given_to_us(claims: _Claims, _value: Any, issuer: Issuer, _now: float) -> None:
    if require_string(claims, "azp") not in issuer.audiences:
        message = "The ID token was issued to another client (azp): sign in with this service's client."
        raise WrongAudience(message, reason="azp_mismatch")


def _is_text(name: str) -> _Check:
    def check(claims: _Claims, value: Any, _issuer: Issuer, _now: float) -> None:
        if type(value) is not str or not value:
            require_string(claims, name)

    return check


def _lists_scopes(_claims: _Claims, value: Any, _issuer: Issuer, _now: float) -> None:
    # The profile wants a string. Duende IdentityServer writes a list by default, and so does Cloud Foundry's UAA.
    if type(value) is not str and not (type(value) is list and _names(value)):
        message = "The access token's scope is neither a string nor a list of names. Tell the provider."
        raise Malformed(message, reason="scope_malformed")


def _is_of_kind(name: str) -> _Check:
    def check(_claims: _Claims, value: Any, issuer: Issuer, _now: float) -> None:
        check_kind(name, value, issuer.token_type)

    return check


# The table

_BY_POLICY: Final = "guard.policy reads it into the principal, and verifies nothing"
_AT_SIGN_IN: Final = "protocol.id_token holds it against the sign-in; a service has none to hold it against"

CLAIMS: Final = (
    Claim("iss", None, "RFC 7519 4.1.1", required=_ALL, elsewhere="guard.verify finds the issuer and its keys by it"),
    Claim("cnf", _is_bound, "RFC 9449 7.2, RFC 8705 3"),
    Claim("events", _is_event, "RFC 8417 2, OIDC Back-Channel Logout 2.4", _NOT_ACCESS),
    *(Claim(name, _is_of_kind(name), "Keycloak, Cognito and others") for name in KIND_CLAIMS),
    Claim("exp", _expires, "RFC 7519 4.1.4", required=_ALL),
    Claim("nbf", _begins, "RFC 7519 4.1.5"),
    Claim("iat", _was_issued, "RFC 7519 4.1.6, RFC 9068 2.2, OIDC Core 2", required=_ACCESS | _ID),
    Claim("aud", _is_for_us, "RFC 7519 4.1.3, RFC 9068 4", _NOT_ID, required=_NOT_ID),
    Claim("aud", _is_for_us_alone, "OIDC Core 3.1.3.7, rules 3 and 4", _ID, required=_ID),
    Claim("azp", _was_given_to_us, "OIDC Core 3.1.3.7, rule 5", _ID),
    Claim("scope", _lists_scopes, "RFC 9068 2.2.3, RFC 8693 4.2", _ACCESS),
    Claim("sub", _is_text("sub"), "RFC 7519 4.1.2", required=_ALL),
    Claim("client_id", _is_text("client_id"), "RFC 9068 2.2", _ACCESS, required=_ACCESS),
    Claim("jti", _is_text("jti"), "RFC 7519 4.1.7, RFC 9068 2.2", required=_ACCESS),
    *(
        Claim(name, None, "OIDC Core 2", elsewhere=_AT_SIGN_IN)
        for name in ("nonce", "at_hash", "c_hash", "auth_time", "acr", "amr", "sid")
    ),
    *(
        Claim(name, None, "OIDC Core 5.1, RFC 9068 2.2.3.1", elsewhere=_BY_POLICY)
        for name in ("email", "email_verified", "preferred_username", "upn", "unique_name", "groups", "roles", "scp")
    ),
    *(
        Claim(name, None, "providers' own", elsewhere=_BY_POLICY)
        for name in ("verified_primary_email", "xms_edov", "_claim_names", "hasgroups")
    ),
)

_PLAIN_TYPES: Final = frozenset({None, "jwt"})
_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068 section 2.1
_TYPES: Final = {"id": _PLAIN_TYPES, "access": _ACCESS_TOKEN_TYPES, "any": _PLAIN_TYPES | _ACCESS_TOKEN_TYPES}
_WANTED: Final = {"id": "an ID token", "access": "an access token (at+jwt)", "any": "an access token or ID token"}


_SVID_TYPES: Final = frozenset({None, "jwt", "jose"})  # JWT-SVID section 2.3
_SPIFFE: Final = "spiffe://"
_NO_SEGMENTS: Final = frozenset({"", ".", ".."})  # SPIFFE-ID section 2.2: or a pattern could be walked out of


@cache  # a few, shared by all issuers whose settings ask for the same
def _rows(kind: TokenType, needed: frozenset[str], spared: frozenset[str]) -> tuple[tuple[str, bool, _Check], ...]:
    return tuple(
        (claim.name, (kind in claim.required and claim.name not in spared) or claim.name in needed, claim.check)
        for claim in CLAIMS
        if claim.check is not None and kind in claim.kinds and not (claim.name == "sub" and "sub" in spared)
    )


class ClaimRules:
    """What is asked of the tokens of one issuer: the rows of the table for its settings, then what only these ask."""

    __slots__ = (
        "_audience",
        "_is_spiffe",
        "_is_usual",
        "_issuer",
        "_required",
        "_rows",
        "_subject",
        "_types",
        "template",
    )

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._audience = None if issuer.audience_claim is None else ClaimPath(issuer.audience_claim)
        self._subject = None if issuer.subject_claim is None else ClaimPath(issuer.subject_claim)
        self._required = issuer.required_claims
        self._is_spiffe = issuer.profile == "spiffe"
        self.template = Template(issuer.url, issuer.tenants) if TENANT in issuer.url else None
        """How the issuers of its tenants are called, where it stands for several."""
        self._types = _SVID_TYPES if self._is_spiffe else _TYPES[issuer.token_type]
        needed = frozenset() if issuer.max_token_age_s is None else frozenset({"iat"})
        spared = {"aud" if self._audience else "", "sub" if self._subject else ""}
        self._rows = _rows(issuer.token_type, needed, frozenset(spared))
        self._is_usual = not (self._audience or self._subject or self._required or self._is_spiffe or self.template)

    def validate(self, signed: SignedClaims, now: float) -> Facts:
        """Hold a signed token against the rules.

        Args:
            signed: verified with the keys of the issuer that its ``iss`` led to.
            now: epoch seconds.

        Raises:
            InvalidCredential: the class of the rule that failed: WrongType, WrongAudience, WrongClaim, UnknownIssuer,
                Expired, NotYetValid, MissingClaim or Malformed.

        Source: RFC 7519 section 4.1; RFC 9068 section 4 for ``access``; OIDC Core 3.1.3.7 for ``id``, as far as a
        service can: it knows no nonce and has no access token beside it.
        """
        claims, typ, issuer = signed.claims, signed.header.typ, self._issuer
        if typ not in self._types and (typ is None or typ.lower() not in self._types):
            kind = issuer.token_type
            reason = "not_at_jwt" if kind == "access" else "typ_mismatch"
            raise WrongType(f"The token is not {_WANTED[kind]} (typ): send the right one.", reason=reason)
        for name, required, check in self._rows:
            value = claims.get(name, ABSENT)
            if value is not ABSENT:
                check(claims, value, issuer, now)
            elif required:
                raise _missing(name)
        issued_at = claims.get("iat")
        named, subject, meant_for = (
            (issuer.url, claims["sub"], claims["aud"]) if self._is_usual else self._hold_settings(claims)
        )
        return Facts(
            named,
            subject,
            (meant_for,) if type(meant_for) is str else tuple(meant_for),
            int(claims["exp"]),
            None if issued_at is None else int(issued_at),
            claims.get("jti"),
        )

    def _hold_settings(self, claims: _Claims) -> tuple[str, str, str | list[str]]:
        """Hold a token against what only some issuers' settings ask, and read what only they say where to find."""
        issuer = self._issuer
        meant_for: str | list[str] | None = claims.get("aud")
        if meant_for is None:
            meant_for = _said(self._audience, "aud", claims)
            if meant_for not in issuer.audiences:
                message = "The token is meant for another service (audience_claim): ask for one for this service."
                raise WrongAudience(message, reason="audience_mismatch")
        subject = claims.get("sub", "")  # that of Cloudflare's service tokens is empty
        subject = _said(self._subject, "sub", claims) if subject == "" else require_string(claims, "sub")
        if self._is_spiffe:
            _hold_trust_domain(issuer.url, subject)
        for each in self._required:
            each.hold(claims)
        return issuer.url if self.template is None else self.template.hold(claims), subject, meant_for


def _said(path: ClaimPath | None, name: str, claims: _Claims) -> str:
    """Return the one name that stands in the claim that a setting points to, in place of another."""
    found = ABSENT if path is None else path.find(claims)
    if path is None or found is ABSENT:
        raise _missing(name if path is None else f"{name} or {path.text}", name)
    if type(found) is not str or not found:
        raise Malformed(f"The claim {path.text} is not a string with content.", reason=f"{name}_malformed")
    named: str = found
    return named


def _hold_trust_domain(url: str, subject: str) -> None:
    domain, *path = subject.removeprefix(_SPIFFE).split("/")
    is_id = subject.startswith(_SPIFFE) and bool(domain and path) and not _NO_SEGMENTS.intersection(path)
    if not is_id or (url.startswith(_SPIFFE) and url != f"{_SPIFFE}{domain}"):
        message = "The token's subject is no SPIFFE ID of the trust domain whose keys verified it."
        raise WrongClaim(message, reason="trust_domain_mismatch")


def _missing(name: str, reason: str = "") -> MissingClaim:
    return MissingClaim(
        f"The token has no claim {name}; ask its issuer for one that has.", reason=f"{reason or name}_missing"
    )
