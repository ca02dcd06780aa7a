"""An institution and its publisher, once a worker: a real SAML federation, and stand-ins for what cannot be had."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from federation import Federation, find_programs
from institution_stand_ins import Cas, EzProxy, OpenAthens
from pdfs import make_pdf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
