"""What headers say of a part of a file: whether it goes on with what is there (RFC 9110 sections 13 and 14). Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.papers.partial import Resume

__all__ = ["goes_on", "total_of", "validator_of"]

_STRONG_DATE_S = 60  # RFC 9110 section 8.8.2.2: what had not changed for a minute when it was sent is what it was


def goes_on(headers: Mapping[str, str], resume: Resume) -> bool:
    """Say whether a partial answer begins where ``resume`` ends, and is of the same file (RFC 9110 section 14.4)."""
    unit, _, given = headers.get("content-range", "").partition(" ")
    span, _, total = given.partition("/")
    begins = unit.lower() == "bytes" and span.partition("-")[0].strip() == str(resume.offset)
    same_size = resume.total is None or total.strip() in {"*", str(resume.total)}
    # A server that knows no If-Range still says of what its part is.
    validator = headers.get("etag" if resume.validator.startswith('"') else "last-modified")
    return begins and same_size and validator in {None, resume.validator}


def validator_of(headers: Mapping[str, str]) -> str | None:
    """Return what If-Range may say: a strong ETag, or a date that is as good (RFC 9110 section 13.1.5)."""
    etag = headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    modified = headers.get("last-modified", "")
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(modified)
    except (ValueError, TypeError):
        return None
    return modified if not etag and age.total_seconds() >= _STRONG_DATE_S else None


def total_of(headers: Mapping[str, str]) -> int | None:
    """Return the size of the whole file, as far as the server says."""
    if "content-range" in headers:
        return _number(headers["content-range"].rpartition("/")[2])
    return _number(headers.get("content-length", ""))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004 - more than any disk
