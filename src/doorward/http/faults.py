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

from doorward.errors import ConfigurationError, DoorwardError, TransportError, printable
from doorward.http.network import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.http.target import Proxy

__all__ = ["EXPECTED", "explain"]

EXPECTED: tuple[type[Exception], ...] = (
    DoorwardError,
    DeadlinePassed,
    OSError,  # with ssl.SSLError, socket.gaierror and TimeoutError
    UnicodeError,  # a name that IDNA can't encode
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What a request can fail with. Anything else is a mistake in a program, and stays what it is."""

_EXPIRED = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_WRONG_HOST = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def explain(error: Exception, *, where: str, proxy: Proxy | None) -> DoorwardError:
    """Turn ``error`` into an error of ours.

    Args:
        error: one of ``EXPECTED``.
        where: who was asked, such as ``the token endpoint at id.example.org``.
        proxy: the proxy between, if there is one: then connecting and resolving was about the proxy.
    """
    if isinstance(error, DoorwardError):
        return error.with_traceback(None)
    causes = tuple(_causes(error))
    if any(isinstance(cause, httpcore2.LocalProtocolError) for cause in causes):
        message = f"The request to {where} holds a header that HTTP does not allow. Check the client's settings."
        return ConfigurationError(message, field="headers", reason="header_malformed")
    reason, what = _reason(causes)
    if proxy is not None and reason in {"dns_failed", "connection_refused", "connection_failed", "timeout_connect"}:
        reason, what = "proxy_failed", "it could not be reached. Check the address."
    if reason == "proxy_failed" and proxy is not None:
        what = f"the proxy {proxy.host}:{proxy.port} of {proxy.variable} failed: {what}"
    return TransportError(f"No answer from {where}: {what}", reason=reason)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk what ``error`` was raised from. httpcore2 keeps that as an argument, anyio as a cause or in a group.

    ``__context__`` is left alone: its end is whatever our caller happened to be handling.
    """
    if error is None:
        return
    yield error
    yield from _causes(error.__cause__)
    for argument in error.args:
        if isinstance(argument, BaseException):
            yield from _causes(argument)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)


def _first(causes: tuple[BaseException, ...], *kinds: type[BaseException]) -> BaseException | None:
    return next((cause for cause in causes if isinstance(cause, kinds)), None)


def _reason(causes: tuple[BaseException, ...]) -> tuple[str, str]:
    """Return the reason and what to do. The order matters: many of these are subclasses of OSError."""
    if isinstance(certificate := _first(causes, ssl.SSLCertVerificationError), ssl.SSLCertVerificationError):
        return "tls_certificate", _certificate(certificate)
    if _first(causes, socket.gaierror, UnicodeError):
        return "dns_failed", "its name can't be resolved. Check the address, and that this machine is online."
    if _first(causes, httpcore2.ConnectTimeout) or (
        _first(causes, httpcore2.ConnectError) and _first(causes, TimeoutError)
    ):
        return "timeout_connect", "no connection in time. Check the network; behind a firewall, set HTTPS_PROXY."
    if _first(causes, DeadlinePassed, TimeoutError):
        return "timeout_total", "it took too long to answer. Try again later."
    if _first(causes, ssl.SSLError) or (_first(causes, httpcore2.ConnectError) and _first(causes, anyio.EndOfStream)):
        return (
            "tls_failed",
            "TLS could not be agreed on. The address must be one that serves https, with TLS 1.2 or later.",
        )
    if _first(causes, ConnectionRefusedError):
        return "connection_refused", "nothing accepts connections there. Check the address and that the service is up."
    if _first(causes, ConnectionResetError, ConnectionAbortedError, BrokenPipeError):
        return "connection_reset", "the connection was cut off. Try again; a firewall on the way can be the cause."
    return _http_reason(causes)


def _http_reason(causes: tuple[BaseException, ...]) -> tuple[str, str]:
    if refused := _first(causes, httpcore2.ProxyError):
        status = str(refused)[:3]
        advice = "It wants a user name and password in its URL." if status == "407" else "Ask who runs it."
        return "proxy_failed", f"it answered {status if status.isdigit() else 'something else'}. {advice}"
    if broken := _first(causes, httpcore2.RemoteProtocolError):
        if "peer closed connection" in str(broken):
            return "truncated", "the answer stops short of its end. Try again."
        if "disconnected without sending" in str(broken):
            return "connection_reset", "the connection was closed without an answer. Try again."
        return "protocol_error", "the answer is not HTTP. Check the address and the proxy settings."
    failure = _first(causes, OSError)
    why = os.strerror(failure.errno) if isinstance(failure, OSError) and failure.errno else "the connection failed"
    return "connection_failed", f"{why}. Check the network."


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _EXPIRED:
        advice = "Check this machine's clock; if it is right, the server's certificate has to be renewed."
    elif error.verify_code in _WRONG_HOST:
        advice = "It was issued for another host: check the address."
    else:
        advice = (
            "If it was issued by a CA of your own, put that CA's certificate in a file and name it in SSL_CERT_FILE."
        )
    return f"its certificate is not accepted ({printable(error.verify_message)}). {advice}"
