"""Where a paper may be asked for: https alone, written as requests want it. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urljoin, urlsplit

from doorward.errors import ConfigurationError
from doorward.papers.checking.article import dois_in
from doorward.protocol.reading.urls import FLAWS, url_flaw

__all__ = ["address_flaw", "check_address", "doi_of", "joined"]

_LONGEST = 8192
"""Signed addresses are long."""

_BARE_DOI = re.compile(r"(?:doi:)?(10\.[0-9]{4,9}/[A-Za-z0-9._;()/:-]{1,200})", re.IGNORECASE)

_BEHIND = re.compile(r"(?:\.pdf|/(?:e?pdf|pdfdirect|full(?:text|/html)?|abstract|abs|html|meta|epub)/?)$")


def check_address(url: str, *, insecure_loopback_http: bool = False) -> str:
    """Return the address of a paper as it is asked for: percent-encoded, without a fragment.

    Raises:
        ConfigurationError: field ``url``; the reason is a flaw of ``protocol.urls``, such as ``not_https``.
    """
    address = _encoded(url)
    if flaw := address_flaw(address, insecure_loopback_http=insecure_loopback_http):
        message = f"The address of the paper {FLAWS[flaw]}. {_remedy(address)}"
        raise ConfigurationError(message, field="url", reason=flaw)
    return address


def _remedy(address: str) -> str:
    """Say what to give instead; the address is repeated only as a DOI, which is no secret."""
    if doi := _BARE_DOI.fullmatch(address):
        return f"To fetch by DOI, give https://doi.org/{doi[1]}"
    if not address_flaw(address, insecure_loopback_http=True):
        return (
            "For development on this computer, allow http with insecure_loopback_http=True (--insecure-loopback-http)."
        )
    return "Give one that begins with https://."


def address_flaw(address: str, *, insecure_loopback_http: bool) -> str:
    """Say what keeps us from asking at ``address``, as a slug of ``protocol.urls``; empty when nothing does."""
    return url_flaw(address, loopback_http=insecure_loopback_http, query=True, longest=_LONGEST)


def joined(at: str, reference: str) -> str:
    """Return the address that ``reference`` means on the page ``at``; itself where it means none."""
    try:
        return _encoded(urljoin(at, reference))
    except ValueError:
        return _encoded(reference)


def doi_of(address: str) -> str | None:
    """Return the DOI in an address: all that follows in a resolver's, and what publishers put behind it left out."""
    parts = urlsplit(address)
    found = dois_in(unquote(parts.path))
    if not found:
        return None
    is_resolver = f".{parts.hostname}".endswith(".doi.org")
    return found[0] if is_resolver else _BEHIND.sub("", found[0])


def _encoded(url: str) -> str:
    """Return an address without its fragment, its odd characters percent-encoded as browsers do."""
    return quote(url.strip().partition("#")[0], safe="-._~:/?#[]@!$&'()*+,;=%", errors="replace")
