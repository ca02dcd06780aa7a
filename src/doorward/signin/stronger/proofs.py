"""The key that tokens are bound to (DPoP), and what is asked with it. When it is used stands in decision 18.

A proof is good for one request, so each question is built anew for each of its attempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from doorward.errors import ConfigurationError, OAuthError
from doorward.protocol.bearer import build_authorization_header
from doorward.protocol.jwk import SigningKey, generate_signing_key
from doorward.protocol.reading.responses import clock_skew_s
from doorward.protocol.stronger.dpop import (
    PROOF_ALGORITHMS,
    build_proof,
    choose_proof_algorithm,
    demands_proof,
    nonce_of,
    proof_refusal,
    thumbprint,
)
from doorward.signin.exchanges import answer_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doorward.model import HttpRequest, HttpResponse, Secret
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.registration import Use
    from doorward.vault.entries import ProfileEntry


__all__ = ["Binding", "KeptProofs", "Parse", "Proofs"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SAID_OF_ANYTHING = frozenset({"invalid_grant", "invalid_request"})
"""oidc-provider says no more where a proof is missing."""
_SKEW_THAT_COUNTS_S = 2
"""``Date`` has whole seconds."""


class Parse(Protocol[T_co]):
    """Makes something of an answer of the token endpoint; ``bound`` says that there was a proof."""

    def __call__(self, response: HttpResponse, *, request: HttpRequest, now: float, bound: bool) -> T_co: ...


class Proofs:
    """One key, and what servers said to its last proofs: the nonce, and how far the provider's clock is from ours."""

    def __init__(self, key: SigningKey, *, clock: Clock, entropy: Entropy) -> None:
        self.key = key
        self._clock, self._entropy = clock, entropy
        self._nonce: str | None = None
        self._skew_s = 0.0

    def __repr__(self) -> str:
        return f"Proofs({self.key.alg!r})"

    def headers(self, token: Secret, method: str, url: str, *, nonce: str | None) -> Mapping[str, str]:
        """Return the headers of one request to a resource server (RFC 9449 section 7.1)."""
        proof = self._proof(method, url, nonce=nonce, token=token)
        return {"Authorization": build_authorization_header(token, scheme="DPoP"), "DPoP": proof}

    def ask(
        self, build: Callable[[], HttpRequest], *, token: Secret | None = None
    ) -> Flow[tuple[HttpRequest, HttpResponse]]:
        """Send a request with a proof; once more for a nonce that was missing, and once for a clock that is off.

        Args:
            build: Makes the request, anew each time: an assertion in it is good once too.
            token: The token that it carries, where it goes to a resource server.

        Returns:
            What was sent last, and its answer.
        """
        mended: set[str] = set()
        while True:
            request = build()
            headers = {**request.headers, "dpop": self._proof(request.method, request.url, self._nonce, token)}
            if token is not None:
                headers["authorization"] = build_authorization_header(token, scheme="DPoP")
            request = msgspec.structs.replace(request, headers=headers)
            response = yield from answer_to(request)
            refusal = self._learn(response)
            if refusal is None or refusal in mended:
                return request, response
            mended.add(refusal)

    def _proof(self, method: str, url: str, nonce: str | None, token: Secret | None) -> str:
        now, jti = self._clock.now() - self._skew_s, self._entropy.token_urlsafe(16)
        return build_proof(self.key, method=method, url=url, now=now, jti=jti, nonce=nonce, access_token=token)

    def _learn(self, response: HttpResponse) -> str | None:
        """Keep what an answer says for the next proof; return why this one was refused, if that mends it."""
        refusal, nonce = proof_refusal(response), nonce_of(response)
        new_nonce = nonce is not None and nonce != self._nonce
        self._nonce = nonce or self._nonce
        if refusal != "invalid_dpop_proof":
            return refusal if new_nonce else None
        skew_s = clock_skew_s(response, now=self._clock.now())
        if skew_s is None or abs(skew_s - self._skew_s) < _SKEW_THAT_COUNTS_S:
            return None
        self._skew_s = skew_s
        return refusal


class Binding:
    """Whether the tokens of one sign-in are bound to a key, and to which.

    Args:
        use: As ``dpop`` was given.
        clock: For the proofs.
        entropy: For the proofs.
    """

    def __init__(self, use: Use, *, clock: Clock, entropy: Entropy) -> None:
        self._use, self._clock, self._entropy = use, clock, entropy
        self._alg: str | None = None
        self.proofs: Proofs | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "proofs": None}  # a key is not pickled

    def heed(self, metadata: ProviderMetadata) -> None:
        """Go by what the provider announces, before anything is asked.

        Raises:
            ConfigurationError: ``dpop_unsupported``: it is demanded, and the provider does not offer it.
        """
        self._alg = choose_proof_algorithm(metadata.proof_algorithms)
        if self._use == "always" and self.proofs is None:
            if self._alg is None:
                message = "The provider binds tokens to no key of a kind that we know (DPoP): leave dpop at 'auto'."
                raise ConfigurationError(message, field="dpop", reason="dpop_unsupported")
            self._begin()

    @property
    def thumbprint(self) -> str | None:
        """What names the key; None as long as there is none."""
        return None if self.proofs is None else thumbprint(self.proofs.key)

    def headers(self, token: Secret, method: str, url: str, *, nonce: str | None) -> Mapping[str, str]:
        """Return the headers of one request to a resource server."""
        if self.proofs is None:
            return {"Authorization": build_authorization_header(token)}
        return self.proofs.headers(token, method, url, nonce=nonce)

    def obtain(self, build: Callable[[], HttpRequest], parse: Parse[T]) -> Flow[T]:
        """Ask for tokens: with a proof, or without one until the provider says that it wants one."""
        try:
            return (yield from self._obtain(build, parse))
        except OAuthError as error:
            refusal, demanded = error, demands_proof(error.error, error.description)
            perhaps = self._alg is not None and error.error in _SAID_OF_ANYTHING
            if self.proofs is not None or self._use == "never" or not (demanded or perhaps):
                raise
        self._begin()
        try:
            return (yield from self._obtain(build, parse))
        except OAuthError:
            self.proofs = None
            if demanded:
                raise
        raise refusal  # it was about something else

    def _obtain(self, build: Callable[[], HttpRequest], parse: Parse[T]) -> Flow[T]:
        if self.proofs is None:
            request = build()
            response = yield from answer_to(request)
        else:
            request, response = yield from self.proofs.ask(build)
        return parse(response, request=request, now=self._clock.now(), bound=self.proofs is not None)

    def _begin(self) -> None:
        key = generate_signing_key(self._alg or PROOF_ALGORITHMS[0])
        self.proofs = Proofs(key, clock=self._clock, entropy=self._entropy)


class KeptProofs:
    """The proofs of the key in an entry of the vault: the same, with the last nonce, as long as the key is.

    A copy or a pickle holds no key, and reads it anew.
    """

    def __init__(self, *, clock: Clock, entropy: Entropy) -> None:
        self._clock, self._entropy = clock, entropy
        self._held: tuple[Secret, Proofs] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_held": None}

    def of(self, entry: ProfileEntry) -> Proofs | None:
        """Return what proves the tokens of an entry; None if they are not bound."""
        pem, held = entry.dpop_key, self._held
        if pem is None:
            return None
        if held is None or held[0] != pem:
            key = SigningKey.from_pem(pem.reveal().encode(), alg=entry.dpop_alg or PROOF_ALGORITHMS[0])
            self._held = held = pem, Proofs(key, clock=self._clock, entropy=self._entropy)
        return held[1]
