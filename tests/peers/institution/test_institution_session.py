"""A session at a real Shibboleth service provider, brought back by a real browser from the identity provider's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from people import ForwardClock

from doorward.institution.settings import InstitutionSettings
from doorward.papers import Library

if TYPE_CHECKING:
    from at_the_window import SignIn
    from federation import Federation

    from doorward.institution import InstitutionSession

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_a_killed_service_session_is_told_and_comes_back_unasked(
    federation: Federation, session: InstitutionSession
) -> None:
    assert session.is_authenticated()
    federation.restart_sp()
    session.note_login_page()
    assert (session.status.state, session.status.reason) == ("expired", "sent_to_login")
    assert session.renew()
    assert session.is_authenticated()


def test_a_killed_service_session_shows_within_the_cache_time(federation: Federation, sign_in: SignIn) -> None:
    """Nobody says that it ended: what was seen of it is believed for as long as the settings say, and no longer."""
    clock = ForwardClock()
    settings = InstitutionSettings(session_cache_ttl_s=60)
    session = sign_in(federation.login_url(), federation.fill_login, name="uni", clock=clock, settings=settings)
    assert session.is_authenticated()
    federation.restart_sp()
    asked = len(federation.requests())
    clock.forward(55)
    assert session.is_authenticated()
    assert len(federation.requests()) == asked
    clock.forward(6)
    assert not session.is_authenticated()
    assert session.status.reason == "sent_to_login"


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
