"""S27: a service calls another API in its caller's name. DevIssuer stands in; the node provider is in ``peers``."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import doorward
from doorward.errors import ConfigurationError, Expired, InvalidResponse, MissingCredential, OAuthError
from doorward.protocol.claims import parse_jwt
from doorward.protocol.metadata import ProviderMetadata
from doorward.protocol.token_exchange import JWT_BEARER, TOKEN_EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from people import MovedClock

    from doorward.testing import DevIssuer

OTHER = "https://other.example.org"


@pytest.fixture
def service(issuer: DevIssuer, clock: MovedClock) -> doorward.ClientCredentials:
    issuer.add_client("api", secret="api-secret")
    return doorward.ClientCredentials(
        issuer.url, "api", client_secret="api-secret", insecure_loopback_http=True, clock=clock
    )


@pytest.fixture
def caller(issuer: DevIssuer) -> str:
    """Alice's access token for this service."""
    return issuer.issue_access_token("alice", audience="api")


def claims(token: str) -> Any:
    return parse_jwt(token).claims


@pytest.mark.parametrize("grant", ["auto", "token-exchange", "jwt-bearer"])
def test_the_token_is_for_the_other_api_and_names_the_caller(
    service: doorward.ClientCredentials, caller: str, token_of: Callable[..., str], grant: Any
) -> None:
    source = doorward.OnBehalfOf(service, caller, audience=OTHER, scopes=["read"], grant=grant)
    told = claims(token_of(source))
    assert (told["sub"], told["aud"], told["scope"], told["act"]) == ("alice", OTHER, "read", {"sub": "api"})
    assert isinstance(source, doorward.TokenSource)


def test_one_exchange_for_one_caller_and_api_however_many_ask(
    service: doorward.ClientCredentials, issuer: DevIssuer, caller: str
) -> None:
    def ask(_: int) -> str:
        return doorward.OnBehalfOf(service, caller, audience=OTHER).token()

    async def tasks() -> list[str]:
        sources = [doorward.OnBehalfOf(service, caller, audience=OTHER) for _ in range(8)]
        return await asyncio.gather(*(source.atoken() for source in sources))

    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(ask, range(8)), *asyncio.run(tasks())}) == 1
    assert issuer.count("token") == 1
    another = doorward.OnBehalfOf(service, issuer.issue_access_token("bob", audience="api"), audience=OTHER)
    assert claims(another.token())["sub"] == "bob"
    assert claims(doorward.OnBehalfOf(service, caller, audience="https://third.example.org").token())["sub"] == "alice"
    assert issuer.count("token") == 3


def test_a_forged_token_finds_nothing_that_was_exchanged_for_a_real_one(
    service: doorward.ClientCredentials, issuer: DevIssuer, caller: str
) -> None:
    assert doorward.OnBehalfOf(service, caller, audience=OTHER).token()
    head, body, _ = caller.split(".")
    forged = f"{head}.{body}.{'A' * 86}"
    with pytest.raises(OAuthError, match="invalid_grant"):
        doorward.OnBehalfOf(service, forged, audience=OTHER).token()


def test_it_ends_with_the_callers_token(
    service: doorward.ClientCredentials, issuer: DevIssuer, clock: MovedClock, token_of: Callable[..., str]
) -> None:
    """The provider's new one would live for an hour."""
    issuer.change(access_token_lifetime_s=600)
    caller = issuer.issue_access_token("alice", audience="api")
    issuer.change(access_token_lifetime_s=3600)
    source = doorward.OnBehalfOf(service, caller, audience=OTHER)
    assert token_of(source)
    clock.ahead_s += 601
    for again in (source, doorward.OnBehalfOf(service, caller, audience=OTHER)):
        with pytest.raises(Expired) as ended:
            token_of(again)
        assert ended.value.reason == "subject_token_expired"
        with pytest.raises(Expired):
            again.renew("x")
    assert issuer.count("token") == 1


def test_an_end_that_the_guard_knows_counts_for_opaque_tokens(
    service: doorward.ClientCredentials, issuer: DevIssuer, clock: MovedClock
) -> None:
    issuer.change(access_token_format="opaque")
    caller = issuer.issue_access_token("alice", audience="api")
    ends_at = clock.now() + 60
    first = doorward.OnBehalfOf(service, caller, audience=OTHER, expires_at=ends_at).token()
    assert doorward.OnBehalfOf(service, caller, audience=OTHER, expires_at=ends_at).token() == first
    unknown = doorward.OnBehalfOf(service, caller, audience=OTHER)
    assert unknown.token() == unknown.token() != first
    assert doorward.OnBehalfOf(service, caller, audience=OTHER).token() != unknown.token(), "its end is not known"
    clock.ahead_s += 61
    with pytest.raises(Expired):
        doorward.OnBehalfOf(service, caller, audience=OTHER, expires_at=ends_at).token()


def test_a_claimed_end_shortens_but_never_prolongs(
    service: doorward.ClientCredentials, caller: str, clock: MovedClock
) -> None:
    ended = doorward.OnBehalfOf(service, caller, audience=OTHER, expires_at=clock.now() - 1)
    with pytest.raises(Expired):
        ended.token()
    longer = doorward.OnBehalfOf(service, caller, audience=OTHER, expires_at=clock.now() + 90_000)
    assert longer.token()
    clock.ahead_s += 3601
    with pytest.raises(Expired):
        longer.token()


def test_a_rejected_token_is_replaced(service: doorward.ClientCredentials, caller: str) -> None:
    source = doorward.OnBehalfOf(service, caller, audience=OTHER)
    rejected = source.token()
    renewed = source.renew(rejected)
    assert renewed != rejected
    assert asyncio.run(source.arenew(rejected)) == renewed


def test_a_revoked_callers_token_is_refused(
    service: doorward.ClientCredentials, issuer: DevIssuer, caller: str
) -> None:
    issuer.revoke_everything("alice")
    with pytest.raises(OAuthError) as refused:
        doorward.OnBehalfOf(service, caller, audience=OTHER).token()
    assert refused.value.error == "invalid_grant"
    assert caller not in str(refused.value)


def test_another_kind_of_token_in_the_answer_is_refused(
    service: doorward.ClientCredentials, issuer: DevIssuer, caller: str
) -> None:
    told = {
        "access_token": "x",
        "token_type": "Bearer",
        "issued_token_type": "urn:ietf:params:oauth:token-type:id_token",
    }
    issuer.fail("token", status=200, body=json.dumps(told).encode())
    with pytest.raises(InvalidResponse) as refused:
        doorward.OnBehalfOf(service, caller, audience=OTHER).token()
    assert refused.value.reason == "wrong_issued_token_type"


@pytest.mark.parametrize(
    ("offered", "provider", "grant"),
    [
        (None, "https://id.example.org", "token-exchange"),
        ((TOKEN_EXCHANGE, JWT_BEARER), "https://id.example.org", "token-exchange"),
        ((JWT_BEARER,), "https://id.example.org", "jwt-bearer"),
        ((JWT_BEARER, TOKEN_EXCHANGE), "https://login.microsoftonline.com/contoso.example/v2.0", "jwt-bearer"),
    ],
)
def test_the_grant_is_the_providers(offered: tuple[str, ...] | None, provider: str, grant: str) -> None:
    service = doorward.ClientCredentials(provider, "api", client_secret="s")
    source = doorward.OnBehalfOf(service, "token", audience=OTHER)
    metadata = ProviderMetadata(provider, grant_types_supported=offered)
    assert source._question._grant(metadata) == grant  # noqa: SLF001 - Entra can't be had


@pytest.mark.parametrize("exp", [None, "soon", True, float("inf"), [1]])
def test_an_end_that_is_none_is_not_known(service: doorward.ClientCredentials, issuer: DevIssuer, exp: Any) -> None:
    caller = issuer.issue_access_token("alice", audience="api", exp=None if exp == float("inf") else exp)
    assert doorward.OnBehalfOf(service, caller, audience=OTHER)._question.ends_at is None  # noqa: SLF001 - its bound


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({}, "audience"),
            ({"audience": OTHER, "grant": "magic"}, "grant"),
            ({"audience": OTHER, "token_type": "refresh_token"}, "token_type"),
            ({"scopes": "read"}, "scopes"),
            ({"audience": OTHER, "service": "api"}, "service"),
        ],
    )
    def test_wrong_ones_are_named(
        self, service: doorward.ClientCredentials, caller: str, changes: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(ConfigurationError) as wrong:
            doorward.OnBehalfOf(changes.pop("service", service), caller, **changes)
        assert wrong.value.field == field

    @pytest.mark.parametrize("token", ["", "Bearer abc", "tök"])
    def test_what_is_no_token_is_not_sent(self, service: doorward.ClientCredentials, token: str) -> None:
        with pytest.raises(MissingCredential):
            doorward.OnBehalfOf(service, token, audience=OTHER)

    def test_there_is_no_id_token(self, service: doorward.ClientCredentials, caller: str) -> None:
        with pytest.raises(ConfigurationError) as wrong:
            doorward.OnBehalfOf(service, caller, audience=OTHER).token("id")
        assert wrong.value.field == "kind"

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_it_goes_nowhere_else(self, service: doorward.ClientCredentials, caller: str, again: Any) -> None:
        with pytest.raises(ConfigurationError) as refused:
            again(doorward.OnBehalfOf(service, caller, audience=OTHER))
        assert refused.value.reason == "not_pickled"

    def test_it_shows_no_token(self, service: doorward.ClientCredentials, caller: str) -> None:
        shown = repr(doorward.OnBehalfOf(service, caller, audience=OTHER))
        assert caller not in shown
        assert OTHER in shown


def test_what_is_remembered_has_a_bound(service: doorward.ClientCredentials, caller: str) -> None:
    exchanged = service._service.exchanged  # noqa: SLF001 - its bound
    for number in range(1100):
        doorward.OnBehalfOf(service, caller, audience=f"https://{number}.example.org")
    assert len(exchanged._held) == 1000  # noqa: SLF001 - the same


def test_a_fork_while_a_thread_looks_it_up_does_not_hang_the_child(
    service: doorward.ClientCredentials, caller: str
) -> None:
    with service._service.exchanged._lock:  # noqa: SLF001 - as a thread of the parent may hold it
        child = os.fork()
        if not child:
            try:
                doorward.OnBehalfOf(service, caller, audience=OTHER)
                os._exit(0)
            finally:
                os._exit(1)
        give_up_at = time.monotonic() + 30
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > give_up_at:
                os.kill(child, signal.SIGKILL)
                give_up_at = float("inf")
            time.sleep(0.02)
    assert ended[1] == 0
