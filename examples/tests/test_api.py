"""The API lets in whom it should, and nobody else."""

from collections.abc import Iterator

import pytest
from api import make_app
from starlette.testclient import TestClient

from doorward.guard import Guard, Issuer, Throttle
from doorward.testing import DevIssuer, hostile_tokens


@pytest.fixture
def client(dev_issuer: DevIssuer) -> Iterator[TestClient]:
    """The API, which trusts the issuer of this test. Its throttle must not answer before the guard does."""
    issuer = Issuer(dev_issuer.url, audiences=["my-api"], token_type="access", insecure_loopback_http=True)
    guard = Guard([issuer], throttle=Throttle(free_failures=1000))
    with TestClient(make_app(guard)) as client:
        yield client
    guard.close()


def with_token(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def test_a_good_token_is_let_in(dev_issuer: DevIssuer, client: TestClient) -> None:
    token = dev_issuer.issue_access_token("alice", audience="my-api")
    assert client.get("/me", headers=with_token(token)).json() == {"subject": "alice", "groups": ["staff"]}


def test_nobody_is_let_in_without_a_token(client: TestClient) -> None:
    assert client.get("/me").status_code == 401


def test_hostile_tokens_are_refused(dev_issuer: DevIssuer, client: TestClient) -> None:
    for hostile in hostile_tokens(dev_issuer, audience="my-api", access_only=True):
        if hostile.sendable:  # else no HTTP client would send it
            assert client.get("/me", headers=with_token(hostile.token)).status_code == 401, hostile


def test_an_outage_of_the_issuer_is_no_verdict(dev_issuer: DevIssuer, client: TestClient) -> None:
    token = dev_issuer.issue_access_token("alice", audience="my-api")
    assert client.get("/me", headers=with_token(token)).status_code == 200
    dev_issuer.rotate_keys()
    newer = dev_issuer.issue_access_token("alice", audience="my-api")
    dev_issuer.stop()
    assert client.get("/me", headers=with_token(token)).status_code == 200  # its key is known
    assert client.get("/me", headers=with_token(newer)).status_code == 503  # its key can't be fetched
