"""One refresh, request by request: what is asked before the refresh token is spent, what is saved, and what is not."""

from __future__ import annotations

import dataclasses
import json
import resource
from typing import TYPE_CHECKING, Any

import pytest
from in_memory import InMemory, Paster, PausedClock, make_issuer, signing_in

from doorward import errors
from doorward.errors import DoorwardError, ProviderUnavailable, SignInRequired, StoreError
from doorward.http.exchange import run
from doorward.model import HttpRequest, Secret
from doorward.signin.refresh import refresh
from doorward.signin.registration import Registration
from doorward.system import SystemEntropy
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from doorward.testing import DevIssuer
    from doorward.vault.entries import ProfileEntry

    Refresh = Callable[[], ProfileEntry]


@pytest.fixture
def clock() -> PausedClock:
    return PausedClock()


@pytest.fixture
def issuer(clock: PausedClock) -> DevIssuer:
    return make_issuer(clock)


@pytest.fixture
def provider(issuer: DevIssuer) -> InMemory:
    return InMemory(issuer)


@pytest.fixture
def vault(tmp_path: Path, issuer: DevIssuer, provider: InMemory, clock: PausedClock) -> Vault:
    """A vault in which alice has signed in an hour ago."""
    vault = Vault(str(tmp_path / "vault"))
    run(signing_in(issuer, vault=vault, prompt=Paster(provider)).flow(), provider, clock)
    provider.sent.clear()
    clock.at += 3600
    return vault


@pytest.fixture
def again(issuer: DevIssuer, provider: InMemory, vault: Vault, clock: PausedClock) -> Refresh:
    """Refresh what the vault holds now."""

    def do(**registered: Any) -> ProfileEntry:
        entry = vault.get("default")
        registration = Registration(issuer.url, "cli", scopes=entry.scopes, insecure_loopback_http=True, **registered)
        flow = refresh(entry, registration, vault=vault, clock=clock, entropy=SystemEntropy())
        return run(flow, provider, clock)

    return do


def is_token(request: HttpRequest) -> bool:
    return request.url.endswith("/token")


def test_what_is_renewed_is_saved(again: Refresh, vault: Vault, provider: InMemory, clock: PausedClock) -> None:
    before = vault.get("default")
    renewed = again()
    assert renewed == vault.get("default")
    assert provider.purposes() == ["metadata", "keys", "token"]
    assert [each.irrevocable for each in provider.sent] == [False, False, True]
    for name in ("access_token", "refresh_token", "id_token"):
        assert getattr(renewed, name) != getattr(before, name)
    assert renewed.access_token_expires_at == renewed.id_token_expires_at == clock.at + 3600
    assert renewed.access_token_issued_at == renewed.id_token_issued_at == renewed.refreshed_at == clock.at
    assert renewed.created_at == before.created_at
    assert (renewed.failures, renewed.retry_at) == (0, None)


def test_a_provider_that_does_not_rotate_keeps_its_refresh_token(
    again: Refresh, vault: Vault, issuer: DevIssuer
) -> None:
    issuer.change(rotation="same")
    before = vault.get("default").refresh_token
    with issuer.adopt("refresh_without_id_token"):
        renewed = again()
    assert before is not None
    assert renewed.refresh_token == before
    assert renewed.id_token_renewable is False


class TestBeforeTheTokenIsSpent:
    """A refresh token that rotates is gone once it was sent: everything else that could fail is tried first."""

    def test_a_vault_that_can_not_be_written(self, again: Refresh, vault: Vault, issuer: DevIssuer) -> None:
        before = vault.get("default")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # as on a disk that is full
        try:
            with pytest.raises(StoreError):
                again()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert issuer.count("token", grant_type="refresh_token") == 0
        assert vault.get("default") == before
        assert again().access_token != before.access_token

    @pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
    def test_a_provider_that_is_half_there(
        self, again: Refresh, vault: Vault, issuer: DevIssuer, endpoint: str
    ) -> None:
        issuer.fail(endpoint)
        with pytest.raises(ProviderUnavailable):
            again()
        assert issuer.count("token", grant_type="refresh_token") == 0
        assert vault.get("default").failures == 1


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        ("id_token_refresh_changed_issuer", errors.UnknownIssuer),
        ("id_token_refresh_changed_audience", errors.WrongAudience),
        ("id_token_refresh_changed_subject", errors.SubjectChanged),
        ("id_token_refresh_changed_nonce", errors.WrongNonce),
        ("id_token_wrong_at_hash", errors.WrongTokenHash),
        ("id_token_expired", errors.Expired),
        ("id_token_signed_with_another_key", errors.BadSignature),
    ],
)
def test_of_an_answer_whose_id_token_does_not_hold_only_the_refresh_token_is_kept(
    again: Refresh, vault: Vault, issuer: DevIssuer, clock: PausedClock, lie: str, error: type[DoorwardError]
) -> None:
    before = vault.get("default")
    with issuer.misbehave(lie), pytest.raises(error):
        again()
    after = vault.get("default")
    assert after.refresh_token != before.refresh_token
    kept = dataclasses.replace(after, refresh_token=before.refresh_token, refreshed_at=before.refreshed_at)
    assert kept == dataclasses.replace(before, failures=1, retry_at=clock.at + 2)
    clock.at += 2
    assert again().claims["sub"] == "alice"


def test_audiences_that_were_asked_for_are_known(again: Refresh, issuer: DevIssuer, vault: Vault) -> None:
    """The client's own and the one that was asked for, without azp: nobody else is meant."""
    with issuer.misbehave("id_token_audience_list_without_azp"):
        with pytest.raises(errors.WrongAudience) as refused:
            again()
        other = refused.value.message.split("such as ")[1].split(",")[0]
        vault.put(dataclasses.replace(vault.get("default"), retry_at=None))
        assert again(audience=other).claims["sub"] == "alice"


class TestMeanwhile:
    """Whatever is newer than what the refresh began with is never undone."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"created_at": 1_800_000_777.0}, "signed_out_meanwhile"),
            ({"refresh_token": Secret("of-another-process")}, "refreshed_meanwhile"),
        ],
    )
    def test_a_newer_entry_stays(
        self, again: Refresh, vault: Vault, provider: InMemory, change: dict[str, Any], reason: str
    ) -> None:
        newer = dataclasses.replace(vault.get("default"), **change)
        provider.before = lambda request: vault.put(newer) if is_token(request) else None
        with pytest.raises(DoorwardError) as told:
            again()
        assert told.value.reason == reason
        assert vault.get("default") == newer

    def test_so_does_none(self, again: Refresh, vault: Vault, provider: InMemory) -> None:
        provider.before = lambda request: vault.forget("default") if is_token(request) else None
        with pytest.raises(SignInRequired) as told:
            again()
        assert told.value.reason == "signed_out_meanwhile"
        assert vault.get("default") is None

    def test_a_new_refresh_token_is_kept_though_nobody_waits_for_its_id_token(
        self, again: Refresh, vault: Vault, issuer: DevIssuer, provider: InMemory
    ) -> None:
        before = vault.get("default")

        def stop(request: HttpRequest) -> None:
            if is_token(request):
                issuer.rotate_keys(keep_old=False)
            elif is_token(provider.sent[-1] if provider.sent else request):
                raise KeyboardInterrupt

        provider.before = stop
        with pytest.raises(KeyboardInterrupt):
            again()
        provider.before = lambda _: None
        after = vault.get("default")
        assert after.refresh_token != before.refresh_token
        assert after.access_token == before.access_token
        assert again().refresh_token != after.refresh_token

    def test_an_outage_of_the_new_keys_costs_the_new_id_token_alone(
        self, again: Refresh, vault: Vault, issuer: DevIssuer, provider: InMemory
    ) -> None:
        before = vault.get("default")

        def rotate(request: HttpRequest) -> None:
            if is_token(request):
                issuer.rotate_keys(keep_old=False)
                issuer.fail("jwks")

        provider.before = rotate
        renewed = again()
        assert renewed.access_token != before.access_token
        assert (renewed.id_token, renewed.claims) == (before.id_token, before.claims)


WORDS: list[tuple[int, dict[str, str], str, bool]] = [
    (400, {"error": "invalid_grant"}, "session_ended", False),
    (400, {"error": "interaction_required"}, "interaction_required", True),
    (400, {"error": "bad_refresh_token"}, "refresh_refused", True),
    (400, {}, "refresh_refused", True),
]


@pytest.mark.parametrize(("status", "body", "reason", "kept"), WORDS)
def test_what_a_refusal_means(
    again: Refresh, vault: Vault, issuer: DevIssuer, status: int, body: dict[str, str], reason: str, *, kept: bool
) -> None:
    before = vault.get("default")
    issuer.fail("token", status=status, body=json.dumps(body).encode(), times=2)  # an unknown provider is asked twice
    with pytest.raises(SignInRequired) as told:
        again()
    after = vault.get("default")
    assert told.value.reason == reason
    assert after.refresh_token == (before.refresh_token if kept else None)
    assert (after.ended_at is None, after.ended_reason) == ((True, None) if kept else (False, "invalid_grant"))
    assert after.failures == (1 if kept else 0)


@pytest.mark.parametrize("lie", ["token_type_mac", "token_expires_in_negative", "id_token_number"])
def test_an_answer_of_no_other_use_still_gives_its_refresh_token(
    again: Refresh, vault: Vault, issuer: DevIssuer, clock: PausedClock, lie: str
) -> None:
    before = vault.get("default")
    with issuer.misbehave(lie), pytest.raises(errors.InvalidResponse):
        again()
    after = vault.get("default")
    assert after.refresh_token != before.refresh_token
    assert (after.failures, after.retry_at) == (1, clock.at + 2)
    clock.at += 2
    assert again()


@pytest.mark.parametrize(("retry_after", "wait_s"), [(None, 2), ("1", 2), ("120", 120), ("86400", 300)])
def test_the_next_try_waits(
    again: Refresh, vault: Vault, issuer: DevIssuer, clock: PausedClock, retry_after: str | None, wait_s: float
) -> None:
    issuer.fail("token", status=429, headers={"Retry-After": retry_after} if retry_after else {})
    with pytest.raises(ProviderUnavailable):
        again()
    assert vault.get("default").retry_at == clock.at + wait_s
    clock.at += wait_s - 1
    with pytest.raises(ProviderUnavailable) as waiting:
        again()
    assert waiting.value.reason == "backing_off"
    assert issuer.count("token", grant_type="refresh_token") == 1
    clock.at += 1
    assert again().failures == 0


def test_the_wait_grows_to_five_minutes_and_a_clock_that_was_set_back_makes_it_no_longer(
    again: Refresh, vault: Vault, issuer: DevIssuer, clock: PausedClock
) -> None:
    issuer.fail("token", times=None)
    waits = []
    for _ in range(10):
        with pytest.raises(ProviderUnavailable):
            again()
        waits.append(vault.get("default").retry_at - clock.at)
        clock.at += waits[-1]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    issuer.behave()
    vault.put(dataclasses.replace(vault.get("default"), retry_at=clock.at + 301))
    assert again().retry_at is None
