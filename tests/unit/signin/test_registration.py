from __future__ import annotations

import os
import stat
import sys
import textwrap
import time
import types
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import pytest

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.protocol.client_auth import PrivateKeyJwt, SecretBasic, SecretPost
from doorward.protocol.jwk import generate_signing_key
from doorward.protocol.metadata import ProviderMetadata
from doorward.signin.registration import DEFAULT_SCOPES, Registration, as_scopes, find_client_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ISSUER = "https://id.example.org"


def metadata(*methods: str) -> ProviderMetadata:
    return ProviderMetadata(ISSUER, ISSUER, ISSUER, ISSUER, token_endpoint_auth_methods=methods)


class TestScopes:
    def test_our_own_choice_yields_to_what_the_provider_lists(self) -> None:
        registration = Registration(ISSUER, "cli")
        assert registration.scopes_for(None) == DEFAULT_SCOPES
        assert registration.scopes_for(("email", "openid", "read")) == ("openid", "email")
        assert registration.scopes_for(()) == ("openid",)

    def test_the_callers_choice_does_not(self) -> None:
        asked = ("openid", "email", "profile", "offline_access")  # our defaults, but asked for
        assert Registration(ISSUER, "cli", scopes=asked).scopes_for(("openid",)) == asked
        assert Registration(ISSUER, "cli", scopes=("openid", "files")).scopes_for(("openid",)) == ("openid", "files")

    def test_one_string_is_not_taken_for_scopes_of_one_letter(self) -> None:
        with pytest.raises(ConfigurationError) as wrong:
            as_scopes("openid")
        assert (wrong.value.field, wrong.value.reason) == ("scopes", "scopes_one_string")
        assert as_scopes(DEFAULT_SCOPES) is DEFAULT_SCOPES


class TestAuthentication:
    def test_the_providers_list_decides(self) -> None:
        registration = Registration(ISSUER, "web", client_secret=Secret("s"))
        assert registration.client_for(metadata("client_secret_post")).authentication == SecretPost(Secret("s"))
        both = metadata("client_secret_post", "client_secret_basic")
        assert registration.client_for(both).authentication == SecretBasic(Secret("s"))

    @pytest.mark.parametrize(
        ("method", "expected"), [("client_secret_basic", SecretBasic), ("client_secret_post", SecretPost)]
    )
    def test_unless_the_client_is_registered_for_one(self, method: str, expected: type) -> None:
        registration = Registration(ISSUER, "web", client_secret=Secret("s"), secret_method=method)
        assert registration.client_for(metadata()).authentication == expected(Secret("s"))

    def test_a_key(self) -> None:
        key = generate_signing_key("EdDSA", kid="k")
        registration = Registration(ISSUER, "web", client_key=key)
        assert registration.client_for(metadata("private_key_jwt")).authentication == PrivateKeyJwt(key)

    def test_not_both(self) -> None:
        with pytest.raises(ConfigurationError) as both:
            Registration(ISSUER, "web", client_secret=Secret("s"), client_key=generate_signing_key("EdDSA"))
        assert both.value.field == "client_key"

    @pytest.mark.parametrize("secret", ["", "line\n", "\udc80"])
    @pytest.mark.parametrize("method", [None, "client_secret_basic", "client_secret_post"])
    def test_a_secret_that_can_not_be_one(self, secret: str, method: str | None) -> None:
        with pytest.raises(ConfigurationError) as unusable:
            Registration(ISSUER, "web", client_secret=Secret(secret), secret_method=method)
        assert unusable.value.field == "client_secret"

    def test_an_unknown_method(self) -> None:
        with pytest.raises(ConfigurationError) as unknown:
            Registration(ISSUER, "web", client_secret=Secret("s"), secret_method="tls_client_auth")
        assert unknown.value.field == "secret_method"


class TestFindingTheSecret:
    """S10: by argument, environment or keyring; never from the vault."""

    @pytest.fixture
    def keyring(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An interpreter whose keyring answers as the file says, and takes down what it was asked."""
        answers = tmp_path / "answers"
        answers.mkdir()
        script = tmp_path / "python"
        script.write_text(
            textwrap.dedent(f"""\
                #!/bin/sh
                echo "$@" > {answers}/asked
                env > {answers}/environment
                [ -f {answers}/hang ] && exec sleep 60
                [ -f {answers}/secret ] && exec cat {answers}/secret
                exit 1
                """)
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(script))
        return answers

    def test_as_given(self) -> None:
        assert find_client_secret(ISSUER, "web", "given", {"DOORWARD_CLIENT_SECRET": "other"}) == Secret("given")
        assert find_client_secret(ISSUER, "web", Secret("given"), {}) == Secret("given")

    def test_from_the_environment(self) -> None:
        assert find_client_secret(ISSUER, "web", None, {"DOORWARD_CLIENT_SECRET": "there"}) == Secret("there")

    def test_from_the_keyring(self, keyring: Path) -> None:
        (keyring / "secret").write_text("kept for us\n")
        assert find_client_secret(ISSUER, "web", None, {}) == Secret("kept for us")
        assert (keyring / "asked").read_text() == f"-P -m keyring get -- doorward web@{ISSUER}\n"

    def test_the_keyrings_program_learns_no_other_secret(self, keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOORWARD_API_KEY_PEPPER", "planted")
        find_client_secret(ISSUER, "web", None, {})
        assert "planted" not in (keyring / "environment").read_text()

    @pytest.fixture
    def no_interpreter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
        """A program that has Python within it, and would write down that it was started again."""
        program = tmp_path / ("python" if request.param == "frozen" else "qgis")
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        if request.param == "frozen":
            monkeypatch.setattr(sys, "frozen", True, raising=False)
        return tmp_path / "started"

    @pytest.mark.parametrize("no_interpreter", ["frozen", "embedding"], indirect=True)
    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (lambda service, name: f"{service}: {name}", Secret(f"doorward: web@{ISSUER}")),
            (lambda *_: None, None),
            (lambda: "a call that fails", None),
            (lambda *_: time.sleep(2), None),
        ],
        ids=["kept", "not kept", "fails", "hangs"],
    )
    def test_a_program_with_python_within_is_not_started_again(
        self,
        no_interpreter: Path,
        monkeypatch: pytest.MonkeyPatch,
        answer: Callable[..., str | None],
        found: Secret | None,
    ) -> None:
        """It would ask again, and be started again, without end."""
        module = types.ModuleType("keyring")
        module.__spec__ = ModuleSpec("keyring", None)
        module.get_password = answer
        monkeypatch.setitem(sys.modules, "keyring", module)
        monkeypatch.setattr("doorward.signin.settings.os_keyring._TIMEOUT_S", 0.5)
        assert find_client_secret(ISSUER, "web", None, {}) == found
        assert not no_interpreter.exists()

    def test_a_keyring_without_it(self, keyring: Path) -> None:
        assert find_client_secret(ISSUER, "web", None, {}) is None
        (keyring / "secret").write_text("\n")
        assert find_client_secret(ISSUER, "web", None, {}) is None

    def test_a_keyring_that_hangs_is_left(self, keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward.signin.settings.os_keyring._TIMEOUT_S", 0.2)
        (keyring / "hang").touch()
        assert find_client_secret(ISSUER, "web", None, {}) is None

    def test_a_file_where_the_person_happens_to_be_is_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "keyring.py").write_text("print('planted')")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("doorward.signin.settings.os_keyring.find_spec", lambda _: object())
        assert find_client_secret(ISSUER, "web", None, {}) is None

    def test_no_interpreter_to_ask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", os.devnull)
        assert find_client_secret(ISSUER, "web", None, {}) is None

    def test_no_keyring_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward.signin.settings.os_keyring.find_spec", lambda _: None)
        assert find_client_secret(ISSUER, "web", None, {}) is None
