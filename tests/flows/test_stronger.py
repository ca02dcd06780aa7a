"""S26: what makes a sign-in stronger, used where it is offered, demanded where somebody asks for it (decision 18)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import doorward_cli
from people import Onlooker, last_address

import doorward
from doorward.errors import AlgorithmNotAllowed, ConfigurationError, InvalidResponse, OAuthError
from doorward.ports import BoundTokenSource
from doorward.protocol.jwk import SigningKey, generate_signing_key
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from people import MovedClock

    from doorward.testing import DevIssuer

    SignIn = Callable[..., doorward.Session]

RENEWED_AFTER_S = 3700


@pytest.mark.usefixtures("person")
def test_the_browser_carries_nothing_but_what_was_pushed(issuer: DevIssuer, sign_in: SignIn) -> None:
    issuer.change(pushed_requests="required")
    assert sign_in(prompt=Onlooker()).principal.subject == "alice"
    assert issuer.count("par") == 1


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.usefixtures("person")
def test_a_confidential_client_pushes_too(issuer: DevIssuer, sign_in: SignIn, method: Any) -> None:
    issuer.change(pushed_requests="required")
    issuer.add_client("web", secret="s3cret", methods=[method])
    session = sign_in("web", client_secret="s3cret", secret_method=method, prompt=Onlooker())
    assert session.principal.subject == "alice"


def call(url: str, headers: dict[str, str]) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers


def api(issuer: DevIssuer, source: BoundTokenSource, token: str, *, as_url: str | None = None) -> int:
    """Call an API as an adapter does: once more with the nonce that it wants."""
    url = issuer.endpoint("userinfo")
    status, headers = call(url, dict(source.authorization(token, "GET", as_url or url)))
    if status == 401 and headers["DPoP-Nonce"]:
        nonce = headers["DPoP-Nonce"]
        status, _ = call(url, dict(source.authorization(token, "GET", as_url or url, nonce=nonce)))
    return status


class TestBinding:
    @pytest.mark.parametrize("nonces", [False, True])
    def test_only_the_key_can_use_what_is_bound_to_it(
        self, issuer: DevIssuer, sign_in: SignIn, clock: MovedClock, *, nonces: bool
    ) -> None:
        issuer.change(dpop="offered", dpop_nonces=nonces, user_claims_in_id_token=False)
        session = sign_in(dpop="always", prompt=Onlooker(last_address), clock=clock)
        assert session.principal.email == "alice@example.org"  # from the UserInfo endpoint, by a proof
        assert isinstance(session, BoundTokenSource)
        before = session.token()
        assert api(issuer, session, before) == 200
        clock.ahead_s += RENEWED_AFTER_S
        token = session.token()
        assert token != before
        assert api(issuer, session, token) == 200

        other = sign_in(dpop="always", profile="other", prompt=Onlooker(last_address), clock=clock)
        assert api(issuer, other, other.token()) == 200
        assert api(issuer, other, token) == 401
        assert api(issuer, session, token, as_url="https://elsewhere.example/userinfo") == 401
        for scheme in ("Bearer", "DPoP"):
            assert call(issuer.endpoint("userinfo"), {"Authorization": f"{scheme} {token}"})[0] == 401
        assert Vault().get("default").dpop_key != Vault().get("other").dpop_key

    def test_the_nonce_of_the_last_answer_is_used_for_the_next_question(
        self, issuer: DevIssuer, sign_in: SignIn, clock: MovedClock
    ) -> None:
        issuer.change(dpop="required", dpop_nonces=True)
        session = sign_in(dpop="always", prompt=Onlooker(last_address), clock=clock)
        for _ in range(3):
            clock.ahead_s += RENEWED_AFTER_S
            session.token()
        assert issuer.count("token", grant_type="refresh_token") == 4  # the first of them learnt it

    @pytest.mark.parametrize("nonces", [False, True])
    def test_by_itself_it_is_done_where_the_provider_gives_no_others(
        self, issuer: DevIssuer, sign_in: SignIn, *, nonces: bool
    ) -> None:
        issuer.change(dpop="required", dpop_nonces=nonces)
        session = sign_in(prompt=Onlooker(last_address))
        assert api(issuer, session, session.token()) == 200

    def test_by_itself_it_is_not_done_where_it_is_only_offered(self, issuer: DevIssuer, sign_in: SignIn) -> None:
        """Who sends Bearer could not use it, and nearly every program does."""
        issuer.change(dpop="offered")
        session = sign_in(prompt=Onlooker(last_address))
        assert Vault().get("default").dpop_key is None
        token = session.token()
        assert session.authorization(token, "GET", "https://x.example") == {"Authorization": f"Bearer {token}"}

    def test_an_id_token_is_not_bound(self, issuer: DevIssuer, sign_in: SignIn) -> None:
        issuer.change(dpop="required")
        session = sign_in(prompt=Onlooker(last_address))
        token = session.token("id")
        assert session.authorization(token, "GET", "https://x.example") == {"Authorization": f"Bearer {token}"}

    @pytest.mark.parametrize(
        ("offer", "dpop", "error", "reason"),
        [
            ("required", "never", OAuthError, "oauth_error"),
            ("not_offered", "always", ConfigurationError, "dpop_unsupported"),
        ],
    )
    def test_what_is_demanded_and_not_given(
        self, issuer: DevIssuer, sign_in: SignIn, offer: str, dpop: str, error: type[Exception], reason: str
    ) -> None:
        issuer.change(dpop=offer)
        with pytest.raises(error) as refused:
            sign_in(dpop=dpop, prompt=Onlooker(last_address))
        assert refused.value.reason == reason

    def test_a_device_code(self, issuer: DevIssuer, sign_in: SignIn) -> None:
        issuer.change(dpop="required", dpop_nonces=True, device_interval_s=1, device_pending_polls=1)
        session = sign_in(mode="device", prompt=Onlooker())
        assert api(issuer, session, session.token()) == 200

    def test_a_clock_that_is_off_goes_by_the_providers(self, issuer: DevIssuer, sign_in: SignIn) -> None:
        """Nothing is decided by that but the time in a proof, which is for the provider to judge."""
        issuer.change(dpop="required", openid=False)
        behind = Behind(issuer.clock, 600)
        sign_in(dpop="always", scopes=("offline_access",), prompt=Onlooker(last_address), clock=behind)
        assert issuer.count("token") == 2

    def test_a_refresh_that_is_answered_unbound_keeps_the_refresh_token(
        self, issuer: DevIssuer, sign_in: SignIn, clock: MovedClock
    ) -> None:
        issuer.change(dpop="required")
        session = sign_in(prompt=Onlooker(last_address), clock=clock)
        clock.ahead_s += RENEWED_AFTER_S
        with issuer.misbehave("proof_unbound"), pytest.raises(InvalidResponse) as refused:
            session.token()
        assert refused.value.reason == "token_not_bound"
        clock.ahead_s += RENEWED_AFTER_S
        assert session.token()

    def test_another_key_ends_no_session(self, issuer: DevIssuer, sign_in: SignIn, clock: MovedClock) -> None:
        issuer.change(dpop="required")
        session = sign_in(prompt=Onlooker(last_address), clock=clock)
        sign_in(profile="other", prompt=Onlooker(last_address), clock=clock)
        vault = Vault()
        mine = vault.get("default")
        vault.put(dataclasses.replace(mine, dpop_key=vault.get("other").dpop_key))
        clock.ahead_s += RENEWED_AFTER_S
        with pytest.raises(OAuthError):
            session.token()
        assert vault.get("default").ended_at is None
        vault.put(mine)
        clock.ahead_s += RENEWED_AFTER_S
        assert session.token()

    def test_a_pickle_of_a_session_holds_no_key(self, issuer: DevIssuer, sign_in: SignIn) -> None:
        issuer.change(dpop="required")
        session = sign_in(prompt=Onlooker(last_address))
        session.authorization(session.token(), "GET", "https://x.example")
        pem = Vault().get("default").dpop_key.reveal().splitlines()[1]
        assert pem.encode() not in pickle.dumps(session._proofs)  # noqa: SLF001 - the part that has held it

    def test_an_older_release_leaves_it_alone(self, issuer: DevIssuer, sign_in: SignIn) -> None:
        """It would send the token as Bearer and renew it without a proof: so it reads that the entry is a newer one."""
        issuer.change(dpop="offered")
        sign_in(dpop="always", prompt=Onlooker(last_address))
        sign_in(profile="plain", prompt=Onlooker(last_address))
        bound, plain = (
            json.loads((Path(Vault().folder) / f"profile-{name}.json").read_text()) for name in ("default", "plain")
        )
        assert (bound["version"], plain["version"]) == (2, 1)
        assert "PRIVATE KEY" in bound["dpop_key"]
        assert not {"dpop_key", "dpop_alg"} & plain.keys()


@pytest.mark.usefixtures("person")
class TestSecurityProfile:
    def strong(self, issuer: DevIssuer, **rules: Any) -> SigningKey:
        key = generate_signing_key("ES256", kid="mine")
        issuer.add_client(
            "strong", jwks=json.dumps({"keys": [key.public_jwk()]}).encode(), id_token_signed_response_alg="ES256"
        )
        issuer.change(**{"pushed_requests": "offered", "dpop": "offered", **rules})
        return key

    def test_all_of_it_is_used(self, issuer: DevIssuer, sign_in: SignIn, clock: MovedClock) -> None:
        key = self.strong(issuer)
        options: dict[str, Any] = {"client_key": key, "security_profile": "fapi2", "prompt": Onlooker(last_address)}
        session = sign_in("strong", clock=clock, **options)
        assert issuer.count("par") == 1
        entry = Vault().get("default")
        assert (entry.security_profile, entry.dpop_alg) == ("fapi2", "ES256")
        clock.ahead_s += RENEWED_AFTER_S
        assert api(issuer, session, session.token()) == 200
        issuer.change(dpop="not_offered")
        clock.ahead_s += RENEWED_AFTER_S
        with pytest.raises(ConfigurationError) as refused:
            session.token()  # a renewal is held to it too
        assert refused.value.reason == "fapi2_binding"

    @pytest.mark.parametrize(
        ("rules", "reason"),
        [({"pushed_requests": "not_offered"}, "fapi2_par"), ({"dpop": "not_offered"}, "fapi2_binding")],
        ids=["no PAR", "no DPoP"],
    )
    def test_what_the_provider_lacks_is_named(
        self, issuer: DevIssuer, sign_in: SignIn, rules: dict[str, Any], reason: str
    ) -> None:
        key = self.strong(issuer, **rules)
        with pytest.raises(ConfigurationError) as refused:
            sign_in("strong", client_key=key, security_profile="fapi2", prompt=Onlooker(last_address))
        assert (refused.value.field, refused.value.reason) == ("security_profile", reason)
        assert issuer.count("authorize") == 0

    def test_an_id_token_of_a_weaker_signature_is_refused(self, issuer: DevIssuer, sign_in: SignIn) -> None:
        key = self.strong(issuer)
        issuer.add_client("strong", jwks=json.dumps({"keys": [key.public_jwk()]}).encode())  # RS256
        issuer.add_client("other", id_token_signed_response_alg="ES256")
        with pytest.raises(AlgorithmNotAllowed):
            sign_in("strong", client_key=key, security_profile="fapi2", prompt=Onlooker(last_address))

    @pytest.mark.parametrize(
        ("options", "field", "reason"),
        [
            ({"par": "never"}, "par", "against_security_profile"),
            ({"dpop": "never"}, "dpop", "against_security_profile"),
            ({"mode": "device"}, "mode", "against_security_profile"),
            ({"security_profile": "fapi1"}, "security_profile", "unknown_security_profile"),
            ({}, "security_profile", "fapi2_client"),
        ],
        ids=["par", "dpop", "device", "another", "a public client"],
    )
    def test_what_can_not_go_together(
        self, issuer: DevIssuer, sign_in: SignIn, options: dict[str, Any], field: str, reason: str
    ) -> None:
        self.strong(issuer)
        with pytest.raises(ConfigurationError) as refused:
            sign_in(prompt=Onlooker(last_address), **{"security_profile": "fapi2", **options})
        assert (refused.value.field, refused.value.reason) == (field, reason)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"client_certificate_key": "key.pem", "client_secret": "s"}, "no_certificate"),
        ({"client_certificate": "c.pem", "client_secret": "s"}, "two_authentications"),
        ({"client_certificate": "none.pem"}, "client_certificate_unreadable"),
    ],
)
def test_a_certificate_that_can_not_be_used(issuer: DevIssuer, options: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        doorward.ClientCredentials(issuer.url, "svc", insecure_loopback_http=True, **options).token()
    assert refused.value.reason == reason


def test_a_provider_that_knows_no_certificates(issuer: DevIssuer, test_ca: Any) -> None:
    certificate, key = str(test_ca.certificate), str(test_ca.key)
    service = doorward.ClientCredentials(
        issuer.url, "svc", client_certificate=certificate, client_certificate_key=key, insecure_loopback_http=True
    )
    with pytest.raises(ConfigurationError) as refused:
        service.token()
    assert refused.value.reason == "certificate_unsupported"


@pytest.mark.parametrize("nonces", [False, True])
class TestWhoeverSendsATokenSendsItsProof:
    """An API that asks for proofs, and for nonces: DevIssuer's UserInfo endpoint."""

    @pytest.fixture
    def session(self, issuer: DevIssuer, sign_in: SignIn, nonces: bool) -> doorward.Session:  # noqa: FBT001 - a fixture
        issuer.change(dpop="required", dpop_nonces=nonces)
        return sign_in(prompt=Onlooker(last_address))

    def test_httpx(self, issuer: DevIssuer, session: doorward.Session, nonces: bool) -> None:  # noqa: FBT001 - the same
        import httpx2  # noqa: PLC0415 - each of these libraries is one test's alone

        from doorward.integrations.httpx import BearerAuth  # noqa: PLC0415 - the same

        auth = BearerAuth(session, origins=[issuer.url], insecure_loopback_http=True)
        with httpx2.Client(auth=auth) as client:
            for _ in range(2):
                assert client.get(issuer.endpoint("userinfo")).json()["sub"] == "alice"
        assert issuer.count("userinfo") == (3 if nonces else 2)  # the nonce is kept

    def test_requests(self, issuer: DevIssuer, session: doorward.Session, nonces: bool) -> None:  # noqa: FBT001 - the same
        import requests  # noqa: PLC0415 - the same

        from doorward.integrations.requests import BearerAuth  # noqa: PLC0415 - the same

        auth = BearerAuth(session, origins=[issuer.url], insecure_loopback_http=True)
        for _ in range(2):
            assert requests.get(issuer.endpoint("userinfo"), auth=auth, timeout=20).json()["sub"] == "alice"
        assert issuer.count("userinfo") == (3 if nonces else 2)

    def test_aiohttp(self, issuer: DevIssuer, session: doorward.Session, nonces: bool) -> None:  # noqa: FBT001 - the same
        import aiohttp  # noqa: PLC0415 - the same

        from doorward.integrations.aiohttp import BearerAuth  # noqa: PLC0415 - the same

        async def ask() -> None:
            auth = BearerAuth(session, origins=[issuer.url], insecure_loopback_http=True)
            async with aiohttp.ClientSession(middlewares=[auth]) as client:
                for _ in range(2):
                    async with client.get(issuer.endpoint("userinfo")) as answer:
                        assert (await answer.json())["sub"] == "alice"

        asyncio.run(ask())
        assert issuer.count("userinfo") == (3 if nonces else 2)

    def test_curl(self, issuer: DevIssuer, session: doorward.Session, nonces: bool) -> None:  # noqa: FBT001 - the same
        done = doorward_cli("curl", "--fail", "--insecure-loopback-http", issuer.endpoint("userinfo"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["sub"] == "alice"

    def test_a_program_that_can_not_prove_it_gets_none(
        self,
        issuer: DevIssuer,
        session: doorward.Session,
        nonces: bool,  # noqa: FBT001 - the same
    ) -> None:
        done = doorward_cli("exec", "--", "env")
        assert done.returncode == 2
        assert "bound to a key (DPoP)" in " ".join(done.stderr.split())
        assert session.token() not in done.stdout


class Behind:
    """A clock that is behind another."""

    def __init__(self, clock: Any, behind_s: float) -> None:
        self._clock, self._behind_s = clock, behind_s

    def now(self) -> float:
        return self._clock.now() - self._behind_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


class TestServices:
    @pytest.fixture
    def service(self, issuer: DevIssuer) -> Callable[..., doorward.ClientCredentials]:
        issuer.add_client("svc", secret="s3cret")

        def make(**options: Any) -> doorward.ClientCredentials:
            options = {"client_secret": "s3cret", "insecure_loopback_http": True, **options}
            return doorward.ClientCredentials(issuer.url, "svc", **options)

        return make

    @pytest.mark.parametrize("nonces", [False, True])
    @pytest.mark.parametrize("dpop", ["auto", "always"])
    def test_a_service_proves_its_key(self, issuer: DevIssuer, service: Any, dpop: Any, *, nonces: bool) -> None:
        issuer.change(dpop="required", dpop_nonces=nonces)
        source = service(dpop=dpop)
        token = source.token()
        headers = source.authorization(token, "GET", "https://api.example/x")
        assert headers["Authorization"] == f"DPoP {token}"
        assert headers["DPoP"].count(".") == 2
        assert isinstance(source, BoundTokenSource)
        assert b"PRIVATE" not in pickle.dumps(source)

    def test_a_service_that_is_not_asked_for_proofs(self, issuer: DevIssuer, service: Any) -> None:
        issuer.change(dpop="offered")
        source = service()
        token = source.token()
        assert source.authorization(token, "GET", "https://x.example") == {"Authorization": f"Bearer {token}"}

    @pytest.mark.parametrize("dpop", ["", "yes", None])
    def test_how_it_can_be_wanted(self, service: Any, dpop: Any) -> None:
        with pytest.raises(ConfigurationError) as refused:
            service(dpop=dpop)
        assert (refused.value.field, refused.value.reason) == ("dpop", "bad_use")
