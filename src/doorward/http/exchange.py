"""Drives flows (decision 1): sends the requests they yield, sleeps their pauses, gives back what they return.

The only place where a flow meets a transport, a clock and an event loop. No flow is written here, and nothing here
knows what a request is for. A flow that has come to an irrevocable request is carried to its end, whoever stops
waiting for it (decision 9).
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from doorward.errors import ConfigurationError
from doorward.model import HttpRequest, HttpResponse, Pause
from doorward.system import SystemClock, in_asyncio

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from doorward.ports import AsyncTransport, Clock, Flow, Transport

__all__ = ["arun", "aside", "run"]

T = TypeVar("T")

_SYSTEM_CLOCK = SystemClock()

_carried: set[asyncio.Task[Any]] = set()  # an event loop keeps only weak references to its tasks


def run(flow: Flow[T], transport: Transport, clock: Clock = _SYSTEM_CLOCK) -> T:
    """Drive ``flow`` to its end and return its result.

    An exception of the transport is raised inside the flow, at its ``yield``. Whatever ends the drive, Ctrl-C included,
    the flow is closed: its ``finally`` blocks have run when this returns or raises. From an irrevocable request on, a
    thread drives the flow; Ctrl-C then ends the wait, and the thread finishes by the deadlines of its requests.
    """
    drive = _Drive(flow)
    try:
        while drive.step is not None and not drive.must_be_carried:
            drive.advance(transport, clock)
    except BaseException:
        flow.close()
        raise
    if drive.step is None:
        return drive.result
    outcome: Future[T] = Future()

    def carry() -> None:
        try:
            with closing(flow):
                while drive.step is not None:
                    drive.advance(transport, clock)
        except BaseException as error:  # noqa: BLE001 - it is the waiting caller's
            outcome.set_exception(error)
        else:
            outcome.set_result(drive.result)

    carrier = threading.Thread(target=carry, name="doorward-exchange")
    try:
        carrier.start()
    except RuntimeError:  # no more threads, or the interpreter is ending: nothing was sent yet
        flow.close()
        raise
    result = outcome.result()
    carrier.join()
    return result


async def arun(flow: Flow[T], transport: AsyncTransport, clock: Clock = _SYSTEM_CLOCK) -> T:
    """Drive ``flow`` like ``run``, for asyncio. Cancelling the task closes the flow.

    Under trio a thread drives it, blocking: there a cancelled wait ends at the flow's next pause.

    From an irrevocable request on, a task of its own drives the flow: cancelling the caller leaves it to finish, and
    only the end of the event loop ends it.
    """
    if not in_asyncio():
        return await aside(run, flow, transport.blocking(), _CancellableClock(clock))
    drive = _Drive(flow)
    try:
        while drive.step is not None and not drive.must_be_carried:
            await drive.aadvance(transport, clock)
    except BaseException:
        flow.close()
        raise
    if drive.step is None:
        return drive.result
    import asyncio  # noqa: PLC0415 - heavy, and whoever awaits this has it already

    async def carry() -> T:
        with closing(flow):
            while drive.step is not None:
                await drive.aadvance(transport, clock)
        return drive.result

    def let_go(task: asyncio.Task[T]) -> None:
        _carried.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody is told of it who has stopped waiting

    task = asyncio.ensure_future(carry())
    _carried.add(task)
    task.add_done_callback(let_go)
    return await asyncio.shield(task)


async def aside(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function that blocks in a thread, under asyncio or trio.

    Raises:
        ConfigurationError: Neither runs this code.
    """
    if in_asyncio():
        import asyncio  # noqa: PLC0415 - as above

        return await asyncio.to_thread(function, *arguments)
    import anyio.to_thread  # noqa: PLC0415 - heavy

    try:
        return await anyio.to_thread.run_sync(function, *arguments)
    except anyio.NoEventLoopError:
        message = "Call this from asyncio or trio; elsewhere, use its twin that blocks."
        raise ConfigurationError(message, field="event_loop", reason="unknown_event_loop") from None


class _CancellableClock:
    """A clock whose pauses, in a thread of anyio's, end early when whoever waits for that thread is cancelled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.now, self.monotonic, self.asleep = clock.now, clock.monotonic, clock.asleep

    def sleep(self, seconds: float) -> None:
        import anyio.from_thread  # noqa: PLC0415 - heavy

        with suppress(anyio.NoEventLoopError):  # once the flow must be carried to its end, a thread of ours drives it
            anyio.from_thread.check_cancelled()
        self._clock.sleep(seconds)


class _Drive(Generic[T]):
    """A flow on its way: what it waits for now, and its result once ``step`` is None."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.result: T
        self.step: HttpRequest | Pause | None
        self._take(lambda: next(flow))

    @property
    def must_be_carried(self) -> bool:
        return isinstance(self.step, HttpRequest) and self.step.irrevocable

    def advance(self, transport: Transport, clock: Clock) -> None:
        answer: HttpResponse | None = None
        try:
            if isinstance(self.step, Pause):
                clock.sleep(self.step.seconds)
            elif self.step is not None:
                answer = transport.send(self.step)
        except Exception as error:  # noqa: BLE001 - the flow decides what each means, and raises what it won't handle
            self._throw(error)
        else:
            self._take(lambda: self._flow.send(answer))

    async def aadvance(self, transport: AsyncTransport, clock: Clock) -> None:
        answer: HttpResponse | None = None
        try:
            if isinstance(self.step, Pause):
                await clock.asleep(self.step.seconds)
            elif self.step is not None:
                answer = await transport.send(self.step)
        except Exception as error:  # noqa: BLE001 - as above
            self._throw(error)
        else:
            self._take(lambda: self._flow.send(answer))

    def _throw(self, error: Exception) -> None:
        self._take(lambda: self._flow.throw(error))

    def _take(self, go_on: Callable[[], HttpRequest | Pause]) -> None:
        try:
            self.step = go_on()
        except StopIteration as end:
            self.step, self.result = None, end.value
