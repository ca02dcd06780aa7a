"""Whose tokens are trusted, and for what: ``Issuer``, a setting that is checked when it is made.

No keys are fetched here and no token is read: see ``key_rings`` and ``claim_rules``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, InvalidResponse, printable
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, JwkSet, parse_jwk_set
from doorward.protocol.metadata import check_issuer_url
from doorward.protocol.reading.strict_json import dumps_object
from doorward.protocol.reading.urls import FLAWS, url_flaw

__all__ = ["DEFAULT_ALGORITHMS", "PROFILES", "Issuer", "TokenType"]

TokenType: TypeAlias = Literal["any", "access", "id"]

DEFAULT_ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
"""The others cost their verifier more, or are seldom used: a service that needs one names it."""

PROFILES: Final = frozenset({"auth0", "entra", "generic", "google", "keycloak", "okta"})
"""The habits of claims that ``policy`` knows."""

_PROFILE_OF_HOST: Final = MappingProxyType(
    {"accounts.google.com": "google", "login.microsoftonline.com": "entra", "sts.windows.net": "entra"}
)
_PROFILE_OF_DOMAIN: Final = MappingProxyType({".auth0.com": "auth0", ".okta.com": "okta", ".oktapreview.com": "okta"})
_MOST_LEEWAY_S = 300


@dataclass(frozen=True, slots=True, init=False)
class Issuer:
    """An issuer whose tokens are accepted. Two with the same settings are equal.

    Args:
        url: the issuer exactly as its tokens write it (``iss``), trailing slash and all.
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
        groups_claim: the claim that lists groups, where it is not the profile's.

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
    ) -> None:
        for name, flag in (("trust_email", trust_email), ("insecure_loopback_http", insecure_loopback_http)):
            if not isinstance(flag, bool):
                raise _wrong(name, "is True or False", "not_a_flag")
        _check_url(url, loopback_http=insecure_loopback_http)
        audiences = _texts("audiences", audiences, 'the names of this service at the issuer, such as ["api"]')
        algorithms = _algorithms(algorithms)
        if token_type not in get_args(TokenType):
            raise _wrong("token_type", 'is "any", "access" or "id"', "token_type_unknown")
        _check_seconds("leeway_s", leeway_s, 0, _MOST_LEEWAY_S)
        if max_token_age_s is not None:
            _check_seconds("max_token_age_s", max_token_age_s, 1, None)
        if profile is not None and profile not in PROFILES:
            raise _wrong("profile", f"is one of {', '.join(sorted(PROFILES))}", "profile_unknown")
        if groups_claim is not None and not _is_text(groups_claim):
            raise _wrong("groups_claim", "is the name of a claim", "groups_claim")
        if jwks_url is not None:
            _check_jwks_url(jwks_url, loopback_http=insecure_loopback_http, given_too=jwks is not None)
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
            "static_keys": None if jwks is None else _read_keys(jwks, algorithms),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _wrong(field: str, is_what: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{field} {is_what}. Correct it.", field=field, reason=reason)


def _check_url(url: str, *, loopback_http: bool) -> None:
    try:
        check_issuer_url(url, insecure_loopback_http=loopback_http)
    except ConfigurationError as error:
        raise ConfigurationError(error.message, field="url", reason=error.reason) from None


def _check_jwks_url(url: str, *, loopback_http: bool, given_too: bool) -> None:
    if given_too:
        message = "jwks holds the keys and jwks_url says where they are: give one of the two."
        raise ConfigurationError(message, field="jwks_url", reason="keys_given_twice")
    flaw = url_flaw(url, loopback_http=loopback_http, query=True)
    if flaw:
        message = f"jwks_url {FLAWS[flaw]}. Give the https address of the issuer's JWK Set."
        raise ConfigurationError(message, field="jwks_url", reason=flaw)


def _check_seconds(field: str, value: object, least: int, most: int | None) -> None:
    if type(value) is int and least <= value and (most is None or value <= most):
        return
    reach = f"of {least} or more" if most is None else f"from {least} to {most}"
    raise _wrong(field, f"is a whole number of seconds {reach}, not {printable(repr(value))}", "seconds_out_of_range")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value) and value == value.strip()


def _texts(field: str, values: Collection[str], what: str) -> frozenset[str]:
    """Take a collection of names. A single string is one too, of its letters, which nobody means."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Collection):
        raise _wrong(field, f"is a list: {what}", "not_a_list")
    if not values:
        raise _wrong(field, f"is empty, so no token could be accepted: give {what}", "empty")
    if not all(map(_is_text, values)):
        raise _wrong(field, "holds something that is not a name, or has blanks around it", "not_a_name")
    return frozenset(values)


def _algorithms(values: Collection[str]) -> frozenset[str]:
    known = ", ".join(sorted(ASYMMETRIC_ALGORITHMS))
    if values is DEFAULT_ALGORITHMS:  # one object for thousands of issuers
        return DEFAULT_ALGORITHMS
    algorithms = _texts("algorithms", values, f"some of {known}")
    unknown = sorted(algorithms - ASYMMETRIC_ALGORITHMS)
    if unknown:
        message = (
            f"algorithms holds {printable(unknown[0])}, which is not one of {known}. Nothing symmetric verifies here: "
            "whoever could check such a token could make one."
        )
        raise ConfigurationError(message, field="algorithms", reason="algorithm_unknown")
    return algorithms


def _read_keys(jwks: Mapping[str, Any], algorithms: frozenset[str]) -> JwkSet:
    """Read the keys that were given. A key that can't be used is a mistake here, for nobody else will mend it."""
    if not isinstance(jwks, Mapping):
        raise _wrong("jwks", 'is a JWK Set: {"keys": […]}', "not_a_mapping")
    try:
        keys = parse_jwk_set(dumps_object(dict(jwks), field="jwks"))
    except InvalidResponse as error:
        message = f"jwks is not a usable JWK Set ({error.reason}). Give it as the issuer publishes it."
        raise ConfigurationError(message, field="jwks", reason=error.reason) from None
    for kid, reason in keys.rejected.items():
        which = "without a kid" if kid is None else printable(kid)
        message = f"jwks holds a key that can't be used, {which}: {reason}. Take it out, or replace it."
        raise ConfigurationError(message, field="jwks", reason=reason)
    if not any(key.algorithms & algorithms for key in keys.keys):
        raise _wrong("jwks", "holds no key that fits any of the algorithms", "no_key_fits")
    return keys


def _profile_of(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in _PROFILE_OF_HOST:
        return _PROFILE_OF_HOST[host]
    for domain, profile in _PROFILE_OF_DOMAIN.items():
        if host.endswith(domain):
            return profile
    return "keycloak" if "/realms/" in parts.path else "generic"
