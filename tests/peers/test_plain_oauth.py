"""S23: signing in where a server speaks OAuth 2.1 and no OpenID Connect: django-oauth-toolkit, through Chromium."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from races import expire

import doorward
from doorward.errors import InvalidResponse, OAuthError, SignInCancelled, SignInRequired
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["sync", "async"])
def sign_in(request: pytest.FixtureRequest, plain_oauth_server: Any, person: Any) -> Callable[..., doorward.Session]:
    def do(*, steps: Any = None, **options: Any) -> doorward.Session:
        options |= {"prompt": person(steps or plain_oauth_server.agree), "timeout_s": 60}
        options |= {"insecure_loopback_http": True}
        if request.param == "sync":
            return doorward.sign_in(plain_oauth_server.url, "native", **options)
        return asyncio.run(doorward.asign_in(plain_oauth_server.url, "native", **options))

    return do


def owner_of_things(server: Any, token: str) -> str | int:
    request = urllib.request.Request(f"{server.url}/things", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["owner"]
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_its_tokens_work_and_it_names_nobody(sign_in: Callable[..., doorward.Session], plain_oauth_server: Any) -> None:
    session = sign_in(scopes=["read"])
    assert owner_of_things(plain_oauth_server, session.token()) == "alice"
    assert session.claims == {}
    with pytest.raises(SignInRequired) as nobody:
        _ = session.principal
    assert nobody.value.reason == "no_id_token"
    with pytest.raises(SignInRequired):
        session.token("id")


def test_of_our_own_scopes_none_is_sent(sign_in: Callable[..., doorward.Session]) -> None:
    """The server refuses a whole request for one scope that it does not know."""
    sign_in()
    entry = Vault().get("default")
    assert entry is not None
    assert entry.scopes == ()
    assert set(entry.granted_scopes or ()) == {"read", "write"}


def test_a_refresh_rotates(sign_in: Callable[..., doorward.Session], plain_oauth_server: Any) -> None:
    session = sign_in(scopes=["read"])
    first = session.token()
    expire()
    second = session.token()
    assert second != first
    assert owner_of_things(plain_oauth_server, second) == "alice"


def test_signing_out_revokes(sign_in: Callable[..., doorward.Session], plain_oauth_server: Any) -> None:
    session = sign_in(scopes=["read"])
    token = session.token()
    assert session.sign_out().revoked
    assert owner_of_things(plain_oauth_server, token) in (401, 403)


def test_a_no_is_an_answer(sign_in: Callable[..., doorward.Session], plain_oauth_server: Any) -> None:
    with pytest.raises(SignInCancelled):
        sign_in(scopes=["read"], steps=plain_oauth_server.refuse)


def test_openid_that_was_asked_for_is_refused_before_anybody_signs_in(
    sign_in: Callable[..., doorward.Session],
) -> None:
    with pytest.raises(InvalidResponse):
        sign_in(scopes=["openid", "read"])


def test_a_service_signs_itself_in(plain_oauth_server: Any) -> None:
    service = doorward.ClientCredentials(
        plain_oauth_server.url, "service", client_secret="service-secret", scopes=["read"], insecure_loopback_http=True
    )
    assert service.token()
    wrong = doorward.ClientCredentials(
        plain_oauth_server.url, "service", client_secret="wrong", insecure_loopback_http=True
    )
    with pytest.raises(OAuthError) as refused:
        wrong.token()
    assert refused.value.error == "invalid_client"
