"""Instants as the vault writes them, and the one rule for when a token is fresh. Light to import, pure."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["format_instant", "is_fresh", "parse_instant", "refresh_margin_s"]

_LONGEST_MARGIN_S = 300.0
_UNTOLD_LIFE_S = 3600.0
"""What is taken for the life of a token where the provider tells none and another can be had, as with Salesforce."""


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


def is_fresh(
    issued_at: float | None, expires_at: float | None, *, now: float, bounded: bool, least_s: float = 0.0
) -> bool:
    """Say whether a token need not be renewed yet.

    Args:
        issued_at: When it was issued, if that is known.
        expires_at: When it ends, if the provider told.
        now: Epoch seconds.
        bounded: Whether a token whose end is not told counts as one of an hour; else it is fresh until it is refused.
        least_s: For how long it has to be good.
    """
    if expires_at is None and bounded and issued_at is not None:
        expires_at = issued_at + _UNTOLD_LIFE_S
    if expires_at is None:
        return True
    margin_s = _LONGEST_MARGIN_S if issued_at is None else refresh_margin_s(expires_at - issued_at)
    return expires_at - now > max(margin_s, least_s)
