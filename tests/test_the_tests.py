"""The guards around the tests hold: a guard that lets everything through would pass every other test."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading

import pytest


def _connect(address):
    with socket.socket() as sock:
        sock.settimeout(1)
        sock.connect(address)


def test_no_connection_leaves_the_machine():
    with pytest.raises(RuntimeError, match="stay on loopback"):
        _connect(("192.0.2.1", 443))
    with pytest.raises(RuntimeError, match="stay on this machine"):
        socket.getaddrinfo("www.iana.org", 443)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("id.example.org", 443)


def test_nothing_listens_beyond_loopback(listening):
    with socket.socket() as sock, pytest.raises(RuntimeError, match="stay on loopback"):
        sock.bind(("", 0))
    with socket.create_server(("127.0.0.1", 0)) as v4, socket.create_server(("::1", 0), family=socket.AF_INET6) as v6:
        assert {("127.0.0.1", v4.getsockname()[1]), ("::1", v6.getsockname()[1])} <= listening()


def test_children_are_held_too():
    child = [sys.executable, "-c", "import socket; socket.socket().connect(('192.0.2.1', 443))"]
    done = subprocess.run(child, capture_output=True, text=True, timeout=30, check=False)
    assert "tests stay on loopback" in done.stderr


def test_programs_that_tests_start_can_be_stopped():
    """A shell that starts the suite in the background has it ignore SIGINT, nohup SIGHUP."""
    child = (
        "import signal; print(*(signal.getsignal(each) is signal.SIG_IGN for each in (signal.SIGINT, signal.SIGHUP)))"
    )
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "False False\n"


def test_so_they_can_where_the_suite_was_started_with_signals_ignored():
    this = f"{__file__}::{test_programs_that_tests_start_can_be_stopped.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", this]
    ignoring = ["/bin/sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *command]
    done = subprocess.run(ignoring, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_an_open_descriptor_is_seen(leak_check):
    with leak_check():
        os.close(os.dup(0))
    with pytest.raises(AssertionError, match="left behind"), leak_check(deadline_s=0):
        descriptor = os.dup(0)
    os.close(descriptor)


def test_a_running_thread_is_seen(leak_check):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    with pytest.raises(AssertionError, match="left behind"), leak_check(deadline_s=0):
        thread.start()
    stop.set()
    thread.join()


async def test_asyncio_is_in_debug_mode():
    assert asyncio.get_running_loop().get_debug()


def test_each_test_has_a_vault_of_its_own(doorward_home):
    assert os.environ["DOORWARD_HOME"] == str(doorward_home)
    assert not doorward_home.exists()
