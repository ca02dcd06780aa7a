"""Which client a request came from: addresses read strictly, and X-Forwarded-For read through trusted proxies alone.

Pure: text in, text or bytes out. Who fails too often is the throttle's business. RFC 7239 ``Forwarded`` is not read: no
proxy in wide use sends it unasked, and two headers that may disagree are one too many.
"""

from __future__ import annotations

import ipaddress
import re
import socket  # at the start, not at the first request: a fork amid an import leaves the child waiting for it forever
from typing import TYPE_CHECKING

import msgspec

from doorward.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Networks", "client_address", "network_of"]

_LONGEST_ADDRESS = 64  # an IPv6 address in full has 39 characters; brackets, zone and port come to it
_MAX_HOPS = 32
_IPV4_BYTES = 4
_IPV4_IN_IPV6 = (bytes(10) + b"\xff\xff", bytes.fromhex("0064ff9b") + bytes(8))  # RFC 4291 2.5.5.2, RFC 6052 2.1
_DECORATED = re.compile(  # 192.0.2.7:80, [2001:db8::7%en0]:80, fe80::7%en0
    r"([0-9.]+)(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)(?:%.*)?"
)
_UNIX = "unix"


class Networks(msgspec.Struct, frozen=True):
    """Networks of proxies that are trusted to say whom they speak for. Made by ``parse``."""

    ranges: tuple[tuple[int, int, int], ...] = ()  # bytes of an address, its low bits that vary, what is above them
    unix: bool = False

    @classmethod
    def parse(cls, networks: Iterable[str], *, field: str = "trusted_proxies") -> Networks:
        """Read addresses (``::1``), networks (``10.0.0.0/8``), and ``unix``: a peer without address (socket file).

        Raises:
            ConfigurationError: not a network, bits set to the right of its length, or the whole internet.
        """
        if isinstance(networks, str):
            message = f"{field} must be a list of networks, not one string: write [{printable(networks)!r}]."
            raise ConfigurationError(message, field=field, reason="networks_not_list")
        named = list(networks)
        ranges = tuple(_parse_network(text, f"{field}[{place}]") for place, text in enumerate(named) if text != _UNIX)
        return cls(ranges, _UNIX in named)

    def __bool__(self) -> bool:
        return self.unix or bool(self.ranges)

    def __contains__(self, address: bytes) -> bool:
        """Say whether a packed address is in one of them."""
        size, number = len(address), int.from_bytes(address, "big")
        for length, shift, network in self.ranges:  # noqa: SIM110 - asked on every request, where any() costs double
            if size == length and number >> shift == network:
                return True
        return False


def _parse_network(text: str, place: str) -> tuple[int, int, int]:
    try:
        network = ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError:
        message = (
            f"{place} is {printable(str(text))!r}, which is no network: write an address such as ::1, a network such "
            "as 10.0.0.0/8 with no bit set beyond its length, or unix."
        )
        raise ConfigurationError(message, field=place, reason="network_malformed") from None
    if not network.prefixlen:
        message = f"{place} trusts every address, so that every client could choose its own: name your proxies."
        raise ConfigurationError(message, field=place, reason="network_everyone")
    packed = network.network_address.packed
    shift = network.max_prefixlen - network.prefixlen
    if _unmapped(packed) is not packed:
        message = f"{place} is an IPv4 network written as IPv6: write it as IPv4."
        raise ConfigurationError(message, field=place, reason="network_mapped")
    return len(packed), shift, int.from_bytes(packed, "big") >> shift


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Networks) -> str | None:
    """Return the address of the client: the first, from here outwards, that is no trusted proxy.

    What stands to the left of an address that is not trusted was written by somebody unknown and is not looked at, so a
    client gains nothing by sending the header itself. Where a trusted proxy names no address ("unknown", garbage), the
    proxy itself is the client. No more than 32 entries are read.

    Args:
        peer: who opened the connection; None for a socket file.
        forwarded_for: the value of each X-Forwarded-For header, in order.
        trusted: the proxies; with none, the header means nothing.

    Returns:
        An address without port, zone or brackets if it comes from the header; ``peer`` as it is if not.
    """
    if not forwarded_for or not (trusted.ranges or trusted.unix):
        return peer
    if peer is None:
        is_trusted = trusted.unix
    else:
        packed = _packed(peer)
        is_trusted = packed is not None and packed in trusted
    if not is_trusted:
        return peer
    client, hops = peer, _MAX_HOPS
    for value in reversed(forwarded_for):
        for entry in reversed(value.rsplit(",", hops)):
            packed = _packed(entry)
            if packed is None:
                return client
            client = socket.inet_ntop(socket.AF_INET if len(packed) == _IPV4_BYTES else socket.AF_INET6, packed)
            hops -= 1
            if not hops or packed not in trusted:
                return client
    return client


def network_of(address: str) -> bytes | None:
    """Return what one client is likely to hold: an IPv4 address (4 bytes), or an IPv6 /64 (8 bytes). None for garbage.

    IPv4 inside IPv6 (``::ffff:192.0.2.7``, ``64:ff9b::192.0.2.7``) counts as IPv4: else all of it would share one /64.
    """
    packed = _packed(address)
    return packed and packed[:8]


def _packed(text: str) -> bytes | None:
    """Read one address, with or without port, brackets, zone and spaces around it."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    try:  # nearly all of them
        ipv6 = ":" in text
        return _unmapped(socket.inet_pton(socket.AF_INET6, text)) if ipv6 else socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):  # ValueError: NUL, or a surrogate
        pass
    match = _DECORATED.fullmatch(text.strip(" \t"))
    if match is None:
        return None
    ipv4, bracketed, bare = match.groups()
    try:
        if ipv4:
            return socket.inet_pton(socket.AF_INET, ipv4)
        return _unmapped(socket.inet_pton(socket.AF_INET6, bracketed or bare))
    except (OSError, ValueError):
        return None


def _unmapped(packed: bytes) -> bytes:
    return packed[12:] if packed[:12] in _IPV4_IN_IPV6 else packed
