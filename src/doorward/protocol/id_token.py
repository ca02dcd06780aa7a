"""The rules of ID tokens, after the signature: who issued it, for whom, when, and for which sign-in.

Each rule that fails has its own error and reason. An old ``iat`` alone fails nothing: the nonce and ``exp`` bound a
token's use, and a limit of our own would only refuse honest clocks.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.errors import (
    Malformed,
    SubjectChanged,
    UnknownIssuer,
    WrongAudience,
    WrongAuthTime,
    WrongNonce,
    WrongTokenHash,
    WrongType,
    printable,
)
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.claims import audience, optional_string, require_numeric_date, require_string, validate_times

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.protocol.claims import SignedClaims

__all__ = ["IdTokenClaims", "validate_id_token", "validate_refreshed_id_token"]

_LONGEST_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class IdTokenClaims:
    """An ID token for which every rule of OIDC Core 3.1.3.7 held. Instants are epoch seconds in UTC."""

    issuer: str
    subject: str
    audience: tuple[str, ...]
    expires_at: int
    issued_at: int
    nonce: str | None = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)


def validate_id_token(  # noqa: PLR0913 - the rules' inputs, by keyword
    signed: SignedClaims,
    *,
    issuer: str,
    client_id: str,
    now: float,
    nonce: str | None,
    access_token: str | None = None,
    max_age_s: int | None = None,
    known_audiences: Collection[str] = (),
    leeway_s: int = 30,
) -> IdTokenClaims:
    """Hold a signed ID token against the sign-in it must belong to.

    Args:
        signed: Claims whose signature was verified with the issuer's keys.
        issuer: The issuer, exactly.
        client_id: Our client, which must be in ``aud`` and, where it is given, be ``azp``.
        now: Epoch seconds.
        nonce: What was sent; None when none was, and then the token must have none.
        access_token: The access token beside it; ``at_hash`` must fit, where the token has one.
        max_age_s: What was asked of the provider, if anything.
        known_audiences: Who may be in ``aud`` beside us and the issuer itself where there is no ``azp``: what was asked
            for, and whom the person named. Oracle puts an address of its own there.
        leeway_s: How far clocks may differ.

    Raises:
        InvalidCredential: The class of the rule that failed: WrongType, UnknownIssuer, WrongAudience, Expired,
            NotYetValid, WrongNonce, WrongTokenHash, WrongAuthTime, MissingClaim or Malformed.

    Source: OIDC Core sections 2, 3.1.3.6 and 3.1.3.7.
    """
    valid = _validate(
        signed, issuer, client_id, access_token, now=now, leeway_s=leeway_s, known_audiences=known_audiences
    )
    if nonce is None and valid.nonce is not None:
        message = "The ID token has a nonce, though this sign-in sent none: it is of another sign-in. Sign in again."
        raise WrongNonce(message, reason="nonce_unexpected")
    if nonce is not None:
        if valid.nonce is None:
            message = "The ID token has no nonce, though one was sent: it may be of another sign-in. Sign in again."
            raise WrongNonce(message, reason="nonce_missing")
        _check_nonce(valid.nonce, nonce)
    if max_age_s is not None:
        _check_auth_time(signed.claims, now=now, max_age_s=max_age_s, leeway_s=leeway_s)
    return valid


def validate_refreshed_id_token(  # noqa: PLR0913 - the rules' inputs, by keyword
    signed: SignedClaims,
    *,
    issuer: str,
    client_id: str,
    now: float,
    previous_subject: str | None,
    nonce: str | None,
    access_token: str | None = None,
    known_audiences: Collection[str] = (),
    leeway_s: int = 30,
) -> IdTokenClaims:
    """Hold an ID token that came with a refresh against the one of the sign-in.

    Args:
        signed: Claims whose signature was verified with the issuer's keys.
        issuer: The issuer of the first ID token, exactly.
        client_id: Our client.
        now: Epoch seconds.
        previous_subject: ``sub`` of the first ID token; None only if there was none.
        nonce: The nonce of the sign-in; a refreshed token may lack it, but not have another. None if there was none, or
            if it is not known any more.
        access_token: The access token beside it.
        known_audiences: As for ``validate_id_token``.
        leeway_s: How far clocks may differ.

    Raises:
        SubjectChanged: It is about somebody else.
        InvalidCredential: As for ``validate_id_token``.

    Source: OIDC Core section 12.2.
    """
    valid = _validate(
        signed, issuer, client_id, access_token, now=now, leeway_s=leeway_s, known_audiences=known_audiences
    )
    if previous_subject is not None and valid.subject != previous_subject:
        message = "The refreshed ID token is about somebody else than the one who signed in. Sign in again."
        raise SubjectChanged(message)
    if valid.nonce is not None and nonce is not None:
        _check_nonce(valid.nonce, nonce)
    return valid


def _validate(  # noqa: PLR0913 - the rules' inputs, by keyword
    signed: SignedClaims,
    issuer: str,
    client_id: str,
    access_token: str | None,
    *,
    now: float,
    leeway_s: int,
    known_audiences: Collection[str],
) -> IdTokenClaims:
    claims = signed.claims
    typ = (signed.header.typ or "").lower()
    if typ.endswith("+jwt"):  # RFC 8725 section 3.11: it says that it is something else, such as an access token
        message = f"The ID token is of another type, {printable(typ)}. Sign in again; if it stays, tell the provider."
        raise WrongType(message, reason="typ_mismatch")
    named = require_string(claims, "iss")
    if named != issuer:
        message = (
            f"The ID token is of another issuer, {printable(named)}, not {issuer}. Check the issuer; sign in again."
        )
        raise UnknownIssuer(message, reason="issuer_mismatch")
    audiences = _check_audience(claims, client_id, (issuer, *known_audiences))
    expires_at = validate_times(claims, now=now, leeway_s=leeway_s).expires_at
    issued_at = require_numeric_date(claims, "iat")
    subject = require_string(claims, "sub")
    if len(subject) > _LONGEST_SUBJECT or not subject.isprintable():
        # The standard says ASCII; some providers put user names here, so any printable text may stand.
        message = "The ID token's subject is longer than 255 characters, or not printable. Tell the provider."
        raise Malformed(message, reason="bad_subject")
    nonce, at_hash = optional_string(claims, "nonce"), optional_string(claims, "at_hash")
    if access_token is not None and at_hash is not None:
        _check_at_hash(at_hash, access_token, signed.header.alg)
    return IdTokenClaims(named, subject, audiences, expires_at, issued_at, nonce, claims)


def _check_audience(claims: Mapping[str, Any], client_id: str, known: Collection[str]) -> tuple[str, ...]:
    """``aud`` and ``azp``: other audiences are accepted beside ``azp``, which binds the token to us, or if known."""
    audiences = audience(claims)
    if client_id not in audiences:
        message = "The ID token is meant for another client. Check the client ID; sign in again."
        raise WrongAudience(message, reason="audience_mismatch")
    authorized_party = optional_string(claims, "azp")
    if authorized_party not in (None, client_id):
        message = "The ID token was issued to another client (azp). Check the client ID; sign in again."
        raise WrongAudience(message, reason="authorized_party_mismatch")
    others = {*audiences} - {client_id, *known}
    if authorized_party is None and others:
        message = (
            f"The ID token is meant for others too, such as {printable(min(others))}, and does not say which one asked "
            "(azp). If you know that other one, name it: known_audiences=[...], or --known-audience. Else tell the "
            "provider."
        )
        raise WrongAudience(message, reason="authorized_party_missing")
    return audiences


def _check_nonce(found: str, expected: str) -> None:
    if not hmac.compare_digest(found.encode(), expected.encode()):
        message = "The ID token has another nonce: it is of another sign-in. Sign in again."
        raise WrongNonce(message, reason="nonce_mismatch")


def _check_auth_time(claims: Mapping[str, Any], *, now: float, max_age_s: int, leeway_s: int) -> None:
    authenticated_at = require_numeric_date(claims, "auth_time")
    if authenticated_at > now + leeway_s:
        message = "The ID token says the person will sign in in the future. Check this computer's clock."
        raise WrongAuthTime(message, reason="auth_time_in_future")
    if now - authenticated_at > max_age_s + leeway_s:
        message = f"The person signed in longer ago than the {max_age_s} s allowed. Sign in again."
        raise WrongAuthTime(message, reason="auth_time_too_old")


def _check_at_hash(found: str, access_token: str, alg: str) -> None:
    # Ed25519 hashes with SHA-512, and so does its at_hash.
    digest = hashlib.new("sha512" if alg == "EdDSA" else f"sha{alg[-3:]}", access_token.encode()).digest()
    expected = encode_base64url(digest[: len(digest) // 2])
    if not hmac.compare_digest(found.encode(), expected.encode()):
        message = "The ID token does not belong to the access token beside it (at_hash). Sign in again."
        raise WrongTokenHash(message, reason="at_hash_mismatch")
