"""A request's credential, seen from outside: where it stands, which way in it takes, what it is known by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from doorward.errors import MissingCredential, printable
from doorward.protocol.bearer import parse_authorization_header
from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Request", "looks_signed", "read_credential", "signed_part"]

_JSON_STARTS = ("ey", "ew")  # base64url of an opening brace and what may follow it: every header begins so
_SIGNED_STARTS = ("Bearer eyJ", "bearer eyJ")
_NOTHING = frozenset({"undefined", "null", "none", "nil", "nan", "false", "true", "token"})
"""What programs send that had no token: the names of nothing in the languages they are written in."""
_BEARER = len("Bearer ")


class Request(msgspec.Struct, frozen=True):
    """One question to the guard. ``scopes`` is no iterator: it is read twice, and would then ask for nothing."""

    authorization: str | None
    client_ip: str | None
    scopes: Sequence[str]
    resource: str | None
    digest: bytes
    recorded: bool = False  # it was let in already, and so it stands in the audit: only a refusal is news

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"Request(client_ip={self.client_ip!r}, resource={self.resource!r})"


def looks_signed(credential: str) -> bool:
    """Tell a JWT, or what pretends to be one, by its shape: two dots or more, and the beginning of a header."""
    return credential.startswith(_JSON_STARTS) and credential.find(".") != credential.rfind(".")


def signed_part(token: str) -> bytes:
    """Return what an accepted token is known by: what its signature covers, or all of it where there is none."""
    return (token.rpartition(".")[0] if looks_signed(token) else token).encode("utf-8", "surrogatepass")


def read_credential(authorization: str | None) -> tuple[str, bool]:
    """Return the credential of an ``Authorization`` value, and whether it has the shape of a JWT.

    The characters of a JWT are left to its own, stricter parser.

    Raises:
        MissingCredential, Malformed: as ``bearer.parse_authorization_header``; or ``placeholder`` for what stands where
            a program had no token.
    """
    if authorization is not None and authorization.startswith(_SIGNED_STARTS):
        credential = authorization[_BEARER:]
        if credential.find(".") != credential.rfind("."):  # as `looks_signed`, for nearly every request
            return credential, True
    credential = parse_authorization_header(authorization)
    if credential.lower() in _NOTHING:
        message = f"The request says {printable(credential)} in place of a token: its sender had none. Sign in first."
        raise MissingCredential(message, reason="placeholder")
    return credential, looks_signed(credential)
