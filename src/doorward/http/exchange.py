"""Drives flows (decision 1): sends the requests they yield, sleeps their pauses, gives back what they return.

The only place where a flow meets a transport and a clock. No flow is written here, and nothing here knows what a
request is for. ``run`` and ``arun`` differ in ``await`` alone.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from doorward.model import HttpResponse, Pause
from doorward.system import SystemClock

if TYPE_CHECKING:
    from doorward.ports import AsyncTransport, Clock, Flow, Transport

__all__ = ["arun", "run"]

T = TypeVar("T")

_SYSTEM_CLOCK = SystemClock()


def run(flow: Flow[T], transport: Transport, clock: Clock = _SYSTEM_CLOCK) -> T:
    """Drive ``flow`` to its end and return its result.

    An exception of the transport is raised inside the flow, at its ``yield``. Whatever ends the drive, Ctrl-C included,
    the flow is closed: its ``finally`` blocks have run when this returns or raises.
    """
    with closing(flow):
        try:
            step = next(flow)
            while True:
                answer: HttpResponse | None = None
                try:
                    if isinstance(step, Pause):
                        clock.sleep(step.seconds)
                    else:
                        answer = transport.send(step)
                except Exception as error:  # noqa: BLE001 - the flow decides what each means, and raises what it won't handle
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


async def arun(flow: Flow[T], transport: AsyncTransport, clock: Clock = _SYSTEM_CLOCK) -> T:
    """Drive ``flow`` like ``run``, for asyncio. Cancelling the task closes the flow."""
    with closing(flow):
        try:
            step = next(flow)
            while True:
                answer: HttpResponse | None = None
                try:
                    if isinstance(step, Pause):
                        await clock.asleep(step.seconds)
                    else:
                        answer = await transport.send(step)
                except Exception as error:  # noqa: BLE001 - the flow decides what each means, and raises what it won't handle
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
