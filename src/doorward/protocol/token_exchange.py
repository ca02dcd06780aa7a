"""One token in place of another: token exchange (RFC 8693), and a JWT as the grant itself (RFC 7523 section 2.1).

Both are asked at the token endpoint, and answered as every other grant is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from doorward.errors import InvalidResponse
from doorward.protocol.authorization import join_scopes
from doorward.protocol.client_auth import build_form_request
from doorward.protocol.reading.answers import Answer
from doorward.protocol.token_endpoint import parse_token_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.model import HttpRequest, HttpResponse, Secret, TokenSet
    from doorward.protocol.client_auth import Client
    from doorward.protocol.metadata import ProviderMetadata

__all__ = [
    "JWT_BEARER",
    "TOKEN_EXCHANGE",
    "ExchangeGrant",
    "SubjectTokenType",
    "build_jwt_bearer_request",
    "build_token_exchange_request",
    "parse_token_exchange_response",
]

ExchangeGrant: TypeAlias = Literal["token-exchange", "jwt-bearer"]
SubjectTokenType: TypeAlias = Literal["access_token", "id_token", "jwt"]

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a grant's name
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_TOKEN = "the token endpoint"  # noqa: S105 - the endpoint's name
_TYPE = "urn:ietf:params:oauth:token-type:"
_USABLE = frozenset({f"{_TYPE}access_token", f"{_TYPE}jwt"})


def build_token_exchange_request(  # noqa: PLR0913 - the request's parameters, by keyword
    metadata: ProviderMetadata,
    client: Client,
    subject_token: Secret,
    *,
    now: float,
    jti: str,
    subject_token_type: SubjectTokenType = "access_token",  # noqa: S107 - a kind, not a token
    audience: str | None = None,
    resource: str | None = None,
    scopes: Sequence[str] | None = None,
) -> HttpRequest:
    """Ask for an access token in place of ``subject_token`` (RFC 8693 section 2.1)."""
    fields = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject_token.reveal(),
        "subject_token_type": _TYPE + subject_token_type,
        "requested_token_type": f"{_TYPE}access_token",
        "audience": audience,
        "resource": resource,
        "scope": join_scopes(scopes),
    }
    return _request(metadata, client, fields, now=now, jti=jti)


def build_jwt_bearer_request(  # noqa: PLR0913 - the request's parameters, by keyword
    metadata: ProviderMetadata,
    client: Client,
    assertion: Secret,
    *,
    now: float,
    jti: str,
    on_behalf_of: bool = False,
    audience: str | None = None,
    resource: str | None = None,
    scopes: Sequence[str] | None = None,
) -> HttpRequest:
    """Ask for an access token for a JWT (RFC 7523 section 2.1). ``on_behalf_of`` says it as Microsoft Entra wants."""
    fields = {
        "grant_type": JWT_BEARER,
        "assertion": assertion.reveal(),
        "requested_token_use": "on_behalf_of" if on_behalf_of else None,
        "audience": audience,
        "resource": resource,
        "scope": join_scopes(scopes),
    }
    return _request(metadata, client, fields, now=now, jti=jti)


def parse_token_exchange_response(
    response: HttpResponse, *, request: HttpRequest, now: float, bound: bool = False
) -> TokenSet:
    """Return the access token of an answer to a token exchange.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: As ``parse_token_response``; ``wrong_issued_token_type``.

    Source: RFC 8693 section 2.2.1. An answer that leaves ``issued_token_type`` out gives what was asked for.
    """
    tokens = parse_token_response(response, request=request, now=now, bound=bound)
    issued = Answer.read(response, request=request, now=now).optional_text("issued_token_type")
    if issued is not None and issued not in _USABLE:
        message = "The provider exchanged the token for another kind than an access token. Tell the provider."
        raise InvalidResponse(message, reason="wrong_issued_token_type")
    return tokens


def _request(
    metadata: ProviderMetadata, client: Client, fields: dict[str, str | None], *, now: float, jti: str
) -> HttpRequest:
    url = metadata.need("token_endpoint")
    return build_form_request(url, _TOKEN, fields.items(), client, issuer=metadata.issuer, now=now, jti=jti)
