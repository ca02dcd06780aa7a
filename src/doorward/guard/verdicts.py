"""What was decided lately, and all that must still be so for it to hold. Without the credential itself.

Whether a decision still holds is for ``decide.holds`` to say, on every hit. Refusals have a cache of their own, so that
no number of bad tokens evicts a good one.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import msgspec

from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from doorward.errors import InvalidCredential
    from doorward.guard.issuers.key_ring import KeyRing
    from doorward.model import Principal
    from doorward.protocol.jwk import JwkSet

__all__ = ["Accepted", "Rejected"]


class Accepted(msgspec.Struct, eq=False):
    """A credential that was accepted, and all that must still be as it was for the decision to hold.

    It holds from ``since`` on, until before ``until``: a clock that is set back prolongs nothing. ``signed`` is what
    revocation by token goes by: what a JWT's signature covers, or the fingerprint of any other credential.
    """

    principal: Principal
    until: float
    ring: KeyRing | None = None
    keys: JwkSet | None = None
    jti: str | None = None
    issued_at: float | None = None
    kid: str | None = None
    signed: bytes = b""
    since: float = -inf
    version_of_api_keys: int = 0
    version_of_revocations: int = -1  # not looked at yet

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"Accepted({self.principal!r})"


class Rejected(msgspec.Struct, frozen=True):
    """A credential whose refusal can't turn into anything else for a while."""

    kind: type[InvalidCredential]
    message: str
    reason: str
    since: float
    until: float

    def again(self) -> InvalidCredential:
        """Return the error anew: one that was raised drags its traceback along."""
        return self.kind(self.message, reason=self.reason)
