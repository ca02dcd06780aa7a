from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from doorward.errors import ConfigurationError, UnavailableError
from doorward.signin.browser import Surroundings
from doorward.signin.loopback import sockets
from doorward.signin.loopback.sockets import listen, whose_end

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
    deadline = time.monotonic() + 30
    while not remembers_closed_connection(port):
        assert time.monotonic() < deadline
    with make_listener(ports=[port]) as listener:
        the_real_callback_wins(listener)


def test_a_system_without_sockets_is_no_port_that_is_taken(make_listener, free_ports, out_of_descriptors):
    ports = free_ports(2)
    with out_of_descriptors(), pytest.raises(UnavailableError) as refused:
        make_listener(ports=ports).open()
    assert refused.value.reason == "loopback_unavailable"


ASK = """\
import socket, sys
family, address, port, path, then = sys.argv[1:]
asking = socket.socket(getattr(socket, family))
asking.settimeout(60)
asking.connect((address, int(port)))
asking.sendall(f"GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n".encode())
if then == "leave":
    sys.exit()
print(asking.makefile().readline().split()[1])
"""
ENDS = [("AF_INET", "127.0.0.1"), ("AF_INET6", "::ffff:127.0.0.1")]


@pytest.fixture(params=["_asked", "_listed"])
def told_by(request, monkeypatch):
    """Each way by which the kernel tells whose an end is, alone."""
    monkeypatch.setattr(sockets, "_WAYS", (getattr(sockets, request.param),))


needs_linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells whose a connection is")


def ask(listener, family: str, address: str, *, user: int | None = None, then: str = "read") -> str:
    """Follow the start link from another program, and return the status that it saw."""
    link = urlsplit(listener.start_url)
    asking = subprocess.Popen(
        ["/usr/bin/env", "python3", "-IS", "-c", ASK, family, address, str(link.port), link.path, then],
        stdout=subprocess.PIPE, text=True, user=user, cwd="/", env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    with asking:
        while asking.poll() is None:
            if then == "read":
                listener.poll()
            time.sleep(0.01)
        listener.poll()
        return asking.stdout.read().strip()


@needs_linux
@pytest.mark.usefixtures("told_by")
@pytest.mark.parametrize(("family", "address"), ENDS)
def test_the_start_link_answers_to_no_other_user(make_listener, family, address):
    """Another user, who has read the link among our browser's arguments, gets nothing and spoils nothing."""
    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    with make_listener() as listener:
        listener.set_authorization_url("https://id.example.org/authorize?state=S")
        for user, status in ((65534, "400"), (None, "303"), (65534, "400"), (None, "303")):
            assert ask(listener, family, address, user=user) == status
            assert not listener.start_url_reused


@needs_linux
@pytest.mark.usefixtures("told_by")
@pytest.mark.parametrize(("family", "address"), ENDS)
def test_the_start_link_knows_its_own_user_by_any_socket(make_listener, family, address):
    with make_listener() as listener:
        listener.set_authorization_url("https://id.example.org/authorize?state=S")
        assert ask(listener, family, address) == "303"
        assert listener.start_url_used


@needs_linux
@pytest.mark.usefixtures("told_by")
@pytest.mark.parametrize(("family", "address"), ENDS)
def test_whoever_has_closed_does_not_use_the_start_link(make_listener, family, address):
    """A closed end belongs to nobody any more: it may have been another user's."""
    with make_listener() as listener:
        listener.set_authorization_url("https://id.example.org/authorize?state=S")
        ask(listener, family, address, then="leave")
        assert not listener.start_url_used


@needs_linux
def test_an_end_of_no_program_here_is_anothers_but_on_windows(make_listener, connect, monkeypatch, tmp_path):
    """WSL may show Windows' own connections as loopback ones, with no row for their other end."""
    with make_listener() as listener, contextlib.ExitStack() as stack:
        port = connect(listener).socket.getsockname()[1]
        accepted = stack.enter_context(listener._listening[0].accept()[0])  # noqa: SLF001 - the one that it would ask about
        lines = Path("/proc/net/tcp").read_text().splitlines(keepends=True)
        halved = tmp_path / "tcp"
        halved.write_text("".join(line for line in lines if f":{port:04X}" not in line.split()[1]))
        monkeypatch.setattr(sockets, "_WAYS", (sockets._listed,))  # noqa: SLF001 - it can be given a table
        monkeypatch.setattr("doorward.signin.loopback.sockets._TABLES", (str(halved),))
        assert whose_end(accepted) == "others"
        wsl = Surroundings("linux", {}, wsl=True)
        monkeypatch.setattr("doorward.signin.loopback.sockets.look_around", lambda: wsl)
        assert whose_end(accepted) == "untold"
