"""The evidence of I6 at a real federation: no false success, no lost login, whatever stands between.

The person is a second Playwright that reaches the same browser from outside and fills in its forms.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from at_the_window import SWITCHES, PersonAtTheWindow

from doorward.errors import SignInRequired, SignInTimeout
from doorward.http.client import HttpClient
from doorward.institution.browser.visit import BrowserVisit
from doorward.institution.keeper import Keeper
from doorward.institution.routes import parse_institution
from doorward.institution.settings import InstitutionSettings
from doorward.system import SystemClock
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.institution.observations import Probed

pytestmark = [pytest.mark.peer, pytest.mark.slow]


@dataclass(frozen=True)
class Waits:
    poll_s: float = 0.2
    page_timeout_s: float = 20.0
    login_timeout_s: float = 40.0


class Login:
    """One login at the federation as Doorward plans it: its evidence, and what its own probe said."""

    def __init__(self, federation) -> None:
        self.federation = federation
        self.probes: list[Probed] = []
        self.evidence = None

    def visit(self, url=None, *, steps=None, cookies=(), attended=True, **waits):
        federation = self.federation
        keeper = Keeper(
            name="uni",
            where=federation.login_url(),
            route=parse_institution(federation.login_url()),
            settings=InstitutionSettings(),
            vault=Vault(),
            clock=SystemClock(),
            http=HttpClient(total_timeout_s=10),
            open_visit=lambda **_: BrowserVisit(headless=True, cookies=cookies, switches=SWITCHES),
        )
        planned = keeper.planned(federation.report_url, headless=not attended, say=None, renewing=None)
        self.evidence = planned.evidence

        def prove(*held) -> Probed:
            self.probes.append(planned.prove(*held))
            return self.probes[-1]

        with PersonAtTheWindow(steps) if steps else contextlib.nullcontext():
            url = url or planned.login_url
            return planned.browser.drive(url, planned.evidence, prove, Waits(**waits), planned.say)

    def told(self) -> str:
        return "\n".join(f"{at:.1f} {seen} -> {made}" for at, seen, made in self.evidence.history)


@pytest.fixture
def login(federation, browsers) -> Login:
    return Login(federation)


def holds(captured) -> set[str]:
    return {each["name"].partition("_sp")[0] for each in captured.cookies}


# Zero false successes: the login is left where it stands.

UNFINISHED = {
    "the login form": (None, None),
    "a discovery choice": ("discovered_report_url", "choose_institution"),
    "a wrong password, three times": (None, "fail_thrice"),
    "a consent page": (None, "fill_login"),
    "an error page of the provider": ("idp_error_url", None),
    "twenty anonymous cookies": ("anonymous_url", None),
    "an address of the provider that names the target": ("unsolicited", None),
}


@pytest.mark.parametrize(("start", "deed"), UNFINISHED.values(), ids=UNFINISHED)
def test_an_unfinished_login_is_no_success(federation, login, start, deed):
    def fail_thrice(page):
        for _ in range(3):
            federation.fail_login(page)

    urls = {None: federation.login_url(), "unsolicited": federation.unsolicited_login_url()}
    url = urls[start] if start in urls else getattr(federation, start)
    steps = None if deed is None else fail_thrice if deed == "fail_thrice" else getattr(federation, deed)
    habit = federation.consent() if deed == "fill_login" else contextlib.nullcontext()
    with habit, pytest.raises(SignInTimeout) as caught:
        login.visit(url, steps=steps, login_timeout_s=10)
    assert caught.value.reason == "login_timeout", login.told()
    assert {probed.valid for probed in login.probes} <= {False}
    assert deed != "fill_login" or "/consent/" in login.told()
    if start not in {"anonymous_url", "discovered_report_url"}:
        assert login.probes == [], login.told()


# Zero lost logins.


@pytest.mark.parametrize("seconds", [0, 0.5, 2, 5])
def test_a_slow_assertion_loses_no_login(federation, login, seconds):
    with federation.slow(seconds):
        captured = login.visit(steps=federation.fill_login)
    assert any(name.startswith("_shibsession_") for name in holds(captured))
    assert "SimpleSAMLAuthToken" in holds(captured)  # a renewal needs it
    assert login.probes[-1].reason == "target_shown"
    assert "took a SAMLResponse" in login.told()


def test_a_login_through_all_of_it(federation, login):
    """Discovery, two wrong passwords, the right one, consent."""

    def steps(page):
        federation.choose_institution(page)
        page.locator("input[name=username]").wait_for()
        federation.fail_login(page)
        federation.fail_login(page)
        federation.fill_login(page)
        federation.agree(page)

    with federation.consent():
        captured = login.visit(federation.discovered_report_url, steps=steps)
    assert any(name.startswith("_shibsession_") for name in holds(captured))


def test_a_login_that_begins_at_the_provider(federation, login):
    assert login.visit(federation.unsolicited_login_url(), steps=federation.fill_login)


def test_a_page_that_navigates_while_it_is_read(federation, login):
    assert login.visit(federation.restless_url, steps=federation.fill_login)


# Renewal.


def test_the_providers_session_renews_that_of_the_service(federation, login):
    captured = login.visit(steps=federation.fill_login)
    kept = [each for each in captured.cookies if each["domain"] == federation.idp_host]
    renewed = login.visit(cookies=kept, attended=False, login_timeout_s=20)
    assert any(name.startswith("_shibsession_") for name in holds(renewed))


def test_without_a_session_anywhere_a_renewal_asks_for_the_person(login):
    with pytest.raises(SignInRequired) as caught:
        login.visit(attended=False, login_timeout_s=20)
    assert caught.value.reason == "needs_person"
