from __future__ import annotations

import asyncio
import errno
import logging
import os
import queue
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from asyncio import TaskGroup
from contextlib import suppress

import pytest

from doorward.errors import ConfigurationError, DoorwardError, InvalidResponse, TransportError
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.model import HttpRequest

HEADER_SECRET = "header-5ecret"
BODY_SECRET = "body-5ecret"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(url, **options):
    return HttpRequest("GET", url, "the test endpoint", **options)


def post(url):
    """A request with a secret wherever one may be."""
    return HttpRequest(
        "POST", url, "the test endpoint", {"Authorization": f"Basic {HEADER_SECRET}"}, f"code={BODY_SECRET}".encode()
    )


def failure(send, request, kind=TransportError, **options):
    """Send, and return the error. However much of it is shown, local variables and all, it shows no secret."""
    with pytest.raises(kind) as caught:
        send(request, **options)
    error = shown = caught.value
    while shown is not None:
        text = "".join(traceback.TracebackException.from_exception(shown, capture_locals=True).format())
        assert HEADER_SECRET not in text
        assert BODY_SECRET not in text
        shown = shown.__cause__ or shown.__context__
    if kind is TransportError:
        assert "the test endpoint at " in error.message
    return error


class TestSending:
    def test_a_get_and_its_answer(self, send, serve):
        server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two: a\r\nx-two: b\r\nDate: now\r\n\r\nok")
        response = send(get(server.url(path="/path?query=1"), headers={"Accept": "application/json"}))
        assert (response.status, response.body) == (200, b"ok")
        assert response.headers == {"content-length": "2", "x-two": "a, b", "date": "now"}
        [request] = server.requests
        head = request.decode().lower().split("\r\n")
        assert head[0] == "get /path?query=1 http/1.1"
        assert {"accept: application/json", "accept-encoding: identity", "connection: close"} < set(head)
        assert f"host: 127.0.0.1:{server.port}" in head
        assert any(line.startswith("user-agent: doorward/") for line in head)

    def test_a_post_with_its_body(self, send, serve):
        server = serve(OK)
        send(post(server.url()))
        assert server.requests[0].endswith(f"\r\n\r\ncode={BODY_SECRET}".encode())
        assert f"authorization: Basic {HEADER_SECRET}".encode() in server.requests[0]

    def test_a_post_without_a_body_says_so(self, send, serve):
        server = serve(OK)
        send(HttpRequest("POST", server.url(), "the test endpoint"))
        assert b"content-length: 0" in server.requests[0].lower()

    def test_headers_of_transport_are_ours(self, send, serve):
        server = serve(OK)
        send(get(server.url(), headers={"Host": "evil.example", "ACCEPT-ENCODING": "gzip", "User-Agent": "else"}))
        assert b"evil.example" not in server.requests[0]
        assert b"gzip" not in server.requests[0]
        assert server.requests[0].lower().count(b"user-agent:") == 1

    @pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 404, 429, 500, 503])
    def test_every_status_is_an_answer(self, send, serve, status):
        server = serve(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n".encode())
        response = send(get(server.url()))
        assert (response.status, response.headers["retry-after"]) == (status, "7")

    def test_redirects_are_not_followed(self, send, serve):
        target = serve(OK)
        server = serve(f"HTTP/1.1 307 X\r\nLocation: {target.url()}\r\nContent-Length: 0\r\n\r\n".encode())
        response = send(post(server.url()))
        assert (response.status, response.headers["location"]) == (307, target.url())
        assert target.requests == []

    def test_nothing_is_kept_between_requests(self, send, serve, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password mine\n")
        monkeypatch.setenv("NETRC", str(netrc))
        server = serve(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok")
        client = HttpClient(insecure_loopback_http=True)
        for _ in range(2):
            client.send(get(server.url()))
            send(get(server.url()))
        assert len(server.requests) == 4
        for request in server.requests:
            assert b"cookie" not in request.lower()
            assert b"authorization" not in request.lower()

    def test_an_answer_before_the_body_was_read_counts(self, send, serve):
        def refuse(sock):
            sock.recv(100)
            sock.sendall(b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")

        server = serve(refuse, read=False)
        request = HttpRequest("POST", server.url(), "the test endpoint", {}, b"x" * 10_000_000)
        try:
            assert send(request).status == 413
        except TransportError as error:  # where the kernel's RST overtakes the answer
            assert error.reason == "connection_reset"  # noqa: PT017 - either end is right

    def test_an_http_1_0_answer_ends_with_its_connection(self, send, serve):
        assert send(get(serve(b"HTTP/1.0 200 OK\r\n\r\nall of it").url())).body == b"all of it"

    def test_chunks_are_joined(self, send, serve):
        server = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        assert send(get(server.url())).body == b"abc"


class TestWhereTo:
    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("http://idp.example/", "not_https"),
            ("http://127.0.0.1.example/", "not_https"),
            ("http://localhost.example/", "not_https"),
            ("http://0.0.0.0/", "not_https"),
            ("http://[::ffff:127.0.0.1]/", "not_https"),
            ("ftp://127.0.0.1/", "not_https"),
            ("file:///etc/passwd", "no_host"),
            ("https://", "no_host"),
            ("/relative", "no_host"),
            ("https://user:pa55@idp.example/", "has_userinfo"),
            ("https://idp.example/#fragment", "has_fragment"),
            ("https://idp.example/a b", "bad_characters"),
            ("https://idp.example/\r\nX: y", "bad_characters"),
            ("https://idp.example:99999/", "not_a_url"),
            ("https://.idp.example/", "not_a_host"),
            (f"https://{'a' * 64}.example/", "not_a_host"),
        ],
    )
    def test_refused_urls(self, send, url, reason):
        error = failure(send, get(url), ConfigurationError)
        assert (error.field, error.reason) == ("url", reason)
        assert "pa55" not in error.message

    def test_plain_http_needs_the_flag(self, send, serve):
        server = serve(OK)
        error = failure(send, get(server.url()), ConfigurationError, insecure_loopback_http=False)
        assert error.reason == "not_https"
        assert server.requests == []

    @pytest.mark.parametrize(("bound", "host"), [("127.0.0.1", "localhost"), ("::1", "localhost"), ("::1", "[::1]")])
    def test_loopback_names(self, send, serve, bound, host):
        server = serve(OK, host=bound)
        assert send(get(server.url(host))).status == 200
        assert f"host: {host}:{server.port}\r\n".encode() in server.requests[0]

    def test_localhost_is_here_whatever_a_resolver_says(self, send, serve, monkeypatch):
        look_up = socket.getaddrinfo

        def elsewhere(host, *rest, **options):
            return look_up("192.0.2.1" if host in ("localhost", b"localhost") else host, *rest, **options)

        monkeypatch.setattr(socket, "getaddrinfo", elsewhere)
        assert send(get(serve(OK).url("localhost"))).status == 200

    @pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
    @pytest.mark.parametrize("field", ["connect_timeout_s", "total_timeout_s"])
    @pytest.mark.parametrize("client", [HttpClient, AsyncHttpClient])
    def test_every_request_has_a_deadline(self, client, field, seconds):
        with pytest.raises(ConfigurationError) as caught:
            client(**{field: seconds})
        assert (caught.value.field, caught.value.reason) == (field, "timeout_out_of_range")

    @pytest.mark.parametrize(
        ("name", "end"), [("X-A", "\r\nX-B: b"), ("X-A", "é"), ("X-A", " "), ("X A", ""), ("X-A:", ""), ("", "")]
    )
    def test_a_header_that_http_does_not_allow(self, send, serve, name, end):
        server = serve(OK)
        request = get(server.url(), headers={"Authorization": HEADER_SECRET, name: HEADER_SECRET + end})
        error = failure(send, request, ConfigurationError)
        assert (error.field, error.reason) == ("headers", "header_malformed")
        assert server.requests == []


class TestNoConnection:
    def test_an_unknown_name(self, send):
        error = failure(send, post("https://name.invalid/"))
        assert error.reason == "dns_failed"
        assert "name.invalid" in error.message

    def test_a_closed_port(self, send):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            error = failure(send, post(f"http://{host}:{port}/"))
            assert error.reason == "connection_refused"
            assert f"{host}:{port}" in error.message

    def test_a_resolver_that_hangs(self, send, monkeypatch):
        release = threading.Event()

        def hang(*_arguments, **_options):
            release.wait(3)  # longer than the machine is busy, and no longer than asyncio's end can be waited for
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        assert failure(send, post("https://op.test/"), connect_timeout_s=0.2).reason == "timeout_connect"
        assert failure(send, post("https://op.test/"), total_timeout_s=0.2).reason == "timeout_total"
        release.set()

    def test_a_resolver_that_hangs_holds_nobody(self, monkeypatch):
        release, was_released = threading.Event(), queue.Queue()

        def hang(*_arguments, **_options):
            was_released.put(release.wait(10))
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        with pytest.raises(TransportError):
            HttpClient(connect_timeout_s=0.2).send(post("https://op.test/"))
        release.set()
        assert was_released.get(timeout=20)

    def test_a_full_backlog_that_nobody_accepts_from(self, send):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            queued = [socket.socket() for _ in range(8)]
            for sock in queued:
                sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
                sock.connect_ex(address)
            request = post(f"http://127.0.0.1:{address[1]}/")
            assert failure(send, request, connect_timeout_s=0.3).reason == "timeout_connect"
            for sock in queued:
                sock.close()

    def test_an_unreachable_network(self, send, monkeypatch):
        def unreachable(*_arguments, **_options):
            raise OSError(errno.ENETUNREACH, "not shown")

        monkeypatch.setattr(socket, "getaddrinfo", unreachable)
        error = failure(send, post("https://op.test/"))
        assert error.reason == "connection_failed"
        assert os.strerror(errno.ENETUNREACH) in error.message

    def test_the_second_address_is_tried(self, send, serve, monkeypatch, server_tls, trust_test_ca):
        server = serve(OK, tls=server_tls)
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as closed:
            port = closed.getsockname()[1]
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        real = socket.getaddrinfo

        def both(host, *rest, **options):
            return found if host in ("op.test", b"op.test") else real(host, *rest, **options)

        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert send(get(f"https://op.test:{server.port}/")).status == 200


class TestBrokenOff:
    def test_closed_without_an_answer(self, send, serve):
        assert failure(send, post(serve(b"").url())).reason == "connection_reset"

    def test_reset(self, send, serve):
        def reset(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        assert failure(send, post(serve(reset).url())).reason == "connection_reset"

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        ],
    )
    def test_a_body_cut_short(self, send, serve, answer):
        assert failure(send, post(serve(answer).url())).reason == "truncated"

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a length\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: \x1b[31m" + HEADER_SECRET.encode() + b"\r\n bad\x00\r\n\r\n",
        ],
    )
    def test_what_is_not_http(self, send, serve, answer):
        error = failure(send, post(serve(answer).url()))
        assert error.reason == "protocol_error"
        assert error.message.isprintable()


class TestTooMuch:
    @pytest.mark.parametrize("framing", [b"Content-Length: 101", b"Transfer-Encoding: chunked", b"Connection: close"])
    def test_a_body_over_the_limit(self, send, serve, framing):
        body = b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n" if b"chunked" in framing else b"x" * 101
        server = serve(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body)
        error = failure(send, get(server.url(), max_response_bytes=100), InvalidResponse)
        assert error.reason == "response_too_large"
        assert len(send(get(server.url(), max_response_bytes=101)).body) == 101

    def test_a_body_without_end(self, send, serve):
        sent = []

        def endless(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                sock.sendall(b"x" * 65536)
                sent.append(65536)

        error = failure(send, get(serve(endless).url()), InvalidResponse)
        assert error.reason == "response_too_large"
        assert sum(sent) < 100_000_000

    def test_identity_is_no_encoding(self, send, serve):
        server = serve(b"HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\nContent-Length: 2\r\n\r\nok")
        assert send(get(server.url())).body == b"ok"


class TestTooLong:
    @pytest.mark.parametrize(
        ("start", "drop"),
        [
            (b"", b""),
            (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
            (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        ],
        ids=["silence", "one-header", "headers", "continue", "body", "chunks", "unframed"],
    )
    def test_a_slow_answer(self, send, serve, drip, leak_check, start, drop):
        server = serve(drip(start, drop))  # which goes on for much longer
        with leak_check():
            assert failure(send, post(server.url()), total_timeout_s=0.4).reason == "timeout_total"

    def test_a_server_that_does_not_read(self, send, serve):
        gone = threading.Event()
        server = serve(lambda _sock: gone.wait(20), read=False)
        request = HttpRequest("POST", server.url(), "the test endpoint", {}, b"x" * 50_000_000)
        assert failure(send, request, total_timeout_s=0.4).reason == "timeout_total"
        gone.set()


class TestTls:
    def test_the_system_store_and_the_given_file_are_trusted(self, send, serve, server_tls, trust_test_ca):
        server = serve(OK, tls=server_tls)
        assert send(get(server.url("localhost"))).status == 200
        assert send(get(server.url("127.0.0.1"))).status == 200

    def test_names_below_localhost_are_here_too_by_tls_alone(self, send, serve, server_tls, trust_test_ca):
        assert send(get(serve(OK, tls=server_tls).url("sp.localhost"))).status == 200
        error = failure(send, get(serve(OK).url("sp.localhost")), ConfigurationError)
        assert error.reason == "not_https"

    def test_an_unknown_authority(self, send, serve, server_tls):
        error = failure(send, post(serve(OK, tls=server_tls).url()))
        assert error.reason == "tls_certificate"
        assert "SSL_CERT_FILE" in error.message

    def test_an_expired_certificate(self, send, serve, self_signed, monkeypatch):
        expired = self_signed("localhost", ends_in_days=-1)
        monkeypatch.setenv("SSL_CERT_FILE", expired.file)
        error = failure(send, post(serve(OK, tls=expired.server).url("localhost")))
        assert error.reason == "tls_certificate"
        assert "expired" in error.message
        assert "clock" in error.message

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_a_certificate_for_another_host(self, send, serve, self_signed, monkeypatch, host):
        other = self_signed("other.example")
        monkeypatch.setenv("SSL_CERT_FILE", other.file)
        server = serve(OK, tls=other.server)
        error = failure(send, post(server.url(host)))
        assert error.reason == "tls_certificate"
        assert "another host" in error.message
        assert server.requests == []

    def test_a_server_without_tls(self, send, serve):
        server = serve(no_tls, read=False)
        assert failure(send, post(f"https://127.0.0.1:{server.port}/")).reason == "tls_failed"

    def test_tls_1_1_is_too_old(self, send, serve, server_tls, trust_test_ca):
        server_tls.set_ciphers("ALL:@SECLEVEL=0")  # the server, at least, would
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            server_tls.minimum_version = server_tls.maximum_version = ssl.TLSVersion.TLSv1_1
        assert failure(send, post(serve(OK, tls=server_tls).url())).reason == "tls_failed"

    def test_a_server_that_hangs_up(self, send, serve):
        def hang_up(sock):
            sock.recv(65536)

        server = serve(hang_up, read=False)
        assert failure(send, post(f"https://127.0.0.1:{server.port}/")).reason == "tls_failed"

    def test_a_handshake_that_drips(self, send, serve, drip, leak_check):
        # The start of a ServerHello record of 16 KiB that never comes to an end.
        server = serve(drip(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03", b"\0"), read=False)
        request = post(f"https://127.0.0.1:{server.port}/")
        with leak_check():
            assert failure(send, request, connect_timeout_s=0.4).reason == "timeout_connect"
            assert failure(send, request, total_timeout_s=0.4).reason == "timeout_total"

    def test_a_record_that_drips(self, send, serve, server_tls, trust_test_ca):
        """A relay that passes the handshake on, and then a byte at a time: the record never becomes whole."""
        answered = threading.Event()

        def answer(sock):
            answered.set()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n" + b"x" * 16000)

        server = serve(answer, tls=server_tls)
        relay = serve(lambda sock: _relay(sock, server.port, answered), read=False)
        error = failure(send, post(f"https://127.0.0.1:{relay.port}/"), total_timeout_s=1)
        assert error.reason == "timeout_total"

    @pytest.mark.parametrize("content", [None, "no certificate in here\n"])
    def test_a_trust_file_that_cannot_be_used(self, send, tmp_path, monkeypatch, content):
        file = tmp_path / "ca.pem"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        error = failure(send, post("https://127.0.0.1:1/"), ConfigurationError)
        assert (error.field, error.reason) == ("SSL_CERT_FILE", "trust_unreadable")


def no_tls(sock):
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 400 X\r\n\r\n")


def _relay(client, port, slow):
    """Pass bytes between ``client`` and a server on ``port``; from ``slow`` on those of the server one at a time."""

    def upwards():
        while part := client.recv(65536):
            server.sendall(part)

    with socket.create_connection(("127.0.0.1", port)) as server:
        thread = threading.Thread(target=lambda: _ignoring_the_end(upwards))
        thread.start()
        _ignoring_the_end(lambda: _pass_down(server, client, slow))
        server.shutdown(socket.SHUT_RDWR)
        thread.join(20)


def _pass_down(server, client, slow):
    while part := server.recv(65536):
        if not slow.is_set():
            client.sendall(part)
            continue
        for byte in part:
            client.sendall(bytes([byte]))
            time.sleep(0.05)


def _ignoring_the_end(action):
    try:
        action()
    except OSError:
        return


class TestLeaks:
    @pytest.mark.parametrize("client", ["blocking", "asyncio"])
    def test_a_hundred_requests_leave_nothing(self, serve, server_tls, trust_test_ca, leak_check, client):
        plain, tls = serve(OK), serve(OK, tls=server_tls)
        broken, refusing = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), serve(no_tls, read=False)
        urls = [plain.url(), tls.url(), broken.url(), f"https://127.0.0.1:{refusing.port}/", "https://name.invalid/"]
        with leak_check():
            outcomes = _attempts(urls * 20) if client == "blocking" else asyncio.run(_attempts_with_asyncio(urls * 20))
        assert outcomes == [200, 200, "truncated", "tls_failed", "dns_failed"] * 20

    def test_cancelling_closes_the_connection(self, serve, drip, leak_check):
        server = serve(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"))

        async def cancel():
            task = asyncio.create_task(AsyncHttpClient(insecure_loopback_http=True).send(post(server.url())))
            while not server.requests:  # noqa: ASYNC110 - the server is a thread
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with leak_check():
            asyncio.run(cancel())

    def test_ctrl_c_closes_the_connection(self, serve, drip):
        server = serve(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"))
        script = (
            "import signal, threading, os; from doorward.http.client import HttpClient;"
            "from doorward.model import HttpRequest;"
            "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start();"
            f"HttpClient(insecure_loopback_http=True).send(HttpRequest('GET', '{server.url()}', 'a test'))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)
        assert b"KeyboardInterrupt" in done.stderr


def _attempts(urls):
    outcomes = []
    with HttpClient(insecure_loopback_http=True) as client:
        for url in urls:
            try:
                outcomes.append(client.send(get(url)).status)
            except DoorwardError as error:
                outcomes.append(error.reason)
    return outcomes


async def _attempts_with_asyncio(urls):
    outcomes = []
    async with AsyncHttpClient(insecure_loopback_http=True) as client:
        for url in urls:
            try:
                outcomes.append((await client.send(get(url))).status)
            except DoorwardError as error:
                outcomes.append(error.reason)
    return outcomes


class TestWhatIsLogged:
    def test_nothing_secret_at_any_level(self, send, serve, server_tls, trust_test_ca, caplog):
        server = serve(OK, tls=server_tls)
        with caplog.at_level(logging.DEBUG):
            send(post(server.url(path="/path-of-the-request")))
            failure(send, post(serve(b"").url()))
        for secret in (HEADER_SECRET, BODY_SECRET, "path-of-the-request"):
            assert secret not in caplog.text

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=ANSWERED\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nLocation : https://sp.test/?ticket=ANSWERED\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=ANSWERED\x00\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nANSWERED\r\n\r\n",
            b"ANSWERED\r\n\r\n",
        ],
    )
    def test_nor_what_an_answer_holds_even_if_it_is_none(self, send, serve, caplog, answer):
        with caplog.at_level(logging.DEBUG), suppress(DoorwardError):
            send(get(serve(answer).url()))
        assert "ANSWERED" not in caplog.text


class TestSideBySide:
    def test_threads_share_a_client(self, serve, server_tls, trust_test_ca):
        server = serve(OK, tls=server_tls)
        client = HttpClient()
        statuses = []
        threads = [
            threading.Thread(target=lambda: statuses.append(client.send(get(server.url())).status)) for _ in "x" * 20
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert statuses == [200] * 20

    async def test_tasks_share_a_client(self, serve, drip):
        """However slow this machine is: the one that waits goes on until it is cancelled."""
        slow, fast = serve(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")), serve(OK)
        async with AsyncHttpClient(insecure_loopback_http=True, total_timeout_s=120) as client, TaskGroup() as tasks:
            waiting = tasks.create_task(client.send(get(slow.url())))
            answers = await asyncio.gather(*[client.send(get(fast.url())) for _ in range(20)])
            assert not waiting.done()
            waiting.cancel()
        assert [answer.status for answer in answers] == [200] * 20


def test_importing_the_client_is_light():
    script = "import sys, doorward.http.client, doorward.http.exchange; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert not {"httpx2", "httpcore2", "ssl", "asyncio", "anyio"} & set(done.stdout.split())
    assert "doorward.http.wire" not in done.stdout.split()
    assert os.path.sep not in done.stdout
