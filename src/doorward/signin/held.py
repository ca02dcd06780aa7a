"""What the vault holds of a profile, as it is asked for: a token that will do, the person. Nothing is saved here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError
from doorward.model import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import TokenKind
    from doorward.vault.entries import ProfileEntry

__all__ = ["Wanted", "principal_of", "who_of"]

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token of a kind, other than one that was rejected, and good for a least life. Checked when made."""

    kind: TokenKind
    rejected: str | None = field(default=None, repr=False)
    least_life_s: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("access", "id"):  # never a token of another kind than was meant
            raise ConfigurationError("kind must be 'access' or 'id'.", field="kind")
        if type(self.least_life_s) not in (int, float) or not 0 <= self.least_life_s <= _DAY_S:
            message = "least_life_s must be a number of seconds from 0 to 86400."
            raise ConfigurationError(message, field="least_life_s", reason="out_of_range")

    def fresh(self, entry: ProfileEntry, *, now: float) -> str | None:
        """Return the token if it need not be renewed."""
        token = entry.fresh_token(self.kind, now=now, least_life_s=self.least_life_s)
        return None if token is None or token.reveal() == self.rejected else token.reveal()

    def usable(self, entry: ProfileEntry, *, now: float, at_least_s: float) -> str | None:
        """Return the token if it is not fresh, but not at its end either: better than none when it can't be renewed."""
        token, _, expires_at = entry.held(self.kind)
        if token is None or token.reveal() == self.rejected:
            return None
        return token.reveal() if expires_at is None or expires_at - now > at_least_s else None


def who_of(entry: ProfileEntry | None) -> dict[str, str | None]:
    """Return whose a profile is, as facts for the record."""
    if entry is None:
        return {}
    subject = (entry.claims or {}).get("sub")
    return {"issuer": entry.issuer, "client_id": entry.client_id, "subject": subject}


def principal_of(entry: ProfileEntry, claims: Mapping[str, Any]) -> Principal:
    """Return who the claims of the ID token name."""
    email, groups = claims.get("email"), claims.get("groups")
    return Principal(
        issuer=claims["iss"],
        subject=claims["sub"],
        audience=(entry.client_id,),
        email=email if isinstance(email, str) else None,
        email_verified=claims.get("email_verified") is True,
        groups=tuple(group for group in groups if isinstance(group, str)) if isinstance(groups, list) else (),
        scopes=entry.scopes if entry.granted_scopes is None else entry.granted_scopes,
        expires_at=entry.access_token_expires_at,
        claims=claims,
    )
