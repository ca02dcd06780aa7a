"""A service at its provider: who it is, how it proves that, and what it asks the token endpoint."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from doorward.protocol.client_auth import Client, ClientAssertion
from doorward.signin.exchanges import discover
from doorward.signin.sources.remembered import Remembered
from doorward.signin.stronger.proofs import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.model import HttpRequest, TokenSet
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.registration import Registration
    from doorward.signin.sources.workloads import WorkloadIdentity
    from doorward.signin.stronger.proofs import Parse

__all__ = ["Exchanged", "Grant", "Service"]

_MOST_EXCHANGED = 1000


class Grant(Protocol):
    """Builds the request that is sent to the token endpoint."""

    def __call__(self, metadata: ProviderMetadata, client: Client, *, now: float, jti: str) -> HttpRequest: ...


class Exchanged:
    """What was exchanged for callers' tokens: at most a thousand, of which the oldest makes room. Never pickled."""

    def __init__(self) -> None:
        self._lock, self._process = threading.Lock(), os.getpid()
        self._held: OrderedDict[bytes, Remembered] = OrderedDict()

    def __reduce__(self) -> tuple[type[Exchanged], tuple[()]]:
        return Exchanged, ()

    def get(self, key: bytes, make: Callable[[], Remembered]) -> Remembered:
        """Return what is remembered under ``key``, made now if nothing is."""
        if self._process != os.getpid():  # a lock that was held during a fork is never released in the child
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            held = self._held.pop(key, None) or make()
            self._held[key] = held
            if len(self._held) > _MOST_EXCHANGED:
                self._held.popitem(last=False)
            return held


@dataclass(frozen=True, slots=True)
class Service:
    """A client of its own at one provider. ``proof`` stands in for a secret or a key."""

    registration: Registration
    proof: WorkloadIdentity | None
    clock: Clock
    entropy: Entropy
    exchanged: Exchanged = field(repr=False, compare=False)
    binding: Binding = field(repr=False, compare=False)

    @classmethod
    def make(
        cls, registration: Registration, proof: WorkloadIdentity | None, clock: Clock, entropy: Entropy
    ) -> Service:
        """Make a service that has asked for nothing yet."""
        binding = Binding(registration.dpop, clock=clock, entropy=entropy)
        return cls(registration, proof, clock, entropy, Exchanged(), binding)

    def obtain(self, grant: Grant, parse: Parse[TokenSet]) -> Flow[TokenSet]:
        """Send what ``grant`` builds to the token endpoint, and return what ``parse`` makes of the answer."""
        metadata = yield from discover(self.registration, now=self.clock.now())
        client = yield from self._client(metadata)
        self.binding.heed(metadata)

        def question() -> HttpRequest:
            return grant(metadata, client, now=self.clock.now(), jti=self.entropy.token_urlsafe(16))

        return (yield from self.binding.obtain(question, parse))

    def remember(self, obtain: Callable[[], Flow[TokenSet]], *, what: str) -> Remembered:
        """Return a token in memory that ``obtain`` gets."""
        return Remembered(obtain, what=what, clock=self.clock, transport=self.registration.transport)

    def _client(self, metadata: ProviderMetadata) -> Flow[Client]:
        if self.proof is None:
            return self.registration.client_for(metadata)
        token = yield from self.proof.flow(metadata.issuer, now=self.clock.now())
        return Client(self.registration.client_id, ClientAssertion(token))
