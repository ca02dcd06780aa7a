"""Asking the issuer about a token (RFC 7662): an opaque one, or a signed one where a signature alone is not enough.

Its answers are cached here for a moment; refusals apart, so that they never evict what was accepted. A failure to ask
is an outage of ours, never a verdict on the token. What must hold of an answer stands in ``answer``.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from doorward.errors import (
    ConfigurationError,
    DoorwardError,
    Inactive,
    InvalidCredential,
    Malformed,
    OAuthError,
    ProviderError,
    ProviderUnavailable,
    UnavailableError,
    UnknownIssuer,
    printable,
)
from doorward.guard.cache import BoundedCache, digester
from doorward.guard.introspection.answer import Introspected, Rules
from doorward.guard.introspection.checks import check_client, names, seconds
from doorward.guard.introspection.outage import Outage
from doorward.guard.issuers.discovery import OneDeadline, discover
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.work import Job, Workers, renew_after_fork
from doorward.http.client import HttpClient, load
from doorward.model import Secret
from doorward.protocol.client_auth import Client, SecretBasic, SecretPost, choose_authentication
from doorward.protocol.endpoints import build_introspection_request, parse_introspection_response
from doorward.protocol.metadata import IssuerMetadata
from doorward.protocol.reading.urls import FLAWS, url_flaw
from doorward.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, Literal

    from doorward.guard.issuers.required_claims import RequiredClaims
    from doorward.guard.work import Work
    from doorward.ports import Clock, Entropy
    from doorward.protocol.jwk import SigningKey

__all__ = ["Introspected", "Introspection"]

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_CACHE_SIZE = 1000
_REFUSED_FOR_S = 5.0
_METADATA_FOR_S = 3600.0
_PLACES = 64
"""How many questions may wait for a thread. A quarter is kept for tokens that were good before."""
_LANE_BYTES = 6
"""IPv6 waits by /48, as one site is given. An IPv4 address has four bytes, and a lane of its own."""
_OUR_FAULT = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class _Refused:
    kind: type[InvalidCredential]
    message: str
    reason: str
    good_until: float


class Introspection:
    """Asks one issuer about tokens. Safe to share between threads and tasks.

    A token goes to its issuer's endpoint only, and each token once at a time. Every question needs a connection of its
    own (decision 8), so an answer is used again for ``cache_ttl_s``: that long a token that its issuer has revoked may
    still be taken.

    Args:
        issuer: the issuer exactly as it writes itself.
        client_id: what this service is registered as there.
        client_secret: its secret, or
        client_key: the key that it signs assertions with (``private_key_jwt``).
        secret_method: how the secret is sent, where the issuer's metadata does not lead to the right way.
        audiences: the names of this service; a token must be meant for one of them. Without any, the issuer has to say
            that it is an access token (``token_type``), and one meant for any other service of that issuer is accepted:
            give them wherever the issuer tells ``aud``.
        client_ids: the clients whose tokens are meant for this service, for an issuer that tells no ``aud``. With both,
            an answer that has ``aud`` is held against ``audiences``, and any other against these.
        endpoint: the introspection endpoint, where the issuer's metadata does not name it.
        for_scopes: scopes of high privilege. Where one of these is required, it is asked each time, and about a JWT
            too. The issuer has to be able to introspect its JWTs: some (node oidc-provider) answer that they are not
            active, or refuse.
        cache_ttl_s: how long an answer is used again, never past ``exp``.
        for_scopes_ttl_s: the same where ``for_scopes`` is why it is asked; 0 to ask each time.
        leeway_s: how far the issuer's clock may differ.
        timeout_s: for one question, discovery included.
        trust_email: as in ``Issuer``, for the policy; so are the next three.
        profile: see there.
        groups_claim: see there.
        scope_claims: see there.
        subject_claim: see there; of the issuer's answer, where that has no ``sub``.
        required_claims: see there; held against the issuer's answer.
        insecure_loopback_http: allow http to loopback addresses, for development.
        clock: for tests.
        entropy: for tests.

    Raises:
        ConfigurationError: a setting is wrong; ``field`` names it.
    """

    def __init__(  # noqa: PLR0913 - settings, by keyword, each with a default
        self,
        issuer: str,
        client_id: str,
        *,
        client_secret: Secret | str | None = None,
        client_key: SigningKey | None = None,
        secret_method: Literal["client_secret_basic", "client_secret_post"] | None = None,
        audiences: Collection[str] = (),
        client_ids: Collection[str] = (),
        endpoint: str | None = None,
        for_scopes: Collection[str] = (),
        cache_ttl_s: float = 30.0,
        for_scopes_ttl_s: float = 0.0,
        leeway_s: int = 30,
        timeout_s: float = 5.0,
        trust_email: bool = False,
        profile: str | None = None,
        groups_claim: str | None = None,
        scope_claims: Collection[str] | None = None,
        subject_claim: str | None = None,
        required_claims: RequiredClaims | None = None,
        insecure_loopback_http: bool = False,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self._secret = Secret(client_secret) if isinstance(client_secret, str) else client_secret
        check_client(self._secret, client_key, secret_method, client_id)
        self.as_issuer = Issuer(
            issuer,
            audiences or (client_id,),  # which nothing but the policy reads, and it reads no audience
            leeway_s=leeway_s,
            trust_email=trust_email,
            profile=profile,
            groups_claim=groups_claim,
            scope_claims=scope_claims,
            subject_claim=subject_claim,
            required_claims=required_claims or {},
            insecure_loopback_http=insecure_loopback_http,
        )
        """The issuer as the policy wants it."""
        self._key = client_key
        self._secret_method = secret_method
        self._client_id = client_id
        self._rules = Rules(
            issuer,
            names(audiences, "audiences"),
            leeway_s,
            seconds(cache_ttl_s, "cache_ttl_s", 300),
            names(client_ids, "client_ids"),
            self.as_issuer.required_claims,
            subject_claim,
        )
        self._for_scopes = names(for_scopes, "for_scopes")
        self._for_scopes_ttl_s = seconds(for_scopes_ttl_s, "for_scopes_ttl_s", 5)
        self._client = HttpClient(
            insecure_loopback_http=insecure_loopback_http, connect_timeout_s=timeout_s, total_timeout_s=timeout_s
        )
        self._timeout_s = timeout_s
        self._endpoint = endpoint
        flaw = endpoint is not None and url_flaw(endpoint, loopback_http=insecure_loopback_http, query=True)
        if flaw:
            raise ConfigurationError(f"The endpoint {FLAWS[flaw]}: give its https URL.", field="endpoint", reason=flaw)
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._outage = Outage(issuer, self._clock, patience_s=timeout_s / 2)
        self._metadata: tuple[IssuerMetadata, float] | None = None
        self._digest = digester()
        self._accepted: BoundedCache[Introspected] = BoundedCache(_CACHE_SIZE)
        self._refused: BoundedCache[_Refused] = BoundedCache(_CACHE_SIZE)
        self._workers = Workers("introspection", queued=_PLACES)
        self._lock = threading.Lock()
        self._asking: dict[bytes, _Question] = {}  # bounded by what the workers take
        renew_after_fork(self)
        load()

    def __repr__(self) -> str:
        return f"Introspection({self.issuer!r}, {self._client_id!r})"

    @property
    def issuer(self) -> str:
        """Who is asked."""
        return self.as_issuer.url

    def wanted_for(self, scopes: Collection[str]) -> bool:
        """Say whether a request that requires ``scopes`` is one that a JWT is asked about for."""
        return not self._for_scopes.isdisjoint(scopes)

    def ask(
        self,
        token: str,
        *,
        now: float,
        issuer: str | None = None,
        privileged: bool = False,
        network: bytes | None = None,
    ) -> Work[Introspected]:
        """Ask about a token, or answer from what was said a moment ago.

        Args:
            token: as it was received.
            now: epoch seconds.
            issuer: whose token it is, where that is known. One of another issuer is refused, not sent.
            privileged: an answer older than ``for_scopes_ttl_s`` will not do.
            network: where it came from, as the throttle counts: no network can fill the queue for the others.

        Raises:
            Inactive: it is not active: expired, revoked, unknown, or not for us to know.
            UnknownIssuer: ``other_issuer``: this issuer can't say anything about it.
            InvalidCredential: it is active, but not for this service, not now, or no access token; the class says why.
            UnavailableError: nobody could say. ``client_refused``: the issuer does not accept our own credentials;
                other reasons are those of the failure.

        Source: RFC 7662 section 2.
        """
        if not _TOKEN.fullmatch(token):
            raise Malformed("The token has characters that no token has: send it whole.", reason="token_malformed")
        if issuer not in (None, self.issuer):
            message = f"{printable(self.issuer)} can't confirm a token of another issuer: get one of its own for this."
            raise UnknownIssuer(message, reason="other_issuer")
        digest = self._digest(token)
        known = self._known(digest, now, self._for_scopes_ttl_s if privileged else inf)
        if known is None:
            known = yield from self._answer(token, digest, now, network, privileged=privileged)
        if isinstance(known, _Refused):
            raise known.kind(known.message, reason=known.reason)
        return known

    def forget(self, token: str) -> None:
        """Drop what was said of a token, and what is being said."""
        digest = self._digest(token)
        with self._lock:
            self._asking.pop(digest, None)
            self._accepted.drop(digest)
            self._refused.drop(digest)

    def close(self) -> None:
        """End the threads. A later question starts new ones."""
        self._workers.close()

    def after_fork(self) -> None:
        """Let go of what stays in the parent: questions under way, and a lock that another thread held."""
        self._lock, self._asking = threading.Lock(), {}
        self._outage.after_fork()
        self._accepted, self._refused = BoundedCache(_CACHE_SIZE), BoundedCache(_CACHE_SIZE)

    def _known(self, digest: bytes, now: float, ttl_s: float) -> Introspected | _Refused | None:
        # An answer may be a little younger than the question. One from the future was given before the clock was set
        # back, and nobody knows how old it is.
        refused, latest = self._refused.get(digest), now + self._timeout_s
        if refused is not None and now < refused.good_until <= latest + _REFUSED_FOR_S:
            return refused
        accepted = self._accepted.get(digest)
        if (
            accepted is not None
            and now < min(accepted.good_until, accepted.asked_at + ttl_s)
            and (accepted.asked_at <= latest)
        ):
            return accepted
        return None

    def _answer(
        self, token: str, digest: bytes, now: float, network: bytes | None, *, privileged: bool
    ) -> Work[Introspected | _Refused]:
        with self._lock:
            known = self._known(digest, now, self._for_scopes_ttl_s if privileged else inf)
            if known is not None:  # said while we came here
                return known
            question = self._asking.get(digest)
            if question is None or (privileged and now > question.asked_at + self._for_scopes_ttl_s):
                question = _Question(now)
                proved = self._accepted.get(digest) is not None  # it was good a while ago: no flood holds it up
                question.job = self._workers.start(
                    lambda: self._ask_and_remember(token, digest, question),
                    timeout_s=self._timeout_s,
                    lane=None if proved else (network or b"")[:_LANE_BYTES],
                    leaving=0 if proved else _PLACES // 4,
                )
                self._asking[digest] = question
        assert question.job is not None  # noqa: S101 - set under the lock
        try:
            answer: Introspected | _Refused = yield question.job
        except TimeoutError:
            message = f"The issuer did not say within {self._timeout_s:g} s whether a token is good. Try again later."
            raise ProviderUnavailable(message, reason="introspection_timeout") from None
        return answer

    def _ask_and_remember(self, token: str, digest: bytes, question: _Question) -> Introspected | _Refused:
        try:
            answer = self._ask_now(token)
        except BaseException:
            with self._lock:
                if self._asking.get(digest) is question:
                    del self._asking[digest]
            raise
        with self._lock:
            if self._asking.get(digest) is question:  # else it was forgotten meanwhile, or asked anew
                del self._asking[digest]
                if isinstance(answer, Introspected):
                    self._accepted.put(digest, answer)
                else:
                    self._accepted.drop(digest)
                    self._refused.put(digest, answer)
        return answer

    def _ask_now(self, token: str) -> Introspected | _Refused:
        asked_at, began_at = self._clock.now(), self._outage.begin()
        try:
            claims = self._exchange(token, asked_at)
        except DoorwardError as error:
            self._outage.failed(began_at)
            if isinstance(error, UnavailableError):
                raise
            # Found only now, with a caller who can't help it: to them it is an outage.
            raise ProviderUnavailable(error.message, reason=error.reason) from error
        self._outage.answered()
        now = self._clock.now()
        try:
            if claims is None:
                raise Inactive("The token is not active (any more): get a new one.")
            return self._rules.hold(claims, asked_at=asked_at, now=now)
        except InvalidCredential as error:
            return _Refused(type(error), error.message, error.reason, now + _REFUSED_FOR_S)

    def _exchange(self, token: str, now: float) -> Mapping[str, Any] | None:
        """Return the claims of an active token, None for any other."""
        transport = OneDeadline(self._client, self._timeout_s)
        metadata = self._find_endpoint(transport, now)
        request = build_introspection_request(
            metadata, self._client_for(metadata), Secret(token), now=now, jti=self._entropy.token_urlsafe(16)
        )
        response = transport.send(request)
        try:
            answer = parse_introspection_response(response, request=request, now=now)
        except ProviderError as error:
            refused = isinstance(error, OAuthError) and error.error in {"invalid_client", "unauthorized_client"}
            if refused or response.status in _OUR_FAULT:
                message = (
                    f"The introspection endpoint of {printable(self.issuer)} refuses this service itself "
                    f"({response.status}): check client_id, its secret or key, and that it may introspect."
                )
                raise ProviderUnavailable(message, reason="client_refused") from error
            raise
        return answer.claims if answer.active else None

    def _find_endpoint(self, transport: OneDeadline, now: float) -> IssuerMetadata:
        if self._endpoint is not None:
            return IssuerMetadata(self.issuer, introspection_endpoint=self._endpoint)
        known = self._metadata
        if known is not None and now < known[1] + _METADATA_FOR_S:
            return known[0]
        loopback_http = self.as_issuer.insecure_loopback_http
        try:
            found = discover(self.issuer, transport, now=now, insecure_loopback_http=loopback_http)
        except (UnavailableError, ProviderError):
            if known is None:
                raise
            return known[0]  # it worked for an hour; the endpoint itself has the last word
        self._metadata = found, now
        return found

    def _client_for(self, metadata: IssuerMetadata) -> Client:
        if self._secret is not None and self._secret_method is not None:
            method = SecretBasic if self._secret_method == SecretBasic.method else SecretPost
            return Client(self._client_id, method(self._secret))
        supported = metadata.introspection_endpoint_auth_methods
        if self._key is not None and supported is None:  # not said: whoever gave a key knows that it is taken
            supported = ("private_key_jwt",)
        way = choose_authentication(supported, client_secret=self._secret, signing_key=self._key)
        return Client(self._client_id, way)


class _Question:
    """A token that is being asked about."""

    __slots__ = ("asked_at", "job")

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.job: Job[Introspected | _Refused] | None = None
