"""Instants as the vault writes them, and the one rule for when a token is fresh. Light to import, pure."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["format_instant", "is_fresh", "parse_instant", "refresh_margin_s"]

_LONGEST_MARGIN_S = 300.0


def format_instant(at: float) -> str:
    """Return epoch seconds as RFC 3339 in UTC with microseconds: ``2026-11-21T21:39:00.123456Z``.

    Raises:
        ValueError: Not a number, or outside of the years 1 to 9999.
    """
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("an instant between the years 1 and 9999") from error
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str) -> float:
    """Return the epoch seconds of exactly what ``format_instant`` writes: no other zone, precision or calendar.

    Raises:
        ValueError: Any other text.
    """
    moment = datetime.fromisoformat(text.removesuffix("Z"))
    if moment.tzinfo is not None or moment.isoformat(timespec="microseconds") + "Z" != text:
        raise ValueError("an instant in UTC with microseconds")
    at = moment.replace(tzinfo=UTC).timestamp()
    format_instant(at)  # the last of the year 9999 is, rounded, none that can be written again
    return at


def refresh_margin_s(lifetime_s: float) -> float:
    """Return how long before its end a token is renewed: 5 minutes, or half of a life that is shorter than 10."""
    return min(_LONGEST_MARGIN_S, max(lifetime_s, 0.0) / 2)


def is_fresh(issued_at: float | None, expires_at: float | None, *, now: float) -> bool:
    """Say whether a token need not be renewed yet. One whose end the provider did not tell is fresh until refused."""
    if expires_at is None:
        return True
    margin_s = _LONGEST_MARGIN_S if issued_at is None else refresh_margin_s(expires_at - issued_at)
    return expires_at - now > margin_s
