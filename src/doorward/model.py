"""The values that cross rooms: secrets, tokens, principals, one HTTP exchange. No behaviour beyond hiding secrets."""

from __future__ import annotations

import hmac
from collections.abc import Mapping  # noqa: TC003 - msgspec looks it up for help() and inspect.signature()
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, final

import msgspec

from doorward.errors import ConfigurationError

__all__ = ["HttpRequest", "HttpResponse", "Pause", "Principal", "Secret", "TokenKind", "TokenSet"]

TokenKind = Literal["access", "id"]

_HIDDEN = "<secret>"


@final
class Secret:
    """A string that does not show itself. ``reveal()`` is the one way to read it.

    ``repr``, ``str``, f-strings and logging show ``<secret>``; so does a pickle, which leaves the value behind: reading
    an unpickled ``Secret`` raises ``ConfigurationError``. Comparison takes the same time wherever two values differ.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: str | None = value

    def reveal(self) -> str:
        """Return the value itself. Keep it out of logs, messages and process arguments."""
        if self._value is None:
            message = "This secret was pickled, which leaves its value behind: give it again in this process."
            raise ConfigurationError(message, field="secret", reason="secret_pickled")
        return self._value

    def __repr__(self) -> str:
        return _HIDDEN

    def __format__(self, format_spec: str) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (secret.reveal().encode(errors="surrogatepass") for secret in (self, other))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_pickled_secret, (_HIDDEN,))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __bool__(self) -> bool:
        return bool(self._value)

    def __iter__(self) -> NoReturn:
        message = "a Secret is not a sequence; call reveal()"
        raise TypeError(message)


def _pickled_secret(_hidden: str) -> Secret:
    secret = Secret("")
    secret._value = None  # noqa: SLF001 - same module: this is the second constructor
    return secret


@dataclass(frozen=True, slots=True)
class TokenSet:
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

    def __repr__(self) -> str:  # the claims are personal
        return f"Principal(issuer={self.issuer!r}, subject={self.subject!r}, kind={self.kind!r})"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, as data. ``purpose`` says in words what is asked ("the token endpoint"), for error messages.

    Headers and body may hold secrets: neither shows in a ``repr``. The URL never holds one. An ``irrevocable`` request
    uses up what it sends (a refresh token that rotates): once it is under way, its flow is carried to its end, even if
    the caller stops waiting.
    """

    method: Literal["GET", "HEAD", "POST"]
    url: str
    purpose: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    max_response_bytes: int = 1_048_576
    irrevocable: bool = False


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response. Header names are lower case; the body is whole and within its limit."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """What a flow yields to wait: the driver sleeps, sync or async, for ``seconds``."""

    seconds: float
