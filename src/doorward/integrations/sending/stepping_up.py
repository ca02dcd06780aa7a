"""A session whose person may be asked to sign in again, where an API wants more than the sign-in it stands on."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from doorward.errors import SignInRequired, SubjectChanged
from doorward.http.exchange import aside
from doorward.integrations.sending.sender import checked_source
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.model import TokenKind
    from doorward.ports import Clock
    from doorward.signin.session import Session

__all__ = ["SteppingUp"]

_NOBODY_IS_ASKED = {"not_attended", "cooling_down"}
_LONGEST_SIGN_IN_S = 3600.0
_ASKED_LATELY_S = 60.0


class SteppingUp:
    """A token source that steps up (RFC 9470): give it to an adapter in the place of its session.

    Where nobody can be asked, the API's refusal stands. A person who has signed in is not asked for the same again
    within a minute, however many requests are refused.

    Args:
        session: a session, whose tokens are sent until an API wants more.
        sign_in: signs the person in again: called with ``acr_values`` and ``max_age_s``, it returns the new session.
            Such as ``functools.partial(doorward.sign_in, "https://id.example.org", "my-cli")``.
        clock: for tests.

    Raises:
        ConfigurationError: field ``source``: ``session`` is none.
    """

    def __init__(self, session: Session, *, sign_in: Callable[..., Session], clock: Clock | None = None) -> None:
        checked_source(session)
        self._session = session
        self._sign_in = sign_in
        self._lock = threading.Lock()
        self._clock = clock or SystemClock()
        self._asked_at: dict[tuple[str | None, int | None], float] = {}  # of the last sign-in alone

    def token(self, kind: TokenKind = "access") -> str:
        """Return what ``session`` gives."""
        return self._session.token(kind)

    async def atoken(self, kind: TokenKind = "access") -> str:
        """Do as ``token`` does, for asyncio."""
        return await self._session.atoken(kind)

    def renew(self, rejected: str) -> str:
        """Return what ``session`` gives in place of ``rejected``."""
        return self._session.renew(rejected)

    async def arenew(self, rejected: str) -> str:
        """Do as ``renew`` does, for asyncio."""
        return await self._session.arenew(rejected)

    def step_up(self, acr_values: str | None, max_age: int | None) -> str | None:
        """Have the person sign in again, and return the new token; None if nobody can be asked.

        Args:
            acr_values: The kinds of sign-in that would do, by the provider's names.
            max_age: How long ago it may be, in seconds. Without either, it has to be a new one.

        Raises:
            SubjectChanged: Somebody else has signed in.
            SignInError: The person said no, or did not answer in time.
        """
        wanted = (acr_values, 0 if acr_values is None and max_age is None else max_age)
        if not self._lock.acquire(timeout=_LONGEST_SIGN_IN_S):
            return None
        try:
            if self._clock.monotonic() - self._asked_at.get(wanted, -math.inf) > _ASKED_LATELY_S:
                self._step_up(*wanted)
                self._asked_at = {wanted: self._clock.monotonic()}
        except SignInRequired as error:
            if error.reason in _NOBODY_IS_ASKED:
                return None
            raise
        finally:
            self._lock.release()
        return self._session.token()

    async def astep_up(self, acr_values: str | None, max_age: int | None) -> str | None:
        """Do as ``step_up`` does, without blocking the event loop."""
        return await aside(self.step_up, acr_values, max_age)

    def _step_up(self, acr_values: str | None, max_age: int | None) -> None:
        before = _person(self._session)
        session = self._sign_in(acr_values=acr_values, max_age_s=max_age)
        if before not in (None, _person(session)):
            message = "Somebody else has signed in than the request was made for. Make it again as that person."
            raise SubjectChanged(message, reason="step_up_subject")
        self._session = session


def _person(session: Session) -> tuple[str, str] | None:
    try:
        principal = session.principal
    except SignInRequired:  # without an ID token nobody is known
        return None
    return principal.issuer, principal.subject
