"""Failed attempts, counted by client network and by credential prefix, and who has to wait for how long.

Only failures count. A network's failures hold up that network and nobody else: who shares a prefix with an attacker,
but no network, is let in; and what guesses nothing is looked at even from a network that must wait (decision 13). Where
a request came from is said by ``addresses``, what a failure is by the guard.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from math import ceil, inf
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from doorward.errors import ConfigurationError, StoreError, Throttled
from doorward.guard.addresses import network_of
from doorward.guard.work import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["FailureStore", "Failures", "MemoryFailures", "Throttle"]

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")

Failures: TypeAlias = tuple[int, float]
"""How many, and when the last one was."""

_GARBAGE = b""  # the network of whatever is no address
_KNOWN_ADDRESSES = 4096
_LONGEST_ADDRESS = 64
_LONGEST_PREFIX = 256
_FEWEST_ADDRESSES = 16
_CLOCK_STEP_S = 1e-6  # what adding a delay to an instant may lose


class FailureStore(Protocol):
    """Failures counted by several guards together; the port for a server such as Valkey.

    It is asked while a request waits, so it answers from what it last heard, and sends and hears aside: for each
    network and each prefix a count that grows by one, the time of the last failure, and an expiry. When its server is
    down it raises StoreError, and each process goes by its own count, which it always keeps: never open, never shut.
    """

    def of_network(self, network: bytes) -> Failures | None: ...
    def of_prefix(self, prefix: str) -> Failures | None: ...
    def add(self, network: bytes, prefix: str | None, *, now: float) -> None: ...


class _Generations(Generic[K]):
    """A bounded dictionary of failures that lets go of what has not changed for longest, half of it at a time.

    Entries are written to the young half. When that is full, or as old as failures are remembered, it becomes the old
    half and the former old half is dropped. No entry is searched or moved for it: an attacker who fills the dictionary
    costs no more than one who does not.
    """

    __slots__ = ("_forget_after_s", "_half", "_turned_at", "old", "young")

    def __init__(self, size: int, forget_after_s: float) -> None:
        self._half = size // 2
        self._forget_after_s = forget_after_s
        self.young: dict[K, Failures] = {}
        self.old: dict[K, Failures] = {}
        self._turned_at = -inf

    def get(self, key: K) -> Failures | None:
        return self.young.get(key) or self.old.get(key)

    def put(self, key: K, failures: Failures) -> None:
        now = failures[1]
        if len(self.young) >= self._half or now - self._turned_at >= self._forget_after_s:
            self.old, self.young, self._turned_at = self.young, {}, now
        self.young[key] = failures

    def drop(self, key: K) -> None:
        self.young.pop(key, None)
        self.old.pop(key, None)

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


class MemoryFailures:
    """The failures that one process has seen, in bounded memory. Any thread may use it.

    Networks that must wait have a dictionary of their own, so that addresses which failed once or twice can't push
    them out. To have its own entry forgotten, an attacker must be made to wait at ``max_addresses`` / 4 other networks
    or more; each of those would have given it as many free attempts as the forgotten one.
    """

    def __init__(self, *, free_failures: int, forget_after_s: float, max_addresses: int) -> None:
        self._free = free_failures
        self._forget_after_s = forget_after_s
        self._few: _Generations[bytes] = _Generations(max_addresses // 2, forget_after_s)
        self._many: _Generations[bytes] = _Generations(max_addresses // 2, forget_after_s)
        self._prefixes: _Generations[int] = _Generations(max(max_addresses // 8, 2), forget_after_s)
        self._lock = threading.Lock()  # for writers; a reader who meets one sees what was there before or after
        renew_after_fork(self)

    def of_network(self, network: bytes) -> Failures | None:
        """Return what ``network`` has failed, if it is remembered."""
        many, few = self._many, self._few  # written out: each new token asks
        return many.young.get(network) or many.old.get(network) or few.young.get(network) or few.old.get(network)

    def of_prefix(self, prefix: str) -> Failures | None:
        """Return what was failed with ``prefix`` from anywhere, if it is remembered."""
        return self._prefixes.get(hash(prefix))

    def add(self, network: bytes, prefix: str | None, *, now: float) -> None:
        """Count one failure."""
        with self._lock:
            failures = self._one_more(self.of_network(network), now)
            if failures[0] > self._free:
                self._many.put(network, failures)
            else:
                self._few.put(network, failures)
                self._many.drop(network)  # what it had there was forgotten
            if prefix is not None:
                key = hash(prefix)  # keyed anew in each process: nobody can choose prefixes that collide
                self._prefixes.put(key, self._one_more(self._prefixes.get(key), now))

    def after_fork(self) -> None:
        """Have a lock that no thread of the parent holds."""
        self._lock = threading.Lock()

    def _one_more(self, failures: Failures | None, now: float) -> Failures:
        if failures is None or now - failures[1] >= self._forget_after_s:
            return 1, now
        return failures[0] + 1, now

    def __len__(self) -> int:
        return len(self._few) + len(self._many)


class _Spared:
    """How many checks for networks that must wait were in vain in this second. Remembers no more than ``most``."""

    __slots__ = ("_all", "_by_network", "_each", "_second", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._each = -(-most // 2)
        self._second = -inf
        self._all = 0
        self._by_network: dict[bytes, int] = {}

    def has_left(self, network: bytes, now: float) -> bool:
        if now // 1 != self._second:  # another one, and be it an earlier one
            self._second, self._all, self._by_network = now // 1, 0, {}
        return self._all < self.most and self._by_network.get(network, 0) < self._each

    def spend(self, network: bytes) -> None:
        self._all += 1
        self._by_network[network] = self._by_network.get(network, 0) + 1


class Throttle:
    """Makes networks wait that fail too often, longer with each failure.

    After ``free_failures`` failures a network waits ``base_delay_s``, twice as long after the next, and so on up to
    ``max_delay_s``; ``forget_after_s`` after its last failure it starts anew. What is refused here is no failure: to
    hammer makes the wait no longer. Attempts that are under way at the same time count when they fail, not before.

    When a prefix has failed more than ``free_failures`` times, from wherever, it is under attack: a network that fails
    then waits ``base_delay_s`` from its first failure on. A network without a failure of its own never waits, so an
    attacker can't lock anybody out from elsewhere. One who shares the victim's address can do so for API keys that were
    not accepted lately. Tokens are checked all the same, within a budget, and only their failure waits (``spare``).

    Requests whose client is unknown (None: a socket file, a server that does not say) are not throttled. They could
    only share one count, and that would lock all of them out for the failures of one. A proxy in front must be named
    as trusted for the same reason. What claims to be an address and is none does share one count.

    Args:
        free_failures: how many failures cost nothing.
        base_delay_s: the first wait.
        max_delay_s: the longest wait.
        forget_after_s: how long a failure is remembered, at least ``max_delay_s``.
        max_addresses: how many networks are remembered, 15 MB for 100,000.
        spared_checks: how many signed tokens a second, from networks that must wait, may be checked in vain; half of
            them for one network. 1000 take 5 to 15% of a core.
        spared_questions: the same of questions to an issuer about opaque tokens, where a guard takes no API keys.
        shared: failures counted together with other guards; None for this process alone.

    Raises:
        ConfigurationError: settings out of range.
    """

    def __init__(  # noqa: PLR0913 - settings, by keyword, each with a default
        self,
        *,
        free_failures: int = 10,
        base_delay_s: float = 1.0,
        max_delay_s: float = 300.0,
        forget_after_s: float = 900.0,
        max_addresses: int = 100_000,
        spared_checks: int = 1000,
        spared_questions: int = 10,
        shared: FailureStore | None = None,
    ) -> None:
        _require("free_failures", free_failures >= 0, "0 or more")
        _require("base_delay_s", 0 < base_delay_s < inf, "more than 0 seconds")
        _require("max_delay_s", base_delay_s <= max_delay_s < inf, "at least base_delay_s")
        _require("forget_after_s", max_delay_s <= forget_after_s < inf, "at least max_delay_s")
        _require("max_addresses", max_addresses >= _FEWEST_ADDRESSES, f"{_FEWEST_ADDRESSES} or more")
        _require("spared_checks", spared_checks >= 0, "0 or more")
        _require("spared_questions", spared_questions >= 0, "0 or more")
        self._free = free_failures
        self._base_delay_s = base_delay_s
        self._forget_after_s = forget_after_s
        self._delays = _delays(base_delay_s, max_delay_s)
        self._shared = shared
        self._memory = MemoryFailures(
            free_failures=free_failures, forget_after_s=forget_after_s, max_addresses=max_addresses
        )
        self._spared = {True: _Spared(spared_checks), False: _Spared(spared_questions)}  # by whether a token is signed
        self._networks: dict[str, bytes] = {}

    def network(self, client_ip: str | None) -> bytes | None:
        """Return the network that ``client_ip`` counts with; None if nobody knows where the attempt comes from."""
        if not client_ip:
            return None
        network = self._networks.get(client_ip)
        return self._learn(client_ip) if network is None else network

    def check(self, client_ip: str | None, prefix: str | None, *, now: float) -> None:
        """Raise what ``refusal`` returns."""
        throttled = self.refusal(client_ip, prefix, now=now)
        if throttled is not None:
            raise throttled

    def refusal(self, client_ip: str | None, prefix: str | None, *, now: float) -> Throttled | None:
        """Say whether an attempt comes too soon. Ask before costly work.

        Args:
            client_ip: where the attempt comes from, as ``addresses.client_address`` says; None if nobody knows.
            prefix: what several attempts at the same credential have in common, and is no secret: an API key's id.
            now: epoch seconds. A clock that was set back makes nobody wait for longer.

        Returns:
            None if not. Else after ``retry_after_s``, whole seconds, an attempt passes. Its reason is
            ``address_throttled``, or ``credential_attacked`` if the address would not wait for its own failures.
        """
        if not client_ip:
            return None
        network = self._networks.get(client_ip)  # as `network`, written out: each new token asks
        if network is None:
            network = self._learn(client_ip)
        failures = self._memory.of_network(network)
        if self._shared is not None:
            failures = _worse(failures, self._shared.of_network, network)
        return None if failures is None else self._wait(failures, prefix, now)

    def failed(self, client_ip: str | None, prefix: str | None, *, now: float) -> None:
        """Count a credential that was refused. An outage is no failure. Arguments as ``check``."""
        network = self.network(client_ip)
        if network is None:
            return
        if prefix is not None:
            prefix = prefix[:_LONGEST_PREFIX]
        self._memory.add(network, prefix, now=now)
        if self._shared is not None:
            with suppress(StoreError):  # it was counted here
                self._shared.add(network, prefix, now=now)

    def spare(self, throttled: Throttled, client_ip: str | None, *, signed: bool, now: float) -> None:
        """Let a token be checked though its address must wait: only those that turn out to be bad are limited.

        Raises:
            Throttled: ``checks_used_up``: too many such tokens were bad in this second. ``throttled`` itself, where
                none is spared.
        """
        spared, network = self._spared[signed], self.network(client_ip)
        if not spared.most:
            raise throttled
        if network is not None and not spared.has_left(network, now):
            message = "Too many bad tokens come from this address. Try again in a second."
            raise Throttled(message, retry_after_s=1.0, reason="checks_used_up")

    def spend(self, client_ip: str | None, *, signed: bool) -> None:
        """Note that a token that was spared was checked in vain."""
        network = self.network(client_ip)
        if network is not None:
            self._spared[signed].spend(network)

    def _wait(self, failures: Failures, prefix: str | None, now: float) -> Throttled | None:
        count, last_at = failures
        if count > self._free:
            delay_s = self._delays[min(count - self._free, len(self._delays)) - 1]
            reason = "address_throttled"
        elif prefix is not None and self._is_attacked(prefix[:_LONGEST_PREFIX], now):
            delay_s = self._base_delay_s  # and no more, whatever others do
            reason = "credential_attacked"
        else:
            return None
        elapsed_s = now - last_at
        if not 0 <= elapsed_s < delay_s - _CLOCK_STEP_S:
            return None
        wait_s = ceil(delay_s - elapsed_s)
        message = f"Too many failed attempts. Wait {wait_s} s before the next, and check the credential first."
        return Throttled(message, retry_after_s=float(wait_s), reason=reason)

    def _is_attacked(self, prefix: str, now: float) -> bool:
        failures = self._memory.of_prefix(prefix)
        if self._shared is not None:
            failures = _worse(failures, self._shared.of_prefix, prefix)
        return failures is not None and failures[0] > self._free and now - failures[1] < self._forget_after_s

    def _learn(self, client_ip: str) -> bytes:
        network = network_of(client_ip) or _GARBAGE
        if len(self._networks) >= _KNOWN_ADDRESSES:
            self._networks = {}
        if len(client_ip) <= _LONGEST_ADDRESS:
            self._networks[client_ip] = network
        return network


def _worse(own: Failures | None, ask: Callable[[T], Failures | None], key: T) -> Failures | None:
    try:
        shared = ask(key)
    except StoreError:
        return own
    return max(own, shared) if own and shared else own or shared


def _delays(base_delay_s: float, max_delay_s: float) -> tuple[float, ...]:
    delays = []
    delay_s = base_delay_s
    while delay_s < max_delay_s:
        delays.append(delay_s)
        delay_s *= 2
    return *delays, max_delay_s


def _require(field: str, holds: bool, range_: str) -> None:  # noqa: FBT001 - read as a sentence
    if not holds:
        raise ConfigurationError(f"{field} must be {range_}.", field=field, reason=f"{field}_range")
