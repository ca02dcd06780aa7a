"""Both clients, and real servers on loopback whose every byte a test decides."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from doorward.http.client import AsyncHttpClient, HttpClient

PATIENCE_S = 20
"""What a helper of a test waits at most, before the test fails."""


@pytest.fixture(params=["blocking", "asyncio"])
def send(request):
    """Send one request, with either client: ``send(http_request, **client_options)``."""

    def blocking(http_request, **options):
        with HttpClient(**{"insecure_loopback_http": True, **options}) as client:
            return client.send(http_request)

    def with_asyncio(http_request, **options):
        async def exchange():
            async with AsyncHttpClient(**{"insecure_loopback_http": True, **options}) as client:
                return await client.send(http_request)

        return asyncio.run(exchange())

    return blocking if request.param == "blocking" else with_asyncio


@dataclass
class Served:
    """A running server: where it is, and the requests that reached it, as bytes."""

    port: int
    is_tls: bool
    requests: list[bytes] = field(default_factory=list)

    def url(self, host="127.0.0.1", path="/"):
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}{path}"


@pytest.fixture
def serve():
    """Start a server: ``serve(script, tls=None, read=True, host="127.0.0.1")``.

    Each connection has a thread that reads one request, then sends ``script`` or, if it is a function, calls it with
    the socket, and closes the connection.
    """
    with ExitStack() as servers:
        yield lambda script=b"", **options: servers.enter_context(_serving(script, **options))


@contextmanager
def _serving(script, *, tls=None, read=True, host="127.0.0.1"):
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    served = Served(listener.getsockname()[1], tls is not None)
    threads = []

    def handle(connection):
        with connection, suppress(OSError):
            connection.settimeout(PATIENCE_S)
            with tls.wrap_socket(connection, server_side=True) if tls else connection as sock:
                if read:
                    served.requests.append(read_request(sock))
                if callable(script):
                    script(sock)
                else:
                    sock.sendall(script)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=handle, args=(connection,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield served
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        listener.close()
        for thread in [acceptor, *threads]:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def read_request(sock):
    """Read one request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture(scope="session")
def drip():
    """Make a script that sends ``start`` and then ``drop`` over and over, slowly, until the other side has gone."""

    def make(start, drop):
        def script(sock):
            sock.sendall(start)
            until = time.monotonic() + PATIENCE_S
            while drop and time.monotonic() < until:
                sock.sendall(drop)
                time.sleep(0.05)
            sock.recv(1)

        return script

    return make


@dataclass(frozen=True)
class SelfSigned:
    """A server's TLS with a certificate by nobody else, and the file that holds that certificate."""

    server: ssl.SSLContext
    file: str


@pytest.fixture
def self_signed(tmp_path):
    def make(name, *, ends_in_days=1):
        now = dt.datetime.now(dt.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=9))
            .not_valid_after(now + dt.timedelta(days=ends_in_days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / "self-signed.pem"
        plain = serialization.NoEncryption()
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return SelfSigned(_server_tls(file), str(file))

    return make


@pytest.fixture
def server_tls(test_ca):
    """TLS for a server on loopback, or for ``op.test``, with a certificate by the test authority."""
    return _server_tls(test_ca.certificate, test_ca.key)


def _server_tls(certificate, key=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
