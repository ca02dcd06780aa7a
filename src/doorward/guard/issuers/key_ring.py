"""The keys of one issuer: fetched aside, once for all who want them, renewed ahead, given up after a bounded outage.

What is published where is ``discovery``'s to know, what a key may do ``protocol.jwk``'s. Requests drive everything
here: there is no timer, and an issuer that nobody uses is not asked.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final, Protocol

from doorward.errors import DoorwardError, ProviderUnavailable, UnavailableError, UnknownKey, printable
from doorward.guard.issuers.claim_rules import ClaimRules
from doorward.guard.issuers.discovery import OneDeadline, fetch_keys
from doorward.protocol.jwk import JwkSet

if TYPE_CHECKING:
    import threading

    from doorward.errors import BadSignature
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.work import Job, Work, Workers
    from doorward.http.client import HttpClient
    from doorward.ports import Clock

__all__ = ["KeyRing"]

_log = logging.getLogger("doorward.guard")

_NONE: Final = JwkSet(())
_NEVER: Final = float("-inf")
_FOREVER: Final = float("inf")

_AHEAD: Final = 0.8
"""At this part of their time keys are fetched anew."""
_FIRST_BACKOFF_S: Final = 1.0
_MOST_BACKOFF_S: Final = 60.0
_OUTAGE_KNOWN_S: Final = 2 * _MOST_BACKOFF_S
"""For how long a failure says that the issuer is down. While requests come, the next try is made well before."""
_GRACE_S: Final = 0.5
"""So much longer than a fetch may take is it waited for, to learn how it ended."""
_CLOCK_STEP_S: Final = 60.0
"""A fetch that began so much later than now shows that the clock was set back: no request waits as long."""
_MOST_WAITING: Final = 64
"""How many may wait for one fetch: more than the threads of a usual server, so that only tasks come to it; and few
enough that an issuer which hangs holds little for the seconds until that is known."""
_PUBLISHED_WITHIN_S: Final = 60.0
"""By when a key stands everywhere once its issuer signs with it: caches in between may lag, and clocks differ. So it is
for a key that nobody has seen. Where the key is there and the signature does not fit, the token is forged, unless its
issuer put a new key in the place of the old one after the fetch."""


class _Rings(Protocol):
    """What a ring needs of ``KeyRings``."""

    clock: Clock
    refresh_s: float
    max_stale_s: float
    cooldown_s: float
    fetch_timeout_s: float
    lock: threading.Lock
    workers: Workers
    patient_workers: Workers

    def client(self, issuer: Issuer) -> HttpClient: ...


class KeyRing:
    """One issuer's keys, made by ``KeyRings``.

    ``keys`` may be used while ``fresh_since <= now < fresh_until``; all plain attributes. Otherwise ask ``current``.
    Ages go by the wall clock: where it is set back, nobody knows how old the keys are, so they count as outdated.

    - From 80% of refresh_s on, the first who asks starts a fetch aside and all go on with the keys there are.
    - Keys older than refresh_s (nobody asked for long) are used by nobody before a fetch was tried: whoever asks waits
      for it. So a key that its issuer withdrew is dead within refresh_s.
    - A failed fetch is an outage: the next tries are made aside, 1 s to 60 s apart (``Retry-After`` is heeded within
      that), and the old keys serve at once, until they are max_stale_s older than refresh_s. Then, and where there
      never were keys, only the request that starts a try waits for it, and the others are told that there are none.
    - An answer that is wrong in form is an outage too. A JWK Set without usable keys is a word: all are withdrawn.
    - A fetch ends by its own deadline, and no more than 64 wait for it.
    """

    __slots__ = (
        "_asked_at",
        "_failed_at",
        "_failures",
        "_fetched_at",
        "_flight",
        "_rings",
        "_wait_s",
        "claim_rules",
        "failure",
        "fresh_since",
        "fresh_until",
        "issuer",
        "keys",
    )

    def __init__(self, issuer: Issuer, rings: _Rings) -> None:
        self.issuer = issuer
        self.claim_rules = ClaimRules(issuer)
        self.keys = issuer.static_keys or _NONE
        self.fresh_since = _NEVER
        self.fresh_until = _NEVER if issuer.static_keys is None else _FOREVER
        self.failure = ""
        """Why the last fetch failed, in words; empty when it did not."""
        self._rings = rings
        self._fetched_at = _NEVER  # when the fetch began, for what was withdrawn later is still among its keys
        self._failures = 0
        self._failed_at = _NEVER
        self._wait_s = 0.0  # from there to the next try
        self._flight: _Flight | None = None
        self._asked_at = _NEVER  # when a token last made us fetch; monotonic, so that no setting of a clock hastens it

    @property
    def waiting(self) -> int | None:
        """How many wait for the fetch under way; None while none is."""
        flight = self._under_way()
        return None if flight is None else flight.waiting

    def current(self, now: float) -> Work[JwkSet]:
        """Return keys that may be used now, waiting only where there are none.

        Args:
            now: epoch seconds.

        Raises:
            ProviderUnavailable: there are none. Reasons: ``keys_never_fetched``, ``keys_too_old``, or
                ``too_many_waiting`` for them.
        """
        rings = self._rings
        with rings.lock:
            if now < self.fresh_since - _CLOCK_STEP_S:
                self._fetched_at = now - rings.refresh_s
                self._set_fresh_until()
            if now < self.fresh_until:
                return self.keys
            flight, started = self._under_way(), False
            if flight is None and self._may_try(now):
                flight, started = self._start(), True
            age_s = now - self._fetched_at
            outdated, lost = age_s >= rings.refresh_s, age_s >= rings.refresh_s + rings.max_stale_s
            failing = abs(now - self._failed_at) < _OUTAGE_KNOWN_S
            if not outdated or (failing and not lost):
                if flight is not None:  # until it lands, nobody else need come here
                    end_s = rings.refresh_s + (rings.max_stale_s if outdated else 0)
                    self.fresh_until = min(self._fetched_at + end_s, now + rings.fetch_timeout_s)
                return self.keys
            if flight is None or (self._failures and lost and not started):
                raise self._unavailable()
        if not (yield from self._wait(flight)) and lost:
            raise self._unavailable()
        return self.keys

    def newer(self, seen: JwkSet, doubt: UnknownKey | BadSignature, made_at: Any, now: float) -> Work[JwkSet]:
        """Return newer keys than those that a token failed with, since they may be too old for it.

        One fetch in each cooldown_s, whatever made them look old. Between two, a token that may be newer than the keys
        is not refused: nobody knows yet. It does not wait here either, or strangers could fill all places.

        Args:
            seen: the keys that were not enough.
            doubt: how that showed.
            made_at: what the token says of its making (``iat``). Nobody has verified it, and it decides only what this
                very token is answered between two fetches.
            now: epoch seconds.

        Raises:
            UnknownKey, BadSignature: ``doubt``, where the keys are not too old for the token.
            ProviderUnavailable: nobody knows whether they are, from ``doubt``. Reasons: ``keys_fetched_lately``,
                ``keys_not_current`` where the issuer can't be asked, or ``too_many_waiting``.
        """
        rings = self._rings
        with rings.lock:
            if self.keys is not seen:
                return self.keys
            if self.issuer.static_keys is not None:
                raise doubt
            flight = None if self._failures else self._under_way()
            if flight is None and not self._failures and self._cooldown_left_s() <= 0:
                self._asked_at = rings.clock.monotonic()
                flight = self._start()
            if flight is None:
                lag_s = _PUBLISHED_WITHIN_S if isinstance(doubt, UnknownKey) else 0.0
                is_time = type(made_at) in {int, float}
                if is_time and not self._fetched_at - lag_s < made_at <= now + self.issuer.leeway_s:
                    raise doubt  # older than the keys, or of a time to come, which nobody may write
                raise self._unknowable(now) from doubt
        landed = yield from self._wait(flight)
        with rings.lock:
            if self.keys is not seen:
                return self.keys
            if landed:
                raise doubt
            raise self._unknowable(now) from doubt

    def warm_up(self, now: float) -> None:
        """Start the first fetch, and wait for none."""
        with self._rings.lock:
            if now >= self.fresh_until and self._under_way() is None and self._may_try(now):
                self._start()

    def take_over(self, other: KeyRing) -> None:
        """Begin with what ``other``, of an equal issuer, has found out; its limits stay its own."""
        with other._rings.lock:
            for name in ("keys", "failure", "_fetched_at", "_failures", "_failed_at", "_wait_s", "_asked_at"):
                setattr(self, name, getattr(other, name))
        if self.issuer.static_keys is None:
            self._set_fresh_until()

    # What follows is called with the lock held, but for _wait and _fetch, which take it

    def _under_way(self) -> _Flight | None:
        flight = self._flight
        return flight if flight is not None and flight.process == os.getpid() else None  # no fetch survives a fork

    def _may_try(self, now: float) -> bool:
        return abs(now - self._failed_at) >= self._wait_s  # a request may have taken `now` before the failure

    def _start(self) -> _Flight | None:
        rings = self._rings
        try:
            workers = rings.patient_workers if self._failures else rings.workers
            job = workers.start(self._fetch, timeout_s=rings.fetch_timeout_s + _GRACE_S)
        except UnavailableError as error:
            self._note_failure(error)
            return None
        self._flight = _Flight(job)
        return self._flight

    def _wait(self, flight: _Flight) -> Work[bool]:
        """Wait for a fetch; False where it failed or is late."""
        lock = self._rings.lock
        with lock:
            if flight.waiting >= _MOST_WAITING:
                message = f"Too many wait for the keys of {printable(self.issuer.url)}. Try again in a moment."
                raise ProviderUnavailable(message, reason="too_many_waiting", retry_after_s=1.0)
            flight.waiting += 1
        try:
            landed: bool = yield flight.job
        except TimeoutError:
            return False
        finally:
            with lock:
                flight.waiting -= 1
        return landed

    def _fetch(self) -> bool:
        """Fetch the keys and note what came of it. Runs as a job, and raises nothing that was foreseen."""
        rings = self._rings
        fetched_at, keys, failure = rings.clock.now(), None, None
        try:
            transport = OneDeadline(rings.client(self.issuer), rings.fetch_timeout_s)
            keys = fetch_keys(self.issuer, transport, now=fetched_at)
        except Exception as error:  # noqa: BLE001 - none may leave the ring waiting for a fetch that has ended
            failure = error
        with rings.lock:
            self._flight = None
            if keys is None:
                self._note_failure(failure)
            else:
                if keys != self.keys:  # the same keys stay the same object, so that nobody need look again
                    self.keys = keys
                self._fetched_at, self._failures, self._failed_at, self.failure = fetched_at, 0, _NEVER, ""
                self._set_fresh_until()
        return keys is not None

    def _note_failure(self, error: Exception | None) -> None:
        backoff_s = min(_FIRST_BACKOFF_S * 2 ** min(self._failures, 16), _MOST_BACKOFF_S)
        asked_s = error.retry_after_s if isinstance(error, UnavailableError) else None
        self._failures += 1
        self._failed_at = self._rings.clock.now()
        is_news = self._failures == 1
        self._wait_s = min(max(backoff_s, asked_s or 0.0), _MOST_BACKOFF_S)
        self.failure = error.message if isinstance(error, DoorwardError) else f"Unexpected: {type(error).__name__}."
        self._set_fresh_until()
        if is_news:  # once an outage, for a service that keeps no audit
            _log.warning("The keys of %s could not be fetched. %s", printable(self.issuer.url), self.failure)

    def _set_fresh_until(self) -> None:
        rings = self._rings
        self.fresh_since = self._fetched_at
        if self._failures:
            end_at = self._fetched_at + rings.refresh_s + rings.max_stale_s
            self.fresh_until = min(end_at, self._failed_at + self._wait_s)
        else:
            self.fresh_until = self._fetched_at + _AHEAD * rings.refresh_s

    def _cooldown_left_s(self) -> float:
        return self._asked_at + self._rings.cooldown_s - self._rings.clock.monotonic()

    def _unknowable(self, now: float) -> ProviderUnavailable:
        """Say that a token may be newer than the keys, which can't be fetched now."""
        issuer = printable(self.issuer.url)
        if self.failure:
            message = f"The token may be of a new key, and {issuer} can't be asked. {self.failure}"
            reason, wait_s = "keys_not_current", self._failed_at + self._wait_s - now
        else:
            message = f"The token may be of a new key, and the keys of {issuer} were fetched a moment ago. Try again."
            reason, wait_s = "keys_fetched_lately", self._cooldown_left_s()
        return ProviderUnavailable(message, reason=reason, retry_after_s=max(wait_s, 1.0))

    def _unavailable(self) -> ProviderUnavailable:
        issuer, why = printable(self.issuer.url), self.failure or "It has not answered yet."
        retry_after_s = max(self._failed_at + self._wait_s - self._rings.clock.now(), 1.0)
        if self._fetched_at == _NEVER:
            message = f"The keys of {issuer} could not be fetched yet. {why}"
            return ProviderUnavailable(message, reason="keys_never_fetched", retry_after_s=retry_after_s)
        message = f"The keys of {issuer} could not be fetched for too long to trust the old ones. {why}"
        return ProviderUnavailable(message, reason="keys_too_old", retry_after_s=retry_after_s)


class _Flight:
    """A fetch under way: in which process, and how many wait for it."""

    __slots__ = ("job", "process", "waiting")

    def __init__(self, job: Job[bool]) -> None:
        self.job = job
        self.process = os.getpid()
        self.waiting = 0
