"""Folds the refusals of a flood: of one network's alike, the first get lines of their own, the rest one a minute.

Without that, who is throttled already, or brings nothing that could be a guess, might wash the log out. The counted
line says how many there were, since when, and which was the last. The first refusal of anybody after the minute writes
it, or the end. Memory is bounded.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import msgspec

from doorward.errors import StoreError
from doorward.guard.work import renew_after_fork

if TYPE_CHECKING:
    from doorward.guard.audit.decisions import Decision

__all__ = ["Folds"]

_INTERVAL_S = 60.0
_LINES_OF_THROTTLED = 1
_LINES = 100
"""How many lines of their own the refusals of a kind get, of one network in a minute."""
_MOST_OPEN = 1024
_OTHERS = b"others"
"""No network is called so. Of those that come when too many folds are open, one line tells for all."""

_NO_GUESSES: Final = frozenset(
    {
        "expired",
        "missing_claim",
        "missing_credential",
        "not_yet_valid",
        "provider_unavailable",
        "revoked",
        "store",
        "transport",
        "unavailable",
        "unknown_key",
        "wrong_audience",
        "wrong_claim",
        "wrong_type",
    }
)
"""Refusals that nobody has to wait for (decision 13), and so can be had without end. Others end in ``throttled``."""

_Key: TypeAlias = tuple[bytes | None, str]


class _Audit(Protocol):
    def record(self, decision: Decision) -> None: ...


class _Fold(msgspec.Struct):
    """What is folded of one network and kind: ``last`` is the latest of ``count`` that no line tells of yet."""

    since: float
    lines: int = 0
    count: int = 0
    last: Decision | None = None

    def write(self, audit: _Audit) -> None:
        if self.last is not None:
            audit.record(msgspec.structs.replace(self.last, count=self.count, since=self.since))


class Folds:
    """The open folds of one audit."""

    def __init__(self, audit: _Audit) -> None:
        self._audit = audit
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[_Key, _Fold] = {}
        self._due_at = inf
        # For whoever forgets to close. Made after the audit's own, so that it comes before that at the end.
        self._finishing = weakref.finalize(self, _finish, self._audit, self._open)

    def after_fork(self) -> None:
        """Begin anew in a child: what is folded is the parent's to tell, and its lock may be held."""
        self._finishing.detach()
        self._begin()

    def record(self, decision: Decision, network: bytes | None) -> None:
        """Record a refusal, or fold it. Raises what the audit raises."""
        if decision.at >= self._due_at:
            self._close(decision.at)
        is_throttled = decision.outcome == "throttled"
        if is_throttled or decision.code in _NO_GUESSES:
            lines = _LINES_OF_THROTTLED if is_throttled else _LINES
            if self._fold(decision, (network, decision.code), lines=lines):
                return
        self._audit.record(decision)

    def close(self) -> None:
        """Write the lines of all folds."""
        self._close(inf)

    def _close(self, now: float) -> None:
        with self._lock:
            over = [key for key, fold in self._open.items() if fold.since + _INTERVAL_S <= now]
            ended = [(key, self._open.pop(key)) for key in over]
            self._set_due()
        try:
            while ended:
                ended[-1][1].write(self._audit)
                ended.pop()
        finally:
            if ended:  # nothing is lost while the audit takes no more
                self._put_back(ended)

    def _fold(self, decision: Decision, key: _Key, *, lines: int) -> bool:
        """Fold a decision, unless it is one of the first of its minute."""
        with self._lock:
            fold = self._open.get(key)
            if fold is None and len(self._open) >= _MOST_OPEN:
                key = (_OTHERS, decision.code)
                fold = self._open.get(key)
            if fold is None:
                fold = self._open[key] = _Fold(decision.at)
                self._due_at = min(self._due_at, decision.at + _INTERVAL_S)
            elif decision.at < fold.since:  # the clock was set back
                fold.since = decision.at
                self._set_due()
            if fold.lines < lines:
                fold.lines += 1
                return False
            fold.count += 1
            fold.last = decision
            return True

    def _put_back(self, unwritten: list[tuple[_Key, _Fold]]) -> None:
        with self._lock:
            for key, fold in unwritten:
                newer = self._open.get(key)
                if newer is not None:
                    fold.count += newer.count
                    fold.last = newer.last or fold.last
                self._open[key] = fold
            self._set_due()

    def _set_due(self) -> None:
        self._due_at = min((fold.since for fold in self._open.values()), default=inf) + _INTERVAL_S


def _finish(audit: _Audit, left: dict[_Key, _Fold]) -> None:
    for fold in left.values():
        with suppress(StoreError):  # the audit tells what is lost
            fold.write(audit)
