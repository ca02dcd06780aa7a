from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.usefixtures("no_leaks")


def idle_preconnects(listener, connect):
    for _ in range(20):
        connect(listener)


def slow_header_drip(listener, connect):
    client = connect(listener)
    for byte in "GET /callback?code=slow HTTP/1.1\r\nHo":
        client.send(byte)
        assert listener.poll() is None


def favicon(listener, connect):
    client = connect(listener).get("/favicon.ico")
    assert client.wait() == []
    assert client.answer().status == 404


def head_request(listener, connect):
    client = connect(listener).get("/callback?code=head", method="HEAD")
    assert client.wait() == []
    assert client.answer().status == 204


def other_methods(listener, connect):
    for method in ("POST", "PUT", "OPTIONS", "DELETE", "CONNECT"):
        client = connect(listener).get("/callback?code=1", method=method)
        assert client.wait() == []
        assert (client.answer().status, client.answer().headers["Allow"]) == (405, "GET, HEAD")


def wrong_host(listener, connect):
    port = urlsplit(listener.redirect_uri).port
    for host in (
        "evil.example",
        "127.0.0.1",
        f"127.0.0.1:{port + 1}",
        f"localhost:{port}",
        f"127.0.0.1:{port}@evil",
        "",
    ):
        client = connect(listener).get("/callback?code=rebound", host=host)
        assert client.wait() == []
        assert client.answer().status == 400


def no_host_at_all(listener, connect):
    client = connect(listener).send("GET /callback?code=1 HTTP/1.0\r\n\r\n")
    assert client.wait() == []
    assert client.answer().status == 400


def wrong_path(listener, connect):
    for target in (
        "/",
        "/callback/",
        "/callback2?code=1",
        "/x/callback?code=1",
        "//callback?code=1",
        "/CALLBACK?code=1",
    ):
        client = connect(listener).get(target)
        assert client.wait() == []
        assert client.answer().status == 404


def forged_error_without_state(listener, connect):
    client = connect(listener).get("/callback?error=access_denied&error_description=%1b[31m")
    assert client.wait() == ["error=access_denied&error_description=%1b[31m"]
    assert client.answer().status == 400


def forged_code(listener, connect):
    client = connect(listener).get("/callback?code=forged&state=wrong")
    assert client.wait() == ["code=forged&state=wrong"]
    assert client.answer().status == 400


def huge_content_length(listener, connect):
    for method in ("GET", "POST"):
        connect(listener).get("/", method=method, more="Content-Length: 1000000000\r\n")
        assert listener.poll() is None


def half_a_request(listener, connect):
    connect(listener).send("GET /callback?code=half").close()
    unfinished = connect(listener).send("GET /callback?code=half HTTP/1.1\r\n")
    unfinished.socket.shutdown(socket.SHUT_WR)


def a_reset(listener, connect):
    client = connect(listener).send("GET /callback")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def two_hundred_rapid_connections(listener, connect):
    for number in range(200):
        client = connect(listener)
        if number % 2:
            client.get("/")


def huge_header(listener, connect):
    client = connect(listener).get("/callback?code=1", more="X: " + "x" * 70_000 + "\r\n")
    assert client.wait() == []
    assert client.answer().status == 431


def endless_header(listener, connect):
    client = connect(listener).send("GET /callback?code=1 HTTP/1.1\r\n")
    for _ in range(20):
        client.send("X: " + "x" * 5_000 + "\r\n")
        assert listener.poll() is None
    assert client.wait() == []
    assert client.answer().status == 431


def control_and_other_bytes(listener, connect):
    for target in ("/callback?code=\x00", "/callback?code=\x1b[2J", "/callback?code=\xe9", "/callback?code=1#f", "*"):
        client = connect(listener).get(target)
        assert client.wait() == []
        assert client.answer().status == 400
    absolute = connect(listener).get(listener.redirect_uri + "?code=1")
    assert absolute.wait() == []
    assert absolute.answer().status == 400


def a_tls_hello(listener, connect):
    connect(listener).send(bytes.fromhex("16030100a5010000a10303") + bytes(100))
    assert listener.poll() is None


def pipelined(listener, connect):
    client = connect(listener)
    client.send(f"GET /x HTTP/1.1\r\nHost: {client.host}\r\n\r\n" * 3)
    assert client.wait() == []
    assert bytes(client.received).count(b"HTTP/1.1 ") == 1


HAZARDS = [
    idle_preconnects, slow_header_drip, favicon, head_request, other_methods, wrong_host, no_host_at_all, wrong_path,
    forged_error_without_state, forged_code, huge_content_length, half_a_request, a_reset,
    two_hundred_rapid_connections, huge_header, endless_header, control_and_other_bytes, a_tls_hello, pipelined,
]  # fmt: skip


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestNothingWedgesIt:
    @pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.__name__)
    def test_then_the_real_callback_is_answered_at_once(self, listener, connect, hazard, the_real_callback_wins):
        hazard(listener, connect)
        the_real_callback_wins(listener)

    def test_all_at_once(self, listener, connect, the_real_callback_wins):
        for hazard in HAZARDS:
            hazard(listener, connect)
        the_real_callback_wins(listener)

    def test_a_poll_never_waits(self, listener, connect):
        connect(listener).send("GET ")
        started = time.monotonic()
        for _ in range(1000):
            listener.poll()
        assert time.monotonic() - started < 2

    def test_idle_connections_are_bounded_and_the_oldest_goes(self, listener, connect):
        clients = [connect(listener) for _ in range(40)]
        listener.poll()
        assert [client.ended() for client in clients] == [True] * 8 + [False] * 32

    def test_each_connection_has_a_deadline_that_dripping_does_not_move(self, connect, make_listener, manual_clock):
        with make_listener(clock=manual_clock) as listener:
            idle, dripping = connect(listener), connect(listener)
            for _ in range(5):
                dripping.send("G")
                listener.poll()
                assert not idle.ended()
                manual_clock.at += 1
            listener.poll()
            assert idle.ended()
            assert dripping.ended()
            assert not idle.received

    def test_one_that_reads_but_never_closes_is_dropped_after_its_answer(self, connect, make_listener, manual_clock):
        with make_listener(clock=manual_clock) as listener:
            client = connect(listener)
            before = open_descriptors()
            client.get("/").wait()
            client.send("more")
            listener.poll()
            assert open_descriptors() == before + 1
            manual_clock.at += 1
            listener.poll()
            assert open_descriptors() == before

    def test_what_has_arrived_is_served_even_after_a_long_gap_between_polls(self, connect, make_listener, manual_clock):
        with make_listener(clock=manual_clock) as listener:
            browser = connect(listener)
            listener.poll()
            browser.get("/callback?code=1")
            manual_clock.at += 60
            assert browser.wait() == ["code=1"]

    def test_it_goes_on_when_the_process_is_out_of_descriptors(self, listener, connect, out_of_descriptors):
        browser = connect(listener).get("/callback?code=real&state=right")
        with out_of_descriptors():
            assert listener.poll() is None
        assert browser.wait() == ["code=real&state=right"]
