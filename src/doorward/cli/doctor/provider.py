"""What can be wrong between here and the provider, and what the provider offers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from doorward.cli.doctor.finding import failed, from_error, ok, warning
from doorward.cli.view import duration_in_words
from doorward.errors import ConfigurationError, printable
from doorward.http.certificate import look_at_certificate
from doorward.http.target import check_target, choose_proxy
from doorward.http.trust import trust_context
from doorward.model import HttpRequest
from doorward.protocol.reading.responses import clock_skew_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from doorward.cli.doctor.finding import Finding
    from doorward.cli.doctor.subject import Subject

__all__ = ["clock", "discovery", "offers", "offers_of", "proxy", "tls"]

_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_PLAIN_PROXIES = ("http_proxy", "HTTP_PROXY")
_LEEWAY_S = 30.0
_FAR_AHEAD_S = 300.0


def proxy(subject: Subject) -> Iterator[Finding]:
    """Which proxy counts for the provider, or for https if none is named."""
    url = subject.issuer if subject.by_https and subject.issuer else "https://id.example.org"
    try:
        chosen = choose_proxy(check_target(HttpRequest("GET", url, "it"), insecure_loopback_http=False), os.environ)
    except ConfigurationError as error:
        yield from_error(error)
        return
    named = [name for name in _PROXIES if os.environ.get(name)]
    plain = [name for name in _PLAIN_PROXIES if os.environ.get(name)]
    if chosen is not None:
        where = f"{printable(chosen.host)}:{chosen.port}"
        yield ok("proxy", f"Providers are asked through the proxy {where}, which {chosen.variable} names.")
    elif named:
        yield ok("proxy_not_for_it", f"{named[0]} is set. It does not count for this host, by NO_PROXY or as loopback.")
    elif plain:
        yield warning(
            "proxy_for_http_only",
            f"{plain[0]} is set, and HTTPS_PROXY is not. Providers are asked by https, so no proxy is used. If one is "
            "needed, set HTTPS_PROXY.",
        )
    else:
        yield ok("no_proxy", "No proxy is set (HTTPS_PROXY, ALL_PROXY). Providers are asked directly.")


def tls(subject: Subject) -> Iterator[Finding]:
    """Whether the provider's certificate is accepted here, and who issued it."""
    try:
        trust_context()
    except ConfigurationError as error:
        yield from_error(error)
        return
    if subject.asked is None or subject.issuer is None:
        return
    refused = subject.asked.error.reason if subject.asked.error is not None else ""
    if subject.asked.answer is None and refused not in ("tls_certificate", "tls_failed"):
        return  # nothing answered
    if not subject.by_https:
        yield ok("loopback_http", "Plain http to this computer, for development. login takes it only when told to.")
        return
    shown, host = look_at_certificate(subject.issuer), printable(urlsplit(subject.issuer).hostname or "")
    said = f"{host} shows no certificate that can be read."
    if shown is not None:
        said = f"{host} shows a certificate for {shown.subject}, issued by {shown.issuer}, good until {shown.until}."
    if subject.asked.answer is not None:
        yield ok("tls", f"{said} It is accepted here.")
    elif refused == "tls_certificate":
        yield failed(
            "tls_certificate",
            f"{said} It is not accepted here. If that issuer is a CA of your own or your firewall's, put its "
            "certificate in a file, and name the file in SSL_CERT_FILE.",
        )
    else:
        yield failed("tls_failed", f"{said} TLS 1.2 or later could not be agreed on. Check the address and its port.")


def discovery(subject: Subject) -> Iterator[Finding]:
    """Whether the provider says what it offers."""
    if subject.asked is None:
        yield warning(
            "no_provider", "No provider was asked. Name one: doorward doctor ISSUER, or --profile NAME of yours."
        )
    elif subject.asked.error is not None:
        yield from_error(subject.asked.error)
    else:
        yield ok("metadata", f"{printable(subject.issuer or '')} answers, and says what it offers.")


def clock(subject: Subject) -> Iterator[Finding]:
    """Whether this computer's clock agrees with the provider's, by the ``Date`` of its answer."""
    if subject.asked is None or subject.asked.answer is None:
        return
    answer, asked = subject.asked.answer, subject.asked
    skew_s = clock_skew_s(answer, now=asked.answered_at)
    if skew_s is None:
        yield ok("clock_unknown", "The provider does not say what time it has.")
        return
    age = answer.headers.get("age", "")
    skew_s -= int(age) if age.isascii() and age.isdecimal() else 0  # a cache's answer, made that long ago
    travel_s = asked.answered_at - asked.asked_at
    apart = duration_in_words(abs(skew_s))
    if skew_s < -_LEEWAY_S:
        yield failed(
            "clock_behind",
            f"This computer's clock is {apart} behind the provider's. Its tokens seem to come from the future, and "
            "sign-ins fail. Set the clock, and have it kept by NTP.",
        )
    elif skew_s > _LEEWAY_S + travel_s:
        told = failed if skew_s > _FAR_AHEAD_S else warning
        yield told(
            "clock_ahead",
            f"This computer's clock is {apart} ahead of the provider's. Tokens seem to end early, or to have ended. "
            "Set the clock, and have it kept by NTP.",
        )
    else:
        yield ok("clock", "This computer's clock agrees with the provider's.")


_OFFERS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], bool]]] = {
    "pkce": ("PKCE", lambda said: "S256" in _texts(said, "code_challenge_methods_supported")),
    "refresh_tokens": (
        "refresh tokens",
        lambda said: (
            "refresh_token" in _texts(said, "grant_types_supported")
            or "offline_access" in _texts(said, "scopes_supported")
        ),
    ),
    "device_codes": ("device codes", lambda said: "device_authorization_endpoint" in said),
    "par": ("PAR", lambda said: "pushed_authorization_request_endpoint" in said),
    "dpop": ("DPoP", lambda said: bool(_texts(said, "dpop_signing_alg_values_supported"))),
    "revocation": ("revocation", lambda said: "revocation_endpoint" in said),
    "logout": ("logout", lambda said: "end_session_endpoint" in said),
}


def offers_of(subject: Subject) -> dict[str, bool] | None:
    """Return what the provider says that it offers, by stable names; None if it says nothing."""
    said = subject.asked.metadata if subject.asked is not None else {}
    return {name: is_offered(said) for name, (_, is_offered) in _OFFERS.items()} if said else None


def offers(subject: Subject) -> Iterator[Finding]:
    """What the provider says that it offers."""
    offered = offers_of(subject)
    if subject.asked is None or offered is None:
        return
    named = ", ".join(_OFFERS[name][0] for name, is_offered in offered.items() if is_offered)
    missing = ", ".join(_OFFERS[name][0] for name, is_offered in offered.items() if not is_offered)
    said = f"The provider names: {named or 'nothing'}. It does not name: {missing or 'nothing'}."
    metadata = subject.asked.metadata
    if metadata.get("code_challenge_methods_supported") and not offered["pkce"]:
        yield warning("pkce_without_s256", f"{said} Doorward sends PKCE by S256. Ask the provider to take it.")
    elif metadata.get("grant_types_supported") and not offered["refresh_tokens"]:
        yield warning("no_refresh_tokens", f"{said} Without refresh tokens a session ends with its first token.")
    else:
        yield ok("offers", said)


def _texts(said: Mapping[str, Any], name: str) -> list[Any]:
    value = said.get(name)
    return value if isinstance(value, list) else []
