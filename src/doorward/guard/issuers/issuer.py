"""Whose tokens are trusted, and for what: ``Issuer``, a setting that is checked when it is made.

What each setting may be stands in ``checks``. No keys are fetched here and no token is read: see ``key_rings`` and
``claim_rules``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from doorward.guard.issuers import checks
from doorward.guard.issuers.checks import DEFAULT_ALGORITHMS, ENTRA_HOSTS
from doorward.guard.issuers.required_claims import read_required_claims
from doorward.guard.issuers.tenants import TENANT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.guard.issuers.required_claims import RequiredClaim, RequiredClaims
    from doorward.protocol.jwk import JwkSet

__all__ = ["DEFAULT_ALGORITHMS", "PROFILES", "Issuer", "TokenType"]

TokenType: TypeAlias = Literal["any", "access", "id"]

PROFILES: Final = frozenset({"auth0", "entra", "generic", "google", "keycloak", "okta", "spiffe"})
"""The habits of claims that ``policy`` and ``claim_rules`` know."""

_PROFILE_OF_HOST: Final = MappingProxyType(
    {"accounts.google.com": "google", "sts.windows.net": "entra"} | dict.fromkeys(ENTRA_HOSTS, "entra")
)
_PROFILE_OF_DOMAIN: Final = MappingProxyType({".auth0.com": "auth0", ".okta.com": "okta", ".oktapreview.com": "okta"})
_MOST_LEEWAY_S = 300
_NOTHING: Final[RequiredClaims] = MappingProxyType({})


@dataclass(frozen=True, slots=True, init=False)
class Issuer:
    r"""An issuer whose tokens are accepted. Two with the same settings are equal.

    Args:
        url: the issuer exactly as its tokens write it (``iss``), trailing slash and all. With ``{tenantid}`` as one
            part of its path it stands for all tenants of Entra, or for ``tenants``. Where its keys are given, any name
            will do, and ``spiffe://example.org`` is for JWT-SVIDs of that trust domain, which have no ``iss``.
        audiences: the names of this service at the issuer; a token must be meant for one of them.
        token_type: ``access`` for access tokens by RFC 9068 alone, ``id`` for ID tokens alone, ``any`` for both and for
            access tokens that stray from the profile.
        algorithms: what tokens may be signed with.
        jwks: the issuer's keys, a JWK Set, where they are given here and never fetched.
        jwks_url: where the keys are, for an issuer that publishes no metadata.
        trust_email: take its word for e-mail addresses.
        leeway_s: how far the issuer's clock may differ from ours, 0 to 300.
        max_token_age_s: how old a token may be, by its ``iat``.
        insecure_loopback_http: allow http for loopback addresses, for development.
        profile: whose habits its claims follow, one of ``PROFILES``; without it, whose the host or path show.
        groups_claim: the claim that lists groups, where it is not ``groups``: a name, or a path such as
            ``realm_access.roles``. A dot that is part of a name is written ``\.``.
        scope_claims: the claims whose words are scopes, all of them, where it is not ``scope``, or else ``scp``: names
            and paths, such as ``permissions``, ``roles`` or ``resource_access.api.roles``.
        audience_claim: which claim says whom a token is for that has no ``aud``, such as ``client_id`` or ``azp``.
        subject_claim: which claim says whose a token is that has no ``sub``, such as ``client_id``. Only for issuers
            where nobody can name a client as somebody else is called.
        required_claims: what a token must say besides: for each name or path a value, a list of values, or patterns, in
            which ``*`` stands for anything but ``/`` and ``:``, and ``**`` at the end for anything.
        tenants: with ``{tenantid}`` in ``url``, whose tokens are accepted; without it, those of every tenant.

    Raises:
        ConfigurationError: ``field`` names the argument.

    Source: RFC 7519, RFC 8725 sections 3.1, 3.8 and 3.9, RFC 9068.
    """

    url: str
    audiences: frozenset[str]
    token_type: TokenType
    algorithms: frozenset[str]
    jwks: Mapping[str, Any] | None = field(repr=False, compare=False)
    jwks_url: str | None
    trust_email: bool
    leeway_s: int
    max_token_age_s: int | None
    insecure_loopback_http: bool
    profile: str
    groups_claim: str | None
    scope_claims: tuple[str, ...] | None
    audience_claim: str | None
    subject_claim: str | None
    required_claims: tuple[RequiredClaim, ...]
    tenants: frozenset[str] | None
    static_keys: JwkSet | None = field(init=False, repr=False, hash=False)
    """The keys of ``jwks`` as they were when it was given, read and checked."""

    def __init__(  # noqa: PLR0913 - settings, by keyword, each with a default
        self,
        url: str,
        audiences: Collection[str],
        *,
        token_type: TokenType = "any",  # noqa: S107 - a kind of token
        algorithms: Collection[str] = DEFAULT_ALGORITHMS,
        jwks: Mapping[str, Any] | None = None,
        jwks_url: str | None = None,
        trust_email: bool = False,
        leeway_s: int = 30,
        max_token_age_s: int | None = None,
        insecure_loopback_http: bool = False,
        profile: str | None = None,
        groups_claim: str | None = None,
        scope_claims: Collection[str] | None = None,
        audience_claim: str | None = None,
        subject_claim: str | None = None,
        required_claims: RequiredClaims = _NOTHING,
        tenants: Collection[str] | None = None,
    ) -> None:
        checks.check_flag("trust_email", trust_email)
        checks.check_flag("insecure_loopback_http", insecure_loopback_http)
        keys_given = jwks is not None or jwks_url is not None
        checks.check_url(url, loopback_http=insecure_loopback_http, keys_given=keys_given)
        tenants = checks.read_tenants(url, tenants, keys_given=keys_given, trust_email=trust_email)
        audiences = checks.texts("audiences", audiences, 'the names of this service at the issuer, such as ["api"]')
        algorithms = checks.read_algorithms(algorithms)
        checks.check_one_of("token_type", token_type, get_args(TokenType), "token_type_unknown")
        checks.check_seconds("leeway_s", leeway_s, 0, _MOST_LEEWAY_S)
        if max_token_age_s is not None:
            checks.check_seconds("max_token_age_s", max_token_age_s, 1, None)
        if profile is not None:
            checks.check_one_of("profile", profile, PROFILES, "profile_unknown")
        checks.check_path("groups_claim", groups_claim)
        checks.check_path("audience_claim", audience_claim)
        checks.check_path("subject_claim", subject_claim)
        if audience_claim is not None and token_type == "id":  # noqa: S105 - a kind of token
            raise checks.wrong("audience_claim", "is not for ID tokens: each has aud", "audience_claim")
        if jwks_url is not None:
            checks.check_jwks_url(jwks_url, loopback_http=insecure_loopback_http, given_too=jwks is not None)
        values = {
            "url": url,
            "audiences": audiences,
            "token_type": token_type,
            "algorithms": algorithms,
            "jwks": jwks,
            "jwks_url": jwks_url,
            "trust_email": trust_email,
            "leeway_s": leeway_s,
            "max_token_age_s": max_token_age_s,
            "insecure_loopback_http": insecure_loopback_http,
            "profile": profile or _profile_of(url),
            "groups_claim": groups_claim,
            "scope_claims": None if scope_claims is None else checks.read_paths("scope_claims", scope_claims),
            "audience_claim": audience_claim,
            "subject_claim": subject_claim,
            "required_claims": read_required_claims(required_claims),
            "tenants": tenants,
            "static_keys": None if jwks is None else checks.read_keys(jwks, algorithms),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def asked_at(self) -> str:
        """The URL below which the issuer publishes its metadata: all tenants of a template share theirs."""
        return self.url.replace(TENANT, "common")


def _profile_of(url: str) -> str:
    if url.startswith("spiffe:"):
        return "spiffe"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in _PROFILE_OF_HOST:
        return _PROFILE_OF_HOST[host]
    for domain, profile in _PROFILE_OF_DOMAIN.items():
        if host.endswith(domain):
            return profile
    return "keycloak" if "/realms/" in parts.path else "generic"
