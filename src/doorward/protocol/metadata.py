"""Provider metadata and JWK Set: what a provider says about itself, checked before anything in it is used.

Issuers are compared character by character. The one exception is a template that the caller names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from doorward.errors import ConfigurationError, InvalidResponse, printable
from doorward.model import HttpRequest
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, JwkSet, parse_jwk_set
from doorward.protocol.reading.answers import Answer
from doorward.protocol.reading.responses import read_object
from doorward.protocol.reading.urls import FLAWS, url_flaw

if TYPE_CHECKING:
    from doorward.model import HttpResponse

__all__ = [
    "IssuerMetadata",
    "ProviderMetadata",
    "build_authorization_server_metadata_request",
    "build_jwks_request",
    "build_jwks_url_request",
    "build_metadata_request",
    "check_issuer_url",
    "issuer_matches",
    "parse_issuer_metadata_response",
    "parse_jwks_response",
    "parse_metadata_response",
]

_METADATA = "the provider's metadata"
_JWKS = "the provider's JWK Set"
_METADATA_LIMIT_BYTES = 256 * 1024
_JWKS_LIMIT_BYTES = 1024 * 1024
_TYPES_OF_PLAIN_FILES = frozenset({"", "text/plain", "application/octet-stream", "binary/octet-stream"})
"""What servers call a JWK Set that lies there as a file."""
_NOTHING_THERE = frozenset({404, 405, 410})  # not found, method not allowed, gone
_TENANT = "{tenantid}"
_TENANT_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class ProviderMetadata(msgspec.Struct, frozen=True):
    """What a provider says about itself, as far as we use it. Every URL passed the checks.

    ``issuer`` is the issuer asked for, unless a template was accepted: then it is what the metadata says, and may hold
    ``{tenantid}``. ``None`` means that the provider does not offer or does not say it.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    end_session_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    grant_types_supported: tuple[str, ...] | None = None
    id_token_signing_algorithms: frozenset[str] = frozenset({"RS256"})
    token_endpoint_auth_methods: tuple[str, ...] = ("client_secret_basic",)
    revocation_endpoint_auth_methods: tuple[str, ...] | None = None
    introspection_endpoint_auth_methods: tuple[str, ...] | None = None
    iss_parameter_supported: bool = False


class IssuerMetadata(msgspec.Struct, frozen=True):
    """What a service that only receives tokens needs to know of their issuer. Every URL passed the checks.

    An issuer of tokens for machines (a cluster, a build service) has neither an authorization nor a token endpoint; one
    of opaque tokens alone publishes no keys. ``None`` means that it does not offer or does not say it.
    """

    issuer: str
    jwks_uri: str | None = None
    introspection_endpoint: str | None = None
    introspection_endpoint_auth_methods: tuple[str, ...] | None = None


def check_issuer_url(issuer: str, *, insecure_loopback_http: bool = False) -> None:
    """Refuse an issuer that is not an https URL of host and path alone.

    Raises:
        ConfigurationError: ``field`` is ``issuer``, ``reason`` the flaw.

    Source: OIDC Discovery 1.0 section 3, RFC 8414 section 2.
    """
    flaw = url_flaw(issuer, loopback_http=insecure_loopback_http)
    if flaw:
        shown = printable(issuer) if isinstance(issuer, str) else "of the wrong type"
        if flaw in {"has_userinfo", "has_query", "bad_characters", "not_a_url"}:
            shown = "not shown here, for it may hold a password"
        meant = "https://id.example.org"
        if flaw in {"no_host", "not_https"}:
            bare = issuer.removeprefix("http://")
            if "://" not in bare and not url_flaw(f"https://{bare}", loopback_http=False):
                meant = f"https://{bare}"
        message = f"The issuer {FLAWS[flaw]}: {shown}. Give it as the provider does, such as {meant}."
        if flaw == "not_https" and not url_flaw(issuer, loopback_http=True):
            message = (
                f"The issuer {FLAWS[flaw]}: {shown}. For development on this computer, allow that with "
                "insecure_loopback_http=True (--insecure-loopback-http)."
            )
        raise ConfigurationError(message, field="issuer", reason=flaw)


def build_metadata_request(issuer: str) -> HttpRequest:
    """Ask an issuer for its metadata. One trailing slash is left out for this URL; the issuer itself keeps it.

    Source: OIDC Discovery 1.0 section 4.1.
    """
    return _metadata_request(issuer.removesuffix("/") + "/.well-known/openid-configuration")


def build_authorization_server_metadata_request(issuer: str) -> HttpRequest:
    """Ask an issuer that is no OpenID provider: the well-known part stands between host and path.

    Source: RFC 8414 section 3.1.
    """
    parts = urlsplit(issuer)
    path = "/.well-known/oauth-authorization-server" + parts.path.removesuffix("/")
    return _metadata_request(f"{parts.scheme}://{parts.netloc}{path}")


def _metadata_request(url: str) -> HttpRequest:
    return HttpRequest("GET", url, _METADATA, {"accept": "application/json"}, max_response_bytes=_METADATA_LIMIT_BYTES)


def parse_metadata_response(
    response: HttpResponse,
    *,
    issuer: str,
    now: float,
    insecure_loopback_http: bool = False,
    accepted_issuer_template: str | None = None,
) -> ProviderMetadata:
    """Check the provider's metadata.

    Args:
        response: The answer to ``build_metadata_request``.
        issuer: The issuer asked, which the metadata must name character by character.
        now: Epoch seconds, for a Retry-After date.
        insecure_loopback_http: Allow http for loopback addresses.
        accepted_issuer_template: One more issuer that is accepted, for providers known not to name the issuer asked
            (Entra, B2C): ``{tenantid}`` in it stands for itself or for a tenant's GUID.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``no_metadata``,
            ``issuer_mismatch``, ``missing_member``, ``wrong_member_type``, ``bad_endpoint``.

    Source: OIDC Discovery 1.0 sections 3 and 4.3, RFC 8414 sections 2 and 3.3, RFC 9207 section 3.
    """
    answer = _read(response, issuer=issuer, now=now, template=accepted_issuer_template)

    def endpoint(name: str) -> str | None:
        return _optional_url(answer, name, loopback_http=insecure_loopback_http)

    def required_endpoint(name: str) -> str:
        return _url(answer, name, loopback_http=insecure_loopback_http)

    algorithms = answer.texts("id_token_signing_alg_values_supported")
    return ProviderMetadata(
        issuer=answer.text("issuer"),
        authorization_endpoint=required_endpoint("authorization_endpoint"),
        token_endpoint=required_endpoint("token_endpoint"),
        jwks_uri=required_endpoint("jwks_uri"),
        device_authorization_endpoint=endpoint("device_authorization_endpoint"),
        revocation_endpoint=endpoint("revocation_endpoint"),
        introspection_endpoint=endpoint("introspection_endpoint"),
        end_session_endpoint=endpoint("end_session_endpoint"),
        userinfo_endpoint=endpoint("userinfo_endpoint"),
        scopes_supported=answer.texts("scopes_supported"),
        grant_types_supported=answer.texts("grant_types_supported"),
        id_token_signing_algorithms=ASYMMETRIC_ALGORITHMS.intersection(
            ("RS256",) if algorithms is None else algorithms
        ),
        token_endpoint_auth_methods=answer.texts("token_endpoint_auth_methods_supported") or ("client_secret_basic",),
        revocation_endpoint_auth_methods=answer.texts("revocation_endpoint_auth_methods_supported"),
        introspection_endpoint_auth_methods=answer.texts("introspection_endpoint_auth_methods_supported"),
        iss_parameter_supported=answer.flag("authorization_response_iss_parameter_supported"),
    )


def parse_issuer_metadata_response(
    response: HttpResponse, *, issuer: str, now: float, insecure_loopback_http: bool = False
) -> IssuerMetadata:
    """Check what an issuer says about itself, as far as a service that only receives its tokens must know.

    Args:
        response: The answer to ``build_metadata_request`` or ``build_authorization_server_metadata_request``.
        issuer: The issuer asked, which the metadata must name character by character.
        now: Epoch seconds, for a Retry-After date.
        insecure_loopback_http: Allow http for loopback addresses.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: As ``parse_metadata_response``.

    Source: OIDC Discovery 1.0 section 4.3, RFC 8414 section 3.3.
    """
    answer = _read(response, issuer=issuer, now=now)
    return IssuerMetadata(
        issuer=answer.text("issuer"),
        jwks_uri=_optional_url(answer, "jwks_uri", loopback_http=insecure_loopback_http),
        introspection_endpoint=_optional_url(answer, "introspection_endpoint", loopback_http=insecure_loopback_http),
        introspection_endpoint_auth_methods=answer.texts("introspection_endpoint_auth_methods_supported"),
    )


def _read(response: HttpResponse, *, issuer: str, now: float, template: str | None = None) -> Answer:
    """Return the metadata of ``issuer`` and of no other."""
    if response.status in _NOTHING_THERE:
        message = (
            f"There is no OpenID provider at {printable(issuer)} (its metadata answered {response.status}). "
            "Check the issuer, its path and its spelling."
        )
        raise InvalidResponse(message, reason="no_metadata")
    answer = Answer(_METADATA, read_object(response, purpose=_METADATA, now=now))
    named = answer.text("issuer")
    if named != issuer and not (template and _fits_template(named, template)):
        message = (
            f"The metadata is of another issuer: {printable(named)}, not {printable(issuer)}. "
            "Give the issuer exactly as the provider writes it, trailing slash and all."
        )
        raise InvalidResponse(message, reason="issuer_mismatch")
    return answer


def issuer_matches(expected: str, named: str) -> bool:
    """Compare an issuer with ``ProviderMetadata.issuer``, character by character but for ``{tenantid}`` in it."""
    return named == expected or (_TENANT in expected and _fits_template(named, expected))


def build_jwks_request(metadata: ProviderMetadata) -> HttpRequest:
    """Ask the provider for its signing keys."""
    return build_jwks_url_request(metadata.jwks_uri)


def build_jwks_url_request(url: str) -> HttpRequest:
    """Ask for the signing keys at ``url``, which was checked."""
    accept = {"accept": "application/json, application/jwk-set+json"}
    return HttpRequest("GET", url, _JWKS, accept, max_response_bytes=_JWKS_LIMIT_BYTES)


def parse_jwks_response(response: HttpResponse, *, now: float) -> JwkSet:
    """Return the provider's signing keys.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object`` and ``jwk.parse_jwk_set``.
    """
    read_object(response, purpose=_JWKS, now=now, other_types=_TYPES_OF_PLAIN_FILES)
    return parse_jwk_set(response.body)


def _fits_template(named: str, template: str) -> bool:
    pattern = re.escape(template).replace(re.escape(_TENANT), f"(?:{_TENANT_ID}|{re.escape(_TENANT)})")
    return re.fullmatch(pattern, named) is not None


def _optional_url(answer: Answer, name: str, *, loopback_http: bool) -> str | None:
    return None if answer.optional_text(name) is None else _url(answer, name, loopback_http=loopback_http)


def _url(answer: Answer, name: str, *, loopback_http: bool) -> str:
    value = answer.text(name)
    flaw = url_flaw(value, loopback_http=loopback_http, query=True)
    if flaw:
        message = f"In the provider's metadata, {name} {FLAWS[flaw]}. Tell the provider."
        raise InvalidResponse(message, reason="bad_endpoint")
    return value
