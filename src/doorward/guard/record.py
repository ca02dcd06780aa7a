"""What the audit is told of a decision. What a refused credential says is its own word.

Decisions wait for a disk that stalls, and nobody has bounded what a token says: here its texts are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from doorward.errors import DoorwardError, Forbidden, Throttled, UnavailableError
from doorward.guard.api_keys.format import is_key_shaped, key_id_of
from doorward.guard.audit.decisions import Decision
from doorward.guard.credentials import looks_signed
from doorward.journal.chain import as_told, bounded
from doorward.protocol.claims import parse_jwt

if TYPE_CHECKING:
    from doorward.guard.credentials import Request
    from doorward.guard.verdicts import Accepted

__all__ = ["accepted_decision", "refused_decision"]

_SHORT = 300  # which both texts nearly always are together

_Outcome = Literal["accepted", "refused", "forbidden", "throttled", "unavailable"]
_Kind = Literal["jwt", "opaque", "api_key", "none"]


class _Who(msgspec.Struct, frozen=True):
    """Whose credential it was, verified or by its own word."""

    kind: _Kind
    issuer: str = ""
    subject: str = ""
    jti: str = ""
    key_id: str = ""


def accepted_decision(request: Request, accepted: Accepted, *, now: float) -> Decision:
    """Tell of a credential that was accepted."""
    return _decision("accepted", request, _verified(accepted), now)


def refused_decision(
    request: Request, error: DoorwardError, credential: str, accepted: Accepted | None, *, now: float
) -> Decision:
    """Tell why a request was not let in.

    Args:
        request: what was asked.
        error: why not.
        credential: what stood in the header, if it could be read.
        accepted: the credential was good, but not enough.
        now: epoch seconds.
    """
    who = _said_of_itself(credential) if accepted is None else _verified(accepted)
    return _decision(_outcome(error), request, who, now, error.code, error.reason)


def _decision(  # noqa: PLR0913, PLR0917 - what a line of the log is made of
    outcome: _Outcome, request: Request, who: _Who, now: float, code: str = "", reason: str = ""
) -> Decision:
    resource = request.resource or ""
    return Decision(
        at=now,
        outcome=outcome,
        code=code,
        reason=reason,
        kind=who.kind,
        issuer=who.issuer,
        subject=who.subject,
        jti=who.jti,
        key_id=who.key_id,
        client_ip=request.client_ip or "",
        resource=as_told(resource.partition("?")[0] if "?" in resource else resource),
        scopes=tuple(request.scopes),
    )


def _verified(accepted: Accepted) -> _Who:
    principal = accepted.principal
    subject, jti = principal.subject, accepted.jti or ""
    if len(subject) + len(jti) > _SHORT:
        subject, jti = bounded(subject), bounded(jti)
    return _Who(principal.kind, principal.issuer, subject, jti, accepted.kid or "")


def _outcome(error: DoorwardError) -> _Outcome:
    match error:
        case Forbidden():
            return "forbidden"
        case Throttled():
            return "throttled"
        case UnavailableError():
            return "unavailable"
    return "refused"


def _said_of_itself(credential: str) -> _Who:
    if not credential:
        return _Who("none")
    if is_key_shaped(credential):
        return _Who("api_key", key_id=key_id_of(credential) or "")
    if not looks_signed(credential):
        return _Who("opaque")
    try:
        jwt = parse_jwt(credential)
    except DoorwardError:
        return _Who("jwt")
    issuer, subject = (jwt.claims.get(name) for name in ("iss", "sub"))
    return _Who(
        "jwt",
        bounded(issuer) if isinstance(issuer, str) else "",
        bounded(subject) if isinstance(subject, str) else "",
        key_id=bounded(jwt.header.kid or ""),
    )
