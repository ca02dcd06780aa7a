"""Runs what an institution's work is made of, step by step: pauses, blocking calls, visits of a browser.

One text of the work serves threads and asyncio, as a flow does (decision 1); but its steps block or drive a browser,
for which a flow of requests has no words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from doorward.model import Pause

if TYPE_CHECKING:
    from doorward.ports import Clock

__all__ = ["Steps", "Visiting", "afinish", "finish"]

T = TypeVar("T")


class Visiting(Protocol):
    """A visit that can be made either way."""

    def make(self) -> Any: ...
    async def amake(self) -> Any: ...


Steps: TypeAlias = Generator["Pause | Visiting | Callable[[], Any]", Any, T]
"""Yields steps, is sent what they give, and returns its result. A step's failure is raised at its ``yield``."""


def finish(steps: Steps[T], clock: Clock) -> T:
    """Take all steps here and return the result. Whatever ends it, the work's ``finally`` blocks have run."""
    try:
        step = next(steps)
        while True:
            try:
                answer = _take(step, clock)
            except Exception as error:  # noqa: BLE001 - the work decides what it means
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


async def afinish(steps: Steps[T], clock: Clock) -> T:
    """Do as ``finish`` does, for asyncio: blocking calls run in threads. Cancelling ends the work at its step."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await _atake(step, clock)
            except Exception as error:  # noqa: BLE001 - as above
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def _take(step: Pause | Visiting | Callable[[], Any], clock: Clock) -> Any:
    if isinstance(step, Pause):
        return clock.sleep(step.seconds)
    return step() if callable(step) else step.make()


async def _atake(step: Pause | Visiting | Callable[[], Any], clock: Clock) -> Any:
    if isinstance(step, Pause):
        return await clock.asleep(step.seconds)
    return await (asyncio.to_thread(step) if callable(step) else step.amake())
