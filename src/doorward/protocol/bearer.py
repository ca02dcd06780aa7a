"""Bearer tokens in HTTP headers: Authorization in and out, WWW-Authenticate out. Strict: anyone can send these."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Literal

from doorward.errors import ConfigurationError, Malformed, MissingCredential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.model import Secret

__all__ = ["build_authorization_header", "build_www_authenticate", "parse_authorization_header"]

_LONGEST_TOKEN = 16_384
_TOKEN_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
_CREDENTIALS = re.compile(r" [A-Za-z0-9\-._~+/]+=*")
_USUAL_STARTS = ("Bearer ", "bearer ")
_USUAL_CHARACTERS = (string.ascii_letters + string.digits + "-._~+/").encode()
_TOKEN_TO_ASCII = bytes(byte if byte in _USUAL_CHARACTERS else 0xFF for byte in range(256))
_VSCHAR = re.compile(r"[\x21-\x7e]+")
_QUOTABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")


def build_authorization_header(token: Secret, *, scheme: Literal["Bearer", "DPoP"] = "Bearer") -> str:
    """Return the value of an Authorization header (RFC 6750 section 2.1; RFC 9449 section 7.1).

    Raises:
        Malformed: The token has characters that no header can hold.
    """
    if not _VSCHAR.fullmatch(token.reveal()):
        message = "The token has spaces or control characters and can't be sent in a header. Get a new one."
        raise Malformed(message, reason="unsendable_token")
    return f"{scheme} {token.reveal()}"


def parse_authorization_header(*values: str | None) -> str:
    """Return the bearer token of a request.

    Args:
        values: Every Authorization header of the request: with two of them, nobody can know which one counts.

    Raises:
        MissingCredential: ``no_authorization``, or ``other_scheme`` for one that is not Bearer.
        Malformed: ``authorization_repeated``, ``token_too_long``, ``bad_bearer_token``.

    Source: RFC 6750 section 2.1, RFC 9110 section 11.
    """
    if len(values) == 1 and values[0] is not None and values[0].startswith(_USUAL_STARTS):
        # What nearly every request has, in a third of the time. Whatever it is not, the rules below say.
        token = values[0][len("Bearer ") :]
        if 0 < len(token) <= _LONGEST_TOKEN and token.isascii() and token.encode().translate(_TOKEN_TO_ASCII).isascii():
            return token
    given = [value for value in values if value is not None]
    if not given:
        message = "The request has no Authorization header: send a bearer token."
        raise MissingCredential(message, reason="no_authorization")
    if len(given) > 1:
        raise Malformed("The request has several Authorization headers: send one.", reason="authorization_repeated")
    credentials = given[0].lstrip(_TOKEN_CHARACTERS)
    scheme = given[0].removesuffix(credentials)
    if scheme.lower() != "bearer":
        raise MissingCredential("The Authorization header is not Bearer: send a bearer token.", reason="other_scheme")
    if len(credentials) > len(" ") + _LONGEST_TOKEN:
        raise Malformed("The bearer token is longer than any that is accepted.", reason="token_too_long")
    if not _CREDENTIALS.fullmatch(credentials):
        message = "The bearer token is empty or has characters it can't have. Send 'Bearer', one space, the token."
        raise Malformed(message, reason="bad_bearer_token")
    return credentials[1:]


def build_www_authenticate(
    *,
    error: Literal["invalid_request", "invalid_token", "insufficient_scope"] | None = None,
    error_description: str | None = None,
    scopes: Sequence[str] = (),
    realm: str | None = None,
    resource_metadata: str | None = None,
) -> str:
    """Return the value of a WWW-Authenticate header.

    Args:
        error: Why the credential was refused; None when there was none (RFC 6750 section 3.1).
        error_description: For developers; our own words, never text from the request.
        scopes: What would be needed.
        realm: The part of the service that is guarded.
        resource_metadata: URL of the protected resource's metadata (RFC 9728 section 5.1).

    Raises:
        ConfigurationError: A value can't stand in a header.
    """
    parameters = {
        "realm": realm,
        "error": error,
        "error_description": error_description,
        "scope": " ".join(scopes) or None,
        "resource_metadata": resource_metadata,
    }
    for name, value in parameters.items():
        if value is not None and not _QUOTABLE.fullmatch(value):
            message = f"{name} has quotes, backslashes or characters that no header can hold."
            raise ConfigurationError(message, field=name, reason="unquotable")
    given = ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value is not None)
    return f"Bearer {given}" if given else "Bearer"
