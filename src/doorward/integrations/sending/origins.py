"""Whom a token is meant for: a list of origins. Nothing is matched but these; there are no wildcards."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError
from doorward.protocol.reading.urls import FLAWS, url_flaw

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Origin", "origin_of", "parse_origins"]

_PORTS = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """Where a request goes: the scheme, the host in lower case and ASCII, the port."""

    scheme: str
    host: str
    port: int


def origin_of(scheme: str, host: str, port: int | None) -> Origin:
    """Return the origin of a URL that a library has taken apart; without a port, the scheme's own."""
    return Origin(scheme, host.lower(), port or _PORTS.get(scheme, 0))


def parse_origins(origins: Iterable[str], *, loopback_http: bool) -> frozenset[Origin]:
    """Take origins as callers may give them: one, or several.

    Args:
        origins: Each as ``https://host`` or ``https://host:port``.
        loopback_http: Allow http origins on 127.0.0.0/8, ``[::1]`` and ``localhost``. Not on port 80, for clients
            carry a token on from there to https on port 443.

    Raises:
        ConfigurationError: field ``origins``.
    """
    given = [origins] if isinstance(origins, str) else origins
    parsed = frozenset(_parse(origin, loopback_http=loopback_http) for origin in given)
    if not parsed:
        message = "No origin may get the token. Name those it is meant for, such as https://api.example.org."
        raise ConfigurationError(message, field="origins", reason="no_origins")
    return parsed


def _parse(origin: str, *, loopback_http: bool) -> Origin:
    if flaw := url_flaw(origin, loopback_http=loopback_http):
        why = FLAWS[flaw]
    else:
        parts = urlsplit(origin)
        found = origin_of(parts.scheme, parts.hostname or "", parts.port)
        if "*" in found.host:
            flaw, why = "wildcard", "has a wildcard, which could match somebody else's host"
        elif parts.path not in {"", "/"}:
            flaw, why = "has_path", "has a path, which is not part of an origin"
        elif (found.scheme, found.port) == ("http", _PORTS["http"]):
            flaw, why = "http_port_80", "is http on port 80, from where clients carry a token on to port 443"
        else:
            return found
    message = (
        f"An origin for tokens {why}. Write each as https://host or https://host:port. For development on this "
        "computer, allow http with insecure_loopback_http=True."
    )
    raise ConfigurationError(message, field="origins", reason=flaw)
