"""What makes a URL fit to be an issuer, an endpoint, a redirect URI or an address to show; and parameters, encoded."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from doorward.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FLAWS", "by_https", "encode_form", "is_loopback_host", "url_flaw"]

_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_LOOPBACK_V4 = IPv4Network("127.0.0.0/8")
_LOOPBACK_V6 = IPv6Address("::1")

FLAWS = MappingProxyType(
    {
        "not_a_string": "is not a string",
        "bad_characters": "is empty, too long, or has characters that a URL can't have",
        "not_a_url": "is not a URL",
        "no_host": "has no host",
        "has_userinfo": "has a user name in it",
        "has_query": "has a query (?)",
        "has_fragment": "has a fragment (#)",
        "not_https": "is not https",
    }
)
"""What ``url_flaw`` answers, in words that follow the name of the URL."""


def is_loopback_host(host: str) -> bool:
    """Say whether ``host`` is this machine: ``localhost``, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address in _LOOPBACK_V4 if isinstance(address, IPv4Address) else address == _LOOPBACK_V6


def by_https(url: str) -> str:
    """Return an http URL as https, as browsers ask first; as it is if it is none, or of this machine."""
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or is_loopback_host(parts.hostname or ""):
            return url
        netloc = parts.netloc.removesuffix(":80") if parts.port == 80 else parts.netloc  # noqa: PLR2004 - http's
    except ValueError:
        return url
    return parts._replace(scheme="https", netloc=netloc).geturl()


def url_flaw(
    url: object, *, loopback_http: bool, query: bool = False, fragment: bool = False, longest: int = 2048
) -> str:
    """Say what is wrong with an absolute https URL, as a slug; empty when nothing is.

    Args:
        url: What should be a URL.
        loopback_http: Allow http where the host is this machine.
        query: Allow a query.
        fragment: Allow a fragment.
        longest: How many characters it may have.
    """
    if not isinstance(url, str):
        return "not_a_string"
    if len(url) > longest or not _URL_CHARACTERS.fullmatch(url):
        return "bad_characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # reading the port is what checks it
    except ValueError:
        return "not_a_url"
    secure = url.startswith("https://") or (loopback_http and url.startswith("http://") and is_loopback_host(host))
    flaws = {
        "no_host": not host,
        "has_userinfo": "@" in parts.netloc,
        "has_query": not query and "?" in url,
        "has_fragment": not fragment and "#" in url,
        "not_https": not secure,
    }
    return next((flaw for flaw, found in flaws.items() if found), "")


def encode_form(parameters: Iterable[tuple[str, str | None]]) -> str:
    """Encode parameters as a query or a form; those that are None are left out (RFC 6749 appendix B).

    Raises:
        ConfigurationError: A value is not printable, such as a secret read from a file with its line break.
    """
    given = [(name, value) for name, value in parameters if value is not None]
    for name, value in given:
        if not value.isprintable():
            message = f"The parameter {printable(name)} has a line break or other control characters. Give it without."
            raise ConfigurationError(message, field=printable(name), reason="not_printable")
    return urlencode(given)
