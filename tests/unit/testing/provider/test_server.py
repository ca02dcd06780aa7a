"""The socket side: hostile and clumsy clients, deadlines, starting and stopping, many at once, TLS."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from doorward.system import SystemClock
from doorward.testing import DevIssuer, Rules
from doorward.testing.provider.core import Core
from doorward.testing.provider.server import Server
from doorward.testing.provider.web import Reply

PATIENCE_S = 20


@contextlib.contextmanager
def connected(issuer):
    address = urlsplit(issuer.url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S) as sock:
        yield sock


def exchange(issuer, request: str | bytes) -> bytes:
    """Send bytes, read to the end."""
    with connected(issuer) as sock:
        sock.sendall(request.encode() if isinstance(request, str) else request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def host(issuer) -> str:
    return urlsplit(issuer.url).netloc


def test_each_connection_serves_one_request(issuer):
    one = f"GET /jwks HTTP/1.1\r\nHost: {host(issuer)}\r\n\r\n"
    answer = exchange(issuer, one + one)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert b"\r\nServer: DevIssuer" in answer


def test_the_date_follows_the_issuers_clock(caller):
    assert caller.get("/jwks").headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"


def test_head_has_no_body(issuer):
    answer = exchange(issuer, f"HEAD /jwks HTTP/1.1\r\nHost: {host(issuer)}\r\n\r\n")
    assert status_of(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("name", ["evil.example", "", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example"])
def test_another_host_is_refused(name, issuer):
    assert status_of(exchange(issuer, f"GET /jwks HTTP/1.1\r\nHost: {name}\r\n\r\n")) == 421


def test_no_host_is_refused(issuer):
    assert status_of(exchange(issuer, "GET /jwks HTTP/1.1\r\n\r\n")) == 421


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_every_name_of_this_machine_will_do(name, issuer):
    port = urlsplit(issuer.url).port
    assert status_of(exchange(issuer, f"GET /jwks HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n")) == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /nothing HTTP/1.1\r\nHost: {}\r\n\r\n", 404),
        ("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", 404),
        ("GET http://evil.example/jwks HTTP/1.1\r\nHost: {}\r\n\r\n", 400),
        ("GET /token HTTP/1.1\r\nHost: {}\r\n\r\n", 405),
        ("POST /jwks HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", 405),
        ("PUT /token HTTP/1.1\r\nHost: {}\r\n\r\n", 501),
        ("POST /token HTTP/1.1\r\nHost: {}\r\n\r\n", 411),
        ("POST /token HTTP/1.1\r\nHost: {}\r\nContent-Length: -1\r\n\r\n", 411),
        ("POST /token HTTP/1.1\r\nHost: {}\r\nContent-Length: 99999999999999\r\n\r\n", 411),
        ("POST /token HTTP/1.1\r\nHost: {}\r\nContent-Length: 65537\r\n\r\n", 413),
        ("POST /token HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}", 415),
        ("GET /authorize?a=%ff HTTP/1.1\r\nHost: {}\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        ("GET /jwks HTTP/9.9\r\nHost: {}\r\n\r\n", 505),
        ("GET /" + "x" * 70_000 + " HTTP/1.1\r\nHost: {}\r\n\r\n", 414),
    ],
)
def test_wrong_requests_are_refused_without_an_echo(request_, status, issuer):
    answer = exchange(issuer, request_.format(host(issuer)))
    assert status_of(answer) == status
    assert b"evil" not in answer
    assert b"nonsense" not in answer


def test_bodies_are_ascii_forms(issuer):
    head = f"POST /token HTTP/1.1\r\nHost: {host(issuer)}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    assert status_of(exchange(issuer, head.encode() + b"Content-Length: 3\r\n\r\na=\xff")) == 400
    assert status_of(exchange(issuer, f"{head}Content-Length: 301\r\n\r\n{'a=&' * 100}a")) == 400


def test_half_requests_and_idle_connections_hold_up_nobody(issuer, caller):
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            idle = stack.enter_context(connected(issuer))
            half = stack.enter_context(connected(issuer))
            half.sendall(b"POST /token HTTP/1.1\r\nHost:")
            del idle
        started = time.monotonic()
        assert caller.get("/jwks").status == 200
        assert time.monotonic() - started < 5


@pytest.fixture
def small_server():
    """A server with room for two connections of half a second each; its every answer is 200."""
    app = type(
        "App", (), {"handle": lambda _self, _request: (Reply(), None), "core": Core(SystemClock(), None, None, None)}
    )
    server = Server(("127.0.0.1", 0), app(), max_connections=2, deadline_s=0.5)
    server.url = f"http://127.0.0.1:{server.port}"
    server.start()
    yield server
    server.stop()


def test_a_connection_has_a_deadline_and_the_next_one_waits_for_its_place(small_server):
    with connected(small_server) as first, connected(small_server) as second:
        first.sendall(b"GET /")
        started = time.monotonic()
        assert status_of(exchange(small_server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")) == 200
        assert time.monotonic() - started >= 0.3
        assert first.recv(1) == second.recv(1) == b""


def test_stopping_a_full_server(small_server):
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connected(small_server))
        time.sleep(0.1)
        started = time.monotonic()
        small_server.stop()
        assert time.monotonic() - started < 5


def test_stopping_does_not_wait_for_clients(issuer):
    issuer.fail("token", "hang")
    with connected(issuer) as idle, connected(issuer) as half, connected(issuer) as hanging:
        half.sendall(b"POST /token HTTP/1.1\r\nHost:")
        form = f"POST /token HTTP/1.1\r\nHost: {host(issuer)}\r\nContent-Length: 0\r\n\r\n"
        hanging.sendall(form.encode())
        while issuer.count("token") == 0:
            time.sleep(0.01)
        started = time.monotonic()
        issuer.stop()
        assert time.monotonic() - started < 5
        for sock in (idle, half, hanging):
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
    issuer.stop()


def test_starting_and_stopping_a_hundred_times_leaks_nothing(leak_check):
    with leak_check():
        for _ in range(100):
            with DevIssuer(rules=Rules(signing_algorithm="EdDSA")) as issuer:
                assert status_of(exchange(issuer, f"GET /jwks HTTP/1.1\r\nHost: {host(issuer)}\r\n\r\n")) == 200


def test_ten_at_once_leak_nothing(leak_check):
    with leak_check(), contextlib.ExitStack() as stack:
        issuers = [stack.enter_context(DevIssuer()) for _ in range(10)]
        assert len({issuer.url for issuer in issuers}) == 10


def test_the_port_is_bound_on_loopback_alone_and_free_again(listening):
    before = listening()
    with DevIssuer() as issuer:
        port = urlsplit(issuer.url).port
        assert listening() - before == {("127.0.0.1", port)}
    assert listening() == before
    with DevIssuer(port=port) as issuer:
        assert issuer.url == f"http://127.0.0.1:{port}"


def test_a_hundred_threads_get_a_hundred_different_answers(issuer, caller):
    with ThreadPoolExecutor(100) as pool:
        codes = set(pool.map(lambda _: caller.authorize().callback["code"], range(300)))
    assert len(codes) == 300
    assert issuer.count("authorize") == 300


def test_a_raced_refresh_token_is_won_by_one(issuer, caller):
    token = caller.sign_in()["refresh_token"]
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: caller.refresh(token).status, range(20)))
    assert sorted(statuses) == [200] + [400] * 19
    assert issuer.count("token", grant_type="refresh_token") == 20


def test_https(test_ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(test_ca.certificate, test_ca.key)
    trusting = ssl.create_default_context(cafile=str(test_ca.ca))
    with DevIssuer(host="localhost", tls=context) as issuer:
        assert issuer.url.startswith("https://localhost:")
        address = urlsplit(issuer.url)
        with connected(issuer) as silent:  # never begins its handshake
            connection = http.client.HTTPSConnection(address.netloc, timeout=PATIENCE_S, context=trusting)
            with contextlib.closing(connection):
                connection.request("GET", "/.well-known/openid-configuration")
                assert json.load(connection.getresponse())["issuer"] == issuer.url
            del silent
        issuer.fail("jwks", "reset")
        connection = http.client.HTTPSConnection(address.netloc, timeout=PATIENCE_S, context=trusting)
        with contextlib.closing(connection):
            connection.request("GET", "/jwks")
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                connection.getresponse()


def test_an_issuer_may_live_on_the_other_loopback_family():
    with DevIssuer(host="::1") as issuer:
        assert issuer.url.startswith("http://[::1]:")
        assert status_of(exchange(issuer, f"GET /jwks HTTP/1.1\r\nHost: {host(issuer)}\r\n\r\n")) == 200


def test_a_crash_of_our_own_is_a_500_and_is_logged(issuer, caller, caplog):
    issuer.add_user("odd", claims={"not json": object()})
    issuer.sign_in_as("odd")
    code = caller.authorize().callback["code"]
    assert caller.redeem(code).status == 500
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert code not in caplog.text


def test_nothing_is_logged_unless_asked_and_never_a_secret(issuer, caller, caplog, capfd):
    tokens = caller.sign_in()
    assert not caplog.records
    caplog.set_level("DEBUG", logger="doorward.testing")
    code = caller.authorize().callback["code"]
    refreshed = caller.refresh(tokens["refresh_token"]).json
    assert "POST token refresh_token 200" in caplog.text
    planted = [code, tokens["refresh_token"], refreshed["access_token"], refreshed["id_token"], "state-1"]
    assert not [secret for secret in planted if secret in caplog.text + repr(issuer.requests)]
    assert capfd.readouterr() == ("", "")


def test_threads_are_named_and_end(issuer):
    names = [thread.name for thread in threading.enumerate()]
    assert "dev-issuer" in names
