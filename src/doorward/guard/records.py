"""What was asked, and what the audit is told of the answer. What a refused credential says is its own word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from doorward.errors import DoorwardError, Forbidden, Throttled, UnavailableError
from doorward.guard.audit_chain import Decision
from doorward.guard.key_format import is_key_shaped, key_id_of
from doorward.guard.shapes import looks_signed
from doorward.protocol.claims import parse_jwt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.guard.tokens import Accepted

__all__ = ["Request", "accepted_decision", "refused_decision"]


class Request(msgspec.Struct, frozen=True):
    """One question to the guard. ``scopes`` is no iterator: it is read twice, and would then ask for nothing."""

    authorization: str | None
    client_ip: str | None
    scopes: Sequence[str]
    resource: str | None
    digest: bytes

    def __repr__(self) -> str:
        return f"Request(client_ip={self.client_ip!r}, resource={self.resource!r})"


def accepted_decision(request: Request, accepted: Accepted, *, now: float) -> Decision:
    """Tell of a credential that was accepted."""
    return _verified_decision("accepted", request, accepted, now, None)


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
    outcome = _outcome(error)
    if accepted is not None:
        return _verified_decision(outcome, request, accepted, now, error)
    kind, issuer, subject, key_id = _said_of_itself(credential)
    return Decision(
        at=now,
        outcome=outcome,
        code=error.code,
        reason=error.reason,
        kind=kind,
        issuer=issuer,
        subject=subject,
        key_id=key_id,
        client_ip=request.client_ip or "",
        resource=request.resource or "",
        scopes=tuple(request.scopes),
    )


def _verified_decision(
    outcome: _Outcome, request: Request, accepted: Accepted, now: float, error: DoorwardError | None
) -> Decision:
    principal = accepted.principal
    return Decision(
        at=now,
        outcome=outcome,
        code=error.code if error else "",
        reason=error.reason if error else "",
        kind=principal.kind,
        issuer=principal.issuer,
        subject=principal.subject,
        jti=accepted.jti or "",
        key_id=accepted.kid or "",
        client_ip=request.client_ip or "",
        resource=request.resource or "",
        scopes=tuple(request.scopes),
    )


_Outcome = Literal["accepted", "refused", "forbidden", "throttled", "unavailable"]
_Kind = Literal["jwt", "opaque", "api_key", "none"]


def _outcome(error: DoorwardError) -> _Outcome:
    match error:
        case Forbidden():
            return "forbidden"
        case Throttled():
            return "throttled"
        case UnavailableError():
            return "unavailable"
    return "refused"


def _said_of_itself(credential: str) -> tuple[_Kind, str, str, str]:
    """Return kind, issuer, subject and key, as far as the credential says."""
    if not credential:
        return "none", "", "", ""
    if is_key_shaped(credential):
        return "api_key", "", "", key_id_of(credential) or ""
    if not looks_signed(credential):
        return "opaque", "", "", ""
    try:
        jwt = parse_jwt(credential)
    except DoorwardError:
        return "jwt", "", "", ""
    issuer, subject = (jwt.claims.get(name) for name in ("iss", "sub"))
    return (
        "jwt",
        issuer if isinstance(issuer, str) else "",
        subject if isinstance(subject, str) else "",
        jwt.header.kid or "",
    )
