"""What a vault entry says, in words for people and as JSON for programs. Pure: no clock, no file, no secret."""

from __future__ import annotations

from doorward.errors import printable
from doorward.vault.times import format_instant

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from typing import Any

    from doorward.vault.entries import ProfileEntry

__all__ = [
    "access_in_words",
    "duration_in_words",
    "entry_object",
    "instant",
    "renewal_in_words",
    "signed_in_line",
    "who",
]

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def who(entry: ProfileEntry) -> str:
    """Name the person as well as the provider allows: e-mail, else user name, else subject. For display alone."""
    claims = entry.told
    for name in ("email", "preferred_username", "name", "sub"):
        value = claims.get(name)
        if isinstance(value, str) and printable(value):
            return printable(value)
    return "somebody"


def duration_in_words(seconds: float) -> str:
    """Say a time span as people do: ``40 s``, ``42 min``, ``3 h 5 min``, ``12 days``."""
    if seconds < _MINUTE_S:
        return f"{max(seconds, 0):.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        hours, minutes = seconds // _HOUR_S, seconds % _HOUR_S // _MINUTE_S
        return f"{hours:.0f} h {minutes:.0f} min" if minutes else f"{hours:.0f} h"
    return f"{seconds // _DAY_S:.0f} days"


def access_in_words(entry: ProfileEntry, *, now: float) -> str:
    """Say whether the access token can be used, and for how long."""
    if _access_is_good(entry, now=now):
        if entry.access_token_expires_at is None:
            return "good until refused"
        return f"good for {duration_in_words(entry.access_token_expires_at - now)}"
    return "expired" if entry.ended_at is None else "session ended"


def renewal_in_words(entry: ProfileEntry, *, now: float) -> str:
    """Say how the next access token comes."""
    if not _renews(entry):
        return "sign in again"
    if entry.failures and entry.retry_at is not None and entry.retry_at > now:
        return f"retry in {duration_in_words(entry.retry_at - now)}"
    return "by itself"


def signed_in_line(entry: ProfileEntry, *, now: float) -> str:
    """Say in one line who is signed in where, and for how long."""
    issuer = printable(entry.issuer)
    if _renews(entry):
        rest = "The session renews itself."
    elif entry.access_token_expires_at is None:
        rest = "The session does not renew itself."
    else:
        rest = f"The session lasts {duration_in_words(entry.access_token_expires_at - now)} and does not renew itself."
    return f"Signed in as {who(entry)} at {issuer} (profile {entry.profile}). {rest}"


def entry_object(entry: ProfileEntry, *, now: float) -> dict[str, Any]:
    """Return what a program may want to know about a profile, without any token."""
    claims = entry.told
    return {
        "profile": entry.profile,
        "issuer": entry.issuer,
        "client_id": entry.client_id,
        "subject": claims.get("sub"),
        "email": claims.get("email"),
        "email_verified": claims.get("email_verified") is True,
        "scopes": list(entry.granted_scopes or entry.scopes),
        "signed_in_at": instant(entry.created_at),
        "refreshed_at": instant(entry.refreshed_at),
        "access_token_expires_at": instant(entry.access_token_expires_at),
        "id_token_expires_at": instant(entry.id_token_expires_at),
        "ended_at": instant(entry.ended_at),
        "renews_itself": _renews(entry),
        "sign_in_needed": not _renews(entry) and not _access_is_good(entry, now=now),
    }


def instant(at: float | None) -> str | None:
    """Return an instant as RFC 3339 in UTC."""
    return None if at is None else format_instant(at)


def _renews(entry: ProfileEntry) -> bool:
    return entry.refresh_token is not None and entry.ended_at is None


def _access_is_good(entry: ProfileEntry, *, now: float) -> bool:
    expires_at = entry.access_token_expires_at
    return entry.access_token is not None and (expires_at is None or expires_at > now)
