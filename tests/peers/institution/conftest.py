"""An institution and its publisher, once a worker: a real SAML federation, and stand-ins for what cannot be had."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from by_hand import ByHand
from federation import Federation, find_programs
from institution_stand_ins import Cas, EzProxy, OpenAthens
from pdfs import make_pdf

from doorward.http.client import HttpClient
from doorward.institution import Institution
from doorward.institution.browser.installed import InstalledBrowser
from doorward.institution.browser.visit import BrowserVisit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from doorward.institution import InstitutionSession
    from doorward.institution.routes import Route

    SignIn = Callable[..., InstitutionSession]


@pytest.fixture(scope="session")
def federation(test_ca: Any, require_peer: Callable[[str, object], None]) -> Iterator[Federation]:
    programs = find_programs()
    require_peer("The SAML federation (Apache, Shibboleth, SimpleSAMLphp)", programs)
    assert programs is not None
    made = Federation(programs, ca=test_ca.ca, certificate=test_ca.certificate, key=test_ca.key)
    with contextlib.closing(made):
        made.start()
        yield made


@pytest.fixture(scope="session")
def openathens(federation: Federation, test_ca: Any) -> Iterator[OpenAthens]:
    """The redirector, for the federation's service provider."""
    with contextlib.closing(OpenAthens(federation.login_url, test_ca.certificate, test_ca.key)) as made:
        yield made


@pytest.fixture(scope="session")
def ezproxy(test_ca: Any) -> Iterator[EzProxy]:
    with contextlib.closing(EzProxy(make_pdf("The report"), test_ca.certificate, test_ca.key)) as made:
        yield made


@pytest.fixture(scope="session")
def cas(test_ca: Any) -> Iterator[Cas]:
    with contextlib.closing(Cas(make_pdf("The report"), test_ca.certificate, test_ca.key)) as made:
        yield made


@pytest.fixture
def sign_in(chromium: Any, chromium_home: Path, trust_test_ca: None, monkeypatch: pytest.MonkeyPatch) -> SignIn:
    """Sign somebody in: the first time by hand, every other time in a browser that nobody sees."""
    monkeypatch.setenv("HOME", str(chromium_home))  # where Chromium looks for whom to trust
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))

    def do(where: str | Route, steps: Callable[[Page, str], None], **options: Any) -> InstitutionSession:
        def visit(*, headless: bool, cookies: Any) -> Any:
            if headless:
                return BrowserVisit(browser=InstalledBrowser(browser, "Chromium"), headless=True, cookies=cookies)
            return ByHand(chromium, steps)

        return Institution(where, http=HttpClient(total_timeout_s=10), visit=visit, **options).sign_in()

    return do


@pytest.fixture
def session(federation: Federation, sign_in: SignIn) -> InstitutionSession:
    """Alice's session at the federation."""
    return sign_in(federation.login_url(), federation.sign_in, name="uni")
