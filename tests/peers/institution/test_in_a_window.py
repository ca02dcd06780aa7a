"""A whole sign-in as a person has it: a window of their browser, at a real federation, closed when they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from at_the_window import SWITCHES, PersonAtTheWindow

from doorward.http.client import HttpClient
from doorward.institution import Institution
from doorward.institution.browser.visit import BrowserVisit
from doorward.institution.settings import InstitutionSettings

if TYPE_CHECKING:
    from federation import Federation

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_a_window_opens_and_closes_when_they_are_in(federation: Federation, display: str, browsers: None) -> None:
    def visit(*, headless: bool, cookies: Any) -> BrowserVisit:
        return BrowserVisit(headless=headless, cookies=cookies, switches=SWITCHES)

    institution = Institution(
        federation.login_url(),
        name="uni",
        settings=InstitutionSettings(login_timeout_s=120),
        http=HttpClient(total_timeout_s=10),
        visit=visit,
    )
    with PersonAtTheWindow(federation.fill_login):
        session = institution.sign_in()
    assert session.is_authenticated()
    assert "Headless" not in session.get_user_agent()
    assert any(cookie["name"].startswith("_shibsession_") for cookie in session.get_cookies())
