"""A session at a real Shibboleth service provider, brought back by a real browser from the identity provider's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doorward.http.client import HttpClient
from doorward.institution import Institution
from doorward.institution.browser import BrowserVisit, Captured
from doorward.institution.installed import InstalledBrowser
from doorward.papers import Library

if TYPE_CHECKING:
    from federation import Federation

    from doorward.institution import InstitutionSession

pytestmark = [pytest.mark.peer, pytest.mark.slow]


class ByHand:
    """A visit in which a person signs in by hand, in another Chromium: what they see is not ours to tell."""

    def __init__(self, chromium: Any, federation: Federation, **_: Any) -> None:
        self._chromium = chromium
        self._federation = federation

    def drive(self, login_url: str, _evidence: Any, probe: Any, *_: Any) -> Captured:
        def steps(page: Any) -> Captured:
            self._federation.sign_in(page, login_url)
            return Captured(page.context.cookies(), page.evaluate("navigator.userAgent"))

        captured: Captured = self._chromium.run(steps)
        assert probe(captured.cookies, captured.user_agent).valid
        return captured


@pytest.fixture
def session(
    federation: Federation, chromium: Any, chromium_home: Path, trust_test_ca: None, monkeypatch: pytest.MonkeyPatch
) -> InstitutionSession:
    """Alice's session. Its first sign-in is hers; every other visit is made by a browser that nobody sees."""
    monkeypatch.setenv("HOME", str(chromium_home))  # where Chromium looks for whom to trust
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None

    def visit(*, headless: bool, cookies: Any) -> Any:
        if headless:
            return BrowserVisit(browser=InstalledBrowser(browser, "Chromium"), headless=True, cookies=cookies)
        return ByHand(chromium, federation)

    return Institution(federation.login_url(), name="uni", http=HttpClient(total_timeout_s=10), visit=visit).sign_in()


def test_a_killed_service_session_is_told_and_comes_back_unasked(
    federation: Federation, session: InstitutionSession
) -> None:
    assert session.is_authenticated()
    federation.restart_sp()
    session.note_login_page()
    assert (session.status.state, session.status.reason) == ("expired", "sent_to_login")
    assert session.renew()
    assert session.is_authenticated()


def test_a_paper_comes_after_the_service_session_was_killed(
    federation: Federation, session: InstitutionSession, tmp_path: Path
) -> None:
    federation.restart_sp()
    [outcome] = Library(tmp_path, session).fetch(federation.paper_url(7))
    assert outcome.path is not None, outcome
    assert outcome.path.read_bytes() == federation.paper(7)


def test_with_the_identity_providers_killed_too_a_person_is_needed(
    federation: Federation, session: InstitutionSession
) -> None:
    held = session.get_cookies()
    federation.restart_sp()
    federation.kill_idp_sessions()
    assert session.renew() is False
    assert session.get_cookies() == held


def test_signing_out_ends_the_session_at_the_service(federation: Federation, session: InstitutionSession) -> None:
    cookie = session.jar.header_for(federation.report_url, now=0)
    assert cookie is not None
    assert federation.session_lives(cookie)
    done = session.clear()
    assert (done.removed, done.signed_out) == (True, True)
    assert not federation.session_lives(cookie)


def test_the_command_explains_what_it_saw(federation: Federation, chromium_home: Path, trust_test_ca: None) -> None:
    doorward = Path(sys.executable).with_name("doorward")
    done = subprocess.run(
        [doorward, "institution", "login", federation.login_url(), "--headless", "--explain"],
        env={**os.environ, "HOME": str(chromium_home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3  # nobody is there
    first, *history, last = done.stderr.splitlines()
    assert first == "Opening sp.localhost in a browser that has no window…"
    assert last.startswith("doorward: The institution wants to see you")
    assert any("settled at https://idp.localhost" in line for line in history)
    assert history[-1].strip() == "→ refused: the page waits for a person"
    assert "SAMLRequest" not in done.stderr
