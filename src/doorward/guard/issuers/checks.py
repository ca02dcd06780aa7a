"""What an issuer's settings may be: one function for each kind, which names the setting that is wrong.

``issuer`` asks them, and keeps what they return.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, InvalidResponse, printable
from doorward.guard.issuers.tenants import TENANT
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, JwkSet, parse_jwk_set
from doorward.protocol.metadata import check_issuer_url
from doorward.protocol.reading.strict_json import dumps_object
from doorward.protocol.reading.urls import FLAWS, url_flaw

__all__ = [
    "DEFAULT_ALGORITHMS",
    "ENTRA_HOSTS",
    "check_flag",
    "check_jwks_url",
    "check_one_of",
    "check_path",
    "check_seconds",
    "check_url",
    "check_ways_to_keys",
    "is_text",
    "read_algorithms",
    "read_keys",
    "read_paths",
    "read_tenants",
    "texts",
    "wrong",
]

DEFAULT_ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
"""The others cost their verifier more, or are seldom used: a service that needs one names it."""

ENTRA_HOSTS: Final = frozenset(
    {"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}
)
"""Entra ID's, of all clouds: each tells of the keys of all its tenants under ``common``."""

_TRUST_DOMAIN: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}")
_RESERVED: Final = "urn:doorward:"  # the issuer of API keys is one of these, and no token may be of it
_LONGEST_NAME: Final = 512
_NOT_TO_ASK: Final = frozenset({"no_host", "not_https"})
_MOST_PATHS: Final = 20
_INSIDE: Final = frozenset({"internal", "local", "svc"})
_NETWORKS_INSIDE: Final = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "::1/128", "fc00::/7"))
)
"""RFC 1918, RFC 4193 and loopback. ``is_private`` holds much more."""
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def wrong(field: str, is_what: str, reason: str) -> ConfigurationError:
    """Return the error about one setting; ``is_what`` goes on from its name."""
    return ConfigurationError(f"{field} {is_what}. Correct it.", field=field, reason=reason)


def check_flag(field: str, value: object) -> None:
    """Check what is true or false."""
    if not isinstance(value, bool):
        raise wrong(field, "is True or False", "not_a_flag")


def check_one_of(field: str, value: object, known: Collection[str], reason: str) -> None:
    """Check what is one of a few words."""
    if value not in known:
        raise wrong(field, f"is one of {', '.join(sorted(known))}", reason)


def check_url(url: str, *, loopback_http: bool, keys_given: bool) -> None:
    """Check how an issuer is called.

    Where its keys are given, or where they are, nobody goes to its URL. Then it need be no more than a name:
    ``http://adfs…`` of AD FS, ``kubernetes/serviceaccount``, ``spiffe://example.org``.
    """
    try:
        check_issuer_url(
            url.replace(TENANT, "tenantid") if isinstance(url, str) else url, insecure_loopback_http=loopback_http
        )
    except ConfigurationError as error:
        is_name = keys_given and error.reason in _NOT_TO_ASK and is_text(url) and len(url) <= _LONGEST_NAME
        if not is_name or url.lower().startswith(_RESERVED):
            raise ConfigurationError(error.message, field="url", reason=error.reason) from None
    if url.startswith("spiffe:") and not _TRUST_DOMAIN.fullmatch(url):
        message = "url is no trust domain of SPIFFE: write spiffe://example.org, in small letters and without a path."
        raise ConfigurationError(message, field="url", reason="trust_domain_malformed")


def read_tenants(
    url: str, tenants: Collection[str] | None, *, keys_given: bool, trust_email: bool
) -> frozenset[str] | None:
    """Take the tenants of an issuer whose URL is a template, if it is one."""
    if TENANT not in url:
        if tenants is not None:
            raise wrong("tenants", f"needs an issuer with {TENANT} in its URL", "no_template")
        return None
    before, _, after = url.partition(TENANT)
    if not before.endswith("/") or after[:1] not in {"", "/"} or TENANT in after:
        message = (
            f"url must have {TENANT} once, as one part of its path: https://login.microsoftonline.com/{TENANT}/v2.0."
        )
        raise ConfigurationError(message, field="url", reason="template_malformed")
    if not keys_given and urlsplit(url).hostname not in ENTRA_HOSTS:
        message = f"url has {TENANT} in it, and nobody knows where such an issuer tells of its keys: give jwks_url."
        raise ConfigurationError(message, field="url", reason="template_without_keys")
    if tenants is not None:
        return texts("tenants", tenants, "the IDs of the tenants that are accepted")
    if trust_email:
        message = "trust_email believes every tenant, and each can write any address: list the tenants."
        raise ConfigurationError(message, field="trust_email", reason="every_tenant_trusted")
    return None


def check_jwks_url(url: str, *, loopback_http: bool, inside_http: bool, given_too: bool) -> None:
    """Check where an issuer's keys are said to be. ``inside_http``: http will do, to a host of a network inside."""
    if given_too:
        message = "jwks holds the keys and jwks_url says where they are: give one of the two."
        raise ConfigurationError(message, field="jwks_url", reason="keys_given_twice")
    flaw = url_flaw(url, loopback_http=loopback_http, query=True)
    if flaw == "not_https" and inside_http and url.startswith("http://"):
        if not _is_inside(urlsplit(url).hostname or ""):
            message = (
                "jwks_url goes by http to a host that may be anywhere. insecure_jwks_http is for private addresses, "
                "names without a dot, and those that end in .internal, .local, .svc or .home.arpa. Use https."
            )
            raise ConfigurationError(message, field="jwks_url", reason="not_inside")
        flaw = url_flaw(f"https{url.removeprefix('http')}", loopback_http=False, query=True)
    if flaw:
        message = f"jwks_url {FLAWS[flaw]}. Give the https address of the issuer's JWK Set."
        raise ConfigurationError(message, field="jwks_url", reason=flaw)


def check_ways_to_keys(
    *, token_file: str | None, ca_file: str | None, inside_http: bool, jwks_url: str | None, fetched: bool
) -> None:
    """Check with what an issuer's keys are asked for."""
    for field, file in (("jwks_token_file", token_file), ("jwks_ca_file", ca_file)):
        if file is not None and not is_text(file):
            raise wrong(field, "is the path of a file", "not_a_path")
        if file is not None and not fetched:
            raise wrong(field, "is of no use: the keys are given in jwks, and never fetched", "keys_not_fetched")
    if not inside_http:
        return
    if jwks_url is None:
        raise wrong("insecure_jwks_http", "needs jwks_url, the one address that it is for", "jwks_url_missing")
    if token_file is not None:
        message = "jwks_token_file would go over the network in plain text: with a token, jwks_url is https."
        raise ConfigurationError(message, field="jwks_token_file", reason="token_in_plain_text")


def _is_inside(host: str) -> bool:
    """Say whether a host can only be of a network inside, by its name or address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # resolvers read numbers, in any base, as addresses
        labels = host.split(".")
        if not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
            return False
        return len(labels) == 1 or labels[-1] in _INSIDE or host.endswith(".home.arpa")
    return any(address in network for network in _NETWORKS_INSIDE)


def check_path(field: str, value: object) -> None:
    """Check the name of a claim, or the path to one, if there is any."""
    if value is not None and not _is_path(value):
        raise wrong(field, "is the name of a claim, or a path such as realm_access.roles", field)


def _is_path(value: object) -> bool:
    return is_text(value) and (":" in str(value) or "" not in str(value).split("."))


def check_seconds(field: str, value: object, least: int, most: int | None) -> None:
    """Check a whole number of seconds."""
    if type(value) is int and least <= value and (most is None or value <= most):
        return
    reach = f"of {least} or more" if most is None else f"from {least} to {most}"
    raise wrong(field, f"is a whole number of seconds {reach}, not {printable(repr(value))}", "seconds_out_of_range")


def read_paths(field: str, values: Collection[str]) -> tuple[str, ...]:
    """Take names of claims and paths to them, in their order."""
    texts(field, values, 'claims that hold scopes, such as ["scope", "permissions"]')
    if len(values) > _MOST_PATHS:
        raise wrong(field, f"holds more than {_MOST_PATHS} claims", "too_many")
    for value in values:
        check_path(field, value)
    return tuple(values)


def is_text(value: object) -> bool:
    """Say whether a value is a text with content, and without blanks around it."""
    return isinstance(value, str) and value.isprintable() and bool(value) and value == value.strip()


def texts(field: str, values: Collection[str], what: str) -> frozenset[str]:
    """Take a collection of names. A single string is one too, of its letters, which nobody means."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Collection):
        raise wrong(field, f"is a list: {what}", "not_a_list")
    if not values:
        raise wrong(field, f"is empty, so no token could be accepted: give {what}", "empty")
    if not all(map(is_text, values)):
        raise wrong(field, "holds something that is not a name, or has blanks around it", "not_a_name")
    return frozenset(values)


def read_algorithms(values: Collection[str]) -> frozenset[str]:
    """Take the names of signature algorithms."""
    known = ", ".join(sorted(ASYMMETRIC_ALGORITHMS))
    if values is DEFAULT_ALGORITHMS:  # one object for thousands of issuers
        return DEFAULT_ALGORITHMS
    algorithms = texts("algorithms", values, f"some of {known}")
    unknown = sorted(algorithms - ASYMMETRIC_ALGORITHMS)
    if unknown:
        message = (
            f"algorithms holds {printable(unknown[0])}, which is not one of {known}. Nothing symmetric verifies here: "
            "whoever could check such a token could make one."
        )
        raise ConfigurationError(message, field="algorithms", reason="algorithm_unknown")
    return algorithms


def read_keys(jwks: Mapping[str, Any], algorithms: frozenset[str]) -> JwkSet:
    """Read the keys that were given. A key that can't be used is a mistake here, for nobody else will mend it."""
    if not isinstance(jwks, Mapping):
        raise wrong("jwks", 'is a JWK Set: {"keys": […]}', "not_a_mapping")
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
        raise wrong("jwks", "holds no key that fits any of the algorithms", "no_key_fits")
    return keys
