"""What a provider says of itself and the person: no OpenID, endpoints of no use, further audiences, thin ID tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from people import Onlooker, asked_for

import doorward
from doorward.cli.view import who as shown_as
from doorward.errors import ConfigurationError, InvalidResponse, SignInRequired, WrongAudience
from doorward.testing.provider.switches import Switch
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from people import MovedClock

    from doorward.testing import DevIssuer

    SignIn = Callable[..., doorward.Session]

pytestmark = pytest.mark.usefixtures("person")


@pytest.fixture
def bend(issuer: DevIssuer) -> Callable[[str, dict[str, Any]], None]:
    """Let the issuer say something else at a point: the members of ``changes`` take the place of its own."""

    def do(point: Any, changes: dict[str, Any]) -> None:
        switch = Switch("bent", "", {point: lambda honest, _: {**honest, **changes}})
        issuer._core.board.turn_on({"bent": switch}, ["bent"])  # noqa: SLF001 - bends no table has a name for

    return do


class TestAServerWithoutOpenID:
    @pytest.fixture(autouse=True)
    def _without_openid(self, issuer: DevIssuer) -> None:
        issuer.change(openid=False, allowed_scopes=("all-apis", "offline_access"))

    def test_a_person_signs_in_and_the_session_renews_itself(self, sign_in: SignIn, clock: MovedClock) -> None:
        session = sign_in(scopes=["all-apis", "offline_access"], clock=clock)
        first = session.token()
        clock.ahead_s += 3650
        assert session.token() != first

    def test_of_our_own_scopes_only_those_it_lists_are_sent(self, sign_in: SignIn) -> None:
        prompt = Onlooker()
        sign_in(prompt=prompt)
        assert asked_for(prompt)["scope"] == "offline_access"

    def test_by_a_code_as_well(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.change(device_interval_s=1)
        assert sign_in(mode="device").token()

    def test_it_says_that_nobody_is_known(self, sign_in: SignIn) -> None:
        session = sign_in()
        assert session.claims == {}
        with pytest.raises(SignInRequired) as unknown:
            _ = session.principal
        assert unknown.value.reason == "no_id_token"
        with pytest.raises(SignInRequired):
            session.token("id")

    def test_nobody_signs_in_for_an_id_token_that_could_not_be_verified(self, sign_in: SignIn) -> None:
        prompt = Onlooker()
        with pytest.raises(InvalidResponse, match="jwks_uri") as refused:
            sign_in(scopes=["openid"], prompt=prompt)
        assert refused.value.reason == "missing_member"
        assert not prompt.told

    def test_signing_out_revokes(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        assert sign_in().sign_out().revoked
        assert issuer.count("revoke")

    def test_a_service_signs_in(self, issuer: DevIssuer) -> None:
        issuer.add_client("svc", secret="s3cret")
        service = doorward.ClientCredentials(
            issuer.url, "svc", client_secret="s3cret", scopes=["all-apis"], insecure_loopback_http=True
        )
        assert service.token()


class TestAnEndpointOfNoUse:
    @pytest.mark.parametrize(
        "name",
        [
            *("revocation_endpoint", "introspection_endpoint", "end_session_endpoint"),
            *("userinfo_endpoint", "device_authorization_endpoint"),
        ],
    )
    @pytest.mark.parametrize("url", ["http://id.example.org/x", 7])
    def test_it_counts_as_not_offered(self, sign_in: SignIn, bend: Any, name: str, url: Any) -> None:
        bend("metadata", {name: url})
        session = sign_in()
        assert session.token()
        done = session.sign_out()
        assert (done.revoked, done.problem) == (name != "revocation_endpoint", None)
        assert (done.logout_url is None) == (name == "end_session_endpoint")

    def test_a_service_needs_no_place_for_people_and_no_keys(self, issuer: DevIssuer, bend: Any) -> None:
        bend("metadata", {"authorization_endpoint": "http://id.example.org/a", "jwks_uri": None})
        issuer.add_client("svc", secret="s3cret")
        assert doorward.ClientCredentials(
            issuer.url, "svc", client_secret="s3cret", insecure_loopback_http=True
        ).token()

    @pytest.mark.parametrize("name", ["authorization_endpoint", "jwks_uri", "token_endpoint"])
    def test_what_is_needed_is_refused_before_anybody_is_asked(self, sign_in: SignIn, bend: Any, name: str) -> None:
        bend("metadata", {name: "http://id.example.org/x"})
        prompt = Onlooker()
        with pytest.raises(InvalidResponse, match=name) as refused:
            sign_in(prompt=prompt)
        assert refused.value.reason == "bad_endpoint"
        assert not prompt.told

    def test_a_code_that_can_not_be_asked_for_is_told(self, sign_in: SignIn, bend: Any) -> None:
        bend("metadata", {"device_authorization_endpoint": "http://id.example.org/d"})
        with pytest.raises(InvalidResponse, match="device_authorization_endpoint"):
            sign_in(mode="device")


class TestFurtherAudiences:
    """Oracle puts an address of its own beside the client, and no ``azp``."""

    ORACLE = "https://identity.example.org/"

    def test_a_stranger_is_refused_with_what_to_do(self, sign_in: SignIn, bend: Any) -> None:
        bend("id_token_claims", {"aud": ["cli", self.ORACLE]})
        with pytest.raises(WrongAudience, match="--known-audience") as refused:
            sign_in()
        assert refused.value.reason == "authorized_party_missing"
        assert self.ORACLE in refused.value.message

    def test_who_was_named_is_accepted_at_each_renewal_too(
        self, sign_in: SignIn, bend: Any, issuer: DevIssuer, clock: MovedClock
    ) -> None:
        bend("id_token_claims", {"aud": ["cli", self.ORACLE, issuer.url]})
        session = sign_in(known_audiences=[self.ORACLE], clock=clock)
        first = session.token("id")
        clock.ahead_s += 3650
        assert session.token("id") != first

    def test_who_was_named_is_not_us(self, sign_in: SignIn, bend: Any) -> None:
        bend("id_token_claims", {"aud": [self.ORACLE]})
        with pytest.raises(WrongAudience) as refused:
            sign_in(known_audiences=[self.ORACLE])
        assert refused.value.reason == "audience_mismatch"

    @pytest.mark.parametrize("names", ["https://identity.example.org/", [7]])
    def test_names_come_as_a_list(self, sign_in: SignIn, names: Any) -> None:
        with pytest.raises(ConfigurationError) as refused:
            sign_in(known_audiences=names)
        assert refused.value.field == "known_audiences"


class TestAThinIDToken:
    """OIDC Core 5.4: where there is an access token too, the UserInfo endpoint alone may tell name and address."""

    @pytest.fixture(autouse=True)
    def _thin(self, issuer: DevIssuer) -> None:
        issuer.adopt("claims_at_userinfo_only")

    def test_name_and_address_are_fetched_once_and_outlive_a_renewal(
        self, sign_in: SignIn, issuer: DevIssuer, clock: MovedClock
    ) -> None:
        session = sign_in(clock=clock)
        for _ in range(2):
            who = session.principal
            assert (who.subject, who.email, who.email_verified, who.groups) == (
                *("alice", "alice@example.org", True),
                ("eng",),
            )
            assert session.claims["name"] == "alice"
            assert shown_as(Vault().get("default")) == "alice@example.org"
            clock.ahead_s += 3650
            session.token()
        assert issuer.count("userinfo") == 1

    def test_by_a_code_as_well(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        issuer.change(device_interval_s=1)
        assert sign_in(mode="device").principal.email == "alice@example.org"

    def test_who_did_not_ask_for_it_gets_none(self, sign_in: SignIn, issuer: DevIssuer) -> None:
        assert sign_in(scopes=["openid"]).principal.email is None
        assert issuer.count("userinfo") == 0

    def test_the_id_token_has_the_last_word(self, sign_in: SignIn, bend: Any, issuer: DevIssuer) -> None:
        bend("userinfo", {"iss": "https://evil.example", "email_verified": True, "acr": "gold", "name": "Alice B."})
        issuer.add_user("alice", claims={"groups": ["eng"]})
        session = sign_in()
        assert session.principal.issuer == issuer.url
        assert "acr" not in session.claims
        assert session.claims["name"] == "Alice B."

    @pytest.mark.parametrize("sub", ["bob", None])
    def test_an_answer_about_somebody_else_is_left_alone(
        self, sign_in: SignIn, bend: Any, sub: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        bend("userinfo", {"sub": sub, "email": "mallory@example.org"})
        session = sign_in()
        assert (session.principal.subject, session.principal.email) == ("alice", None)
        assert "subject_mismatch" in caplog.text

    @pytest.mark.parametrize("kind", ["status", "html", "reset", "garbage", "truncated"])
    def test_without_an_answer_a_sign_in_is_as_good(self, sign_in: SignIn, issuer: DevIssuer, kind: Any) -> None:
        issuer.fail("userinfo", kind, times=None)
        session = sign_in()
        assert session.token()
        assert session.principal.email is None


def test_a_rich_id_token_needs_no_question(sign_in: SignIn, issuer: DevIssuer) -> None:
    assert sign_in().principal.email == "alice@example.org"
    assert issuer.count("userinfo") == 0
