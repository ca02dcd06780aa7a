"""A service calls another API in its caller's name: the caller's token is exchanged for one that is meant for that API.

What is exchanged is remembered by a digest of the caller's very token, and never by who it names: only the provider
proves whose it is. Nothing is given out beyond the end of that token.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from doorward.errors import ConfigurationError, Expired, InvalidCredential, MissingCredential
from doorward.model import Secret
from doorward.protocol.claims import parse_jwt
from doorward.protocol.token_exchange import (
    JWT_BEARER,
    TOKEN_EXCHANGE,
    build_jwt_bearer_request,
    build_token_exchange_request,
    parse_token_exchange_response,
)
from doorward.signin.registration import as_scopes, as_secret
from doorward.signin.sources.client_credentials import ClientCredentials, service_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.model import HttpRequest, TokenKind, TokenSet
    from doorward.ports import Flow
    from doorward.protocol.client_auth import Client
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.protocol.token_exchange import ExchangeGrant, SubjectTokenType
    from doorward.signin.sources.remembered import Remembered
    from doorward.signin.sources.service import Service

__all__ = ["OnBehalfOf"]

_LONGEST_TOKEN = 65_536


class OnBehalfOf:
    """A token source that stands on a caller's token. Make one for each request: what was exchanged is remembered.

    Args:
        service: The service that asks, and how it proves itself.
        token: The caller's access token, verified by your guard: of a Bearer credential, what comes after the word.
        audience: The API to call, where the provider takes an ``audience``.
        resource: The API to call, where the provider takes a ``resource`` (RFC 8707).
        scopes: What to ask for; Microsoft Entra wants ``["api://…/.default"]`` or single scopes here, and no audience.
        token_type: What kind the caller's token is.
        grant: How the provider is asked: ``"token-exchange"`` (RFC 8693), ``"jwt-bearer"`` (RFC 7523, as Entra wants
            it), or ``"auto"``: Entra's way at Entra, else what the provider's metadata lists.
        expires_at: When the caller's token ends, in epoch seconds (``Principal.expires_at``). Left out, the ``exp`` of
            a JWT counts. What is exchanged for a token whose end is not known is remembered by this object alone.

    Raises:
        ConfigurationError: A field is wrong, or names no API to call.
        MissingCredential: ``token`` is empty.

    Source: RFC 8693; RFC 7523 section 2.1; Microsoft identity platform, OAuth 2.0 On-Behalf-Of flow.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        service: ClientCredentials,
        token: Secret | str,
        *,
        audience: str | None = None,
        resource: str | None = None,
        scopes: Sequence[str] = (),
        token_type: SubjectTokenType = "access_token",  # noqa: S107 - a kind, not a token
        grant: Literal["auto"] | ExchangeGrant = "auto",
        expires_at: float | None = None,
    ) -> None:
        caller = as_secret(token)
        unchecked: object = service
        if not isinstance(unchecked, ClientCredentials):
            message = "The service that calls on behalf of somebody must be a ClientCredentials."
            raise ConfigurationError(message, field="service", reason="not_client_credentials")
        if not caller or not caller.reveal().isascii() or " " in caller.reveal():
            message = "The caller's token is missing. Give the token itself, without the word Bearer."
            raise MissingCredential(message, reason="no_subject_token")
        if not (audience or resource or scopes):
            message = "Say which API is to be called: give audience, resource or scopes."
            raise ConfigurationError(message, field="audience", reason="no_target")
        if token_type not in ("access_token", "id_token", "jwt"):
            message = "token_type must be 'access_token', 'id_token' or 'jwt'."
            raise ConfigurationError(message, field="token_type")
        if grant not in ("auto", "token-exchange", "jwt-bearer"):
            raise ConfigurationError("grant must be 'auto', 'token-exchange' or 'jwt-bearer'.", field="grant")
        ends = [end for end in (expires_at, _claimed_end(caller)) if end is not None]
        self._question = _Question(
            service=service_of(service),
            caller=caller,
            audience=audience,
            resource=resource,
            scopes=as_scopes(scopes),
            token_type=token_type,
            grant=grant,
            ends_at=min(ends, default=None),
        )
        self._held = self._question.remembered()

    def __repr__(self) -> str:
        return str(self._question)

    def __reduce__(self) -> Any:
        message = "A source that stands on a caller's token is neither copied nor pickled. Make another one."
        raise ConfigurationError(message, field="token", reason="not_pickled")

    def token(self, kind: TokenKind = "access") -> str:
        """Return an access token for that API, which ends with the caller's at the latest.

        Raises:
            Expired: The caller's token has ended: answer 401, and the caller comes with another.
            OAuthError: The provider refused; ``error`` is its word.
            UnavailableError: The provider can't be reached.
            ProviderError: The provider answered wrongly.
            ConfigurationError: ``kind`` is not ``"access"``.
        """
        self._check(kind)
        return self._held.token()

    async def atoken(self, kind: TokenKind = "access") -> str:
        """Do as ``token`` does, for asyncio."""
        self._check(kind)
        return await self._held.atoken()

    def renew(self, rejected: str) -> str:
        """Return another token in place of ``rejected``. Raises the same as ``token``."""
        self._check("access")
        return self._held.token(rejected)

    async def arenew(self, rejected: str) -> str:
        """Do as ``renew`` does, for asyncio."""
        self._check("access")
        return await self._held.atoken(rejected)

    def authorization(self, token: str, method: str, url: str, *, nonce: str | None = None) -> Mapping[str, str]:
        """Return the headers that have that API accept ``token``. As ``Session.authorization``."""
        return self._question.service.binding.headers(Secret(token), method, url, nonce=nonce)

    def _check(self, kind: TokenKind) -> None:
        if kind != "access":
            message = "On behalf of somebody there is an access token only. Ask for kind 'access'."
            raise ConfigurationError(message, field="kind")
        self._question.check_end()


@dataclass(frozen=True, slots=True)
class _Question:
    """For whom what is asked, and how."""

    service: Service
    caller: Secret
    audience: str | None
    resource: str | None
    scopes: tuple[str, ...]
    token_type: SubjectTokenType
    grant: Literal["auto"] | ExchangeGrant
    ends_at: float | None
    """When the caller's token ends, as far as is known."""

    def __str__(self) -> str:
        target = self.audience or self.resource or " ".join(self.scopes)
        return f"OnBehalfOf({self.service.registration.client_id!r}, <secret>, {target!r})"

    def remembered(self) -> Remembered:
        """Return what is remembered of it. What has no end that is known, nobody else finds."""
        if self.ends_at is None:
            return self._new()
        target = (self.audience, self.resource, self.scopes)
        told = repr((self.caller.reveal(), target, self.token_type, self.grant, self.ends_at))
        return self.service.exchanged.get(hashlib.sha256(told.encode()).digest(), self._new)

    def check_end(self) -> None:
        if self.ends_at is not None and self.ends_at <= self.service.clock.now():
            message = "The caller's token has ended, so nothing can be called in the caller's name any more."
            raise Expired(message, reason="subject_token_expired")

    def _new(self) -> Remembered:
        return self.service.remember(self._obtain, what=str(self))

    def _obtain(self) -> Flow[TokenSet]:
        return (yield from self.service.obtain(self._request, parse_token_exchange_response))

    def _request(self, metadata: ProviderMetadata, client: Client, *, now: float, jti: str) -> HttpRequest:
        target: dict[str, Any] = {"audience": self.audience, "resource": self.resource, "scopes": self.scopes}
        if self._grant(metadata) == "jwt-bearer":
            return build_jwt_bearer_request(
                metadata, client, self.caller, now=now, jti=jti, on_behalf_of=True, **target
            )
        return build_token_exchange_request(
            metadata, client, self.caller, now=now, jti=jti, subject_token_type=self.token_type, **target
        )

    def _grant(self, metadata: ProviderMetadata) -> ExchangeGrant:
        """Choose the grant: as told, else as the provider's habits or its metadata say."""
        if self.grant != "auto":
            return self.grant
        offered = metadata.grant_types_supported or ()
        by_assertion = JWT_BEARER in offered and TOKEN_EXCHANGE not in offered
        return self.service.registration.habits.exchange_grant or ("jwt-bearer" if by_assertion else "token-exchange")


def _claimed_end(token: Secret) -> float | None:
    """Return the ``exp`` that a JWT claims; None if it is none. It is taken for nothing but an earlier end."""
    try:
        end = parse_jwt(token.reveal(), max_bytes=_LONGEST_TOKEN).claims.get("exp")
    except InvalidCredential:
        return None
    return float(end) if isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) else None
