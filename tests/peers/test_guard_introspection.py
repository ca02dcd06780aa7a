"""Introspection at a certified provider, over https: opaque tokens of people and services, and what it can't tell."""

from __future__ import annotations

import urllib.parse
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

import doorward
from doorward.errors import DoorwardError, Inactive, ProviderUnavailable, TransportError, WrongAudience
from doorward.guard.introspection.introspection import Introspection
from doorward.guard.work import finish
from doorward.protocol.jwk import SigningKey
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("trust_test_ca")

NOW = SystemClock().now
OPAQUE, SIGNED = "urn:api:opaque", "urn:api:jwt"


@pytest.fixture
def asking(oidc_provider: Any) -> Iterator[Callable[..., Introspection]]:
    made: list[Introspection] = []

    def make(client_id: str = "resource-server", **settings: Any) -> Introspection:
        settings = {
            "client_secret": f"{client_id}-secret",
            "audiences": [OPAQUE],
            "subject_claim": "client_id",
            **settings,
        }
        made.append(Introspection(oidc_provider.https, client_id, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def service_token(oidc_provider: Any) -> Callable[..., str]:
    def ask(resource: str = OPAQUE) -> str:
        return doorward.ClientCredentials(
            oidc_provider.https,
            "service-basic",
            client_secret="service-basic-secret",
            resource=resource,
            scopes=["read"],
        ).token()

    return ask


def revoke(oidc_provider: Any, token: str) -> None:
    credentials = b64encode(b"service-basic:service-basic-secret").decode()
    request = urllib.request.Request(
        f"{oidc_provider.https}/token/revocation",
        urllib.parse.urlencode({"token": token}).encode(),
        {"Authorization": f"Basic {credentials}"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def refused(asking: Introspection, token: str) -> DoorwardError:
    with pytest.raises(DoorwardError) as caught:
        finish(asking.ask(token, now=NOW()))
    return caught.value


def test_a_services_token_until_the_provider_revokes_it(asking, service_token, oidc_provider: Any) -> None:
    guarding, token = asking(), service_token()
    said = finish(guarding.ask(token, now=NOW(), issuer=oidc_provider.https))
    assert (said.subject, said.audience, said.claims["scope"]) == ("service-basic", (OPAQUE,), "read")
    assert NOW() < said.good_until < said.expires_at
    revoke(oidc_provider, token)
    error = refused(asking(), token)  # another process, which has not asked yet
    assert (type(error), error.reason) == (Inactive, "inactive")
    guarding.forget(token)
    assert refused(guarding, token).reason == "inactive"


@pytest.mark.parametrize("client_id", ["confidential-basic", "confidential-post"])
def test_other_ways_to_send_the_secret(asking, service_token, client_id: str) -> None:
    # The metadata lists both ways; this provider insists on the one a client is registered for.
    method = f"client_secret_{client_id.rpartition('-')[2]}"
    assert finish(asking(client_id, secret_method=method).ask(service_token(), now=NOW())).subject == "service-basic"


def test_a_signed_assertion(asking, service_token, oidc_provider: Any) -> None:
    key = SigningKey.from_pem(oidc_provider.client_keys["ES256"], alg="ES256", kid="client-ES256")
    guarding = asking("service-jwt", client_secret=None, client_key=key)
    assert finish(guarding.ask(service_token(), now=NOW())).subject == "service-basic"


def test_for_another_service(asking, service_token) -> None:
    error = refused(asking(audiences=["urn:api:other"]), service_token())
    assert (type(error), error.reason) == (WrongAudience, "audience_mismatch")


def test_a_persons_tokens(asking, oidc_provider: Any, person: Any) -> None:
    session = doorward.sign_in(
        oidc_provider.https,
        "native",
        resource=OPAQUE,
        scopes=["openid", "offline_access", "read"],
        prompt=person(oidc_provider.sign_in),
        provider="oidc-provider",
        timeout_s=30,
    )
    assert finish(asking().ask(session.token(), now=NOW())).subject == "alice"
    refresh_token = session._vault.get("default").refresh_token.reveal()  # noqa: SLF001 - nobody else may see it
    for audiences in ([OPAQUE], []):
        with pytest.raises(DoorwardError) as caught:
            finish(asking(audiences=audiences).ask(refresh_token, now=NOW()))
        assert caught.value.status_hint == 401


def test_it_can_not_be_asked_about_signed_tokens(asking, service_token) -> None:
    """What `for_scopes` says: at such a provider nobody gets in by it, whether it answers "not active" or refuses."""
    error = refused(asking(audiences=[SIGNED]), service_token(SIGNED))
    assert (type(error), error.reason) in {(Inactive, "inactive"), (ProviderUnavailable, "oauth_error")}


def test_our_own_secret_is_wrong(asking, service_token) -> None:
    error = refused(asking(client_secret="planted-wrong-secret"), service_token())
    assert (type(error), error.reason, error.status_hint) == (ProviderUnavailable, "client_refused", 503)
    assert "planted" not in str(error)


def test_a_certificate_nobody_trusts(asking, service_token, monkeypatch: pytest.MonkeyPatch) -> None:
    token = service_token()
    monkeypatch.delenv("SSL_CERT_FILE")
    error = refused(asking(), token)
    assert (type(error), error.reason) == (TransportError, "tls_certificate")
