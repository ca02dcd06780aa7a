"""Asking a store of revocations about one token: aside, within a deadline, once for all who ask the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.errors import StoreError
from doorward.guard.revocation.revocation_list import targets_of
from doorward.guard.work import SharedJobs, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.guard.revocation.revocation_list import Entry, Marks, RevocationStore
    from doorward.guard.work import Work

__all__ = ["StoreQuestions"]

_DEADLINE_S = 2.0


class StoreQuestions:
    """What is asked of a store on behalf of single tokens."""

    def __init__(self, store: RevocationStore) -> None:
        self._store = store
        self._workers = Workers("questions about revocations", threads=2, queued=256)
        self._jobs = SharedJobs(self._workers, timeout_s=_DEADLINE_S)

    def ask(self, marks: Marks, version: int) -> Work[Sequence[Entry]]:
        """Return what the store holds against a token. Only who knows the same ``version`` shares an answer.

        Raises:
            StoreError: nobody could look.
            UnavailableError: too many questions are waiting.
        """
        targets = tuple(targets_of(marks))
        job = self._jobs.start((version, targets), lambda: self._store.find(targets))
        try:
            return (yield job)  # type: ignore[no-any-return] # what `find` returned
        except StoreError as error:  # an error of its own for each who waits: a traceback belongs to one thread
            raise StoreError(error.message, reason=error.reason, retry_after_s=error.retry_after_s) from error
        except TimeoutError as error:
            message = "The store of revocations did not answer in time. Try again in a moment."
            raise StoreError(message, reason="store_timeout", retry_after_s=1.0) from error
        except Exception as error:
            message = f"The store of revocations failed in a way of its own ({type(error).__name__})."
            raise StoreError(message, reason="store_failed") from error

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()
