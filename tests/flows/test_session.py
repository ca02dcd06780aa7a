"""A session gives tokens that are good for a while, and renews them when they are not (S12, S16)."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

import doorward
from doorward.errors import (
    ConfigurationError,
    CorruptEntry,
    SignInRequired,
    StoreError,
    SubjectChanged,
    UnavailableError,
    WrongNonce,
)
from doorward.http.client import HttpClient
from doorward.http.exchange import run
from doorward.signin.refresh import refresh
from doorward.signin.registration import Registration
from doorward.system import SystemEntropy
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from people import MovedClock

    from doorward.model import HttpRequest, HttpResponse, TokenKind
    from doorward.testing import DevIssuer

    Ask = Callable[..., str]


def refreshes(issuer: DevIssuer) -> int:
    return issuer.count("token", grant_type="refresh_token")


class TestFreshness:
    def test_a_fresh_token_needs_no_network(self, session: doorward.Session, issuer: DevIssuer, token_of: Ask) -> None:
        issuer.stop()
        assert token_of(session)
        assert token_of(session, "id")

    @pytest.mark.parametrize(
        ("lifetime_s", "fresh_until_s"),
        [(3600, 3300), (1200, 900), (600, 300), (300, 150), (120, 60), (20, 10)],
    )
    def test_it_is_renewed_five_minutes_before_its_end_or_at_half_of_a_short_life(
        self,
        issuer: DevIssuer,
        clock: MovedClock,
        token_of: Ask,
        person: Path,
        lifetime_s: int,
        fresh_until_s: int,
    ) -> None:
        issuer.change(access_token_lifetime_s=lifetime_s)
        session = doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, clock=clock)
        first = token_of(session)
        clock.ahead_s += fresh_until_s - 5
        assert token_of(session) == first
        clock.ahead_s += 10
        second = token_of(session)
        assert second != first
        assert [token_of(session) for _ in range(3)] == [second] * 3
        assert refreshes(issuer) == 1

    def test_a_life_of_seconds_is_no_reason_to_sign_in_again(
        self, issuer: DevIssuer, clock: MovedClock, token_of: Ask, person: Path
    ) -> None:
        issuer.change(access_token_lifetime_s=2)
        session = doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, clock=clock)
        clock.ahead_s += 5
        assert token_of(session)
        assert refreshes(issuer) == 1

    @pytest.mark.parametrize(
        ("habits", "later_s", "refreshed"),
        [
            (("expires_in_missing",), 3000, 0),
            (("expires_in_missing",), 3301, 1),  # Salesforce: an hour, and nobody says so
            (("expires_in_missing", "refresh_token_never"), 86_400 * 365, 0),  # GitHub: it never ends
        ],
        ids=["within the hour", "after it", "cannot be renewed"],
    )
    def test_a_token_whose_end_is_not_told_counts_as_one_of_an_hour_where_another_can_be_had(
        self,
        issuer: DevIssuer,
        clock: MovedClock,
        token_of: Ask,
        person: Path,
        habits: tuple[str, ...],
        later_s: float,
        refreshed: int,
    ) -> None:
        with issuer.adopt(*habits):
            session = doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, clock=clock)
            first = token_of(session)
            clock.ahead_s += later_s
            assert (token_of(session) != first, refreshes(issuer)) == (refreshed > 0, refreshed)

    def test_a_token_whose_end_is_not_told_serves_on_in_an_outage(
        self, issuer: DevIssuer, clock: MovedClock, token_of: Ask, person: Path
    ) -> None:
        with issuer.adopt("expires_in_missing"):
            session = doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, clock=clock)
        first = token_of(session)
        clock.ahead_s += 86_400
        issuer.stop()
        assert token_of(session) == first

    @pytest.mark.parametrize(("least_life_s", "refreshed"), [(60, 0), (3000, 0), (3400, 1)])
    def test_a_least_life_is_had_by_renewing(
        self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock, least_life_s: float, refreshed: int
    ) -> None:
        clock.ahead_s += 300
        session.token(least_life_s=least_life_s)
        assert refreshes(issuer) == refreshed
        assert session.expires_at - clock.now() >= least_life_s

    def test_a_least_life_that_the_provider_does_not_give_is_refused(self, session: doorward.Session) -> None:
        with pytest.raises(ConfigurationError, match="does not live for the 7200 s") as caught:
            session.token(least_life_s=7200)
        assert (caught.value.field, caught.value.reason) == ("least_life_s", "life_too_short")

    def test_a_least_life_is_not_less_in_an_outage(self, session: doorward.Session, issuer: DevIssuer) -> None:
        issuer.stop()
        assert session.token(least_life_s=3000)
        with pytest.raises(UnavailableError):
            session.token(least_life_s=7200)


class TestIdTokens:
    def test_a_refresh_renews_both(
        self, session: doorward.Session, clock: MovedClock, token_of: Ask, issuer: DevIssuer
    ) -> None:
        access, identity = token_of(session), token_of(session, "id")
        clock.ahead_s += 3500
        assert token_of(session, "id") != identity
        assert token_of(session) != access
        assert refreshes(issuer) == 1
        assert session.principal.subject == "alice"

    def test_a_provider_that_renews_no_id_token_is_not_asked_again_and_again(
        self, session: doorward.Session, clock: MovedClock, token_of: Ask, issuer: DevIssuer
    ) -> None:
        identity = token_of(session, "id")
        with issuer.adopt("refresh_without_id_token"):
            clock.ahead_s += 3400
            assert token_of(session, "id") == identity  # not fresh, but good for three minutes more
            assert refreshes(issuer) == 1
            assert token_of(session, "id") == identity
            assert refreshes(issuer) == 1
            clock.ahead_s += 300
            with pytest.raises(SignInRequired) as required:
                token_of(session, "id")
            assert required.value.reason == "id_token_not_renewable"
            assert token_of(session)
            assert session.principal.subject == "alice"

    def test_an_id_token_of_two_minutes_is_renewed_without_end(
        self, issuer: DevIssuer, clock: MovedClock, token_of: Ask, person: Path
    ) -> None:
        with issuer.adopt("id_token_two_minutes"):
            session = doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, clock=clock)
            first = token_of(session, "id")
            assert [token_of(session, "id") for _ in range(3)] == [first] * 3
            clock.ahead_s += 70
            assert token_of(session, "id") != first
            assert refreshes(issuer) == 1

    def test_a_repeated_nonce_is_accepted_and_a_changed_one_is_not(
        self, session: doorward.Session, clock: MovedClock, token_of: Ask, issuer: DevIssuer
    ) -> None:
        with issuer.adopt("refresh_repeats_nonce"):
            clock.ahead_s += 3500
            assert token_of(session, "id")
        with issuer.misbehave("id_token_refresh_changed_nonce"):
            clock.ahead_s += 3500
            with pytest.raises(WrongNonce):
                token_of(session, "id")

    def test_a_refresh_for_somebody_else_is_refused_and_the_session_goes_on(
        self, session: doorward.Session, clock: MovedClock, token_of: Ask, issuer: DevIssuer
    ) -> None:
        first = token_of(session)
        clock.ahead_s += 3500
        with issuer.misbehave("id_token_refresh_changed_subject"), pytest.raises(SubjectChanged):
            token_of(session)
        assert session.principal.subject == "alice"
        assert token_of(session) == first  # good for 100 s more, and the provider is left alone for a while
        assert refreshes(issuer) == 1
        clock.ahead_s += 5
        assert token_of(session) != first
        assert session.principal.subject == "alice"


class TestRefreshTokens:
    @pytest.mark.parametrize("rotation", ["rotate", "old_stays_valid", "same"])
    def test_every_rotation_habit(
        self, session: doorward.Session, clock: MovedClock, token_of: Ask, issuer: DevIssuer, rotation: str
    ) -> None:
        issuer.change(rotation=rotation)
        seen = {token_of(session)}
        for _ in range(3):
            clock.ahead_s += 3500
            seen.add(token_of(session))
        assert len(seen) == 4

    def test_keys_rotated_between_sign_in_and_refresh(
        self, session: doorward.Session, clock: MovedClock, token_of: Ask, issuer: DevIssuer
    ) -> None:
        issuer.rotate_keys(keep_old=False)
        clock.ahead_s += 3500
        assert token_of(session, "id")

    def test_a_new_one_is_kept_though_the_refresh_is_stopped_while_it_fetches_keys(
        self, session: doorward.Session, clock: MovedClock, issuer: DevIssuer
    ) -> None:
        class Stopping(HttpClient):
            redeemed = False

            def send(self, request: HttpRequest) -> HttpResponse:
                if self.redeemed:
                    raise KeyboardInterrupt
                if request.method == "POST":
                    issuer.rotate_keys(keep_old=False)
                    self.redeemed = True
                return super().send(request)

        vault = Vault()
        before = vault.get("default")
        clock.ahead_s += 3500
        registration = Registration(issuer.url, "cli", scopes=before.scopes, insecure_loopback_http=True)
        flow = refresh(before, registration, vault=vault, clock=clock, entropy=SystemEntropy())
        with pytest.raises(KeyboardInterrupt):
            run(flow, Stopping(insecure_loopback_http=True), clock)
        after = vault.get("default")
        assert after.refresh_token != before.refresh_token
        assert after.access_token == before.access_token
        assert session.token() != before.access_token.reveal()

    def test_a_session_without_one_serves_its_token_to_the_end_and_then_says_what_to_do(
        self, issuer: DevIssuer, clock: MovedClock, token_of: Ask, person: Path
    ) -> None:
        with issuer.adopt("refresh_token_never"):
            session = doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, clock=clock)
        first = token_of(session)
        clock.ahead_s += 3500
        assert token_of(session) == first
        clock.ahead_s += 100
        with pytest.raises(SignInRequired, match="offline_access") as required:
            token_of(session)
        assert required.value.reason == "no_refresh_token"


class TestRenew:
    def test_a_rejected_token_is_replaced_once_for_all(self, session: doorward.Session, issuer: DevIssuer) -> None:
        rejected = session.token()
        renewed = session.renew(rejected)
        assert renewed != rejected
        assert session.renew(rejected) == renewed
        assert asyncio.run(session.arenew(rejected)) == renewed
        assert refreshes(issuer) == 1


class TestAskedFor:
    @pytest.mark.parametrize("kind", ["access", "id"])
    def test_a_renewal_gives_another_than_the_vault_holds(
        self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock, kind: TokenKind
    ) -> None:
        first = session.token(kind)
        clock.ahead_s += 1
        assert session.renew(kind=kind) != first
        assert asyncio.run(session.arenew(kind=kind)) != first
        assert refreshes(issuer) >= 1

    def test_a_renewal_in_an_outage_gives_no_old_token(self, session: doorward.Session, issuer: DevIssuer) -> None:
        issuer.stop()
        with pytest.raises(UnavailableError):
            session.renew()
        assert session.token()  # what there is stays


def test_a_kind_of_token_that_is_none_gives_none(session: doorward.Session, token_of: Ask) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        token_of(session, "ID")
    assert wrong.value.field == "kind"


def test_scopes_that_were_not_granted_are_not_told(session: doorward.Session) -> None:
    vault = Vault()
    vault.put(dataclasses.replace(vault.get("default"), granted_scopes=()))
    assert session.principal.scopes == ()
    vault.put(dataclasses.replace(vault.get("default"), granted_scopes=None))
    assert session.principal.scopes == vault.get("default").scopes


class TestOpening:
    def test_nobody_there(self) -> None:
        with pytest.raises(SignInRequired, match="doorward login") as required:
            doorward.open_session("nobody")
        assert required.value.reason == "no_session"

    def test_a_corrupt_entry_is_reported_and_kept_aside(self, session: doorward.Session, doorward_home: Path) -> None:
        (file,) = doorward_home.rglob("profile-default.json")
        file.write_bytes(b'{"broken')
        with pytest.raises(CorruptEntry):
            doorward.open_session()
        assert [kept.read_bytes() for kept in file.parent.glob("*.corrupt-*")] == [b'{"broken']

    def test_a_confidential_client_gives_its_secret_again(
        self, issuer: DevIssuer, clock: MovedClock, person: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issuer.add_client("web", secret="the-secret-of-web")
        doorward.sign_in(issuer.url, "web", client_secret="the-secret-of-web", insecure_loopback_http=True, clock=clock)
        clock.ahead_s += 3700
        with pytest.raises(ConfigurationError) as missing:
            doorward.open_session(clock=clock).token()
        assert missing.value.field == "client_secret"
        monkeypatch.setenv("DOORWARD_CLIENT_SECRET", "the-secret-of-web")
        assert doorward.open_session(clock=clock).token()

    def test_profiles_stand_side_by_side(self, issuer: DevIssuer, person: Path) -> None:
        doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, profile="one")
        issuer.sign_in_as("bob")
        doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, profile="two")
        assert doorward.open_session("one").principal.subject == "alice"
        assert doorward.open_session("two").principal.subject == "bob"
        assert Vault().names() == ["one", "two"]


UNSUPPORTED = b'{"error": "unsupported_token_type"}'
REFUSED = b'{"error": "unauthorized_client", "error_description": "not for you"}'


def userinfo_status(issuer: DevIssuer, token: str) -> int:
    request = urllib.request.Request(issuer.endpoint("userinfo"), headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


@pytest.mark.parametrize("driver", ["sync", "async"])
class TestSigningOut:
    def sign_out(self, session: doorward.Session, driver: str) -> object:
        return session.sign_out() if driver == "sync" else asyncio.run(session.asign_out())

    def test_the_refresh_token_is_revoked_and_the_entry_is_gone(
        self, session: doorward.Session, issuer: DevIssuer, doorward_home: Path, driver: str
    ) -> None:
        result = self.sign_out(session, driver)
        assert result.revoked
        assert result.problem is None
        assert result.logout_url.startswith(issuer.endpoint("end_session") + "?client_id=cli")
        assert result.access_token_revoked
        assert issuer.count("revoke") == 2
        assert [file for file in doorward_home.rglob("*") if file.is_file()] == []
        with pytest.raises(SignInRequired):
            session.token()

    def test_a_provider_without_either_is_said_so(
        self, session: doorward.Session, issuer: DevIssuer, driver: str
    ) -> None:
        with issuer.adopt("no_revocation", "no_end_session"):
            result = self.sign_out(session, driver)
        assert (result.revoked, result.problem, result.logout_url) == (False, None, None)
        assert Vault().get("default") is None

    def test_an_outage_removes_the_entry_all_the_same_and_says_what_remains(
        self, session: doorward.Session, issuer: DevIssuer, driver: str
    ) -> None:
        issuer.stop()
        result = self.sign_out(session, driver)
        assert not result.revoked
        assert "127.0.0.1" in result.problem
        assert Vault().get("default") is None

    def test_without_a_refresh_token_the_access_token_is_revoked(
        self, session: doorward.Session, issuer: DevIssuer, driver: str
    ) -> None:
        vault = Vault()
        vault.put(dataclasses.replace(vault.get("default"), refresh_token=None))
        token = session.token()
        result = self.sign_out(session, driver)
        assert (result.revoked, result.access_token_revoked, result.problem) == (True, True, None)
        assert userinfo_status(issuer, token) == 401

    def test_a_dead_access_token_is_not_asked_about(
        self, session: doorward.Session, clock: MovedClock, issuer: DevIssuer, driver: str
    ) -> None:
        clock.ahead_s += 3601
        result = self.sign_out(session, driver)
        assert (result.revoked, result.access_token_revoked) == (True, False)
        assert issuer.count("revoke") == 1

    @pytest.mark.parametrize(
        ("answers", "revoked", "access_token_revoked", "problem"),
        [
            ([UNSUPPORTED, None], False, True, None),
            ([REFUSED, None], False, True, "not for you"),
            ([None, UNSUPPORTED], True, False, None),
            ([None, REFUSED], True, False, None),
            ([None, None], True, True, None),
        ],
        ids=["no refresh tokens", "refused", "no access tokens", "access token refused", "both"],
    )
    def test_what_the_provider_does_not_revoke_is_told(
        self,
        session: doorward.Session,
        issuer: DevIssuer,
        driver: str,
        answers: list[bytes | None],
        revoked: Any,
        access_token_revoked: Any,
        problem: str | None,
    ) -> None:
        for number, body in enumerate(answers):
            if body is not None:
                if number:
                    issuer.fail("revoke", "delay", done=True)
                issuer.fail("revoke", status=400, body=body)
        result = self.sign_out(session, driver)
        assert (result.revoked, result.access_token_revoked) == (revoked, access_token_revoked)
        assert (result.problem is None) if problem is None else (problem in result.problem)
        assert Vault().get("default") is None
        assert issuer.count("revoke") == 2

    @pytest.mark.parametrize("kind", ["status", "reset"])
    def test_whoever_can_not_answer_is_asked_once(
        self, session: doorward.Session, issuer: DevIssuer, driver: str, kind: str
    ) -> None:
        issuer.fail("revoke", kind, times=None)
        result = self.sign_out(session, driver)
        assert not result.revoked
        assert result.problem
        assert issuer.count("revoke") == 1
        assert Vault().get("default") is None

    def test_a_file_system_that_refuses_leaves_no_lock(
        self, session: doorward.Session, clock: MovedClock, driver: str
    ) -> None:
        class Stubborn(Vault):
            def forget(self, profile: str) -> bool:
                raise StoreError("The file system refused.")

        stubborn = Stubborn()
        with pytest.raises(StoreError):
            self.sign_out(doorward.open_session(vault=stubborn, clock=clock), driver)
        with stubborn.lock("default") as lock:
            assert lock.try_acquire()

    def test_a_lock_that_is_not_to_be_had_is_told(
        self, session: doorward.Session, driver: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("doorward.signin.session.LOCK_TIMEOUT_S", 0.1)
        with Vault().lock("default") as lock:
            assert lock.try_acquire()
            result = self.sign_out(session, driver)
        assert not result.revoked
        assert "has held" in result.problem
        assert Vault().get("default") is None

    def test_nobody_to_sign_out(self, driver: str) -> None:
        with pytest.raises(SignInRequired):
            self.sign_out(doorward.Session("nobody"), driver)


def test_the_expiry_is_told(session: doorward.Session) -> None:
    assert session.expires_at == pytest.approx(time.time() + 3600, abs=30)
    assert repr(session) == "Session('default')"
