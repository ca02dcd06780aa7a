"""The walk of one credential: remembered? throttled? verified? enough? recorded. ``Guard`` calls it for each request.

``holds`` says whether what was decided lately still does. Everything else goes through ``decide``: read,
throttle, verify, remember, scopes, record. Where nothing has to be waited for, it answers by itself; else it returns
the ``Work`` that will, for threads and tasks alike. Failures that may be guesses count against the address they came
from; outages never do, and never let anybody in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from doorward.errors import (
    AlgorithmNotAllowed,
    BadSignature,
    DoorwardError,
    Expired,
    Forbidden,
    Malformed,
    MissingClaim,
    Revoked,
    UnknownApiKey,
    UnknownIssuer,
    UnknownKey,
    WrongAudience,
    WrongClaim,
    WrongType,
)
from doorward.guard.api_keys.format import key_id_of
from doorward.guard.credentials import Request, read_credential
from doorward.guard.record import accepted_decision, refused_decision
from doorward.guard.verdicts import Accepted, Rejected
from doorward.guard.verify import confirm, refuse_revoked, verify_other, verify_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.guard.configuration import Configuration
    from doorward.guard.work import Work
    from doorward.model import Principal

__all__ = ["decide", "holds"]

# What may be a guess. Someone whose token has expired, or is meant for another service, did not guess it.
_GUESSES: Final = (Malformed, BadSignature, UnknownKey, UnknownIssuer, AlgorithmNotAllowed, UnknownApiKey)
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


def decide(config: Configuration, request: Request, now: float) -> Principal | Work[Principal]:
    """Decide on a request that nothing is remembered for.

    Returns:
        Who is calling; or, where something has to be waited for, the work that finds out, which raises the same errors.

    Raises:
        InvalidCredential, Forbidden, Throttled, UnavailableError: as ``Guard.authenticate``.
    """
    credential, signed, prefix, again, accepted = "", False, None, False, None
    try:
        credential, signed = read_credential(request.authorization)
        prefix = None if signed else key_id_of(credential)  # nothing else has a part that names it and is no secret
        config.throttle.check(request.client_ip, prefix, now=now)
        rejected = config.rejected.get(request.digest)
        if rejected is not None and rejected.since <= now < rejected.until:
            again = True
            raise rejected.again()
        verified = (verify_signed if signed else verify_other)(config, credential, now)
        if type(verified) is Accepted:
            accepted = verified
            _remember(config, request, accepted, now)
            if request.scopes:
                _require_scopes(request, accepted.principal)
    except DoorwardError as error:
        _refuse(config, request, error, credential, prefix, accepted, now, final=signed and not again)
        raise
    if accepted is not None and not (
        request.scopes and _wants_confirmation(config, request.scopes, accepted.principal)
    ):
        return _let_in(config, request, accepted, now)
    return _decide_waiting(config, request, verified, credential, prefix, now, signed=signed)


def _decide_waiting(  # noqa: PLR0913, PLR0917 - where `decide` has come to
    config: Configuration,
    request: Request,
    verified: Accepted | Work[Accepted],
    credential: str,
    prefix: str | None,
    now: float,
    *,
    signed: bool,
) -> Work[Principal]:
    accepted = verified if isinstance(verified, Accepted) else None
    try:
        if not isinstance(verified, Accepted):
            accepted = yield from verified
            _remember(config, request, accepted, now)
        assert accepted is not None  # noqa: S101 - one of the two
        _require_scopes(request, accepted.principal)
        if config.introspection is not None and _wants_confirmation(config, request.scopes, accepted.principal):
            yield from confirm(config.introspection, credential, accepted.principal, now=now)
    except DoorwardError as error:
        _refuse(config, request, error, credential, prefix, accepted, now, final=signed)
        raise
    return _let_in(config, request, accepted, now)


def _remember(config: Configuration, request: Request, accepted: Accepted, now: float) -> None:
    until = now + (config.api_key_ttl_s if accepted.principal.kind == "api_key" else config.token_ttl_s)
    accepted.since = now
    accepted.until = min(accepted.until, until)
    config.accepted.put(request.digest, accepted)


def _let_in(config: Configuration, request: Request, accepted: Accepted, now: float) -> Principal:
    if config.audit is not None:
        config.audit.record(accepted_decision(request, accepted, now=now))
    return accepted.principal


def _refuse(  # noqa: PLR0913, PLR0917 - all that is known of what was refused
    config: Configuration,
    request: Request,
    error: DoorwardError,
    credential: str,
    prefix: str | None,
    accepted: Accepted | None,
    now: float,
    *,
    final: bool,
) -> None:
    """Count what may be a guess, remember what stays refused, record it. ``final``: the same text may be final."""
    if accepted is None and isinstance(error, _GUESSES):
        config.throttle.failed(request.client_ip, prefix, now=now)
    if final and accepted is None and isinstance(error, _FINAL):
        until = now + _REJECTED_TTL_S
        config.rejected.put(request.digest, Rejected(type(error), error.message, error.reason, now, until))
    if config.audit is not None:
        config.audit.record(refused_decision(request, error, credential, accepted, now=now))


def _missing(scopes: Sequence[str], principal: Principal) -> tuple[str, ...]:
    held = principal.scopes
    return tuple(scope for scope in scopes if scope not in held)


def _require_scopes(request: Request, principal: Principal) -> None:
    if request.scopes and (missing := _missing(request.scopes, principal)):
        message = "The credential lacks a scope that is needed here: ask for one that has it."
        raise Forbidden(message, missing_scopes=missing)


def _wants_confirmation(config: Configuration, scopes: Sequence[str], principal: Principal) -> bool:
    introspection = config.introspection
    return introspection is not None and principal.kind == "jwt" and introspection.wanted_for(scopes)
