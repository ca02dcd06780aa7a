"""How a process follows a store of revocations: what of it is in memory, what is still to come, and who may ask.

All entries up to a number are known, but for a gap at times: what would take long to read is loaded aside, and until it
has come the store is asked about each token (decision 14). When to read is the business of ``revocations``.
"""

from __future__ import annotations

from concurrent.futures import wait
from contextlib import contextmanager, suppress
from math import inf
from threading import Lock
from typing import TYPE_CHECKING

from doorward.errors import StoreError, UnavailableError
from doorward.guard.revocation.asking import StoreQuestions
from doorward.guard.work import Workers, renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doorward.guard.revocation.revocation_list import RevocationList, RevocationStore
    from doorward.guard.work import Job
    from doorward.ports import Clock

__all__ = ["Mirror", "errors_made_ours"]

_READ_AT_ONCE_S = 0.2  # for so long decisions wait while there is more to read; the rest is loaded aside
_STOPPING_S = 2.5
_WORTH_FILLING = 0.9  # so empty must a full list have become before everything is read again


class _Gap:
    """Numbers of entries, above ``position`` up to ``last``, that are yet to be read."""

    def __init__(self, position: int, last: int) -> None:
        self.position, self.last = position, last


class Mirror:
    """The entries of one store, in a list.

    Args:
        store: whose.
        entries: where they are kept.
        clock: for tests.
        changed: told of each change of the list; returns the version that it makes.
        failed: told when loading aside fails.

    Attributes:
        questions: for what is not known here.
        all_known: whether everything is in the list, or in its filter.
        asked_since: who was told by the store at this version or later misses nothing by a gap.
        all_known_at: the last instant as of which all was known.
        misunderstood: a failure that holds for every token, until all could be read.
    """

    def __init__(
        self,
        store: RevocationStore,
        entries: RevocationList,
        *,
        clock: Clock,
        changed: Callable[[], int],
        failed: Callable[[StoreError], None],
    ) -> None:
        self._store, self._list, self._clock = store, entries, clock
        self._tell_changed, self._tell_failed = changed, failed
        self._workers = Workers("loading revocations", threads=1, queued=1)
        self._lock = Lock()
        self._position = 0
        self._from_the_start = True
        self._followed_at = -inf
        self._gap: _Gap | None = None
        self._loading: Job[None] | None = None
        self.questions = StoreQuestions(store)
        self.all_known = False
        self.asked_since: float = 0
        self.all_known_at = -inf
        self.misunderstood: StoreError | None = None
        renew_after_fork(self)

    def follow(self, began_at: float) -> None:
        """Learn what came since, or everything. What would take long becomes a gap.

        Raises:
            StoreError: the store failed.
        """
        with errors_made_ours():
            self._follow(began_at)
        self._followed_at = began_at
        if self.all_known:
            self.all_known_at = began_at

    def start_anew(self) -> None:
        """Read everything the next time: what answers then may be another database, or the clock was set back."""
        self._from_the_start = True

    def note_failure(self, error: StoreError) -> None:
        """Take note that a reading failed."""
        self._from_the_start = True
        if error.reason == "unknown_revocation":
            self.misunderstood = error

    def go_on(self) -> None:
        """Load what is in the gap, aside. A list that was full and has room by now is filled first."""
        with self._lock:
            if self._from_the_start or not (self._loading is None or self._loading.future.done()):
                return
            if self._gap is None and self._list.has_room_for_more(_WORTH_FILLING):
                self._list.begin_again()
                self._gap = _Gap(0, self._position)  # whose entries are known, if only to the filter
            gap = self._gap
            if gap is not None:
                with suppress(UnavailableError):  # the next call tries again
                    self._loading = self._workers.start(lambda: self._load(gap), timeout_s=_STOPPING_S)

    def close(self) -> None:
        """Stop loading, end the threads, close the store. A later use goes on."""
        with self._lock:
            loading = self._loading
            if self._gap is not None:
                self._gap = _Gap(self._gap.position, self._gap.last)  # which ends the loading of the other one
        if loading is not None:
            wait((loading.future,), _STOPPING_S)
        self._workers.close()
        self.questions.close()
        self._store.close()

    def after_fork(self) -> None:
        """Leave to the parent what it was loading."""
        self._lock, self._loading = Lock(), None

    def _follow(self, began_at: float) -> None:
        latest = self._store.latest()
        anew = self._from_the_start or latest < self._position
        position = 0 if anew else self._position
        if anew:
            with self._lock:  # whoever still loads a gap must not take its end for the end of this reading
                self._gap, self._from_the_start = None, False
            self._list.begin_again()
        while position < latest and self._clock.now() - began_at <= _READ_AT_ONCE_S:
            changes = self._store.read(position, latest)
            if self._list.add_entries(changes.entries, now=began_at):
                self._tell_changed()
            position = changes.position
        if position < latest:
            self._open_gap(position if anew or self._gap is None else self._gap.position, latest)
        elif anew:
            with self._lock:
                was_known = self.all_known
                self._end()
            if not was_known and self.asked_since:
                self._tell_changed()
        self._position = latest

    def _open_gap(self, position: int, last: int) -> None:
        with self._lock:
            self._gap, self.all_known, self.asked_since = _Gap(position, last), False, inf
        self.asked_since = self._tell_changed()

    def _load(self, gap: _Gap) -> None:
        # Nobody waits for this, so nothing is raised. Each page leaves the list and the gap right.
        try:
            with errors_made_ours():
                while gap.position < gap.last and self._is_wanted(gap):
                    changes = self._store.read(gap.position, gap.last)
                    self._list.add_entries(changes.entries, now=self._clock.now())
                    gap.position = changes.position
        except StoreError as error:
            if self._gap is gap:
                self.note_failure(error)
                self._tell_failed(error)
            return
        with self._lock:
            if not self._is_wanted(gap):
                return
            self._end()
            self.all_known_at = self._followed_at
        self._tell_changed()  # who could not be told by the store looks again

    def _is_wanted(self, gap: _Gap) -> bool:
        return self._gap is gap and not self._from_the_start

    def _end(self) -> None:
        self._list.end()
        self._gap, self.misunderstood, self.all_known = None, None, True


@contextmanager
def errors_made_ours() -> Iterator[None]:
    """Make a StoreError of whatever a store raises."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        message = f"The store of revocations failed in a way of its own ({type(error).__name__}). Look at the store."
        raise StoreError(message, reason="store_failed") from error
