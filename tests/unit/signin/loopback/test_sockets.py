from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from doorward.errors import ConfigurationError
from doorward.signin.loopback.sockets import listen

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def free_ports():
    """Ports that were free a moment ago, on both loopback addresses."""

    def find(count: int) -> list[int]:
        with contextlib.ExitStack() as stack:
            held = [
                stack.enter_context(contextlib.closing(each)) for _ in range(count) for each in listen("localhost", ())
            ]
            return sorted({each.getsockname()[1] for each in held})

    return find


@contextlib.contextmanager
def occupied(address: str, port: int):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((address, port))
        other.listen()
        yield


def remembers_closed_connection(port: int) -> bool:
    """Tell whether the system holds a closed connection of this port back (TIME_WAIT, which is state 06)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(fields[1].endswith(f":{port:04X}") and fields[3] == "06" for fields in lines)


def test_the_first_free_port_of_the_list_is_taken(make_listener, free_ports):
    first, second = free_ports(2)
    with make_listener(ports=[first, second]) as one, make_listener(ports=[first, second]) as two:
        assert [urlsplit(each.redirect_uri).port for each in (one, two)] == [first, second]


def test_a_port_that_somebody_holds_is_never_shared(make_listener, free_ports):
    (port,) = free_ports(1)
    with occupied("127.0.0.1", port), pytest.raises(ConfigurationError, match=str(port)) as refused:
        make_listener(ports=[port]).open()
    assert (refused.value.field, refused.value.reason) == ("ports", "no_free_port")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_localhost_wants_its_port_on_both_addresses(make_listener, free_ports, address):
    first, second = free_ports(2)
    with occupied(address, first), make_listener(host="localhost", ports=[first, second]) as listener:
        assert urlsplit(listener.redirect_uri).port == second


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("localhost", "::1")])
def test_nobody_can_take_the_port_afterwards(make_listener, host, address):
    with make_listener(host=host) as listener, contextlib.ExitStack() as stack:
        other = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind((address, urlsplit(listener.redirect_uri).port))


def test_a_listed_port_serves_one_sign_in_after_another(make_listener, free_ports, connect, the_real_callback_wins):
    (port,) = free_ports(1)
    with make_listener(ports=[port]) as listener:
        browser = connect(listener).get("/callback?code=1")
        listener.poll().succeed()
        browser.wait()
    browser.close()
    deadline = time.monotonic() + 5
    while not remembers_closed_connection(port):
        assert time.monotonic() < deadline
    with make_listener(ports=[port]) as listener:
        the_real_callback_wins(listener)


def ask(url: str) -> str:
    """A program that requests an address and prints the status."""
    return (
        "import http.client, sys, urllib.parse\n"
        f"parts = urllib.parse.urlsplit({url!r})\n"
        "caller = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)\n"
        "caller.request('GET', parts.path)\n"
        "print(caller.getresponse().status)\n"
    )


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells whose a connection is")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_start_link_answers_to_no_other_user(make_listener, host):
    """Another user, who has read the link among our browser's arguments, gets nothing and spoils nothing."""
    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    with make_listener(host=host) as listener:
        listener.set_authorization_url("https://id.example.org/authorize?state=S")
        for user, status in ((65534, "400"), (None, "303"), (None, "400")):
            asking = subprocess.Popen(
                ["/usr/bin/env", "python3", "-IS", "-c", ask(listener.start_url)], stdout=subprocess.PIPE, text=True,
                user=user, cwd="/", env={"PATH": "/usr/bin:/bin"},
            )  # fmt: skip
            with asking:
                while asking.poll() is None:
                    listener.poll()
                    time.sleep(0.01)
                assert asking.stdout.read().strip() == status
            assert listener.start_url_reused is (status == "400" and user is None)
