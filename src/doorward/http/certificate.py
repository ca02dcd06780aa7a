"""Looks at the certificate that a server shows, whoever issued it, to tell a person why TLS accepts it or not.

This is the one place that does not verify. Nothing is sent but a handshake, and what was shown decides nothing.
"""

from __future__ import annotations

import os
import ssl
from binascii import b2a_base64
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from doorward.errors import ConfigurationError, printable
from doorward.http.faults import EXPECTED
from doorward.http.network import Deadline, Network
from doorward.http.target import check_target, choose_proxy
from doorward.model import HttpRequest
from doorward.system import SystemClock

if TYPE_CHECKING:
    from httpcore2 import NetworkStream

    from doorward.http.target import Proxy, Target

__all__ = ["Shown", "look_at_certificate"]

_DEADLINE_S = 10.0
_LONGEST_ANSWER = 16_384


class Shown(NamedTuple):
    """What a certificate says of itself: true or not."""

    subject: str
    issuer: str
    until: str


def look_at_certificate(url: str) -> Shown | None:
    """Return what the certificate of the server behind an https URL says; None if none was shown, or not in time."""
    try:
        target = check_target(HttpRequest("GET", url, "the provider"), insecure_loopback_http=False)
        with closing(Network(Deadline(SystemClock(), _DEADLINE_S))) as network:
            shown = _handshake(network, target, choose_proxy(target, os.environ))
        certificate = x509.load_der_x509_certificate(shown)
        return Shown(
            printable(certificate.subject.rfc4514_string()),
            printable(certificate.issuer.rfc4514_string()),
            f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        )
    except EXPECTED:
        return None
    except (ConfigurationError, ValueError, LookupError):
        return None


def _handshake(network: Network, target: Target, proxy: Proxy | None) -> bytes:
    """Return the certificate that is shown, through a proxy if it is spoken to by plain HTTP."""
    if proxy is not None and proxy.scheme != "http":
        raise LookupError(proxy.scheme)
    at = target if proxy is None else proxy
    stream = network.connect_tcp(at.host, at.port)
    if proxy is not None:
        _tunnel(stream, target, proxy)
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with closing(stream.start_tls(unverified, target.host)) as secured:
        shown: bytes = secured.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown


def _tunnel(stream: NetworkStream, target: Target, proxy: Proxy) -> None:
    host = f"[{target.host}]" if ":" in target.host else target.host
    lines = [f"CONNECT {host}:{target.port} HTTP/1.1", f"Host: {host}:{target.port}"]
    if proxy.username is not None:
        credentials = b2a_base64(f"{proxy.username}:{proxy.password.reveal()}".encode(), newline=False).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    stream.write("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_ANSWER:
        received = stream.read(1)  # what comes after it is TLS's
        if not received:
            break
        answer += received
    if answer.split()[1:2] != [b"200"]:
        raise LookupError("no tunnel")
