"""Whether an issuer that is asked about tokens hangs. Then one question at a time finds out whether it still does.

Each question holds a thread, and with WSGI one of the server's, for as long as it is worth waiting. While the issuer
hangs, strangers who send made-up tokens would hold them all.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from doorward.errors import ProviderUnavailable, printable

if TYPE_CHECKING:
    from doorward.ports import Clock

__all__ = ["Outage"]

_STALLED = 4
"""So many questions in a row that were waited for in vain are an outage; as many as are asked at once."""
_FIRST_WAIT_S = 1.0
_MOST_WAIT_S = 10.0


class Outage:
    """What is known of an issuer by the questions before. An answer, be it an error, ends an outage.

    Args:
        issuer: who is asked.
        clock: measures how long.
        patience_s: a question that failed after so long was waited for in vain. One that failed sooner holds nobody.
    """

    def __init__(self, issuer: str, clock: Clock, *, patience_s: float) -> None:
        self._issuer = issuer
        self._clock = clock
        self._patience_s = patience_s
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew."""
        self._lock = threading.Lock()
        self._stalled = 0
        self._wait_s = _FIRST_WAIT_S
        self._down_since = self._quiet_until = 0.0

    def begin(self) -> float:
        """Return when a question began.

        Raises:
            ProviderUnavailable: ``introspection_down``: it is not the one that is asked meanwhile.
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._stalled >= _STALLED:
                if now < self._quiet_until:
                    message = f"{printable(self._issuer)} does not say whether a token is good. Try again later."
                    wait_s = max(self._quiet_until - now, 1.0)
                    raise ProviderUnavailable(message, reason="introspection_down", retry_after_s=wait_s)
                self._quiet_until = now + 2 * self._patience_s + self._wait_s  # this one finds out
            return now

    def failed(self, began_at: float) -> None:
        """Note that a question failed."""
        with self._lock:
            now = self._clock.monotonic()
            if now - began_at < self._patience_s:
                self._stalled = 0
                return
            if self._stalled >= _STALLED and began_at < self._down_since:  # of those that were under way
                return
            self._stalled += 1
            if self._stalled >= _STALLED:
                self._wait_s = _FIRST_WAIT_S if self._stalled == _STALLED else min(2 * self._wait_s, _MOST_WAIT_S)
                self._down_since, self._quiet_until = now, now + self._wait_s

    def answered(self) -> None:
        """Note that it answers."""
        self._stalled = 0
