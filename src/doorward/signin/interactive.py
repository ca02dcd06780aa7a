"""Signing a person in: one flow from the question to a saved session, in their own browser or with a device code.

The flow: wait for any other sign-in of the profile, discover the provider, obtain tokens, prove the ID token, save. The
lock, the listener and the browser all belong to one call and are given back however it ends. What a caller may ask for
is ``sign_in``'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, InvalidResponse, OAuthError, SignInTimeout
from doorward.model import Pause, Secret
from doorward.protocol.authorization import build_authorization_request
from doorward.protocol.id_token import validate_id_token
from doorward.protocol.stronger.fapi import binds_by_certificate
from doorward.protocol.token_endpoint import build_code_request, parse_token_response
from doorward.record.noting import noting
from doorward.signin.callback import Question, await_callback, let_page_leave, only_a_code_reaches
from doorward.signin.cooldown import Cooldown
from doorward.signin.device import obtain_tokens_by_device
from doorward.signin.exchanges import (
    ask_plainly,
    ask_userinfo,
    discover,
    issuer_of,
    telling_clock_skew,
    verify_id_token,
)
from doorward.signin.held import who_of
from doorward.signin.loopback.listener import CallbackListener
from doorward.signin.providers import with_habits
from doorward.signin.refresh import LOCK_TIMEOUT_S
from doorward.signin.session import Session
from doorward.signin.stronger.proofs import Binding
from doorward.signin.stronger.pushing import must_push, push
from doorward.vault.entries import ProfileEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import HttpRequest, TokenSet
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.authorization import PendingSignIn, ValidatedCallback
    from doorward.protocol.client_auth import Client
    from doorward.protocol.id_token import IdTokenClaims
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.prompt import Prompt
    from doorward.signin.registration import Registration, Use
    from doorward.vault.lock import FileLock
    from doorward.vault.vault import Vault

__all__ = ["Mode", "SigningIn"]

Mode = Literal["auto", "browser", "device"]

_PORT_LOOK_S = 0.25

_NO_DEVICE_FLOW = {"invalid_client", "unauthorized_client", "unsupported_grant_type"}
"""Said where a provider offers the device flow, but not to this client."""


@dataclass(frozen=True, slots=True)
class SigningIn:
    """One sign-in: what is asked for, checked already, and the outside it happens in."""

    registration: Registration
    client_key_name: str | None
    profile: str
    mode: Mode
    ports: tuple[int, ...]
    redirect_uri: str
    timeout_s: float
    max_age_s: int | None
    parameters: Mapping[str, str]
    cool_down: bool
    prompt: Prompt
    vault: Vault
    clock: Clock
    entropy: Entropy
    started_at: float

    def flow(self) -> Flow[Session]:
        """Sign in, unless another sign-in of the same profile, waited for, has just done so."""
        with self.vault.lock(self.profile, purpose="sign_in") as lock:
            if not (yield from self._done_by_another(lock)):
                yield from self._ask_once()
        return Session(
            self.profile,
            client_secret=self.registration.client_secret,
            client_key=None if self.client_key_name else self.registration.client_key,  # by its name, it may change
            vault=self.vault,
            clock=self.clock,
            entropy=self.entropy,
        )

    def _done_by_another(self, lock: FileLock) -> Flow[bool]:
        """Wait until nobody else is asking the person the same; say whether they have answered meanwhile."""
        if lock.try_acquire():
            return False
        tell = getattr(self.prompt, "waiting_for_another", None)  # prompts made for 0.1 lack it
        if tell is not None:
            tell(self.profile, self.timeout_s)
        yield from lock.acquire(self.clock, timeout_s=self.timeout_s, unless=lambda: None)
        entry = self.vault.get(self.profile)
        return (
            entry is not None
            and entry.ended_at is None
            and self.max_age_s is None  # only an answer of its own shows how long ago the person signed in
            and not self.parameters  # and whether it is what they were asked
            and entry.created_at >= self.started_at
            and (entry.issuer, entry.client_id) == (self.registration.issuer, self.registration.client_id)
            and (entry.audience, entry.resource) == (self.registration.audience, self.registration.resource)
            and (
                self.registration.dpop == "auto" or (entry.dpop_key is not None) == (self.registration.dpop == "always")
            )
            and set(self.registration.scopes_for(entry.scopes, openid="openid" in entry.scopes)) <= set(entry.scopes)
        )

    def _ask_once(self) -> Flow[None]:
        cooldown = Cooldown(self.vault, self.profile, self.clock)
        if self.cool_down:
            cooldown.check()
        self.vault.check_room()  # nobody shall sign in for nothing
        about = {"profile": self.profile, "issuer": self.registration.issuer, "client_id": self.registration.client_id}
        try:
            with noting("sign_in", **about) as ended:
                yield from self._obtain_and_save()
                ended.update(who_of(self.vault.get(self.profile)))
        except SignInTimeout:
            cooldown.unanswered()
            raise
        cooldown.answered()

    def _obtain_and_save(self) -> Flow[None]:
        listener = None if self.mode == "device" else self._listener()  # its settings are checked before any request
        metadata = yield from discover(self.registration, now=self.clock.now())
        if "openid" in self._scopes(metadata):
            metadata.need("jwks_uri")  # nobody shall sign in for an ID token that can't be verified
        client = self.registration.client_for(metadata)
        binding = Binding(self._dpop(metadata, client), clock=self.clock, entropy=self.entropy)
        binding.heed(metadata)
        if listener is not None and not self._is_better_by_device(metadata):
            yield from self._by_browser(metadata, client, binding, listener)
            return
        try:
            yield from self._by_device(metadata, client, binding)
        except OAuthError as error:
            if listener is None or error.error not in _NO_DEVICE_FLOW:
                raise
            yield from self._by_browser(metadata, client, binding, listener)

    def _scopes(self, metadata: ProviderMetadata) -> tuple[str, ...]:
        return self.registration.scopes_for(metadata.scopes_supported, openid=metadata.openid)

    def _dpop(self, metadata: ProviderMetadata, client: Client) -> Use:
        """Say whether tokens are bound to a key. By the profile they must be bound; a certificate does it too."""
        by_key = self.registration.security_profile and not binds_by_certificate(metadata, client.authentication)
        return "always" if by_key else self.registration.dpop

    @property
    def _par(self) -> Use:
        return "always" if self.registration.security_profile else self.registration.par

    def _is_better_by_device(self, metadata: ProviderMetadata) -> bool:
        offered = metadata.device_authorization_endpoint is not None and self.registration.security_profile is None
        return offered and self.mode == "auto" and only_a_code_reaches(self.prompt)

    def _by_device(self, metadata: ProviderMetadata, client: Client, binding: Binding) -> Flow[None]:
        tokens = yield from obtain_tokens_by_device(
            self.registration,
            metadata,
            client,
            binding,
            max_age_s=self.max_age_s,
            parameters=self.parameters,
            prompt=self.prompt,
            timeout_s=self.timeout_s,
            clock=self.clock,
            entropy=self.entropy,
        )
        claims = yield from self._prove(tokens, metadata, nonce=None)
        yield from self._save(tokens, claims, client, metadata, binding, pending=None)

    def _listener(self) -> CallbackListener:
        asked = urlsplit(self.redirect_uri)
        return CallbackListener(
            clock=self.clock,
            entropy=self.entropy,
            path=asked.path or "/",
            host=asked.hostname,  # type: ignore[arg-type] # the listener checks it
            ports=(asked.port,) if asked.port else self.ports,
        )

    def _open(self, listener: CallbackListener) -> Flow[None]:
        """Take a port. Where a registered one is held by the sign-in of another profile, wait until that is over."""
        deadline = self.clock.monotonic() + self.timeout_s
        while True:
            try:
                listener.open()
            except ConfigurationError as error:
                late = self.clock.monotonic() > deadline
                if late or error.reason != "no_free_port" or not self.vault.others_sign_in(self.profile):
                    raise
            else:
                return
            yield Pause(_PORT_LOOK_S)

    def _by_browser(
        self, metadata: ProviderMetadata, client: Client, binding: Binding, listener: CallbackListener
    ) -> Flow[None]:
        """Authorization code flow. The browser learns of success only when the session is saved."""
        yield from self._open(listener)
        with listener:
            scopes = self._scopes(metadata)
            redirect_uri = listener.redirect_uri
            if not urlsplit(self.redirect_uri).path:
                redirect_uri = redirect_uri.removesuffix("/")
            url, pending = build_authorization_request(
                metadata,
                client_id=client.client_id,
                redirect_uri=redirect_uri,
                scopes=scopes,
                state=self.entropy.token_urlsafe(32),
                nonce=self.entropy.token_urlsafe(32),
                code_verifier=Secret(self.entropy.token_urlsafe(32)),
                audience=self.registration.audience,
                resource=self.registration.resource,
                max_age_s=self.max_age_s,
                dpop_jkt=binding.thumbprint,
                extra=tuple(with_habits(self.registration.habits, self.parameters, scopes).items()),
            )
            par = self._par
            pushed = yield from push(metadata, client, url, par=par, clock=self.clock, entropy=self.entropy)
            listener.set_authorization_url(pushed)
            question = Question(
                prompt=self.prompt,
                address=pushed if must_push(metadata, par) else url,  # carried by hand, what was pushed soon is too old
                redirect_uri=redirect_uri,
                device_offered=metadata.device_authorization_endpoint is not None,
                attended=self.mode == "browser" or self.prompt.attended,
            )
            question.open(listener.start_url)
            deadline = self.clock.monotonic() + self.timeout_s
            callback, validated = yield from await_callback(
                listener, pending, question, deadline=deadline, clock=self.clock
            )
            tokens = yield from self._redeem(validated, metadata, client, binding)
            claims = yield from self._prove(tokens, metadata, nonce=pending.nonce)
            yield from self._save(tokens, claims, client, metadata, binding, pending=pending)
            if callback is not None:
                callback.succeed()
                yield from let_page_leave(listener)

    def _redeem(
        self, validated: ValidatedCallback, metadata: ProviderMetadata, client: Client, binding: Binding
    ) -> Flow[TokenSet]:
        def question() -> HttpRequest:
            now, jti = self.clock.now(), self.entropy.token_urlsafe(16)
            return build_code_request(
                metadata, client, validated, now=now, jti=jti, resource=self.registration.resource
            )

        return (yield from binding.obtain(question, parse_token_response))

    def _prove(self, tokens: TokenSet, metadata: ProviderMetadata, *, nonce: str | None) -> Flow[IdTokenClaims | None]:
        """Validate the ID token; None only where none was asked for: then one that can't be verified is dropped."""
        asked = "openid" in self._scopes(metadata)
        if not asked and (tokens.id_token is None or metadata.jwks_uri is None):
            return None
        if tokens.id_token is None:
            message = "The provider gave no ID token though openid was asked for. Is this an OpenID provider?"
            raise InvalidResponse(message, reason="id_token_missing")
        signed = yield from verify_id_token(tokens.id_token, metadata, None, now=self.clock.now())
        with telling_clock_skew(tokens):
            return validate_id_token(
                signed,
                issuer=issuer_of(metadata, signed),
                client_id=self.registration.client_id,
                now=self.clock.now(),
                nonce=nonce,
                access_token=tokens.access_token.reveal(),
                max_age_s=self.max_age_s,
                known_audiences=self.registration.expected_audiences,
            )

    def _save(  # noqa: PLR0913 - all that a sign-in has come to
        self,
        tokens: TokenSet,
        claims: IdTokenClaims | None,
        client: Client,
        metadata: ProviderMetadata,
        binding: Binding,
        *,
        pending: PendingSignIn | None,
    ) -> Flow[None]:
        scopes, userinfo, proofs = self._scopes(metadata), None, binding.proofs
        certificate = self.registration.client_certificate
        if claims is not None:
            ask = ask_plainly if proofs is None else partial(proofs.ask, token=tokens.access_token)
            userinfo = yield from ask_userinfo(metadata, tokens, claims, scopes, now=self.clock.now(), ask=ask)
        entry = ProfileEntry(
            profile=self.profile,
            issuer=self.registration.issuer,
            client_id=self.registration.client_id,
            client_authentication=client.authentication.method,
            scopes=scopes,
            known_audiences=self.registration.known_audiences,
            audience=self.registration.audience,
            resource=self.registration.resource,
            insecure_loopback_http=self.registration.insecure_loopback_http,
            provider=self.registration.provider,
            redirect_uri=None if pending is None else pending.redirect_uri,
            created_at=self.clock.now(),
            access_token=tokens.access_token,
            access_token_issued_at=tokens.issued_at,
            access_token_expires_at=tokens.expires_at,
            granted_scopes=tokens.scopes,
            id_token=None if claims is None else tokens.id_token,
            id_token_issued_at=None if claims is None else claims.issued_at,
            id_token_expires_at=None if claims is None else claims.expires_at,
            id_token_renewable=claims is not None,
            nonce=None if pending is None else Secret(pending.nonce),
            claims=None if claims is None else dict(claims.claims),
            userinfo=userinfo,
            refresh_token=tokens.refresh_token,
            dpop_key=None if proofs is None else proofs.key.to_pem(),
            dpop_alg=None if proofs is None else proofs.key.alg,
            client_key_name=self.client_key_name,
            client_certificate=None if certificate is None else certificate[0],
            client_certificate_key=None if certificate is None else certificate[1],
            security_profile=self.registration.security_profile,
        )
        with self.vault.lock(self.profile) as lock:
            yield from lock.acquire(self.clock, timeout_s=LOCK_TIMEOUT_S, unless=lambda: None)
            self.vault.put(entry)
