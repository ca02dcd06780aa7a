"""Holds a Python process to loopback: no connection, listener or name look-up beyond this machine.

It also lets a forked child be measured: another thread may have held coverage's lock, which nobody would free there.

tests/conftest.py runs this in the test process and puts its folder on PYTHONPATH, so that every Python child runs it
too. A name reserved for examples (RFC 2606, 6761) is answered "unknown" without a look-up, as an offline resolver
would; any other name, and any other address, is a mistake in a test and raises RuntimeError, which no code under test
takes for an outage. An audit hook sees what a patched socket class would miss.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
from typing import Any

_RESERVED = ("test", "example", "invalid", "example.com", "example.net", "example.org")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _check_name(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or _address(name) or name == "localhost" or name.endswith(".localhost"):
        return
    if any(name == reserved or name.endswith(f".{reserved}") for reserved in _RESERVED):
        raise socket.gaierror(socket.EAI_NONAME, "a reserved name, unknown to the tests")
    message = f"tests stay on this machine: they may not look up {name}"
    raise RuntimeError(message)


def _check_address(sock: socket.socket, address: Any) -> None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or address is None:
        return
    host = address[0]
    found = _address(host)
    if host != "localhost" and (found is None or not found.is_loopback):
        message = f"tests stay on loopback: they may not use {address}"
        raise RuntimeError(message)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        _check_address(*arguments)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        _check_name(arguments[0])


def _free_coverage() -> None:
    coverage = sys.modules.get("coverage")
    measuring = coverage and coverage.Coverage.current()
    if measuring and measuring._collector and measuring._collector.data_lock:  # noqa: SLF001 - no public way
        measuring._collector.data_lock = threading.Lock()  # noqa: SLF001 - as above


sys.addaudithook(_hook)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_coverage)
