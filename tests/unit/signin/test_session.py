"""A session on a vault's entry, step by step: whom it waits for, what it gives out in an outage, as whom it asks."""

from __future__ import annotations

import dataclasses

import pytest

from doorward.errors import ConfigurationError, TransportError
from doorward.model import HttpRequest, Pause, Secret
from doorward.protocol.jwk import generate_signing_key
from doorward.signin.held import Wanted
from doorward.signin.registration import Registration
from doorward.signin.session import Session
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

NOW = 1_800_000_000.0
SECRET = "planted-secret"

ENTRY = ProfileEntry(
    profile="default",
    issuer="https://id.example.org",
    client_id="cli",
    client_authentication="none",
    created_at=NOW - 3600,
    scopes=("openid", "api"),
    audience="api",
    resource="https://api.example.org",
    known_audiences=("https://other.example.org",),
    provider="gitlab",
    access_token=Secret("planted-access"),
    access_token_issued_at=NOW - 3600,
    access_token_expires_at=NOW + 6,
    id_token=Secret("planted-id"),
    id_token_issued_at=NOW - 3600,
    id_token_expires_at=NOW - 1,
    refresh_token=Secret("planted-refresh"),
)


class Clock:
    at = NOW

    def now(self):
        return self.at

    def monotonic(self):
        return self.at

    def sleep(self, seconds):
        self.at += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vault(tmp_path):
    vault = Vault(str(tmp_path / "vault"))
    vault.put(ENTRY)
    return vault


@pytest.fixture
def session(vault, clock):
    return Session("default", vault=vault, clock=clock)


def ended(step, *arguments):
    """Return what a flow gives at its end, which this step has to be."""
    with pytest.raises(StopIteration) as end:
        step(*arguments)
    return end.value.value


def test_whoever_waits_leaves_as_soon_as_another_has_renewed_it(session, vault):
    with vault.lock("default") as lock:
        assert lock.try_acquire()
        flow = session._renewed(Wanted("access"))  # noqa: SLF001 - step by step, as the transport drives it
        assert isinstance(next(flow), Pause)
        renewed = {
            "access_token": Secret("renewed"),
            "access_token_issued_at": NOW,
            "access_token_expires_at": NOW + 3600,
        }
        vault.put(dataclasses.replace(ENTRY, **renewed))
        assert ended(next, flow) == "renewed"


@pytest.mark.parametrize(
    ("left_s", "wanted"),
    [
        (6, Wanted("access")),
        (None, Wanted("access")),
        (60, Wanted("access", least_life_s=59)),
        (60, Wanted("access", rejected="another")),
    ],
)
def test_an_outage_is_bridged_by_a_token_that_is_not_at_its_end(session, vault, left_s, wanted):
    vault.put(dataclasses.replace(ENTRY, access_token_expires_at=None if left_s is None else NOW + left_s))
    flow = session._renewed(wanted)  # noqa: SLF001 - the same
    assert isinstance(next(flow), HttpRequest)
    assert ended(flow.throw, TransportError("down")) == "planted-access"


@pytest.mark.parametrize(
    ("left_s", "wanted"),
    [
        (5, Wanted("access")),
        (60, Wanted("access", least_life_s=60)),
        (60, Wanted("access", rejected="planted-access")),
        (60, Wanted("id")),
    ],
)
def test_and_by_no_other(session, vault, left_s, wanted):
    vault.put(dataclasses.replace(ENTRY, access_token_expires_at=NOW + left_s))
    flow = session._renewed(wanted)  # noqa: SLF001 - the same
    next(flow)
    with pytest.raises(TransportError):
        flow.throw(TransportError("down"))
    with vault.lock("default") as lock:
        assert lock.try_acquire(), "nobody holds it any more"


class TestAsWhomItAsks:
    def test_it_is_whoever_signed_in(self, session):
        assert session._registration(ENTRY) == Registration(  # noqa: SLF001 - what each of its requests is made from
            issuer="https://id.example.org",
            client_id="cli",
            scopes=("openid", "api"),
            audience="api",
            resource="https://api.example.org",
            known_audiences=("https://other.example.org",),
            provider="gitlab",
        )

    @pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
    def test_a_secret_comes_from_the_caller_or_the_environment_and_goes_the_registered_way(
        self, session, vault, clock, method, monkeypatch
    ):
        entry = dataclasses.replace(ENTRY, client_authentication=method)
        with pytest.raises(ConfigurationError) as refused:
            session._registration(entry)  # noqa: SLF001 - the same
        assert refused.value.field == "client_secret"
        given = Session("default", vault=vault, clock=clock, client_secret=SECRET)._registration(entry)  # noqa: SLF001 - the same
        monkeypatch.setenv("DOORWARD_CLIENT_SECRET", SECRET)
        found = session._registration(entry)  # noqa: SLF001 - the same
        assert given == found
        assert (found.client_secret, found.secret_method) == (Secret(SECRET), method)

    def test_a_key_comes_from_the_caller_alone(self, session, vault, clock):
        entry = dataclasses.replace(ENTRY, client_authentication="private_key_jwt")
        with pytest.raises(ConfigurationError) as refused:
            session._registration(entry)  # noqa: SLF001 - the same
        assert refused.value.field == "client_key"
        key = generate_signing_key("ES256")
        assert Session("default", vault=vault, clock=clock, client_key=key)._registration(entry).client_key is key  # noqa: SLF001 - the same

    def test_plain_http_is_for_an_entry_that_allows_it(self, session, vault):
        request = HttpRequest("GET", "http://127.0.0.1:1/", "a test")
        with session._transport() as transport, pytest.raises(ConfigurationError):  # noqa: SLF001 - the same
            transport.send(request)
        vault.put(dataclasses.replace(ENTRY, insecure_loopback_http=True))
        with session._transport() as transport, pytest.raises(TransportError):  # noqa: SLF001 - the same
            transport.send(request)
