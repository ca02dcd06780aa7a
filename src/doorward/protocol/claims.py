"""JSON Web Token: the registered claims, read by type and range. What a kind of token must hold is said elsewhere."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from doorward.errors import ConfigurationError, Expired, Malformed, MissingClaim, NotYetValid
from doorward.protocol.jws import JoseHeader, UnverifiedJws, check_signature, parse_jws, sign_jws
from doorward.protocol.reading.strict_json import dumps_object, loads_object
from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.protocol.jwk import JwkSet, SigningKey

__all__ = [
    "LAST_INSTANT",
    "SignedClaims",
    "Times",
    "UnverifiedJwt",
    "audience",
    "check_expiry",
    "check_issued",
    "check_not_before",
    "optional_numeric_date",
    "optional_string",
    "parse_jwt",
    "require_numeric_date",
    "require_string",
    "sign_claims",
    "validate_times",
    "verify_jwt",
]

LAST_INSTANT = 253_402_300_799
"""The end of the year 9999: what calendars can show."""

_MAX_LEEWAY_S = 300


class UnverifiedJwt(msgspec.Struct, frozen=True):
    """A token of the right shape. Its claims are what somebody wrote; read nothing but ``iss`` to find the keys."""

    jws: UnverifiedJws
    claims: Mapping[str, Any]

    @property
    def header(self) -> JoseHeader:
        """The header, as unverified as the rest."""
        return self.jws.header

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"UnverifiedJwt(header={self.header!r})"


class SignedClaims(msgspec.Struct, frozen=True):
    """Claims signed by a key of the given set. ``iss``, ``aud`` and the times were not looked at yet."""

    header: JoseHeader
    claims: Mapping[str, Any]

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"SignedClaims(header={self.header!r})"


class Times(msgspec.Struct, frozen=True):
    """The times of a token that held when they were checked, in epoch seconds."""

    expires_at: int
    not_before: int | None
    issued_at: int | None


def parse_jwt(token: str | bytes, *, max_bytes: int = 16_384) -> UnverifiedJwt:
    """Take a signed JWT apart.

    Raises:
        Malformed: as ``parse_jws``, or the payload is no strict JSON object.
        AlgorithmNotAllowed: as ``parse_jws``.

    Source: RFC 7519 section 7.2.
    """
    jws = parse_jws(token, max_bytes=max_bytes)
    return UnverifiedJwt(jws, loads_object(jws.payload, "The token's payload"))


def verify_jwt(jwt: UnverifiedJwt, keys: JwkSet, *, algorithms: Collection[str]) -> SignedClaims:
    """Check the signature. Arguments and errors as ``check_signature``."""
    jws = jwt.jws
    check_signature(jws, keys, algorithms=algorithms)
    return SignedClaims(jws.header, jwt.claims)


def sign_claims(claims: Mapping[str, Any], key: SigningKey, *, typ: str | None = None) -> str:
    """Sign a JWT.

    Raises:
        ConfigurationError: claims that JSON can't hold.
    """
    return sign_jws(dumps_object(claims, field="claims"), key, typ=typ)


def require_string(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim that must be a string that is not empty.

    Raises:
        MissingClaim: it is not there.
        Malformed: it is something else.
    """
    value = optional_string(claims, name)
    if value is None:
        raise _missing(name)
    return value


def optional_string(claims: Mapping[str, Any], name: str) -> str | None:
    """Return a claim that is a string that is not empty, or None if it is not there. Raises Malformed."""
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, str) or not value:
        raise Malformed(
            f"The claim {name} is not a string with content; its issuer must correct it.", reason=f"{name}_malformed"
        )
    return value


def require_numeric_date(claims: Mapping[str, Any], name: str) -> int:
    """Return a time that must be there, in epoch seconds. Raises MissingClaim, and as ``optional_numeric_date``."""
    value = optional_numeric_date(claims, name)
    if value is None:
        raise _missing(name)
    return value


def optional_numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    """Return a time in epoch seconds, or None if it is not there.

    It is a number of seconds from 1970 to the year 9999. RFC 7519 allows fractions, and some issuers write them, or
    1.7E9: the whole seconds count (decision 7).

    Raises:
        Malformed: not such a number; true and false are none, nor is a number in quotes.

    Source: RFC 7519 section 2 (NumericDate).
    """
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is not int and not (type(value) is float and isfinite(value)):
        raise Malformed(
            f"The claim {name} is not a number of seconds; its issuer must correct it.", reason=f"{name}_malformed"
        )
    if not 0 <= value <= LAST_INSTANT:
        raise Malformed(f"The claim {name} is out of range; its issuer must correct it.", reason=f"{name}_range")
    return int(value)


def audience(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return ``aud`` as a tuple, whether it was written as one string or as a list of them.

    Raises:
        MissingClaim: it is not there.
        Malformed: it is something else, or empty.

    Source: RFC 7519 section 4.1.3.
    """
    if "aud" not in claims:
        raise _missing("aud")
    value = claims["aud"]
    values = tuple(value) if isinstance(value, list) else (value,)
    for one in values or ("",):
        if not isinstance(one, str) or not one:
            raise Malformed(
                "The claim aud is neither a string nor a list of strings; its issuer must correct it.",
                reason="aud_malformed",
            )
    return values


def validate_times(
    claims: Mapping[str, Any], *, now: float, leeway_s: float = 30, max_age_s: float | None = None
) -> Times:
    """Check ``exp``, which must be there, and ``nbf`` and ``iat``.

    Args:
        claims: the claims.
        now: epoch seconds.
        leeway_s: how far clocks may differ, 0 to 300 seconds. With 0, a token is expired when ``exp`` equals ``now``.
        max_age_s: how long after ``iat`` the token may be used; ``iat`` must then be there.

    Raises:
        MissingClaim, Malformed: ``exp`` (or ``iat``) is not there, or not a time.
        Expired: past ``exp``, or older than ``max_age_s`` (reason ``too_old``).
        NotYetValid: ``nbf`` or ``iat`` lies in the future (reason ``nbf_in_future``, ``iat_in_future``).
        ConfigurationError: a leeway out of range.

    Source: RFC 7519 sections 4.1.4 to 4.1.6.
    """
    if not 0 <= leeway_s <= _MAX_LEEWAY_S:
        raise ConfigurationError(f"leeway_s must lie between 0 and {_MAX_LEEWAY_S} seconds.", field="leeway_s")
    expires_at = require_numeric_date(claims, "exp")
    not_before, issued_at = optional_numeric_date(claims, "nbf"), optional_numeric_date(claims, "iat")
    check_expiry(expires_at, now=now, leeway_s=leeway_s)
    if not_before is not None:
        check_not_before(not_before, now=now, leeway_s=leeway_s)
    if issued_at is not None:
        check_issued(issued_at, now=now, leeway_s=leeway_s, max_age_s=max_age_s)
    elif max_age_s is not None:
        raise _missing("iat")
    return Times(expires_at, not_before, issued_at)


# Each comparison is written so that a clock that answers NaN refuses the token.


def check_expiry(expires_at: int, *, now: float, leeway_s: float) -> None:
    """Refuse what has expired, by ``exp``. Raises Expired."""
    if not now < expires_at + leeway_s:
        raise Expired("The token has expired; get a new one.")


def check_not_before(not_before: int, *, now: float, leeway_s: float) -> None:
    """Refuse what is not valid yet, by ``nbf``. Raises NotYetValid (``nbf_in_future``)."""
    if not not_before <= now + leeway_s:
        raise NotYetValid("The token is not valid yet; compare the clocks.", reason="nbf_in_future")


def check_issued(issued_at: int, *, now: float, leeway_s: float, max_age_s: float | None) -> None:
    """Refuse what was issued in the future, or too long ago, by ``iat``. Raises NotYetValid, Expired (``too_old``)."""
    if not issued_at <= now + leeway_s:
        raise NotYetValid("The token was issued in the future; compare the clocks.", reason="iat_in_future")
    if max_age_s is not None and not now < issued_at + max_age_s + leeway_s:
        raise Expired("The token is older than allowed; get a new one.", reason="too_old")


def _missing(name: str) -> MissingClaim:
    return MissingClaim(f"The token has no claim {name}; ask its issuer for one that has.", reason=f"{name}_missing")
