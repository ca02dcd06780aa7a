"""What one call of ``Revocations.revoke`` asks for: one way of several, each value checked, as an entry."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from doorward.errors import AlgorithmNotAllowed, ConfigurationError, Malformed, printable
from doorward.guard.credentials import looks_signed
from doorward.guard.revocation.revocation_list import Revocation, fingerprint
from doorward.protocol.claims import optional_numeric_date, parse_jwt

if TYPE_CHECKING:
    from doorward.guard.revocation.revocation_list import Kind

__all__ = ["revocation_of"]

_LONGEST_LEEWAY_S = 300  # what an issuer's settings may allow beyond `exp`
_LONGEST_TEXT = 2048


def revocation_of(  # noqa: PLR0913, PLR0917 - the arguments of `revoke` as they came
    token: str | None,
    issuer: str | None,
    subject: str | None,
    jti: str | None,
    kid: str | None,
    before: float | None,
    until: float | None,
    by: str,
    now: float,
) -> Revocation:
    """Return what one call of ``Revocations.revoke`` asks for.

    Raises:
        ConfigurationError: none of its ways, or a value that can't be; ``field`` names it.
    """
    given: dict[Kind, str | None] = {"token": token, "jti": jti, "subject": subject, "key": kid}
    named: list[Kind] = [kind for kind, value in given.items() if value is not None]
    kind: Kind = named[0] if named else "issuer"
    if len(named) > 1:
        message = "Revoke one thing with each call: a token, a jti, a subject or a kid, not several at once."
        raise ConfigurationError(message, field=_FIELDS[named[1]], reason="several_targets")
    if (kind == "token") != (issuer is None):
        message = (
            "Leave out the issuer: a token names its own."
            if issuer
            else "Say what to revoke: give a token, or an issuer."
        )
        raise ConfigurationError(message, field="issuer", reason="issuer_with_token" if issuer else "no_issuer")
    for field, value in (("issuer", issuer), (_FIELDS[kind], given.get(kind))):
        if value is not None:
            _check_text(value, field)
    if before is not None and kind not in {"subject", "issuer"}:
        message = "before goes with a subject or an issuer: what else is revoked is so whenever it was issued."
        raise ConfigurationError(message, field="before", reason="before_without_subject")
    _check_instant(before, "before", at_least=0)
    _check_instant(until, "until", at_least=now)
    last = inf if until is None else float(until)
    if token is not None:
        value, found = _read_token(token)
        last = found if until is None else max(found, last)
    else:
        value = given.get(kind) or ""
    issued_until = (now if kind == "subject" else inf) if before is None else float(before)
    return Revocation(kind, issuer or "", value, issued_until, last, now, printable(by))


_FIELDS: dict[Kind, str] = {"token": "token", "jti": "jti", "subject": "subject", "key": "kid", "issuer": "issuer"}


def _read_token(token: str) -> tuple[str, float]:
    """Return a token's fingerprint, and until when it must be remembered."""
    if not token.isascii() or not token.isprintable() or " " in token:
        message = "The token has characters that no token has: give it alone, without Bearer, blanks or line breaks."
        raise ConfigurationError(message, field="token", reason="token_malformed")
    if not looks_signed(token):
        return fingerprint(token.encode()).hex(), inf
    try:
        jwt = parse_jwt(token)
    except (Malformed, AlgorithmNotAllowed) as error:
        # Its digest would revoke this text and nothing that a guard accepts.
        message = f"This is no token that would be accepted, so there is nothing to revoke. {error.message}"
        raise ConfigurationError(message, field="token", reason="token_malformed") from error
    try:
        expires_at = optional_numeric_date(jwt.claims, "exp")
    except Malformed:
        expires_at = None
    # Whoever wrote this `exp`, the fingerprint is of it too: a token with another one is another token.
    return fingerprint(jwt.jws.signing_input).hex(), inf if expires_at is None else expires_at + _LONGEST_LEEWAY_S


def _check_text(value: object, field: str) -> None:
    longest = _LONGEST_TEXT if field != "token" else 16_384
    if isinstance(value, str) and 0 < len(value) <= longest and "\0" not in value:
        try:
            value.encode()
        except UnicodeEncodeError:
            pass
        else:
            return
    message = f"{field} must be text of 1 to {longest} characters, as it stands in the token."
    raise ConfigurationError(message, field=field, reason="bad_text")


def _check_instant(value: object, field: str, *, at_least: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= at_least:
        message = f"{field} must be epoch seconds" + (", and not past." if at_least else ".")
        raise ConfigurationError(message, field=field, reason="bad_instant")
