"""What is awaited works under asyncio and trio, alone or by way of anyio, and says so elsewhere."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
from people import Onlooker

import doorward
from doorward.errors import ConfigurationError
from doorward.guard import Guard, Issuer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from people import MovedClock

    from doorward.testing import DevIssuer

    Run = Callable[..., Any]


def by_anyio(backend: str, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    return anyio.run(function, *arguments, backend=backend)


@pytest.fixture(
    params=[trio.run, functools.partial(by_anyio, "trio"), functools.partial(by_anyio, "asyncio")],
    ids=["trio", "anyio on trio", "anyio on asyncio"],
)
def run(request: pytest.FixtureRequest) -> Run:
    return request.param


@pytest.fixture
def service(issuer: DevIssuer, clock: MovedClock) -> doorward.ClientCredentials:
    issuer.add_client("batch", secret="batch-secret")
    return doorward.ClientCredentials(
        issuer.url, "batch", client_secret="batch-secret", insecure_loopback_http=True, clock=clock
    )


def test_a_service_gets_its_token(run: Run, service: doorward.ClientCredentials, issuer: DevIssuer) -> None:
    token = run(service.atoken)
    assert run(service.atoken) == token
    assert run(service.arenew, token) != token


def test_a_person_signs_in_and_the_session_is_renewed_and_ended(
    run: Run, issuer: DevIssuer, clock: MovedClock, person: Path
) -> None:
    options = {"insecure_loopback_http": True, "timeout_s": 20, "clock": clock, "prompt": Onlooker()}
    session = run(functools.partial(doorward.asign_in, issuer.url, "cli", **options))
    first = run(session.atoken)
    clock.ahead_s += 3500
    assert run(session.atoken) != first
    assert run(session.asign_out).revoked


def test_a_sign_in_that_is_cancelled_gives_its_port_back_soon(
    run: Run, issuer: DevIssuer, listening: Callable[[], set[tuple[str, int]]]
) -> None:
    prompt, before = Onlooker(), listening()

    async def give_up() -> None:
        with anyio.move_on_after(1):
            await doorward.asign_in(
                issuer.url, "cli", mode="browser", insecure_loopback_http=True, timeout_s=60, prompt=prompt
            )

    run(give_up)
    assert listening() == before
    assert [what for what, _ in prompt.told] == ["open_yourself"]


def guard_and_header(issuer: DevIssuer) -> tuple[Guard, str]:
    guard = Guard([Issuer(issuer.url, ["api"], insecure_loopback_http=True)])
    return guard, f"Bearer {issuer.issue_access_token('alice', audience='api')}"


def test_a_guard_waits_for_an_issuers_keys(run: Run, issuer: DevIssuer) -> None:
    guard, header = guard_and_header(issuer)
    assert run(guard.aauthenticate, header).subject == "alice"
    guard.close()


def test_elsewhere_it_says_so(service: doorward.ClientCredentials, issuer: DevIssuer) -> None:
    guard, header = guard_and_header(issuer)
    for awaited in (service.atoken(), guard.aauthenticate(header)):
        with pytest.raises(ConfigurationError, match="asyncio or trio") as refused:
            awaited.send(None)
        assert refused.value.reason == "unknown_event_loop"
    guard.close()
