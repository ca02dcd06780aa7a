"""Provider metadata and JWK Set: what a provider says about itself, checked before anything in it is used.

Issuers are compared character by character. The one exception is a template that the caller names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations when help() asks for a signature
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
    from collections.abc import Iterable

    from doorward.model import HttpResponse

__all__ = [
    "IssuerMetadata",
    "ProviderMetadata",
    "build_jwks_request",
    "build_jwks_url_request",
    "build_metadata_requests",
    "check_issuer_url",
    "issuer_matches",
    "leads_on",
    "parse_issuer_metadata_response",
    "parse_jwks_response",
    "parse_metadata_response",
]

_METADATA = "the provider's metadata"
_JWKS = "the provider's JWK Set"
_REFUSED = 4  # hundred and anything
_METADATA_LIMIT_BYTES = 256 * 1024
_JWKS_LIMIT_BYTES = 1024 * 1024
_TYPES_OF_PLAIN_FILES = frozenset({"", "text/plain", "application/octet-stream", "binary/octet-stream"})
"""What servers call a JWK Set that lies there as a file."""
_NOTHING_THERE = frozenset({404, 405, 410})  # not found, method not allowed, gone
_OPENID = "/.well-known/openid-configuration"
_OAUTH = "/.well-known/oauth-authorization-server"
_ENDPOINTS = (
    *("authorization_endpoint", "token_endpoint", "jwks_uri", "device_authorization_endpoint"),
    *("revocation_endpoint", "introspection_endpoint", "end_session_endpoint", "userinfo_endpoint"),
    "pushed_authorization_request_endpoint",
)
_OF_OPENID = frozenset({"id_token_signing_alg_values_supported", "subject_types_supported"})
"""What OpenID Connect Discovery asks for and RFC 8414 does not know."""
_TENANT = "{tenantid}"
_TENANT_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class ProviderMetadata(msgspec.Struct, frozen=True):
    """What a provider says about itself, as far as we use it. Every URL passed the checks.

    ``issuer`` is the issuer asked for, unless a template was accepted: then it is what the metadata says, and may hold
    ``{tenantid}``. ``None`` means that the provider does not offer or does not say it, or that the URL it gives failed
    the checks: ``flaws`` then says why. Who can't do without asks ``need``.
    """

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    end_session_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    push_required: bool = False
    certificate_bound_tokens: bool = False
    certificate_endpoints: Mapping[str, str] = {}
    """Where clients go that have a certificate for TLS, if elsewhere (RFC 8705 section 5)."""
    challenge_methods: tuple[str, ...] | None = None
    proof_algorithms: tuple[str, ...] | None = None
    """What it takes DPoP proofs by; None if it knows nothing of them."""
    scopes_supported: tuple[str, ...] | None = None
    grant_types_supported: tuple[str, ...] | None = None
    id_token_signing_algorithms: frozenset[str] = frozenset({"RS256"})
    token_endpoint_auth_methods: tuple[str, ...] = ("client_secret_basic",)
    revocation_endpoint_auth_methods: tuple[str, ...] | None = None
    introspection_endpoint_auth_methods: tuple[str, ...] | None = None
    iss_parameter_supported: bool = False
    openid: bool = True
    """It speaks OpenID Connect: who signs in there can be known. Others give access tokens and nothing else."""
    flaws: Mapping[str, str] = {}

    def by_certificate(self) -> ProviderMetadata:
        """Return the same for a client that has a certificate for TLS."""
        return msgspec.structs.replace(self, **self.certificate_endpoints)

    def need(self, name: str) -> str:
        """Return an endpoint that there must be.

        Raises:
            InvalidResponse: ``missing_member``, or ``bad_endpoint`` where the one given can't be used.
        """
        return _needed(self, name)


class IssuerMetadata(msgspec.Struct, frozen=True):
    """What a service that only receives tokens needs to know of their issuer. Every URL passed the checks.

    An issuer of tokens for machines (a cluster, a build service) has neither an authorization nor a token endpoint; one
    of opaque tokens alone publishes no keys. ``None`` and ``need`` are as with ``ProviderMetadata``.
    """

    issuer: str
    jwks_uri: str | None = None
    introspection_endpoint: str | None = None
    introspection_endpoint_auth_methods: tuple[str, ...] | None = None
    flaws: Mapping[str, str] = {}

    def need(self, name: str) -> str:
        """Return an endpoint that there must be. Raises as ``ProviderMetadata.need``."""
        return _needed(self, name)


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


def build_metadata_requests(issuer: str) -> tuple[HttpRequest, ...]:
    """Ask an issuer for its metadata, wherever it may publish it: the next one is asked where an answer ``leads_on``.

    The place of OpenID providers comes first. Then RFC 8414's, where the well-known part stands between host and path;
    and where there is a path, the same two the other way round (Databricks, some servers for MCP). One trailing slash
    is left out of these URLs; the issuer itself keeps it.

    Source: OIDC Discovery 1.0 section 4.1, RFC 8414 sections 3.1 and 5.
    """
    parts = urlsplit(issuer)
    host, path = f"{parts.scheme}://{parts.netloc}", parts.path.removesuffix("/")
    places = (path + _OPENID, _OAUTH + path, path + _OAUTH, _OPENID + path)
    accept = {"accept": "application/json"}
    return tuple(
        HttpRequest("GET", host + place, _METADATA, accept, max_response_bytes=_METADATA_LIMIT_BYTES)
        for place in dict.fromkeys(places)
    )


def leads_on(response: HttpResponse) -> bool:
    """Say whether the metadata may be at the next place: this one has none, or refuses. Anything else is an answer."""
    return response.status // 100 == _REFUSED


def parse_metadata_response(  # noqa: PLR0913 - keyword-only
    response: HttpResponse,
    *,
    issuer: str,
    now: float,
    insecure_loopback_http: bool = False,
    accepted_issuer_template: str | None = None,
    openid: bool = True,
) -> ProviderMetadata:
    """Check the provider's metadata.

    Args:
        response: The answer to one of ``build_metadata_requests``.
        issuer: The issuer asked, which the metadata must name character by character.
        now: Epoch seconds, for a Retry-After date.
        insecure_loopback_http: Allow http for loopback addresses.
        accepted_issuer_template: One more issuer that is accepted, for providers known not to name the issuer asked
            (Entra, B2C): ``{tenantid}`` in it stands for itself or for a tenant's GUID.
        openid: It comes from where OpenID providers publish it. Elsewhere only what it says shows that it is one.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``no_metadata``,
            ``issuer_mismatch``, ``wrong_member_type``; ``missing_member`` and ``bad_endpoint`` of the token endpoint.

    Source: OIDC Discovery 1.0 sections 3 and 4.3, RFC 8414 sections 2 and 3.3, RFC 9126 section 5, RFC 9207 section 3,
        RFC 9449 section 5.1.
    """
    answer = _read(response, issuer=issuer, now=now, template=accepted_issuer_template)
    endpoints, flaws = _endpoints(answer, _ENDPOINTS, loopback_http=insecure_loopback_http)
    scopes = answer.texts("scopes_supported")
    algorithms = answer.texts("id_token_signing_alg_values_supported")
    metadata = ProviderMetadata(
        issuer=answer.text("issuer"),
        **endpoints,
        flaws=flaws,
        certificate_bound_tokens=answer.flag("tls_client_certificate_bound_access_tokens"),
        certificate_endpoints=_certificate_endpoints(answer, loopback_http=insecure_loopback_http),
        challenge_methods=answer.texts("code_challenge_methods_supported"),
        proof_algorithms=answer.texts("dpop_signing_alg_values_supported"),
        push_required=answer.flag("require_pushed_authorization_requests"),
        scopes_supported=scopes,
        grant_types_supported=answer.texts("grant_types_supported"),
        id_token_signing_algorithms=ASYMMETRIC_ALGORITHMS.intersection(
            ("RS256",) if algorithms is None else algorithms
        ),
        token_endpoint_auth_methods=answer.texts("token_endpoint_auth_methods_supported") or ("client_secret_basic",),
        revocation_endpoint_auth_methods=answer.texts("revocation_endpoint_auth_methods_supported"),
        introspection_endpoint_auth_methods=answer.texts("introspection_endpoint_auth_methods_supported"),
        iss_parameter_supported=answer.flag("authorization_response_iss_parameter_supported"),
        openid=openid or not _OF_OPENID.isdisjoint(answer.body) or "openid" in (scopes or ()),
    )
    metadata.need("token_endpoint")  # nothing goes without
    return metadata


def parse_issuer_metadata_response(
    response: HttpResponse, *, issuer: str, now: float, insecure_loopback_http: bool = False
) -> IssuerMetadata:
    """Check what an issuer says about itself, as far as a service that only receives its tokens must know.

    Args:
        response: The answer to one of ``build_metadata_requests``.
        issuer: The issuer asked, which the metadata must name character by character.
        now: Epoch seconds, for a Retry-After date.
        insecure_loopback_http: Allow http for loopback addresses.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: As ``parse_metadata_response``.

    Source: OIDC Discovery 1.0 section 4.3, RFC 8414 section 3.3.
    """
    answer = _read(response, issuer=issuer, now=now)
    names = ("jwks_uri", "introspection_endpoint")
    endpoints, flaws = _endpoints(answer, names, loopback_http=insecure_loopback_http)
    return IssuerMetadata(
        issuer=answer.text("issuer"),
        **endpoints,
        flaws=flaws,
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
    return build_jwks_url_request(metadata.need("jwks_uri"))


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


def _endpoints(answer: Answer, names: Iterable[str], *, loopback_http: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the endpoints that can be used, and why others can't: one of those that nobody asks does no harm."""
    given = {name: answer.body[name] for name in names if answer.body.get(name) is not None}
    flaws = {name: url_flaw(url, loopback_http=loopback_http, query=True) for name, url in given.items()}
    return (
        {name: url for name, url in given.items() if not flaws[name]},
        {name: flaw for name, flaw in flaws.items() if flaw},
    )


def _certificate_endpoints(answer: Answer, *, loopback_http: bool) -> Mapping[str, str]:
    """Return the endpoints for clients with a certificate. One that can't be used is an error: it would be asked."""
    given = answer.body.get("mtls_endpoint_aliases")
    if given is None:
        return {}
    names = [name for name in _ENDPOINTS if name not in {"authorization_endpoint", "jwks_uri", "end_session_endpoint"}]
    if isinstance(given, dict):
        endpoints, flaws = _endpoints(Answer(answer.purpose, given), names, loopback_http=loopback_http)
        if not flaws:
            return endpoints
    message = "In the provider's metadata, mtls_endpoint_aliases holds what is no address. Tell the provider."
    raise InvalidResponse(message, reason="bad_endpoint")


def _needed(metadata: ProviderMetadata | IssuerMetadata, name: str) -> str:
    url: str | None = getattr(metadata, name)
    if url is not None:
        return url
    flaw = metadata.flaws.get(name)
    if flaw is not None:
        message = f"In the provider's metadata, {name} {FLAWS[flaw]}. Tell the provider."
        raise InvalidResponse(message, reason="wrong_member_type" if flaw == "not_a_string" else "bad_endpoint")
    message = (
        f"The provider's metadata names no {name}, which is needed here. Check the issuer, and what is asked of it."
    )
    raise InvalidResponse(message, reason="missing_member")
