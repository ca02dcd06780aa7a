"""What the vault holds about a profile, as a value, and its one form as JSON. Pure: no file is touched here."""

from __future__ import annotations

from dataclasses import dataclass, field

from doorward.secret import Secret
from doorward.vault.fields import VERSION, count, instant, or_none, read_fields, secret, text, texts, truth
from doorward.vault.folders import profile_file
from doorward.vault.times import format_instant, is_fresh

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal

    from doorward.model import TokenKind
    from doorward.vault.typed import ClientAuthenticationMethod

__all__ = ["ProfileEntry"]

_KIND = "profile"
_STRONGER = 2
"""Version of an entry that needs more than a refresh token: what knows version 1 alone must leave it as it is."""
_HIDDEN = "<secret>"
_SECRET = ("token", "secret", "password", "nonce", "credential", "private")
"""What the name of a claim holds whose value may be a secret."""
_JWT = "eyJ"
_METHODS: tuple[ClientAuthenticationMethod, ...] = (
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
)
_STRONGER_MEMBERS = (
    *("dpop_key", "dpop_alg", "client_key_name", "client_certificate", "client_certificate_key"),
    "security_profile",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEntry:
    """All that is known about a signed-in profile. A client secret or password never is part of it.

    Instants are epoch seconds in UTC; the file keeps microseconds of them. What came with a later release (``_LATER``)
    stands in the file only where it holds something, so that an earlier one reads the others.

    Attributes:
        profile: The name, as it was given; case does not matter when it is looked up.
        client_authentication: How the client shows who it is; a secret for it is given anew by each process.
        scopes: What was asked for. ``granted_scopes`` is what the provider said it gave.
        provider: Whose habits the person named.
        redirect_uri: The one of the sign-in; some providers want it again on refresh.
        redirect_uri_on_refresh: This provider does, as its answer to the first refresh has shown.
        id_token_renewable: The last answer of the provider held an ID token.
        nonce: The one of the sign-in, to compare with that of a refreshed ID token.
        claims: The validated claims of the ID token, with ``iss`` and ``sub``.
        known_audiences: Whom the ID token may be meant for as well, though it does not say who asked for it (``azp``).
        userinfo: What the provider's UserInfo endpoint said of the same person at the sign-in.
        ended_at: When the provider ended the session; a person has to sign in again.
        dpop_key: What the tokens are bound to (DPoP), as PEM, and ``dpop_alg`` what it signs with.
        client_key_name: The name, in the vault, of the key that the client proves itself with.
        client_certificate: The file of its certificate for TLS, and ``client_certificate_key`` that of its key.
        security_profile: What the sign-in was held to, and renewals are.
        retry_at: No refresh is tried before, after ``failures`` that failed in a row, in whatever process.
    """

    profile: str
    issuer: str
    client_id: str
    client_authentication: ClientAuthenticationMethod
    created_at: float
    scopes: tuple[str, ...] = ()
    audience: str | None = None
    resource: str | None = None
    insecure_loopback_http: bool = False
    provider: str | None = None
    redirect_uri: str | None = None
    redirect_uri_on_refresh: bool = False
    access_token: Secret | None = None
    access_token_issued_at: float | None = None
    access_token_expires_at: float | None = None
    granted_scopes: tuple[str, ...] | None = None
    id_token: Secret | None = None
    id_token_issued_at: float | None = None
    id_token_expires_at: float | None = None
    id_token_renewable: bool = False
    nonce: Secret | None = None
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    refresh_token: Secret | None = None
    refreshed_at: float | None = None
    ended_at: float | None = None
    ended_reason: str | None = None
    retry_at: float | None = None
    failures: int = 0
    known_audiences: tuple[str, ...] = ()
    userinfo: Mapping[str, Any] | None = field(default=None, repr=False)
    dpop_key: Secret | None = None
    dpop_alg: str | None = None
    client_key_name: str | None = None
    client_certificate: str | None = None
    client_certificate_key: str | None = None
    security_profile: str | None = None

    @property
    def _is_for_any_release(self) -> bool:
        return not any(getattr(self, name) for name in _STRONGER_MEMBERS)

    @property
    def told(self) -> Mapping[str, Any]:
        """All that the provider told of the person. What the ID token says comes before what UserInfo says."""
        return {**(self.userinfo or {}), **(self.claims or {})}

    def held(self, kind: TokenKind) -> tuple[Secret | None, float | None, float | None]:
        """Return the token of that kind, when it was issued, and when it ends."""
        if kind == "id":
            return self.id_token, self.id_token_issued_at, self.id_token_expires_at
        return self.access_token, self.access_token_issued_at, self.access_token_expires_at

    def fresh_token(self, kind: TokenKind, *, now: float, least_life_s: float = 0.0) -> Secret | None:
        """Return the token of that kind if it need not be renewed yet, None if it must be or there is none."""
        token, issued_at, expires_at = self.held(kind)
        bounded = self.refresh_token is not None or self.ended_at is not None  # else it is the last one there is
        return token if is_fresh(issued_at, expires_at, now=now, bounded=bounded, least_s=least_life_s) else None

    def revocable(self, *, now: float) -> dict[Literal["refresh_token", "access_token"], Secret]:
        """Return the tokens that are still good as far as is known, the one first that others are made from."""
        found: dict[Literal["refresh_token", "access_token"], Secret] = {}
        if self.refresh_token is not None:
            found["refresh_token"] = self.refresh_token
        if self.access_token is not None and (self.access_token_expires_at or now + 1) > now:
            found["access_token"] = self.access_token
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this entry. It holds the secrets in plain text: for the vault's file alone.

        Raises:
            ValueError: An instant is none.
        """
        return self._to_json(Secret.reveal)

    def masked(self) -> dict[str, Any]:
        """Return the same with ``<secret>`` in place of each secret, to show a person what is held."""
        document = self._to_json(str)
        told: dict[str, Any] = {name: _masked(document[name]) for name in ("claims", "userinfo") if name in document}
        return {**document, **told}

    def _to_json(self, show: Callable[[Secret], str]) -> dict[str, Any]:
        document: dict[str, Any] = {"version": VERSION if self._is_for_any_release else _STRONGER, "kind": _KIND}
        for name in _READERS:
            value = getattr(self, name)
            if name in _LATER and not value:
                continue
            if isinstance(value, Secret):
                value = show(value)
            elif name.endswith("_at") and value is not None:
                value = format_instant(value)
            elif isinstance(value, tuple):
                value = list(value)
            elif name in ("claims", "userinfo") and value is not None:
                value = dict(value)
            document[name] = value
        return document

    @classmethod
    def from_json(cls, document: object) -> ProfileEntry:
        """Read an entry from decoded JSON that may hold anything.

        Raises:
            CorruptEntry: It is not what ``to_json`` gives; ``reason="newer_version"`` if a newer Doorward wrote it.
        """
        return cls(**read_fields(document, kind=_KIND, readers=_READERS, later=_LATER, newest=_STRONGER))


def _masked(value: Any, name: str = "") -> Any:
    """Return what a provider told without the secrets in it: some hand out tokens of other services as claims."""
    if isinstance(value, dict):
        return {name: _masked(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(member, name) for member in value]
    is_secret = isinstance(value, str) and (value.startswith(_JWT) or any(word in name.lower() for word in _SECRET))
    return _HIDDEN if is_secret else value


def _profile(value: object) -> str:
    profile = text(value)
    profile_file(profile)
    return profile


def _method(value: object) -> str:
    if value not in _METHODS:
        raise ValueError
    return text(value)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _claims(value: object) -> dict[str, Any]:
    value = _object(value)
    text(value.get("iss"))
    text(value.get("sub"))
    return value


_READERS: dict[str, Callable[[object], Any]] = {
    "profile": _profile,
    "issuer": text,
    "client_id": text,
    "client_authentication": _method,
    "created_at": instant,
    "scopes": texts,
    "audience": or_none(text),
    "resource": or_none(text),
    "insecure_loopback_http": truth,
    "provider": or_none(text),
    "redirect_uri": or_none(text),
    "redirect_uri_on_refresh": truth,
    "access_token": or_none(secret),
    "access_token_issued_at": or_none(instant),
    "access_token_expires_at": or_none(instant),
    "granted_scopes": or_none(texts),
    "id_token": or_none(secret),
    "id_token_issued_at": or_none(instant),
    "id_token_expires_at": or_none(instant),
    "id_token_renewable": truth,
    "nonce": or_none(secret),
    "claims": or_none(_claims),
    "refresh_token": or_none(secret),
    "refreshed_at": or_none(instant),
    "ended_at": or_none(instant),
    "ended_reason": or_none(text),
    "retry_at": or_none(instant),
    "failures": count,
    "known_audiences": texts,
    "userinfo": or_none(_object),
    "dpop_key": or_none(secret),
    "dpop_alg": or_none(text),
    "client_key_name": or_none(text),
    "client_certificate": or_none(text),
    "client_certificate_key": or_none(text),
    "security_profile": or_none(text),
}

_LATER = frozenset({"known_audiences", "provider", "redirect_uri_on_refresh", "userinfo", *_STRONGER_MEMBERS})
"""Members that files of earlier releases lack."""
