"""The walk of one credential: remembered? throttled? verified? enough? recorded. ``Guard`` calls it for each request.

``holds`` says whether what was decided lately still does. Everything else goes through ``decide``: read,
throttle, verify, remember, scopes, record. Where nothing has to be waited for, it answers by itself; else it returns
the ``Work`` that will, for threads and tasks alike. Failures that may be guesses count against the address they came
from; outages never do, and never let anybody in. What is no guess, and who has to wait for the guesses of others, says
decision 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from doorward.errors import (
    AlgorithmNotAllowed,
    BadSignature,
    DoorwardError,
    Expired,
    Forbidden,
    Inactive,
    InvalidCredential,
    Malformed,
    MissingClaim,
    Revoked,
    Throttled,
    UnknownApiKey,
    UnknownIssuer,
    WrongAudience,
    WrongClaim,
    WrongType,
)
from doorward.guard.api_keys.format import key_id_of
from doorward.guard.credentials import Request, read_credential
from doorward.guard.record import accepted_decision, refused_decision
from doorward.guard.verdicts import Accepted, Rejected
from doorward.guard.verify import confirm, refuse_revoked, verify_other, verify_signed
from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.guard.configuration import Configuration
    from doorward.guard.work import Work
    from doorward.model import Principal

__all__ = ["decide", "holds"]

# What may be a guess. Someone whose token has expired, is of an old key of its issuer, or is meant for another service,
# did not guess it.
_GUESSES: Final = (Malformed, BadSignature, UnknownIssuer, AlgorithmNotAllowed, UnknownApiKey, Inactive)
# What the same signed token meets again and again: no fetch, store or clock turns it into something else. A bad
# signature is none of these: some issuers give a new key the name of the old one. What an issuer or a store said of
# another credential may be different next time.
_FINAL: Final = (
    Malformed,
    UnknownIssuer,
    AlgorithmNotAllowed,
    WrongType,
    WrongAudience,
    WrongClaim,
    MissingClaim,
    Expired,
)
_REJECTED_TTL_S: Final = 60.0


def holds(config: Configuration, accepted: Accepted, scopes: Sequence[str], now: float) -> bool:
    """Tell whether what was decided about a credential still holds, and is enough.

    On the way of every request, hence written out. A throttled address is no hindrance here: who brings a good
    credential guesses nothing.
    """
    ring, revocations = accepted.ring, config.revocations
    stands = (
        accepted.version_of_api_keys == config.version_of_api_keys
        if ring is None
        else accepted.keys is ring.keys and now < ring.fresh_until
    )
    if not (
        stands and accepted.since <= now < accepted.until and revocations.fresh_since <= now < revocations.fresh_until
    ):
        return False
    if accepted.version_of_revocations != revocations.version:
        try:
            if not refuse_revoked(config, accepted):
                return False
        except Revoked:
            return False
    if scopes and (_missing(scopes, accepted.principal) or _wants_confirmation(config, scopes, accepted.principal)):
        return False
    if ring is None and accepted.kid is not None and config.api_keys is not None:
        config.api_keys.touch(accepted.kid, now)
    return True


class _Attempt(msgspec.Struct, eq=False):
    """One request on its way, and what is known of it so far."""

    request: Request
    now: float
    proved: bool  # its credential was accepted lately: whatever becomes of it now, it was no guess
    credential: str = ""  # until it could be read
    signed: bool = False
    prefix: str | None = None
    accepted: Accepted | None = None
    throttled: Throttled | None = None  # what it hears if it turns out to be a guess: its address must wait
    repeated: bool = False

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"_Attempt({self.request!r})"


def decide(config: Configuration, request: Request, now: float) -> Principal | Work[Principal]:
    """Decide on a request that nothing is remembered for.

    Returns:
        Who is calling; or, where something has to be waited for, the work that finds out, which raises the same errors.

    Raises:
        InvalidCredential, Forbidden, Throttled, UnavailableError: as ``Guard.authenticate``.
    """
    attempt = _Attempt(request, now, config.accepted.get(request.digest) is not None)
    try:
        attempt.credential, attempt.signed = read_credential(request.authorization)
        if not attempt.signed:
            attempt.prefix = key_id_of(attempt.credential)  # nothing else has a part that names it and is no secret
        if not attempt.proved:
            _throttle(config, attempt)
        rejected = config.rejected.get(request.digest)
        if rejected is not None and rejected.since <= now < rejected.until:
            attempt.repeated = True
            raise rejected.again()
        if not attempt.signed:
            verifying = verify_other(
                config, attempt.credential, now, client_ip=request.client_ip, scopes=request.scopes
            )
            return _decide_waiting(config, attempt, verifying)
        verified = verify_signed(config, attempt.credential, now)
        if not isinstance(verified, Accepted):
            return _decide_waiting(config, attempt, verified)
        _remember(config, attempt, verified)
        if request.scopes:
            _require_scopes(request, verified.principal)
            if _wants_confirmation(config, request.scopes, verified.principal):
                return _decide_waiting(config, attempt, None)
    except DoorwardError as error:
        throttled = _refuse(config, attempt, error)
        if throttled is None:
            raise
        raise throttled from error
    return _let_in(config, attempt, verified)


def _decide_waiting(config: Configuration, attempt: _Attempt, verifying: Work[Accepted] | None) -> Work[Principal]:
    request = attempt.request
    try:
        if verifying is not None:
            _remember(config, attempt, (yield from verifying))
        accepted = attempt.accepted
        assert accepted is not None  # noqa: S101 - remembered now, or before
        _require_scopes(request, accepted.principal)
        if (
            attempt.signed
            and config.introspection is not None
            and _wants_confirmation(config, request.scopes, accepted.principal)
        ):
            network = config.throttle.network(request.client_ip)
            yield from confirm(
                config.introspection, attempt.credential, accepted.principal, now=attempt.now, network=network
            )
    except DoorwardError as error:
        throttled = _refuse(config, attempt, error)
        if throttled is None:
            raise
        raise throttled from error
    return _let_in(config, attempt, accepted)


def _throttle(config: Configuration, attempt: _Attempt) -> None:
    """Refuse a guess that comes too soon. A token goes on: only its failure has to wait (decision 13).

    Not so where it may be somebody's API key, which can be weak: how long the answer takes must not tell which it is.
    """
    client_ip, now = attempt.request.client_ip, attempt.now
    throttled = config.throttle.refusal(client_ip, attempt.prefix, now=now)
    if throttled is not None:
        if not attempt.signed and (config.api_keys is not None or config.introspection is None):
            raise throttled
        config.throttle.spare(throttled, client_ip, signed=attempt.signed, now=now)
        attempt.throttled = throttled


def _remember(config: Configuration, attempt: _Attempt, accepted: Accepted) -> None:
    now = attempt.now
    until = now + (config.api_key_ttl_s if accepted.principal.kind == "api_key" else config.token_ttl_s)
    accepted.since = now
    accepted.until = min(accepted.until, until)
    attempt.accepted = accepted
    config.accepted.put(attempt.request.digest, accepted)


def _let_in(config: Configuration, attempt: _Attempt, accepted: Accepted) -> Principal:
    if config.audit is not None and not attempt.request.recorded:
        config.audit.record(accepted_decision(attempt.request, accepted, now=attempt.now))
    return accepted.principal


def _refuse(config: Configuration, attempt: _Attempt, error: DoorwardError) -> Throttled | None:
    """Count what may be a guess, remember what stays refused, record it; return what is heard in place of ``error``."""
    request, now, instead = attempt.request, attempt.now, None
    # A signature that does not fit may be a guess, also where its issuer's keys may be too old to say so for certain.
    why = error.__cause__ if isinstance(error.__cause__, BadSignature) else error
    if attempt.accepted is None and isinstance(why, InvalidCredential):
        if attempt.throttled is not None:
            config.throttle.spend(request.client_ip, signed=attempt.signed)
        if _is_guess(config, attempt, why):
            instead = attempt.throttled
            if instead is None:
                config.throttle.failed(request.client_ip, attempt.prefix, now=now)
        if attempt.proved and why is error:
            config.accepted.drop(request.digest)
        if attempt.signed and not attempt.repeated and isinstance(error, _FINAL):
            until = now + _REJECTED_TTL_S
            config.rejected.put(request.digest, Rejected(type(error), error.message, error.reason, now, until))
    if config.folds is not None:
        error = instead or error
        decision = refused_decision(request, error, attempt.credential, attempt.accepted, now=now)
        config.folds.record(decision, config.throttle.network(request.client_ip))
    return instead


def _is_guess(config: Configuration, attempt: _Attempt, error: InvalidCredential) -> bool:
    if attempt.proved or not attempt.credential or not isinstance(error, _GUESSES):
        return False
    if not isinstance(error, Inactive):
        return True
    # An old token that a page left open sends again and again is one failure. Whoever guesses sends another each time.
    known = config.inactive.get(attempt.request.digest) is not None
    config.inactive.put(attempt.request.digest, error)
    return not known


def _missing(scopes: Sequence[str], principal: Principal) -> tuple[str, ...]:
    held = principal.scopes
    return tuple(scope for scope in scopes if scope not in held)


def _require_scopes(request: Request, principal: Principal) -> None:
    if request.scopes and (missing := _missing(request.scopes, principal)):
        message = "The credential lacks a scope that is needed here: ask for one that has it."
        raise Forbidden(message, missing_scopes=missing)


def _wants_confirmation(config: Configuration, scopes: Sequence[str], principal: Principal) -> bool:
    introspection = config.introspection
    return introspection is not None and principal.kind != "api_key" and introspection.wanted_for(scopes)
