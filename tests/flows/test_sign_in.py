"""Signing in against a real issuer on loopback, by both drivers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import doorward
from doorward.errors import DoorwardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.testing import DevIssuer

SignIn = "Callable[..., doorward.Session]"


@pytest.fixture(params=["sync", "async"])
def sign_in(request: pytest.FixtureRequest, issuer: DevIssuer) -> SignIn:
    """Sign in at the issuer, through either driver."""

    def do(client_id: str = "cli", **options: Any) -> doorward.Session:
        options = {"insecure_loopback_http": True, "timeout_s": 20, **options}
        if request.param == "sync":
            return doorward.sign_in(issuer.url, client_id, **options)
        return asyncio.run(doorward.asign_in(issuer.url, client_id, **options))

    return do


@pytest.mark.usefixtures("person")
def test_a_person_signs_in_and_the_session_gives_tokens(sign_in: SignIn, issuer: DevIssuer) -> None:
    session = sign_in(profile="work")

    assert session.token()
    assert session.token("id")
    assert session.principal.subject == "alice"
    assert session.principal.issuer == issuer.url
    assert session.principal.email == "alice@example.org"
    assert doorward.open_session("work").token() == session.token()


def test_unknown(sign_in: SignIn) -> None:
    with pytest.raises(DoorwardError):
        sign_in(timeout_s=1)
