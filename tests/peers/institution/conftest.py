"""An institution and its publisher, once a worker: a real SAML federation, and stand-ins for what cannot be had."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from at_the_window import SignIn, a_place_for_browsers
from federation import Federation, find_programs
from institution_stand_ins import Cas, EzProxy, OpenAthens
from pdfs import make_pdf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from doorward.institution import InstitutionSession


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
def browsers(
    chromium_home: Path,
    trust_test_ca: None,
    require_peer: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Have the browsers that Doorward starts trust the test authority, and be within reach of a person."""
    require_peer("Playwright", find_spec("playwright"))
    monkeypatch.setenv("HOME", str(chromium_home))  # where Chromium looks for whom to trust
    with a_place_for_browsers(monkeypatch):
        yield


@pytest.fixture
def sign_in(browsers: None) -> SignIn:
    return SignIn()


@pytest.fixture
def session(federation: Federation, sign_in: SignIn) -> InstitutionSession:
    """Alice's session at the federation."""
    return sign_in(federation.login_url(), federation.fill_login, name="uni")
