"""The keys of each issuer: fetched aside, once for all who want them, renewed ahead, given up after a bounded outage.

What is published where is ``discovery``'s to know, what a key may do ``protocol.jwk``'s. Requests drive everything
here: there is no timer, and an issuer that nobody uses is not asked.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from doorward.errors import ConfigurationError, DoorwardError, ProviderUnavailable, UnavailableError, printable
from doorward.guard.issuers.claim_rules import ClaimRules
from doorward.guard.issuers.discovery import OneDeadline, fetch_keys
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.work import Workers, renew_after_fork
from doorward.http.client import HttpClient
from doorward.protocol.jwk import JwkSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, ValuesView

    from doorward.guard.work import Job, Work
    from doorward.ports import Clock

__all__ = ["KeyRing", "KeyRings"]

_NONE: Final = JwkSet(())
_NEVER: Final = float("-inf")
_FOREVER: Final = float("inf")

_AHEAD: Final = 0.8
"""At this part of their time keys are fetched anew."""
_LEAST_PER_FETCH: Final = 5
"""How many fetches' time refresh_s is at least: so one that hangs, begun ahead, ends before the keys are too old."""
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
_UNKNOWN_KIDS: Final = 100
_COOLDOWNS_PER_UNKNOWN_KID: Final = 10
_WEEK_S: Final = 7 * 86_400


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
        "_asked_kid_at",
        "_failed_at",
        "_failures",
        "_fetched_at",
        "_flight",
        "_rings",
        "_unknown_kids",
        "_wait_s",
        "claim_rules",
        "failure",
        "fresh_since",
        "fresh_until",
        "issuer",
        "keys",
    )

    def __init__(self, issuer: Issuer, rings: KeyRings) -> None:
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
        self._asked_kid_at = _NEVER  # monotonic, as are the times of unknown kids: no setting of a clock hastens them
        self._unknown_kids: dict[str, float] | None = None

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

    def newer(
        self,
        seen: JwkSet,
        kid: str | None,
        now: float,  # noqa: ARG002 - as for `current`: callers need not know that cooldowns go by another clock
    ) -> Work[JwkSet | None]:
        """Return newer keys than ``seen``, which has no key ``kid``; None where there are none.

        One fetch in each cooldown_s, for whatever ``kid``; one that was asked for in vain is not asked for again until
        the keys change or ten cooldowns have passed (no longer, or whoever guesses the name of the next key could keep
        it out). While the issuer is down, nothing is asked.

        Args:
            seen: the keys that were not enough.
            kid: what they lack.
            now: epoch seconds.

        Raises:
            ProviderUnavailable: ``too_many_waiting``, as in ``current``.
        """
        rings = self._rings
        with rings.lock:
            if self.keys is not seen:
                return self.keys
            if kid is None or self.issuer.static_keys is not None or self._failures or self._is_unknown(kid):
                return None
            flight = self._under_way()
            if flight is None:
                moment = rings.clock.monotonic()
                if moment - self._asked_kid_at < rings.cooldown_s:
                    return None
                self._asked_kid_at = moment
                flight = self._start()
            if flight is None:
                return None
        landed = yield from self._wait(flight)
        with rings.lock:
            if landed and not any(key.kid == kid for key in self.keys.keys):
                self._note_unknown(kid)
            return None if self.keys is seen else self.keys

    def warm_up(self, now: float) -> None:
        """Start the first fetch, and wait for none."""
        with self._rings.lock:
            if now >= self.fresh_until and self._under_way() is None and self._may_try(now):
                self._start()

    def take_over(self, other: KeyRing) -> None:
        """Begin with what ``other``, of an equal issuer, has found out; its limits stay its own."""
        with other._rings.lock:
            for name in ("keys", "failure", "_fetched_at", "_failures", "_failed_at", "_wait_s", "_asked_kid_at"):
                setattr(self, name, getattr(other, name))
            self._unknown_kids = dict(other._unknown_kids or {})
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
                    self.keys, self._unknown_kids = keys, None
                self._fetched_at, self._failures, self._failed_at, self.failure = fetched_at, 0, _NEVER, ""
                self._set_fresh_until()
        return keys is not None

    def _note_failure(self, error: Exception | None) -> None:
        backoff_s = min(_FIRST_BACKOFF_S * 2 ** min(self._failures, 16), _MOST_BACKOFF_S)
        asked_s = error.retry_after_s if isinstance(error, UnavailableError) else None
        self._failures += 1
        self._failed_at = self._rings.clock.now()
        self._wait_s = min(max(backoff_s, asked_s or 0.0), _MOST_BACKOFF_S)
        self.failure = error.message if isinstance(error, DoorwardError) else f"Unexpected: {type(error).__name__}."
        self._set_fresh_until()

    def _set_fresh_until(self) -> None:
        rings = self._rings
        self.fresh_since = self._fetched_at
        if self._failures:
            end_at = self._fetched_at + rings.refresh_s + rings.max_stale_s
            self.fresh_until = min(end_at, self._failed_at + self._wait_s)
        else:
            self.fresh_until = self._fetched_at + _AHEAD * rings.refresh_s

    def _is_unknown(self, kid: str) -> bool:
        return self._unknown_kids is not None and self._rings.clock.monotonic() < self._unknown_kids.get(kid, _NEVER)

    def _note_unknown(self, kid: str) -> None:
        if self._unknown_kids is None:
            self._unknown_kids = {}
        elif len(self._unknown_kids) >= _UNKNOWN_KIDS:
            del self._unknown_kids[next(iter(self._unknown_kids))]
        rings = self._rings
        self._unknown_kids[kid] = rings.clock.monotonic() + _COOLDOWNS_PER_UNKNOWN_KID * rings.cooldown_s

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


class KeyRings:
    """The keys of all trusted issuers, by issuer and nothing else: no issuer's key is ever tried for another.

    Args:
        issuers: whose.
        clock: the one clock.
        refresh_s: how old keys may get before they are fetched again; five fetches' time at least.
        max_stale_s: how much older while their issuer is down.
        cooldown_s: from one fetch for an unknown ``kid`` to the next.
        fetch_timeout_s: for all of a fetch, metadata and keys.
        previous: rings of an equal issuer hand their keys on, with what they know of outages and unknown ``kid``s.

    Raises:
        ConfigurationError: ``field`` names the argument.
    """

    def __init__(  # noqa: PLR0913 - settings, by keyword, each with a default
        self,
        issuers: Iterable[Issuer],
        *,
        clock: Clock,
        refresh_s: float = 3600,
        max_stale_s: float = 3600,
        cooldown_s: float = 30,
        fetch_timeout_s: float = 5.0,
        previous: KeyRings | None = None,
    ) -> None:
        _check("fetch_timeout_s", fetch_timeout_s, 0.1, 60)
        _check("refresh_s", refresh_s, _LEAST_PER_FETCH * fetch_timeout_s, _WEEK_S)
        _check("max_stale_s", max_stale_s, 0, _WEEK_S)
        _check("cooldown_s", cooldown_s, 1, 3600)
        self.clock = clock
        self.refresh_s = refresh_s
        self.max_stale_s = max_stale_s
        self.cooldown_s = cooldown_s
        self.fetch_timeout_s = fetch_timeout_s
        self.lock = threading.Lock()  # for all rings: held for a few steps, and never while anything is fetched
        rings: dict[str, KeyRing] = {}
        for issuer in issuers:
            if type(issuer) is not Issuer:
                message = "issuers holds something that is not an Issuer: make one of each URL, with its audiences."
                raise ConfigurationError(message, field="issuers", reason="not_an_issuer")
            if issuer.url in rings:
                message = f"The issuer {printable(issuer.url)} is given twice: put its audiences into one Issuer."
                raise ConfigurationError(message, field="issuers", reason="issuer_twice")
            ring = rings[issuer.url] = KeyRing(issuer, self)
            before = None if previous is None else previous.get(issuer.url)
            if before is not None and before.issuer == issuer:
                ring.take_over(before)
        self._rings = rings
        self.get: Callable[[str], KeyRing | None] = rings.get
        """The ring of an issuer, by its exact name: a plain look-up."""
        self.templates = tuple(ring for ring in rings.values() if ring.claim_rules.template is not None)
        # At most one job for each ring, so none is turned away. Issuers that failed wait for each other, and for nobody
        # else: those that hang, however many, hold up the others once.
        self.workers = Workers("the issuers' keys", threads=8, queued=max(64, len(rings)))
        self.patient_workers = Workers("the keys of issuers that failed", threads=8, queued=max(64, len(rings)))
        self._clients = {
            loopback_http: HttpClient(
                insecure_loopback_http=loopback_http, connect_timeout_s=fetch_timeout_s, total_timeout_s=fetch_timeout_s
            )
            for loopback_http in (False, True)
        }
        renew_after_fork(self)

    def values(self) -> ValuesView[KeyRing]:
        return self._rings.values()

    def warm_up(self) -> None:
        """Start fetching all keys that are not there yet, and wait for none."""
        now = self.clock.now()
        for ring in self._rings.values():
            ring.warm_up(now)

    def close(self) -> None:
        """Let the threads end. Requests that still hold a ring may use it: a later fetch starts them anew."""
        self.workers.close()
        self.patient_workers.close()

    def after_fork(self) -> None:
        """Have a lock that no thread of the parent holds."""
        self.lock = threading.Lock()

    def client(self, issuer: Issuer) -> HttpClient:
        """Return the client for an issuer's addresses."""
        return self._clients[issuer.insecure_loopback_http]


def _check(field: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        message = (
            f"{field} is a number of seconds from {least:g} to {most:g}, not {printable(repr(value))}. Correct it."
        )
        raise ConfigurationError(message, field=field, reason="seconds_out_of_range")
