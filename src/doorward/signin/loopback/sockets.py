"""Binds the callback listener's port: on loopback addresses and nothing else, wherever it runs (S4, S5)."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from doorward.errors import ConfigurationError, UnavailableError
from doorward.signin.browser import look_around

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ADDRESSES", "Host", "Whose", "listen", "unavailable", "whose_end"]

Host: TypeAlias = Literal["127.0.0.1", "::1", "localhost"]
Whose: TypeAlias = Literal["ours", "others", "untold"]
_End: TypeAlias = tuple[str, int]

ADDRESSES: Mapping[str, tuple[tuple[socket.AddressFamily, str], ...]] = MappingProxyType(
    {
        "127.0.0.1": ((socket.AF_INET, "127.0.0.1"),),
        "::1": ((socket.AF_INET6, "::1"),),
        # Whichever of the two a browser takes "localhost" for, nobody else may be listening there.
        "localhost": ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")),
    },
)
_EPHEMERAL_ATTEMPTS = 20
_BACKLOG = 512
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_UID, _INODE = 7, 9
_LOOKS = 3
_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1  # sock_diag(7): the protocol, the message, and that it asks
_ANY_STATE, _NO_COOKIE = 0xFFFFFFFF, b"\xff" * 8
_HEADER, _OWNER = struct.Struct("=IHHII"), struct.Struct("=II")
_OWNER_AT = _HEADER.size + 4 + 48 + 12  # behind the state, the addresses and three counters: user and inode
_ANSWER_WITHIN_S = 1.0
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, IPv4 in IPv6
_IPV4_BYTES = 4
_TAKEN = {errno.EADDRINUSE, errno.EACCES}  # by a program, or by a system that reserves ranges


def listen(host: Host, ports: Sequence[int]) -> tuple[socket.socket, ...]:
    """Listen on the first port of ``ports`` that is free on every address of ``host``, or on one the system chooses.

    Returns:
        Non-blocking sockets, all on the same port; the caller closes them.

    Raises:
        ConfigurationError: None of ``ports`` is free.
        UnavailableError: The system gives no loopback port at all.
    """
    failure: OSError | None = None
    for port in ports or (0,) * _EPHEMERAL_ATTEMPTS:
        try:
            return _listen_on(host, port)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise unavailable(host) from error
            failure = error
    if not ports:
        raise unavailable(host) from failure
    message = (
        f"ports {', '.join(map(str, ports))}: none is free on {host} for the browser to come back to. End the program "
        "that holds it (another sign-in, perhaps), or register another with the provider, and give that."
    )
    raise ConfigurationError(message, field="ports", reason="no_free_port") from failure


def unavailable(host: Host) -> UnavailableError:
    """Build the error for a system that gives no socket: its cause says which call failed."""
    message = (
        f"This system gives no port on {host} for the browser to come back to. Sign in with a device code instead."
    )
    return UnavailableError(message, reason="loopback_unavailable")


def _listen_on(host: Host, port: int) -> tuple[socket.socket, ...]:
    listening: list[socket.socket] = []
    reuse = port != 0
    with ExitStack() as undo:
        for family, address in ADDRESSES[host]:
            try:
                listener = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
                _set_options(listener, family, reuse=reuse)
                listener.bind((address, port))
                listener.listen(_BACKLOG)
            except OSError as error:
                # A system without IPv6 has nobody on ::1 either.
                if listening and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                    continue
                raise
            listener.settimeout(0)
            listening.append(listener)
            port = listener.getsockname()[1]
        undo.pop_all()
    return tuple(listening)


def _set_options(listener: socket.socket, family: socket.AddressFamily, *, reuse: bool) -> None:
    """Set the options of our own socket before it binds (S5).

    A listed port may hold the closed connections of the last sign-in for a minute (TIME_WAIT): POSIX needs SO_REUSEADDR
    to take it again, and never gives it to two listeners. A port the system chooses is free, and needs nothing.
    """
    if sys.platform == "win32":  # there SO_REUSEADDR would let another process take the port from us
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    elif reuse:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def whose_end(accepted: socket.socket) -> Whose:
    """Say whose the other end of a loopback connection is: our own user's (or root's), another one's, or untold.

    Linux tells. It is asked about this one connection, for others may hold thousands, and its tables list them all; but
    some sandboxes have only those. An end that is not found is another one's: it is closed and reads no answer, or it
    is none of this machine. Where not even our own end is found, or where Windows has ends of its own here (WSL),
    nothing is told.
    """
    if sys.platform != "linux":
        return "untold"
    try:
        there, here = accepted.getpeername()[:2], accepted.getsockname()[:2]
    except OSError:  # gone
        return "others"
    for owner_of in _WAYS:
        if owner_of(here, there) is not None:  # it knows our own end, and so it would know the other one
            owner = owner_of(there, here)
            if owner is None:
                return "untold" if look_around().wsl else "others"
            return "ours" if owner in {0, os.getuid()} else "others"
    return "untold"


def _asked(end: _End, other: _End) -> int | None:
    """Ask the kernel whose an open end is. One that is closed has no inode, whosever it was.

    Source: sock_diag(7); ``inet_diag_req_v2`` and ``inet_diag_msg`` of linux/inet_diag.h.
    """
    if sys.platform != "linux":
        return None
    family = socket.AF_INET6 if ":" in end[0] else socket.AF_INET
    addresses = [socket.inet_pton(family, address).ljust(16, b"\0") for address, _ in (end, other)]
    ports = struct.pack("!HH", end[1], other[1])
    ask = struct.pack("=BBHI", family, socket.IPPROTO_TCP, 0, _ANY_STATE)
    ask += b"".join([ports, *addresses, bytes(4), _NO_COOKIE])
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(_ANSWER_WITHIN_S)
            kernel.sendto(_HEADER.pack(_HEADER.size + len(ask), _BY_FAMILY, _REQUEST, 1, 0) + ask, (0, 0))
            answer, (sender, _) = kernel.recvfrom(4096)
    except OSError:
        return None
    if sender != 0 or len(answer) < _OWNER_AT + _OWNER.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    owner, inode = _OWNER.unpack_from(answer, _OWNER_AT)
    return int(owner) if inode else None


def _listed(end: _End, other: _End) -> int | None:
    """Look an open end up in the kernel's tables."""
    for _ in range(_LOOKS):  # rows move while the kernel gives them out
        owner = _owners().get((end, other))
        if owner is not None:
            return owner
    return None


_WAYS = (_asked, _listed)


def _owners() -> dict[tuple[_End, _End], int]:
    """Return whose each open end of a TCP connection is, by its own address and the other's.

    The end of a socket for IPv6 stands in ``tcp6``, even where it came to our IPv4 address.
    """
    owners: dict[tuple[_End, _End], int] = {}
    for table in _TABLES:
        with suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[_INODE] != "0":
                    owners[_end(fields[1]), _end(fields[2])] = int(fields[_UID])
    return owners


def _end(written: str) -> _End:
    """Read an address and port as the kernel writes them: words of 32 bits in the machine's byte order, hexadecimal."""
    address, port = written.split(":")
    words = (int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8))
    packed = b"".join(words).removeprefix(_MAPPED)
    return socket.inet_ntop(socket.AF_INET if len(packed) == _IPV4_BYTES else socket.AF_INET6, packed), int(port, 16)
