"""S22: the habits of real providers, imitated by DevIssuer. An unknown provider gets the standard and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from people import Onlooker, asked_for, last_address

import doorward
from doorward.errors import DoorwardError, InvalidResponse, SignInRequired, UnknownIssuer, UnknownKey
from doorward.signin.providers import BY_HOST, PROVIDERS, STANDARD, Habits, habits_of
from doorward.testing import HABITS
from doorward.testing.lies.bends import put
from doorward.testing.lies.habits import HABIT_SWITCHES
from doorward.testing.provider.switches import Switch
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from people import MovedClock

    from doorward.testing import DevIssuer

NOT_REFRESHED = {
    "metadata_scopes_openid_only": "no_refresh_token",  # offline_access is not listed, and not sent
    "offline_access_ignored": "no_refresh_token",
    "offline_access_needs_consent": "no_refresh_token",  # see test_consent_is_asked_for_where_it_is_needed
    "offline_access_refused": "no_refresh_token",
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


def refreshes(issuer: DevIssuer) -> int:
    return issuer.count("token", grant_type="refresh_token")


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

    def know(habits: Habits) -> None:
        monkeypatch.setitem(PROVIDERS, "here", habits)
        monkeypatch.setitem(BY_HOST, "127.0.0.1", "here")

    return know


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
    assert refreshes(issuer) == 3


def test_a_habit_is_named_where_the_host_does_not_tell(issuer: DevIssuer, clock: MovedClock) -> None:
    """The session keeps to it, in whatever process."""
    with issuer.adopt("refresh_needs_redirect_uri"):
        sign_in(issuer, clock=clock, provider="gitlab")
        for _ in range(2):
            clock.ahead_s += 3650
            assert doorward.open_session(clock=clock).token()
    assert refreshes(issuer) == 2
    assert Vault().get("default").provider == "gitlab"


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_each_name_signs_in(issuer: DevIssuer, clock: MovedClock, provider: str) -> None:
    issuer.change(refresh_tokens="always")
    session = sign_in(issuer, clock=clock, provider=provider)
    clock.ahead_s += 3650
    assert session.token()


@pytest.mark.parametrize(
    ("provider", "options", "sent"),
    [
        (None, {}, None),
        ("keycloak", {}, None),
        (None, {"prompt": "login"}, "login"),
        (None, {"scopes": ["openid"]}, None),
        ("oidc-provider", {}, "consent"),
        ("oidc-provider", {"prompt": "select_account"}, "select_account consent"),
        ("oidc-provider", {"prompt": "login consent"}, "login consent"),
        ("oidc-provider", {"prompt": "none"}, "none"),
        ("oidc-provider", {"scopes": ["openid"]}, None),
        ("google", {"scopes": ["openid"]}, "consent"),
        ("google", {"parameters": {"access_type": "online"}, "scopes": ["openid"]}, None),
    ],
)
def test_consent_is_asked_for_where_it_is_needed(
    issuer: DevIssuer, person: Any, provider: str | None, options: dict[str, Any], sent: str | None
) -> None:
    """By whom the table says, for a refresh token alone, and beside what the person asks."""
    speaker = Onlooker()
    if "prompt" in options:
        options = {**options, "parameters": {"prompt": options["prompt"]}}
    with issuer.adopt("offline_access_needs_consent"):
        sign_in(issuer, provider=provider, **{**options, "prompt": speaker})
    assert asked_for(speaker).get("prompt") == sent
    renewable = "consent" in (sent or "") and "scopes" not in options
    assert (Vault().get("default").refresh_token is not None) is renewable


def test_a_provider_that_knows_no_consent(issuer: DevIssuer) -> None:
    with issuer.adopt("prompt_login_or_none"):
        assert sign_in(issuer).token()


class TestTheFirstRefresh:
    """A provider that nobody knows may be a GitLab: its ``invalid_grant`` is asked about once more, and learnt from."""

    def test_what_worked_is_learnt(self, issuer: DevIssuer, clock: MovedClock) -> None:
        with issuer.adopt("refresh_needs_redirect_uri"):
            session = sign_in(issuer, clock=clock)
            for refreshed in (2, 3, 4):  # the first takes two
                clock.ahead_s += 3650
                assert all(both_tokens(session))
                assert refreshes(issuer) == refreshed
        assert Vault().get("default").redirect_uri_on_refresh

    def test_a_provider_that_wants_none_teaches_nothing(self, issuer: DevIssuer, clock: MovedClock) -> None:
        session = sign_in(issuer, clock=clock)
        clock.ahead_s += 3650
        assert session.token()
        assert not Vault().get("default").redirect_uri_on_refresh
        assert refreshes(issuer) == 1

    @pytest.mark.parametrize("why", ["named", "refreshed before", "by device", "another word"])
    def test_nothing_is_guessed_of_a_token_that_has_ended(self, issuer: DevIssuer, clock: MovedClock, why: str) -> None:
        issuer.change(device_interval_s=1)
        options = {"named": {"provider": "keycloak"}, "by device": {"mode": "device"}}.get(why, {})
        session = sign_in(issuer, clock=clock, **options)
        if why == "refreshed before":
            clock.ahead_s += 3650
            session.token()
        if why == "another word":
            issuer.adopt("dead_refresh_token_invalid_request")
        before = refreshes(issuer)
        issuer.revoke_everything("alice")
        clock.ahead_s += 3650
        with pytest.raises(SignInRequired) as ended:
            session.token()
        assert ended.value.reason == "session_ended"
        assert refreshes(issuer) == before + 1

    def test_a_token_that_has_ended_is_asked_about_twice(self, issuer: DevIssuer, clock: MovedClock) -> None:
        session = sign_in(issuer, clock=clock)
        issuer.revoke_everything("alice")
        clock.ahead_s += 3650
        with pytest.raises(SignInRequired) as ended:
            session.token()
        assert ended.value.reason == "session_ended"
        assert refreshes(issuer) == 2
        assert Vault().get("default").refresh_token is None

    @pytest.mark.parametrize(
        ("kind", "status", "body", "reason"),
        [
            ("status", 400, b'{"error": "invalid_request"}', "session_ended"),
            ("status", 401, b'{"error": "invalid_client"}', "session_ended"),
            ("status", 503, b"", "server_failure"),
            ("reset", None, None, "connection_reset"),
        ],
    )
    def test_the_second_answer_alone_ends_nothing(
        self, issuer: DevIssuer, clock: MovedClock, kind: Any, status: int | None, body: bytes | None, reason: str
    ) -> None:
        """An outage leaves the token for the next try; a refusal of another kind leaves the word of the first."""
        with issuer.adopt("refresh_needs_redirect_uri"):
            session = sign_in(issuer, clock=clock)
            issuer.fail("token", status=400, body=b'{"error": "invalid_grant"}')
            issuer.fail("token", kind, status=status, body=body)
            clock.ahead_s += 3650
            with pytest.raises(DoorwardError) as failed:
                session.token()
            assert failed.value.reason == reason
            assert refreshes(issuer) == 2
            if reason != "session_ended":
                clock.ahead_s += 10
                assert session.token()

    def test_what_the_second_try_has_brought_is_never_lost(self, issuer: DevIssuer, clock: MovedClock) -> None:
        """The provider rotates: an answer of no other use has used up the old token all the same."""
        with issuer.adopt("refresh_needs_redirect_uri"):
            session = sign_in(issuer, clock=clock)
            clock.ahead_s += 3650
            with issuer.misbehave("token_type_mac"), pytest.raises(InvalidResponse):
                session.token()
            clock.ahead_s += 10
            assert session.token()


def test_entra(issuer: DevIssuer, clock: MovedClock, known_as: Any) -> None:
    known_as(
        Habits(
            name="Entra",
            redirect_uri="http://localhost",
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
        "https://notb2clogin.com/t.onmicrosoft.com/p/v2.0",
        "https://login.microsoftonline.de/common/v2.0",
    ):
        assert habits_of(issuer) is STANDARD


TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.mark.parametrize(
    ("issuer", "provider", "template"),
    [
        *(
            (f"https://{host}/{tenant}/v2.0", None, f"https://{host}/{{tenantid}}/v2.0")
            for host in ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
            for tenant in ("common", "organizations", "consumers")
        ),
        (f"https://login.microsoftonline.us/{TENANT}/v2.0", None, None),
        ("https://login.microsoftonline.us/contoso.onmicrosoft.com/v2.0", None, None),
        (
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_in/v2.0",
            None,
            "https://contoso.b2clogin.com/{tenantid}/v2.0/",
        ),
        (
            "https://login.contoso.com/contoso.onmicrosoft.com/B2C_1_in/v2.0",
            "b2c",
            "https://login.contoso.com/{tenantid}/v2.0/",
        ),
        (f"https://contoso.ciamlogin.com/{TENANT}/v2.0", None, f"https://{TENANT}.ciamlogin.com/{TENANT}/v2.0"),
        ("https://contoso.ciamlogin.com/contoso.onmicrosoft.com/v2.0", None, None),
        (f"https://id.example.org/{TENANT}/v2.0", "entra", None),
    ],
)
def test_microsofts_metadata_may_name_another_issuer(issuer: str, provider: str | None, template: str | None) -> None:
    """Of many tenants, of a policy, or by the tenant's number: at the same host, or for the same tenant."""
    habits = habits_of(issuer, provider)
    assert habits.issuer_template == template
    assert habits.redirect_uri == "http://localhost"
    assert habits.scope_on_refresh


def test_a_policy_of_b2c(issuer: DevIssuer, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata names the tenant by its number, and ID tokens do too."""
    named = put("issuer", f"{issuer.url}/{TENANT}/v2.0/")
    switch = Switch("b2c", "", {"metadata": named, "id_token_claims": put("iss", f"{issuer.url}/{TENANT}/v2.0/")})
    issuer.add_client("cli", redirect_uris=["http://localhost"], redirect_rule="any_port_localhost")
    monkeypatch.setattr("doorward.testing.dev_issuer.HABIT_SWITCHES", {**HABIT_SWITCHES, "b2c": switch})
    with issuer.adopt("b2c", "no_iss_parameter"):
        session = sign_in(issuer, clock=clock, provider="b2c")
        clock.ahead_s += 3650
        assert session.token("id")
        assert session.principal.issuer == f"{issuer.url}/{TENANT}/v2.0/"
        with pytest.raises(InvalidResponse, match="another issuer"):
            sign_in(issuer)


@pytest.mark.parametrize("host", WELL_KNOWN)
def test_the_table_holds_for_https_issuers(host: str) -> None:
    assert habits_of(f"https://{host}") is not STANDARD
