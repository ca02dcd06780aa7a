"""A real proxy between: one that opens tunnels (CONNECT) to a server on loopback, whatever host is asked for."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from contextlib import suppress

import pytest

from doorward.errors import TransportError
from doorward.model import HttpRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = HttpRequest(
    "POST", "https://op.test/token", "the token endpoint", {"Authorization": "Basic s3cret"}, b"s3cret"
)


@pytest.fixture
def tunnel(serve, server_tls, trust_test_ca):
    """A proxy, and the TLS server for ``op.test`` behind it."""
    server = serve(OK, tls=server_tls)

    def script(client):
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port)) as upstream:
            thread = threading.Thread(target=pump, args=(client, upstream))
            thread.start()
            pump(upstream, client)
            client.shutdown(socket.SHUT_RDWR)
            thread.join(20)

    return serve(script), server


def pump(source, sink):
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)


def test_https_goes_through_the_proxy(send, tunnel, monkeypatch):
    proxy, server = tunnel
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    assert send(REQUEST).body == b"ok"
    [connect] = proxy.requests
    assert connect.startswith(b"CONNECT op.test:443 HTTP/1.1\r\n")
    assert b"Basic " + b64encode(b"me:p@ss") in connect
    assert b"s3cret" not in connect
    assert b"proxy-authorization" not in server.requests[0].lower()
    assert server.requests[0].endswith(b"s3cret")


def test_the_server_behind_the_proxy_is_verified(send, serve, self_signed, monkeypatch):
    other = self_signed("other.example")
    monkeypatch.setenv("SSL_CERT_FILE", other.file)

    def pretend(sock):
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        other.server.wrap_socket(sock, server_side=True)

    monkeypatch.setenv("HTTPS_PROXY", serve(pretend).url())
    with pytest.raises(TransportError) as caught:
        send(REQUEST)
    assert caught.value.reason == "tls_certificate"


def test_no_proxy_is_heeded(send, tunnel, monkeypatch):
    proxy, _ = tunnel
    monkeypatch.setenv("HTTPS_PROXY", proxy.url())
    monkeypatch.setenv("NO_PROXY", "op.test")
    with pytest.raises(TransportError) as caught:
        send(REQUEST)
    assert caught.value.reason == "dns_failed"
    assert proxy.requests == []


def test_loopback_needs_no_proxy(send, serve, monkeypatch):
    server = serve(OK)
    proxy = serve(b"")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url())
    assert send(HttpRequest("GET", server.url(), "the test endpoint")).status == 200
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user name and password"),
        (b"HTTP/1.1 403 \x1b[31mno\r\n\r\n", "answered 403"),
    ],
)
def test_a_proxy_that_refuses(send, serve, monkeypatch, answer, hint):
    proxy = serve(answer)
    monkeypatch.setenv("ALL_PROXY", f"http://me:pa55@127.0.0.1:{proxy.port}")
    with pytest.raises(TransportError) as caught:
        send(REQUEST)
    assert caught.value.reason == "proxy_failed"
    assert hint in caught.value.message
    assert f"127.0.0.1:{proxy.port}, named by ALL_PROXY" in caught.value.message
    assert "pa55" not in caught.value.message
    assert caught.value.message.isprintable()


def test_a_proxy_that_is_not_there(send, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for place in (f"127.0.0.1:{port}", "proxy.invalid:3128"):
        monkeypatch.setenv("HTTPS_PROXY", place)
        with pytest.raises(TransportError) as caught:
            send(REQUEST)
        assert caught.value.reason == "proxy_failed"
        assert place in caught.value.message


def test_a_proxy_that_drips(send, serve, drip, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", serve(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")).url())
    with pytest.raises(TransportError) as caught:
        send(REQUEST, total_timeout_s=0.4)
    assert caught.value.reason == "timeout_total"
