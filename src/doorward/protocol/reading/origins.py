"""Origins that a token may go to: scheme, host and port, compared exactly. No pattern, no path, no user name."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError
from doorward.protocol.reading.urls import FLAWS, url_flaw

__all__ = ["Origin", "origin_of", "parse_origin"]

_PORTS = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """Where a token may go (RFC 6454 section 4). The host is in lower case; two are the same if all three parts are."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def parse_origin(origin: object, *, loopback_http: bool = False) -> Origin:
    """Return the origin that is written ``https://host`` or ``https://host:port``.

    Args:
        origin: What should be one.
        loopback_http: Allow http where the host is this machine.

    Raises:
        ConfigurationError: field ``origin``; the reason is a flaw of ``urls``, ``wildcard`` or ``has_path``.
    """
    flaw = url_flaw(origin, loopback_http=loopback_http)
    if not flaw:
        parts = urlsplit(str(origin))
        if "*" in parts.netloc:
            flaw = "wildcard"
        elif parts.path not in {"", "/"}:
            flaw = "has_path"
        else:
            return Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
    whys = {**FLAWS, "wildcard": "has a wildcard, which could match somebody else's host", "has_path": "has a path"}
    message = f"An origin for tokens {whys[flaw]}. Write each as https://host or https://host:port."
    raise ConfigurationError(message, field="origin", reason=flaw)


def origin_of(url: str, *, loopback_http: bool = False, longest: int = 8192) -> Origin | None:
    """Return the origin of a URL; None for one that no token may go to, whatever is wrong with it.

    Args:
        url: A URL from outside; it may have a query, and no user name.
        loopback_http: Allow http where the host is this machine.
        longest: How many characters it may have.
    """
    if url_flaw(url, loopback_http=loopback_http, query=True, fragment=True, longest=longest):
        return None
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
