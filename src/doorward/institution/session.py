"""A session at an institution: what is at rest of it, whether it still holds, and how it is renewed and ended.

The vault is the only state; what is remembered here is the last live check, for a bounded time.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urldefrag, urljoin

from doorward.errors import CorruptEntry, SignInRequired, SignInTimeout, VaultError
from doorward.http.exchange import aside
from doorward.institution.cookies.jar import CookieJar
from doorward.institution.keeper import jar_of, same_session
from doorward.institution.reasons import probe_in_words
from doorward.institution.steps import afinish, finish
from doorward.institution.walk import walk
from doorward.record.noting import noting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doorward.institution.keeper import Keeper
    from doorward.institution.observations import Verdict
    from doorward.institution.routes import Route
    from doorward.institution.steps import Steps
    from doorward.vault.institution_entries import InstitutionEntry

__all__ = ["UNTOLD", "Cleared", "InstitutionSession", "Status"]

_log = logging.getLogger("doorward.institution")

_HOUR_S = 3600.0
_LOGOUT_S = 10.0
UNTOLD = "What was left of it could not be used, so its service was not told."
"""Of cookies that went unread: the service may still take them."""
_UNKNOWN_TTL_S = 10.0
"""An outage is not believed for longer."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a session.

    Attributes:
        state: ``unknown`` where the service could not be asked: nothing was changed.
        reason: Why, as a slug: ``target_shown``; ``no_session``, ``tampered``, ``other_institution``, ``too_old``, or
            why a probe says no; else what kept it from telling.
        message: The same for a person.
    """

    state: Literal["valid", "expired", "unknown"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a sign-out did.

    Attributes:
        removed: Something was held here, and is gone.
        signed_out: The service was asked to end the session, and no longer takes its cookies; None: there is no known
            way to ask it.
        problem: Why it still may, in words.
    """

    removed: bool
    signed_out: bool | None = None
    problem: str | None = None


class InstitutionSession:
    """What is held about one institution. Safe to share between threads; processes share what is in the vault.

    Made by ``Institution``.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._lock = threading.Lock()  # of the three below
        self._at_work: tuple[InstitutionEntry, CookieJar] | None = None
        self._checked: _Checked | None = None
        self._changes = 0
        self._checking = threading.Lock()  # one live check at a time; held no longer than a probe may take

    def __repr__(self) -> str:
        return f"InstitutionSession({self._keeper.name!r})"

    @property
    def name(self) -> str:
        """What the institution is called here."""
        return self._keeper.name

    # Whether it holds

    def is_authenticated(self) -> bool:
        """Say whether the service takes the session, by an answer at most ``session_cache_ttl_s`` old.

        False too where the service can't be asked now; ``status`` tells the two apart.

        Raises:
            UnsafePermissions, StoreError, VaultError: The vault can't be used as it is.
            ConfigurationError: A proxy or trust setting can't be used.
        """
        return self.status.state == "valid"

    async def ais_authenticated(self) -> bool:
        """Do as ``is_authenticated`` does, without blocking the event loop."""
        return (await self.astatus()).state == "valid"

    @property
    def status(self) -> Status:
        """Whether the session holds, and why: its age, its institution, and a live check, which is remembered.

        A file that somebody has changed is set aside by the vault, and told of once: the session is gone.

        Raises the same as ``is_authenticated``.
        """
        entry, flaw = self._looked_up()
        if entry is None:
            return flaw or Status("expired", "no_session", f"Nobody is signed in at {self.name}.")
        if known := self._remembered(entry):
            return known
        with self._checking:
            if known := self._remembered(entry):  # another thread was faster
                return known
            return self._check(entry)

    async def astatus(self) -> Status:
        """Return ``status``, without blocking the event loop. A live check that has begun is carried to its end."""
        return await aside(lambda: self.status)

    def note_login_page(self) -> None:
        """Note that a page of the service wanted a login: the next look at the session is a live one."""
        self._forget_check()

    # What is held

    @property
    def jar(self) -> CookieJar:
        """The cookies to send. What servers set is stored in it, and lasts as long as this object and its session.

        A renewal, or another sign-in, begins a new one. Empty where nobody is signed in.
        """
        entry, _ = self._looked_up()
        return CookieJar() if entry is None else self._jar_of(entry)

    def get_cookies(self) -> list[dict[str, Any]]:
        """Return the cookies as Playwright writes them, in plain text; none where nobody is signed in."""
        entry, _ = self._looked_up()
        return [] if entry is None else [cookie.to_browser() for cookie in entry.cookies]

    def get_user_agent(self) -> str | None:
        """Return what the browser called itself that the cookies come from; None where nobody is signed in."""
        entry, _ = self._looked_up()
        return None if entry is None else entry.user_agent

    def link_to(self, url: str) -> str:
        """Return where a browser goes to reach ``url`` through the institution.

        Raises:
            ConfigurationError: field ``target``: not an address.
        """
        return self._keeper.route.link_to(url)

    # Renewing and ending

    def renew(self, say: Callable[[Verdict], None] | None = None) -> bool:
        """Bring the session back with a browser that nobody sees, from what the identity provider still knows.

        One process at a time; who comes second takes what the first brought. What is held stays if it fails.

        Args:
            say: Told each step of the browser, in a thread of its own.

        Returns:
            Whether there is a session again; False: a person has to sign in.

        Raises:
            UnavailableError: The institution or the vault is out of reach for now.
            SignInError: The browser failed.
            ConfigurationError: There is no browser to do it with.
            VaultError: The vault can't be used as it is.
        """
        return finish(self._renew(say), self._keeper.clock)

    async def arenew(self, say: Callable[[Verdict], None] | None = None) -> bool:
        """Do as ``renew`` does, for asyncio."""
        return await afinish(self._renew(say), self._keeper.clock)

    def clear(self) -> Cleared:
        """Sign out: remove everything held here, then have the service end the session where there is a known way.

        Raises:
            UnsafePermissions, StoreError: What is held could not be removed.
            ConfigurationError: A proxy or trust setting can't be used.
        """
        with noting("sign_out", institution=self.name) as ended:
            done = self._clear()
            ended["result"] = {True: "ended", False: "not_ended", None: "not_asked"}[done.signed_out]
            return done

    def _clear(self) -> Cleared:
        keeper = self._keeper
        entry = None
        with suppress(VaultError):  # then there is only a file to remove
            entry = keeper.held()
        forget = keeper.changing(lambda: keeper.vault.institutions.forget(self.name), in_any_case=True)
        removed = finish(forget, keeper.clock)
        self._forget_check()
        if entry is not None:
            return self._end_at_service(entry)
        return Cleared(removed, signed_out=False, problem=UNTOLD) if removed else Cleared(removed=False)

    async def aclear(self) -> Cleared:
        """Do as ``clear`` does, without blocking the event loop. What has begun is carried to its end."""
        return await aside(self.clear)

    def clear_session(self) -> None:
        """Do as ``clear`` does, without a word on how it went."""
        self.clear()

    # Within

    def _looked_up(self) -> tuple[InstitutionEntry | None, Status | None]:
        """Return what is held and may be used, or why it may not."""
        try:
            entry = self._keeper.held()
        except CorruptEntry as error:
            _log.warning("%s", error.message)
            return None, Status("expired", "tampered", error.message)
        if entry is None:
            return None, None
        if entry.institution_url != self._keeper.route.institution_url:
            message = f"What is held for {self.name} is of another institution. Sign in again."
            return None, Status("expired", "other_institution", message)
        age_s = self._keeper.clock.now() - entry.created_at
        if age_s >= self._keeper.settings.session_max_age_h * _HOUR_S:
            message = f"The session is over {self._keeper.settings.session_max_age_h:g} h old."
            return None, Status("expired", "too_old", message)
        return entry, None

    def _jar_of(self, entry: InstitutionEntry) -> CookieJar:
        with self._lock:
            if self._at_work is None or not same_session(self._at_work[0], entry):
                self._at_work = entry, jar_of(entry)
            return self._at_work[1]

    def _remembered(self, entry: InstitutionEntry) -> Status | None:
        with self._lock:
            checked = self._checked
        if checked is None or self._keeper.clock.monotonic() >= checked.until:
            return None
        return checked.status if same_session(checked.entry, entry) else None

    def _forget_check(self) -> None:
        with self._lock:
            self._checked = None
            self._changes += 1

    def _until(self, seconds: float) -> float:
        return self._keeper.clock.monotonic() + seconds

    def _check(self, entry: InstitutionEntry) -> Status:
        keeper = self._keeper
        with self._lock:
            changes = self._changes
        found = keeper.probed(entry, self._jar_of(entry))
        state = _STATES[found.valid]
        status = Status(state, found.reason, probe_in_words(found.reason))
        if state == "valid":
            entry = keeper.note_proof(entry)
        ttl_s = keeper.settings.session_cache_ttl_s
        checked = _Checked(entry, status, self._until(min(ttl_s, _UNKNOWN_TTL_S) if state == "unknown" else ttl_s))
        with self._lock:
            if self._changes == changes:  # else something was learned meanwhile that this answer does not know
                self._checked = checked
        return status

    def _renew(self, say: Callable[[Verdict], None] | None) -> Steps[bool]:
        keeper = self._keeper
        before = keeper.held()
        if before is None:
            return False

        def overtaken() -> _Overtaken | None:
            now = keeper.held()
            return None if now is not None and same_session(now, before) else _Overtaken(now)

        with keeper.vault.institutions.lock(self.name, "sign_in") as lock:
            other = yield from lock.acquire(keeper.clock, timeout_s=keeper.settings.login_timeout_s, unless=overtaken)
            if other is None and (other := overtaken()) is None:
                visit = keeper.planned(before.target, headless=True, say=say, renewing=before)
                try:
                    with noting("renewal", institution=self.name, to=before.target):
                        captured = yield visit
                except (SignInRequired, SignInTimeout) as error:
                    _log.info("A person has to sign in at %s: %s", self.name, error.reason)
                    return False
                other = _Overtaken((yield from keeper.kept(captured, before.target, renewed=before)))
        self._forget_check()
        return other.by is not None

    def _end_at_service(self, entry: InstitutionEntry) -> Cleared:
        keeper, jar = self._keeper, jar_of(entry)
        address = _logout_address(keeper.route, entry.target, jar, now=keeper.clock.now())
        if address is None:
            return Cleared(removed=True)
        end = walk(
            jar,
            address,
            purpose="the sign-out",
            user_agent=entry.user_agent,
            http=keeper.http,
            clock=keeper.clock,
            deadline_s=_LOGOUT_S,
        )
        if end.status is not None and keeper.probed(entry, jar).valid is False:
            return Cleared(removed=True, signed_out=True)
        why = probe_in_words(end.trouble) if end.trouble else "It still takes the old cookies."
        return Cleared(removed=True, signed_out=False, problem=f"The service may keep the session until it ends. {why}")


@dataclass(frozen=True, slots=True)
class _Overtaken:
    """Somebody else was faster; ``by`` is what is held now."""

    by: InstitutionEntry | None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A live check: of what, what it said, and until when, by the monotonic clock, it is believed."""

    entry: InstitutionEntry
    status: Status
    until: float


def _logout_address(route: Route, target: str, jar: CookieJar, *, now: float) -> str | None:
    """Return where the service ends a session, by what is known of its kind; None where nothing is."""
    shibboleth = urljoin(target, "/Shibboleth.sso/Logout")
    if "_shibsession_" in (jar.header_for(shibboleth, now=now) or ""):
        return shibboleth
    if route.kind == "ezproxy":
        return urljoin(route.institution_url, "/logout")
    if route.kind == "cas":
        return urldefrag(route.institution_url).url.partition("?")[0].removesuffix("/login") + "/logout"
    return None


_STATES: Mapping[bool | None, Literal["valid", "expired", "unknown"]] = MappingProxyType(
    {True: "valid", False: "expired", None: "unknown"}
)
