"""S14: whatever goes wrong on the way to the provider, the refresh token stays, and the error says what happened."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from races import expire

import doorward
from doorward.errors import (
    DoorwardError,
    InvalidResponse,
    OAuthError,
    ProviderUnavailable,
    SignInRequired,
    StoreError,
    TransportError,
)
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from people import MovedClock

    from doorward.testing import DevIssuer

    Ask = Callable[..., str]
    Break = Callable[[DevIssuer, pytest.MonkeyPatch], None]


def failing(endpoint: str, kind: str = "status", **how: object) -> Break:
    return lambda issuer, _: issuer.fail(endpoint, kind, **how)


def oauth_error(name: str, status: int = 400) -> Break:
    body = f'{{"error": "{name}", "error_description": "as the test wants it"}}'.encode()
    return failing("token", status=status, body=body)


def another_word(endpoint: str) -> Break:
    """What would end the session, if it came from the token endpoint."""
    return failing(endpoint, status=400, body=b'{"error": "invalid_grant"}')


def moved(address: str) -> Break:
    """The issuer's entry in the vault leads elsewhere, as its name in the DNS could."""

    def move(issuer: DevIssuer, _: pytest.MonkeyPatch) -> None:
        vault = Vault()
        address_here = address.replace("{port}", issuer.url.rpartition(":")[2])
        vault.put(dataclasses.replace(vault.get("default"), issuer=address_here))

    return move


def impatient(issuer: DevIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    for client in (HttpClient, AsyncHttpClient):
        monkeypatch.setattr(
            client.__init__, "__kwdefaults__", {**client.__init__.__kwdefaults__, "total_timeout_s": 1.0}
        )
    issuer.fail("token", "slow_body")


def stopped(issuer: DevIssuer, _: pytest.MonkeyPatch) -> None:
    issuer.stop()


MATRIX: dict[str, tuple[Break, type[DoorwardError], str, str]] = {
    "500": (failing("token", status=500), ProviderUnavailable, "server_failure", "500"),
    "502": (failing("token", status=502), ProviderUnavailable, "server_failure", "502"),
    "503": (failing("token", status=503), ProviderUnavailable, "server_failure", "503"),
    "429": (
        failing("token", status=429, headers={"Retry-After": "7"}),
        ProviderUnavailable,
        "too_many_requests",
        "7 s",
    ),
    "reset": (failing("token", "reset"), TransportError, "connection_reset", "try again"),
    "closed": (failing("token", "close"), TransportError, "connection_reset", "try again"),
    "garbage": (failing("token", "garbage"), TransportError, "protocol_error", "HTTP"),
    "truncated": (failing("token", "truncated"), TransportError, "truncated", "stops short"),
    "slow body": (impatient, TransportError, "timeout_total", "too long"),
    "refused": (stopped, TransportError, "connection_refused", "127.0.0.1"),
    "dns": (moved("https://issuer.invalid"), TransportError, "dns_failed", "issuer.invalid"),
    "tls": (moved("https://127.0.0.1:{port}"), TransportError, "tls_failed", "TLS"),
    "html": (failing("token", "html"), InvalidResponse, "not_json", "login page"),
    "html 404": (failing("token", "html", status=404), InvalidResponse, "unexpected_status", "404"),
    "half json": (
        failing("token", status=200, body=b'{"access_token": "x'),
        InvalidResponse,
        "invalid_json",
        "cut off",
    ),
    "redirect": (
        failing("token", status=302, headers={"Location": "/"}),
        InvalidResponse,
        "redirect",
        "none is followed",
    ),
    "invalid_client": (oauth_error("invalid_client", 401), OAuthError, "invalid_client", "client secret"),
    "invalid_request": (oauth_error("invalid_request"), OAuthError, "invalid_request", "registered"),
    "server_error": (oauth_error("server_error"), ProviderUnavailable, "server_error", "later"),
    "unknown error": (oauth_error("out_of_cheese"), SignInRequired, "refresh_refused", "out_of_cheese"),
    "twitch": (
        failing("token", status=400, body=b'{"error": "Bad Request", "message": "Invalid refresh token"}'),
        SignInRequired,
        "refresh_refused",
        "Invalid refresh token",
    ),
    "not a word": (failing("token", status=400, body=b""), SignInRequired, "refresh_refused", "sign in again"),
    "not a word, 401": (failing("token", status=401, body=b""), InvalidResponse, "unexpected_status", "client secret"),
    "discovery 503": (failing("discovery", status=503), ProviderUnavailable, "server_failure", "metadata"),
    "keys invalid_grant": (another_word("jwks"), OAuthError, "invalid_grant", "JWK"),
    "keys 503": (failing("jwks", status=503), ProviderUnavailable, "server_failure", "JWK"),
}


@pytest.mark.parametrize("case", MATRIX)
def test_an_outage_keeps_the_session(
    session: doorward.Session,
    issuer: DevIssuer,
    clock: MovedClock,
    token_of: Ask,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    break_it, error_class, reason, says = MATRIX[case]
    kept = Vault().get("default")
    clock.ahead_s += 3700
    break_it(issuer, monkeypatch)
    with pytest.raises(error_class) as caught:
        token_of(session)

    assert type(caught.value) is error_class
    assert caught.value.reason == reason
    assert says.lower() in caught.value.message.lower()
    entry = Vault().get("default")
    assert entry.refresh_token == kept.refresh_token
    assert entry.access_token == kept.access_token
    assert entry.id_token == kept.id_token
    assert entry.ended_at is None
    assert entry.failures == 1


def test_every_outage_reads_differently(
    session: doorward.Session, issuer: DevIssuer, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = {}
    for case in ("500", "502", "503", "429", "reset", "truncated", "html", "half json", "invalid_client", "redirect"):
        clock.ahead_s += 4000
        MATRIX[case][0](issuer, monkeypatch)
        with pytest.raises(DoorwardError) as caught:
            session.token()
        messages[case] = caught.value.message
    assert len(set(messages.values())) == len(messages)
    clock.ahead_s += 4000
    # The truncated answer was an answer: the provider has rotated the token, and what it sent is lost (see the docs).
    with pytest.raises(SignInRequired):
        session.token()


def test_the_session_goes_on_after_the_outage(
    session: doorward.Session, issuer: DevIssuer, clock: MovedClock, token_of: Ask
) -> None:
    clock.ahead_s += 3700
    issuer.fail("token", status=503)
    with pytest.raises(ProviderUnavailable):
        token_of(session)
    clock.ahead_s += 10
    assert token_of(session)
    assert Vault().get("default").failures == 0


def test_a_token_that_is_still_good_is_given_out_during_an_outage(
    session: doorward.Session, issuer: DevIssuer, clock: MovedClock, token_of: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    first = token_of(session)
    clock.ahead_s += 3400
    issuer.stop()
    assert token_of(session) == first
    assert "was not refreshed" in caplog.text
    assert first not in caplog.text


class TestBackingOff:
    def test_failures_in_a_row_are_spaced_for_all_processes(
        self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock
    ) -> None:
        clock.ahead_s += 3700
        issuer.fail("token", status=503, times=None)
        for failures, wait_s in enumerate((2, 4, 8, 16), start=1):
            with pytest.raises(ProviderUnavailable):
                session.token()
            with pytest.raises(ProviderUnavailable, match="session is kept") as waiting:
                doorward.open_session(clock=clock).token()
            assert waiting.value.reason == "backing_off"
            assert waiting.value.retry_after_s == pytest.approx(wait_s, abs=1)
            assert issuer.count("token", grant_type="refresh_token") == failures
            clock.ahead_s += wait_s + 1

    def test_retry_after_is_obeyed(self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock) -> None:
        clock.ahead_s += 3700
        issuer.fail("token", status=429, headers={"Retry-After": "120"})
        with pytest.raises(ProviderUnavailable) as limited:
            session.token()
        assert limited.value.retry_after_s == 120
        clock.ahead_s += 110
        with pytest.raises(ProviderUnavailable) as waiting:
            session.token()
        assert waiting.value.reason == "backing_off"
        clock.ahead_s += 15
        assert session.token()


class TestTheEnd:
    """Only the provider's word that this very refresh token is dead ends a session."""

    @pytest.mark.parametrize("habit", [None, "dead_refresh_token_invalid_request"])
    def test_a_dead_refresh_token_ends_it(
        self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock, token_of: Ask, habit: str | None
    ) -> None:
        if habit is not None:
            issuer.adopt(habit)
        issuer.revoke_everything("alice")
        clock.ahead_s += 3700
        for reason in ("session_ended", "session_ended"):
            with pytest.raises(SignInRequired, match="Sign in again") as ended:
                token_of(session)
            assert ended.value.reason == reason
        asked = 2 if habit is None else 1  # Dex's word is not the one that a GitLab of one's own would say
        assert issuer.count("token", grant_type="refresh_token") == asked
        entry = Vault().get("default")
        assert entry.refresh_token is None
        assert entry.ended_at is not None

    @pytest.mark.parametrize("habit", ["dead_refresh_token_server_error", "dead_refresh_token_interaction_required"])
    def test_another_word_does_not(
        self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock, token_of: Ask, habit: str
    ) -> None:
        kept = Vault().get("default").refresh_token
        issuer.adopt(habit)
        issuer.revoke_everything("alice")
        clock.ahead_s += 3700
        with pytest.raises(DoorwardError):
            token_of(session)
        assert Vault().get("default").refresh_token == kept

    def test_an_old_refresh_token_is_never_asked_about(
        self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock
    ) -> None:
        """A session object that read the vault before another process refreshed uses the newer token."""
        clock.ahead_s += 3700
        doorward.open_session(clock=clock).token()
        clock.ahead_s += 3700
        assert session.token()
        assert asyncio.run(session.atoken("id"))
        assert issuer.count("token", grant_type="refresh_token") == 2


def wait_for_refresh(issuer: DevIssuer) -> None:
    """Return once the provider has the refresh token in its hands."""
    deadline = time.monotonic() + 30
    while not issuer.count("token", grant_type="refresh_token"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestCarriedThrough:
    """A refresh token that rotates is used up once it is sent: whoever stops waiting must not lose the new one."""

    def test_a_cancelled_task(self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock) -> None:
        clock.ahead_s += 3700
        issuer.fail("token", "delay", delay_s=1)

        async def impatient_caller() -> str:
            asking = asyncio.create_task(session.atoken())
            await asyncio.to_thread(wait_for_refresh, issuer)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            return await session.atoken()

        assert asyncio.run(impatient_caller())
        assert issuer.count("token", grant_type="refresh_token") == 1
        clock.ahead_s += 3700
        assert session.token()

    def test_ctrl_c(self, session: doorward.Session, issuer: DevIssuer) -> None:
        expire()
        issuer.fail("token", "delay", delay_s=2)
        program = (
            "import doorward\n"
            "print('asking', flush=True)\n"
            "try:\n"
            "    doorward.open_session().token()\n"
            "except KeyboardInterrupt:\n"
            "    print('stopped', flush=True)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "asking\n"
        wait_for_refresh(issuer)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "stopped\n"
        assert issuer.count("token", grant_type="refresh_token") == 1
        assert doorward.open_session().token()
        assert issuer.count("token", grant_type="refresh_token") == 1

    @pytest.mark.parametrize(
        "lie", ["token_type_mac", "token_expires_in_negative", "token_expires_in_words", "id_token_number"]
    )
    def test_an_answer_of_no_other_use(
        self, session: doorward.Session, issuer: DevIssuer, clock: MovedClock, token_of: Ask, lie: str
    ) -> None:
        clock.ahead_s += 3700
        with issuer.misbehave(lie), pytest.raises(InvalidResponse):
            token_of(session)
        assert Vault().get("default").failures == 1
        clock.ahead_s += 10
        assert token_of(session)


def test_the_death_of_an_old_refresh_token_is_not_that_of_the_one_in_the_vault(
    session: doorward.Session, issuer: DevIssuer, clock: MovedClock
) -> None:
    """Whoever put a newer one there without the lock, such as a restored backup or a copied file, is right."""
    vault = Vault()
    clock.ahead_s += 3700
    issuer.fail("token", delay_s=1.5, status=400, body=b'{"error": "invalid_grant"}')
    newer = doorward.Secret("newer-than-what-was-asked-about")
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(session.token)
        wait_for_refresh(issuer)
        vault.put(dataclasses.replace(vault.get("default"), refresh_token=newer))
        with pytest.raises(StoreError) as told:
            refreshing.result(30)
    assert told.value.reason == "refreshed_meanwhile"
    entry = vault.get("default")
    assert entry.refresh_token == newer
    assert entry.ended_at is None


def test_a_sign_out_is_not_undone_by_a_refresh_that_is_under_way(
    session: doorward.Session, issuer: DevIssuer, clock: MovedClock
) -> None:
    clock.ahead_s += 3700
    issuer.fail("token", "delay", delay_s=1.5)
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(session.token)
        wait_for_refresh(issuer)
        Vault().forget("default")  # as an interrupted logout does, without the lock
        with pytest.raises(SignInRequired) as ended:
            refreshing.result(30)
    assert ended.value.reason == "signed_out_meanwhile"
    assert Vault().get("default") is None
