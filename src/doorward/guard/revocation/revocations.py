"""Revocation that works at once: what to revoke, where it is kept, and how this process learns what others revoked.

Decisions ask the list in memory (``revocation_list``). With a store, that list is its mirror, never older than
``poll_s`` while the store answers. How a store keeps its entries is its own business.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Self

from doorward.errors import AlgorithmNotAllowed, ConfigurationError, Malformed, StoreError, UnavailableError, printable
from doorward.guard.credentials import looks_signed
from doorward.guard.revocation.revocation_list import Revocation, RevocationList, RevocationStore, fingerprint
from doorward.guard.work import Job, Workers, renew_after_fork
from doorward.protocol.claims import optional_numeric_date, parse_jwt
from doorward.system import SystemClock

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from doorward.guard.revocation.revocation_list import Kind
    from doorward.guard.work import Work
    from doorward.ports import Clock

__all__ = ["RevocationStore", "Revocations", "fingerprint"]

_LONGEST_LEEWAY_S = 300  # what an issuer's settings may allow beyond `exp`
_LONGEST_TEXT = 2048
_PATIENCE_S = 1.0  # for a store that may be hanging, while what is known would still do
_LOADING_TIMEOUT_S = 10.0
_PRUNE_EVERY_S = 60.0


class Revocations:
    """What is revoked: by token, ``jti``, subject, signing key or issuer.

    ``version`` grows after every change seen, our own or another process's: read it before you ``check``, and check
    again when it has grown. Before a decision at ``now`` rests on this list, ``now`` must not lie before
    ``fresh_since``, and must lie before ``fresh_until``; else ``current`` brings the list up to date. All are plain
    attributes, for the hot path. A clock that is set back so ends what is known, and does not prolong it.

    Without a store, entries live and end with this process.

    Args:
        store: what several processes share.
        clock: for tests.
        poll_s: while the store answers, no decision rests on a list older than this. In use, it is read twice as often.
        max_stale_s: how long decisions go on while the store fails. Then they fail: StoreError, never "not revoked".
        max_entries: bounds the memory. What does not fit is refused, and a mirror that is incomplete does not count.

    Raises:
        ConfigurationError: a setting is out of range; ``field`` names it.
    """

    def __init__(
        self,
        store: RevocationStore | None = None,
        *,
        clock: Clock | None = None,
        poll_s: float = 1.0,
        max_stale_s: float = 30.0,
        max_entries: int = 1_000_000,
    ) -> None:
        if not 0 < poll_s < inf:
            raise ConfigurationError("poll_s must be a number of seconds above 0.", field="poll_s")
        if not poll_s <= max_stale_s < inf:
            raise ConfigurationError("max_stale_s must be at least poll_s, and finite.", field="max_stale_s")
        if max_entries < 1:
            raise ConfigurationError("max_entries must be at least 1.", field="max_entries")
        self._store = store
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._max_stale_s = max_stale_s
        self._list = RevocationList(max_entries)
        self._workers = Workers("revocations", threads=1, queued=2)
        self._lock = threading.Lock()
        renew_after_fork(self)
        self._position = 0
        self._from_the_start = True
        self._job: Job[None] | None = None
        self._job_began_at = -inf
        self._seen_at = -inf  # when the last reading that succeeded began
        self._failure: StoreError | None = None  # of the last reading
        self._retry_at = -inf
        self._prune_at = -inf
        self.version = 0
        self.fresh_since = -inf
        self.fresh_until = inf if store is None else -inf
        self.check = self._list.check
        """See ``RevocationList.check``; bound here because it is called for every request."""

    @classmethod
    def memory(cls, *, clock: Clock | None = None, max_entries: int = 1_000_000) -> Self:
        """Keep revocations in this process alone."""
        return cls(clock=clock, max_entries=max_entries)

    @classmethod
    def sqlite(
        cls,
        path: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        poll_s: float = 1.0,
        max_stale_s: float = 30.0,
        max_entries: int = 1_000_000,
    ) -> Self:
        """Share revocations between the processes of one computer, in an SQLite file. No I/O yet."""
        from doorward.guard.stores.opening import sqlite_url  # noqa: PLC0415 - needs no extra, but `sql` below does

        return cls.sql(sqlite_url(path), clock=clock, poll_s=poll_s, max_stale_s=max_stale_s, max_entries=max_entries)

    @classmethod
    def sql(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        poll_s: float = 1.0,
        max_stale_s: float = 30.0,
        max_entries: int = 1_000_000,
    ) -> Self:
        """Share revocations in a database, as ``stores.opening.open_database`` takes its URL. No I/O yet."""
        from doorward.guard.stores.opening import open_database  # noqa: PLC0415 - as above

        database = open_database(url)
        from doorward.guard.revocation.sql_store import SqlRevocations  # noqa: PLC0415 - needs what was looked for

        return cls(
            SqlRevocations(database, clock=clock),
            clock=clock,
            poll_s=poll_s,
            max_stale_s=max_stale_s,
            max_entries=max_entries,
        )

    def __len__(self) -> int:
        return len(self._list)

    def revoke(  # noqa: PLR0913 - keyword-only, one way to revoke each
        self,
        *,
        token: str | None = None,
        issuer: str | None = None,
        subject: str | None = None,
        jti: str | None = None,
        kid: str | None = None,
        before: float | None = None,
        until: float | None = None,
        by: str = "",
    ) -> None:
        """Revoke one thing: in this process at once, elsewhere within ``poll_s`` of its return.

        Give ``token``; or ``issuer`` with ``jti``, with ``subject``, with ``kid``, or alone. Waits for the store: from
        asyncio, call it in a thread.

        Args:
            token: the token's text. A JWT is known again whatever is done to its signature.
            issuer: whose tokens; alone: all of them, also those to come, or those issued until ``before``.
            subject: a person's or service's tokens issued until ``before``.
            jti: the token of that name.
            kid: all tokens signed with that key.
            before: epoch seconds; tokens without ``iat`` count as issued before. For a subject it is now where not
                given; an issuer's clock may be ahead, so ``now + leeway`` is surer; ``math.inf`` locks the subject out.
            until: epoch seconds, when the entry may be forgotten: the ``exp`` of what is revoked and the leeway. For a
                JWT it is found in the token; else an entry stays for ever.
            by: who revokes, for the store's records.

        Raises:
            ConfigurationError: not one of those ways, or a value that can't be; ``field`` names it. Nothing is revoked.
            StoreError: ``revocations_full``: nothing is revoked. Any other reason: the store failed; it is revoked in
                this process, but perhaps nowhere else, and not after a restart. Do it again.
        """
        now = self._clock.now()
        revocation = _revocation(token, issuer, subject, jti, kid, before, until, by, now)
        self._prune(now)
        self._list.add(revocation, now=now)
        self._changed()  # also where it was there: whoever added it this moment may not have said so yet
        if self._store is None:
            return
        try:
            with _errors_made_ours():
                self._store.add(revocation)
        except StoreError as error:
            message = f"Revoked in this process, but perhaps in no other: revoke it again. {error.message}"
            raise StoreError(message, reason=error.reason) from error

    def take_over(self, other: Revocations) -> None:
        """Begin with what ``other`` was told, where nothing else keeps it: what has no store ends with its object.

        All of it is taken: it fitted where it was.
        """
        if other is not self and other._store is None:
            self._list.take_over(other._list)
            self._changed()

    def warm_up(self) -> None:
        """Begin to load what the store has. Waits for nothing; what fails will show in ``current``."""
        now = self._clock.now()
        if not now < self.fresh_until:
            self._begin_reading(now)

    def current(self, now: float) -> Work[None]:
        """Bring the list up to date, as far as a decision at ``now`` needs it.

        Waits only where the list is older than ``poll_s``, and then not for a store that has just failed.

        Raises:
            StoreError: nothing was loaded yet, or nothing since ``max_stale_s`` ago, and the store fails.
        """
        moment = self._clock.now()
        if moment < self._seen_at - self._poll_s:  # the clock was set back, so nobody knows how old the list is
            self._seen_at = self._retry_at = self.fresh_since = self.fresh_until = -inf
        if now < self.fresh_until:
            return
        job = self._begin_reading(now)
        stale = not now - self._seen_at < self._max_stale_s
        if not stale and (self._failure is not None or now - self._seen_at < self._poll_s):
            return  # the reading goes on aside
        if job is not None:
            timeout_s = job.timeout_s if stale else self._job_began_at + _PATIENCE_S - now
            try:
                if timeout_s > 0:
                    yield Job(job.future, timeout_s)
            except (UnavailableError, TimeoutError):
                pass  # what counts is what is known by now
        if not now - self._seen_at < self._max_stale_s:
            raise self._too_old()

    def close(self) -> None:
        """End the thread and close the store. A later use opens both again."""
        self._workers.close()
        if self._store is not None:
            self._store.close()

    def _begin_reading(self, now: float) -> Job[None] | None:
        """Return the reading under way, begun if need be; None where one is not worth trying yet."""
        with self._lock:
            job = self._job
            if job is None or (job.future.done() and not now < self.fresh_until):
                if now < self._retry_at:
                    return None
                job = self._job = self._workers.start(self._read, timeout_s=_LOADING_TIMEOUT_S)
                self._job_began_at = now
            return job

    def _read(self) -> None:
        assert self._store is not None  # noqa: S101 - without a store the list is always fresh
        began_at = self._clock.now()
        if self._from_the_start:
            self._position = 0
        try:
            complete = False
            while not complete:
                with _errors_made_ours():
                    changes = self._store.read(self._position)
                    self._take(changes.revocations, began_at)
                self._position, complete = changes.position, changes.complete
        except StoreError as error:
            # What answers next may be another database than before: restored from a backup, or another node.
            self._from_the_start = error.reason != "revocations_full"
            self._failure = error
            self._retry_at = self._clock.now() + self._poll_s / 2
            self.fresh_until = min(self._retry_at, self._seen_at + self._max_stale_s)
            raise
        self._from_the_start, self._failure, self._retry_at = False, None, -inf
        self._seen_at = self.fresh_since = began_at
        self.fresh_until = began_at + self._poll_s / 2  # read ahead, so that a busy guard never waits for it
        self._prune(began_at)

    def _take(self, revocations: tuple[Revocation, ...] | list[Revocation], now: float) -> None:
        changed = False
        try:
            for revocation in revocations:
                changed |= self._list.add(revocation, now=now)
        finally:
            if changed:
                self._changed()

    def _changed(self) -> None:
        with self._lock:
            self.version += 1  # after the change: who has read the new number sees it

    def _prune(self, now: float) -> None:
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_EVERY_S
            self._list.prune(now=now)

    def _too_old(self) -> StoreError:
        why = "the store does not answer" if self._failure is None else self._failure.message
        message = f"What is revoked is not known well enough to accept a token: {why} Mend the store, then try again."
        return StoreError(message, reason="revocations_stale", retry_after_s=self._poll_s)

    def after_fork(self) -> None:
        """Let go of what stays in the parent: a reading under way, and locks that another thread held."""
        self._lock, self._job = threading.Lock(), None
        self._list.renew_lock()
        self.version += 1  # a thread of the parent may have changed the list and not said so yet


@contextmanager
def _errors_made_ours() -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        message = f"The store of revocations failed in a way of its own ({type(error).__name__}). Look at the store."
        raise StoreError(message, reason="store_failed") from error


def _revocation(  # noqa: PLR0913, PLR0917 - the arguments of `revoke` as they came
    token: str | None,
    issuer: str | None,
    subject: str | None,
    jti: str | None,
    kid: str | None,
    before: float | None,
    until: float | None,
    by: str,
    now: float,
) -> Revocation:
    given: dict[Kind, str | None] = {"token": token, "jti": jti, "subject": subject, "key": kid}
    named: list[Kind] = [kind for kind, value in given.items() if value is not None]
    kind: Kind = named[0] if named else "issuer"
    if len(named) > 1:
        message = "Revoke one thing with each call: a token, a jti, a subject or a kid, not several at once."
        raise ConfigurationError(message, field=_FIELDS[named[1]], reason="several_targets")
    if (kind == "token") != (issuer is None):
        message = (
            "Leave out the issuer: a token names its own."
            if issuer
            else "Say what to revoke: give a token, or an issuer."
        )
        raise ConfigurationError(message, field="issuer", reason="issuer_with_token" if issuer else "no_issuer")
    for field, value in (("issuer", issuer), (_FIELDS[kind], given.get(kind))):
        if value is not None:
            _check_text(value, field)
    if before is not None and kind not in {"subject", "issuer"}:
        message = "before goes with a subject or an issuer: what else is revoked is so whenever it was issued."
        raise ConfigurationError(message, field="before", reason="before_without_subject")
    _check_instant(before, "before", at_least=0)
    _check_instant(until, "until", at_least=now)
    last = inf if until is None else float(until)
    if token is not None:
        value, found = _read_token(token)
        last = found if until is None else max(found, last)
    else:
        value = given.get(kind) or ""
    issued_until = (now if kind == "subject" else inf) if before is None else float(before)
    return Revocation(kind, issuer or "", value, issued_until, last, now, printable(by))


_FIELDS: dict[Kind, str] = {"token": "token", "jti": "jti", "subject": "subject", "key": "kid", "issuer": "issuer"}


def _read_token(token: str) -> tuple[str, float]:
    """Return a token's fingerprint, and until when it must be remembered."""
    if not token.isascii() or not token.isprintable() or " " in token:
        message = "The token has characters that no token has: give it alone, without Bearer, blanks or line breaks."
        raise ConfigurationError(message, field="token", reason="token_malformed")
    if not looks_signed(token):
        return fingerprint(token.encode()).hex(), inf
    try:
        jwt = parse_jwt(token)
    except (Malformed, AlgorithmNotAllowed) as error:
        # Its digest would revoke this text and nothing that a guard accepts.
        message = f"This is no token that would be accepted, so there is nothing to revoke. {error.message}"
        raise ConfigurationError(message, field="token", reason="token_malformed") from error
    try:
        expires_at = optional_numeric_date(jwt.claims, "exp")
    except Malformed:
        expires_at = None
    # Whoever wrote this `exp`, the fingerprint is of it too: a token with another one is another token.
    return fingerprint(jwt.jws.signing_input).hex(), inf if expires_at is None else expires_at + _LONGEST_LEEWAY_S


def _check_text(value: object, field: str) -> None:
    longest = _LONGEST_TEXT if field != "token" else 16_384
    if isinstance(value, str) and 0 < len(value) <= longest and "\0" not in value:
        try:
            value.encode()
        except UnicodeEncodeError:
            pass
        else:
            return
    message = f"{field} must be text of 1 to {longest} characters, as it stands in the token."
    raise ConfigurationError(message, field=field, reason="bad_text")


def _check_instant(value: object, field: str, *, at_least: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= at_least:
        message = f"{field} must be epoch seconds" + (", and not past." if at_least else ".")
        raise ConfigurationError(message, field=field, reason="bad_instant")
