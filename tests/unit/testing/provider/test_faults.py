"""Faults: what goes wrong between an honest issuer and its client."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from urllib.parse import urlsplit

import pytest

from doorward.errors import ConfigurationError


def test_a_status_comes_as_often_as_told(issuer, caller):
    issuer.fail("token", status=503, headers={"Retry-After": "7"}, times=2)
    for _ in range(2):
        answer = caller.refresh("x")
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "7"
    assert caller.refresh("x").status == 400
    assert [record.status for record in issuer.requests] == [503, 503, 400]


def test_faults_wait_in_line_and_only_where_they_were_put(issuer, caller):
    issuer.fail("jwks", status=500)
    issuer.fail("jwks", status=429)
    assert caller.get("/.well-known/openid-configuration").status == 200
    assert [caller.get("/jwks").status for _ in range(3)] == [500, 429, 200]


def test_a_fault_may_last_until_the_issuer_behaves(issuer, caller):
    issuer.fail("jwks", status=500, times=None)
    assert [caller.get("/jwks").status for _ in range(3)] == [500, 500, 500]
    issuer.behave()
    assert caller.get("/jwks").status == 200


def test_a_page_in_the_place_of_an_answer(issuer, caller):
    issuer.fail("token", "html")
    answer = caller.refresh("x")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    issuer.fail("token", "html", status=502, body=b"<h1>Bad gateway</h1>")
    assert caller.refresh("x").body == b"<h1>Bad gateway</h1>"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", ConnectionResetError),
        ("close", http.client.RemoteDisconnected),
        ("garbage", http.client.BadStatusLine),
        ("truncated", http.client.IncompleteRead),
    ],
)
def test_a_broken_connection(kind, error, issuer, caller):
    issuer.fail("jwks", kind)
    with pytest.raises(error):
        caller.get("/jwks")
    assert caller.get("/jwks").status == 200


def test_a_request_that_failed_did_nothing_unless_told_otherwise(issuer, caller):
    token = caller.sign_in()["refresh_token"]
    issuer.fail("token", "reset")
    with pytest.raises(ConnectionResetError):
        caller.refresh(token)
    answer = caller.refresh(token)
    assert answer.status == 200

    token = answer.json["refresh_token"]
    issuer.fail("token", "reset", done=True)
    with pytest.raises(ConnectionResetError):
        caller.refresh(token)
    assert caller.refresh(token).json["error"] == "invalid_grant", "the answer with the new one was lost"


def test_a_request_whose_answer_is_cut_did_its_work(issuer, caller):
    token = caller.sign_in()["refresh_token"]
    issuer.fail("token", "truncated")
    with pytest.raises(http.client.IncompleteRead):
        caller.refresh(token)
    assert caller.refresh(token).json["error"] == "invalid_grant"


def test_a_hanging_answer_ends_with_the_client(issuer):
    issuer.fail("jwks", "hang")
    address = urlsplit(issuer.url)
    connection = http.client.HTTPConnection(address.netloc, timeout=0.3)
    with contextlib.closing(connection):
        connection.request("GET", "/jwks")
        with pytest.raises(TimeoutError):
            connection.getresponse()


def test_a_slow_answer_drips(issuer):
    issuer.fail("jwks", "slow_body")
    address = urlsplit(issuer.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as sock:
        sock.sendall(f"GET /jwks HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        received = b""
        while len(received.partition(b"\r\n\r\n")[2]) < 3:
            received += (part := sock.recv(65536))
            assert part
        head, _, body = received.partition(b"\r\n\r\n")
        assert b"200 OK" in head
        assert len(body) < 50


def test_a_late_answer_is_right(issuer, caller):
    issuer.fail("jwks", "delay", delay_s=0.3)
    started = time.monotonic()
    assert caller.get("/jwks").status == 200
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("endpoint", "kind", "reason"),
    [("tokens", "status", "no_such_endpoint"), ("token", "explode", "no_such_fault")],
)
def test_only_endpoints_and_faults_that_exist(endpoint, kind, reason, issuer):
    with pytest.raises(ConfigurationError) as refused:
        issuer.fail(endpoint, kind)
    assert refused.value.reason == reason
