"""A response as it comes in: in parts, bounded, and never waited for longer than allowed."""

from __future__ import annotations

import socket
import time
import traceback

import pytest

from doorward.errors import ConfigurationError, InvalidResponse, TransportError
from doorward.http.client import HttpClient
from doorward.model import HttpRequest

MIB = 1_048_576
CLIENT = HttpClient(insecure_loopback_http=True, total_timeout_s=20)


def get(url, **options):
    return HttpRequest("GET", url, "the paper", **options)


def read(request, **options):
    with CLIENT.stream(request, **options) as response:
        return response.status, b"".join(response.chunks())


def failure_of(request, kind, **options):
    with pytest.raises(kind) as caught:
        read(request, **options)
    return caught.value


def test_a_body_comes_in_parts_and_can_be_larger_than_what_is_held(serve):
    def script(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
        for _ in range(8):
            sock.sendall(bytes(MIB))

    with CLIENT.stream(get(serve(script).url(), max_response_bytes=8 * MIB)) as response:
        sizes = [len(chunk) for chunk in response.chunks()]
    assert sum(sizes) == 8 * MIB
    assert max(sizes) <= 65536


def test_each_set_cookie_is_by_itself(serve):
    server = serve(
        b"HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: a=1; Expires=Mon, 23 Nov 2026 00:00:00 GMT\r\n"
        b"set-cookie: b=s3cret\r\nContent-Length: 0\r\n\r\n"
    )
    with CLIENT.stream(get(server.url())) as response:
        assert (response.status, response.headers["location"]) == (302, "/next")
        assert response.set_cookies == ("a=1; Expires=Mon, 23 Nov 2026 00:00:00 GMT", "b=s3cret")
        assert "s3cret" not in repr(response)


def test_a_session_may_present_its_browser_and_nothing_else_of_transport(serve):
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    read(get(server.url(), headers={"User-Agent": "no", "Range": "bytes=5-"}), user_agent="Mozilla/5.0 (X11)")
    read(get(server.url()))
    first, second = server.requests
    assert b"user-agent: Mozilla/5.0 (X11)\r\n" in first
    assert b"range: bytes=5-\r\n" in first
    assert b"user-agent: doorward/" in second


def test_a_user_agent_cannot_break_out_of_its_header(serve):
    server = serve()
    error = failure_of(get(server.url()), ConfigurationError, user_agent="x\r\nCookie: a=b")
    assert error.reason == "header_malformed"
    assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", "response_too_large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(101), "response_too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n ", "response_encoded"),
    ],
)
def test_a_body_that_is_refused(serve, answer, reason):
    error = failure_of(get(serve(answer).url(), max_response_bytes=100), InvalidResponse)
    assert error.reason == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "truncated"),
        (b"", "connection_reset"),
        (b"SSH-2.0\r\n\r\n", "protocol_error"),
    ],
)
def test_an_answer_that_breaks_off(serve, answer, reason):
    assert failure_of(get(serve(answer).url()), TransportError).reason == reason


def test_what_came_before_a_failure_is_given(serve):
    parts = []
    with (
        pytest.raises(TransportError),
        CLIENT.stream(get(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").url())) as response,
    ):
        parts.extend(response.chunks())
    assert parts == [b"half"]


def test_silence_ends_the_wait_and_a_slow_body_does_not(serve, drip):
    silent = serve(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b""))
    started = time.monotonic()
    assert failure_of(get(silent.url()), TransportError, idle_timeout_s=0.3).reason == "timeout_idle"
    assert time.monotonic() - started < 10

    def slow(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.4)
            sock.sendall(b"x")

    assert read(get(serve(slow).url()), idle_timeout_s=2.5) == (200, b"xxxxxxxx")


def test_a_head_that_does_not_come_is_not_waited_for(serve, drip):
    server = serve(drip(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n"))
    client = HttpClient(insecure_loopback_http=True, total_timeout_s=0.5)
    with pytest.raises(TransportError) as caught, client.stream(get(server.url())):
        pass
    assert caught.value.reason == "timeout_total"


def test_leaving_early_closes_the_connection(serve, leak_check):
    seen = []

    def script(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nstart")
        seen.append(sock.recv(1))

    server = serve(script)
    with leak_check():
        with CLIENT.stream(get(server.url())) as response:
            next(iter(response.chunks()))
        until = time.monotonic() + 20
        while not seen and time.monotonic() < until:
            time.sleep(0.01)
    assert seen == [b""]


def test_only_https_with_a_certificate_that_holds(serve, server_tls, trust_test_ca, monkeypatch):
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", tls=server_tls)
    trusting = HttpClient()
    with trusting.stream(get(server.url())) as response:
        assert b"".join(response.chunks()) == b"ok"
    with pytest.raises(ConfigurationError), trusting.stream(get(serve().url())):
        pass
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(TransportError) as caught, HttpClient().stream(get(server.url())):
        pass
    assert caught.value.reason == "tls_certificate"


def test_an_address_may_be_as_long_as_signed_ones_are(serve):
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert read(get(server.url(path="/?sig=" + "a" * 8000))) == (200, b"ok")
    assert failure_of(get(server.url(path="/" + "a" * 8192)), ConfigurationError).reason == "bad_characters"


def test_a_cookie_shows_in_no_failure(serve):
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    error = failure_of(get(server.url(), headers={"Cookie": "sid=s3cret"}), TransportError)
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [frame for frame in frames if "/doorward/http/" in frame.filename]
    assert ours
    assert "s3cret" not in str([frame.locals for frame in ours])
    assert error.__context__ is None


def test_a_closed_port_is_an_outage():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert failure_of(get(f"http://127.0.0.1:{port}/"), TransportError).reason == "connection_refused"
