"""What takes long, done aside: jobs on a few daemon threads, and the two ways to wait for them.

A decision that needs the network or a database is written once, as a private generator (``Work``): it yields jobs, is
sent their results, and returns. ``finish`` waits with the caller's thread, ``afinish`` with its task. A job can't be
stopped: it ends by the deadlines of what it calls, and nobody waits longer than ``timeout_s`` for it. Why threads serve
asyncio too: decision 10.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from doorward.errors import ConfigurationError, UnavailableError
from doorward.system import in_asyncio

__all__ = ["Forkable", "Job", "OwnLock", "SharedJobs", "Work", "Workers", "afinish", "finish", "renew_after_fork"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """Something under way, and for how many seconds it is worth waiting."""

    future: Future[T]
    timeout_s: float


Work: TypeAlias = Generator[Job[Any], Any, T]
"""A decision in steps. A job that fails raises its error at the ``yield``; one that is late raises ``TimeoutError``."""


def finish(work: Work[T]) -> T:
    """Carry ``work`` to its end, waiting in this thread."""
    try:
        job = next(work)
        while True:
            try:
                result = job.future.result(job.timeout_s)
            except Exception as error:  # noqa: BLE001 - the work decides what each means
                job = work.throw(error)
            else:
                job = work.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what the generator returned
    finally:
        work.close()


async def afinish(work: Work[T]) -> T:
    """Carry ``work`` to its end, waiting in this task. Cancelling it leaves a job under way to others."""
    import asyncio  # noqa: PLC0415 - heavy, and whoever awaits this has it already

    if not in_asyncio():  # trio, by way of anyio
        import anyio.to_thread  # noqa: PLC0415 - heavy, and seldom needed

        try:
            return await anyio.to_thread.run_sync(finish, work, abandon_on_cancel=True)
        except anyio.NoEventLoopError:
            work.close()
            message = "A guard is awaited under asyncio or trio. Elsewhere, use its twin that blocks."
            raise ConfigurationError(message, field="event_loop", reason="unknown_event_loop") from None
    try:
        job = next(work)
        while True:
            try:
                # Late or cancelled, the wait is cancelled, so that nothing is reported to a loop that is gone; the job
                # runs, and what runs can't be cancelled.
                async with asyncio.timeout(job.timeout_s):
                    result = await asyncio.wrap_future(job.future)
            except Exception as error:  # noqa: BLE001 - as above
                job = work.throw(error)
            else:
                job = work.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # as above
    finally:
        work.close()


class Workers:
    """A bounded number of daemon threads with a bounded queue.

    Jobs may wait in lanes, which take turns: who fills one holds up nobody else. No lane may hold more places than it
    leaves free, so that a lane alone takes half of them, and however many there are, one that comes finds a place while
    there is any (Choudhury and Hahne, "Dynamic queue length thresholds", 1998). Jobs without a lane go first, and may
    take all places.

    A thread starts when a job has none to go to, also after a fork, and ends when it has had none for a while.

    Args:
        name: what they do, for the threads' names and for messages.
        threads: how many jobs may be under way.
        queued: how many may wait for a thread.
        idle_s: for how long a thread waits for its next job.
    """

    def __init__(self, name: str, *, threads: int = 4, queued: int = 64, idle_s: float = 60.0) -> None:
        self._name = name
        self._threads = threads
        self._queued = queued
        self._idle_s = idle_s
        self._crew = _Crew(idle_s)
        renew_after_fork(self)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._crew.waiting)

    def start(self, function: Callable[[], T], *, timeout_s: float, lane: Hashable = None, leaving: int = 0) -> Job[T]:
        """Have ``function`` run on one of the threads.

        Args:
            function: the job.
            timeout_s: for how long it is worth waiting.
            lane: whose it is, if that matters.
            leaving: how many places it leaves to others.

        Raises:
            UnavailableError: ``too_busy``: too much is under way; ``no_thread``: the system gives none.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it

        def run() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)

        crew = self._crew
        with crew.changed:
            free = self._queued - leaving - len(crew.waiting)
            if free <= (0 if lane is None else crew.waiting.held(lane)):
                message = f"Too much is waiting for {self._name}. Try again in a moment."
                raise UnavailableError(message, reason="too_busy", retry_after_s=1.0)
            crew.waiting.append(lane, run)
            if len(crew.waiting) <= crew.idle or crew.threads == self._threads:
                crew.changed.notify()
                return Job(future, timeout_s)
            thread = threading.Thread(target=crew.work, name=f"doorward-{self._name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not crew.threads:  # else one of those will come to it
                    crew.waiting.take_back(lane)
                    message = f"The system gives no thread for {self._name}. Raise its limit, or try again in a moment."
                    raise UnavailableError(message, reason="no_thread", retry_after_s=1.0) from None
            else:
                crew.threads += 1
        return Job(future, timeout_s)

    def close(self) -> None:
        """Let the threads end when they have done what is waiting. A later job starts new ones."""
        crew, self._crew = self._crew, _Crew(self._idle_s)
        with crew.changed:
            crew.dismissed = True
            crew.changed.notify_all()

    def after_fork(self) -> None:
        """Leave threads and jobs to the parent."""
        self._crew = _Crew(self._idle_s)


class SharedJobs:
    """Jobs that are started once for all who ask for the same meanwhile.

    Args:
        workers: who does them.
        timeout_s: for how long one is worth waiting.
    """

    def __init__(self, workers: Workers, *, timeout_s: float) -> None:
        self._workers = workers
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Job[Any]] = {}
        renew_after_fork(self)

    def start(self, what: Hashable, function: Callable[[], T]) -> Job[T]:
        """Return the job under way for ``what``, started if there is none. Raises as ``Workers.start``."""

        def do() -> T:
            try:
                return function()
            finally:
                with self._lock:
                    if self._under_way.get(what) is job:
                        del self._under_way[what]

        with self._lock:
            job = self._under_way.get(what)
            if job is None:
                job = self._under_way[what] = self._workers.start(do, timeout_s=self._timeout_s)
        return job

    def forget(self) -> None:
        """Let nobody share what is under way by now: something was changed."""
        with self._lock:
            self._under_way.clear()

    def after_fork(self) -> None:
        """Leave to the parent what it is waiting for."""
        self._lock, self._under_way = threading.Lock(), {}


class _Lanes:
    """What waits, by whose it is. The lanes take turns, and each gives its oldest; None goes before all."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def held(self, lane: Hashable) -> int:
        return len(self._lanes.get(lane, ()))

    def append(self, lane: Hashable, run: Callable[[], None]) -> None:
        self._lanes.setdefault(lane, deque()).append(run)
        self._size += 1
        if lane is None:
            self._lanes.move_to_end(None, last=False)

    def take_back(self, lane: Hashable) -> None:
        """Take out what was put last into ``lane``."""
        self._lanes[lane].pop()
        self._size -= 1
        if not self._lanes[lane]:
            del self._lanes[lane]

    def popleft(self) -> Callable[[], None]:
        lane, waiting = self._lanes.popitem(last=False)
        run = waiting.popleft()
        self._size -= 1
        if waiting:
            self._lanes[lane] = waiting
            self._lanes.move_to_end(lane, last=lane is not None)  # its next turn comes after everybody else's
        return run


class _Crew:
    """Threads and what waits for them. All is read and changed under ``changed``."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self.changed = threading.Condition(threading.Lock())
        self.waiting = _Lanes()
        self.threads = 0
        self.idle = 0
        self.dismissed = False

    def work(self) -> None:
        while (run := self._next()) is not None:
            run()
            del run  # and with it what the caller gave

    def _next(self) -> Callable[[], None] | None:
        with self.changed:
            self.idle += 1
            self.changed.wait_for(lambda: self.waiting or self.dismissed, self._idle_s)
            self.idle -= 1
            if self.waiting:
                return self.waiting.popleft()
            self.threads -= 1
            return None


class Forkable(Protocol):
    """What has to begin anew in the child of a fork: other threads are gone there, and their locks may stay held."""

    def after_fork(self) -> None: ...


_forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()


def renew_after_fork(thing: Forkable) -> None:
    """Have ``thing.after_fork()`` called in the child of each fork. Does not keep it alive."""
    _forkables.add(thing)


class OwnLock:
    """A lock of this process: in the child of a fork it is free, whoever held it in the parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_after_fork(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        """Begin anew in a child."""
        self._lock = threading.Lock()  # another one, that nobody holds


def _after_fork() -> None:
    for thing in list(_forkables):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
