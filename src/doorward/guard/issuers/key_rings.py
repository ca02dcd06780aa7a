"""The keys of all trusted issuers, each in its ``key_ring``, and what they share: settings, threads, one lock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from doorward.errors import ConfigurationError, printable
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.key_ring import KeyRing
from doorward.guard.work import Workers, renew_after_fork
from doorward.http.client import HttpClient, load
from doorward.protocol.jwa import load_libsodium

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, ValuesView

    from doorward.ports import Clock

__all__ = ["KeyRings"]

_LEAST_PER_FETCH: Final = 5
"""How many fetches' time refresh_s is at least: so one that hangs, begun ahead, ends before the keys are too old."""
_WEEK_S: Final = 7 * 86_400


class KeyRings:
    """The keys of all trusted issuers, by issuer and nothing else: no issuer's key is ever tried for another.

    Args:
        issuers: whose.
        clock: the one clock.
        refresh_s: how old keys may get before they are fetched again; five fetches' time at least.
        max_stale_s: how much older while their issuer is down.
        cooldown_s: from one fetch that a token made necessary to the next.
        fetch_timeout_s: for all of a fetch, metadata and keys.
        previous: rings of an equal issuer hand their keys on, with what they know of outages.

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
        renew_after_fork(self)
        load_libsodium()
        if any(ring.issuer.static_keys is None for ring in rings.values()):
            load()
            import cryptography.x509  # noqa: F401, PLC0415 - as `load` does, for keys that come as certificates

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
        """Return a client for an issuer's addresses. It reads whom to trust anew, for CAs change."""
        return HttpClient(
            insecure_loopback_http=issuer.insecure_loopback_http,
            connect_timeout_s=self.fetch_timeout_s,
            total_timeout_s=self.fetch_timeout_s,
            insecure_http_url=issuer.jwks_url if issuer.insecure_jwks_http else None,
            ca_file=issuer.jwks_ca_file,
        )


def _check(field: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        message = (
            f"{field} is a number of seconds from {least:g} to {most:g}, not {printable(repr(value))}. Correct it."
        )
        raise ConfigurationError(message, field=field, reason="seconds_out_of_range")
