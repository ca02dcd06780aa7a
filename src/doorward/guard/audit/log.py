"""The audit log in front of the disk: takes decisions from requests, and writes them from one thread.

``record`` puts a decision into a bounded queue. Nothing is lost in silence: while the disk is full or another process
holds the log, what was taken is kept and tried again; once the queue is full too, ``record`` raises, and the guard
answers 503. Lines go to the operating system within milliseconds, to the disk every ``fsync_s``: ``kill -9`` can cost
the last few milliseconds, a power cut the last ``fsync_s``, and neither breaks the chain.

How lines look, how they get out and how they are checked is ``journal``'s.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from doorward.errors import ConfigurationError, DoorwardError, StoreError, printable
from doorward.guard.audit.decisions import Decision
from doorward.guard.work import renew_after_fork
from doorward.journal.chain_file import ChainFile
from doorward.journal.chain_stream import ChainStream
from doorward.model import Secret
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

__all__ = ["AuditLog"]

T = TypeVar("T")

_log = logging.getLogger("doorward.guard.audit")

_BATCH = 1_000
_GATHER_S = 0.002  # under load: one write for what comes in this time, instead of a thread woken by each
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.05, 2.0
_LOOK_S = 0.001
_AT_EXIT_S = 5.0
_STDOUT = "-"
_SHORTEST_KEY = 16
_SMALLEST_FILE = 4_096


class AuditLog:
    """A hash-chained log of decisions. Threads, processes and forks may share one file, or standard output.

    Nothing is opened or started before the first decision, or ``check``.

    Args:
        path: the file; ``path.head`` and the full files lie beside it. Leave rotation to this class. Or ``"-"`` for
            standard output, as containers want it: there each process has a chain of its own, and ``max_bytes``,
            ``keep`` and ``fsync_s`` mean nothing.
        key: with it, the chain is made with HMAC-SHA256: who can write the file can't make one that holds.
            At least 16 characters; keep it where the log is not.
        max_bytes: when a file is full and the next one begins.
        keep: how many full files stay; None: all.
        fsync_s: how often the disk is made to hold what was written.
        queue_size: how many decisions may wait to be written.
        wait_s: how long ``record`` waits for room. It holds up an event loop, so once it has waited in vain, others are
            refused at once, until something is written.

    Raises:
        ConfigurationError: a setting is wrong; ``field`` names it.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        path: str | PathLike[str],
        *,
        key: Secret | str | None = None,
        max_bytes: int = 64 * 1024 * 1024,
        keep: int | None = 10,
        fsync_s: float = 1.0,
        queue_size: int = 10_000,
        wait_s: float = 0.05,
    ) -> None:
        if sys.platform == "win32":
            raise ConfigurationError("The audit log needs POSIX locks, which Windows has not.", field="audit")
        _within("max_bytes", max_bytes, _SMALLEST_FILE, 2**40)
        _within("keep", 1 if keep is None else keep, 1, 1_000_000)
        _within("fsync_s", fsync_s, 0, 60)
        _within("queue_size", queue_size, 1, 1_000_000)
        _within("wait_s", wait_s, 0, 1)
        text = key.reveal() if isinstance(key, Secret) else key
        if text is not None and len(text) < _SHORTEST_KEY:
            message = f"The audit key is shorter than {_SHORTEST_KEY} characters and could be guessed: use random ones."
            raise ConfigurationError(message, field="key", reason="key_too_short")
        given = os.fspath(path)
        self._path = None if given == _STDOUT else Path(os.path.abspath(given))  # noqa: PTH100 - resolve() follows links
        self._key = None if text is None else text.encode(errors="surrogatepass")
        self._max_bytes, self._keep, self._fsync_s = max_bytes, keep, fsync_s
        self._queue_size, self._wait_s = queue_size, wait_s
        self._clock = SystemClock()
        self._writer = self._make_writer()
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"AuditLog({_STDOUT if self._path is None else str(self._path)!r})"

    def record(self, decision: Decision) -> None:
        """Take a decision to be written. Returns at once; waits ``wait_s`` where too many are waiting.

        Raises:
            StoreError: there is no room (reason ``audit_full``) or no thread (``audit_no_thread``): nobody would
                know of this decision.
        """
        writer = self._writer
        queue = writer.queue
        if len(queue) >= self._queue_size:
            self._await_room(writer)
        queue.append(decision)
        if writer.asleep:
            writer.wake()

    def check(self) -> None:
        """Make sure that decisions can be written, so that a mistake shows at the start.

        Raises:
            StoreError: they can't; the message says why.
        """
        file = self._make_file()
        try:
            file.check()
        finally:
            file.close()

    def flush(self, timeout_s: float = 5.0) -> None:
        """Wait until what was recorded so far is on the disk.

        Raises:
            StoreError: it is not yet (reason ``audit_unwritten``).
        """
        writer = self._writer
        if not writer.started:
            return  # nothing was recorded
        done = threading.Event()
        writer.queue.append(done)
        if writer.asleep:
            writer.wake()
        if not done.wait(timeout_s):
            raise self._unwritten(writer)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting, let the thread end, close the file. A later decision starts anew.

        Raises:
            StoreError: not all could be written in this time (reason ``audit_unwritten``). The thread goes on trying.
        """
        writer = self._writer
        if not writer.end(timeout_s):
            raise self._unwritten(writer)

    def _make_file(self) -> _Chain:
        if self._path is None:
            return ChainStream(key=self._key, clock=self._clock)
        return ChainFile(self._path, key=self._key, max_bytes=self._max_bytes, keep=self._keep, clock=self._clock)

    def _make_writer(self) -> _Writer:
        writer = _Writer(self._make_file(), fsync_s=self._fsync_s)
        # For the end of the process, which does not wait for such threads, and for whoever forgets to close.
        self._finishing = weakref.finalize(self, writer.finish)
        return writer

    def after_fork(self) -> None:
        """Begin anew in a child: the queue, the thread and the lock on the file are the parent's."""
        self._finishing.detach()
        self._writer.abandon()
        self._writer = self._make_writer()

    def _await_room(self, writer: _Writer) -> None:
        give_up_at = self._clock.monotonic() + self._wait_s
        while len(writer.queue) >= self._queue_size:
            if writer.failure or writer.stalled or self._clock.monotonic() >= give_up_at:
                writer.stalled = True
                message = (
                    f"{self._name} does not keep up, and nothing is decided without a record. "
                    f"{writer.failure or self._remedy}"
                )
                raise StoreError(message, reason="audit_full", retry_after_s=1.0)
            self._clock.sleep(_LOOK_S)

    def _unwritten(self, writer: _Writer) -> StoreError:
        message = f"{self._name} has decisions that wait to be written. {writer.failure or self._remedy}"
        return StoreError(message, reason="audit_unwritten")

    @property
    def _name(self) -> str:
        return "The audit log " + ("on standard output" if self._path is None else printable(str(self._path)))

    @property
    def _remedy(self) -> str:
        return "See what reads it." if self._path is None else "Look at its disk."


class _Chain(Protocol):
    """Where lines go: ``ChainFile`` or ``ChainStream``."""

    def append(self, decisions: Sequence[Decision]) -> int: ...
    def check(self) -> None: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class _Writer:
    """One process's queue, and the thread that empties it. Knows nothing of AuditLog, so that that can be forgotten."""

    def __init__(self, file: _Chain, *, fsync_s: float) -> None:
        self.queue: deque[Decision | threading.Event] = deque()
        self.asleep = True  # whoever adds to the queue has to wake the thread
        self.started = False
        self.stalled = False  # somebody has waited for room in vain
        self.failure = ""
        self._file = file
        self._fsync_s = fsync_s
        self._clock = SystemClock()
        self._sync_at: float | None = None
        self._ending = False
        self._lock = threading.Lock()
        self._woken = threading.Lock()  # released to wake the thread: for a sixth of what an Event takes
        self._woken.acquire()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the thread look at the queue. It is started where there is none."""
        with self._lock:
            if not self.started:
                self._thread = threading.Thread(target=self._run, name="doorward-audit", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    message = "The system gives no thread to write the audit log. See how many this process may have."
                    raise StoreError(message, reason="audit_no_thread") from None
                self.started, self._ending = True, False
            self._rouse()

    def end(self, timeout_s: float) -> bool:
        """Have the thread end once the queue is empty. Return whether it has."""
        with self._lock:
            if not self.started:
                return True
            thread = self._thread
            self._ending = True
            self._rouse()
        if thread is None or thread is threading.current_thread():  # the garbage may be collected anywhere
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def finish(self) -> None:
        """End, and tell if what was recorded is lost."""
        if not self.end(_AT_EXIT_S):
            _log.error("%d or more decisions are lost to the audit log. %s", len(self.queue), self.failure)

    def abandon(self) -> None:
        """Close what a fork copied. The parent still has its own."""
        with suppress(OSError):
            self._file.close()

    def _run(self) -> None:
        while self._await_work():
            decisions, waiting = self._take()
            while decisions:
                written = self._insist(partial(self._file.append, decisions))
                del decisions[:written]
                if self._sync_at is None:
                    self._sync_at = self._clock.monotonic() + self._fsync_s
            due = self._sync_at is not None and self._clock.monotonic() >= self._sync_at
            if due or waiting or self._ending:
                self._insist(self._file.sync)
                self._sync_at = None
            for done in waiting:
                done.set()

    def _await_work(self) -> bool:
        """Wait for decisions, or until what was written has to be synced. False: end."""
        with self._lock:
            self.asleep = True  # before looking: whoever adds to the queue from now on wakes us
            if self.queue:
                self.asleep = False
            if self.asleep and self._ending and self._sync_at is None:
                self.started = False
                self._file.close()
                return False
            asleep = self.asleep and not self._ending
            if asleep:
                self._woken.acquire(blocking=False)
        if asleep:
            self._woken.acquire(
                timeout=-1 if self._sync_at is None else max(0.0, self._sync_at - self._clock.monotonic())
            )
        self._clock.sleep(_GATHER_S)
        return True

    def _rouse(self) -> None:
        self.asleep = False
        if self._woken.locked():
            self._woken.release()

    def _take(self) -> tuple[list[Decision], list[threading.Event]]:
        decisions: list[Decision] = []
        waiting: list[threading.Event] = []
        self.stalled = False
        while self.queue and len(decisions) < _BATCH and not waiting:
            item = self.queue.popleft()
            if isinstance(item, Decision):
                decisions.append(item)
            else:
                waiting.append(item)
        return decisions, waiting

    def _insist(self, action: Callable[[], T]) -> T:
        """Do it until it succeeds: what it is about is kept meanwhile."""
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                result = action()
            except Exception as error:  # noqa: BLE001 - a thread that ended would lose decisions in silence
                known = isinstance(error, DoorwardError)
                failure = str(error) if known else f"Doorward made a mistake of its own ({type(error).__name__})."
                if failure != self.failure:
                    _log.error("%s Decisions are kept, and writing is tried again.", failure)
                self.failure = failure
                self._clock.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_RETRY_S)
            else:
                if self.failure:
                    _log.warning("The audit log can be written again.")
                self.failure = ""
                return result


def _within(field: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        message = f"{field} must be a number between {least} and {most}."
        raise ConfigurationError(message, field=field, reason="out_of_range")
