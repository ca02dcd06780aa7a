"""An institution to sign in at, in one's own browser: what it takes, what proves it, and what is kept of it."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.errors import (
    ConfigurationError,
    ProviderUnavailable,
    SignInRequired,
    TransportError,
    UnsafePermissions,
    VaultError,
    printable,
)
from doorward.http.client import HttpClient
from doorward.http.exchange import aside
from doorward.institution.keeper import Keeper
from doorward.institution.reasons import probe_in_words
from doorward.institution.routes import Route, parse_institution
from doorward.institution.session import InstitutionSession
from doorward.institution.settings import InstitutionSettings, read_institutions
from doorward.institution.steps import afinish, finish
from doorward.model import HttpRequest
from doorward.protocol.reading.urls import FLAWS, url_flaw
from doorward.record.noting import noting
from doorward.system import SystemClock
from doorward.vault.folders import institution_file
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from doorward.institution.keeper import DrivesBrowser, OpensVisit
    from doorward.institution.observations import Verdict
    from doorward.institution.settings import NamedInstitution
    from doorward.institution.steps import Steps
    from doorward.ports import Clock
    from doorward.vault.institution_entries import InstitutionEntry

__all__ = ["History", "Institution"]

History: TypeAlias = tuple[tuple[float, str, str], ...]

_log = logging.getLogger("doorward.institution")

_REACHING_S = 10.0
_LONGEST_NAME = 64
_UNFIT = re.compile(r"[^a-z0-9._@+-]+")
_NOT_IMPLEMENTED_FOR_HEAD = 400
_BROKEN = 500
_NOWHERE = frozenset({404, 410})


class Institution:
    """A place to sign in by browser, and what this computer holds of it.

    Args:
        where: What ``parse_institution`` takes (a domain, or the address of a redirector, portal, EZproxy, Shibboleth
            or CAS login), or the route it made.
        name: What to call it here; by default its domain or host.
        target: An address that shows itself only to who is signed in, such as a paper's. It proves a sign-in. Needed
            for the first one, unless ``where`` holds it or is a portal, which is its own; later the last one holds.
        settings: How long to wait for what, and what to believe for how long.
        vault: Another vault than the default one.
        clock: For tests.
        http: Another client than the default one.
        visit: Makes a ``BrowserVisit``; for one with other arguments.

    Raises:
        ConfigurationError: ``where``, ``name`` or ``target`` is none.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        where: str | Route,
        *,
        name: str | None = None,
        target: str | None = None,
        settings: InstitutionSettings | None = None,
        vault: Vault | None = None,
        clock: Clock | None = None,
        http: HttpClient | None = None,
        visit: OpensVisit | None = None,
    ) -> None:
        given = where.asked_url if isinstance(where, Route) else where
        route = where if isinstance(where, Route) else parse_institution(where)
        name = _name_of(route) if name is None else name
        institution_file(name)
        clock = clock or SystemClock()
        self._target = _target_of(route, given, target)
        self._history: Callable[[], History] = tuple
        self._keeper = Keeper(
            name=name,
            where=given,
            route=route,
            settings=settings or InstitutionSettings(),
            vault=vault or Vault(clock=clock),
            clock=clock,
            http=http or HttpClient(total_timeout_s=_REACHING_S),
            open_visit=visit or _open_visit,
        )

    @classmethod
    def named(  # noqa: PLR0913 - keyword-only, and each has a default
        cls,
        name: str,
        *,
        target: str | None = None,
        settings: InstitutionSettings | None = None,
        vault: Vault | None = None,
        clock: Clock | None = None,
        http: HttpClient | None = None,
        visit: OpensVisit | None = None,
    ) -> Institution:
        """Return an institution by its name: one of ``doorward.toml``, or one that was signed in at.

        Args:
            name: Its name, in whatever case.
            target: Another target than the one known by this name.
            settings: Other settings than those of ``doorward.toml``.
            vault: Another vault than the default one.
            clock: For tests.
            http: Another client than the default one.
            visit: Makes a ``BrowserVisit``; for one with other arguments.

        Raises:
            SignInRequired: Nothing is known by this name, as after a sign-out.
            ConfigurationError: It can't be a name, or ``target`` is none.
            VaultError: The vault can't be used as it is.
        """
        vault = vault or Vault(clock=clock)
        institution_file(name)
        written = read_institutions().get(name.lower())
        known: NamedInstitution | InstitutionEntry | None = written or vault.institutions.get(name)
        if known is None:
            message = (
                f"No institution is called {name!r}. Sign in with: doorward institution login WHERE, "
                f"or name it in doorward.toml: [institutions.{name}]."
            )
            raise SignInRequired(message, reason="unknown_institution")
        return cls(
            known.where,
            name=known.name,
            target=known.target if target is None else target,
            settings=settings or (written.settings if written is not None else None),
            vault=vault,
            clock=clock,
            http=http,
            visit=visit,
        )

    def __repr__(self) -> str:
        return f"Institution({self.name!r}, {self.route.institution_url!r})"

    @property
    def name(self) -> str:
        """What it is called here."""
        return self._keeper.name

    @property
    def route(self) -> Route:
        """The way through it."""
        return self._keeper.route

    @property
    def settings(self) -> InstitutionSettings:
        """How long to wait for what, and what to believe for how long."""
        return self._keeper.settings

    @property
    def history(self) -> History:
        """What the browser showed during the last sign-in, also a failed one, and what was made of it, step by step.

        For each: an instant of a clock that never goes back, what was observed, what it meant. No secret is in it.
        """
        return self._history()

    def check_reachable(self) -> None:
        """See whether the institution answers, by HEAD, then by GET. A redirector is not asked.

        Raises:
            TransportError: No answer.
            ProviderUnavailable: It has an outage.
            ConfigurationError: There is nothing at this address.
        """
        if not self.route.answers_without_target:
            return
        try:
            status = self._status("HEAD")
        except TransportError:
            status = _NOT_IMPLEMENTED_FOR_HEAD
        if status >= _NOT_IMPLEMENTED_FOR_HEAD:
            status = self._status("GET")
        if status in _NOWHERE:
            message = f"There is nothing at {printable(self.route.asked_url)} ({status}). Check the address."
            raise ConfigurationError(message, field="institution", reason="institution_not_found")
        if status >= _BROKEN:
            message = f"{printable(self.route.host)} has an outage ({status}). Try again later."
            raise ProviderUnavailable(message, reason="institution_unavailable")

    async def acheck_reachable(self) -> None:
        """Do as ``check_reachable`` does, without blocking the event loop."""
        await aside(self.check_reachable)

    def open_session(self) -> InstitutionSession:
        """Return what is held of an earlier sign-in. The network is not asked whether it still holds.

        Raises:
            SignInRequired: Nobody has signed in here.
            VaultError: The vault can't be used as it is.
        """
        if self._keeper.held() is None:
            message = f"Nobody is signed in at {self.name}. Sign in with: doorward institution login {self._again}"
            raise SignInRequired(message, reason="no_session")
        return self.session()

    def session(self) -> InstitutionSession:
        """Return what is held, or will be, without looking whether there is anything."""
        return InstitutionSession(self._keeper)

    def sign_in(self, *, headless: bool = False, say: Callable[[Verdict], None] | None = None) -> InstitutionSession:
        """Let a person sign in, in a window of their own browser, and keep the session once it is proven.

        What was held stays until then. If another process has just signed in, that session is taken.

        Args:
            headless: Without a window, where nobody has to be asked anything.
            say: Told each step, in a thread of its own.

        Raises:
            ConfigurationError: There is no target, it shows itself to anybody, or it goes on refusing somebody who
                seems to be signed in; there is no browser.
            SignInError: Nobody signed in: cancelled, out of time, or the browser failed.
            UnavailableError: The institution, the target or the vault is out of reach for now.
            VaultError: The session can't be kept.
        """
        return finish(self._sign_in(headless=headless, say=say), self._keeper.clock)

    async def asign_in(
        self, *, headless: bool = False, say: Callable[[Verdict], None] | None = None
    ) -> InstitutionSession:
        """Do as ``sign_in`` does, for asyncio. A cancelled task waits for the browser to close."""
        return await afinish(self._sign_in(headless=headless, say=say), self._keeper.clock)

    def _sign_in(self, *, headless: bool, say: Callable[[Verdict], None] | None) -> Steps[InstitutionSession]:
        keeper, before = self._keeper, _last(self._keeper)
        target = self._target
        if target is None and before is not None and before.institution_url == self.route.institution_url:
            target = before.target
        if target is None:
            message = (
                f"What proves a sign-in at {self.name}? Give a target: the address of a page or paper there that only "
                "members can open."
            )
            raise ConfigurationError(message, field="target", reason="target_missing")

        def overtaken() -> bool | None:
            now = _last(keeper)
            return True if now is not None and (before is None or now.signed_in_at != before.signed_in_at) else None

        with keeper.vault.institutions.lock(self.name, "sign_in") as lock:
            timeout_s = keeper.settings.login_timeout_s
            done = yield from lock.acquire(keeper.clock, timeout_s=timeout_s, unless=overtaken)
            if not done and not overtaken():
                yield self.check_reachable
                yield lambda: self._check_target(target)
                visit = keeper.planned(target, headless=headless, say=say, renewing=None)
                self._history = lambda: visit.evidence.history
                with noting("sign_in", institution=self.name, to=target):
                    captured = yield visit
                    yield from keeper.kept(captured, target)
        return self.session()

    def _check_target(self, target: str) -> None:
        """Make sure that the target can prove something, before a window opens."""
        found = self._keeper.open_to_all(target)
        if found.valid:
            message = (
                f"{printable(target)} shows itself without a sign-in: it is open to all, or your network is let in. "
                "Give another target, that only members can open; or there is nothing to sign in for."
            )
            raise ConfigurationError(message, field="target", reason="target_open")
        if found.reason == "not_found":
            message = f"There is nothing at {printable(target)}. Check the address of the target."
            raise ConfigurationError(message, field="target", reason="target_not_found")
        if found.valid is None and found.reason not in {"human_check", "rate_limited"}:
            message = f"{printable(target)} can't be asked whether a sign-in worked. {probe_in_words(found.reason)}"
            raise ProviderUnavailable(message, reason=found.reason)

    def _status(self, method: Any) -> int:
        request = HttpRequest(method, self.route.asked_url.partition("#")[0], "the institution's login page")
        with self._keeper.http.stream(request) as answer:
            return answer.status

    @property
    def _again(self) -> str:
        return printable(self._keeper.where)


def _last(keeper: Keeper) -> InstitutionEntry | None:
    """Return what is held. What can't be read is no reason not to sign in."""
    try:
        return keeper.held()
    except UnsafePermissions:
        raise
    except VaultError as error:
        _log.warning("%s", error.message)
        return None


def _name_of(route: Route) -> str:
    place = route.institution_url.rpartition("/")[2] if route.kind == "openathens" else route.host
    return _UNFIT.sub("-", place.lower()).lstrip("-._@+")[:_LONGEST_NAME]


def _target_of(route: Route, where: str, target: str | None) -> str | None:
    if target is None:
        target = route.asked_url if route.kind == "portal" else route.target_of(where)
    elif flaw := url_flaw(target, loopback_http=False, query=True, fragment=True):
        raise ConfigurationError(f"The target {FLAWS[flaw]}. Give an https address.", field="target", reason=flaw)
    return target if target is None or target.startswith("https://") else None


def _open_visit(*, headless: bool, cookies: Sequence[Mapping[str, Any]]) -> DrivesBrowser:
    from doorward.institution.browser.visit import BrowserVisit  # noqa: PLC0415 - only who signs in needs it

    return BrowserVisit(headless=headless, cookies=cookies)
