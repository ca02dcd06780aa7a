"""Folds the refusals of a flood: of a network's throttled requests a line for the first, and one a minute for the rest.

Without that, who is throttled already could wash the log out. The counted line says how many there were, since when,
and which was the last. The first refusal of anybody after the minute writes it, or the end. Memory is bounded.
"""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from doorward.guard.audit.chain import Decision

__all__ = ["Folds"]

_INTERVAL_S = 60.0
_MOST_NETWORKS = 1024


class _Audit(Protocol):
    def record(self, decision: Decision) -> None: ...


class _Fold(msgspec.Struct):
    """What is folded of one network: ``last`` is the latest of ``count`` decisions that no line tells of yet."""

    since: float
    count: int = 0
    last: Decision | None = None


class Folds:
    """The open folds of one audit, oldest first."""

    def __init__(self, audit: _Audit) -> None:
        self._audit = audit
        self._lock = threading.Lock()
        self._open: dict[bytes | None, _Fold] = {}
        self.due_at = inf
        """When the oldest fold ends: whoever records a refusal after that calls ``close_due``."""

    def record(self, decision: Decision, network: bytes | None) -> None:
        """Take a throttled decision. Raises what the audit raises."""
        with self._lock:
            fold = self._open.get(network)
            if fold is not None and fold.since <= decision.at < fold.since + _INTERVAL_S:
                fold.count += 1
                fold.last = decision
                return
            ended = [] if fold is None else [self._open.pop(network)]
            if len(self._open) >= _MOST_NETWORKS:
                ended.append(self._open.pop(next(iter(self._open))))
            self._open[network] = _Fold(decision.at)
            self._set_due()
        self._write(ended)
        self._audit.record(decision)

    def close_due(self, now: float) -> None:
        """Write the lines of the folds whose minute is over."""
        with self._lock:
            over = [network for network, fold in self._open.items() if not now < fold.since + _INTERVAL_S]
            ended = [self._open.pop(network) for network in over]
            self._set_due()
        self._write(ended)

    def close(self) -> None:
        """Write the lines of all folds."""
        self.close_due(inf)

    def _set_due(self) -> None:
        oldest = next(iter(self._open.values()), None)
        self.due_at = inf if oldest is None else oldest.since + _INTERVAL_S

    def _write(self, ended: list[_Fold]) -> None:
        for fold in ended:
            if fold.last is not None:
                self._audit.record(msgspec.structs.replace(fold.last, count=fold.count, since=fold.since))
