"""What went wrong on the wire, told as one of our errors with its own reason. No I/O.

Foreign exceptions hold buffers and requests, and their texts may quote what was sent. So nothing of them is kept but a
number or a word of the operating system or of OpenSSL.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

import anyio
import httpcore2

from doorward.errors import TransportError, printable
from doorward.http.network import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.http.target import Proxy

__all__ = ["EXPECTED", "explain"]

try:
    from socksio.exceptions import SOCKSError
except ImportError:  # an extra; without it no SOCKS proxy is spoken to

    class SOCKSError(Exception):  # type: ignore[no-redef] # stands in for the other
        """Never raised."""


EXPECTED: tuple[type[Exception], ...] = (
    DeadlinePassed,
    OSError,  # with ssl.SSLError, socket.gaierror and TimeoutError
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
    SOCKSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What a request can fail with. Anything else is a mistake in a program, and stays what it is."""

_RULES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    (
        (socket.gaierror,),
        "dns_failed",
        "its name can't be resolved. Check the address, and that this machine is online.",
    ),
    (
        (httpcore2.ConnectTimeout,),
        "timeout_connect",
        "no connection in time. Check the address and the network; behind a firewall, set HTTPS_PROXY.",
    ),
    ((DeadlinePassed, TimeoutError), "timeout_total", "it took too long to answer. Try again later."),
    (
        # In the middle of a handshake the end of the stream is one too.
        (ssl.SSLError, anyio.EndOfStream),
        "tls_failed",
        "TLS could not be agreed on. The address must be one that serves https, with TLS 1.2 or later.",
    ),
    (
        (ConnectionRefusedError,),
        "connection_refused",
        "nothing accepts connections there. Check the address, and that the service is up.",
    ),
    (
        (ConnectionResetError, ConnectionAbortedError, BrokenPipeError),
        "connection_reset",
        "the connection was cut off. Try again; a firewall on the way can be the cause.",
    ),
)
"""Exceptions, reason, what to do. The first that fits counts: many are subclasses of OSError."""

_NOT_NOW = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_WRONG_HOST = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def explain(error: Exception, *, where: str, proxy: Proxy | None) -> TransportError:
    """Turn ``error`` into an error of ours.

    Args:
        error: one of ``EXPECTED``.
        where: who was asked, such as ``the token endpoint at id.example.org``.
        proxy: the proxy between, if there is one: then looking up and connecting was about the proxy.
    """
    reason, advice = _reason(tuple(_causes(error)))
    if proxy is not None and reason in {"dns_failed", "connection_refused", "connection_failed", "timeout_connect"}:
        reason, advice = "proxy_failed", "it can't be reached. Check its address and the network."
    if proxy is not None and reason == "proxy_failed":
        advice = f"the proxy {proxy.host}:{proxy.port}, named by {proxy.variable}, failed: {advice}"
    return TransportError(f"No answer from {where}: {advice}", reason=reason)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk what ``error`` was raised from. httpcore2 keeps that as an argument, anyio as a cause or in a group.

    ``__context__`` is left alone: it ends in whatever our caller happened to be handling.
    """
    yield error
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for cause in (error.__cause__, *error.args, *members):
        if isinstance(cause, BaseException):
            yield from _causes(cause)


def _reason(causes: tuple[BaseException, ...]) -> tuple[str, str]:
    """Return the reason and what to do."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "tls_certificate", _certificate(cause)
    for kinds, reason, advice in _RULES:
        if any(isinstance(cause, kinds) for cause in causes):
            return reason, advice
    for cause in causes:
        if isinstance(cause, SOCKSError):
            return "proxy_failed", "its answer is not SOCKS 5. Check its address and kind."
        if isinstance(cause, httpcore2.ProxyError):
            return "proxy_failed", _refusal(cause)
        if isinstance(cause, httpcore2.ProtocolError):
            return _broken_http(cause)
    codes = [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno]
    what = os.strerror(codes[0]) if codes else "the connection failed"
    return "connection_failed", f"{what}. Check the network."


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _NOT_NOW:
        advice = "Check this machine's clock; if it is right, the server's certificate has to be renewed."
    elif error.verify_code in _WRONG_HOST:
        advice = "It was issued for another host: check the address."
    else:
        advice = (
            "If a CA of your own issued it, put that CA's certificate in a file and name the file in SSL_CERT_FILE."
        )
    return f"its certificate is not accepted ({printable(error.verify_message)}). {advice}"


def _refusal(error: httpcore2.ProxyError) -> str:
    """Tell a proxy's status, the first word of what httpcore2 says. The rest is the proxy's own text."""
    status = str(error)[:3]
    advice = "Put its user name and password in that variable." if status == "407" else "Ask whoever runs it."
    return f"it answered {status if status.isdecimal() else 'something else'}. {advice}"


def _broken_http(error: httpcore2.ProtocolError) -> tuple[str, str]:
    """Tell the ways of breaking off apart by h11's and httpcore2's wording, for which they have no types."""
    if "peer closed connection" in str(error):
        return "truncated", "the answer stops short of its end. Try again."
    if "disconnected without sending" in str(error):
        return "connection_reset", "the connection was closed without an answer. Try again."
    return "protocol_error", "the answer is not HTTP. Check the address and the proxy settings."
