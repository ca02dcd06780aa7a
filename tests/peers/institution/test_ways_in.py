"""Each kind of institution, from the address a person gives to a paper in their folder, and back without a prompt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doorward.institution.routes import parse_institution
from doorward.papers import Library
from doorward.papers.settings import DownloadSettings

if TYPE_CHECKING:
    from at_the_window import SignIn
    from federation import Federation
    from institution_stand_ins import Cas, EzProxy, OpenAthens

    from doorward.institution import InstitutionSession

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def fetched(session: InstitutionSession | None, folder: Path, *urls: str) -> list[tuple[str, str]]:
    outcomes = Library(folder, session, settings=DownloadSettings()).fetch(*urls)
    return [(outcome.outcome, outcome.reason) for outcome in outcomes]


def seen(sign_in: SignIn) -> list[str]:
    """What the browser showed during the sign-in."""
    return [observed for _, observed, _ in sign_in.history]


def test_openathens(federation: Federation, openathens: OpenAthens, sign_in: SignIn, tmp_path: Path) -> None:
    route = parse_institution(openathens.redirector_url, openathens_host=openathens.authority)
    assert route.kind == "openathens"
    session = sign_in(route, federation.fill_login, name="oa", target=federation.report_url)
    assert session.is_authenticated()
    assert f"on the way to https://{openathens.authority}/redirector/university.example" in seen(sign_in)
    assert f"took a SAMLResponse to {federation.sp_url}/Shibboleth.sso/SAML2/POST" in seen(sign_in)
    assert fetched(session, tmp_path, federation.paper_url(1)) == [("saved", "pdf")]
    assert not [request for request in openathens.requests if request.cookies]  # it needs none, so it is told none


def test_ezproxy(ezproxy: EzProxy, sign_in: SignIn, tmp_path: Path) -> None:
    session = sign_in(f"{ezproxy.login_url}?qurl=", ezproxy.fill_login, name="proxy", target=ezproxy.report_url)
    assert session.is_authenticated()
    assert f"settled at {ezproxy.rewritten_report_url}" in seen(sign_in)
    # The plain address is the publisher's, which wants money: the paper comes by way of the proxy.
    assert fetched(session, tmp_path, ezproxy.report_url) == [("saved", "pdf")]
    assert not [request for request in ezproxy.requests if request.host == ezproxy.publisher_host and request.cookies]
    ezproxy.kill_sessions()
    session.note_login_page()
    assert not session.is_authenticated()
    assert not session.renew()  # it has no other session that could vouch for her


def test_cas(cas: Cas, sign_in: SignIn, tmp_path: Path) -> None:
    session = sign_in(f"{cas.login_url}?service={cas.report_url}", cas.fill_login, name="cas", target=cas.report_url)
    assert session.is_authenticated()
    assert f"took a ticket to {cas.report_url}" in seen(sign_in)
    cas.kill_service_sessions()
    session.note_login_page()
    assert not session.is_authenticated()
    assert session.renew()  # the CAS still knows her
    assert fetched(session, tmp_path, cas.report_url) == [("saved", "pdf")]


def test_a_hundred_papers_cost_about_two_looks(
    federation: Federation, session: InstitutionSession, tmp_path: Path
) -> None:
    before = len(federation.requests())
    library = Library(tmp_path, session, settings=DownloadSettings())
    for number in range(100):
        assert session.is_authenticated()
        [outcome] = library.fetch(federation.paper_url(number))
        assert outcome.outcome == "saved"
    asked = [request.path for request in federation.requests()[before:]]
    assert len([path for path in asked if path == "/protected/report.pdf"]) <= 4  # a look asks twice: with and without
    assert len(list(tmp_path.rglob("*.pdf"))) == 100


def test_a_session_that_dies_in_the_middle_is_renewed_unseen(
    federation: Federation, session: InstitutionSession, tmp_path: Path
) -> None:
    assert fetched(session, tmp_path, federation.paper_url(0)) == [("saved", "pdf")]
    federation.restart_sp()
    assert fetched(session, tmp_path, federation.paper_url(1), federation.paper_url(2)) == [("saved", "pdf")] * 2
    assert fetched(None, tmp_path, federation.paper_url(3)) == [("login_page", "saml_redirect")]


def test_the_command(federation: Federation, session: InstitutionSession, tmp_path: Path) -> None:
    doorward = shutil.which("doorward", path=str(Path(sys.executable).parent))

    def fetch(*arguments: str, paper: int = 5) -> Any:
        command = [doorward, "fetch", federation.paper_url(paper), "--to", str(tmp_path), "--year", "2024", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = fetch("--institution", session.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.parent.name for path in tmp_path.rglob("*.pdf")] == ["2024"]
    assert fetch().returncode == 0  # by way of the only one
    assert fetch("--institution", "nowhere").returncode == 3
    session.clear()
    assert fetch().returncode == 0  # it is there already
    assert fetch(paper=6).returncode == 3


def test_an_older_caller_works_unchanged(federation: Federation, session: InstitutionSession) -> None:
    """As BMLibrarian asks: is it there, what are the cookies, who am I, and away with it."""
    assert session.is_authenticated()
    cookies = session.get_cookies()
    assert {"name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite"} <= set(cookies[0])
    assert any(cookie["name"].startswith("_shibsession_") for cookie in cookies)
    assert "Chrome" in session.get_user_agent()
    session.clear_session()
    assert not session.is_authenticated()
    assert session.get_cookies() == []


def test_a_person_is_asked_once_and_only_when_nothing_else_helps(federation: Federation, sign_in: SignIn) -> None:
    before = federation.passwords_typed()

    def asked() -> int:
        return federation.passwords_typed() - before

    session = sign_in(federation.login_url(), federation.fill_login, name="uni")
    assert asked() == 1
    federation.restart_sp()
    session.note_login_page()
    assert session.status.state == "expired"
    assert session.renew()
    assert asked() == 1  # the first sign-in
    federation.restart_sp()
    federation.kill_idp_sessions()
    session.note_login_page()
    assert (session.is_authenticated(), session.renew()) == (False, False)
    assert asked() == 1  # nobody is asked who did not ask to be
    again = sign_in(federation.login_url(), federation.fill_login, name="uni")
    assert again.is_authenticated()
    assert session.is_authenticated()  # the one that was there learns of it
    assert asked() == 2
