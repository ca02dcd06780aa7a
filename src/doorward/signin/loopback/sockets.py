"""Binds the callback listener's port: on loopback addresses and nothing else, wherever it runs (S4, S5)."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from doorward.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ADDRESSES", "Host", "is_of_another_user", "listen", "unavailable"]

Host: TypeAlias = Literal["127.0.0.1", "::1", "localhost"]

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
        f"None of the callback ports {', '.join(map(str, ports))} is free on {host}. End the program that holds one of "
        "them (another sign-in, perhaps), or register another port with the provider and list it."
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


def is_of_another_user(accepted: socket.socket) -> bool:
    """Say whether the other end of a loopback connection belongs to another user of this machine, other than root.

    Linux tells, in ``/proc/net/tcp``; where nothing is told, the answer is no.
    """
    if sys.platform != "linux":
        return False
    table = "/proc/net/tcp6" if accepted.family == socket.AF_INET6 else "/proc/net/tcp"
    try:
        ends = [_kernel_form(accepted.family, *end[:2]) for end in (accepted.getpeername(), accepted.getsockname())]
        lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return False
    owners = {int(fields[7]) for fields in map(str.split, lines) if fields[1:3] == ends}
    return bool(owners - {0, os.getuid()})


def _kernel_form(family: int, address: str, port: int) -> str:
    """Write an address as the kernel's table does: words of 32 bits in the machine's byte order, in hexadecimal."""
    packed = socket.inet_pton(family, address)
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
