"""One refresh of one entry: ask, check, save. The caller holds the profile's refresh lock and has read the entry anew.

What the provider has replaced must be in the vault before anything else can fail: a new refresh token is saved even if
what came with it is refused, and an outage leaves every token as it is.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import msgspec

from doorward.errors import (
    DoorwardError,
    InvalidCredential,
    InvalidResponse,
    OAuthError,
    ProviderError,
    ProviderUnavailable,
    SignInRequired,
    StoreError,
    UnavailableError,
)
from doorward.protocol.id_token import validate_refreshed_id_token
from doorward.protocol.token_endpoint import (
    build_refresh_request,
    ended_session,
    needs_interaction,
    parse_token_response,
    renewed_by_signing_in,
    salvage_refresh_token,
)
from doorward.record.noting import noting
from doorward.signin.exchanges import ask_plainly, discover, fetch_keys, issuer_of, telling_clock_skew, verify_id_token
from doorward.signin.held import who_of
from doorward.signin.providers import STANDARD

if TYPE_CHECKING:
    from doorward.model import HttpRequest, Secret, TokenSet
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.id_token import IdTokenClaims
    from doorward.protocol.jwk import JwkSet
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.registration import Registration
    from doorward.signin.stronger.proofs import Proofs
    from doorward.vault.entries import ProfileEntry
    from doorward.vault.vault import Vault

__all__ = ["LOCK_TIMEOUT_S", "refresh"]

_log = logging.getLogger("doorward.refresh")

LOCK_TIMEOUT_S = 180.0
"""Longer than a refresh can need: metadata, keys, tokens, once more tokens and keys take 30 s each, a keyring 5."""

_BAD_REQUEST = 400
_FIRST_BACKOFF_S = 2.0
_LONGEST_BACKOFF_S = 300.0


def refresh(  # noqa: PLR0913 - what is renewed, and the outside it happens in
    entry: ProfileEntry,
    registration: Registration,
    *,
    vault: Vault,
    clock: Clock,
    entropy: Entropy,
    proofs: Proofs | None = None,
) -> Flow[ProfileEntry]:
    """Ask for new tokens and save them.

    Args:
        entry: What the vault holds now, with a refresh token.
        registration: The client it belongs to, with its secret or key.
        vault: Where to save.
        clock: For lifetimes and backoff.
        entropy: For client assertions.
        proofs: Of the key that the entry's tokens are bound to.

    Returns:
        The entry as saved.

    Raises:
        SignInRequired: The provider ended the session (decision 5), or wants to see the person.
        UnavailableError: An outage, or too soon after the last one; the tokens are as they were.
        ProviderError: A wrong answer; the tokens are as they were.
        InvalidCredential: An ID token that does not hold; of the answer, only the refresh token was kept.

    Source: RFC 6749 section 6, OIDC Core section 12.
    """
    wait_s = (entry.retry_at or 0.0) - clock.now()
    if 0 < wait_s <= _LONGEST_BACKOFF_S:
        message = (
            f"Profile {entry.profile!r} could not be refreshed. The session is kept, and refreshing it is tried again "
            f"in {wait_s:.0f} s at the soonest."
        )
        raise ProviderUnavailable(message, reason="backing_off", retry_after_s=wait_s)
    with noting("renewal", profile=entry.profile, **who_of(entry)):
        return (yield from _Refresh(entry, registration, vault, clock, entropy, proofs).flow())


@dataclass(frozen=True, slots=True)
class _Refresh:
    entry: ProfileEntry
    registration: Registration
    vault: Vault
    clock: Clock
    entropy: Entropy
    proofs: Proofs | None

    def flow(self) -> Flow[ProfileEntry]:
        self._put(self.entry)  # a vault that can't be written is found out before the refresh token is spent
        try:
            metadata = yield from discover(self.registration, now=self.clock.now())
            keys = (yield from fetch_keys(metadata, now=self.clock.now())) if self._wants_keys else None
            entry, tokens = yield from self._exchange(metadata)
        except (UnavailableError, ProviderError) as error:
            self._back_off(self.vault.get(self.entry.profile) or self.entry, error)
            raise
        return (yield from self._save(entry, tokens, metadata, keys))

    @property
    def _wants_keys(self) -> bool:
        """Whether an ID token may come: its keys are fetched before the refresh token is spent."""
        return self.entry.id_token is not None or "openid" in self.entry.scopes

    def _exchange(self, metadata: ProviderMetadata) -> Flow[tuple[ProfileEntry, TokenSet]]:
        """Ask for tokens; return them, and the entry with what was learnt on the way."""
        entry = self.entry
        repeats = self.registration.habits.redirect_uri_on_refresh or entry.redirect_uri_on_refresh
        try:
            return entry, (yield from self._ask(metadata, redirect_uri=entry.redirect_uri if repeats else None))
        except OAuthError as error:
            refusal = error
        if self._may_want_redirect_uri(refusal):
            with suppress(OAuthError):  # what the plain request was told counts
                tokens = yield from self._ask(metadata, redirect_uri=entry.redirect_uri)
                return replace(entry, redirect_uri_on_refresh=True), tokens
        self._refuse(refusal)

    def _may_want_redirect_uri(self, error: OAuthError) -> bool:
        """Say whether this refusal may mean that the redirect URI is to be repeated, as GitLab wants it (decision 5).

        Only of a provider that nobody knows, and before any refresh has worked: later it would be a guess at a token
        that has ended.
        """
        unknown = self.registration.habits is STANDARD and not self.entry.redirect_uri_on_refresh
        first = self.entry.refreshed_at is None and self.entry.redirect_uri is not None
        return unknown and first and error.error == "invalid_grant"

    def _ask(self, metadata: ProviderMetadata, *, redirect_uri: str | None) -> Flow[TokenSet]:
        entry = self.entry
        assert entry.refresh_token is not None  # noqa: S101 - the caller's part of the contract
        refresh_token = entry.refresh_token

        def question() -> HttpRequest:
            request = build_refresh_request(
                metadata,
                self.registration.client_for(metadata),
                refresh_token,
                now=self.clock.now(),
                jti=self.entropy.token_urlsafe(16),
                scopes=entry.scopes if self.registration.habits.scope_on_refresh else None,
                redirect_uri=redirect_uri,
                audience=entry.audience,
                resource=entry.resource,
            )
            return msgspec.structs.replace(request, irrevocable=True)

        request, response = yield from (self.proofs.ask if self.proofs else ask_plainly)(question)
        try:
            return parse_token_response(response, request=request, now=self.clock.now(), bound=self.proofs is not None)
        except InvalidResponse as error:
            rotated = salvage_refresh_token(response)
            if rotated is not None:  # the answer is of no use, but the old refresh token is gone all the same
                self._put(replace(entry, refresh_token=rotated))
            if response.status == _BAD_REQUEST:
                self._back_off(entry, error)
                message = f"Profile {entry.profile!r} was not renewed. {error.message} The token is kept."
                raise SignInRequired(message, reason="refresh_refused") from error
            raise

    def _refuse(self, error: OAuthError) -> NoReturn:
        """Keep what a refusal of this endpoint means (another one's word ends no session), and raise it."""
        entry = self.entry
        if ended_session(error):
            self._put(replace(entry, refresh_token=None, ended_at=self.clock.now(), ended_reason=error.error))
            message = f"The provider has ended the session of profile {entry.profile!r}. Sign in again."
            raise SignInRequired(message, reason="session_ended") from error
        if needs_interaction(error):
            self._back_off(entry, error)
            message = f"The provider wants to see the person behind profile {entry.profile!r}. Sign in again."
            raise SignInRequired(message, reason="interaction_required") from error
        if renewed_by_signing_in(error):
            self._back_off(entry, error)
            message = (
                f"The provider does not renew profile {entry.profile!r}: {error.message} Most likely its refresh "
                "token is no longer good. It is kept; sign in again."
            )
            raise SignInRequired(message, reason="refresh_refused") from error
        raise error

    def _save(
        self, entry: ProfileEntry, tokens: TokenSet, metadata: ProviderMetadata, keys: JwkSet | None
    ) -> Flow[ProfileEntry]:
        renewed = replace(
            entry,
            refresh_token=tokens.refresh_token or self.entry.refresh_token,
            refreshed_at=tokens.issued_at,
        )
        if tokens.id_token is None:
            renewed = replace(renewed, id_token_renewable=False)
        else:
            self._put(renewed)  # now: the check may fetch keys anew, and be cancelled or killed meanwhile
            try:
                claims = yield from self._validated(tokens.id_token, tokens, metadata, keys)
            except InvalidCredential as error:
                self._back_off(renewed, error)
                raise
            except (UnavailableError, ProviderError) as error:  # its key is not to be had now: the old ID token stays
                _log.warning("The new ID token of profile %s could not be verified: %s", self.entry.profile, error)
            else:
                renewed = replace(
                    renewed,
                    id_token=tokens.id_token,
                    id_token_issued_at=claims.issued_at,
                    id_token_expires_at=claims.expires_at,
                    id_token_renewable=True,
                    claims=dict(claims.claims),
                )
        renewed = replace(
            renewed,
            access_token=tokens.access_token,
            access_token_issued_at=tokens.issued_at,
            access_token_expires_at=tokens.expires_at,
            granted_scopes=self.entry.granted_scopes if tokens.scopes is None else tokens.scopes,
            failures=0,
            retry_at=None,
        )
        self._put(renewed)
        return renewed

    def _validated(
        self, id_token: Secret, tokens: TokenSet, metadata: ProviderMetadata, keys: JwkSet | None
    ) -> Flow[IdTokenClaims]:
        entry = self.entry
        signed = yield from verify_id_token(id_token, metadata, keys, now=self.clock.now())
        with telling_clock_skew(tokens):
            return validate_refreshed_id_token(
                signed,
                issuer=issuer_of(metadata, signed) if entry.claims is None else entry.claims["iss"],
                client_id=entry.client_id,
                now=self.clock.now(),
                previous_subject=None if entry.claims is None else entry.claims["sub"],
                nonce=None if entry.nonce is None else entry.nonce.reveal(),
                access_token=tokens.access_token.reveal(),
                known_audiences=self.registration.expected_audiences,
            )

    def _put(self, entry: ProfileEntry) -> None:
        """Save, unless the profile was signed out, signed in anew or refreshed meanwhile: nothing newer is undone."""
        held = self.vault.get(entry.profile)
        if held is None or held.created_at != entry.created_at:
            message = f"Profile {entry.profile!r} was signed out while it was being refreshed. Sign in again."
            raise SignInRequired(message, reason="signed_out_meanwhile")
        if held.refresh_token not in (self.entry.refresh_token, entry.refresh_token):
            message = f"Somebody else has refreshed profile {entry.profile!r} meanwhile, without its lock. Try again."
            raise StoreError(message, reason="refreshed_meanwhile")
        self.vault.put(entry)

    def _back_off(self, entry: ProfileEntry, error: DoorwardError) -> None:
        wait_s = min(_FIRST_BACKOFF_S * 2 ** min(entry.failures, 10), _LONGEST_BACKOFF_S)
        asked_s = error.retry_after_s if isinstance(error, UnavailableError) else None
        wait_s = max(wait_s, min(asked_s or 0.0, _LONGEST_BACKOFF_S))
        self._put(replace(entry, failures=entry.failures + 1, retry_at=self.clock.now() + wait_s))
