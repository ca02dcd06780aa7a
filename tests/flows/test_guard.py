"""A guard at work: settings from the environment, issuers and databases, outages, attackers, and no secret shown."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from doorward.errors import (
    ConfigurationError,
    DoorwardError,
    InvalidCredential,
    ProviderUnavailable,
    Revoked,
    StoreError,
    Throttled,
)
from doorward.guard import ApiKeys, AuditLog, Guard, Introspection, Issuer, Revocations
from doorward.integrations.asgi import GuardMiddleware
from doorward.journal.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from people import MovedClock
    from postgres import PostgreSQL

    from doorward.model import Principal
    from doorward.testing import DevIssuer

PEPPER = "planted-pepper-" + "p" * 32


@pytest.fixture
def micromegas(issuer: DevIssuer) -> dict[str, str]:
    """The variables as micromegas documents them."""
    return {
        "MICROMEGAS_OIDC_CONFIG": json.dumps(
            {
                "issuers": [{"issuer": issuer.url, "audience": "cli", "insecure_loopback_http": True}],
                "jwks_refresh_interval_secs": 3600,
                "token_cache_size": 1000,
                "token_cache_ttl_secs": 300,
            }
        ),
        "MICROMEGAS_API_KEYS": '[{"name": "ingestion", "key": "planted-key-of-a-service"}]',
        "MICROMEGAS_ADMINS": '["alice@example.org", "root"]',
    }


class TestSettings:
    def test_micromegas_variables_as_they_are(self, issuer: DevIssuer, micromegas: dict[str, str]) -> None:
        guard = Guard.from_env("MICROMEGAS", micromegas)
        asked = {"client_id": "cli", "scopes": ["openid", "email"]}
        alice = guard.authenticate(f"Bearer {issuer.issue_id_token('alice', **asked)}")
        assert (alice.email, alice.is_admin, alice.may_delegate) == ("alice@example.org", True, False)
        assert not guard.authenticate(f"Bearer {issuer.issue_id_token('bob', **asked)}").is_admin
        service = guard.authenticate("Bearer planted-key-of-a-service")
        assert (service.subject, service.kind, service.is_admin) == ("ingestion", "api_key", False)

    def test_reading_again_and_what_was_wrong_is_left(self, issuer: DevIssuer, tmp_path: Path) -> None:
        file = tmp_path / "guard.toml"
        first = f'[[issuers]]\nissuer = "{issuer.url}"\naudience = "one"\ninsecure_loopback_http = true\n'
        file.write_text(first)
        guard = Guard.from_file(file)
        one, two = (f"Bearer {issuer.issue_access_token('alice', audience=name)}" for name in ("one", "two"))
        assert guard.authenticate(one).subject == "alice"
        with pytest.raises(InvalidCredential):
            guard.authenticate(two)
        file.write_text(first.replace("audience", "audiense"))
        with pytest.raises(ConfigurationError):
            guard.reload()
        assert guard.authenticate(one).subject == "alice"
        file.write_text("trusted_proxies = ['10.0.0.0/8']\n" + first.replace('"one"', '"two"'))
        guard.reload()
        assert guard.authenticate(two).subject == "alice"
        assert guard.trusted_proxies
        with pytest.raises(InvalidCredential):  # though it was known a moment ago
            guard.authenticate(one)

    def test_a_guard_made_by_code_has_nothing_to_read_again(self, issuer: DevIssuer) -> None:
        guard = Guard([Issuer(issuer.url, ["api"], insecure_loopback_http=True)])
        with pytest.raises(ConfigurationError) as refused:
            guard.reload()
        assert refused.value.reason == "nothing_to_reload"

    def test_reading_again_keeps_what_did_not_change(
        self, issuer: DevIssuer, tmp_path: Path, clock: MovedClock
    ) -> None:
        file = tmp_path / "guard.toml"
        text = f'[[issuers]]\nissuer = "{issuer.url}"\naudience = "one"\ninsecure_loopback_http = true\n'
        file.write_text(text)
        guard = Guard.from_file(file, clock=clock)
        value = f"Bearer {issuer.issue_access_token('alice', audience='one')}"
        guard.authenticate(value)
        guard.revocations.revoke(issuer=issuer.url, subject="bob")
        fetched = issuer.count("jwks")
        file.write_text("[cache]\ntoken_size = 5\n" + text)
        guard.reload()
        assert guard.authenticate(value).subject == "alice"
        assert issuer.count("jwks") == fetched
        with pytest.raises(Revoked):
            guard.authenticate(f"Bearer {issuer.issue_access_token('bob', audience='one')}")

    def test_a_wrong_path_of_the_audit_stops_the_start(self, issuer: DevIssuer, tmp_path: Path) -> None:
        guard = Guard(
            [Issuer(issuer.url, ["api"], insecure_loopback_http=True)], audit=AuditLog(tmp_path / "no" / "audit.log")
        )
        with pytest.raises(DoorwardError):
            guard.warm_up()
        guard.close()


@pytest.mark.peer
def test_postgresql_stops_in_the_middle_of_a_load(postgresql_server: PostgreSQL, postgresql: str) -> None:
    keys = ApiKeys.sql(postgresql, pepper=PEPPER)
    remembered, unseen = (keys.create(name)[0].reveal() for name in ("remembered", "unseen"))
    stranger = ApiKeys.memory().create("stranger")[0].reveal()
    guard = Guard(api_keys=keys)
    stop = threading.Event()
    outcomes: list[tuple[str, object]] = []

    def load() -> None:
        while not stop.is_set():
            for name, key in (("remembered", remembered), ("stranger", stranger)):
                try:
                    outcomes.append((name, guard.authenticate(f"Bearer {key}", client_ip=None).subject))
                except DoorwardError as error:
                    outcomes.append((name, type(error)))
            time.sleep(0.001)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    postgresql_server.stop()
    try:
        for _ in range(5):
            with pytest.raises(StoreError) as outage:
                guard.authenticate(f"Bearer {unseen}")
            assert outage.value.status_hint == 503
        time.sleep(0.2)
    finally:
        postgresql_server.start()
        stop.set()
        for thread in threads:
            thread.join(30)
    assert {outcome for name, outcome in outcomes if name == "remembered"} == {"remembered"}
    assert not [outcome for name, outcome in outcomes if name == "stranger" and isinstance(outcome, str)]
    deadline = time.monotonic() + 20
    while True:
        try:
            assert guard.authenticate(f"Bearer {unseen}").subject == "unseen"
            break
        except StoreError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    guard.close()


def test_a_victim_gets_in_while_an_attacker_fails_ten_thousand_times(tmp_path: Path) -> None:
    keys = ApiKeys.sqlite(tmp_path / "keys.db", pepper=PEPPER)
    secret, _ = keys.create("victim")
    key = secret.reveal()
    guard = Guard(api_keys=keys)
    throttled = 0
    for number in range(10_000):
        try:
            guard.authenticate(f"Bearer {key[:-8]}{number:08d}", client_ip="198.51.100.7")
        except Throttled:
            throttled += 1
        except InvalidCredential:
            pass
    assert throttled > 9_000
    assert guard.authenticate(f"Bearer {key}", client_ip="192.0.2.1").subject == "victim"
    guard.close()


@pytest.mark.parametrize("spoof", [lambda n: f"10.0.{n // 250}.{n % 250}", lambda n: f"{n}.1.1.1, 10.0.0.1"])
async def test_rotating_x_forwarded_for_gains_nothing(issuer: DevIssuer, spoof: Callable[[int], str]) -> None:
    guard = Guard([Issuer(issuer.url, ["api"], insecure_loopback_http=True)])

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        pytest.fail("nobody may get here")

    app = GuardMiddleware(application, guard)
    statuses: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for number in range(60):
        headers = [(b"authorization", b"Bearer guess%d" % number), (b"x-forwarded-for", spoof(number).encode())]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": ("203.0.113.9", 5)}
        await app(scope, None, send)
    assert set(statuses[:5]) == {401}
    assert statuses[-1] == 429


def test_planted_secrets_appear_nowhere(
    issuer: DevIssuer, tmp_path: Path, caplog: pytest.LogCaptureFixture, clock: MovedClock
) -> None:
    caplog.set_level(logging.DEBUG)
    keys = ApiKeys.sqlite(tmp_path / "keys.db", pepper=PEPPER, keyring=[{"name": "a", "key": "planted-keyring-key"}])
    secret, _ = keys.create("nightly")
    introspection = Introspection(
        issuer.url, "api", client_secret="planted-client-secret", insecure_loopback_http=True, audiences=["api"]
    )
    audit = AuditLog(tmp_path / "audit.log", key="planted-audit-key-0123456789")
    guard = Guard(
        [Issuer(issuer.url, ["api"], insecure_loopback_http=True)],
        keys,
        introspection=introspection,
        revocations=Revocations.sqlite(tmp_path / "revoked.db"),
        audit=audit,
        clock=clock,
    )
    token = issuer.issue_access_token("alice", audience="api")
    credentials = [
        token,
        token[:-6] + "AAAAAA",
        token.replace(".", ".."),
        issuer.issue_access_token("alice", audience="another"),
        secret.reveal(),
        secret.reveal()[:-2] + "00",
        "planted-keyring-key",
        "planted-keyring-kez",
        "planted.opaque.token",
    ]
    shown = [repr(guard), repr(keys), repr(introspection), repr(audit)]
    for credential in credentials:
        for header in (f"Bearer {credential}", f"Basic {credential}", f"Bearer {credential}\t", credential):
            try:
                shown.append(repr(guard.authenticate(header, client_ip="192.0.2.1", scopes=["x"])))
            except DoorwardError as error:
                shown += [repr(error), str(error), "".join(traceback.format_exception(error)), repr(vars(error))]
            clock.ahead_s += 400  # so that the throttle does not answer in their place
        shown.append(repr(guard.explain(credential)))
    guard.revocations.revoke(token=token)
    guard.close()
    written = (tmp_path / "audit.log").read_text()
    assert verify(tmp_path / "audit.log", key="planted-audit-key-0123456789").ok
    everything = "\n".join([*shown, written, caplog.text])
    secrets = [
        *(part for credential in credentials[:4] for part in credential.split(".")[1:] if part),
        secret.reveal()[16:48],
        PEPPER,
        "planted-keyring-ke",
        "planted-client-secret",
        "planted-audit-key",
        "planted.opaque.token",
    ]
    for each in secrets:
        assert each not in everything, [line for line in everything.splitlines() if each in line][:2]
    for database in ("keys.db", "revoked.db"):
        stored = (tmp_path / database).read_bytes()
        assert not [each for each in secrets if each.encode() in stored]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_many_at_once_cause_one_fetch(issuer: DevIssuer, way: str) -> None:
    guard = Guard([Issuer(issuer.url, ["api"], insecure_loopback_http=True)])
    values = [f"Bearer {issuer.issue_access_token('alice', audience='api')}" for _ in range(40)]
    if way == "async":

        async def all_of_them() -> list[Principal]:
            return list(await asyncio.gather(*map(guard.aauthenticate, values)))

        principals = asyncio.run(all_of_them())
    else:
        principals = []
        threads = [
            threading.Thread(target=lambda v=value: principals.append(guard.authenticate(v))) for value in values
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert [principal.subject for principal in principals] == ["alice"] * 40
    assert issuer.count("jwks") == 1


@pytest.mark.parametrize("down", ["endpoint", "port"])
def test_a_new_key_of_an_issuer_that_is_down_is_an_outage(issuer: DevIssuer, clock: MovedClock, down: str) -> None:
    """Whoever has a token of a key that nobody could fetch yet keeps it, and does not count as a guesser."""
    guard = Guard([Issuer(issuer.url, ["api"], insecure_loopback_http=True)], clock=clock)
    known = f"Bearer {issuer.issue_access_token('alice', audience='api')}"
    guard.authenticate(known)
    issuer.rotate_keys()
    value = f"Bearer {issuer.issue_access_token('alice', audience='api')}"
    if down == "endpoint":
        issuer.fail("jwks", times=None)
    else:
        issuer.stop()
    for _ in range(30):
        with pytest.raises(ProviderUnavailable) as caught:
            guard.authenticate(value, client_ip="192.0.2.1")
        assert caught.value.reason == "keys_not_current"
    assert guard.authenticate(known, client_ip="192.0.2.1").subject == "alice"
    guard.close()
