"""Signing in against a real issuer on loopback, by both drivers."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import resource
import socket
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from people import MovedClock, Onlooker, asked_for, last_address, visit

import doorward
from doorward.errors import (
    ConfigurationError,
    LockTimeout,
    OAuthError,
    ProviderUnavailable,
    SignInCancelled,
    SignInRequired,
    SignInTimeout,
    StoreError,
    WrongAuthTime,
)
from doorward.protocol.jwk import generate_signing_key
from doorward.signin.prompt import TerminalPrompt
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.testing import DevIssuer

    SignIn = Callable[..., doorward.Session]


@pytest.mark.usefixtures("person")
class TestInTheBrowser:
    def test_a_person_signs_in_and_the_session_gives_tokens(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        session = sign_in(profile="work")

        assert session.token() != session.token("id")
        assert session.principal.subject == session.claims["sub"] == "alice"
        assert session.principal.issuer == issuer.url
        assert session.principal.email == "alice@example.org"
        assert session.principal.groups == ("eng",)
        assert session.expires_at == pytest.approx(time.time() + 3600, abs=30)
        assert doorward.open_session("work").token() == session.token()

    def test_the_request_has_pkce_state_and_nonce_and_they_differ_each_time(self, sign_in: SignIn) -> None:
        first, second = Onlooker(), Onlooker()
        sign_in(prompt=first)
        sign_in(prompt=second)

        one, two = asked_for(first), asked_for(second)
        assert one["code_challenge_method"] == "S256"
        assert one["response_type"] == "code"
        for name in ("state", "nonce", "code_challenge"):
            assert len(one[name]) >= 43
            assert one[name] != two[name]
        assert len({one["state"], one["nonce"], one["code_challenge"]}) == 3

    def test_default_scopes_that_the_provider_does_not_list_are_not_sent(
        self, sign_in: SignIn, issuer: DevIssuer
    ) -> None:
        prompt = Onlooker()
        with issuer.adopt("metadata_scopes_openid_only"):
            sign_in(prompt=prompt)
        assert asked_for(prompt)["scope"] == "openid"

    def test_scopes_that_the_person_asked_for_are_always_sent(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        prompt = Onlooker()
        with issuer.adopt("metadata_scopes_openid_only"):
            sign_in(prompt=prompt, scopes=["openid", "offline_access", "read:things"])
        assert asked_for(prompt)["scope"] == "openid offline_access read:things"

    def test_audience_and_resource_are_sent(self, sign_in: SignIn) -> None:
        prompt = Onlooker()
        sign_in(prompt=prompt, audience="https://api.example.org")
        assert asked_for(prompt)["audience"] == "https://api.example.org"
        prompt = Onlooker()
        sign_in(prompt=prompt, resource="https://api.example.org/v2")
        assert asked_for(prompt)["resource"] == "https://api.example.org/v2"

    @pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
    def test_a_confidential_client_proves_itself(
        self, sign_in: SignIn, issuer: DevIssuer, method: str, doorward_home: Path
    ) -> None:
        issuer.add_client("web", secret="s3cr&t +%/é", methods=[method])
        session = sign_in("web", client_secret="s3cr&t +%/é", secret_method=method)
        assert session.principal.subject == "alice"
        kept = b"".join(file.read_bytes() for file in doorward_home.rglob("*") if file.is_file())
        assert b"s3cr" not in kept
        assert Vault().get("default").client_authentication == method

    def test_a_client_with_a_key_proves_itself(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        key = generate_signing_key("ES256", kid="client-1")
        jwks = b'{"keys": [' + __import__("json").dumps(key.public_jwk()).encode() + b"]}"
        issuer.add_client("keyed", jwks=jwks)
        assert sign_in("keyed", client_key=key).principal.subject == "alice"

    def test_a_wrong_secret_is_named_and_not_shown(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.add_client("web", secret="right-secret")
        with pytest.raises(OAuthError, match="client secret") as refused:
            sign_in("web", client_secret="wrong-secret-value")
        assert refused.value.error == "invalid_client"
        assert "wrong-secret-value" not in str(refused.value)

    def test_a_denial_ends_it_with_an_answer(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.deny()
        with pytest.raises(SignInCancelled) as cancelled:
            sign_in()
        assert cancelled.value.reason == "access_denied"
        assert Vault().get("default") is None

    @pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "RS512", "ES384"])
    def test_id_tokens_in_every_algorithm(self, sign_in: SignIn, issuer: DevIssuer, algorithm: str) -> None:
        issuer.add_client("cli", id_token_signed_response_alg=algorithm)
        assert sign_in().principal.subject == "alice"

    def test_without_the_scope_openid_nobody_is_named(self, sign_in: SignIn) -> None:
        session = sign_in(scopes=["read"])
        assert session.token()
        with pytest.raises(SignInRequired) as unknown:
            _ = session.principal
        assert unknown.value.reason == "no_id_token"

    def test_max_age_is_asked_for(self, sign_in: SignIn) -> None:
        prompt = Onlooker()
        sign_in(prompt=prompt, max_age_s=600)
        assert asked_for(prompt)["max_age"] == "600"

    def test_the_provider_is_asked_what_the_person_wishes(
        self, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wishes = {
            "prompt": "select_account",
            "login_hint": "alice@example.org",
            "acr_values": "gold silver",
            "ui_locales": "de en",
        }
        sign_in(**wishes, parameters={"kc_idp_hint": "github"})
        start = re.search(r"http://\S+/authorize\?\S+", capsys.readouterr().err)
        sent = parse_qs(urlsplit(start[0]).query)
        assert {name: [value] for name, value in (wishes | {"kc_idp_hint": "github"}).items()}.items() <= sent.items()

    def test_the_words_for_the_provider_and_who_speaks_to_the_person_go_together(self, sign_in: SignIn) -> None:
        speaker = Onlooker()
        sign_in(prompt=speaker, parameters={"prompt": "login"})
        assert asked_for(speaker)["prompt"] == "login"

    def test_an_old_sign_in_is_refused_by_auth_time(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        with issuer.misbehave("id_token_old_auth_time"), pytest.raises(WrongAuthTime):
            sign_in(max_age_s=60)

    def test_a_silent_sign_in_that_would_have_to_ask(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.ask()
        with pytest.raises(SignInRequired) as required:
            sign_in(prompt="none")
        assert required.value.reason == "login_required"
        assert Vault().get("default") is None

    def test_the_first_free_port_of_a_list_is_taken(self, sign_in: SignIn) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
            free = other.getsockname()[1]
            other.close()
            prompt = Onlooker()
            sign_in(prompt=prompt, ports=[taken.getsockname()[1], free])
        assert urlsplit(asked_for(prompt)["redirect_uri"]).port == free

    def test_a_redirect_uri_on_localhost_without_a_path(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.add_client("entra-like", redirect_uris=["http://localhost"], redirect_rule="any_port_localhost")
        prompt = Onlooker()
        sign_in("entra-like", prompt=prompt, redirect_uri="http://localhost")
        assert asked_for(prompt)["redirect_uri"].count("/") == 2

    def test_two_at_once_ask_the_person_once(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        with ThreadPoolExecutor(4) as pool:
            sessions = list(pool.map(lambda _: sign_in(), range(4)))
        assert len({session.token() for session in sessions}) == 1
        assert (issuer.count("authorize"), issuer.count("token")) == (1, 1)

    def test_a_second_sign_in_later_asks_again(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        sign_in()
        issuer.sign_in_as("bob")
        assert sign_in().principal.subject == "bob"


class TestWithoutABrowser:
    """S11: the address is shown, and what the browser ends at can be pasted back."""

    def test_the_address_that_the_browser_ended_at_is_pasted_back(self, sign_in: SignIn) -> None:
        prompt = Onlooker(last_address)
        assert sign_in(prompt=prompt).principal.subject == "alice"
        ((what, text),) = prompt.told
        assert what == "open_yourself"
        assert text.endswith("/callback True")

    def test_a_forwarded_port_works_as_well(self, sign_in: SignIn) -> None:
        threads: list[threading.Thread] = []

        def forwarded(address: str) -> None:
            threads.append(threading.Thread(target=visit, args=(address,)))
            threads[0].start()

        assert sign_in(prompt=Onlooker(forwarded)).principal.subject == "alice"
        threads[0].join(60)

    @pytest.mark.parametrize(
        "change",
        [
            lambda ended: ended.replace("http://", "https://", 1),
            lambda ended: ended.removeprefix("http://"),
            lambda ended: ended.replace("127.0.0.1", "localhost", 1),
            lambda ended: ended.replace("127.0.0.1", "codespace-8080.preview.example", 1),
            lambda ended: ended.partition("?")[2],
            lambda ended: "?" + ended.partition("?")[2],
            lambda ended: f'"{ended}"',
            lambda ended: f"  <{ended}>\t",
            lambda ended: ended + "#_=_",
            lambda ended: ended.replace("&", "&amp;"),
            lambda ended: quote(ended, safe=""),
            lambda ended: ended[:60] + " \n  " + ended[60:],
        ],
    )
    def test_an_answer_is_taken_in_any_spelling(self, sign_in: SignIn, change: Callable[[str], str]) -> None:
        """Browsers hide the scheme, people copy a part, mail programs wrap: state says whose it is."""
        prompt = Onlooker(lambda address: change(last_address(address)))
        assert sign_in(prompt=prompt).principal.subject == "alice"
        assert [what for what, _ in prompt.told] == ["open_yourself"]

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda query: urlencode({**query, "state": "A" * 43}), "answers another sign-in"),
            (lambda query: urlencode({"state": query["state"]}), "holds no answer"),
            (lambda query: urlencode({"code": query["code"]}), "holds no answer"),
            (lambda query: query["code"], "holds no answer"),
        ],
    )
    def test_a_pasted_address_is_checked_like_any_other(
        self, sign_in: SignIn, change: Callable[[dict[str, str]], str], told: str
    ) -> None:
        def spoilt(address: str) -> str:
            ended = urlsplit(last_address(address))
            query = {name: values[0] for name, values in parse_qs(ended.query).items()}
            return ended._replace(query=change(query)).geturl()

        prompt = Onlooker(spoilt)
        with pytest.raises(SignInTimeout):
            sign_in(prompt=prompt, timeout_s=1)
        assert [what for what, _ in prompt.told] == ["open_yourself", "paste_refused"]
        assert told in prompt.told[1][1]

    def test_the_sign_in_address_itself_is_no_answer(self, sign_in: SignIn) -> None:
        prompt = Onlooker(lambda address: address)
        with pytest.raises(SignInTimeout):
            sign_in(prompt=prompt, timeout_s=1)
        assert [what for what, _ in prompt.told] == ["open_yourself", "paste_refused"]

    @pytest.mark.parametrize(
        "surroundings",
        [
            {"CODESPACES": "true"},
            {"VSCODE_IPC_HOOK_CLI": "/run/vscode.sock"},
            {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"},
        ],
    )
    def test_where_an_editor_opens_the_browser_elsewhere_both_ways_are_told_at_once(
        self, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, surroundings: dict[str, str]
    ) -> None:
        for name, value in {**surroundings, "BROWSER": "true"}.items():
            monkeypatch.setenv(name, value)
        prompt = Onlooker(last_address)
        assert sign_in(prompt=prompt).principal.subject == "alice"
        ((what, text),) = prompt.told
        assert what == "open_yourself"
        assert "editor" in text
        assert text.endswith("/callback True")

    @pytest.fixture
    def hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A notebook on a JupyterHub: no terminal, no browser, and a person who can answer input()."""
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
        monkeypatch.setenv("JUPYTERHUB_USER", "ana")

    def test_a_notebook_on_a_server_takes_the_device_flow_that_is_offered(
        self, sign_in: SignIn, issuer: DevIssuer, hub: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        issuer.ask()
        issuer.change(device_interval_s=1)

        def answer() -> None:
            while (found := re.search(r"code ([A-Z]{4}-[A-Z]{4})", capsys.readouterr().err)) is None:
                time.sleep(0.05)
            issuer.decide_device(found[1], user="bob")

        person = threading.Thread(target=answer)
        person.start()
        assert sign_in().principal.subject == "bob"
        person.join(60)

    @pytest.mark.parametrize("device", ["not offered", "not for this client"])
    def test_else_it_asks_by_input(
        self,
        sign_in: SignIn,
        issuer: DevIssuer,
        hub: None,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        device: str,
    ) -> None:
        if device == "not offered":
            issuer.adopt("no_device_flow")
        else:
            issuer.add_client("cli", grant_types=["authorization_code", "refresh_token"])

        def paste(_question: str) -> str:
            address = re.search(r"http://\S+/authorize\S+", capsys.readouterr().err)
            return last_address(address[0]) if address else ""

        monkeypatch.setattr("builtins.input", paste)
        assert sign_in().principal.subject == "alice"

    def test_a_notebook_that_nobody_sits_at_waits_to_its_end(
        self, sign_in: SignIn, hub: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def refuse(question: str) -> str:
            asked.append(question)
            raise NotImplementedError

        monkeypatch.setattr("builtins.input", refuse)
        with pytest.raises(SignInTimeout):
            sign_in(mode="browser", timeout_s=1)
        assert len(asked) == 1

    def test_a_cell_that_is_run_again_asks_again(self, sign_in: SignIn, hub: None) -> None:
        for _ in range(2):
            with pytest.raises(SignInTimeout):
                sign_in(prompt=Onlooker(), timeout_s=1)

    def test_a_pasted_address_of_another_issuer_ends_it(self, sign_in: SignIn) -> None:
        def mixed_up(address: str) -> str:
            ended = urlsplit(last_address(address))
            query = {name: values[0] for name, values in parse_qs(ended.query).items()}
            return ended._replace(query=urlencode({**query, "iss": "https://evil.example"})).geturl()

        with pytest.raises(doorward.errors.CallbackRejected) as rejected:
            sign_in(prompt=Onlooker(mixed_up))
        assert rejected.value.reason == "iss_mismatch"

    def test_where_nobody_is_nothing_is_asked(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        with pytest.raises(SignInRequired, match="doorward login") as required:
            sign_in(prompt=None, timeout_s=20)
        assert required.value.reason == "not_attended"
        assert "--device" in required.value.message, "DevIssuer offers a code"
        assert not any(request.endpoint == "authorize" for request in issuer.requests)

    def test_a_browser_that_fails_is_told_of(self, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BROWSER", "false")
        prompt = Onlooker(last_address)
        assert sign_in(prompt=prompt).principal.subject == "alice"
        assert [what for what, _ in prompt.told] == ["browser_opened", "open_yourself"]

    def test_how_the_command_ended_means_nothing_once_the_page_was_fetched(
        self, sign_in: SignIn, issuer: DevIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some launchers end with an error though the browser opened; the person types their password meanwhile."""
        launcher, pages = tmp_path / "launcher", tmp_path / "pages"
        launcher.write_text(f'#!/bin/sh\ncurl -s -D - -o /dev/null "$1" > {pages}\nexit 1\n')
        launcher.chmod(0o755)
        monkeypatch.setenv("BROWSER", str(launcher))
        prompt = Onlooker()

        def come_back() -> None:
            while not (pages.exists() and (found := re.search(r"(?m)^Location: (\S+)", pages.read_text()))):
                time.sleep(0.05)
            time.sleep(0.5)
            visit(found[1])

        person = threading.Thread(target=come_back)
        person.start()
        assert sign_in(prompt=prompt).principal.subject == "alice"
        person.join(60)
        assert [what for what, _ in prompt.told] == ["browser_opened"]

    def test_a_terminal_reads_the_pasted_line(self, issuer: DevIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
        controller, terminal = pty.openpty()
        with os.fdopen(terminal) as stdin, Path(os.devnull).open("w") as devnull:
            monkeypatch.setattr("sys.stdin", stdin)

            class Typing(TerminalPrompt):
                def open_yourself(self, address: str, **rest: Any) -> None:
                    super().open_yourself(address, **rest)
                    os.write(controller, last_address(address).encode() + b"\n")

            session = doorward.sign_in(
                issuer.url, "cli", insecure_loopback_http=True, timeout_s=20, prompt=Typing(devnull)
            )
        os.close(controller)
        assert session.principal.subject == "alice"


class TestForeignCallbacks:
    """S2: whatever else calls back, the real callback still wins."""

    FORGED = (
        "?code=forged&state=" + "A" * 43,
        "?error=access_denied",
        "?error=access_denied&state=" + "B" * 43,
        "?code=forged",
        "?code=a&state=x&state=y",
        "?code=a&state=" + "x" * 20_000,
    )

    def test_forged_callbacks_are_refused_and_the_sign_in_goes_on(self, sign_in: SignIn) -> None:
        statuses: list[int] = []
        threads: list[threading.Thread] = []

        def attacked(address: str) -> None:
            redirect_uri = parse_qs(urlsplit(address).query)["redirect_uri"][0]

            def attack() -> None:
                statuses.extend(visit(redirect_uri + query) for query in self.FORGED)
                statuses.append(visit(address))

            threads.append(threading.Thread(target=attack))
            threads[0].start()

        prompt = Onlooker(attacked)
        assert sign_in(prompt=prompt).principal.subject == "alice"
        threads[0].join(60)
        assert statuses == [400] * len(self.FORGED) + [200]
        assert [what for what, _ in prompt.told].count("callback_refused") == len(self.FORGED)

    @pytest.mark.parametrize(("ends", "status"), [("denied", 200), ("failed", 500)])
    def test_the_browser_is_told_how_it_ended_a_denial_as_was_asked(
        self, sign_in: SignIn, issuer: DevIssuer, ends: str, status: int
    ) -> None:
        if ends == "denied":
            issuer.deny()
        else:
            issuer.fail("token", status=400, body=b'{"error": "invalid_client"}')
        statuses: list[int] = []
        browsers: list[threading.Thread] = []

        def in_a_browser(address: str) -> None:
            browsers.append(threading.Thread(target=lambda: statuses.append(visit(address))))
            browsers[0].start()

        with pytest.raises((SignInCancelled, OAuthError)):
            sign_in(prompt=Onlooker(in_a_browser))
        browsers[0].join(60)
        assert statuses == [status]

    @pytest.fixture
    def twice(self, tmp_path: Path, browser_script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A browser that follows the start link twice, as one does that moves the tab into a container."""
        twice = tmp_path / "twice"
        twice.write_text(f'#!/bin/sh\ncurl -s -o /dev/null "$1"\nexec {browser_script} "$1"\n')
        twice.chmod(0o755)
        monkeypatch.setenv("BROWSER", str(twice))

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
    def test_a_start_link_used_twice_by_its_own_user_is_nothing(self, sign_in: SignIn, twice: None) -> None:
        assert sign_in(prompt=Onlooker()).principal.subject == "alice"

    def test_where_nobody_tells_whose_a_start_link_used_twice_ends_the_sign_in(
        self, sign_in: SignIn, twice: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("doorward.signin.loopback.sockets._WAYS", ())
        with pytest.raises(doorward.errors.CallbackRejected) as rejected:
            sign_in(prompt=Onlooker())
        assert rejected.value.reason == "start_link_reused"
        assert Vault().get("default") is None


class TestAnotherSignInOfTheProfile:
    def test_who_waits_for_it_says_so(self, sign_in: SignIn, capsys: pytest.CaptureFixture[str]) -> None:
        with Vault().lock("work", purpose="sign_in") as lock:
            assert lock.try_acquire()
            with pytest.raises(LockTimeout):
                sign_in(profile="work", timeout_s=1)
        said = " ".join(capsys.readouterr().err.split())
        assert "Another program is signing in as profile 'work' now. Finish that sign-in" in said

    def test_a_prompt_that_has_no_word_for_it_waits_in_silence(self, sign_in: SignIn) -> None:
        prompt = Onlooker()
        with Vault().lock("default", purpose="sign_in") as lock:
            assert lock.try_acquire()
            with pytest.raises(LockTimeout):
                sign_in(timeout_s=1, prompt=prompt)
        assert prompt.told == []


class TestOneRegisteredPort:
    @pytest.fixture
    def port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            return free.getsockname()[1]

    def test_two_profiles_wait_for_each_other(self, issuer: DevIssuer, port: int) -> None:
        """Each is asked in turn: nobody can type two passwords at once."""
        options = {"insecure_loopback_http": True, "timeout_s": 120, "ports": [port]}
        asked: list[str] = []

        def sign_in(profile: str) -> doorward.Session:
            def answer(address: str) -> str:
                asked.append(profile)
                time.sleep(1)
                return last_address(address)

            return doorward.sign_in(issuer.url, "cli", profile=profile, prompt=Onlooker(answer), **options)

        with ThreadPoolExecutor(3) as pool:
            sessions = [*pool.map(sign_in, ["one", "two", "three"])]
        assert [each.principal.subject for each in sessions] == ["alice"] * 3
        assert sorted(asked) == ["one", "three", "two"]
        assert issuer.count("authorize") == 3

    def test_nobody_waits_for_another_program(self, sign_in: SignIn, port: int) -> None:
        with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigurationError) as refused:
            sign_in(prompt=Onlooker(), ports=[port])
        assert refused.value.reason == "no_free_port"

    def test_nor_for_a_sign_in_that_was_killed(self, sign_in: SignIn, port: int) -> None:
        vault = Vault()
        with vault.lock("other", "sign_in") as lock:
            assert lock.try_acquire()
            killed = Path(vault.folder, "profile-other.sign_in.lock")
            kept = killed.with_name("kept")
            os.link(killed, kept)
        kept.rename(killed)
        with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigurationError):
            sign_in(prompt=Onlooker(), ports=[port])


class TestAVaultThatCanNotBeWritten:
    @pytest.mark.parametrize("mode", ["browser", "device"])
    def test_a_full_disk_is_noticed_before_anybody_is_asked(
        self, sign_in: SignIn, issuer: DevIssuer, mode: str, doorward_home: Path
    ) -> None:
        prompt = Onlooker(last_address)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (32_768, limits[1]))  # what a session and its keys may well need
        try:
            with pytest.raises(StoreError):
                sign_in(prompt=prompt, mode=mode)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert prompt.told == []
        assert issuer.requests == ()
        assert [path for path in doorward_home.rglob("*") if path.is_file()] == []


class TestNobodyAnswers:
    def test_the_wait_has_an_end(self, sign_in: SignIn) -> None:
        with pytest.raises(SignInTimeout, match="redirect URI"):
            sign_in(prompt=Onlooker(), timeout_s=1)

    def test_a_program_that_keeps_asking_is_held_back_longer_and_longer(self, sign_in: SignIn) -> None:
        clock = MovedClock()
        for quiet_s in (60, 120, 240):
            with pytest.raises(SignInTimeout):
                sign_in(prompt=Onlooker(), timeout_s=1, clock=clock)
            clock.ahead_s += quiet_s - 10
            prompt = Onlooker()
            with pytest.raises(SignInRequired) as held_back:
                sign_in(prompt=prompt, timeout_s=1, clock=clock)
            assert held_back.value.reason == "cooling_down"
            assert prompt.told == []
            clock.ahead_s += 20

    def test_a_person_who_asks_is_not_held_back_and_an_answer_ends_the_quiet(self, sign_in: SignIn) -> None:
        with pytest.raises(SignInTimeout):
            sign_in(prompt=Onlooker(), timeout_s=1)
        sign_in(prompt=Onlooker(last_address), cool_down=False)
        sign_in(prompt=Onlooker(last_address))

    @pytest.mark.usefixtures("no_leaks")
    def test_a_stopped_sign_in_leaves_nothing(self, issuer: DevIssuer) -> None:
        async def stopped() -> None:
            task = asyncio.create_task(
                doorward.asign_in(issuer.url, "cli", insecure_loopback_http=True, prompt=Onlooker())
            )
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(stopped())
        lock = Vault().lock("default", purpose="sign_in")
        assert lock.try_acquire()
        lock.release()


class TestWithADeviceCode:
    def test_the_person_approves_elsewhere(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.change(device_interval_s=1)
        prompt = Onlooker()
        session = sign_in(mode="device", prompt=prompt)
        assert session.principal.subject == "alice"
        assert [what for what, _ in prompt.told] == ["device_code"]
        assert session.token()

    def test_a_denial_ends_it(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.change(device_interval_s=1)
        issuer.deny()
        with pytest.raises(SignInCancelled):
            sign_in(mode="device", prompt=Onlooker())

    def test_nobody_enters_the_code(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.change(device_interval_s=1)
        issuer.ask()
        with pytest.raises(SignInTimeout) as unused:
            sign_in(mode="device", prompt=Onlooker(), timeout_s=3)
        assert unused.value.reason == "device_code_unused"

    def test_a_lost_answer_is_asked_for_again(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.change(device_interval_s=1)
        issuer.fail("token", kind="reset", times=1)
        assert sign_in(mode="device", prompt=Onlooker()).principal.subject == "alice"

    def test_an_outage_of_a_moment_is_sat_out(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.change(device_interval_s=1)
        issuer.fail("token", status=503, times=1)
        assert sign_in(mode="device", prompt=Onlooker()).principal.subject == "alice"

    def test_an_outage_to_the_end_is_not_taken_for_a_person_who_does_not_answer(
        self, sign_in: SignIn, issuer: DevIssuer
    ) -> None:
        issuer.change(device_interval_s=1)
        issuer.fail("token", status=503, times=None)
        for _ in range(2):  # no cool-down either
            with pytest.raises(ProviderUnavailable) as outage:
                sign_in(mode="device", prompt=Onlooker(), timeout_s=3)
            assert outage.value.reason == "server_failure"

    def test_a_provider_without_it_says_so(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        with (
            issuer.adopt("no_device_flow"),
            pytest.raises(ConfigurationError, match="browser") as missing,
        ):
            sign_in(mode="device", prompt=Onlooker())
        assert missing.value.reason == "no_device_flow"


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "field"),
        [
            ({"client_id": ""}, "client_id"),
            ({"client_id": "a\nb"}, "client_id"),
            ({"mode": "telepathy"}, "mode"),
            ({"timeout_s": 0}, "timeout_s"),
            ({"timeout_s": 4000}, "timeout_s"),
            ({"scopes": ["two words"]}, "scopes"),
            ({"client_secret": ""}, "client_secret"),
            ({"profile": "../etc"}, "profile"),
            ({"profile": ""}, "profile"),
            ({"scopes": "openid"}, "scopes"),
            ({"redirect_uri": "http://evil.example/callback"}, "redirect_uri"),
            ({"redirect_uri": "https://127.0.0.1/callback"}, "redirect_uri"),
            ({"redirect_uri": "http://127.0.0.1:99999/callback"}, "redirect_uri"),
            ({"redirect_uri": "http://127.0.0.1/callback?a=b"}, "redirect_uri"),
            ({"ports": [80]}, "ports"),
            ({"ports": [99_999]}, "ports"),
            ({"insecure_loopback_http": False}, "issuer"),
        ],
    )
    def test_a_wrong_one_is_named(self, sign_in: SignIn, options: dict[str, Any], field: str) -> None:
        with pytest.raises(ConfigurationError) as wrong:
            sign_in(**options)
        assert wrong.value.field == field

    def test_one_that_is_misspelt_is_refused(self, sign_in: SignIn) -> None:
        with pytest.raises(TypeError, match="max_age"):
            sign_in(max_age=60)

    @pytest.mark.parametrize(
        "issuer_url",
        ["http://id.example.org", "https://id.example.org?x=1", "https://u:p@id.example.org", "id.example.org", ""],
    )
    def test_a_wrong_issuer_is_named(self, issuer_url: str) -> None:
        with pytest.raises(ConfigurationError) as wrong:
            doorward.sign_in(issuer_url, "cli")
        assert wrong.value.field == "issuer"
