"""Judges a WebSocket again while it is open: its token may expire, or be revoked.

Nothing waits in the background. The connection is judged where something passes: nothing more goes out or comes in once
its credential is no longer good.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.errors import ConfigurationError, Throttled, UnavailableError
from doorward.guard.work import afinish
from doorward.integrations.gate.refusals import REFUSED
from doorward.model import Principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from doorward.guard.work import Work
    from doorward.ports import Clock

    _Message: TypeAlias = MutableMapping[str, Any]

__all__ = ["ConnectionEnded", "LongLived", "check_recheck_s"]

_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1
_AT_LEAST_S = 1.0
_MOST_S = 86_400


class ConnectionEnded(OSError):
    """What an application meets that goes on sending. Frameworks take an OSError here for a client that went away."""


def check_recheck_s(seconds: float | None) -> None:
    """Raise ConfigurationError if it is no span that a connection can be judged after."""
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and _AT_LEAST_S <= seconds <= _MOST_S):
        message = f"recheck_s is a number of seconds from {_AT_LEAST_S:g} to {_MOST_S}, or None for never."
        raise ConfigurationError(message, field="recheck_s", reason="seconds_out_of_range")


class LongLived:
    """One open WebSocket. ``receive`` and ``send`` take the place of the server's.

    While nobody can say whether the credential is good, the last answer holds for ``recheck_s`` more, and never beyond
    the credential's end.

    Args:
        receive: the server's.
        send: the server's.
        ask: asks the guard again, as when the connection opened.
        principal: what it said then.
        recheck_s: for how long that holds at most.
        clock: says how late it is.
    """

    def __init__(  # noqa: PLR0913 - keyword-only but for the two it stands in for
        self,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
        *,
        ask: Callable[[], Principal | Work[Principal]],
        principal: Principal,
        recheck_s: float,
        clock: Clock,
    ) -> None:
        self._receive, self._send, self._ask, self._recheck_s, self._clock = receive, send, ask, recheck_s, clock
        self.ended = False
        self._good_until, self._lost_at = 0.0, 0.0
        self._note(principal)

    async def receive(self) -> _Message:
        """Return the next message, or that the connection has ended."""
        if not self.ended:
            message = await self._receive()
            if message["type"] != "websocket.receive" or await self._is_good():
                return message
        return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION, "reason": ""}

    async def send(self, message: _Message) -> None:
        """Send a message. Raises ConnectionEnded where the connection has ended."""
        if self.ended or (message["type"] == "websocket.send" and not await self._is_good()):
            raise ConnectionEnded("The credential of this connection is no longer good.")
        await self._send(message)

    async def _is_good(self) -> bool:
        if self._clock.monotonic() < self._good_until:
            return True
        try:
            answer = self._ask()
            principal = answer if isinstance(answer, Principal) else await afinish(answer)
        except REFUSED as error:
            # Others may have had the address throttled: that says nothing of this credential, as an outage does not.
            is_unknown = isinstance(error, (UnavailableError, Throttled))
            now = self._clock.monotonic()
            if is_unknown and now < self._lost_at:
                self._good_until = min(now + _AT_LEAST_S, self._lost_at)
                return True
            self.ended = True
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return False
        self._note(principal)
        return True

    def _note(self, principal: Principal) -> None:
        """Take an answer, and when to ask again. Just after the end a clock's leeway may still let it be good."""
        now, expires_at = self._clock.monotonic(), principal.expires_at
        left_s = inf if expires_at is None else expires_at - self._clock.now()
        self._good_until = now + min(self._recheck_s, max(left_s, _AT_LEAST_S))
        self._lost_at = now + min(2 * self._recheck_s, left_s)
