"""Holds a Python process to loopback: no connection, listener or name look-up beyond this machine.

It also lets a forked child be measured: another thread may have held coverage's lock, which nobody would free there.

tests/conftest.py runs this in the test process and puts its folder on PYTHONPATH, so that every Python child runs it
too. A name reserved for examples (RFC 2606, 6761) is answered "unknown" without a look-up, as an offline resolver
would; any other name, and any other address, is a mistake in a test and raises RuntimeError, which no code under test
takes for an outage. An audit hook would see more than these functions, but it is code that runs while a thread installs
coverage's trace function: another thread that does the same then dies of "another trace function is being installed".
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


def _hold_method(name: str) -> None:
    method = getattr(socket.socket, name)

    def held(self: socket.socket, *arguments: Any) -> Any:
        if name in ("connect", "connect_ex", "bind") or (len(arguments) > 1 and type(arguments[-1]) is tuple):
            _check_address(self, arguments[-1])
        return method(self, *arguments)

    setattr(socket.socket, name, held)


def _hold_lookup(name: str) -> None:
    function = getattr(socket, name)

    def held(host: Any, *arguments: Any, **named: Any) -> Any:
        _check_name(host)
        return function(host, *arguments, **named)

    setattr(socket, name, held)


def _free_coverage() -> None:
    coverage = sys.modules.get("coverage")
    measuring = coverage and coverage.Coverage.current()
    if measuring and measuring._collector and measuring._collector.data_lock:  # noqa: SLF001 - no public way
        measuring._collector.data_lock = threading.Lock()  # noqa: SLF001 - as above


for each in ("connect", "connect_ex", "bind", "sendto", "sendmsg"):
    _hold_method(each)
for each in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
    _hold_lookup(each)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_coverage)
