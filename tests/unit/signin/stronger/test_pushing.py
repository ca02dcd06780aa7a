"""When an authorization request is pushed, and what it means that it could not be (decision 18)."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from in_memory import InMemory, Paster, PausedClock, make_issuer, signing_in

from doorward.errors import ConfigurationError, DoorwardError, InvalidResponse, OAuthError, ProviderUnavailable
from doorward.http.exchange import run
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.testing import DevIssuer


@pytest.fixture
def clock() -> PausedClock:
    return PausedClock()


@pytest.fixture
def issuer(clock: PausedClock) -> DevIssuer:
    return make_issuer(clock)


def asked(issuer: DevIssuer, clock: PausedClock, tmp_path: Path, **options: Any) -> str:
    """Sign in, and return the address that the person was asked to open."""
    provider = InMemory(issuer)
    person = Paster(provider)
    vault = Vault(str(tmp_path / "vault"))
    run(signing_in(issuer, prompt=person, vault=vault, **options).flow(), provider, clock)
    assert vault.get("default").claims["sub"] == "alice"
    return person.asked[0]


@pytest.mark.parametrize(
    ("offer", "par", "pushes", "by_hand"),
    [
        ("not_offered", "auto", 0, "plain"),
        ("offered", "auto", 1, "plain"),
        ("offered", "always", 1, "pushed"),
        ("offered", "never", 0, "plain"),
        ("required", "auto", 1, "pushed"),
        ("required", "always", 1, "pushed"),
    ],
)
def test_when_it_is_pushed(
    issuer: DevIssuer, clock: PausedClock, tmp_path: Path, offer: str, par: str, pushes: int, by_hand: str
) -> None:
    """Whoever carries an address by hand is given the plain one where that will do: what was pushed soon is too old."""
    issuer.change(pushed_requests=offer)
    address = asked(issuer, clock, tmp_path, par=par)
    assert issuer.count("par") == pushes
    assert ("request_uri=" in address) == (by_hand == "pushed")
    assert ("state=" in address) == (by_hand == "plain")


@pytest.mark.parametrize(
    ("offer", "par", "reason"),
    [("not_offered", "always", "par_unsupported"), ("required", "never", "par_demanded")],
)
def test_what_is_demanded_and_not_given(
    issuer: DevIssuer, clock: PausedClock, tmp_path: Path, offer: str, par: str, reason: str
) -> None:
    issuer.change(pushed_requests=offer)
    with pytest.raises(ConfigurationError) as refused:
        asked(issuer, clock, tmp_path, par=par)
    assert (refused.value.field, refused.value.reason) == ("par", reason)
    assert issuer.count("par") == issuer.count("authorize") == 0


def answer(status: int, error: str = "") -> dict[str, Any]:
    return {"status": status, "body": json.dumps({"error": error} if error else {}).encode()}


REFUSALS = {
    "invalid_client": (answer(401, "invalid_client"), OAuthError),
    "unauthorized_client": (answer(400, "unauthorized_client"), OAuthError),
    "not found": (answer(404), InvalidResponse),
    "not allowed": (answer(405), InvalidResponse),
}
FAILURES = {
    "an outage": (answer(503), ProviderUnavailable),
    "too many requests": (answer(429), ProviderUnavailable),
    "a temporary error": (answer(400, "temporarily_unavailable"), ProviderUnavailable),
    "a bad request": (answer(400, "invalid_request"), OAuthError),
    "a scope": (answer(400, "invalid_scope"), OAuthError),
    "a redirect": (answer(307), InvalidResponse),
    "400 without a word": (answer(400), InvalidResponse),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_provider_that_refuses_this_client_is_asked_as_before(
    issuer: DevIssuer, clock: PausedClock, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    issuer.change(pushed_requests="offered")
    issuer.fail("par", **REFUSALS[case][0])
    with caplog.at_level(logging.WARNING, "doorward.signin"):
        assert "state=" in asked(issuer, clock, tmp_path)
    assert "was not pushed" in caplog.text


@pytest.mark.parametrize("demanded", [{"par": "always"}, {}], ids=["by us", "by the provider"])
@pytest.mark.parametrize("case", [*REFUSALS, *FAILURES])
def test_where_it_is_demanded_every_failure_is_the_end(
    issuer: DevIssuer, clock: PausedClock, tmp_path: Path, case: str, demanded: dict[str, str]
) -> None:
    answered, error = {**REFUSALS, **FAILURES}[case]
    issuer.change(pushed_requests="offered" if demanded else "required")
    issuer.fail("par", **answered)
    with pytest.raises(error):
        asked(issuer, clock, tmp_path, **demanded)
    assert issuer.count("authorize") == 0


@pytest.mark.parametrize("case", FAILURES)
def test_no_outage_leads_to_the_weaker_request(
    issuer: DevIssuer, clock: PausedClock, tmp_path: Path, case: str
) -> None:
    answered, error = FAILURES[case]
    issuer.change(pushed_requests="offered")
    issuer.fail("par", **answered)
    with pytest.raises(DoorwardError) as refused:
        asked(issuer, clock, tmp_path)
    assert type(refused.value) is error
    assert issuer.count("authorize") == 0


@pytest.mark.parametrize("par", ["", "yes", True, None])
def test_how_it_can_be_wanted(issuer: DevIssuer, par: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        signing_in(issuer, par=par)
    assert (refused.value.field, refused.value.reason) == ("par", "bad_use")
