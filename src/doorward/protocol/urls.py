"""What makes a URL fit to be an issuer, an endpoint, a redirect URI, or an address to show a person. No network."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, ip_address
from urllib.parse import urlsplit

__all__ = ["is_loopback_host", "url_flaw"]

_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{1,2048}")
_LOOPBACK_V4 = IPv4Network("127.0.0.0/8")


def is_loopback_host(host: str) -> bool:
    """Say whether ``host`` is this machine: ``localhost``, 127.0.0.0/8 or ::1, spelt out."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address in _LOOPBACK_V4 if isinstance(address, IPv4Address) else str(address) == "::1"


def url_flaw(url: object, *, loopback_http: bool, query: bool) -> str:
    """Say what is wrong with an absolute https URL, as a slug; empty when nothing is.

    Args:
        url: What should be a URL; anything but a string is ``not_a_string``.
        loopback_http: Allow http for loopback hosts.
        query: Allow a query.
    """
    if not isinstance(url, str):
        return "not_a_string"
    if not _URL_CHARACTERS.fullmatch(url):
        return "bad_characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port is what checks it
    except ValueError:
        return "not_a_url"
    if not host:
        return "no_host"
    if "@" in parts.netloc:
        return "has_userinfo"
    if "#" in url:
        return "has_fragment"
    if "?" in url and not query:
        return "has_query"
    if url.startswith("https://") or (loopback_http and url.startswith("http://") and is_loopback_host(host)):
        return ""
    return "not_https"
