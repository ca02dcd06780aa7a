"""S22: the habits of real providers, imitated by DevIssuer. An unknown provider gets the standard and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from people import Onlooker, asked_for, last_address

import doorward
from doorward.errors import InvalidResponse, SignInRequired, UnknownIssuer, UnknownKey
from doorward.signin.providers import BY_HOST, STANDARD, Habits, habits_of
from doorward.testing import HABITS

if TYPE_CHECKING:
    from people import MovedClock

    from doorward.testing import DevIssuer

NOT_REFRESHED = {
    "metadata_scopes_openid_only": "no_refresh_token",  # offline_access is not listed, and not sent
    "offline_access_ignored": "no_refresh_token",
    "offline_access_refused": "no_refresh_token",
    "refresh_needs_redirect_uri": "session_ended",  # an unknown GitLab: see test_gitlab
    "refresh_token_by_parameter": "no_refresh_token",  # see test_google
    "refresh_token_never": "no_refresh_token",
    "refresh_without_id_token": "id_token_not_renewable",
}
REFUSED = {
    "id_token_issuer_without_scheme": UnknownIssuer,  # Google's tokens of old
    "issuer_template": InvalidResponse,  # see test_entra
    "keys_without_kid": UnknownKey,
}
WELL_KNOWN = sorted(BY_HOST)


def sign_in(issuer: DevIssuer, **options: Any) -> doorward.Session:
    return doorward.sign_in(
        issuer.url,
        "cli",
        insecure_loopback_http=True,
        timeout_s=20,
        **{"prompt": Onlooker(last_address), **options},
    )


def both_tokens(session: doorward.Session) -> tuple[str, str]:
    return session.token(), session.token("id")


@pytest.mark.parametrize("habit", HABITS)
def test_a_habit_is_lived_with(issuer: DevIssuer, clock: MovedClock, habit: str) -> None:
    issuer.adopt(habit)
    mode = "device" if habit.startswith(("device_", "slow_down")) else "browser"
    issuer.change(device_interval_s=1)
    if habit in REFUSED:
        with pytest.raises(REFUSED[habit]):
            sign_in(issuer, clock=clock)
        return
    session = sign_in(issuer, clock=clock, mode=mode)
    assert session.principal.subject == "alice"
    assert session.token()
    clock.ahead_s += 3650
    if habit in NOT_REFRESHED:
        with pytest.raises(SignInRequired) as ended:
            both_tokens(session)
        assert ended.value.reason == NOT_REFRESHED[habit]
    else:
        assert all(both_tokens(session))


@pytest.fixture
def known_as(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let this machine's issuer pass for a well-known provider."""
    return lambda habits: monkeypatch.setitem(BY_HOST, "127.0.0.1", habits)


def test_google(issuer: DevIssuer, clock: MovedClock, known_as: Any) -> None:
    known_as(habits_of("https://accounts.google.com"))
    prompt = Onlooker(last_address)
    with issuer.adopt("refresh_token_by_parameter", "metadata_scopes_openid_only", "refresh_token_stays"):
        session = sign_in(issuer, clock=clock, prompt=prompt)
        clock.ahead_s += 3650
        assert session.token()
    assert asked_for(prompt)["access_type"] == "offline"
    assert asked_for(prompt)["prompt"] == "consent"


def test_gitlab(issuer: DevIssuer, clock: MovedClock, known_as: Any) -> None:
    known_as(habits_of("https://gitlab.com"))
    with issuer.adopt("refresh_needs_redirect_uri", "id_token_two_minutes", "refresh_kills_access_token"):
        session = sign_in(issuer, clock=clock)
        for _ in range(3):
            clock.ahead_s += 3650
            assert session.token("id")


def test_entra(issuer: DevIssuer, clock: MovedClock, known_as: Any) -> None:
    known_as(
        Habits(
            redirect_uri="http://localhost",
            consent_for_offline_access=False,
            scope_on_refresh=True,
            issuer_template=f"{issuer.url}/{{tenantid}}/v2.0",
        )
    )
    issuer.add_client("cli", redirect_uris=["http://localhost"], redirect_rule="any_port_localhost")
    issuer.add_user("alice", claims={"tid": "11111111-2222-3333-4444-555555555555"})
    prompt = Onlooker(last_address)
    with issuer.adopt("issuer_template", "no_iss_parameter"):
        session = sign_in(issuer, clock=clock, prompt=prompt)
        assert session.principal.issuer.count("-") == 4  # the tenant's own
        clock.ahead_s += 3650
        assert session.token("id")
    assert "prompt" not in asked_for(prompt)
    assert asked_for(prompt)["redirect_uri"].startswith("http://localhost:")


def test_an_unknown_provider_gets_the_standard() -> None:
    for issuer in (
        "https://id.example.org",
        "https://accounts.google.com.evil.example",
        "https://evil.example/gitlab.com",
    ):
        assert habits_of(issuer) is STANDARD


def test_only_the_shared_tenants_of_entra_have_a_template() -> None:
    own = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
    assert habits_of(own).issuer_template is None
    assert habits_of("https://login.microsoftonline.com/common/v2.0").issuer_template is not None


@pytest.mark.parametrize("host", WELL_KNOWN)
def test_the_table_holds_for_https_issuers(host: str) -> None:
    assert habits_of(f"https://{host}").name != STANDARD.name
