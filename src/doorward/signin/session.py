"""A signed-in profile as a token source: reads the vault, refreshes when it must, and never loses what it has.

The order is always: lock, read again, refresh, save, release (decision 4). The vault is the only state: a session
object holds no token, so threads, tasks and processes see the same one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from doorward.errors import (
    ConfigurationError,
    ProviderError,
    SignInRequired,
    StoreError,
    UnavailableError,
)
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, aside, run
from doorward.model import Secret
from doorward.protocol.bearer import build_authorization_header
from doorward.record.noting import noting
from doorward.signin.held import Wanted, principal_of, registration_of, who_of
from doorward.signin.refresh import LOCK_TIMEOUT_S, refresh
from doorward.signin.registration import as_certificate, as_secret, find_client_secret
from doorward.signin.settings.profiles import how_to_sign_in
from doorward.signin.sign_out import SignOut, revoke
from doorward.signin.stronger.proofs import KeptProofs
from doorward.system import SystemClock, SystemEntropy
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.errors import DoorwardError
    from doorward.model import Principal, TokenKind
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.jwk import SigningKey
    from doorward.signin.registration import Registration
    from doorward.vault.entries import ProfileEntry

__all__ = ["Session", "open_session"]

_log = logging.getLogger("doorward.session")

_SECRET_METHODS = ("client_secret_basic", "client_secret_post")
_STILL_USABLE_S = 5.0
"""A token that can't be renewed is given out until this close to its end."""
_UNWRITABLE = ("read_only", "no_access")


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
        self._proofs = KeptProofs(clock=self._clock, entropy=self._entropy)

    def __repr__(self) -> str:
        return f"Session({self.profile!r})"

    def token(self, kind: TokenKind = "access", *, least_life_s: float = 0) -> str:
        """Return a token good for 5 more minutes (less where its whole life is under 10), refreshing if needed.

        One whose end the provider did not tell counts as good for an hour, if it can be renewed.

        Args:
            kind: ``"access"`` or ``"id"``.
            least_life_s: For how many seconds it has to be good, where that is longer.

        Raises:
            SignInRequired: The session has ended, or never gave such a token.
            UnavailableError: It must be refreshed and can't be now; what is stored is unchanged.
            ProviderError: The provider's answer can't be used; what is stored is unchanged.
            InvalidCredential: The new ID token does not hold; of the answer, only the refresh token was kept.
            ConfigurationError: ``kind`` is none, the client's secret or key is wanted and was not given, or the
                provider's tokens do not live for ``least_life_s``.
            VaultError: The vault can't be used as it is.
        """
        return self._run(Wanted(kind, least_life_s=least_life_s))

    async def atoken(self, kind: TokenKind = "access", *, least_life_s: float = 0) -> str:
        """Do as ``token`` does, without blocking the event loop on the network or a lock."""
        return await self._arun(Wanted(kind, least_life_s=least_life_s))

    def renew(self, rejected: str | None = None, kind: TokenKind = "access") -> str:
        """Return a token other than ``rejected``, such as one that a server has just refused.

        If another process has renewed it meanwhile, that one is returned and the provider is not asked.

        Args:
            rejected: The token that will not do; left out, the one in the vault.
            kind: ``"access"`` or ``"id"``.

        Raises the same as ``token``.
        """
        return self._run(self._other_than(rejected, kind))

    async def arenew(self, rejected: str | None = None, kind: TokenKind = "access") -> str:
        """Do as ``renew`` does, for asyncio."""
        return await self._arun(self._other_than(rejected, kind))

    def authorization(self, token: str, method: str, url: str, *, nonce: str | None = None) -> Mapping[str, str]:
        """Return the headers that have an API accept ``token``: with a proof of the key that it is bound to, if it is.

        A proof is good for one request. If the API answers 401 with ``use_dpop_nonce``, ask again with the nonce.

        Args:
            token: What ``token`` or ``renew`` has just given.
            method: The request's method.
            url: Its absolute URL.
            nonce: The last ``DPoP-Nonce`` that this API gave.

        Raises:
            SignInRequired: There is no session.
            VaultError: The vault can't be used as it is.

        Source: RFC 6750 section 2.1, RFC 9449 sections 7.1 and 9.
        """
        entry, given = self._entry(), Secret(token)
        proofs = None if given == entry.id_token else self._proofs.of(entry)
        if proofs is None:
            return {"Authorization": build_authorization_header(given)}
        return proofs.headers(given, method, url, nonce=nonce)

    @property
    def claims(self) -> Mapping[str, Any]:
        """The validated claims of the ID token; empty if the provider gave none.

        Where it lacked name, address or groups that were asked for, what the provider's UserInfo endpoint said of the
        same person at the sign-in stands beside them.
        """
        return self._entry().told

    @property
    def principal(self) -> Principal:
        """Who is signed in. The e-mail address is for display.

        Raises:
            SignInRequired: The provider gave no ID token, so nobody is known.
        """
        entry = self._entry()
        if entry.claims is None:
            message = (
                f"Profile {self.profile!r} has no ID token, so it names nobody. Sign in with the scope openid, if the "
                "provider speaks OpenID Connect; one that speaks OAuth alone tells nobody's name."
            )
            raise SignInRequired(message, reason="no_id_token")
        return principal_of(entry, entry.told)

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
            how = how_to_sign_in(self.profile, held=self._vault.names())
            message = f"Nobody is signed in as profile {self.profile!r}. {how}"
            raise SignInRequired(message, reason="no_session")
        return entry

    def _other_than(self, rejected: str | None, kind: TokenKind) -> Wanted:
        if rejected is None:
            held = self._entry().held(kind)[0]
            rejected = held.reveal() if held else None
        return Wanted(kind, rejected)

    def _fresh(self, entry: ProfileEntry, wanted: Wanted) -> str | None:
        return wanted.fresh(entry, now=self._clock.now())

    # Refreshing

    def _run(self, wanted: Wanted) -> str:
        token = self._fresh(self._entry(), wanted)
        if token is not None:
            return token
        with self._transport() as transport:
            return run(self._renewed(wanted), transport, self._clock)

    async def _arun(self, wanted: Wanted) -> str:
        token = self._fresh(self._entry(), wanted)
        if token is not None:
            return token
        await self._find_secret_aside()
        async with self._async_transport() as transport:
            return await arun(self._renewed(wanted), transport, self._clock)

    def _renewed(self, wanted: Wanted) -> Flow[str]:
        """Lock, read again, refresh, save, release. Whoever waits leaves as soon as another has done it."""
        lock = self._vault.lock(self.profile)
        try:
            token = yield from lock.acquire(
                self._clock,
                timeout_s=LOCK_TIMEOUT_S,
                unless=lambda: self._fresh(self._entry(), wanted),
            )
            if token is None:
                token = yield from self._refreshed_while_locked(wanted)
        except (UnavailableError, ProviderError, SignInRequired) as error:
            entry = self._vault.get(self.profile)
            least_s = max(wanted.least_life_s, _STILL_USABLE_S)
            now = self._clock.now()
            usable = wanted.usable(entry, now=now, at_least_s=least_s) if entry is not None else None
            if usable is None:
                if error.reason in _UNWRITABLE:
                    raise self._unwritable(error) from error
                raise
            _log.warning(
                "Profile %s was not refreshed (%s); its %s token is still good.", self.profile, error, wanted.kind
            )
            return usable
        finally:
            lock.release()
        return token

    def _unwritable(self, error: DoorwardError) -> StoreError:
        message = (
            f"Profile {self.profile!r} has to be renewed, and what the provider gives could not be kept. "
            f"{error.message} Or renew it where the vault can be written: doorward token --profile {self.profile}."
        )
        return StoreError(message, reason=error.reason)

    def _refreshed_while_locked(self, wanted: Wanted) -> Flow[str]:
        entry, kind = self._entry(), wanted.kind
        token = self._fresh(entry, wanted)
        if token is None:
            self._check_refreshable(entry, wanted)
            registration = self._registration(entry)
            entry = yield from refresh(
                entry,
                registration,
                vault=self._vault,
                clock=self._clock,
                entropy=self._entropy,
                proofs=self._proofs.of(entry),
            )
            now = self._clock.now()
            token = wanted.usable(entry, now=now, at_least_s=0)  # however short the life the provider gave it
            if token is not None and wanted.usable(entry, now=now, at_least_s=wanted.least_life_s) is None:
                message = (
                    f"The provider's new {kind} token for profile {self.profile!r} does not live for the "
                    f"{wanted.least_life_s:g} s of least_life_s. Ask for less."
                )
                raise ConfigurationError(message, field="least_life_s", reason="life_too_short")
        if token is None:
            message = f"The provider gave no new {kind} token for profile {self.profile!r}. Sign in again."
            raise SignInRequired(message, reason=f"{kind}_token_not_renewed")
        return token

    def _check_refreshable(self, entry: ProfileEntry, wanted: Wanted) -> None:
        kind = wanted.kind
        if entry.ended_at is not None:
            message = f"The provider has ended the session of profile {self.profile!r}. Sign in again: {self._login}."
            raise SignInRequired(message, reason="session_ended")
        if entry.refresh_token is None:
            message = (
                f"Profile {self.profile!r} has no refresh token, and its {kind} token will not do any longer. Sign in "
                "again; ask for the scope offline_access if the provider offers it. Some give one only after a new "
                "consent: then sign in with prompt='consent' (--prompt consent)."
            )
            raise SignInRequired(message, reason="no_refresh_token")
        if kind == "id" and not entry.id_token_renewable and self._fresh(entry, Wanted("access")) is not None:
            message = f"This provider renews no ID token. Sign in again as profile {self.profile!r} to get one."
            raise SignInRequired(message, reason="id_token_not_renewable")

    # Signing out

    def _sign_out(self) -> Flow[SignOut]:
        with noting("sign_out", profile=self.profile, **who_of(self._entry())) as ended:
            done = yield from self._revoke_and_forget()
            ended["result"] = "revoked" if done.revoked else "not_revoked"
            return done

    def _revoke_and_forget(self) -> Flow[SignOut]:
        with self._vault.lock(self.profile) as lock:
            try:
                yield from lock.acquire(self._clock, timeout_s=LOCK_TIMEOUT_S, unless=lambda: None)
                entry = self._entry()
                return (yield from revoke(entry, self._registration(entry), clock=self._clock, entropy=self._entropy))
            except (UnavailableError, ProviderError, ConfigurationError) as error:
                return SignOut(revoked=False, problem=error.message, logout_url=None)
            finally:
                self._vault.forget(self.profile)

    # The way out

    async def _find_secret_aside(self) -> None:
        """Ask the keyring, which may take seconds, away from the event loop and before a lock is held."""
        entry = self._entry()
        if self._client_secret is None and entry.client_authentication in _SECRET_METHODS:
            self._client_secret = await aside(find_client_secret, entry.issuer, entry.client_id, None)

    def _registration(self, entry: ProfileEntry) -> Registration:
        return registration_of(entry, client_secret=self._client_secret, client_key=self._client_key, vault=self._vault)

    def _transport(self) -> HttpClient:
        entry = self._entry()
        certificate = as_certificate(entry.client_certificate, entry.client_certificate_key)
        return HttpClient(insecure_loopback_http=entry.insecure_loopback_http, client_certificate=certificate)

    def _async_transport(self) -> AsyncHttpClient:
        entry = self._entry()
        certificate = as_certificate(entry.client_certificate, entry.client_certificate_key)
        return AsyncHttpClient(insecure_loopback_http=entry.insecure_loopback_http, client_certificate=certificate)
