"""The seams: what a room asks of the outside, as Protocols. Implementations live elsewhere; nothing here acts."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, runtime_checkable

from doorward.model import HttpRequest, HttpResponse, Pause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import TokenKind

__all__ = [
    "AsyncTransport",
    "BoundTokenSource",
    "Clock",
    "Entropy",
    "Flow",
    "StepUpSource",
    "TokenSource",
    "Transport",
]

T = TypeVar("T")

Flow: TypeAlias = Generator[HttpRequest | Pause, HttpResponse | None, T]
"""A flow yields requests and pauses, is sent the responses (None after a pause), and returns its result.

Private to the package: a flow that nobody drives verifies nothing.
"""


class Clock(Protocol):
    """The one clock. ``now`` is epoch seconds in UTC, ``monotonic`` never goes back."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
    async def asleep(self, seconds: float) -> None: ...


class Entropy(Protocol):
    """The one source of randomness."""

    def token_urlsafe(self, nbytes: int) -> str:
        """Return ``nbytes`` random bytes as base64url text without padding."""
        ...


class Transport(Protocol):
    """Sends one request and returns its whole response, or raises TransportError or InvalidResponse."""

    def send(self, request: HttpRequest) -> HttpResponse: ...


class AsyncTransport(Protocol):
    """The same for asyncio. ``blocking`` gives its twin, which a thread uses under trio."""

    async def send(self, request: HttpRequest) -> HttpResponse: ...
    def blocking(self) -> Transport: ...


@runtime_checkable
class TokenSource(Protocol):
    """Anything that gives a bearer token good for a while: a session, client credentials, or a user's own."""

    def token(self, kind: TokenKind = "access") -> str: ...
    async def atoken(self, kind: TokenKind = "access") -> str: ...
    def renew(self, rejected: str) -> str:
        """Return a token in place of ``rejected``, which a server has refused with 401: another, if one can be had."""
        ...

    async def arenew(self, rejected: str) -> str: ...


@runtime_checkable
class BoundTokenSource(TokenSource, Protocol):
    """A source whose tokens may be good only together with a proof that their key is at hand (DPoP, RFC 9449)."""

    def authorization(self, token: str, method: str, url: str, *, nonce: str | None = None) -> Mapping[str, str]:
        """Return the headers of one request that carry the token: Authorization, and DPoP where it is bound.

        Args:
            token: One that this source gave.
            method: Of the request.
            url: Of the request.
            nonce: What the server has asked for in the proof.
        """
        ...


@runtime_checkable
class StepUpSource(TokenSource, Protocol):
    """A source that can have a person sign in anew, where an API asks for a stronger or later sign-in (RFC 9470)."""

    def step_up(self, acr_values: str | None, max_age: int | None) -> str | None:
        """Return a token of such a sign-in; None if nobody can be asked.

        Args:
            acr_values: The kinds of sign-in that would do, by the provider's names, with spaces in between.
            max_age: How long ago it may be, in seconds.
        """
        ...

    async def astep_up(self, acr_values: str | None, max_age: int | None) -> str | None: ...
