"""What the development issuer is told: its rules, its clients, its users. Values only, and the checks on them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from doorward.protocol.token_exchange import JWT_BEARER, TOKEN_EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import Secret

__all__ = [
    "DEVICE_CODE_GRANT",
    "GRANT_TYPES",
    "AuthenticationMethod",
    "Client",
    "Platform",
    "RedirectRule",
    "RefreshTokenError",
    "Rules",
    "User",
    "is_loopback_host",
    "usual_methods",
]

RedirectRule = Literal["any_loopback", "any_port_ip", "any_port_localhost", "exact"]
AuthenticationMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]

RefreshTokenError = Literal["invalid_grant", "invalid_request", "interaction_required", "server_error"]

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = (
    "authorization_code",
    "refresh_token",
    "client_credentials",
    DEVICE_CODE_GRANT,
    TOKEN_EXCHANGE,
    JWT_BEARER,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How the issuer behaves while it is honest. Change them at any time with ``DevIssuer.change(...)``.

    Attributes:
        signing_algorithm: signs ID tokens of clients that asked for no other, and JWT access tokens.
        access_token_format: ``at+jwt`` (RFC 9068), ``jwt`` (``typ`` JWT), ``untyped`` (no ``typ``) or
            ``opaque``.
        access_token_lifetime_s: seconds until an access token expires.
        id_token_lifetime_s: seconds until an ID token expires.
        refresh_token_lifetime_s: seconds until a refresh token expires, counted from its own birth.
        code_lifetime_s: seconds until an authorization code expires.
        device_code_lifetime_s: seconds until a device code expires.
        device_interval_s: seconds that a device has to leave between two polls.
        device_pending_polls: in automatic mode, how many polls are answered ``authorization_pending`` first.
        default_audience: ``aud`` of access tokens for which none was asked; None means the issuer itself.
        refresh_tokens: who gets one: ``by_scope`` (offline_access), ``by_parameter`` (access_type=offline), ``always``
            or ``never``.
        rotation: ``rotate`` (a used one that comes again revokes its family), ``old_stays_valid``, or ``same``.
        rotation_grace_s: for how long ``rotate`` still takes a used one.
        dead_refresh_token_error: how a refresh token that is no longer good is refused; ``server_error`` is a 500.
        refresh_kills_access_token: a refresh ends the access token it replaces.
        refresh_needs_redirect_uri: a refresh must repeat the redirect URI.
        refresh_gives_id_token: a refresh with the scope openid brings a new ID token.
        refresh_repeats_nonce: that ID token carries the first nonce.
        allowed_scopes: others end in ``invalid_scope``; None allows all.
        ignored_scopes: left out of what is granted.
        offline_access_needs_consent: without ``prompt=consent``, ``offline_access`` is left out of what is granted.
        prompts: the values of ``prompt`` that are taken; others end in ``invalid_request``.
        pkce_required: also for clients with a secret; public ones always need it.
        user_claims_in_id_token: e-mail, profile and groups in the ID token and not only at the userinfo endpoint.
        logout_redirect_parameter: what the end_session endpoint calls the address to go to afterwards.
        jwks_max_age_s: ``Cache-Control`` of the key set.
        pushed_requests: whether the metadata offers to take them (RFC 9126); ``required`` takes no others.
        pushed_lifetime_s: seconds until a pushed request expires.
        dpop: whether the metadata offers to bind tokens to a key (RFC 9449); ``required`` gives no others.
        dpop_nonces: a proof has to hold the nonce that the issuer gave last.
        openid: it is an OpenID provider. Otherwise it publishes RFC 8414 metadata alone, and gives no ID token.
    """

    signing_algorithm: str = "RS256"
    access_token_format: Literal["at+jwt", "jwt", "untyped", "opaque"] = "at+jwt"  # noqa: S105 - a format
    access_token_lifetime_s: int = 3600
    id_token_lifetime_s: int = 3600
    refresh_token_lifetime_s: int = 30 * 86400
    code_lifetime_s: int = 60
    device_code_lifetime_s: int = 600
    device_interval_s: int = 5
    device_pending_polls: int = 1
    default_audience: str | None = None
    refresh_tokens: Literal["by_scope", "by_parameter", "always", "never"] = "by_scope"
    rotation: Literal["rotate", "old_stays_valid", "same"] = "rotate"
    rotation_grace_s: int = 0
    dead_refresh_token_error: RefreshTokenError = "invalid_grant"  # noqa: S105 - an error code
    refresh_kills_access_token: bool = False
    refresh_needs_redirect_uri: bool = False
    refresh_gives_id_token: bool = True
    refresh_repeats_nonce: bool = False
    allowed_scopes: tuple[str, ...] | None = None
    ignored_scopes: tuple[str, ...] = ()
    offline_access_needs_consent: bool = False
    prompts: tuple[str, ...] = ("none", "login", "consent", "select_account")
    pkce_required: bool = True
    user_claims_in_id_token: bool = True
    logout_redirect_parameter: str = "post_logout_redirect_uri"
    jwks_max_age_s: int = 300
    pushed_requests: Literal["not_offered", "offered", "required"] = "not_offered"
    pushed_lifetime_s: int = 60
    dpop: Literal["not_offered", "offered", "required"] = "not_offered"
    dpop_nonces: bool = False
    openid: bool = True


@dataclass(frozen=True, slots=True)
class User:
    """A person who can sign in. ``claims`` are added to what the scopes allow, and win over it."""

    name: str
    subject: str
    email: str | None = None
    email_verified: bool = True
    full_name: str | None = None
    groups: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)

    def claims_for(self, scopes: frozenset[str]) -> dict[str, Any]:
        """Return the claims that these scopes release (OIDC Core section 5.4)."""
        claims: dict[str, Any] = {}
        if "profile" in scopes:
            claims |= {"preferred_username": self.name, "name": self.full_name or self.name}
        if "email" in scopes and self.email is not None:
            claims |= {"email": self.email, "email_verified": self.email_verified}
        if scopes & {"profile", "groups"} and self.groups:
            claims["groups"] = list(self.groups)
        return claims | dict(self.claims)


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a client runs, and what its tokens there must say: another issuer, which signs with ``jwks``.

    ``audience`` is whom they are for; left out, this issuer.
    """

    issuer: str
    subject: str
    jwks: bytes
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client (RFC 7591 terms). ``jwks`` is the JWK Set that its assertions are verified with.

    ``platform`` may prove it as well, by a token in place of an assertion.
    """

    client_id: str
    secret: Secret | None = None
    methods: tuple[AuthenticationMethod, ...] = ("none",)
    redirect_uris: tuple[str, ...] = ()
    redirect_rule: RedirectRule = "any_loopback"
    grant_types: tuple[str, ...] = GRANT_TYPES
    jwks: bytes | None = None
    id_token_signed_response_alg: str | None = None
    platform: Platform | None = None

    @property
    def public(self) -> bool:
        """Whether the client can't keep a secret."""
        return self.methods == ("none",)

    def allows_redirect(self, uri: str) -> bool:
        """Say whether this client may send the browser to ``uri`` (RFC 8252 section 7.3, or stricter)."""
        if self.redirect_rule == "any_loopback":
            return _is_loopback_http(uri)
        if uri in self.redirect_uris:
            return True
        return any(self._same_but_for_port(registered, uri) for registered in self.redirect_uris)

    def _same_but_for_port(self, registered: str, uri: str) -> bool:
        if self.redirect_rule == "exact" or not _is_loopback_http(uri):
            return False
        if (_hostname(uri) == "localhost") != (self.redirect_rule == "any_port_localhost"):
            return False
        return _without_port(registered) == _without_port(uri)


def usual_methods(
    secret: str | None, jwks: bytes | None, platform: Platform | None
) -> tuple[AuthenticationMethod, ...]:
    """Return the methods of a client that was not held to others."""
    if platform is not None:
        return ("none", "private_key_jwt")
    if jwks is not None:
        return ("private_key_jwt",)
    return ("none",) if secret is None else ("client_secret_basic", "client_secret_post")


def is_loopback_host(host: str) -> bool:
    """Say whether a host name or literal address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_loopback_http(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return False
    plain = parts.username is None and "#" not in uri and "\\" not in uri and uri.isprintable() and " " not in uri
    return plain and parts.scheme in {"http", "https"} and is_loopback_host(parts.hostname or "")


def _hostname(uri: str) -> str:
    return urlsplit(uri).hostname or ""


def _without_port(uri: str) -> tuple[str, str, str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname or "", parts.path, parts.query
