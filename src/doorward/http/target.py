"""Where a request may go, decided from its URL and the environment alone: https, loopback, proxy. No I/O.

Everything that connects takes a ``Target``, and ``check_target`` is the only thing that makes one.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from doorward.errors import ConfigurationError, printable
from doorward.model import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Proxy", "Target", "check_target", "choose_proxy", "is_loopback"]

_URL_CHARACTERS = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash, which some parsers take for a slash
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that a request may be sent to. ``host`` is lower case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int
    path_and_query: str

    @property
    def authority(self) -> str:
        """``host:port`` as the Host header wants it: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.scheme) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An http proxy that tunnels https (CONNECT), and the variable that named it."""

    variable: str
    host: str
    port: int
    username: str | None = None
    password: Secret = field(default_factory=lambda: Secret(""))


def check_target(url: str, *, insecure_loopback_http: bool = False) -> Target:
    """Take a URL apart if a request may go there.

    Args:
        url: absolute, ASCII, with no user name, password or fragment.
        insecure_loopback_http: allow ``http`` to 127.0.0.0/8, ``[::1]`` and ``localhost``, for tests and development.

    Raises:
        ConfigurationError: field ``url``; reason ``url_malformed`` or ``not_https``.
    """
    if not _URL_CHARACTERS.fullmatch(url) or "#" in url:
        raise _malformed(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _malformed(url) from None
    host = (parts.hostname or "").lower()
    if "@" in parts.netloc or not _is_host(host):
        raise _malformed(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and insecure_loopback_http and is_loopback(host)):
        message = (
            f"Refusing to send to {printable(f'{parts.scheme}://{host}')}: only https is allowed. Plain http is for "
            "loopback addresses alone, with insecure_loopback_http=True."
        )
        raise ConfigurationError(message, field="url", reason="not_https")
    path_and_query = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, _default_port(parts.scheme) if port is None else port, path_and_query)


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is a literal loopback address or ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def choose_proxy(target: Target, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the environment names for ``target``: HTTPS_PROXY, ALL_PROXY, NO_PROXY, in either case.

    A loopback address is never proxied: what runs on this machine is not the business of another one.

    Raises:
        ConfigurationError: field is the variable; reason ``proxy_malformed`` or ``proxy_scheme``.
    """
    if is_loopback(target.host):
        return None
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        value = environment.get(variable, "")
        if value:
            excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
            return None if _is_excluded(target, excluded) else _parse_proxy(variable, value)
    return None


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _is_host(host: str) -> bool:
    try:
        return "%" not in host and bool(ipaddress.ip_address(host))
    except ValueError:
        return _NAME.fullmatch(host) is not None


def _malformed(url: str) -> ConfigurationError:
    # The URL itself is not shown: one with a user name holds a password.
    del url
    message = (
        "A URL is not usable: it must be absolute and ASCII (a host with other letters in its xn-- form), without user "
        "name, password, fragment or blanks."
    )
    return ConfigurationError(message, field="url", reason="url_malformed")


def _parse_proxy(variable: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    host = (parts.hostname or "").lower()
    if parts.scheme not in {"http", ""}:
        message = f"{variable} names a proxy of the kind {printable(parts.scheme)}; only http:// proxies are supported."
        raise ConfigurationError(message, field=variable, reason="proxy_scheme")
    if not _is_host(host):
        message = f"{variable} is not a proxy address. Write it as http://host:port, or unset it."
        raise ConfigurationError(message, field=variable, reason="proxy_malformed")
    username = None if parts.username is None else unquote(parts.username)
    return Proxy(variable, host, 80 if port is None else port, username, Secret(unquote(parts.password or "")))


def _is_excluded(target: Target, no_proxy: str) -> bool:
    return any(_matches(target, entry.strip().lower()) for entry in no_proxy.split(","))


def _matches(target: Target, entry: str) -> bool:
    """Match one entry of NO_PROXY as curl and Go do: ``*``, a host and all below it, an address, a network, a port."""
    if entry == "*":
        return True
    entry, _, port = entry.rpartition(":") if re.search(r"[^:]:\d+\Z|\]:\d+\Z", entry) else (entry, "", "")
    if not entry or (port and int(port) != target.port):
        return False
    try:
        return ipaddress.ip_address(target.host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name = entry.removeprefix("*").strip(".")
        return bool(name) and f".{target.host.rstrip('.')}".endswith(f".{name}")
