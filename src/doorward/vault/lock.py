"""One at a time, across threads and processes: a lock on a file of its own. What it guards is decided elsewhere.

The lock is the kernel's (``flock``; a byte range on Windows, which is not tested), so it ends with its holder, however
that dies. Each acquisition opens the file anew, so that threads of one process exclude each other too.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from doorward.errors import LockTimeout, StoreError, printable
from doorward.vault.files import open_lock_file

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType
    from typing import Self, TypeVar

    from doorward.model import Pause
    from doorward.ports import Clock

    T = TypeVar("T")

__all__ = ["FileLock"]

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.25


class FileLock:
    """An exclusive lock that is held or not. Not re-entrant; used by one thread at a time.

    A process made by ``fork`` while the lock is held does not hold it.

    Args:
        path: The absolute path of the lock's own file, in a private folder. It is there only while somebody holds the
            lock, or after a holder was killed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def __repr__(self) -> str:
        return f"FileLock({self._path!r}, held={self.held})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    def try_acquire(self) -> bool:
        """Take the lock if it is free. Return whether this object holds it now; never waits.

        Raises:
            UnsafePermissions: The lock's file or folder is not ours alone.
            StoreError: The file system refused.
        """
        if self._fd is not None:
            return True
        fd = open_lock_file(*os.path.split(self._path))
        try:
            held = _lock(fd) and self._is_named(fd)
        except OSError as error:
            os.close(fd)
            message = (
                f"{printable(self._path)} can't be locked: {error.strerror}. "
                "Set DOORWARD_HOME to a folder on a disk of this machine's own and sign in there, or have this one "
                "mounted with locks (NFS: with local_lock=flock, or with rpc.statd running)."
            )
            raise StoreError(message, reason="lock_refused") from error
        if not held:
            os.close(fd)
            return False
        self._fd = fd
        _held.add(self)
        return True

    def acquire(
        self, clock: Clock, *, timeout_s: float, unless: Callable[[], T | None]
    ) -> Generator[Pause, object, T | None]:
        """Take the lock, waiting for it, unless what it is wanted for turns out to be done.

        Args:
            clock: Measures the wait.
            timeout_s: The longest wait.
            unless: Asked after each pause: something not None ends the wait without the lock.

        Returns:
            None when the lock is held, else what ``unless`` gave.

        Raises:
            LockTimeout: Somebody else held it all that time.
            UnsafePermissions: The lock's file or folder is not ours alone.
            StoreError: The file system refused.
        """
        from doorward.model import Pause  # noqa: PLC0415 - heavy, and the vault is read without a lock

        deadline = clock.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while not self.try_acquire():
            left_s = deadline - clock.monotonic()
            if left_s <= 0:
                message = (
                    f"Another process or thread has held {printable(self._path)} for {timeout_s:g} s. "
                    "See whether it hangs and end it, or try again later."
                )
                raise LockTimeout(message, reason="lock_held")
            jitter = 0.5 + os.urandom(1)[0] / 512  # so that those who wait do not all look at once
            yield Pause(min(pause_s * jitter, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            result = unless()
            if result is not None:
                return result
        return None

    def release(self) -> None:
        """Let go of the lock, if it is held, and remove its file."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        _held.discard(self)
        # Removing the file is safe while we hold its lock: whoever has it open already finds, when the lock comes free,
        # that the name stands for another file or none, and tries again. It also frees those who wait from a child that
        # was forked where no hook of ours runs, and still has the descriptor.
        with suppress(OSError):
            if sys.platform != "win32" and self._is_named(fd):
                os.unlink(self._path)
        os.close(fd)

    def _is_named(self, fd: int) -> bool:
        """Whether the locked file still is the one that others find."""
        try:
            named = os.lstat(self._path)
        except FileNotFoundError:
            return False
        locked = os.fstat(fd)
        return (named.st_dev, named.st_ino) == (locked.st_dev, locked.st_ino)


_held: set[FileLock] = set()


def _drop_after_fork() -> None:
    """Close a forked child's copies without unlocking: the lock stays with the parent, and ends with it."""
    for lock in _held:
        if lock._fd is not None:  # noqa: SLF001 - same module
            os.close(lock._fd)  # noqa: SLF001 - same module
            lock._fd = None  # noqa: SLF001 - same module
    _held.clear()


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    os.register_at_fork(after_in_child=_drop_after_fork)

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
