"""One decision of the guard, and what a line of its log says of it. Pure; no file, clock or thread."""

from __future__ import annotations

from typing import Literal

import msgspec

from doorward.journal.chain import LONGEST_TEXT, told
from doorward.vault.times import format_instant

__all__ = ["Decision"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of the guard: what, who, from where, why. Holds no token text and no claims.

    Made on every request, hence a msgspec struct: a frozen dataclass takes five times as long.
    """

    at: float
    """When, in epoch seconds."""
    outcome: Literal["accepted", "refused", "forbidden", "throttled", "unavailable"]
    code: str = ""
    """Of the error, such as ``expired``; empty where there was none. ``reason`` narrows it down."""
    reason: str = ""
    kind: Literal["jwt", "opaque", "api_key", "none"] = "none"
    issuer: str = ""
    """Verified where ``accepted`` or ``forbidden``; else what the credential said of itself. So is ``subject``."""
    subject: str = ""
    jti: str = ""
    key_id: str = ""
    """The ``kid`` of the key that signed, or the id of the API key."""
    client_ip: str = ""
    resource: str = ""
    """Method and path. A query is left out, whoever hands one in: it may hold a secret."""
    scopes: tuple[str, ...] = ()
    """The scopes that were needed."""
    count: int = 1
    """Of how many decisions this is the last, all of one network and throttled, from ``since`` on (epoch seconds)."""
    since: float | None = None

    def describe(self, *, longest: int = LONGEST_TEXT) -> dict[str, str]:
        """Return it as members of a line: printable, bounded, told apart, and without those that say nothing."""
        resource = self.resource
        members = {
            "outcome": self.outcome,
            "code": self.code,
            "reason": self.reason,
            "kind": self.kind,
            "issuer": self.issuer,
            "subject": self.subject,
            "jti": self.jti,
            "key_id": self.key_id,
            "client_ip": self.client_ip,
            "resource": resource.partition("?")[0] if "?" in resource else resource,
            "scopes": " ".join(self.scopes),
            "count": str(self.count) if self.count > 1 else "",
            "since": "" if self.since is None else format_instant(self.since),
        }
        return {name: told(text, longest) for name, text in members.items() if text}
