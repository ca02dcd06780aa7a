"""Whom TLS trusts: the system's store, and the certificates of SSL_CERT_FILE and SSL_CERT_DIR besides.

Nothing here, or anywhere else, switches verification off.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import httpx2

from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["trust_context"]


def trust_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Build the TLS settings of a client: TLS 1.2 or later, certificate and host name verified.

    httpx2 by itself lets SSL_CERT_FILE replace the system's store. Here it adds to it, so that a company's or a test's
    own CA can be trusted without losing the public ones.

    Raises:
        ConfigurationError: field ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``; reason ``trust_unreadable``.
    """
    context = httpx2.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for variable, argument in (("SSL_CERT_FILE", "cafile"), ("SSL_CERT_DIR", "capath")):
        place = environment.get(variable)
        if not place:
            continue
        try:
            context.load_verify_locations(**{argument: place})
        except OSError as error:  # ssl.SSLError, for a file that holds no certificate, is one
            message = f"{variable} names something that has no readable certificates ({_why(error)}). Mend or unset it."
            raise ConfigurationError(message, field=variable, reason="trust_unreadable") from None
    return context


def _why(error: OSError) -> str:
    return "not PEM" if isinstance(error, ssl.SSLError) else os.strerror(error.errno or 0)
