"""Revocation that works at once: what to revoke, where it is kept, and how this process learns what others revoked.

Decisions ask the list in memory (``revocation_list``). With a store, that list is its mirror, never older than
``poll_s`` while the store answers; what the mirror does not hold yet, or has no room for, the store is asked about
(decision 14). How a store keeps its entries is its own business.
"""

from __future__ import annotations

import threading
from concurrent.futures import wait
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Self

from doorward.errors import ConfigurationError, StoreError, UnavailableError
from doorward.guard.revocation.fullness import Fullness
from doorward.guard.revocation.mirror import Mirror, errors_made_ours
from doorward.guard.revocation.revocation_list import RevocationList, RevocationStore, fingerprint
from doorward.guard.revocation.revoking import revocation_of
from doorward.guard.work import Job, Workers, renew_after_fork
from doorward.system import SystemClock

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from doorward.guard.revocation.revocation_list import Marks
    from doorward.guard.work import Work
    from doorward.ports import Clock

__all__ = ["RevocationStore", "Revocations", "fingerprint"]

_PATIENCE_S = 1.0  # for a store that may be hanging, while what is known would still do
_READING_TIMEOUT_S = 10.0
_STOPPING_S = 2.5
_PRUNE_EVERY_S = 60.0


class Revocations:
    """What is revoked: by token, ``jti``, subject, signing key or issuer.

    ``version`` grows after every change seen, our own or another process's: read it before you ``check`` or ``ask``,
    and check again when it has grown. Before a decision at ``now`` rests on this list, ``now`` must not lie before
    ``fresh_since``, and must lie before ``fresh_until``; else ``current`` brings the list up to date. All are plain
    attributes, for the hot path. A clock that is set back so ends what is known, and does not prolong it.

    Without a store, entries live and end with this process.

    Args:
        store: what several processes share.
        clock: for tests.
        poll_s: while the store answers, no decision rests on a list older than this. In use, it is read twice as often.
        max_stale_s: how long decisions go on while the store fails. Then they fail: StoreError, never "not revoked".
        max_entries: bounds the memory, at some 60 bytes an entry. Without a store, what does not fit is refused. With
            one, it is kept there alone, and the store is asked about each token that it might concern. Python's log
            (``doorward.guard.revocation``) warns at 80 % and at the bound.

    Raises:
        ConfigurationError: a setting is out of range; ``field`` names it.
    """

    def __init__(
        self,
        store: RevocationStore | None = None,
        *,
        clock: Clock | None = None,
        poll_s: float = 1.0,
        max_stale_s: float = 30.0,
        max_entries: int = 1_000_000,
    ) -> None:
        if not 0 < poll_s < inf:
            raise ConfigurationError("poll_s must be a number of seconds above 0.", field="poll_s")
        if not poll_s <= max_stale_s < inf:
            raise ConfigurationError("max_stale_s must be at least poll_s, and finite.", field="max_stale_s")
        if max_entries < 1:
            raise ConfigurationError("max_entries must be at least 1.", field="max_entries")
        self._store = store
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._max_stale_s = max_stale_s
        self._max_entries = max_entries
        self._list = RevocationList(max_entries, Fullness(max_entries, has_store=store is not None))
        self._workers = Workers("revocations", threads=1, queued=2)
        self._lock = threading.Lock()
        self._mirror: Mirror | None = None
        if store is not None:
            self._mirror = Mirror(store, self._list, clock=self._clock, changed=self._changed, failed=self._failed)
        renew_after_fork(self)
        self._is_reading = False
        self._job: Job[None] | None = None
        self._job_began_at = -inf
        self._seen_at = -inf  # when the last reading that succeeded began
        self._failure: StoreError | None = None  # of the last reading
        self._retry_at = -inf
        self._prune_at = -inf
        self.version = 0
        self.fresh_since = -inf
        self.fresh_until = inf if store is None else -inf

    @classmethod
    def memory(cls, *, clock: Clock | None = None, max_entries: int = 1_000_000) -> Self:
        """Keep revocations in this process alone."""
        return cls(clock=clock, max_entries=max_entries)

    @classmethod
    def sqlite(  # noqa: PLR0913 - as for `sql`
        cls,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        poll_s: float = 1.0,
        max_stale_s: float = 30.0,
        max_entries: int = 1_000_000,
    ) -> Self:
        """Share revocations between the processes of one computer, in an SQLite file. No I/O yet.

        Args:
            path: of the file.
            read_only: as for ``sql``.
            clock: as for the class.
            poll_s: the same.
            max_stale_s: the same.
            max_entries: the same.
        """
        from doorward.guard.stores.opening import sqlite_url  # noqa: PLC0415 - needs no extra, but `sql` below does

        return cls.sql(
            sqlite_url(path),
            read_only=read_only,
            clock=clock,
            poll_s=poll_s,
            max_stale_s=max_stale_s,
            max_entries=max_entries,
        )

    @classmethod
    def sql(  # noqa: PLR0913 - what the mirror of a database can be told, by keyword
        cls,
        url: str,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        poll_s: float = 1.0,
        max_stale_s: float = 30.0,
        max_entries: int = 1_000_000,
    ) -> Self:
        """Share revocations in a database. No I/O yet.

        Args:
            url: as ``stores.opening.open_database`` takes it.
            read_only: follow what others revoke, and write nothing.
            clock: as for the class.
            poll_s: the same.
            max_stale_s: the same.
            max_entries: the same.
        """
        from doorward.guard.stores.opening import open_database  # noqa: PLC0415 - as above

        database = open_database(url, read_only=read_only)
        from doorward.guard.revocation.sql_store import SqlRevocations  # noqa: PLC0415 - needs what was looked for

        return cls(
            SqlRevocations(database, clock=clock),
            clock=clock,
            poll_s=poll_s,
            max_stale_s=max_stale_s,
            max_entries=max_entries,
        )

    def __len__(self) -> int:
        return len(self._list)

    @property
    def complete(self) -> bool:
        """Whether every revocation is in memory, so that no decision asks the store."""
        return not self._list.beyond and (self._mirror is None or self._mirror.all_known)

    @property
    def fill(self) -> float:
        """How full the memory is: 1.0 is ``max_entries``, and what is above it is kept by the store alone."""
        return (len(self._list) + self._list.beyond) / self._max_entries

    def revoke(  # noqa: PLR0913 - keyword-only, one way to revoke each
        self,
        *,
        token: str | None = None,
        issuer: str | None = None,
        subject: str | None = None,
        jti: str | None = None,
        kid: str | None = None,
        before: float | None = None,
        until: float | None = None,
        by: str = "",
    ) -> None:
        """Revoke one thing: in this process at once, elsewhere within ``poll_s`` of its return.

        Give ``token``; or ``issuer`` with ``jti``, with ``subject``, with ``kid``, or alone. Waits for the store: from
        asyncio, call it in a thread.

        Args:
            token: the token's text. A JWT is known again whatever is done to its signature.
            issuer: whose tokens; alone: all of them, also those to come, or those issued until ``before``.
            subject: a person's or service's tokens issued until ``before``.
            jti: the token of that name.
            kid: all tokens signed with that key.
            before: epoch seconds; tokens without ``iat`` count as issued before. For a subject it is now where not
                given; an issuer's clock may be ahead, so ``now + leeway`` is surer; ``math.inf`` locks the subject out.
            until: epoch seconds, when the entry may be forgotten: the ``exp`` of what is revoked and the leeway. For a
                JWT it is found in the token; else an entry stays for ever.
            by: who revokes, for the store's records.

        Raises:
            ConfigurationError: not one of those ways, or a value that can't be; ``field`` names it. Nothing is revoked.
            StoreError: ``revocations_full``: nothing is revoked, and there is no store. Any other reason: the store
                failed; it is revoked in this process, but perhaps nowhere else, and not after a restart. Where the
                memory is full, it is perhaps not even revoked here; the message says so. Do it again.
        """
        now = self._clock.now()
        revocation = revocation_of(token, issuer, subject, jti, kid, before, until, by, now)
        self._prune(now)
        is_here = True
        try:
            self._list.add(revocation, now=now)
        except StoreError:
            if self._store is None:
                raise
            is_here = False
        else:
            self._changed()  # also where it was there: whoever added it this moment may not have said so yet
        if self._store is None:
            return
        try:
            with errors_made_ours():
                self._store.add(revocation)
        except StoreError as error:
            where = "Revoked in this process, but perhaps in no other" if is_here else "Perhaps not revoked anywhere"
            raise StoreError(f"{where}: revoke it again. {error.message}", reason=error.reason) from error
        if not is_here:
            self._list.add(revocation, now=now, elsewhere=True)
            self._changed()

    def check(self, *, looked_at: int = -1, **marks: Unpack[Marks]) -> bool:
        """Refuse a token that is known to be revoked. See ``RevocationList.check``.

        Args:
            looked_at: the version at which this token was last found to be good; -1 if it never was.
            marks: the token's.

        Returns:
            Whether it is good. False: that is not known here; ``ask``.
        """
        # In this order: what comes to be known after the first line is in the list by the last one.
        mirror = self._mirror
        is_enough = mirror is None or mirror.all_known or looked_at >= mirror.asked_since
        return self._list.check(**marks) and is_enough

    def ask(self, now: float, **marks: Unpack[Marks]) -> Work[bool]:
        """Ask the store about a token that ``check`` knows too little of.

        Returns:
            Whether it is good as of now. False: the store fails, but it was good less than ``max_stale_s`` ago. Then
            ask again for the next request.

        Raises:
            Revoked: as ``check``.
            StoreError: nobody knows.
            UnavailableError: too many are asking.
        """
        mirror = self._mirror
        assert mirror is not None  # noqa: S101 - without a store all is known
        try:
            if mirror.misunderstood is not None:
                raise self._too_old()
            found = yield from mirror.questions.ask(marks, self.version)
        except UnavailableError:  # the store fails, or too many ask it
            if self._list.check(**marks) and now - mirror.all_known_at < self._max_stale_s:
                return False
            raise
        answer = RevocationList(max(1, len(found)))
        answer.add_entries(found, now=now)
        return answer.check(**marks)

    def take_over(self, other: Revocations) -> None:
        """Begin with what ``other`` was told, where nothing else keeps it: what has no store ends with its object.

        All of it is taken: it fitted where it was.
        """
        if other is not self and other._store is None:
            self._list.take_over(other._list)
            self._changed()

    def warm_up(self) -> None:
        """Begin to load what the store has. Waits for nothing; what fails will show in ``current``."""
        now = self._clock.now()
        if not now < self.fresh_until:
            with suppress(UnavailableError):
                self._begin_reading(now)

    def current(self, now: float) -> Work[None]:
        """Bring the list up to date, as far as a decision at ``now`` needs it.

        Waits only where the list is older than ``poll_s``, and then not for a store that has just failed.

        Raises:
            StoreError: nothing was loaded yet, or nothing since ``max_stale_s`` ago, and the store fails.
        """
        moment = self._clock.now()
        if moment < self._seen_at - self._poll_s:  # the clock was set back, so nobody knows how old the list is
            self._seen_at = self._retry_at = self.fresh_since = self.fresh_until = -inf
            if self._mirror is not None:
                self._mirror.all_known_at = -inf
                self._mirror.start_anew()  # what was over is so no more
        if now < self.fresh_until:
            return
        job = self._begin_reading(now)
        stale = not now - self._seen_at < self._max_stale_s
        if not stale and (self._failure is not None or now - self._seen_at < self._poll_s):
            return  # the reading goes on aside
        if job is not None:
            timeout_s = job.timeout_s if stale else self._job_began_at + _PATIENCE_S - now
            try:
                if timeout_s > 0:
                    yield Job(job.future, timeout_s)
            except (UnavailableError, TimeoutError):
                pass  # what counts is what is known by now
        if not now - self._seen_at < self._max_stale_s:
            raise self._too_old()

    def close(self) -> None:
        """End the thread and close the store. A later use opens both again."""
        self._workers.close()
        if self._job is not None:
            wait((self._job.future,), _STOPPING_S)
        if self._mirror is not None:
            self._mirror.close()

    def _begin_reading(self, now: float) -> Job[None] | None:
        """Return the reading under way, begun if need be; None where one is not worth trying yet."""
        with self._lock:
            job = self._job
            if job is None or (job.future.done() and not now < self.fresh_until):
                if now < self._retry_at:
                    return None
                job = self._job = self._workers.start(self._read, timeout_s=_READING_TIMEOUT_S)
                self._job_began_at = now
            return job

    def _read(self) -> None:
        self._is_reading = True
        try:
            self._read_changes()
        finally:
            self._is_reading = False

    def _read_changes(self) -> None:
        mirror = self._mirror
        assert mirror is not None  # noqa: S101 - without a store the list is always fresh
        began_at = self._clock.now()
        try:
            mirror.follow(began_at)
        except StoreError as error:
            mirror.note_failure(error)
            self._failed(error)
            raise
        self._failure, self._retry_at = None, -inf
        self._seen_at = self.fresh_since = began_at
        self.fresh_until = began_at + self._poll_s / 2  # read ahead, so that a busy guard never waits for it
        self._prune(began_at)
        mirror.go_on()

    def _failed(self, error: StoreError) -> None:
        self._failure = error
        self._retry_at = self._clock.now() + self._poll_s / 2
        self.fresh_until = min(self._retry_at, self._seen_at + self._max_stale_s)

    def _changed(self) -> int:
        with self._lock:
            self.version += 1  # after the change: who has read the new number sees it
            return self.version

    def _prune(self, now: float) -> None:
        if self._prune_at - _PRUNE_EVERY_S <= now < self._prune_at:
            return
        self._prune_at = now + _PRUNE_EVERY_S
        self._list.prune(now=now)

    def _too_old(self) -> StoreError:
        why = "the store does not answer" if self._failure is None else self._failure.message
        message = f"What is revoked is not known well enough to accept a token: {why} Mend the store, then try again."
        return StoreError(message, reason="revocations_stale", retry_after_s=self._poll_s)

    def after_fork(self) -> None:
        """Let go of what stays in the parent: a reading under way, and locks that another thread held."""
        if self._mirror is not None and self._is_reading:
            self._mirror.start_anew()  # nobody knows how far it came
        self._lock, self._job, self._is_reading = threading.Lock(), None, False
        self._list.renew_lock()
        self.version += 1  # a thread of the parent may have changed the list and not said so yet
