"""Where a request may go, decided from its URL and the environment alone: https, loopback, proxy. No I/O."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from doorward.errors import ConfigurationError, printable
from doorward.model import Secret
from doorward.protocol.reading.urls import FLAWS, is_loopback_host, url_flaw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import HttpRequest

__all__ = ["Proxy", "Target", "check_target", "choose_proxy"]

# Both kinds of SOCKS leave it to the proxy to resolve names, which a machine behind one often can't.
_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

_LONGEST_URL = 8192
"""Signed addresses of papers and SAML requests are longer than the URLs of a provider."""


class Target(msgspec.Struct, frozen=True):
    """The parts of a URL that a request may be sent to. An IPv6 ``host`` is without its brackets."""

    scheme: str
    host: str
    port: int
    path_and_query: str

    @property
    def authority(self) -> str:
        """What the Host header says: ``host:port``, without the port if it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.scheme) else f"{host}:{self.port}"


class Proxy(msgspec.Struct, frozen=True):
    """A proxy that tunnels https, by CONNECT or SOCKS 5, and the environment variable that named it."""

    variable: str
    host: str
    port: int
    scheme: str = "http"
    username: str | None = None
    password: Secret = msgspec.field(default_factory=lambda: Secret(""))


def check_target(request: HttpRequest, *, insecure_loopback_http: bool) -> Target:
    """Take the URL of ``request`` apart, if it may go there.

    Raises:
        ConfigurationError: field ``url``; the reason is a flaw of ``protocol.urls``, such as ``not_https``, or
            ``not_a_host``.
    """
    if flaw := url_flaw(request.url, loopback_http=insecure_loopback_http, query=True, longest=_LONGEST_URL):
        # The URL is not shown: one with a user name may have a password.
        message = f"The URL of {request.purpose} {FLAWS[flaw]}. Only https is used, and http for loopback if allowed."
        raise ConfigurationError(message, field="url", reason=flaw)
    parts = urlsplit(request.url)
    path_and_query = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = _default_port(parts.scheme) if parts.port is None else parts.port
    host = _ascii_host(parts.hostname)
    if host is None:
        message = f"The URL of {request.purpose} has a host that can't be one. Check the address."
        raise ConfigurationError(message, field="url", reason="not_a_host")
    return Target(parts.scheme, host, port, path_and_query)


def choose_proxy(target: Target, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that HTTPS_PROXY or ALL_PROXY names for ``target``, unless NO_PROXY says otherwise.

    Names in lower case count first. A loopback address is never proxied: what runs on this machine is none of another
    one's business.

    Raises:
        ConfigurationError: field is the variable; reason ``proxy_malformed`` or ``proxy_scheme``.
    """
    if is_loopback_host(target.host):
        return None
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        if value := environment.get(variable):
            excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
            is_direct = any(_matches(target, entry.lower()) for entry in re.split(r"[\s,]+", excluded) if entry)
            return None if is_direct else _parse_proxy(variable, value)
    return None


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _ascii_host(host: str | None) -> str | None:
    """Return what resolvers and TLS are given for ``host``; None for one with labels they can't take."""
    try:
        return host.encode("idna").decode("ascii") if host else None
    except UnicodeError:
        return None


def _parse_proxy(variable: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = _ascii_host(parts.hostname), parts.port
    except ValueError:
        host = None
    else:
        if parts.scheme not in _PROXY_PORTS:
            known = ", ".join(f"{scheme}://" for scheme in _PROXY_PORTS)
            message = f"{variable} names a proxy of the kind {printable(parts.scheme)}. Known are {known}."
            raise ConfigurationError(message, field=variable, reason="proxy_scheme")
    if host is None:
        message = f"{variable} is not the address of a proxy. Write it as http://host:port, or unset it."
        raise ConfigurationError(message, field=variable, reason="proxy_malformed")
    username = None if parts.username is None else unquote(parts.username)
    password = Secret(unquote(parts.password or ""))
    return Proxy(variable, host, _PROXY_PORTS[parts.scheme] if port is None else port, parts.scheme, username, password)


def _matches(target: Target, entry: str) -> bool:
    """Match one entry of NO_PROXY: ``*``, a host and all below it, an address, a network; a port may follow."""
    if entry == "*":
        return True
    host, _, port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    if port and port != str(target.port):
        return False
    try:
        return ipaddress.ip_address(target.host) in ipaddress.ip_network(host.strip("[]"), strict=False)
    except ValueError:
        name = host.removeprefix("*").strip(".")
        return bool(name) and f".{target.host.rstrip('.')}".endswith(f".{name}")
