"""One sign-in, step by step: who is asked, what the provider's answers must prove, and what is saved."""

from __future__ import annotations

import dataclasses
import io
import os
import pty
import resource
import socket
import sys
import termios
import types
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from in_memory import InMemory, Paster, PausedClock, make_issuer, signing_in

from doorward import errors
from doorward.errors import (
    CallbackRejected,
    ConfigurationError,
    DoorwardError,
    SignInRequired,
    SignInTimeout,
    StoreError,
)
from doorward.http.exchange import run
from doorward.signin.prompt import TerminalPrompt
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from doorward.signin.session import Session
    from doorward.testing import DevIssuer
    from doorward.vault.entries import ProfileEntry


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
def vault(tmp_path: Path) -> Vault:
    return Vault(str(tmp_path / "vault"))


@pytest.fixture
def sign_in(issuer: DevIssuer, provider: InMemory, vault: Vault, clock: PausedClock) -> Callable[..., Session]:
    def do(**options: Any) -> Session:
        options = {"prompt": Paster(provider), "vault": vault, **options}
        return run(signing_in(issuer, **options).flow(), provider, clock)

    return do


def asked(issuer: DevIssuer) -> int:
    """How often a person came to the provider's page: what its own log says."""
    return issuer.count("authorize")


def test_what_is_proven_is_saved(
    sign_in: Callable[..., Session], vault: Vault, clock: PausedClock, issuer: DevIssuer
) -> None:
    session = sign_in()
    entry = vault.get("default")
    assert session.token() == entry.access_token.reveal()
    assert (entry.issuer, entry.client_id, entry.created_at) == (issuer.url, "cli", clock.at)
    assert (entry.claims["sub"], entry.claims["nonce"]) == ("alice", entry.nonce.reveal())
    assert asked(issuer) == 1


def test_state_nonce_and_verifier_are_new_each_time(sign_in: Callable[..., Session], provider: InMemory) -> None:
    prompts = [Paster(provider), Paster(provider)]
    for prompt in prompts:
        sign_in(prompt=prompt)
    one, two = (parse_qs(urlsplit(prompt.asked[0]).query) for prompt in prompts)
    assert {name for name in one if one[name] != two[name]} >= {"state", "nonce", "code_challenge"}


LIES: list[tuple[str, type[DoorwardError]]] = [
    ("id_token_wrong_issuer", errors.UnknownIssuer),
    ("id_token_wrong_audience", errors.WrongAudience),
    ("id_token_wrong_nonce", errors.WrongNonce),
    ("id_token_missing_nonce", errors.WrongNonce),
    ("id_token_wrong_at_hash", errors.WrongTokenHash),
    ("id_token_expired", errors.Expired),
    ("id_token_signed_with_another_key", errors.BadSignature),
    ("id_token_alg_none", errors.DoorwardError),
    ("id_token_missing", errors.InvalidResponse),
    ("callback_iss_missing", errors.CallbackRejected),
    ("callback_iss_wrong", errors.CallbackRejected),
    ("callback_iss_with_slash", errors.CallbackRejected),
    ("metadata_issuer_other_host", errors.InvalidResponse),
]


@pytest.mark.parametrize(("lie", "error"), LIES, ids=[lie for lie, _ in LIES])
def test_an_answer_that_proves_something_else_is_not_saved(
    sign_in: Callable[..., Session], vault: Vault, issuer: DevIssuer, lie: str, error: type[DoorwardError]
) -> None:
    with issuer.misbehave(lie), pytest.raises(error):
        sign_in()
    assert vault.get("default") is None


@pytest.mark.parametrize("lie", ["id_token_missing_auth_time", "id_token_old_auth_time"])
def test_a_sign_in_that_is_older_than_was_asked_is_refused(
    sign_in: Callable[..., Session], issuer: DevIssuer, lie: str
) -> None:
    with issuer.misbehave(lie), pytest.raises((errors.WrongAuthTime, errors.MissingClaim)):
        sign_in(max_age_s=60)


def test_a_code_on_a_device_goes_without_a_nonce_and_is_proven_all_the_same(
    sign_in: Callable[..., Session], issuer: DevIssuer, vault: Vault
) -> None:
    assert sign_in(mode="device").token()
    assert vault.get("default").nonce is None
    vault.forget("default")
    with issuer.misbehave("id_token_wrong_audience"), pytest.raises(errors.WrongAudience):
        sign_in(mode="device")
    assert vault.get("default") is None


class TestMixUp:
    """RFC 9207: the answer of one provider must not be taken to another. ``iss`` says whose it is."""

    def callback(self, iss: str | None) -> Callable[[str], str]:
        def spoil(address: str) -> str:
            kept = [part for part in urlsplit(address).query.split("&") if not part.startswith("iss=")]
            return "?" + "&".join([*kept, *([] if iss is None else [f"iss={iss}"])])

        return spoil

    def test_the_code_of_another_provider_is_not_redeemed(
        self, sign_in: Callable[..., Session], provider: InMemory, issuer: DevIssuer
    ) -> None:
        with pytest.raises(CallbackRejected) as rejected:
            sign_in(prompt=Paster(provider, self.callback("https://evil.example")))
        assert rejected.value.reason == "iss_mismatch"
        assert "token" not in provider.purposes(), "the code went nowhere"

    def test_nor_one_that_does_not_say_whose_it_is_though_its_provider_always_does(
        self, sign_in: Callable[..., Session], provider: InMemory
    ) -> None:
        with pytest.raises(CallbackRejected) as rejected:
            sign_in(prompt=Paster(provider, self.callback(None)))
        assert rejected.value.reason == "iss_missing"
        assert "token" not in provider.purposes()

    def test_of_a_provider_that_does_not_announce_it_one_that_is_there_is_held_all_the_same(
        self, sign_in: Callable[..., Session], provider: InMemory, issuer: DevIssuer
    ) -> None:
        issuer.adopt("no_iss_parameter")
        with pytest.raises(CallbackRejected):
            sign_in(prompt=Paster(provider, self.callback("https://evil.example")))
        assert sign_in().token()

    def test_an_error_of_another_provider_is_not_believed(
        self, sign_in: Callable[..., Session], provider: InMemory, issuer: DevIssuer
    ) -> None:
        issuer.deny()
        with pytest.raises(CallbackRejected):
            sign_in(prompt=Paster(provider, self.callback("https://evil.example")))


class TestWhoeverWaits:
    """Somebody else is asking for the same profile: their answer counts for us too, if it is one to our question."""

    @pytest.fixture
    def answered(self, sign_in: Callable[..., Session], vault: Vault, issuer: DevIssuer) -> ProfileEntry:
        """What the other sign-in saves."""
        sign_in()
        entry = vault.get("default")
        assert entry is not None
        vault.forget("default")
        return entry

    @pytest.mark.parametrize(
        ("differs", "ours", "times"),
        [
            ({}, {}, 0),
            ({"created_at": 1_800_000_000.0}, {}, 0),
            ({"created_at": 1_799_999_999.0}, {}, 1),
            ({"ended_at": 1_800_000_001.0}, {}, 1),
            ({"issuer": "https://other.example"}, {}, 1),
            ({"client_id": "other"}, {}, 1),
            ({"audience": "https://api.example.org"}, {}, 1),
            ({"resource": "https://api.example.org"}, {}, 1),
            ({"scopes": ("openid",)}, {}, 1),
            ({"scopes": ("openid", "offline_access", "more")}, {}, 0),
            ({}, {"max_age_s": 60}, 1),
        ],
    )
    def test_only_a_fitting_answer_made_during_the_wait_spares_the_question(
        self,
        answered: ProfileEntry,
        sign_in: Callable[..., Session],
        vault: Vault,
        issuer: DevIssuer,
        provider: InMemory,
        differs: dict[str, Any],
        ours: dict[str, Any],
        times: int,
    ) -> None:
        before = asked(issuer)
        others = dataclasses.replace(answered, created_at=1_800_000_001.0)
        lock = vault.lock("default", purpose="sign_in")
        assert lock.try_acquire()

        class Waiting(PausedClock):
            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                if lock.held:  # the other one ends
                    vault.put(dataclasses.replace(others, **differs))
                    lock.release()

        clock = Waiting()
        prompt = Paster(provider)
        run(signing_in(issuer, vault=vault, prompt=prompt, clock=clock, **ours).flow(), provider, clock)
        assert asked(issuer) - before == len(prompt.asked) == times
        assert vault.get("default").claims["sub"] == "alice"

    def test_where_the_other_one_gave_up_the_person_is_asked(
        self, answered: ProfileEntry, vault: Vault, issuer: DevIssuer, provider: InMemory
    ) -> None:
        vault.put(answered)  # signed in long ago
        before = asked(issuer)
        lock = vault.lock("default", purpose="sign_in")
        assert lock.try_acquire()

        class Waiting(PausedClock):
            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                lock.release()

        clock = Waiting(answered.created_at + 60)
        run(signing_in(issuer, vault=vault, prompt=Paster(provider), clock=clock).flow(), provider, clock)
        assert asked(issuer) - before == 1

    def test_nobody_waits_for_ever(
        self, vault: Vault, issuer: DevIssuer, provider: InMemory, clock: PausedClock
    ) -> None:
        with vault.lock("default", purpose="sign_in") as lock:
            assert lock.try_acquire()
            with pytest.raises(errors.LockTimeout):
                run(signing_in(issuer, vault=vault, prompt=Paster(provider)).flow(), provider, clock)
        assert provider.sent == []

    def test_nothing_is_saved_while_a_refresh_is_under_way(
        self, sign_in: Callable[..., Session], vault: Vault, issuer: DevIssuer, provider: InMemory
    ) -> None:
        lock = vault.lock("default")
        assert lock.try_acquire()

        class Waiting(PausedClock):
            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                if issuer.count("token"):
                    assert vault.get("default") is None
                    lock.release()

        clock = Waiting()
        run(signing_in(issuer, vault=vault, prompt=Paster(provider), clock=clock).flow(), provider, clock)
        assert not lock.held
        assert vault.get("default") is not None


class TestNobodyAnswers:
    def silent(self, provider: InMemory) -> Paster:
        return Paster(provider, lambda _: "")

    def test_a_program_that_keeps_asking_is_held_back_and_a_person_is_not(
        self, sign_in: Callable[..., Session], provider: InMemory, clock: PausedClock
    ) -> None:
        with pytest.raises(SignInTimeout):
            sign_in(prompt=self.silent(provider), timeout_s=10)
        for _ in range(2):
            with pytest.raises(SignInRequired) as held_back:
                sign_in()
            assert held_back.value.reason == "cooling_down"
        assert sign_in(cool_down=False).token()
        assert sign_in().token(), "an answer ends the quiet"

    def test_a_denial_is_an_answer_and_holds_nobody_back(
        self, sign_in: Callable[..., Session], issuer: DevIssuer
    ) -> None:
        issuer.deny()
        for _ in range(2):
            with pytest.raises(errors.SignInCancelled):
                sign_in()

    def test_a_flood_of_callbacks_does_not_flood_the_terminal(
        self, sign_in: Callable[..., Session], provider: InMemory
    ) -> None:
        prompt = Paster(provider, lambda _: "code=a&state=b")
        prompt._lines = ["code=a&state=b"] * 100  # noqa: SLF001 - our own stand-in
        with pytest.raises(SignInTimeout):
            sign_in(prompt=prompt, timeout_s=30)
        assert prompt.told == ["open_yourself", *["paste_refused"] * 8]


def test_a_disk_without_room_is_noticed_before_anything_is_asked(
    sign_in: Callable[..., Session], provider: InMemory
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32_768, limits[1]))
    try:
        with pytest.raises(StoreError):
            sign_in()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert provider.sent == []


def test_a_registered_port_that_another_program_holds_is_told_at_once(
    sign_in: Callable[..., Session], clock: PausedClock
) -> None:
    began_at = clock.at
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigurationError) as refused:
        sign_in(ports=[other.getsockname()[1]])
    assert refused.value.reason == "no_free_port"
    assert clock.at == began_at


@pytest.mark.parametrize(
    ("word", "error"), [("unauthorized_client", SignInTimeout), ("invalid_scope", errors.OAuthError)]
)
def test_only_where_the_device_flow_is_not_this_client_s_the_browser_takes_its_place(
    sign_in: Callable[..., Session],
    issuer: DevIssuer,
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    error: type[DoorwardError],
) -> None:
    """At a notebook on a server, where a code is the better way. Nobody sits there, so the browser's way times out."""

    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setenv("JUPYTERHUB_USER", "ana")
    monkeypatch.setattr("builtins.input", nobody)
    issuer.fail("device_authorization", status=400, body=f'{{"error": "{word}"}}'.encode())
    with pytest.raises(error):
        sign_in(prompt=TerminalPrompt(io.StringIO()), timeout_s=5)


def test_the_terminal_is_given_back_as_it_was(sign_in: Callable[..., Session], monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "wb", 0), os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        before = termios.tcgetattr(stdin)
        with pytest.raises(SignInTimeout):
            sign_in(prompt=TerminalPrompt(io.StringIO()), timeout_s=5)
        assert termios.tcgetattr(stdin) == before
