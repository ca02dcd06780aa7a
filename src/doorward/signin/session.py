"""A signed-in profile as a token source: reads the vault, refreshes when it must, and never loses what it has.

The order is always: lock, read again, refresh, save, release (decision 4). The vault is the only state: a session
object holds no token, so threads, tasks and processes see the same one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from doorward.errors import ConfigurationError, OAuthError, ProviderError, SignInRequired, UnavailableError
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, aside, run
from doorward.model import Principal
from doorward.protocol.endpoints import build_logout_url, build_revocation_request, parse_revocation_response
from doorward.signin.exchanges import answer_to, discover
from doorward.signin.refresh import LOCK_TIMEOUT_S, refresh
from doorward.signin.registration import Registration, as_secret, find_client_secret
from doorward.system import SystemClock, SystemEntropy
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import Secret, TokenKind
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.jwk import SigningKey
    from doorward.vault.entries import ProfileEntry

__all__ = ["Session", "SignOut", "open_session"]

_log = logging.getLogger("doorward.session")

_Revocable: TypeAlias = Literal["refresh_token", "access_token"]

_SECRET_METHODS = ("client_secret_basic", "client_secret_post")
_STILL_USABLE_S = 5.0
"""A token that can't be renewed is given out until this close to its end."""


@dataclass(frozen=True, slots=True)
class SignOut:
    """What a sign-out did. The vault entry is gone in every case.

    Attributes:
        revoked: The provider confirmed that the session is over: its refresh token is no longer good, or where there is
            none, its access token.
        problem: Why it did not, in words; None if it did or has no way to.
        logout_url: Where a browser ends the provider's own session; None if it offers no such place.
        access_token_revoked: The provider confirmed that the access token is no longer good. Some can't revoke those.
    """

    revoked: bool
    problem: str | None
    logout_url: str | None
    access_token_revoked: bool = False


def open_session(
    profile: str = "default",
    *,
    client_secret: Secret | str | None = None,
    client_key: SigningKey | None = None,
    vault: Vault | None = None,
    clock: Clock | None = None,
) -> Session:
    """Open a profile that was signed in before. No network until a token has to be refreshed.

    Args:
        profile: The name given at sign-in.
        client_secret: A confidential client's secret; else ``DOORWARD_CLIENT_SECRET`` or the keyring is asked.
        client_key: The key of a client that signs assertions.
        vault: Another vault than the default one.
        clock: For tests.

    Raises:
        SignInRequired: Nobody has signed in under this name.
        VaultError: The vault can't be used as it is.
    """
    session = Session(profile, client_secret=client_secret, client_key=client_key, vault=vault, clock=clock)
    session._entry()  # noqa: SLF001 - same module: say at once when there is nothing
    return session


class Session:
    """A token source that stands on one vault entry. Safe to share between threads, tasks and processes."""

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        profile: str,
        *,
        client_secret: Secret | str | None = None,
        client_key: SigningKey | None = None,
        vault: Vault | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self.profile = profile
        self._client_secret = as_secret(client_secret)
        self._client_key = client_key
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._vault = vault or Vault(clock=self._clock)

    def __repr__(self) -> str:
        return f"Session({self.profile!r})"

    def token(self, kind: TokenKind = "access") -> str:
        """Return a token good for 5 more minutes (less where its whole life is under 10), refreshing if needed.

        Args:
            kind: ``"access"`` or ``"id"``.

        Raises:
            SignInRequired: The session has ended, or never gave such a token.
            UnavailableError: It must be refreshed and can't be now; what is stored is unchanged.
            ProviderError: The provider's answer can't be used; what is stored is unchanged.
            InvalidCredential: The new ID token does not hold; of the answer, only the refresh token was kept.
            ConfigurationError: ``kind`` is none, or the client's secret or key is wanted and was not given.
            VaultError: The vault can't be used as it is.
        """
        return self._run(kind)

    async def atoken(self, kind: TokenKind = "access") -> str:
        """Do as ``token`` does, without blocking the event loop on the network or a lock."""
        return await self._arun(kind)

    def renew(self, rejected: str) -> str:
        """Return an access token other than ``rejected``, which a server has just refused.

        If another process has renewed it meanwhile, that one is returned and the provider is not asked.

        Raises the same as ``token``.
        """
        return self._run("access", rejected=rejected)

    async def arenew(self, rejected: str) -> str:
        """Do as ``renew`` does, for asyncio."""
        return await self._arun("access", rejected=rejected)

    @property
    def claims(self) -> Mapping[str, Any]:
        """The validated claims of the ID token; empty if the provider gave none."""
        return self._entry().claims or {}

    @property
    def principal(self) -> Principal:
        """Who is signed in. The e-mail address is for display.

        Raises:
            SignInRequired: The provider gave no ID token, so nobody is known.
        """
        entry = self._entry()
        if entry.claims is None:
            message = f"Profile {self.profile!r} has no ID token, so it names nobody. Sign in with the scope openid."
            raise SignInRequired(message, reason="no_id_token")
        return _principal(entry, entry.claims)

    @property
    def expires_at(self) -> float | None:
        """When the access token in the vault expires, in epoch seconds; None if the provider did not say."""
        return self._entry().access_token_expires_at

    def sign_out(self) -> SignOut:
        """Revoke the refresh and the access token where the provider can, and forget the profile in every case.

        Raises:
            SignInRequired: Nobody is signed in under this name.
            VaultError: The entry can't be read, or the vault can't be used as it is.
            StoreError: The file system refused.
        """
        with self._transport() as transport:
            return run(self._sign_out(), transport, self._clock)

    async def asign_out(self) -> SignOut:
        """Do as ``sign_out`` does, for asyncio."""
        await self._find_secret_aside()
        async with self._async_transport() as transport:
            return await arun(self._sign_out(), transport, self._clock)

    @property
    def ended_at(self) -> float | None:
        """When the provider ended the session, in epoch seconds; None while it has not."""
        return self._entry().ended_at

    # Reading

    @property
    def _login(self) -> str:
        return "doorward login" if self.profile == "default" else f"doorward login --profile {self.profile}"

    def _entry(self) -> ProfileEntry:
        entry = self._vault.get(self.profile)
        if entry is None:
            message = f"Nobody is signed in as profile {self.profile!r}. Sign in first: {self._login}."
            raise SignInRequired(message, reason="no_session")
        return entry

    def _fresh(self, entry: ProfileEntry, kind: TokenKind, rejected: str | None) -> str | None:
        if kind not in ("access", "id"):  # never a token of another kind than was meant
            raise ConfigurationError("kind must be 'access' or 'id'.", field="kind")
        token = entry.fresh_token(kind, now=self._clock.now())
        return None if token is None or token.reveal() == rejected else token.reveal()

    def _usable(
        self, entry: ProfileEntry, kind: TokenKind, rejected: str | None, *, at_least_s: float = _STILL_USABLE_S
    ) -> str | None:
        """Return a token that is not fresh, but not expired either: better than none when it can't be renewed."""
        if kind == "id":
            token, expires_at = entry.id_token, entry.id_token_expires_at
        else:
            token, expires_at = entry.access_token, entry.access_token_expires_at
        if token is None or token.reveal() == rejected:
            return None
        return token.reveal() if expires_at is None or expires_at - self._clock.now() > at_least_s else None

    # Refreshing

    def _run(self, kind: TokenKind, *, rejected: str | None = None) -> str:
        token = self._fresh(self._entry(), kind, rejected)
        if token is not None:
            return token
        with self._transport() as transport:
            return run(self._renewed(kind, rejected), transport, self._clock)

    async def _arun(self, kind: TokenKind, *, rejected: str | None = None) -> str:
        token = self._fresh(self._entry(), kind, rejected)
        if token is not None:
            return token
        await self._find_secret_aside()
        async with self._async_transport() as transport:
            return await arun(self._renewed(kind, rejected), transport, self._clock)

    def _renewed(self, kind: TokenKind, rejected: str | None) -> Flow[str]:
        """Lock, read again, refresh, save, release. Whoever waits leaves as soon as another has done it."""
        lock = self._vault.lock(self.profile)
        try:
            token = yield from lock.acquire(
                self._clock,
                timeout_s=LOCK_TIMEOUT_S,
                unless=lambda: self._fresh(self._entry(), kind, rejected),
            )
            if token is None:
                token = yield from self._refreshed_while_locked(kind, rejected)
        except (UnavailableError, ProviderError, SignInRequired) as error:
            entry = self._vault.get(self.profile)
            usable = self._usable(entry, kind, rejected) if entry is not None else None
            if usable is None:
                raise
            _log.warning("Profile %s was not refreshed (%s); its %s token is still good.", self.profile, error, kind)
            return usable
        finally:
            lock.release()
        return token

    def _refreshed_while_locked(self, kind: TokenKind, rejected: str | None) -> Flow[str]:
        entry = self._entry()
        token = self._fresh(entry, kind, rejected)
        if token is None:
            self._check_refreshable(entry, kind, rejected)
            registration = self._registration(entry)
            entry = yield from refresh(entry, registration, vault=self._vault, clock=self._clock, entropy=self._entropy)
            token = self._usable(entry, kind, rejected, at_least_s=0)  # however short the life the provider gave it
        if token is None:
            message = f"The provider gave no new {kind} token for profile {self.profile!r}. Sign in again."
            raise SignInRequired(message, reason=f"{kind}_token_not_renewed")
        return token

    def _check_refreshable(self, entry: ProfileEntry, kind: TokenKind, rejected: str | None) -> None:
        if entry.ended_at is not None:
            message = f"The provider has ended the session of profile {self.profile!r}. Sign in again: {self._login}."
            raise SignInRequired(message, reason="session_ended")
        if entry.refresh_token is None:
            message = (
                f"Profile {self.profile!r} has no refresh token, and its {kind} token is used up. Sign in again; "
                "ask for the scope offline_access if the provider offers it."
            )
            raise SignInRequired(message, reason="no_refresh_token")
        if kind == "id" and not entry.id_token_renewable and self._fresh(entry, "access", rejected) is not None:
            message = f"This provider renews no ID token. Sign in again as profile {self.profile!r} to get one."
            raise SignInRequired(message, reason="id_token_not_renewable")

    # Signing out

    def _sign_out(self) -> Flow[SignOut]:
        with self._vault.lock(self.profile) as lock:
            try:
                yield from lock.acquire(self._clock, timeout_s=LOCK_TIMEOUT_S, unless=lambda: None)
                return (yield from self._revoked(self._entry()))
            except (UnavailableError, ProviderError, ConfigurationError) as error:
                return SignOut(revoked=False, problem=error.message, logout_url=None)
            finally:
                self._vault.forget(self.profile)

    def _revoked(self, entry: ProfileEntry) -> Flow[SignOut]:
        registration = self._registration(entry)
        metadata = yield from discover(registration, now=self._clock.now())
        offered = metadata.end_session_endpoint is not None
        logout_url = build_logout_url(metadata, client_id=entry.client_id) if offered else None
        if metadata.revocation_endpoint is None:
            return SignOut(revoked=False, problem=None, logout_url=logout_url)
        revoked: set[_Revocable] = set()
        problems: dict[_Revocable, str] = {}
        for kind, token in entry.revocable(now=self._clock.now()).items():
            request = build_revocation_request(
                metadata,
                registration.client_for(metadata),
                token,
                token_type_hint=kind,
                now=self._clock.now(),
                jti=self._entropy.token_urlsafe(16),
            )
            try:
                parse_revocation_response((yield from answer_to(request)), request=request, now=self._clock.now())
                revoked.add(kind)
            except UnavailableError as error:
                problems[kind] = error.message
                break  # the next question would wait as long
            except ProviderError as error:
                if not (isinstance(error, OAuthError) and error.error == "unsupported_token_type"):
                    problems[kind] = error.message
        main: _Revocable = "access_token" if entry.refresh_token is None else "refresh_token"
        return SignOut(
            revoked=main in revoked,
            problem=problems.get(main),
            logout_url=logout_url,
            access_token_revoked="access_token" in revoked,
        )

    # The way out

    async def _find_secret_aside(self) -> None:
        """Ask the keyring, which may take seconds, away from the event loop and before a lock is held."""
        entry = self._entry()
        if self._client_secret is None and entry.client_authentication in _SECRET_METHODS:
            self._client_secret = await aside(find_client_secret, entry.issuer, entry.client_id, None)

    def _registration(self, entry: ProfileEntry) -> Registration:
        method, secret, secret_method = entry.client_authentication, None, None
        if method == "client_secret_basic" or method == "client_secret_post":  # noqa: PLR1714 - which types understand
            secret_method = method
            secret = find_client_secret(entry.issuer, entry.client_id, self._client_secret)
        if secret_method is not None and secret is None:
            message = (
                f"The client of profile {self.profile!r} has a secret, which is never stored. Give it as client_secret "
                "or in DOORWARD_CLIENT_SECRET."
            )
            raise ConfigurationError(message, field="client_secret")
        if method == "private_key_jwt" and self._client_key is None:
            message = f"The client of profile {self.profile!r} signs its requests. Give its key as client_key."
            raise ConfigurationError(message, field="client_key")
        return Registration(
            issuer=entry.issuer,
            client_id=entry.client_id,
            client_secret=secret,
            client_key=self._client_key,
            secret_method=secret_method,
            scopes=entry.scopes,
            audience=entry.audience,
            resource=entry.resource,
            known_audiences=entry.known_audiences,
            insecure_loopback_http=entry.insecure_loopback_http,
        )

    def _transport(self) -> HttpClient:
        return HttpClient(insecure_loopback_http=self._entry().insecure_loopback_http)

    def _async_transport(self) -> AsyncHttpClient:
        return AsyncHttpClient(insecure_loopback_http=self._entry().insecure_loopback_http)


def _principal(entry: ProfileEntry, claims: Mapping[str, Any]) -> Principal:
    email, groups = claims.get("email"), claims.get("groups")
    return Principal(
        issuer=claims["iss"],
        subject=claims["sub"],
        audience=(entry.client_id,),
        email=email if isinstance(email, str) else None,
        email_verified=claims.get("email_verified") is True,
        groups=tuple(group for group in groups if isinstance(group, str)) if isinstance(groups, list) else (),
        scopes=entry.scopes if entry.granted_scopes is None else entry.granted_scopes,
        expires_at=entry.access_token_expires_at,
        claims=claims,
    )
