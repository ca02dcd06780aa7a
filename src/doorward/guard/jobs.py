"""What takes long, done aside: jobs on a few daemon threads, and the two ways to wait for them.

A decision that needs the network or a database is written once, as a private generator (``Work``): it yields jobs, is
sent their results, and returns. ``finish`` waits with the caller's thread, ``afinish`` with its task. What needs neither
never comes here. A job can't be stopped: it ends by the deadlines of what it calls, and nobody waits longer than
``timeout_s`` for it. Why threads serve asyncio too: decision 10.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from doorward.errors import UnavailableError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Job", "Work", "Workers", "afinish", "finish"]

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

    try:
        job = next(work)
        while True:
            try:
                waiting = asyncio.wrap_future(job.future)
                waiting.add_done_callback(_look_at)
                async with asyncio.timeout(job.timeout_s):
                    result = await asyncio.shield(waiting)
            except Exception as error:  # noqa: BLE001 - as above
                job = work.throw(error)
            else:
                job = work.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # as above
    finally:
        work.close()


def _look_at(waiting: asyncio.Future[Any]) -> None:
    if not waiting.cancelled():
        waiting.exception()  # looked at, so that nobody is told of it who has stopped waiting


class Workers:
    """A bounded number of daemon threads with a bounded queue. They start with the first job, also after a fork.

    Args:
        name: what they do, for the threads' names and for messages.
        threads: how many jobs may be under way.
        queued: how many may wait for a thread.
    """

    def __init__(self, name: str, *, threads: int = 4, queued: int = 64) -> None:
        self._name = name
        self._threads = threads
        self._queued = queued
        self._lock = threading.Lock()
        self._process = 0
        self._idle = 0
        self._started = 0
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(queued)

    def start(self, function: Callable[[], T], *, timeout_s: float) -> Job[T]:
        """Have ``function`` run on one of the threads.

        Raises:
            UnavailableError: too much is under way (reason ``too_busy``).
        """
        future: Future[T] = Future()

        def run() -> None:
            future.set_running_or_notify_cancel()  # from here on nobody can cancel it
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._forget_threads_of_another_process()
            try:
                self._waiting.put_nowait(run)
            except queue.Full:
                message = f"Too much is waiting for {self._name}. Try again in a moment."
                raise UnavailableError(message, reason="too_busy", retry_after_s=1.0) from None
            if self._started < self._threads and self._waiting.qsize() > self._idle:
                self._started += 1
                threading.Thread(target=self._work, args=(self._waiting,), name=f"doorward-{self._name}", daemon=True).start()
        return Job(future, timeout_s)

    def close(self) -> None:
        """Let the threads end when they have done what is waiting. A later job starts new ones."""
        with self._lock:
            self._forget_threads_of_another_process()
            for _ in range(self._started):
                try:
                    self._waiting.put_nowait(None)
                except queue.Full:  # they are daemons: the end of the process ends them
                    break
            self._waiting, self._started, self._idle = queue.Queue(self._queued), 0, 0

    def _forget_threads_of_another_process(self) -> None:
        if self._process != os.getpid():  # a fork copies the object without its threads
            self._process = os.getpid()
            self._waiting, self._started, self._idle = queue.Queue(self._queued), 0, 0

    def _work(self, waiting: queue.Queue[Callable[[], None] | None]) -> None:
        while True:
            with self._lock:
                self._idle += waiting is self._waiting
            run = waiting.get()
            with self._lock:
                self._idle -= waiting is self._waiting
            if run is None:
                return
            run()
            del run  # and with it what the caller gave
