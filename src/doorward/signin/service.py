"""Client credentials: a service signs itself in (RFC 6749 section 4.4). Kept in memory only, never in the vault."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Self

from doorward.errors import ConfigurationError, DoorwardError, LockTimeout, ProviderError, UnavailableError
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, run
from doorward.model import Pause
from doorward.protocol.token_endpoint import build_client_credentials_request, parse_token_response
from doorward.signin.exchanges import answer_to, discover
from doorward.signin.registration import Registration, as_scopes, as_secret, read_client_key
from doorward.system import SystemClock, SystemEntropy
from doorward.vault.times import is_fresh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.model import Secret, TokenKind, TokenSet
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.jwk import SigningKey
    from doorward.signin.registration import SecretMethod

__all__ = ["ClientCredentials"]

_log = logging.getLogger("doorward.service")

_LOCK_TIMEOUT_S = 90.0
_LOOK_S = 0.02


class ClientCredentials:
    """A token source for a service. Safe to share between threads and tasks, and to keep using after a fork.

    A copy asks for a token of its own. A pickle has neither tokens nor the client's secret: what is read from it raises
    ``ConfigurationError`` once it would have to ask. A client's key is not pickled at all.

    Args:
        issuer: The issuer URL, exactly as the provider writes it.
        client_id: The client identifier.
        client_secret: The client's secret, or
        client_key: the key it signs its assertions with.
        secret_method: ``"client_secret_basic"`` or ``"client_secret_post"``; left out, what the provider lists first.
        scopes: What to ask for; nothing unless given.
        audience: The ``audience`` parameter, where the provider wants one.
        resource: The ``resource`` parameter (RFC 8707).
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
        secret_method: SecretMethod | None = None,
        scopes: Sequence[str] = (),
        audience: str | None = None,
        resource: str | None = None,
        insecure_loopback_http: bool = False,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        if client_secret is None and client_key is None:
            message = "A service proves itself: give client_secret or client_key."
            raise ConfigurationError(message, field="client_secret")
        self._registration = Registration(
            issuer=issuer,
            client_id=client_id,
            client_secret=as_secret(client_secret),
            client_key=client_key,
            secret_method=secret_method,
            scopes=as_scopes(scopes),
            audience=audience,
            resource=resource,
            insecure_loopback_http=insecure_loopback_http,
        )
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._tokens: TokenSet | None = None
        self._failure: tuple[float, DoorwardError] | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()

    @classmethod
    def from_env(cls, prefix: str = "DOORWARD", environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from environment variables, each beginning with ``prefix`` and an underscore.

        ``ISSUER``, ``CLIENT_ID``; ``CLIENT_SECRET`` (with ``SECRET_METHOD`` where the client is registered for one), or
        ``CLIENT_KEY_FILE`` (a PEM file) with ``CLIENT_KEY_ALG`` and ``CLIENT_KEY_ID``; and, where wanted, ``SCOPES``
        (separated by spaces), ``AUDIENCE``, ``RESOURCE`` and ``INSECURE_LOOPBACK_HTTP`` (``1``).

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
        key = read_client_key(prefix, environ)
        return cls(
            issuer,
            client_id,
            client_secret=need("CLIENT_SECRET") if key is None else read("CLIENT_SECRET"),
            secret_method=read("SECRET_METHOD"),  # type: ignore[arg-type] # checked when the registration is made
            client_key=key,
            scopes=(read("SCOPES") or "").split(),
            audience=read("AUDIENCE"),
            resource=read("RESOURCE"),
            insecure_loopback_http=read("INSECURE_LOOPBACK_HTTP") == "1",
        )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tokens": None, "_failure": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock, self._process = threading.Lock(), os.getpid()

    def __repr__(self) -> str:
        return f"ClientCredentials({self._registration.issuer!r}, {self._registration.client_id!r})"

    def token(self, kind: TokenKind = "access") -> str:
        """Return an access token good for 5 more minutes (less where its whole life is under 10).

        Raises:
            ConfigurationError: ``kind`` is not ``"access"``: a service has no ID token.
            UnavailableError: The provider can't be reached.
            ProviderError: The provider refused, or answered wrongly.
        """
        return self._run(kind, rejected=None)

    async def atoken(self, kind: TokenKind = "access") -> str:
        """Do as ``token`` does, for asyncio."""
        return await self._arun(kind, rejected=None)

    def renew(self, rejected: str) -> str:
        """Return a token asked for anew in place of ``rejected``, which a server has just refused.

        If another thread has done so meanwhile, that one is returned. A provider may give the very same token again.

        Raises the same as ``token``.
        """
        return self._run("access", rejected=rejected)

    async def arenew(self, rejected: str) -> str:
        """Do as ``renew`` does, for asyncio."""
        return await self._arun("access", rejected=rejected)

    def _run(self, kind: TokenKind, rejected: str | None) -> str:
        token = self._fresh(kind, rejected)
        if token is not None:
            return token
        with HttpClient(insecure_loopback_http=self._registration.insecure_loopback_http) as transport:
            return run(self._renewed(kind, rejected), transport, self._clock)

    async def _arun(self, kind: TokenKind, rejected: str | None) -> str:
        token = self._fresh(kind, rejected)
        if token is not None:
            return token
        async with AsyncHttpClient(insecure_loopback_http=self._registration.insecure_loopback_http) as transport:
            return await arun(self._renewed(kind, rejected), transport, self._clock)

    def _fresh(self, kind: TokenKind, rejected: str | None) -> str | None:
        if kind != "access":
            message = "Client credentials give an access token only: there is no person an ID token could name."
            raise ConfigurationError(message, field="kind")
        tokens = self._tokens
        if tokens is None or not is_fresh(tokens.issued_at, tokens.expires_at, now=self._clock.now(), bounded=True):
            return None
        token = tokens.access_token.reveal()
        return None if token == rejected else token

    def _renewed(self, kind: TokenKind, rejected: str | None) -> Flow[str]:
        if self._process != os.getpid():  # a lock that was held during a fork is never released in the child
            self._lock, self._process = threading.Lock(), os.getpid()
        lock = self._lock
        began_at = self._clock.monotonic()
        deadline = began_at + _LOCK_TIMEOUT_S
        while not lock.acquire(blocking=False):
            if self._clock.monotonic() > deadline:
                message = f"Another thread has been fetching a token for {_LOCK_TIMEOUT_S:.0f} s. Try again."
                raise LockTimeout(message, reason="client_credentials_lock")
            yield Pause(_LOOK_S)
        try:
            token = self._fresh(kind, rejected)
            if token is None:
                if self._failure is not None and self._failure[0] >= began_at:
                    # Whoever waited for an attempt that failed does not begin another.
                    raise self._failure[1].with_traceback(None)
                self._tokens = yield from self._attempt()
                token = self._tokens.access_token.reveal()
        except (UnavailableError, ProviderError) as error:
            usable = self._usable(rejected)
            if usable is None:
                raise
            _log.warning("%r got no new token (%s); the one it has is still good.", self, error)
            return usable
        finally:
            lock.release()
        return token

    def _attempt(self) -> Flow[TokenSet]:
        """Obtain a token, and remember a failure for those who wait for this very attempt."""
        try:
            return (yield from self._obtain())
        except (UnavailableError, ProviderError) as error:
            self._failure = (self._clock.monotonic(), error)
            raise

    def _usable(self, rejected: str | None) -> str | None:
        """Return the token if it is not expired: better than none during an outage."""
        tokens = self._tokens
        if tokens is None or (tokens.expires_at is not None and tokens.expires_at <= self._clock.now()):
            return None
        token = tokens.access_token.reveal()
        return None if token == rejected else token

    def _obtain(self) -> Flow[TokenSet]:
        metadata = yield from discover(self._registration, now=self._clock.now())
        request = build_client_credentials_request(
            metadata,
            self._registration.client_for(metadata),
            now=self._clock.now(),
            jti=self._entropy.token_urlsafe(16),
            scopes=self._registration.scopes,
            audience=self._registration.audience,
            resource=self._registration.resource,
        )
        response = yield from answer_to(request)
        return parse_token_response(response, request=request, now=self._clock.now())
