"""A real proxy between: one that opens tunnels (CONNECT) to a server on loopback, whatever host is asked for."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from contextlib import suppress

import pytest

from doorward.errors import ConfigurationError, TransportError
from doorward.http.certificate import look_at_certificate
from doorward.model import HttpRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = HttpRequest(
    "POST", "https://op.test/token", "the token endpoint", {"Authorization": "Basic s3cret"}, b"s3cret"
)


@pytest.fixture
def tunnel(serve, server_tls, trust_test_ca):
    """A proxy, and the TLS server for ``op.test`` behind it."""
    server = serve(OK, tls=server_tls)
    return serve(tunnelling(server.port)), server


def tunnelling(port):
    def script(client):
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        forward(client, port)

    return script


def forward(client, port):
    with socket.create_connection(("127.0.0.1", port)) as upstream:
        thread = threading.Thread(target=pump, args=(client, upstream))
        thread.start()
        pump(upstream, client)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        thread.join(20)


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


def test_a_certificate_is_looked_at_behind_the_proxy(tunnel, monkeypatch):
    proxy, server = tunnel
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    shown = look_at_certificate("https://op.test/issuer")
    assert (shown.subject, shown.issuer) == ("CN=localhost", "CN=Doorward test authority")
    [connect] = proxy.requests
    assert connect.startswith(b"CONNECT op.test:443 HTTP/1.1\r\nHost: op.test:443\r\n")
    assert b"Basic " + b64encode(b"me:p@ss") in connect
    assert server.requests in ([], [b""])


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


@pytest.fixture
def tls_tunnel(serve, server_tls, trust_test_ca):
    """The same proxy, spoken to by https itself."""
    server = serve(OK, tls=server_tls)
    return serve(tunnelling(server.port), tls=server_tls), server


def test_https_goes_through_a_proxy_that_speaks_https(send, tls_tunnel, monkeypatch):
    proxy, server = tls_tunnel
    monkeypatch.setenv("HTTPS_PROXY", f"https://me:pw@localhost:{proxy.port}")
    assert send(REQUEST).body == b"ok"
    assert proxy.requests[0].startswith(b"CONNECT op.test:443 HTTP/1.1\r\n")
    assert b"s3cret" not in proxy.requests[0]
    assert server.requests[0].endswith(b"s3cret")


def test_such_a_proxy_is_verified_too(send, serve, self_signed, monkeypatch):
    proxy = serve(OK, tls=self_signed("proxy.example").server)
    monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
    with pytest.raises(TransportError) as caught:
        send(REQUEST)
    assert caught.value.reason == "tls_certificate"


def test_what_drips_through_such_a_proxy_ends_in_time(send, serve, server_tls, trust_test_ca, drip, monkeypatch):
    server = serve(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), tls=server_tls)
    proxy = serve(tunnelling(server.port), tls=server_tls)
    monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
    with pytest.raises(TransportError) as caught:
        send(REQUEST, total_timeout_s=1)
    assert caught.value.reason == "timeout_total"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("credentials", [b"", b"me:pw"])
def test_https_goes_through_socks(send, serve, server_tls, trust_test_ca, monkeypatch, scheme, credentials):
    server = serve(OK, tls=server_tls)
    asked = []

    def script(client):
        version, methods = client.recv(1)[0], client.recv(client.recv(1)[0])
        asked.append((version, bool(credentials) == (2 in methods)))
        client.sendall(b"\x05\x02" if credentials else b"\x05\x00")
        if credentials:
            client.recv(1)
            asked.append(b":".join(client.recv(client.recv(1)[0]) for _ in range(2)))
            client.sendall(b"\x01\x00")
        client.recv(4)
        asked.append(client.recv(client.recv(1)[0]))
        client.recv(2)
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
        forward(client, server.port)

    proxy = serve(script, read=False)
    at = credentials.decode() + "@" if credentials else ""
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://{at}127.0.0.1:{proxy.port}")
    assert send(REQUEST).body == b"ok"
    assert asked == [(5, True), *([credentials] if credentials else []), b"op.test"]
    assert server.requests[0].endswith(b"s3cret")


@pytest.mark.parametrize("answer", [b"\x05\xff", b"\x05\x02", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05", b""])
def test_a_socks_proxy_that_refuses(send, serve, monkeypatch, answer):
    proxy = serve(lambda client: (client.recv(3), client.sendall(answer)), read=False)
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
    with pytest.raises(TransportError) as caught:
        send(REQUEST)
    assert caught.value.reason == "proxy_failed"


def test_socks_without_its_package_is_told(send, monkeypatch):
    monkeypatch.setattr("doorward.http.wire.find_spec", lambda _: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"doorward\[socks\]") as caught:
        send(REQUEST)
    assert (caught.value.field, caught.value.reason) == ("ALL_PROXY", "socks_missing")
