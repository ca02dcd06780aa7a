"""A team's doorward.toml names profiles: the name is all that a sign-in needs (S31)."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from command_line import doorward_cli

import doorward
from doorward.errors import ConfigurationError
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from doorward.testing import DevIssuer


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split())


def heard(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return what the provider was asked, by the address that a person could open."""
    assert done.returncode == 0, done.stderr
    address = re.search(r"http://\S+/authorize\?\S+", done.stderr)
    assert address is not None, done.stderr
    return dict(parse_qsl(urlsplit(address[0]).query))


@pytest.fixture
def named(issuer: DevIssuer, doorward_home: Path, person: Path) -> Callable[..., Path]:
    """Write a doorward.toml with a profile at the issuer, and with more settings."""

    def write(*settings: str, name: str = "Work") -> Path:
        doorward_home.mkdir(exist_ok=True)
        file = doorward_home / "doorward.toml"
        lines = [f"[profiles.{name}]", f"issuer = '{issuer.url}'", "client_id = 'cli'", "insecure_loopback_http = true"]
        file.write_text("\n".join([*lines, *settings]))
        return file

    return write


class TestLogin:
    def test_a_name_is_enough(self, issuer: DevIssuer, named: Callable[..., Path]) -> None:
        named("scopes = ['openid', 'offline_access']", "audience = 'api'", "max_age_s = 600")
        done = doorward_cli("login", "work")
        assert done.returncode == 0, done.stderr
        assert "(profile work)" in done.stdout
        entry = Vault().get("work")
        assert entry is not None
        assert (entry.scopes, entry.audience) == (("openid", "offline_access"), "api")
        assert "max_age=600" in done.stderr  # of the address
        assert doorward_cli("token", "--profile", "work").returncode == 0

    @pytest.mark.parametrize(
        ("arguments", "environment", "kept_as"),
        [
            (["--profile", "work"], {}, "work"),
            ([], {"DOORWARD_PROFILE": "work"}, "work"),
            (["work"], {"DOORWARD_PROFILE": "other"}, "work"),
            (["WORK", "--profile", "admin"], {}, "admin"),  # a second account at the same issuer
        ],
    )
    def test_the_name_may_come_in_each_way(
        self, named: Callable[..., Path], arguments: list[str], environment: dict[str, str], kept_as: str
    ) -> None:
        named("audience = 'api'")
        done = doorward_cli("login", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        entry = Vault().get(kept_as)
        assert entry is not None
        assert entry.audience == "api"
        assert Vault().names() == [kept_as]

    def test_options_win(self, issuer: DevIssuer, named: Callable[..., Path]) -> None:
        issuer.add_client("other")
        named("scopes = ['openid']", "audience = 'api'", "timeout_s = 3000")
        options = ["--client-id", "other", "--scope", "openid", "--scope", "email", "--timeout", "30"]
        done = doorward_cli("login", "work", *options)
        assert done.returncode == 0, done.stderr
        entry = Vault().get("work")
        assert entry is not None
        assert (entry.client_id, entry.scopes, entry.audience) == ("other", ("openid", "email"), "api")

    @pytest.mark.parametrize(
        ("in_the_file", "on_the_command_line", "from_the_file", "given"),
        [
            ("prompt = 'consent'", ["--prompt", "login"], {"prompt": "consent"}, {"prompt": "login"}),
            (
                "login_hint = 'a@example.org'",
                ["--login-hint", "b"],
                {"login_hint": "a@example.org"},
                {"login_hint": "b"},
            ),
            (
                "acr_values = 'urn:one'",
                ["--acr-values", "urn:two"],
                {"acr_values": "urn:one"},
                {"acr_values": "urn:two"},
            ),
            ("ui_locales = 'de en'", ["--ui-locales", "fr"], {"ui_locales": "de en"}, {"ui_locales": "fr"}),
            ("max_age_s = 600", ["--max-age", "60"], {"max_age": "600"}, {"max_age": "60"}),
            (
                "parameters = {hd = 'example.org', domain = 'a'}",
                ["--parameter", "hd=example.com"],
                {"hd": "example.org", "domain": "a"},
                {"hd": "example.com", "domain": None},  # one set takes the place of the other
            ),
            (
                "provider = 'google'",
                ["--provider", "keycloak"],
                {"access_type": "offline", "prompt": "consent"},
                {"access_type": None, "prompt": None},
            ),
        ],
        ids=["prompt", "login_hint", "acr_values", "ui_locales", "max_age", "parameters", "provider"],
    )
    def test_what_the_provider_hears_comes_from_the_file_and_options_win(
        self,
        named: Callable[..., Path],
        in_the_file: str,
        on_the_command_line: list[str],
        from_the_file: dict[str, str | None],
        given: dict[str, str | None],
    ) -> None:
        named(in_the_file)
        assert from_the_file.items() <= heard(doorward_cli("login", "work")).items()
        told = heard(doorward_cli("login", "work", *on_the_command_line))
        assert {name: told.get(name) for name in given} == given
        for_one_sign_in = heard(doorward_cli("login", "work"))
        assert from_the_file.items() <= for_one_sign_in.items(), "an option outlived its sign-in"

    def test_the_file_goes_before_the_last_sign_in(self, named: Callable[..., Path]) -> None:
        named("audience = 'old'")
        doorward_cli("login", "work")
        named("audience = 'new'")
        assert doorward_cli("login", "work").returncode == 0
        entry = Vault().get("work")
        assert entry is not None
        assert entry.audience == "new"

    def test_a_profile_that_was_signed_in_needs_no_file(self, issuer: DevIssuer, named: Callable[..., Path]) -> None:
        named().unlink()
        first = ["login", issuer.url, "--client-id", "cli", "--insecure-loopback-http", "--profile", "home"]
        assert doorward_cli(*first).returncode == 0
        assert doorward_cli("login", "home").returncode == 0

    def test_another_issuer_takes_nothing_of_it(self, named: Callable[..., Path]) -> None:
        named("audience = 'api'")
        done = doorward_cli("login", "https://other.example.org", "--profile", "work")
        assert done.returncode == 2
        assert "give --client-id" in said(done)

    def test_a_name_that_is_not_there_is_told_what_is(self, named: Callable[..., Path]) -> None:
        named()
        done = doorward_cli("login", "wrok")
        assert done.returncode == 2
        assert "Did you mean work?" in said(done)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
    def test_a_file_of_somebody_else_is_refused(self, issuer: DevIssuer, named: Callable[..., Path]) -> None:
        os.chown(named(), 65534, 65534)
        done = doorward_cli("login", "work")
        assert done.returncode == 2
        assert "belongs to another user" in said(done)
        assert issuer.requests == ()

    def test_a_confidential_client_gets_its_secret_from_elsewhere(
        self, issuer: DevIssuer, named: Callable[..., Path]
    ) -> None:
        issuer.add_client("cli", secret="hunter2 and more")
        named("confidential = true")
        missing = doorward_cli("login", "work")
        assert missing.returncode == 2
        assert "DOORWARD_CLIENT_SECRET" in said(missing)
        done = doorward_cli("login", "work", DOORWARD_CLIENT_SECRET="hunter2 and more")
        assert done.returncode == 0, done.stderr
        assert "not used" not in said(done)

    def test_a_secret_that_is_set_and_not_used_is_told_of(self, named: Callable[..., Path]) -> None:
        named()
        done = doorward_cli("login", "work", DOORWARD_CLIENT_SECRET="hunter2 and more")
        assert done.returncode == 0
        assert "DOORWARD_CLIENT_SECRET is set, but not used: give --confidential" in said(done)

    def test_the_shell_completes_its_name(self, named: Callable[..., Path]) -> None:
        named()
        words = {"_DOORWARD_COMPLETE": "bash_complete", "COMP_WORDS": "doorward login w", "COMP_CWORD": "2"}
        assert "work" in doorward_cli(**words).stdout


class TestFromPython:
    def test_a_name_is_enough(self, named: Callable[..., Path], sign_in_by_name: Callable[..., Any]) -> None:
        named("scopes = ['openid']", "audience = 'api'", "timeout_s = 20")
        session = sign_in_by_name(profile="work", audience="mine")
        assert session.principal.subject == "alice"
        entry = Vault().get("work")
        assert entry is not None
        assert (entry.scopes, entry.audience) == (("openid",), "mine")

    def test_the_secret_comes_from_elsewhere(
        self, issuer: DevIssuer, named: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issuer.add_client("cli", secret="hunter2 and more")
        named("confidential = true")
        monkeypatch.setattr("doorward.signin.registration.read_secret", lambda *_: None)
        with pytest.raises(ConfigurationError, match="doorward secret set"):
            doorward.sign_in(profile="work")
        monkeypatch.setenv("DOORWARD_CLIENT_SECRET", "hunter2 and more")
        assert doorward.sign_in(profile="work").token()

    def test_a_name_that_is_not_there(self) -> None:
        with pytest.raises(ConfigurationError, match="'default' is none of the profiles"):
            doorward.sign_in()


@pytest.fixture(params=["sync", "async"])
def sign_in_by_name(request: pytest.FixtureRequest) -> Callable[..., Any]:
    if request.param == "sync":
        return doorward.sign_in
    return lambda **options: asyncio.run(doorward.asign_in(**options))
