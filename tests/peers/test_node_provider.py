"""Signing in at a certified provider, over https, through Chromium: everything a session goes through in its life."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from command_line import doorward_cli
from races import answers, expire, go, workers

import doorward
from doorward.errors import OAuthError, SignInCancelled, SignInRequired, TransportError
from doorward.protocol.claims import parse_jwt
from doorward.protocol.jwk import SigningKey
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    Steps = Callable[[Page, str], None]

pytestmark = pytest.mark.usefixtures("trust_test_ca")


@pytest.fixture(params=["sync", "async"])
def sign_in(request: pytest.FixtureRequest, oidc_provider: Any, person: Any) -> Callable[..., doorward.Session]:
    def do(client_id: str = "native", *, steps: Steps | None = None, **options: Any) -> doorward.Session:
        options["prompt"] = options.get("prompt") or person(steps or oidc_provider.sign_in)
        options = {"timeout_s": 30, "provider": "oidc-provider", **options}
        if request.param == "sync":
            return doorward.sign_in(oidc_provider.https, client_id, **options)
        return asyncio.run(doorward.asign_in(oidc_provider.https, client_id, **options))

    return do


@pytest.fixture
def session(oidc_provider: Any, person: Any) -> doorward.Session:
    prompt = person(oidc_provider.sign_in)
    return doorward.sign_in(oidc_provider.https, "native", prompt=prompt, provider="oidc-provider", timeout_s=60)


def refused_by_provider(oidc_provider: Any, client_id: str, refresh_token: str) -> str | None:
    """What the provider itself says to this refresh token: its error, or None if it still takes it."""
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
    try:
        urllib.request.urlopen(f"{oidc_provider.https}/token", urllib.parse.urlencode(form).encode()).close()
    except urllib.error.HTTPError as refused:
        with refused:
            return json.load(refused)["error"]
    return None


def userinfo(oidc_provider: Any, token: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{oidc_provider.https}/me", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


class TestSigningIn:
    def test_a_public_client_with_pkce(
        self, sign_in: Callable[..., doorward.Session], person: Any, oidc_provider: Any
    ) -> None:
        prompt = person(oidc_provider.sign_in)
        session = sign_in(prompt=prompt)
        assert session.principal.subject == "alice"
        assert session.principal.email == "alice@example.test"
        assert userinfo(oidc_provider, session.token())["sub"] == "alice"
        assert "signed in" in prompt.last_page()

    def test_a_thin_id_token(self, oidc_provider: Any, person: Any) -> None:
        """The name and the address come from the UserInfo endpoint."""
        prompt = person(oidc_provider.sign_in)
        session = doorward.sign_in(
            oidc_provider.http, "native", prompt=prompt, timeout_s=60, insecure_loopback_http=True
        )
        assert "email" not in Vault().get("default").claims
        assert session.principal.email == "alice@example.test"
        assert session.claims["name"] == "Test alice"

    @pytest.mark.parametrize("method", ["basic", "post", "jwt"])
    def test_a_confidential_client(
        self, sign_in: Callable[..., doorward.Session], oidc_provider: Any, method: str
    ) -> None:
        client_id = f"confidential-{method}"
        if method == "jwt":
            pem = oidc_provider.client_keys["ES256"]
            options: dict[str, Any] = {"client_key": SigningKey.from_pem(pem, alg="ES256", kid="client-ES256")}
        else:
            options = {"client_secret": f"{client_id}-secret", "secret_method": f"client_secret_{method}"}
        session = sign_in(client_id, **options)
        first = session.token()
        expire()
        assert session.token() != first
        assert session.sign_out().revoked

    @pytest.mark.parametrize("algorithm", ["ps256", "es256", "eddsa"])
    def test_id_tokens_in_every_algorithm(self, sign_in: Callable[..., doorward.Session], algorithm: str) -> None:
        assert sign_in(f"native-{algorithm}").principal.subject == "alice"

    def test_a_denial(self, sign_in: Callable[..., doorward.Session], person: Any, oidc_provider: Any) -> None:
        prompt = person(oidc_provider.deny)
        with pytest.raises(SignInCancelled):
            sign_in(prompt=prompt)
        assert "not signed in" in prompt.last_page().lower()
        assert Vault().get("default") is None

    def test_an_api_is_asked_for_by_resource(self, sign_in: Callable[..., doorward.Session]) -> None:
        session = sign_in(resource="urn:api:jwt", scopes=["openid", "offline_access", "read"])
        assert session.token().count(".") == 2
        expire()
        assert session.token().count(".") == 2

    @pytest.mark.parametrize(
        ("provider", "words", "renewable"),
        [(None, None, False), (None, "consent", True), ("oidc-provider", None, True), ("oidc-provider", "login", True)],
    )
    def test_it_gives_a_refresh_token_after_a_consent_alone(
        self, sign_in: Callable[..., doorward.Session], provider: str | None, words: str | None, *, renewable: bool
    ) -> None:
        """So it has a name: it drops ``offline_access`` without a word, and nothing else tells."""
        session = sign_in(provider=provider, parameters={} if words is None else {"prompt": words})
        assert session.principal.subject == "alice"
        assert (Vault().get("default").refresh_token is not None) is renewable

    def test_the_persons_wishes_reach_it(self, sign_in: Callable[..., doorward.Session], oidc_provider: Any) -> None:
        """``login_hint`` stands in its form; ``max_age`` has it say when the person signed in."""
        seen = []

        def steps(page: Page, url: str) -> None:
            page.goto(url)
            seen.append(page.locator("input[name=login]").input_value())
            oidc_provider.sign_in(page, page.url)

        session = sign_in(steps=steps, login_hint="alice", acr_values="gold", ui_locales="de", max_age_s=60)
        assert seen == ["alice"]
        assert session.claims["auth_time"] <= session.claims["iat"]

    def test_nobody_is_asked_in_silence(
        self, sign_in: Callable[..., doorward.Session], oidc_provider: Any, person: Any
    ) -> None:
        prompt = person(lambda page, url: page.goto(url))
        with pytest.raises(SignInRequired) as required:
            sign_in(prompt=prompt, parameters={"prompt": "none"})
        assert required.value.reason == "login_required"
        assert "did not finish" in prompt.last_page()

    def test_with_a_device_code(
        self, sign_in: Callable[..., doorward.Session], person: Any, oidc_provider: Any
    ) -> None:
        session = sign_in(mode="device", prompt=person(oidc_provider.approve_device))
        assert session.principal.subject == "alice"
        first = session.token()
        expire()
        assert session.token() != first

    @pytest.mark.parametrize("host", ["localhost", "[::1]"])
    def test_other_loopback_redirects(self, sign_in: Callable[..., doorward.Session], host: str) -> None:
        assert sign_in(redirect_uri=f"http://{host}/callback").principal.subject == "alice"

    def test_a_certificate_nobody_trusts(self, oidc_provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(TransportError, match="SSL_CERT_FILE") as untrusted:
            doorward.sign_in(oidc_provider.https, "native")
        assert untrusted.value.reason == "tls_certificate"


class TestTheSession:
    def test_it_is_refreshed_with_rotation(self, session: doorward.Session, oidc_provider: Any) -> None:
        tokens, refresh_tokens = {session.token()}, {Vault().get("default").refresh_token.reveal()}
        for _ in range(3):
            expire()
            tokens.add(session.token())
            refresh_tokens.add(Vault().get("default").refresh_token.reveal())
        assert len(tokens) == len(refresh_tokens) == 4
        assert userinfo(oidc_provider, session.token())["sub"] == "alice"

    def test_a_short_life_is_not_renewed_at_every_call(self, oidc_provider: Any, person: Any) -> None:
        with oidc_provider.access_token_ttl(20):
            session = doorward.sign_in(
                oidc_provider.https, "native", prompt=person(oidc_provider.sign_in), provider="oidc-provider"
            )
            before = oidc_provider.token_requests(oidc_provider.https)
            assert len({session.token() for _ in range(5)}) == 1
            assert oidc_provider.token_requests(oidc_provider.https) == before

    @pytest.mark.parametrize("drop", [False, True])
    def test_keys_rotated_between_sign_in_and_refresh(
        self, session: doorward.Session, oidc_provider: Any, *, drop: bool
    ) -> None:
        first = session.token("id")
        oidc_provider.rotate_keys(drop=drop)
        expire()
        session.token()
        assert session.token("id") != first

    def test_a_refresh_token_that_came_back_ends_the_session(
        self, session: doorward.Session, oidc_provider: Any
    ) -> None:
        stolen = Vault().get("default").refresh_token.reveal()
        expire()
        session.token()
        assert refused_by_provider(oidc_provider, "native", stolen) == "invalid_grant"
        expire()
        with pytest.raises(SignInRequired) as ended:
            session.token()
        assert ended.value.reason == "session_ended"

    def test_signing_out_revokes(self, session: doorward.Session, oidc_provider: Any) -> None:
        refresh_token = Vault().get("default").refresh_token.reveal()
        assert session.sign_out().revoked
        assert refused_by_provider(oidc_provider, "native", refresh_token) == "invalid_grant"
        assert Vault().names() == []

    def test_signing_out_revokes_the_access_token_where_there_is_no_other(
        self, sign_in: Callable[..., doorward.Session], oidc_provider: Any
    ) -> None:
        session = sign_in(scopes=["openid"])
        token = session.token()
        assert userinfo(oidc_provider, token)["sub"] == "alice"
        done = session.sign_out()
        assert (done.revoked, done.access_token_revoked, done.problem) == (True, True, None)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            userinfo(oidc_provider, token)

    def test_access_tokens_that_it_does_not_revoke_are_told(self, sign_in: Callable[..., doorward.Session]) -> None:
        """JWTs, which nobody asks this provider about."""
        done = sign_in(resource="urn:api:jwt").sign_out()
        assert (done.revoked, done.access_token_revoked, done.problem) == (True, False, None)

    def test_the_logout_page_ends_the_providers_session(
        self, oidc_provider: Any, person: Any, chromium: Any, tmp_path: Path
    ) -> None:
        """One browser: signed in, the provider asks no password again; after its logout page, it does."""
        logout_url = None

        def sign_in_and_out(page: Page, url: str) -> None:
            oidc_provider.sign_in(page, url)
            page.goto(f"{oidc_provider.https}/session/end?client_id=native")
            page.get_by_role("button", name="Yes, sign me out").click()
            page.wait_for_load_state()
            again = urllib.parse.urlencode(
                {
                    "client_id": "native",
                    "response_type": "code",
                    "redirect_uri": "http://127.0.0.1:1/callback",
                    "scope": "openid",
                    "code_challenge": "A" * 43,
                    "code_challenge_method": "S256",
                }
            )
            page.goto(f"{oidc_provider.https}/auth?{again}")
            page.locator("input[name=password]").wait_for()

        prompt = person(sign_in_and_out)
        session = doorward.sign_in(oidc_provider.https, "native", prompt=prompt, provider="oidc-provider")
        logout_url = session.sign_out().logout_url
        assert logout_url == f"{oidc_provider.https}/session/end?client_id=native"
        prompt.last_page()

    @pytest.mark.slow
    def test_twenty_processes_cause_one_refresh(self, session: doorward.Session, oidc_provider: Any) -> None:
        expire()
        before = oidc_provider.token_requests(oidc_provider.https)
        with workers(20, each=8) as started:
            go(started)
            told = [answer for worker in started for answer in answers(worker)]
        assert len(told) == 160
        assert len(set(told)) == 1
        assert told[0].startswith("token ")
        assert oidc_provider.token_requests(oidc_provider.https) == before + 1


class TestServices:
    @pytest.fixture(params=["basic", "post", "jwt"])
    def service(self, request: pytest.FixtureRequest, oidc_provider: Any) -> Iterator[doorward.ClientCredentials]:
        client_id = f"service-{request.param}"
        if request.param == "jwt":
            pem = oidc_provider.client_keys["RS256"]
            options: dict[str, Any] = {"client_key": SigningKey.from_pem(pem, alg="RS256", kid="client-RS256")}
        else:
            options = {"client_secret": f"{client_id}-secret", "secret_method": f"client_secret_{request.param}"}
        return doorward.ClientCredentials(
            oidc_provider.https, client_id, resource="urn:api:jwt", scopes=["read"], **options
        )

    def test_client_credentials_are_cached(self, service: doorward.ClientCredentials, oidc_provider: Any) -> None:
        before = oidc_provider.token_requests(oidc_provider.https)
        first = service.token()
        assert first.count(".") == 2
        assert [service.token() for _ in range(3)] == [first] * 3
        assert asyncio.run(service.atoken()) == first
        assert oidc_provider.token_requests(oidc_provider.https) == before + 1
        assert service.renew(first) != first

    def test_from_the_environment(self, oidc_provider: Any) -> None:
        environ = {
            "APP_ISSUER": oidc_provider.https,
            "APP_CLIENT_ID": "service-basic",
            "APP_CLIENT_SECRET": "service-basic-secret",
            "APP_RESOURCE": "urn:api:jwt",
        }
        assert doorward.ClientCredentials.from_env("APP", environ).token().count(".") == 2

    def test_a_wrong_secret(self, oidc_provider: Any) -> None:
        service = doorward.ClientCredentials(oidc_provider.https, "service-basic", client_secret="wrong")
        with pytest.raises(OAuthError) as refused:
            service.token()
        assert refused.value.error == "invalid_client"


class TestOnBehalfOf:
    """Token exchange (RFC 8693) at a provider that is not ours."""

    @pytest.fixture
    def service(self, oidc_provider: Any) -> doorward.ClientCredentials:
        return doorward.ClientCredentials(oidc_provider.https, "api", client_secret="api-secret")

    def test_a_service_gets_a_token_for_another_api_in_its_callers_name(
        self, service: doorward.ClientCredentials, session: doorward.Session
    ) -> None:
        source = doorward.OnBehalfOf(service, session.token(), resource="urn:api:jwt", scopes=["read"])
        claims = parse_jwt(source.token()).claims
        assert (claims["sub"], claims["aud"], claims["client_id"]) == ("alice", "urn:api:jwt", "api")
        assert asyncio.run(source.atoken()) == source.token()

    def test_a_callers_token_that_is_no_longer_good_is_refused(
        self, service: doorward.ClientCredentials, session: doorward.Session
    ) -> None:
        caller = session.token()
        session.sign_out()
        with pytest.raises(OAuthError) as refused:
            doorward.OnBehalfOf(service, caller, resource="urn:api:jwt").token()
        assert refused.value.error == "invalid_grant"


def test_a_session_of_micromegas_goes_on_here(
    session: doorward.Session, oidc_provider: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Vault().get("default")
    token = {"access_token": session.token(), "id_token": session.token("id"), "token_type": "Bearer"}
    token |= {"refresh_token": entry.refresh_token.reveal(), "expires_at": int(entry.access_token_expires_at)}
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps({"issuer": oidc_provider.https, "client_id": "native", "token": token}))
    monkeypatch.setenv("DOORWARD_HOME", str(tmp_path / "here"))
    done = doorward_cli("import", "micromegas", str(file))
    assert done.returncode == 0, done.stderr
    assert Vault().get("default").claims is None, "nobody has verified what the file says"

    renewed = doorward_cli("token", "--renew")
    assert renewed.returncode == 0, renewed.stderr
    assert userinfo(oidc_provider, renewed.stdout.strip())["sub"] == "alice"
    assert doorward.open_session().principal.subject == "alice"
    assert refused_by_provider(oidc_provider, "native", token["refresh_token"]) == "invalid_grant", "it was replaced"
