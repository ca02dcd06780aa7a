"""What the issuer remembers while it runs: codes, grants, tokens, device codes, open pages. All of it bounded.

Tokens are kept as SHA-256 digests, so that a lookup compares no secret and a dump shows none. The caller holds the
issuer's lock.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "AccessToken",
    "Authorization",
    "AuthorizationRequest",
    "BoundedMap",
    "Code",
    "Device",
    "Grant",
    "Interaction",
    "Pushed",
    "RefreshToken",
    "Store",
    "digest",
]

_CAPACITY = 10_000
_GOOD_NONCES = 100

V = TypeVar("V")


def digest(token: str) -> str:
    """Return the key under which a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class BoundedMap(Generic[V]):
    """A map that forgets its oldest entry when full."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, V] = OrderedDict()

    def put(self, key: str, value: V) -> None:
        self._entries[key] = value
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def get(self, key: str) -> V | None:
        return self._entries.get(key)

    def pop(self, key: str) -> V | None:
        return self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()

    def __iter__(self) -> Iterator[V]:
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What somebody allowed a client: the part of a request that tokens are made from."""

    client_id: str
    subject: str
    scopes: tuple[str, ...]
    audience: tuple[str, ...] = ()
    nonce: str | None = None
    auth_time: int = 0
    redirect_uri: str = ""
    offline: bool = False
    dpop_jkt: str | None = None


@dataclass(slots=True)
class Grant:
    """The family of all tokens that come from one authorization."""

    authorization: Authorization
    revoked: bool = False
    jkt: str | None = None
    """Thumbprint of the key that its tokens are bound to (RFC 9449)."""


@dataclass(slots=True)
class Code:
    """An authorization code. ``grant`` is set once it was redeemed."""

    authorization: Authorization
    code_challenge: str | None
    expires_at: float
    grant: Grant | None = None


@dataclass(slots=True)
class RefreshToken:
    """A refresh token. ``superseded_at`` is set once a newer one took its place."""

    grant: Grant
    expires_at: float
    access_token: AccessToken
    superseded_at: float | None = None


@dataclass(slots=True)
class AccessToken:
    """An access token: its claims, whether it is a JWT or opaque. ``grant`` is None for client credentials."""

    claims: Mapping[str, Any] = field(repr=False)
    expires_at: float
    grant: Grant | None = None
    revoked: bool = False

    def alive(self, now: float) -> bool:
        """Say whether this issuer still honours it."""
        return not self.revoked and now < self.expires_at and not (self.grant is not None and self.grant.revoked)


@dataclass(slots=True)
class Device:
    """A device authorization (RFC 8628)."""

    client_id: str
    user_code: str
    scopes: tuple[str, ...]
    audience: tuple[str, ...]
    expires_at: float
    interval_s: int
    polls: int = 0
    last_poll_at: float | None = None
    decision: Literal["pending", "allowed", "denied"] = "pending"
    subject: str = ""
    auth_time: int = 0

    def decide(self, subject: str | None, *, now: int) -> None:
        """Note that a person allowed it, or denied it where ``subject`` is None."""
        self.decision = "denied" if subject is None else "allowed"
        self.subject, self.auth_time = subject or "", now


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request at the authorization endpoint that passed every check; nobody has decided on it yet."""

    authorization: Authorization
    state: str | None
    code_challenge: str | None


@dataclass(frozen=True, slots=True)
class Pushed:
    """The parameters of an authorization request that was pushed (RFC 9126)."""

    client_id: str
    parameters: tuple[tuple[str, str], ...] = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class Interaction:
    """A page that waits for a person's decision."""

    about: AuthorizationRequest | Device
    expires_at: float


class Store:
    """All maps of one issuer."""

    def __init__(self) -> None:
        self.interactions: BoundedMap[Interaction] = BoundedMap()
        self.pushed: BoundedMap[Pushed] = BoundedMap()
        self.codes: BoundedMap[Code] = BoundedMap()
        self.refresh_tokens: BoundedMap[RefreshToken] = BoundedMap()
        self.access_tokens: BoundedMap[AccessToken] = BoundedMap()
        self.devices: BoundedMap[Device] = BoundedMap()
        self.assertions: BoundedMap[float] = BoundedMap()
        self.proof_nonces: deque[str] = deque(maxlen=_GOOD_NONCES)
        self.sessions: BoundedMap[tuple[str, int]] = BoundedMap()

    def device_by_user_code(self, user_code: str) -> Device | None:
        """Find a device by what the person typed: case and dashes do not matter (RFC 8628 section 6.1)."""
        wanted = _plain(user_code)
        return next((device for device in self.devices if _plain(device.user_code) == wanted), None)

    def revoke_subject(self, subject: str) -> None:
        """End every token and browser session of one person or service."""
        for refresh in self.refresh_tokens:
            if refresh.grant.authorization.subject == subject:
                refresh.grant.revoked = True
        for access in self.access_tokens:
            if access.claims.get("sub") == subject:
                access.revoked = True
        for code in self.codes:
            if code.authorization.subject == subject:
                code.expires_at = 0


def _plain(user_code: str) -> str:
    return "".join(character for character in user_code.upper() if character.isalnum())
