"""The values that cross rooms: secrets, tokens, principals, one HTTP exchange. No behaviour beyond hiding secrets."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations when help() asks for a signature
from typing import Any, Literal

import msgspec

from doorward.secret import Secret, shows_nothing

__all__ = ["HttpRequest", "HttpResponse", "Pause", "Principal", "Secret", "TokenKind", "TokenSet"]

TokenKind = Literal["access", "id"]


class TokenSet(msgspec.Struct, frozen=True):
    """What a token endpoint gave us (RFC 6749 section 5.1, OIDC Core 3.1.3.3).

    Instants are epoch seconds in UTC. ``expires_at`` is None when the provider did not say.
    """

    access_token: Secret
    issued_at: float
    expires_at: float | None = None
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    scopes: tuple[str, ...] | None = None
    clock_skew_s: float | None = None
    """How far this computer's clock is ahead of the provider's, by the ``Date`` of its answer; None if it gave none."""


class Principal(msgspec.Struct, frozen=True):
    """A verified ``(issuer, subject)``. An e-mail address is something to show, never a key.

    Made for every new token, hence a msgspec struct: a frozen dataclass takes five times as long.
    """

    issuer: str
    subject: str
    audience: tuple[str, ...] = ()
    email: str | None = None
    email_verified: bool = False
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    kind: Literal["jwt", "opaque", "api_key"] = "jwt"
    is_admin: bool = False
    may_delegate: bool = False
    expires_at: float | None = None
    claims: Mapping[str, Any] = {}

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:  # the claims are personal
        return f"Principal(issuer={self.issuer!r}, subject={self.subject!r}, kind={self.kind!r})"


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, as data. ``purpose`` says in words what is asked ("the token endpoint"), for error messages.

    Headers and body may hold secrets: neither shows in a ``repr``. The URL never holds one. An ``irrevocable`` request
    uses up what it sends (a refresh token that rotates): once it is under way, its flow is carried to its end, even if
    the caller stops waiting.
    """

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    url: str
    purpose: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    max_response_bytes: int = 1_048_576
    irrevocable: bool = False

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"HttpRequest(method={self.method!r}, url={self.url!r}, purpose={self.purpose!r})"


class HttpResponse(msgspec.Struct, frozen=True):
    """A complete response. Header names are lower case; the body is whole and within its limit."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"HttpResponse(status={self.status!r})"


class Pause(msgspec.Struct, frozen=True):
    """What a flow yields to wait: the driver sleeps, sync or async, for ``seconds``."""

    seconds: float
