"""Client credentials: a service signs itself in (RFC 6749 section 4.4). Kept in memory only, never in the vault."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.protocol.client_auth import Client, ClientAssertion
from doorward.protocol.token_endpoint import build_client_credentials_request
from doorward.protocol.token_exchange import (
    build_jwt_bearer_request,
    build_token_exchange_request,
    parse_token_exchange_response,
)
from doorward.signin.registration import Registration, as_certificate, as_scopes, as_secret, read_client_key
from doorward.signin.settings.client_keys import find_client_key
from doorward.signin.sources.service import Service
from doorward.signin.sources.workloads import WorkloadIdentity, read_workload_identity
from doorward.system import SystemClock, SystemEntropy
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.model import HttpRequest, TokenKind, TokenSet
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.jwk import SigningKey
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.protocol.token_exchange import SubjectTokenType
    from doorward.signin.registration import SecretMethod, Use

__all__ = ["ClientCredentials", "service_of"]


class ClientCredentials:
    """A token source for a service. Safe to share between threads and tasks, and to keep using after a fork.

    A copy asks for a token of its own. A pickle has neither tokens nor the client's secret: what is read from it raises
    ``ConfigurationError`` once it would have to ask. A client's key is not pickled at all.

    Args:
        issuer: The issuer URL, exactly as the provider writes it.
        client_id: The client identifier.
        client_secret: The client's secret,
        client_key: the key it signs its assertions with,
        client_key_name: the name of such a key in the vault (``doorward client-key``),
        client_certificate: the file of its certificate for TLS (RFC 8705),
        client_certificate_key: with that of its key, if it is another, or
        proof: the identity that the platform gives it, where the provider trusts that platform.
        secret_method: ``"client_secret_basic"`` or ``"client_secret_post"``; left out, what the provider lists first.
        scopes: What to ask for; nothing unless given.
        audience: The ``audience`` parameter, where the provider wants one.
        resource: The ``resource`` parameter (RFC 8707).
        dpop: Whether to have the tokens bound to a key (RFC 9449): ``"always"``, ``"never"``, or ``"auto"`` where the
            provider gives no others. The key is in memory, one for each object.
        insecure_loopback_http: Allow http to loopback addresses, for development.
        clock: For tests.
        entropy: For tests.

    Raises:
        ConfigurationError: A field is wrong or no way to authenticate was given; ``field`` names it.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        issuer: str,
        client_id: str,
        *,
        client_secret: Secret | str | None = None,
        client_key: SigningKey | None = None,
        client_key_name: str | None = None,
        client_certificate: str | None = None,
        client_certificate_key: str | None = None,
        proof: WorkloadIdentity | None = None,
        secret_method: SecretMethod | None = None,
        scopes: Sequence[str] = (),
        audience: str | None = None,
        resource: str | None = None,
        dpop: Use = "auto",
        insecure_loopback_http: bool = False,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        client_key = find_client_key(client_key, client_key_name, Vault())
        given = [each for each in (client_secret, client_key, client_certificate, proof) if each is not None]
        if not given:
            message = "A service proves itself: give client_secret, client_key, client_certificate or proof."
            raise ConfigurationError(message, field="client_secret")
        if proof is not None and (len(given) > 1 or not isinstance(proof, WorkloadIdentity)):
            message = "proof is a WorkloadIdentity, and stands alone: a service proves itself in one way."
            raise ConfigurationError(message, field="proof")
        registration = Registration(
            issuer=issuer,
            client_id=client_id,
            client_secret=as_secret(client_secret),
            client_key=client_key,
            secret_method=secret_method,
            scopes=as_scopes(scopes),
            audience=audience,
            resource=resource,
            dpop=dpop,
            client_certificate=as_certificate(client_certificate, client_certificate_key),
            insecure_loopback_http=insecure_loopback_http,
        )
        self._service = Service.make(registration, proof, clock or SystemClock(), entropy or SystemEntropy())
        self._held = self._service.remember(self._obtain, what=repr(self))

    @classmethod
    def from_env(cls, prefix: str = "DOORWARD", environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from environment variables, each beginning with ``prefix`` and an underscore.

        ``ISSUER``, ``CLIENT_ID``; ``CLIENT_SECRET`` (with ``SECRET_METHOD`` where the client is registered for one), or
        ``CLIENT_KEY_NAME`` (a key in the vault), or ``CLIENT_KEY_FILE`` (a PEM file) with ``CLIENT_KEY_ALG`` and
        ``CLIENT_KEY_ID``, or ``CLIENT_CERTIFICATE`` with ``CLIENT_CERTIFICATE_KEY``, or ``WORKLOAD_IDENTITY``
        (``auto``, ``file:PATH`` or ``env:VARIABLE``) with ``WORKLOAD_AUDIENCE`` and ``WORKLOAD_USE``; and, where
        wanted, ``SCOPES`` (separated by spaces), ``AUDIENCE``, ``RESOURCE``, ``DPOP`` and ``INSECURE_LOOPBACK_HTTP``
        (``1``).

        Raises:
            ConfigurationError: A variable is missing, and ``field`` is its full name, or a value is wrong, and
                ``field`` names the setting.
        """

        def read(name: str) -> str | None:
            return environ.get(f"{prefix}_{name}") or None

        def need(name: str) -> str:
            value = read(name)
            if value is None:
                field = f"{prefix}_{name}"
                raise ConfigurationError(f"Set the environment variable {field}.", field=field)
            return value

        issuer, client_id = need("ISSUER"), need("CLIENT_ID")
        key_name, proof = read("CLIENT_KEY_NAME"), read_workload_identity(prefix, environ)
        certificate = read("CLIENT_CERTIFICATE")
        key = None if key_name else read_client_key(prefix, environ)
        return cls(
            issuer,
            client_id,
            client_secret=read("CLIENT_SECRET") if key or key_name or certificate or proof else need("CLIENT_SECRET"),
            proof=proof,
            secret_method=read("SECRET_METHOD"),  # type: ignore[arg-type] # checked when the registration is made
            client_key=key,
            client_key_name=key_name,
            client_certificate=certificate,
            client_certificate_key=read("CLIENT_CERTIFICATE_KEY"),
            scopes=(read("SCOPES") or "").split(),
            audience=read("AUDIENCE"),
            resource=read("RESOURCE"),
            dpop=read("DPOP") or "auto",  # type: ignore[arg-type] # the same
            insecure_loopback_http=read("INSECURE_LOOPBACK_HTTP") == "1",
        )

    def __getstate__(self) -> Service:
        return self._service

    def __setstate__(self, service: Service) -> None:
        self._service = Service.make(service.registration, service.proof, service.clock, service.entropy)
        self._held = self._service.remember(self._obtain, what=repr(self))

    def __repr__(self) -> str:
        registration = self._service.registration
        return f"ClientCredentials({registration.issuer!r}, {registration.client_id!r})"

    def token(self, kind: TokenKind = "access") -> str:
        """Return an access token good for 5 more minutes (less where its whole life is under 10).

        Raises:
            ConfigurationError: ``kind`` is not ``"access"``: a service has no ID token.
            UnavailableError: The provider can't be reached.
            ProviderError: The provider refused, or answered wrongly.
        """
        self._check(kind)
        return self._held.token()

    async def atoken(self, kind: TokenKind = "access") -> str:
        """Do as ``token`` does, for asyncio."""
        self._check(kind)
        return await self._held.atoken()

    def renew(self, rejected: str) -> str:
        """Return a token asked for anew in place of ``rejected``, which a server has just refused.

        If another thread has done so meanwhile, that one is returned. A provider may give the very same token again.

        Raises the same as ``token``.
        """
        return self._held.token(rejected)

    async def arenew(self, rejected: str) -> str:
        """Do as ``renew`` does, for asyncio."""
        return await self._held.atoken(rejected)

    def authorization(self, token: str, method: str, url: str, *, nonce: str | None = None) -> Mapping[str, str]:
        """Return the headers that have an API accept ``token``: with a proof of the key that it is bound to, if it is.

        As ``Session.authorization``.
        """
        binding = self._service.binding
        return binding.headers(Secret(token), method, url, nonce=nonce)

    @staticmethod
    def _check(kind: TokenKind) -> None:
        if kind != "access":
            message = "Client credentials give an access token only: there is no person an ID token could name."
            raise ConfigurationError(message, field="kind")

    def _obtain(self) -> Flow[TokenSet]:
        return (yield from self._service.obtain(self._request, parse_token_exchange_response))

    def _request(self, metadata: ProviderMetadata, client: Client, *, now: float, jti: str) -> HttpRequest:
        asked, proof = self._service.registration, self._service.proof
        target: dict[str, Any] = {"scopes": asked.scopes, "audience": asked.audience, "resource": asked.resource}
        if proof is None or proof.use == "assertion" or not isinstance(client.authentication, ClientAssertion):
            return build_client_credentials_request(metadata, client, now=now, jti=jti, **target)
        token, client = client.authentication.assertion, Client(client.client_id)
        if proof.use == "jwt-bearer":
            return build_jwt_bearer_request(metadata, client, token, now=now, jti=jti, **target)
        kind: SubjectTokenType = "jwt"
        return build_token_exchange_request(
            metadata, client, token, now=now, jti=jti, subject_token_type=kind, **target
        )


def service_of(source: ClientCredentials) -> Service:
    """Return the service behind a source, for others that ask in its name."""
    return source._service  # noqa: SLF001 - the one way in
