"""How a client proves itself at an endpoint: not at all, by secret (basic, post), or by a signed assertion.

``build_form_request`` is the one builder of POSTs that carry a client's proof. Secrets go into headers and bodies,
which no ``repr`` shows, never into a URL.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias
from urllib.parse import quote_plus

from doorward.errors import ConfigurationError
from doorward.model import HttpRequest, Secret
from doorward.protocol.claims import sign_claims
from doorward.protocol.reading.urls import encode_form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.protocol.jwk import SigningKey

__all__ = [
    "Client",
    "ClientAssertion",
    "ClientAuthentication",
    "NoAuthentication",
    "PrivateKeyJwt",
    "SecretBasic",
    "SecretPost",
    "TlsCertificate",
    "build_form_request",
    "choose_authentication",
]

_ASSERTION_LIFE_S = 60
_BY_TLS: tuple[Literal["tls_client_auth", "self_signed_tls_client_auth"], ...] = (
    "tls_client_auth",
    "self_signed_tls_client_auth",
)
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CLIENT_ID = re.compile(r"[\x20-\x7e]{1,2048}")


@dataclass(frozen=True, slots=True)
class NoAuthentication:
    """A public client: PKCE alone."""

    method: ClassVar[Literal["none"]] = "none"


@dataclass(frozen=True, slots=True)
class SecretBasic:
    """``client_secret_basic``: the secret in the Authorization header."""

    secret: Secret
    method: ClassVar[Literal["client_secret_basic"]] = "client_secret_basic"  # the name of the way, not a secret


@dataclass(frozen=True, slots=True)
class SecretPost:
    """``client_secret_post``: the secret in the body."""

    secret: Secret
    method: ClassVar[Literal["client_secret_post"]] = "client_secret_post"  # the name of the way, not a secret


@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    """``private_key_jwt``: an assertion signed with the client's own key."""

    key: SigningKey = field(repr=False)
    method: ClassVar[Literal["private_key_jwt"]] = "private_key_jwt"


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """An assertion that somebody else made for the client, such as the platform it runs on (RFC 7523 section 2.2)."""

    assertion: Secret
    method: ClassVar[Literal["private_key_jwt"]] = "private_key_jwt"


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """``tls_client_auth`` or ``self_signed_tls_client_auth``: the proof is in TLS, none in the request (RFC 8705)."""

    method: Literal["tls_client_auth", "self_signed_tls_client_auth"] = "tls_client_auth"


ClientAuthentication: TypeAlias = (
    NoAuthentication | SecretBasic | SecretPost | PrivateKeyJwt | ClientAssertion | TlsCertificate
)


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client and how it proves itself."""

    client_id: str
    authentication: ClientAuthentication = NoAuthentication()

    def __post_init__(self) -> None:
        if not _CLIENT_ID.fullmatch(self.client_id):
            message = "The client ID is empty, too long, or not printable ASCII: give it as the provider registered it."
            raise ConfigurationError(message, field="client_id", reason="bad_client_id")


def choose_authentication(
    supported: tuple[str, ...] | None,
    *,
    client_secret: Secret | None,
    signing_key: SigningKey | None,
    certificate: bool = False,
) -> ClientAuthentication:
    """Choose how to authenticate: with what the person gave, in a way the provider announces.

    Args:
        supported: ``token_endpoint_auth_methods_supported``; None is what RFC 8414 says it means, basic.
        client_secret: The secret of a confidential client. A client that proves itself may still be a native one.
        signing_key: The key of a client that signs assertions.
        certificate: The client has a certificate for TLS.

    Raises:
        ConfigurationError: Both were given, the secret is none, or the provider does not take it.
    """
    methods = ("client_secret_basic",) if supported is None else supported
    if client_secret is not None and signing_key is not None:
        message = "Give a client secret or a signing key, not both: a client proves itself in one way."
        raise ConfigurationError(message, field="client_secret", reason="two_authentications")
    if certificate:
        return _by_certificate(methods)
    if signing_key is not None:
        if "private_key_jwt" in methods:
            return PrivateKeyJwt(signing_key)
        message = "The provider does not take signed client assertions (private_key_jwt): use a client secret."
        raise ConfigurationError(message, field="signing_key", reason="private_key_jwt_unsupported")
    if client_secret is None:
        return NoAuthentication()
    if not client_secret or not client_secret.reveal().isprintable():
        message = "The client secret is empty, or has a line break or other control characters. Give it without."
        raise ConfigurationError(message, field="client_secret", reason="bad_secret")
    if "client_secret_basic" in methods:
        return SecretBasic(client_secret)
    if "client_secret_post" in methods:
        return SecretPost(client_secret)
    message = "The provider does not take client secrets: leave the secret out, or use a signing key."
    raise ConfigurationError(message, field="client_secret", reason="secret_unsupported")


def _by_certificate(methods: tuple[str, ...]) -> TlsCertificate:
    for method in _BY_TLS:
        if method in methods:
            return TlsCertificate(method)
    message = "The provider knows no client by its certificate (tls_client_auth): prove who it is in another way."
    raise ConfigurationError(message, field="client_certificate", reason="certificate_unsupported")


def build_form_request(  # noqa: PLR0913 - all of one request, half by keyword
    url: str,
    purpose: str,
    fields: Iterable[tuple[str, str | None]],
    client: Client,
    *,
    issuer: str,
    now: float,
    jti: str,
) -> HttpRequest:
    """Build a form POST on behalf of a client.

    Args:
        url: The endpoint.
        purpose: The endpoint in words, for error messages.
        fields: Names and values of the form; a name may repeat, and None leaves it out.
        client: Who asks, and how it proves itself.
        issuer: The provider's issuer, the audience of a signed assertion.
        now: Epoch seconds, when a signed assertion is made.
        jti: A fresh random value that makes a signed assertion unique.

    Raises:
        ConfigurationError: A value is not printable; ``field`` is its name.

    Source: RFC 6749 section 2.3.1, RFC 7523 sections 2.2 and 3, OIDC Core section 9.
    """
    form = list(fields)
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    match client.authentication:
        case SecretBasic(secret):
            pair = f"{quote_plus(client.client_id)}:{quote_plus(secret.reveal())}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        case SecretPost(secret):
            form += [("client_id", client.client_id), ("client_secret", secret.reveal())]
        case PrivateKeyJwt(key):
            claims = {
                "iss": client.client_id,
                "sub": client.client_id,
                "aud": issuer,  # not the endpoint: an assertion for one endpoint must be no use at another provider's
                "jti": jti,
                "iat": int(now),
                "exp": int(now) + _ASSERTION_LIFE_S,
            }
            form += _assertion(client, sign_claims(claims, key, typ="JWT"))
        case ClientAssertion(assertion):
            form += _assertion(client, assertion.reveal())
        case _:  # NoAuthentication
            form.append(("client_id", client.client_id))
    return HttpRequest("POST", url, purpose, headers, encode_form(form).encode())


def _assertion(client: Client, assertion: str) -> list[tuple[str, str | None]]:
    return [
        ("client_id", client.client_id),
        ("client_assertion_type", _ASSERTION_TYPE),
        ("client_assertion", assertion),
    ]
