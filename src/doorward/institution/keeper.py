"""One institution as this computer knows it: where it is, by what settings, and what is at rest of it.

Signing in and renewing have in common what stands here: a browser's visit that ends with a proof, and its cookies kept.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from doorward.errors import LockTimeout, UnavailableError, VaultError
from doorward.institution.cookies.jar import CookieJar
from doorward.institution.evidence import Evidence
from doorward.institution.observations import Probed
from doorward.institution.patterns import CookiePatterns
from doorward.institution.probe import probe
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from doorward.http.client import HttpClient
    from doorward.institution.browser.visit import BrowserCookies, Captured, Probe, Waits
    from doorward.institution.observations import Verdict
    from doorward.institution.probe import ProbeResult
    from doorward.institution.routes import Route
    from doorward.institution.settings import InstitutionSettings
    from doorward.institution.steps import Steps
    from doorward.ports import Clock
    from doorward.vault.vault import Vault

__all__ = ["DrivesBrowser", "Keeper", "OpensVisit", "Visit", "jar_of", "same_session"]

T = TypeVar("T")

_LOCK_TIMEOUT_S = 5.0


class DrivesBrowser(Protocol):
    """What is asked of a ``BrowserVisit``."""

    def drive(
        self, login_url: str, evidence: Evidence, probe: Probe, settings: Waits, say: Callable[[Verdict], None], /
    ) -> Captured: ...
    async def adrive(
        self, login_url: str, evidence: Evidence, probe: Probe, settings: Waits, say: Callable[[Verdict], None], /
    ) -> Captured: ...


class OpensVisit(Protocol):
    """What makes a ``BrowserVisit``: the class itself, or with some of its arguments given."""

    def __call__(self, *, headless: bool, cookies: Sequence[Mapping[str, Any]]) -> DrivesBrowser: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A browser's visit to a login, planned: a step of ``steps``. Its ``evidence`` can be read afterwards."""

    browser: DrivesBrowser
    login_url: str
    evidence: Evidence
    prove: Probe
    waits: Waits
    say: Callable[[Verdict], None]

    def make(self) -> Captured:
        return self.browser.drive(self.login_url, self.evidence, self.prove, self.waits, self.say)

    async def amake(self) -> Captured:
        return await self.browser.adrive(self.login_url, self.evidence, self.prove, self.waits, self.say)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """What is known of one institution, and the work on its entry in the vault."""

    name: str
    where: str
    route: Route
    settings: InstitutionSettings
    vault: Vault
    clock: Clock
    http: HttpClient
    open_visit: OpensVisit

    def held(self) -> InstitutionEntry | None:
        """Return what is at rest. Raises what ``Shelf.get`` does."""
        return self.vault.institutions.get(self.name)

    def probed(self, entry: InstitutionEntry, jar: CookieJar) -> ProbeResult:
        """Ask the service whether it takes the cookies of a session."""
        return self._ask(jar, entry.target, entry.user_agent)

    def open_to_all(self, target: str, user_agent: str | None = None) -> ProbeResult:
        """Ask for the target without a cookie: one that shows itself proves nothing."""
        return self._ask(CookieJar(), target, user_agent)

    def planned(
        self, target: str, *, headless: bool, say: Callable[[Verdict], None] | None, renewing: InstitutionEntry | None
    ) -> Visit:
        """Plan a browser's visit that ends with a proof by ``target``, or not at all.

        Args:
            target: What is to show itself.
            headless: Without a window; then nobody is there, and a page that waits for somebody ends it.
            say: Told each step.
            renewing: What the browser is to hold from the beginning; nobody waits for long then.
        """

        def prove(cookies: BrowserCookies, user_agent: str) -> Probed:
            found = self._ask(CookieJar.from_browser(cookies), target, user_agent)
            if found.valid and (anybody := self.open_to_all(target, user_agent)).valid is not False:
                return Probed(valid=None, reason="target_open" if anybody.valid else anybody.reason)
            return Probed(found.valid, found.reason)

        settings = self.settings
        evidence = Evidence(
            self.route,
            target,
            CookiePatterns(settings.patterns),
            attended=not headless,
            human_check_wait_s=settings.human_check_wait_s,
        )
        cookies = () if renewing is None else [cookie.to_browser() for cookie in renewing.cookies]
        soon_s = max(5.0, min(settings.login_timeout_s, settings.page_timeout_s))
        return Visit(
            browser=self.open_visit(headless=headless, cookies=cookies),
            login_url=self.route.link_to(target),
            evidence=evidence,
            prove=prove,
            waits=settings if renewing is None else replace(settings, login_timeout_s=soon_s),
            say=say or (lambda _: None),
        )

    def kept(
        self, captured: Captured, target: str, *, renewed: InstitutionEntry | None = None
    ) -> Steps[InstitutionEntry | None]:
        """Save what a proven visit brought, in place of what was held.

        Args:
            captured: What the browser held when the proof came.
            target: What proved it.
            renewed: What it renews. If something else is held by now, that stays.

        Returns:
            What is held now.
        """
        now = self.clock.now()
        cookies = CookieJar.from_browser(captured.cookies).to_browser()
        entry = InstitutionEntry(
            name=self.name,
            where=self.where,
            institution_url=self.route.institution_url,
            target=target,
            user_agent=captured.user_agent,
            signed_in_at=now if renewed is None else renewed.signed_in_at,
            created_at=now,
            proven_at=now,
            cookies=tuple(KeptCookie.from_browser(cookie) for cookie in cookies),
        )

        def save() -> InstitutionEntry | None:
            if renewed is not None:
                held = self.held()
                if held is None or not same_session(held, renewed):
                    return held
            self.vault.institutions.put(entry)
            return entry

        return (yield from self.changing(save))

    def changing(self, change: Callable[[], T], *, in_any_case: bool = False) -> Steps[T]:
        """Change what is at rest while nobody else does.

        Args:
            change: What to do.
            in_any_case: Do it even if somebody does not let go of the lock.
        """
        with self.vault.institutions.lock(self.name) as lock:
            try:
                yield from lock.acquire(self.clock, timeout_s=_LOCK_TIMEOUT_S, unless=lambda: None)
            except LockTimeout:
                if not in_any_case:
                    raise
            return change()

    def note_proof(self, entry: InstitutionEntry) -> InstitutionEntry:
        """Write down that the entry was just proven, where that can be done at once: it is for people to read."""
        with suppress(UnavailableError, VaultError), self.vault.institutions.lock(self.name) as lock:
            if lock.try_acquire() and self.held() == entry:
                proven = replace(entry, proven_at=self.clock.now())
                self.vault.institutions.put(proven)
                return proven
        return entry

    def _ask(self, jar: CookieJar, target: str, user_agent: str | None) -> ProbeResult:
        return probe(jar, target, route=self.route, user_agent=user_agent, http=self.http, clock=self.clock)


def jar_of(entry: InstitutionEntry) -> CookieJar:
    """Return the cookies of an entry, in a jar of their own."""
    return CookieJar.from_browser(cookie.to_browser() for cookie in entry.cookies)


def same_session(one: InstitutionEntry, other: InstitutionEntry) -> bool:
    """Whether two entries differ in nothing but when they were last proven."""
    return replace(one, proven_at=other.proven_at) == other
