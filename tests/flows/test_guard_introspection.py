"""Introspection against an issuer that can be told to fail, to lie and to be slow: every way to ask, both drivers."""

from __future__ import annotations

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI, Security
from people import ForwardClock

from doorward.errors import (
    DoorwardError,
    Inactive,
    ProviderUnavailable,
    TransportError,
    UnavailableError,
    UnknownIssuer,
    WrongAudience,
)
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.guard import Guard
from doorward.guard.introspection.introspection import Introspection
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.throttle import Throttle
from doorward.guard.work import afinish, finish
from doorward.integrations.asgi import GuardMiddleware
from doorward.integrations.fastapi import Authenticate
from doorward.protocol.jwk import SigningKey, generate_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from people import MovedClock

    from doorward.guard.introspection.introspection import Introspected
    from doorward.testing import DevIssuer

    Make = Callable[..., Introspection]

SECRET = "planted-introspection-secret"
AUDIENCE = "urn:api"


@pytest.fixture
def make(issuer: DevIssuer, clock: MovedClock) -> Iterator[Make]:
    issuer.add_client("api", secret=SECRET)
    made: list[Introspection] = []

    def build(client_id: str = "api", **settings: Any) -> Introspection:
        settings = {"client_secret": SECRET, "audiences": [AUDIENCE], "insecure_loopback_http": True, **settings}
        made.append(Introspection(issuer.url, client_id, **{"clock": clock, **settings}))
        return made[-1]

    yield build
    for each in made:
        each.close()


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, clock: MovedClock) -> Callable[..., Introspected]:
    def do(asking: Introspection, token: str, **options: Any) -> Introspected:
        work = asking.ask(token, now=clock.now(), **options)
        return finish(work) if request.param == "sync" else asyncio.run(afinish(work))

    return do


@pytest.fixture
def token(issuer: DevIssuer) -> str:
    return issuer.issue_access_token("alice", audience=AUDIENCE, scopes=["read"])


def refused(call: Callable[..., Any], *arguments: Any, **options: Any) -> DoorwardError:
    with pytest.raises(DoorwardError) as caught:
        call(*arguments, **options)
    assert "planted" not in f"{caught.value}{caught.value.__cause__}"
    return caught.value


def test_an_active_token(make: Make, ask, issuer: DevIssuer, token: str, clock: MovedClock) -> None:
    said = ask(make(), token)
    assert (said.subject, said.audience) == ("alice", (AUDIENCE,))
    assert said.claims["scope"] == "read"
    assert clock.now() < said.good_until <= clock.now() + 30
    assert said.good_until < said.expires_at


def test_an_answer_is_used_again_for_its_time(
    make: Make, ask, issuer: DevIssuer, token: str, clock: MovedClock
) -> None:
    asking = make()
    for _ in range(3):
        ask(asking, token)
    assert issuer.count("introspect") == 1
    clock.ahead_s += 31
    ask(asking, token)
    assert issuer.count("introspect") == 2
    assert issuer.count("discovery") == 1


def test_a_revoked_token_is_good_for_no_longer_than_its_answer(
    make: Make, ask, issuer: DevIssuer, token: str, clock: MovedClock
) -> None:
    asking = make(cache_ttl_s=10)
    ask(asking, token)
    issuer.revoke_everything("alice")
    clock.ahead_s += 11
    error = refused(ask, asking, token)
    assert (type(error), error.reason, error.status_hint) == (Inactive, "inactive", 401)


def test_forgetting_asks_again(make: Make, ask, issuer: DevIssuer, token: str) -> None:
    asking = make()
    ask(asking, token)
    issuer.revoke_everything("alice")
    asking.forget(token)
    assert refused(ask, asking, token).reason == "inactive"


def test_for_high_privilege_it_is_asked_each_time(make: Make, ask, issuer: DevIssuer, token: str) -> None:
    asking = make(for_scopes=["admin"])
    ask(asking, token)
    ask(asking, token, privileged=True)
    assert issuer.count("introspect") == 2
    issuer.revoke_everything("alice")
    assert refused(ask, asking, token, privileged=True).reason == "inactive"
    assert refused(ask, asking, token).reason == "inactive"  # and the older, better word counts no longer


async def test_a_route_that_needs_a_high_privilege_asks_behind_a_middleware_that_does_not(
    make: Make, issuer: DevIssuer
) -> None:
    asking = make(for_scopes=["admin"])
    guard = Guard([Issuer(issuer.url, [AUDIENCE], insecure_loopback_http=True)], introspection=asking)
    api = FastAPI()
    may_erase = Security(Authenticate(guard), scopes=["admin"])
    api.get("/erase", dependencies=[may_erase])(lambda: "erased")
    token = issuer.issue_access_token("alice", audience=AUDIENCE, scopes=["admin"])
    transport = httpx2.ASGITransport(GuardMiddleware(api, guard))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.example.org") as client:
        client.headers["Authorization"] = f"Bearer {token}"
        assert (await client.get("/erase")).status_code == 200
        issuer.revoke_everything("alice")
        assert (await client.get("/erase")).status_code == 401
    guard.close()


def test_a_clock_that_is_set_back_makes_no_answer_younger(
    make: Make, ask, issuer: DevIssuer, token: str, clock: MovedClock
) -> None:
    asking = make(for_scopes=["admin"])
    clock.ahead_s = 60
    ask(asking, token, privileged=True)
    clock.ahead_s = 40
    ask(asking, token, privileged=True)
    assert issuer.count("introspect") == 2
    issuer.revoke_everything("alice")
    clock.ahead_s = 20
    assert refused(ask, asking, token).reason == "inactive"


def test_for_high_privilege_within_a_few_seconds(make: Make, ask, issuer: DevIssuer, token: str, clock) -> None:
    asking = make(for_scopes=["admin"], for_scopes_ttl_s=5)
    ask(asking, token)
    ask(asking, token, privileged=True)
    assert issuer.count("introspect") == 1
    clock.ahead_s += 6
    ask(asking, token, privileged=True)
    assert issuer.count("introspect") == 2


class TestBehindAGuard:
    """What opaque tokens cost those who send them, and nobody else (decision 13)."""

    @pytest.fixture
    def guard(self, make: Make, issuer: DevIssuer, clock: MovedClock) -> Iterator[Guard]:
        issuer.change(access_token_format="opaque")
        asking = make(for_scopes=["admin"], timeout_s=10)
        guard = Guard(introspection=asking, clock=clock, throttle=Throttle(spared_questions=0))
        yield guard
        guard.close()

    @pytest.fixture
    def opaque(self, issuer: DevIssuer) -> Callable[..., str]:
        return lambda subject="alice", **claims: issuer.issue_access_token(subject, audience=AUDIENCE, **claims)

    @pytest.fixture(params=["sync", "async"])
    def enter(self, request: pytest.FixtureRequest, guard: Guard) -> Callable[..., str]:
        def enter(token: str, client_ip: str = "192.0.2.1", **options: Any) -> str:
            authorization = f"Bearer {token}"
            try:
                if request.param == "sync":
                    return guard.authenticate(authorization, client_ip=client_ip, **options).subject
                return asyncio.run(guard.aauthenticate(authorization, client_ip=client_ip, **options)).subject
            except DoorwardError as error:
                return f"{error.code}/{error.reason}"

        return enter

    def test_made_up_tokens_are_guesses(self, enter, issuer: DevIssuer, opaque) -> None:
        heard = [enter(f"made-up-{number}") for number in range(40)]
        assert heard[:11] == ["inactive/inactive"] * 11
        assert set(heard[11:]) == {"throttled/address_throttled"}
        assert issuer.count("introspect") == 11
        assert enter(opaque(), "192.0.2.2") == "alice"

    def test_a_new_token_does_not_wait_for_the_guesses_of_its_neighbours(
        self, make: Make, issuer: DevIssuer, opaque, clock: MovedClock
    ) -> None:
        clock.now = lambda: 1_800_000_000 + clock.ahead_s  # type: ignore[method-assign] # seconds that do not pass
        issuer.change(access_token_format="opaque")
        guard = Guard(introspection=make(), clock=clock, throttle=Throttle(free_failures=0, spared_questions=4))

        def enter(token: str) -> str:
            try:
                return guard.authenticate(f"Bearer {token}", client_ip="192.0.2.1").subject
            except DoorwardError as error:
                return error.reason

        assert enter("made-up") == "inactive"
        assert [enter(opaque(f"user{number}")) for number in range(5)] == [f"user{number}" for number in range(5)]
        heard = [enter(f"made-up-{number}") for number in range(5)]
        assert heard == ["address_throttled"] * 2 + ["checks_used_up"] * 3
        assert enter(opaque()) == "checks_used_up"
        clock.ahead_s += 1
        assert enter(opaque()) == "alice"
        keys = ApiKeys.memory(clock=clock, keyring=[{"name": "weak", "key": "abcdefgh"}])
        guard = Guard((), keys, introspection=make(), clock=clock, throttle=Throttle(free_failures=0))
        assert [enter(token) for token in ("made-up", "abcdefgh", opaque())] == ["inactive", *["address_throttled"] * 2]
        guard.close()

    def test_an_old_token_that_is_sent_again_and_again_is_one_failure(
        self, enter, issuer: DevIssuer, opaque, clock: MovedClock
    ) -> None:
        old = opaque()
        issuer.revoke_everything("alice")
        for _ in range(30):
            assert enter(old) == "inactive/inactive"
            clock.ahead_s += 6  # longer than the refusal is remembered
        assert enter(opaque("bob")) == "bob"

    def test_tokens_that_were_good_are_no_guesses_when_they_end(
        self, enter, issuer: DevIssuer, opaque, clock: MovedClock
    ) -> None:
        tokens = [opaque() for _ in range(15)]
        assert {enter(token) for token in tokens} == {"alice"}
        issuer.revoke_everything("alice")
        clock.ahead_s += 31
        assert {enter(token) for token in tokens} == {"inactive/inactive"}
        assert enter(opaque("bob")) == "bob"

    def test_a_token_that_was_good_is_asked_about_though_its_address_waits(
        self, enter, issuer: DevIssuer, opaque, clock: MovedClock
    ) -> None:
        good, ended = opaque(), opaque("bob")
        assert (enter(good), enter(ended)) == ("alice", "bob")
        clock.ahead_s += 31
        while enter(f"made-up-{issuer.count('introspect')}") != "throttled/address_throttled":
            pass
        assert enter(good) == "alice"
        issuer.revoke_everything("bob")
        assert enter(ended) == "inactive/inactive"
        assert enter(ended) == "throttled/address_throttled"

    def test_what_needs_a_high_privilege_is_asked_about_each_time(self, enter, issuer: DevIssuer, opaque) -> None:
        token = opaque(scopes=["admin"])
        assert enter(token) == "alice"
        assert enter(token, scopes=["admin"]) == "alice"
        assert enter(token, scopes=["admin"]) == "alice"
        assert issuer.count("introspect") == 3
        issuer.revoke_everything("alice")
        assert enter(token, scopes=["admin"]) == "inactive/inactive"
        assert enter(token) == "inactive/inactive"  # and what was said before counts no longer

    @pytest.mark.parametrize(
        "flood",
        [
            "203.0.113.9",
            "2001:db8::{:x}:1",
            "2001:db8:0:{:x}::1",  # another /64 each, of one site
            None,
        ],
    )
    async def test_a_flood_keeps_no_good_token_out(
        self, guard: Guard, issuer: DevIssuer, opaque, flood: str | None
    ) -> None:
        issuer.fail("introspect", "delay", delay_s=0.2, times=None)
        good = [opaque(f"user{number}") for number in range(5)]

        async def guess(number: int) -> str:
            try:
                await guard.aauthenticate(f"Bearer made-up-{number}", client_ip=flood and flood.format(number))
            except DoorwardError as error:
                return error.reason
            return "let in"

        guessing = [asyncio.create_task(guess(number)) for number in range(200)]
        await asyncio.sleep(0.1)
        entering = [guard.aauthenticate(f"Bearer {token}", client_ip="198.51.100.7") for token in good]
        assert [each.subject for each in await asyncio.gather(*entering)] == [f"user{number}" for number in range(5)]
        assert not all(each.done() for each in guessing)
        heard = [await each for each in guessing]
        assert set(heard) == {"inactive", "too_busy"}

    async def test_a_flood_from_everywhere_keeps_no_token_out_that_was_good(
        self, guard: Guard, issuer: DevIssuer, opaque, clock: MovedClock
    ) -> None:
        good = [opaque(f"user{number}") for number in range(5)]
        for token in good:
            await guard.aauthenticate(f"Bearer {token}", client_ip="198.51.100.7")
        clock.ahead_s += 31
        issuer.fail("introspect", "delay", delay_s=0.2, times=None)
        guessing = [
            asyncio.create_task(guard.aauthenticate(f"Bearer made-up-{host}", client_ip=f"10.0.0.{host}"))
            for host in range(200)
        ]
        await asyncio.sleep(0.1)
        entering = [guard.aauthenticate(f"Bearer {token}", client_ip="198.51.100.7") for token in good]
        assert [each.subject for each in await asyncio.gather(*entering)] == [f"user{number}" for number in range(5)]
        assert not all(each.done() for each in guessing)
        heard = await asyncio.gather(*guessing, return_exceptions=True)
        assert {type(each) for each in heard} == {Inactive, UnavailableError}


def test_a_refusal_is_remembered_briefly(make: Make, ask, issuer: DevIssuer, clock: MovedClock) -> None:
    asking = make()
    errors = [refused(ask, asking, "no-such-token") for _ in range(3)]
    assert {each.reason for each in errors} == {"inactive"}
    assert len({id(each) for each in errors}) == 3
    assert issuer.count("introspect") == 1
    clock.ahead_s += 6
    refused(ask, asking, "no-such-token")
    assert issuer.count("introspect") == 2


def test_refusals_evict_no_good_token(make: Make, ask, issuer: DevIssuer, token: str) -> None:
    asking = make(cache_ttl_s=300)
    ask(asking, token)
    refused_cache = asking._refused  # noqa: SLF001 - a thousand real questions would take half a minute
    known = refused(ask, asking, "bad")
    (entry,) = refused_cache._decisions.values()  # noqa: SLF001 - as above
    for number in range(3000):
        refused_cache.put(number.to_bytes(4), entry)
    assert len(refused_cache) == 1000
    ask(asking, token)
    assert issuer.count("introspect") == 2
    assert known.reason == "inactive"


def test_a_token_for_another_service(make: Make, ask, issuer: DevIssuer) -> None:
    other = issuer.issue_access_token("alice", audience="urn:other")
    error = refused(ask, make(), other)
    assert (type(error), error.reason) == (WrongAudience, "audience_mismatch")


def test_a_token_of_another_issuer_is_not_shown_to_this_one(make: Make, ask, issuer: DevIssuer, token: str) -> None:
    error = refused(ask, make(), token, issuer="https://other.example", privileged=True)
    assert (type(error), error.reason) == (UnknownIssuer, "other_issuer")
    assert not issuer.requests
    assert ask(make(), token, issuer=issuer.url).subject == "alice"


def test_a_refresh_token_is_no_access_token(make: Make, ask, issuer: DevIssuer, person, sign_in) -> None:
    session = sign_in()
    entry = session._vault.get("default")  # noqa: SLF001 - nobody else may see a refresh token
    refresh_token = entry.refresh_token.reveal()
    assert refused(ask, make(), refresh_token).reason == "aud_missing"
    assert refused(ask, make(audiences=()), refresh_token).reason == "token_type_missing"


@pytest.mark.parametrize(
    ("settings", "authorization"),
    [
        ({}, "Basic"),
        ({"secret_method": "client_secret_post"}, None),
        ({"secret_method": "client_secret_basic"}, "Basic"),
        ({"endpoint": True}, "Basic"),
        ({"endpoint": True, "secret_method": "client_secret_post"}, None),
    ],
)
def test_each_way_to_send_the_secret(make: Make, ask, issuer: DevIssuer, token: str, settings, authorization) -> None:
    if settings.get("endpoint"):
        settings = {**settings, "endpoint": issuer.endpoint("introspect")}
    assert ask(make(**settings), token).subject == "alice"
    assert issuer.count("discovery") == (0 if "endpoint" in settings else 1)


@pytest.mark.parametrize("endpoint", [False, True])
def test_a_signed_assertion(make: Make, ask, issuer: DevIssuer, token: str, *, endpoint: bool) -> None:
    key: SigningKey = generate_signing_key("ES256", kid="k")
    issuer.add_client("signer", jwks=json.dumps({"keys": [key.public_jwk()]}).encode())
    where = {"endpoint": issuer.endpoint("introspect")} if endpoint else {}
    assert ask(make("signer", client_secret=None, client_key=key, **where), token).subject == "alice"


@pytest.mark.parametrize("settings", [{"client_secret": "wrong-secret"}, {"client_secret": None}])
def test_our_own_credentials_are_refused(make: Make, ask, token: str, settings) -> None:
    error = refused(ask, make(**settings), token)
    assert (type(error), error.reason, error.status_hint) == (ProviderUnavailable, "client_refused", 503)
    assert "client_id" in str(error)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 503}, "server_failure"),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "7"}}, "too_many_requests"),
        ({"kind": "status", "status": 401, "body": b"{}"}, "client_refused"),
        ({"kind": "status", "status": 403, "body": b"{}"}, "client_refused"),
        ({"kind": "status", "status": 404, "body": b"{}"}, "unexpected_status"),
        ({"kind": "status", "status": 302, "headers": {"Location": "http://169.254.169.254/"}}, "redirect"),
        ({"kind": "html"}, "not_json"),
        ({"kind": "status", "status": 200, "body": b"{"}, "invalid_json"),
        ({"kind": "garbage"}, None),
        ({"kind": "reset"}, None),
        ({"kind": "close"}, None),
        ({"kind": "truncated"}, None),
        ({"kind": "hang", "delay_s": 3}, None),
    ],
)
@pytest.mark.parametrize("where", ["introspect", "discovery"])
def test_an_outage_is_no_verdict(make: Make, ask, issuer: DevIssuer, token: str, where: str, fault, reason) -> None:
    asking = make(timeout_s=1 if fault["kind"] == "hang" else 30)  # a busy machine gets its answer all the same
    issuer.fail(where, **fault, times=None)
    error = refused(ask, asking, token)
    assert isinstance(error, UnavailableError)
    assert error.status_hint == 503
    if reason and where == "introspect":
        assert error.reason == reason
    if fault.get("status") == 429:
        assert error.retry_after_s == 7
    issuer.behave()
    give_up_at = time.monotonic() + 60
    while fault["kind"] == "hang" and time.monotonic() < give_up_at:  # the question that hangs may still be waited for
        with suppress(UnavailableError):
            ask(asking, token)
            break
    assert ask(asking, token).subject == "alice"  # nothing of it was remembered


@pytest.mark.parametrize("body", [b"{}", b'{"active": "true"}', b'{"active": 1}', b'{"active": null}', b"[]"])
def test_what_is_neither_yes_nor_no(make: Make, ask, issuer: DevIssuer, token: str, body: bytes) -> None:
    issuer.fail("introspect", status=200, body=body)
    error = refused(ask, make(), token)
    assert (error.reason, error.status_hint) in {("bad_active", 503), ("invalid_json", 503)}


def test_an_issuer_that_offers_none(make: Make, ask, issuer: DevIssuer, token: str) -> None:
    metadata = json.dumps({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}).encode()
    issuer.fail("discovery", status=200, body=metadata)
    error = refused(ask, make(), token)
    assert (error.reason, error.status_hint) == ("no_introspection_endpoint", 503)


def test_an_issuer_that_is_down(make: Make, ask, issuer: DevIssuer, token: str) -> None:
    issuer.stop()
    error = refused(ask, make(), token)
    assert (type(error), error.reason) == (TransportError, "connection_refused")


def test_a_known_endpoint_outlives_its_metadata(make: Make, ask, issuer: DevIssuer, token: str, clock) -> None:
    asking = make()
    ask(asking, token)
    clock.ahead_s += 3590
    fresh = issuer.issue_access_token("alice", audience=AUDIENCE)
    clock.ahead_s += 20
    issuer.fail("discovery", times=None)
    ask(asking, fresh)
    issuer.behave()
    ask(asking, issuer.issue_access_token("bob", audience=AUDIENCE))
    assert issuer.count("discovery") == 3


def test_many_ask_and_one_question_is_sent(make: Make, issuer: DevIssuer, token: str, clock: MovedClock) -> None:
    asking = make()
    issuer.fail("introspect", "delay", delay_s=0.3)

    async def tasks() -> list[Introspected]:
        return await asyncio.gather(*(afinish(asking.ask(token, now=clock.now())) for _ in range(20)))

    with ThreadPoolExecutor(20) as pool:
        threads = [pool.submit(lambda: finish(asking.ask(token, now=clock.now()))) for _ in range(20)]
        said = asyncio.run(tasks()) + [each.result(10) for each in threads]
    assert {each.subject for each in said} == {"alice"}
    assert issuer.count("introspect") == 1


def test_high_privilege_joins_no_older_question(make: Make, issuer: DevIssuer, token: str, clock: MovedClock) -> None:
    asking = make(for_scopes=["admin"])
    issuer.fail("introspect", "delay", delay_s=0.5)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: finish(asking.ask(token, now=clock.now())))
        deadline = time.monotonic() + 10
        while not issuer.count("introspect") and time.monotonic() < deadline:
            time.sleep(0.01)
        finish(asking.ask(token, now=clock.now(), privileged=True))
        first.result(10)
    assert issuer.count("introspect") == 2


def test_what_was_forgotten_meanwhile_is_not_remembered(make: Make, issuer: DevIssuer, token: str, clock) -> None:
    asking = make()
    issuer.fail("introspect", "delay", delay_s=0.4)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: finish(asking.ask(token, now=clock.now())))
        deadline = time.monotonic() + 10
        while not issuer.count("introspect") and time.monotonic() < deadline:
            time.sleep(0.01)
        asking.forget(token)
        first.result(10)
    finish(asking.ask(token, now=clock.now()))
    assert issuer.count("introspect") == 2


def test_a_slow_issuer_is_waited_for_no_longer_than_its_time(make: Make, issuer: DevIssuer, token: str, clock) -> None:
    asking = make(timeout_s=0.3)
    issuer.fail("introspect", "hang", delay_s=2, times=None)
    began = time.monotonic()
    assert isinstance(refused(finish, asking.ask(token, now=clock.now())), UnavailableError)
    assert time.monotonic() - began < 5
    issuer.behave()


def test_a_question_that_is_late(make: Make, token: str, clock: MovedClock) -> None:
    work = make().ask(token, now=clock.now())
    assert next(work).timeout_s == 5
    with pytest.raises(ProviderUnavailable) as caught:
        work.throw(TimeoutError())
    assert caught.value.reason == "introspection_timeout"


def test_too_many_questions_are_an_outage(make: Make, issuer: DevIssuer, clock: MovedClock) -> None:
    asking = make(timeout_s=2)
    issuer.fail("introspect", "hang", delay_s=1, times=None)
    works = [asking.ask(f"token-{number}", now=clock.now()) for number in range(100)]
    reasons = set()
    for work in works:
        try:
            next(work)
        except UnavailableError as error:
            reasons.add(error.reason)
        finally:
            work.close()
    assert reasons == {"too_busy"}


def test_an_issuer_that_hangs_is_soon_not_waited_for(make: Make, issuer: DevIssuer, token: str) -> None:
    clock = ForwardClock()
    asking = make(timeout_s=2, clock=clock)

    def ask(credential: str) -> str:
        return refused(finish, asking.ask(credential, now=clock.now())).reason

    issuer.fail("introspect", "hang", delay_s=60, times=None)
    with ThreadPoolExecutor(4) as pool:  # strangers, who hold a thread each
        reasons = list(pool.map(ask, ("made-up-1", "made-up-2", "made-up-3", "made-up-4")))
    assert "introspection_down" not in reasons
    assert "introspection_down" in {ask(f"made-up-{number}") for number in range(5, 9)}
    issuer.behave()
    clock.forward(60)
    assert finish(asking.ask(token, now=clock.now())).subject == "alice"
    assert ask("made-up-9") == "inactive"


def test_an_issuer_that_refuses_at_once_is_asked_each_time(make: Make, issuer: DevIssuer, token: str) -> None:
    asking = make()
    issuer.fail("introspect", status=500, times=6)
    for _ in range(6):
        assert isinstance(refused(finish, asking.ask(token, now=time.time())), UnavailableError)
    assert finish(asking.ask(token, now=time.time())).subject == "alice"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_question(make: Make, issuer: DevIssuer, token: str, clock: MovedClock) -> None:
    asking = make()
    issuer.fail("introspect", "delay", delay_s=0.5)
    work = asking.ask(token, now=clock.now())
    next(work)
    with asking._lock:  # noqa: SLF001 - as if another thread held it at that moment
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if finish(asking.ask(token, now=clock.now())).subject == "alice" else 1)
        finally:
            os._exit(2)
    work.close()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_stays_when_it_is_closed(issuer: DevIssuer, token: str, clock: MovedClock, leak_check) -> None:
    issuer.add_client("api", secret=SECRET)
    with leak_check():
        asking = Introspection(issuer.url, "api", client_secret=SECRET, insecure_loopback_http=True, clock=clock)
        finish(asking.ask(token, now=clock.now()))
        asking.close()
