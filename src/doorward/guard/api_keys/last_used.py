"""When each key was last used: noted in memory for each use, written in one go once a minute. Nothing waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from doorward.errors import StoreError
from doorward.guard.work import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["LastUsed"]

_MOST_NOTED = 10_000


class LastUsed:
    """Notes uses and hands them on, at most ``interval_s`` seconds later, from a thread that lives for one batch.

    Args:
        write: keeps what was noted, by key id; a StoreError leaves it noted for the next time.
        interval_s: how long uses are gathered.
    """

    def __init__(self, write: Callable[[Mapping[str, float]], None], *, interval_s: float = 60.0) -> None:
        self._write = write
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._noted: dict[str, float] = {}
        self._timer: threading.Timer | None = None
        renew_after_fork(self)

    def note(self, key_id: str, at: float) -> None:
        """Note one use. Of more keys than fit in memory, some are not noted until the next batch."""
        with self._lock:
            noted = self._noted
            if key_id in noted or len(noted) < _MOST_NOTED:
                noted[key_id] = at
        if self._timer is None:
            self._start_timer()

    def flush(self) -> None:
        """Hand on what was noted, now.

        Raises:
            StoreError: It could not be kept. It stays noted.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            self._write(noted)
        except StoreError:
            with self._lock:
                self._noted = {**noted, **self._noted}  # what came in meanwhile is newer
            raise

    def after_fork(self) -> None:
        """Leave what was noted to the parent, which writes it."""
        self._lock, self._noted, self._timer = threading.Lock(), {}, None

    def _start_timer(self) -> None:
        with self._lock:
            if self._timer is None:
                timer = threading.Timer(self._interval_s, self._flush_later)
                timer.name, timer.daemon = "doorward-last-used", True
                try:
                    timer.start()
                except RuntimeError:  # the system gives no thread now: the next use tries again
                    return
                self._timer = timer

    def _flush_later(self) -> None:
        try:
            self.flush()
        except StoreError:
            self._start_timer()
