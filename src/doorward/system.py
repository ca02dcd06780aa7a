"""The real clock, the real randomness and the event loop. The only module that reads them; tests pass their own."""

from __future__ import annotations

import time

__all__ = ["SystemClock", "SystemEntropy", "in_asyncio"]


class SystemClock:
    """The operating system's clocks."""

    now = staticmethod(time.time)  # not wrapped: a guard asks it for each request

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        import asyncio  # noqa: PLC0415 - heavy, and only asynchronous callers need it

        await asyncio.sleep(seconds)


def in_asyncio() -> bool:
    """Say whether asyncio runs this code. Else it is trio, by way of anyio or not, or nothing that we know."""
    import asyncio  # noqa: PLC0415 - as above

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class SystemEntropy:
    """The operating system's random numbers."""

    def token_urlsafe(self, nbytes: int) -> str:
        import secrets  # noqa: PLC0415 - loads OpenSSL, which the clock alone does not need

        return secrets.token_urlsafe(nbytes)
