"""One token in memory, which one attempt at a time renews. Whoever waited for an attempt shares how it ended."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError, LockTimeout, ProviderError, UnavailableError
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, run
from doorward.model import Pause
from doorward.vault.times import is_fresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.model import TokenSet
    from doorward.ports import Clock, Flow
    from doorward.signin.registration import Transport

__all__ = ["Remembered"]

_log = logging.getLogger("doorward.service")

_LOCK_TIMEOUT_S = 90.0
_LOOK_S = 0.02


class Remembered:
    """A token, and how to get the next one. Safe to share between threads and tasks, and to keep using after a fork.

    Args:
        obtain: The flow that gets a token.
        what: Whose it is, for the log: a ``repr``.
        clock: For lifetimes and waiting.
        transport: What HTTP clients are made with.
    """

    def __init__(self, obtain: Callable[[], Flow[TokenSet]], *, what: str, clock: Clock, transport: Transport) -> None:
        self._obtain = obtain
        self._what = what
        self._clock = clock
        self._transport = transport
        self._tokens: TokenSet | None = None
        self._failure: tuple[float, DoorwardError] | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()

    def token(self, rejected: str | None = None) -> str:
        """Return the token if it is fresh and is not ``rejected``, else a new one."""
        token = self._fresh(rejected)
        if token is not None:
            return token
        with HttpClient(**self._transport) as transport:
            return run(self._renewed(rejected), transport, self._clock)

    async def atoken(self, rejected: str | None = None) -> str:
        """Do as ``token`` does, for asyncio."""
        token = self._fresh(rejected)
        if token is not None:
            return token
        async with AsyncHttpClient(**self._transport) as transport:
            return await arun(self._renewed(rejected), transport, self._clock)

    def flow(self) -> Flow[str]:
        """Return the token within another flow, such as one that exchanges it."""
        token = self._fresh(None)
        return token if token is not None else (yield from self._renewed(None))

    def _fresh(self, rejected: str | None) -> str | None:
        tokens = self._tokens
        if tokens is None or not is_fresh(tokens.issued_at, tokens.expires_at, now=self._clock.now(), bounded=True):
            return None
        token = tokens.access_token.reveal()
        return None if token == rejected else token

    def _renewed(self, rejected: str | None) -> Flow[str]:
        if self._process != os.getpid():  # a lock that was held during a fork is never released in the child
            self._lock, self._process = threading.Lock(), os.getpid()
        lock = self._lock
        began_at = self._clock.monotonic()
        deadline = began_at + _LOCK_TIMEOUT_S
        while not lock.acquire(blocking=False):
            if self._clock.monotonic() > deadline:
                message = f"Another thread has been fetching a token for {_LOCK_TIMEOUT_S:.0f} s. Try again."
                raise LockTimeout(message, reason="client_credentials_lock")
            yield Pause(_LOOK_S)
        try:
            token = self._fresh(rejected)
            if token is None:
                if self._failure is not None and self._failure[0] >= began_at:
                    # Whoever waited for an attempt that failed does not begin another.
                    raise self._failure[1].with_traceback(None)
                self._tokens = yield from self._attempt()
                token = self._tokens.access_token.reveal()
        except (UnavailableError, ProviderError) as error:
            usable = self._usable(rejected)
            if usable is None:
                raise
            _log.warning("%s got no new token (%s); the one it has is still good.", self._what, error)
            return usable
        finally:
            lock.release()
        return token

    def _attempt(self) -> Flow[TokenSet]:
        """Obtain a token, and remember a failure for those who wait for this very attempt."""
        try:
            return (yield from self._obtain())
        except (UnavailableError, ProviderError) as error:
            self._failure = (self._clock.monotonic(), error)
            raise

    def _usable(self, rejected: str | None) -> str | None:
        """Return the token if it is not expired: better than none during an outage."""
        tokens = self._tokens
        if tokens is None or (tokens.expires_at is not None and tokens.expires_at <= self._clock.now()):
            return None
        token = tokens.access_token.reveal()
        return None if token == rejected else token
