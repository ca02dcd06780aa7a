"""The guard and a certified provider: its tokens in, across rotation, and out after revocation."""

from __future__ import annotations

import asyncio
import urllib.parse
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from people import MovedClock

import doorward
from doorward.errors import Inactive, Revoked, UnknownKey, WrongAudience, WrongType
from doorward.guard import Guard, Introspection, Issuer

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.model import Principal

pytestmark = pytest.mark.usefixtures("trust_test_ca")

APIS = {"RS256": "urn:api:jwt", "PS256": "urn:api:ps256", "ES256": "urn:api:es256", "EdDSA": "urn:api:eddsa"}
CLIENTS = {"RS256": "native", "PS256": "native-ps256", "ES256": "native-es256", "EdDSA": "native-eddsa"}


@pytest.fixture
def access_token(oidc_provider: Any) -> Callable[..., str]:
    """Ask the provider for an access token, as a service does."""

    def ask(resource: str = "urn:api:jwt", scopes: tuple[str, ...] = ("read",)) -> str:
        service = doorward.ClientCredentials(
            oidc_provider.https, "service-basic", client_secret="service-basic-secret", resource=resource, scopes=scopes
        )
        return service.token()

    return ask


@pytest.fixture(params=["sync", "async"])
def admit(request: pytest.FixtureRequest) -> Callable[..., Principal]:
    """Ask a guard about a token, through either driver."""

    def ask(guard: Guard, token: str, **options: Any) -> Principal:
        if request.param == "sync":
            return guard.authenticate(f"Bearer {token}", **options)
        return asyncio.run(guard.aauthenticate(f"Bearer {token}", **options))

    return ask


@pytest.mark.parametrize("algorithm", APIS)
def test_access_tokens_in_every_algorithm(
    oidc_provider: Any, access_token: Callable[..., str], admit: Callable[..., Principal], algorithm: str
) -> None:
    guard = Guard([Issuer(oidc_provider.https, [APIS[algorithm]], token_type="access", algorithms=[algorithm])])
    token = access_token(APIS[algorithm])
    principal = admit(guard, token, scopes=["read"])
    assert (principal.issuer, principal.subject) == (oidc_provider.https, "service-basic")
    assert principal.audience == (APIS[algorithm],)
    assert principal.scopes == ("read",)
    assert admit(guard, token) is principal
    guard.close()


@pytest.mark.parametrize("algorithm", CLIENTS)
def test_id_tokens_in_every_algorithm(oidc_provider: Any, person: Any, algorithm: str) -> None:
    session = doorward.sign_in(
        oidc_provider.https, CLIENTS[algorithm], prompt=person(oidc_provider.sign_in), timeout_s=60
    )
    token = session.token("id")
    issuer = Issuer(oidc_provider.https, [CLIENTS[algorithm]], token_type="id", trust_email=True)
    principal = Guard([issuer]).authenticate(f"Bearer {token}")
    assert (principal.subject, principal.email, principal.email_verified) == ("alice", "alice@example.test", True)
    assert principal.groups == ("users",)
    with pytest.raises(WrongType):
        Guard([Issuer(oidc_provider.https, [CLIENTS[algorithm]], token_type="access")]).authenticate(f"Bearer {token}")
    with pytest.raises(WrongAudience):
        Guard([Issuer(oidc_provider.https, ["another-client"], token_type="id")]).authenticate(f"Bearer {token}")


def test_keys_that_rotate_with_overlap(
    oidc_provider: Any, access_token: Callable[..., str], admit: Callable[..., Principal]
) -> None:
    clock = MovedClock()
    guard = Guard([Issuer(oidc_provider.https, ["urn:api:jwt"])], clock=clock)
    old = access_token()
    admit(guard, old)
    oidc_provider.rotate_keys()
    new = access_token()
    clock.ahead_s += 31  # the cooldown between two fetches for unknown keys
    assert admit(guard, new).subject == "service-basic"
    assert admit(guard, old).subject == "service-basic"


def test_keys_that_rotate_without_overlap(
    oidc_provider: Any, access_token: Callable[..., str], admit: Callable[..., Principal]
) -> None:
    clock = MovedClock()
    guard = Guard([Issuer(oidc_provider.https, ["urn:api:jwt"])], clock=clock)
    old = access_token()
    admit(guard, old)
    oidc_provider.rotate_keys(drop=True)
    new = access_token()
    clock.ahead_s += 61  # by then the keys are newer than both tokens, for certain
    assert admit(guard, new).subject == "service-basic"
    with pytest.raises(UnknownKey):  # though it was accepted a moment ago, and remembered
        admit(guard, old)


def test_a_revoked_token_is_refused_by_our_own_list(
    oidc_provider: Any, access_token: Callable[..., str], admit: Callable[..., Principal]
) -> None:
    guard = Guard([Issuer(oidc_provider.https, ["urn:api:jwt"])])
    revoked, other = access_token(), access_token()
    admit(guard, revoked)
    guard.revocations.revoke(token=revoked)
    with pytest.raises(Revoked):
        admit(guard, revoked)
    assert admit(guard, other).subject == "service-basic"


def test_an_opaque_token_until_its_provider_revokes_it(
    oidc_provider: Any, access_token: Callable[..., str], admit: Callable[..., Principal]
) -> None:
    clock = MovedClock()
    introspection = Introspection(
        oidc_provider.https,
        "resource-server",
        client_secret="resource-server-secret",
        audiences=["urn:api:opaque"],
        subject_claim="client_id",  # this provider tells no sub of a client's own tokens
    )
    guard = Guard(introspection=introspection, clock=clock)
    token = access_token("urn:api:opaque")
    principal = admit(guard, token, scopes=["read"])
    assert (principal.issuer, principal.subject, principal.kind) == (oidc_provider.https, "service-basic", "opaque")
    _revoke_at_provider(oidc_provider, token)
    guard.invalidate(token=token)
    with pytest.raises(Inactive):
        admit(guard, token)


def _revoke_at_provider(oidc_provider: Any, token: str) -> None:
    credentials = b64encode(b"service-basic:service-basic-secret").decode()
    request = urllib.request.Request(
        f"{oidc_provider.https}/token/revocation",
        urllib.parse.urlencode({"token": token}).encode(),
        {"Authorization": f"Basic {credentials}"},
    )
    urllib.request.urlopen(request).close()
