"""The Set-Cookie header: one text from outside in, what it asks for out. Pure; the jar decides whether it gets it.

Follows RFC 6265 section 5.2 and, where browsers have since become stricter, RFC 6265bis: lengths, control characters,
400 days at most. Nothing raises: what can't be read is no cookie, or an attribute that is not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from doorward.model import Secret

__all__ = ["LONGEST_PAIR", "SameSite", "SetCookie", "parse_cookie_date", "parse_set_cookie"]

SameSite: TypeAlias = Literal["Strict", "Lax", "None"]

LONGEST_PAIR: Final = 4096
_LONGEST_ATTRIBUTE = 1024
_LONGEST_LIFE_S = 400 * 86400.0
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_WHITESPACE = " \t"

_DATE_TOKEN = re.compile(r"[^\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D.*)?", re.ASCII | re.DOTALL)
_DAY = re.compile(r"(\d{1,2})(?:\D.*)?", re.ASCII | re.DOTALL)
_YEAR = re.compile(r"(\d{2,4})(?:\D.*)?", re.ASCII | re.DOTALL)
_FIRST_YEAR = 1601
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCookie:
    """What one Set-Cookie header asks for.

    Attributes:
        domain: The Domain attribute, in lower case, without a dot in front; empty if there is none.
        path: The Path attribute; empty if there is none that begins with a slash.
        expires_at: Epoch seconds, in the past to have the cookie removed; None for the length of the session.
    """

    name: str
    value: Secret = field(repr=False)
    domain: str = ""
    path: str = ""
    expires_at: float | None = None
    secure: bool = False
    http_only: bool = False
    same_site: SameSite | None = None


def parse_set_cookie(text: str, *, now: float) -> SetCookie | None:
    """Read the value of one Set-Cookie header; None if it holds no cookie that has a name.

    Args:
        text: The header's value, of one header alone: joined ones can't be parted again.
        now: Epoch seconds.

    Source: RFC 6265 section 5.2. Of an attribute that is repeated, the last one counts.
    """
    if _CONTROL.search(text):
        return None
    pair, *rest = text.split(";")
    name, equals, value = (part.strip(_WHITESPACE) for part in pair.partition("="))
    if not name or not equals or len((name + value).encode(errors="surrogatepass")) > LONGEST_PAIR:
        return None
    attributes: dict[str, str] = {}
    for each in rest:
        key, _, given = (part.strip(_WHITESPACE) for part in each.partition("="))
        if len(given) <= _LONGEST_ATTRIBUTE:
            attributes[key.lower()] = given
    same_site: dict[str, SameSite] = {"strict": "Strict", "lax": "Lax", "none": "None"}
    path = attributes.get("path", "")
    return SetCookie(
        name=name,
        value=Secret(value),
        domain=attributes.get("domain", "").removeprefix(".").lower(),
        path=path if path.startswith("/") else "",
        expires_at=_expires_at(attributes, now),
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=same_site.get(attributes.get("samesite", "").lower()),
    )


def parse_cookie_date(text: str) -> float | None:
    """Return the epoch seconds of a date as servers write it, in any of their ways; None if it is none.

    Source: RFC 6265 section 5.1.1.
    """
    time: tuple[int, int, int] | None = None
    day = month = year = None
    for token in _DATE_TOKEN.findall(text):
        if time is None and (found := _TIME.fullmatch(token)):
            time = int(found[1]), int(found[2]), int(found[3])
        elif day is None and (found := _DAY.fullmatch(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.fullmatch(token)):
            year = int(found[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 100:  # noqa: PLR2004 - two digits
        year += 1900 if year >= 70 else 2000  # noqa: PLR2004 - RFC 6265 draws the line here
    try:
        moment = datetime(year, month, day, *time, tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() if year >= _FIRST_YEAR else None


def _expires_at(attributes: dict[str, str], now: float) -> float | None:
    """Max-Age counts before Expires, in whatever order they stand (RFC 6265 section 5.3)."""
    expires_at = None
    max_age = attributes.get("max-age", "")
    if re.fullmatch(r"-?[0-9]+", max_age):
        expires_at = float("-inf") if max_age.startswith("-") else now + min(int(max_age), _LONGEST_LIFE_S)
    elif "expires" in attributes:
        expires_at = parse_cookie_date(attributes["expires"])
    return None if expires_at is None else min(expires_at, now + _LONGEST_LIFE_S)
