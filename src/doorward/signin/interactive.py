"""Signing a person in: one flow from the question to a saved session, in their own browser or with a device code.

The flow: wait for any other sign-in of the profile, discover the provider, obtain tokens, prove the ID token, save. The
lock, the listener and the browser all belong to one call and are given back however it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, InvalidResponse, SignInTimeout, printable
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, run
from doorward.model import Secret
from doorward.protocol.authorization import build_authorization_request
from doorward.protocol.id_token import validate_id_token
from doorward.protocol.reading.urls import url_flaw
from doorward.protocol.token_endpoint import build_code_request, parse_token_response
from doorward.signin.callback import Question, await_callback, let_page_leave
from doorward.signin.cooldown import Cooldown
from doorward.signin.device import obtain_tokens_by_device
from doorward.signin.exchanges import answer_to, discover, issuer_of, telling_clock_skew, verify_id_token
from doorward.signin.loopback.listener import CallbackListener
from doorward.signin.loopback.sockets import ADDRESSES
from doorward.signin.prompt import TerminalPrompt
from doorward.signin.providers import habits_of
from doorward.signin.refresh import LOCK_TIMEOUT_S
from doorward.signin.registration import DEFAULT_SCOPES, Registration, as_scopes, as_secret
from doorward.signin.session import Session
from doorward.system import SystemClock, SystemEntropy
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.model import TokenSet
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.authorization import PendingSignIn, ValidatedCallback
    from doorward.protocol.client_auth import Client
    from doorward.protocol.id_token import IdTokenClaims
    from doorward.protocol.jwk import SigningKey
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.prompt import Prompt
    from doorward.signin.registration import SecretMethod
    from doorward.vault.lock import FileLock

__all__ = ["Mode", "SignInOptions", "asign_in", "sign_in"]

Mode = Literal["auto", "browser", "device"]


class SignInOptions(TypedDict, total=False):
    """What ``sign_in`` and ``asign_in`` take besides issuer and client_id. All may be left out.

    Attributes:
        client_secret: The secret of a confidential client. Never stored.
        client_key: The key of a client that signs assertions (``private_key_jwt``). Never stored.
        secret_method: ``"client_secret_basic"`` or ``"client_secret_post"``; left out, what the provider lists first.
        scopes: What to ask for, exactly. Left out: openid, email, profile and offline_access, as far as the provider
            lists them.
        audience: The ``audience`` parameter, where the provider wants one.
        resource: The ``resource`` parameter (RFC 8707).
        profile: The name the session is kept under.
        mode: ``"device"``: a code to enter on any device. ``"auto"``: the browser; where none opens, the address in
            words if somebody is at a terminal. ``"browser"``: the same, and in words wherever this runs.
        ports: Callback ports to try in this order; left out, any free one.
        redirect_uri: The loopback redirect URI as registered, without its port; left out, the provider's habit.
        timeout_s: How long to wait for the person, 1 to 3600 seconds.
        max_age_s: Ask the provider for a sign-in no older than this.
        insecure_loopback_http: Allow http to loopback addresses, for development.
        cool_down: Refuse to ask again soon after a sign-in that nobody answered (``reason="cooling_down"``). Switch it
            off only where a person has just asked for this sign-in.
        prompt: How to speak to the person; left out, plain lines on standard error.
        vault: Another vault than the default one.
        clock: For tests.
        entropy: For tests.
    """

    client_secret: Secret | str | None
    client_key: SigningKey | None
    secret_method: SecretMethod | None
    scopes: Sequence[str]
    audience: str | None
    resource: str | None
    profile: str
    mode: Mode
    ports: Sequence[int]
    redirect_uri: str | None
    timeout_s: float
    max_age_s: int | None
    insecure_loopback_http: bool
    cool_down: bool
    prompt: Prompt
    vault: Vault
    clock: Clock
    entropy: Entropy


def sign_in(issuer: str, client_id: str, **options: Unpack[SignInOptions]) -> Session:
    """Sign a person in and keep the session in the vault.

    Args:
        issuer: The issuer URL, exactly as the provider writes it.
        client_id: The client identifier registered there.
        **options: See ``SignInOptions``.

    Returns:
        The session, from which ``token()`` gives access tokens from now on.

    Raises:
        ConfigurationError: An argument is wrong; ``field`` names it.
        SignInError: The person said no, did not answer in time, or nobody is there to ask.
        InvalidCredential: The provider's ID token does not hold; the class says which rule.
        ProviderError: The provider answered wrongly.
        UnavailableError: The provider could not be reached, or another process is signing this profile in for too long.
        VaultError: The vault can't be used as it is.

    Source: OIDC Core 3.1, RFC 6749 4.1, RFC 7636, RFC 8252, RFC 8628, RFC 9207.
    """
    signing_in = _SignIn.of(issuer, client_id, options)
    with HttpClient(insecure_loopback_http=signing_in.registration.insecure_loopback_http) as transport:
        return run(signing_in.flow(), transport, signing_in.clock)


async def asign_in(issuer: str, client_id: str, **options: Unpack[SignInOptions]) -> Session:
    """Do as ``sign_in`` does, without blocking the event loop."""
    signing_in = _SignIn.of(issuer, client_id, options)
    async with AsyncHttpClient(insecure_loopback_http=signing_in.registration.insecure_loopback_http) as transport:
        return await arun(signing_in.flow(), transport, signing_in.clock)


@dataclass(frozen=True, slots=True)
class _SignIn:
    """One sign-in: what is asked for, and the outside it happens in."""

    registration: Registration
    profile: str
    mode: Mode
    ports: tuple[int, ...]
    redirect_uri: str
    timeout_s: float
    max_age_s: int | None
    cool_down: bool
    prompt: Prompt
    vault: Vault
    clock: Clock
    entropy: Entropy
    started_at: float

    @classmethod
    def of(cls, issuer: str, client_id: str, options: SignInOptions) -> _SignIn:
        unknown = options.keys() - SignInOptions.__optional_keys__
        if unknown:  # one left unheeded could be max_age_s, misspelt
            name = printable(min(unknown))
            message = f"There is no option {name!r} to a sign-in: see SignInOptions for those there are."
            raise ConfigurationError(message, field=name, reason="unknown_option")
        registration = Registration(
            issuer=issuer,
            client_id=client_id,
            client_secret=as_secret(options.get("client_secret")),
            client_key=options.get("client_key"),
            secret_method=options.get("secret_method"),
            scopes=as_scopes(options.get("scopes", DEFAULT_SCOPES)),
            audience=options.get("audience"),
            resource=options.get("resource"),
            insecure_loopback_http=options.get("insecure_loopback_http", False),
        )
        mode = options.get("mode", "auto")
        if mode not in ("auto", "browser", "device"):
            raise ConfigurationError("mode must be 'auto', 'browser' or 'device'.", field="mode")
        timeout_s = options.get("timeout_s", 300)
        if not 1 <= timeout_s <= 3600:  # noqa: PLR2004 - the documented range
            raise ConfigurationError("timeout_s must be between 1 and 3600 seconds.", field="timeout_s")
        redirect_uri = options.get("redirect_uri") or habits_of(issuer).redirect_uri
        if url_flaw(redirect_uri, loopback_http=True) or not _is_ours(redirect_uri):
            message = (
                "redirect_uri must be http on 127.0.0.1, [::1] or localhost, without a query, such as "
                "http://127.0.0.1/callback."
            )
            raise ConfigurationError(message, field="redirect_uri", reason="redirect_uri_not_loopback")
        clock = options.get("clock") or SystemClock()
        return cls(
            registration=registration,
            profile=options.get("profile", "default"),
            mode=mode,
            ports=tuple(options.get("ports", ())),
            redirect_uri=redirect_uri,
            timeout_s=timeout_s,
            max_age_s=options.get("max_age_s"),
            cool_down=options.get("cool_down", True),
            prompt=options.get("prompt") or TerminalPrompt(),
            vault=options.get("vault") or Vault(clock=clock),
            clock=clock,
            entropy=options.get("entropy") or SystemEntropy(),
            started_at=clock.now(),
        )

    def flow(self) -> Flow[Session]:
        """Sign in, unless another sign-in of the same profile, waited for, has just done so."""
        with self.vault.lock(self.profile, purpose="sign_in") as lock:
            if not (yield from self._done_by_another(lock)):
                yield from self._ask_once()
        return Session(
            self.profile,
            client_secret=self.registration.client_secret,
            client_key=self.registration.client_key,
            vault=self.vault,
            clock=self.clock,
            entropy=self.entropy,
        )

    def _done_by_another(self, lock: FileLock) -> Flow[bool]:
        """Wait until nobody else is asking the person the same; say whether they have answered meanwhile."""
        if lock.try_acquire():
            return False
        yield from lock.acquire(self.clock, timeout_s=self.timeout_s, unless=lambda: None)
        entry = self.vault.get(self.profile)
        return (
            entry is not None
            and entry.ended_at is None
            and self.max_age_s is None  # only an answer of its own shows how long ago the person signed in
            and entry.created_at >= self.started_at
            and (entry.issuer, entry.client_id) == (self.registration.issuer, self.registration.client_id)
            and (entry.audience, entry.resource) == (self.registration.audience, self.registration.resource)
            and set(self.registration.scopes_for(entry.scopes)) <= set(entry.scopes)
        )

    def _ask_once(self) -> Flow[None]:
        cooldown = Cooldown(self.vault, self.profile, self.clock)
        if self.cool_down:
            cooldown.check()
        try:
            yield from self._obtain_and_save()
        except SignInTimeout:
            cooldown.unanswered()
            raise
        cooldown.answered()

    def _obtain_and_save(self) -> Flow[None]:
        listener = None if self.mode == "device" else self._listener()  # its settings are checked before any request
        metadata = yield from discover(self.registration, now=self.clock.now())
        client = self.registration.client_for(metadata)
        if listener is not None:
            yield from self._by_browser(metadata, client, listener)
            return
        tokens = yield from obtain_tokens_by_device(
            self.registration,
            metadata,
            client,
            prompt=self.prompt,
            timeout_s=self.timeout_s,
            clock=self.clock,
            entropy=self.entropy,
        )
        claims = yield from self._prove(tokens, metadata, nonce=None)
        yield from self._save(tokens, claims, client, metadata, pending=None)

    def _listener(self) -> CallbackListener:
        asked = urlsplit(self.redirect_uri)
        return CallbackListener(
            clock=self.clock,
            entropy=self.entropy,
            path=asked.path or "/",
            host=asked.hostname,  # type: ignore[arg-type] # the listener checks it
            ports=(asked.port,) if asked.port else self.ports,
        )

    def _by_browser(self, metadata: ProviderMetadata, client: Client, listener: CallbackListener) -> Flow[None]:
        """Authorization code flow. The browser learns of success only when the session is saved."""
        with listener:
            habits = habits_of(self.registration.issuer)
            scopes = self.registration.scopes_for(metadata.scopes_supported)
            consent = "offline_access" in scopes and habits.consent_for_offline_access
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
                prompt=habits.prompt or ("consent" if consent else None),
                max_age_s=self.max_age_s,
                extra=tuple(habits.authorization_parameters.items()),
            )
            listener.set_authorization_url(url)
            question = Question(
                prompt=self.prompt,
                address=url,
                redirect_uri=redirect_uri,
                device_offered=metadata.device_authorization_endpoint is not None,
                attended=self.mode == "browser" or self.prompt.attended,
            )
            question.open(listener.start_url)
            deadline = self.clock.monotonic() + self.timeout_s
            callback, validated = yield from await_callback(
                listener, pending, question, deadline=deadline, clock=self.clock
            )
            tokens = yield from self._redeem(validated, metadata, client)
            claims = yield from self._prove(tokens, metadata, nonce=pending.nonce)
            yield from self._save(tokens, claims, client, metadata, pending=pending)
            if callback is not None:
                callback.succeed()
                yield from let_page_leave(listener)

    def _redeem(self, validated: ValidatedCallback, metadata: ProviderMetadata, client: Client) -> Flow[TokenSet]:
        request = build_code_request(
            metadata,
            client,
            validated,
            now=self.clock.now(),
            jti=self.entropy.token_urlsafe(16),
            resource=self.registration.resource,
        )
        response = yield from answer_to(request)
        return parse_token_response(response, request=request, now=self.clock.now())

    def _prove(self, tokens: TokenSet, metadata: ProviderMetadata, *, nonce: str | None) -> Flow[IdTokenClaims | None]:
        """Validate the ID token; None only where none was asked for."""
        if tokens.id_token is None:
            if "openid" not in self.registration.scopes:
                return None
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
            )

    def _save(
        self,
        tokens: TokenSet,
        claims: IdTokenClaims | None,
        client: Client,
        metadata: ProviderMetadata,
        *,
        pending: PendingSignIn | None,
    ) -> Flow[None]:
        entry = ProfileEntry(
            profile=self.profile,
            issuer=self.registration.issuer,
            client_id=self.registration.client_id,
            client_authentication=client.authentication.method,
            scopes=self.registration.scopes_for(metadata.scopes_supported),
            audience=self.registration.audience,
            resource=self.registration.resource,
            insecure_loopback_http=self.registration.insecure_loopback_http,
            redirect_uri=None if pending is None else pending.redirect_uri,
            created_at=self.clock.now(),
            access_token=tokens.access_token,
            access_token_issued_at=tokens.issued_at,
            access_token_expires_at=tokens.expires_at,
            granted_scopes=tokens.scopes,
            id_token=tokens.id_token,
            id_token_issued_at=None if claims is None else claims.issued_at,
            id_token_expires_at=None if claims is None else claims.expires_at,
            id_token_renewable=claims is not None,
            nonce=None if pending is None else Secret(pending.nonce),
            claims=None if claims is None else dict(claims.claims),
            refresh_token=tokens.refresh_token,
        )
        with self.vault.lock(self.profile) as lock:
            yield from lock.acquire(self.clock, timeout_s=LOCK_TIMEOUT_S, unless=lambda: None)
            self.vault.put(entry)


def _is_ours(redirect_uri: str) -> bool:
    """Whether the listener can stand there: it speaks http, on loopback alone."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in ADDRESSES
