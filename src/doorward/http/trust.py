"""Whom TLS trusts: the system's store, and besides it the certificates that the environment names.

``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are OpenSSL's. ``REQUESTS_CA_BUNDLE`` (a file or a folder) and ``CURL_CA_BUNDLE``
are what companies set for Requests and curl, where their firewall signs with a CA of its own.

Nothing here switches verification off. ``certificate`` looks at what a server shows without it, and sends nothing.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from doorward.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["present", "trust_context", "trust_just"]

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def trust_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Build the TLS settings of a client: TLS 1.2 or later, certificate and host name verified.

    httpx2 by itself lets SSL_CERT_FILE replace the system's store. Here it adds to it, so that a company's or a test's
    own CA can be trusted without losing the public ones.

    Raises:
        ConfigurationError: field is the variable; reason ``trust_unreadable``.
    """
    context = httpx2.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for variable in _VARIABLES:
        place = environment.get(variable)
        if not place:
            continue
        argument = "capath" if variable == "SSL_CERT_DIR" or Path(place).is_dir() else "cafile"
        try:
            context.load_verify_locations(**{argument: place})
        except OSError as error:  # ssl.SSLError, for a file that holds no certificate, is one
            message = f"{variable} names something that has no readable certificates ({_why(error)}). Mend or unset it."
            raise ConfigurationError(message, field=variable, reason="trust_unreadable") from None
    return context


def trust_just(ca_file: str) -> ssl.SSLContext:
    """Build the TLS settings of a client that trusts the CAs in one file of PEM, and nobody else.

    Raises:
        ConfigurationError: field ``ca_file``; reason ``trust_unreadable``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        message = f"The file of CAs {printable(ca_file)} has no readable certificates ({_why(error)}). Mend it."
        raise ConfigurationError(message, field="ca_file", reason="trust_unreadable") from None
    return context


def present(context: ssl.SSLContext, certificate_file: str, key_file: str) -> None:
    """Have ``context`` prove who we are to servers that ask: with a certificate and its key, in files of PEM.

    Raises:
        ConfigurationError: field ``client_certificate``; reason ``client_certificate_unreadable``.
    """
    try:
        context.load_cert_chain(certificate_file, key_file, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = _why(error) if isinstance(error, OSError) else "the key is encrypted"
        message = (
            f"The client certificate {printable(certificate_file)} and its key {printable(key_file)} can't be used "
            f"({why}). Name a file of PEM for each, with a key that is not encrypted and belongs to the certificate."
        )
        raise ConfigurationError(message, field="client_certificate", reason="client_certificate_unreadable") from None


def _no_password() -> str:
    """Answer in place of the prompt that OpenSSL would show on the terminal."""
    raise ValueError("encrypted")


def _why(error: OSError) -> str:
    return "not PEM" if isinstance(error, ssl.SSLError) else os.strerror(error.errno or 0)
