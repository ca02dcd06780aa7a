from __future__ import annotations

from typing import Any

import pytest

from doorward.errors import ConfigurationError, KeyringLocked, KeyringUnavailable
from doorward.model import Secret
from doorward.protocol.client_auth import PrivateKeyJwt, SecretBasic, SecretPost
from doorward.protocol.jwk import generate_signing_key
from doorward.protocol.metadata import ProviderMetadata
from doorward.signin.registration import DEFAULT_SCOPES, Registration, as_scopes, find_client_secret

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

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"client_id": ""}, "client_id"),
            ({"client_id": "a\nb"}, "client_id"),
            ({"scopes": ("",)}, "scopes"),
            ({"scopes": ("two words",)}, "scopes"),
            ({"scopes": ("é",)}, "scopes"),
            ({"issuer": "http://id.example.org"}, "issuer"),
            ({"issuer": "http://127.0.0.1:8080"}, "issuer"),
        ],
    )
    def test_what_no_provider_takes_is_named(self, wrong: dict[str, Any], field: str) -> None:
        with pytest.raises(ConfigurationError) as refused:
            Registration(**{"issuer": ISSUER, "client_id": "web"} | wrong)
        assert refused.value.field == field

    def test_an_unknown_method(self) -> None:
        with pytest.raises(ConfigurationError) as unknown:
            Registration(ISSUER, "web", client_secret=Secret("s"), secret_method="tls_client_auth")
        assert unknown.value.field == "secret_method"


class TestFindingTheSecret:
    """S10: by argument, environment or keyring; never from the vault."""

    def test_as_given(self) -> None:
        assert find_client_secret(ISSUER, "web", "given", {"DOORWARD_CLIENT_SECRET": "other"}) == Secret("given")
        assert find_client_secret(ISSUER, "web", Secret("given"), {}) == Secret("given")

    def test_from_the_environment(self) -> None:
        assert find_client_secret(ISSUER, "web", None, {"DOORWARD_CLIENT_SECRET": "there"}) == Secret("there")

    def test_from_the_keyring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward.signin.registration.read_secret", lambda *client: Secret(" ".join(client)))
        assert find_client_secret(ISSUER, "web", None, {}) == Secret(f"{ISSUER} web")

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (KeyringLocked("It is locked.", reason="keyring_locked"), ["It is locked."]),
            (KeyringUnavailable("It hangs.", reason="keyring_hung"), ["It hangs."]),
            (KeyringUnavailable("There is none.", reason="keyring_absent"), []),
            (KeyringUnavailable("No package.", reason="keyring_package_missing"), []),
            (KeyringUnavailable("No bus.", reason="keyring_no_bus"), []),
        ],
    )
    def test_a_keyring_that_can_not_answer_holds_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, said: list[str]
    ) -> None:
        def refuse(*_: str) -> None:
            raise error

        monkeypatch.setattr("doorward.signin.registration.read_secret", refuse)
        assert find_client_secret(ISSUER, "web", None, {}) is None
        assert caplog.messages == said
