"""Key rings against a server that does as it is told: when keys are fetched, who waits, for how long they serve.

A request that ends while the server holds its answer back did not wait for it: nothing measures how long that took.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from doorward.errors import BadSignature, ConfigurationError, DoorwardError, ProviderUnavailable, UnknownKey
from doorward.guard.issuers import key_ring
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.key_rings import KeyRings
from doorward.guard.work import afinish, finish
from doorward.protocol.jwk import generate_signing_key
from doorward.system import SystemClock

PATIENCE_S = 20
REFRESH_S, STALE_S, COOLDOWN_S = 1000, 500, 30
OPENID = "/.well-known/openid-configuration"
KEYS = {kid: generate_signing_key("ES256", kid=kid).public_jwk() for kid in ("a", "b", "c")}


class SetClock(SystemClock):
    """Stands still unless it is moved, wall clock and monotonic clock alike."""

    def __init__(self):
        self.moved_s = 0.0

    def now(self):
        return 1_700_000_000 + self.moved_s

    def monotonic(self):
        return 1_000 + self.moved_s


class Publisher:
    """An issuer's web server. ``answers`` holds what stands at a path; what is held back comes with ``let_go``."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        self.free = threading.Event()
        self.free.set()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                publisher.asked.append(self.path)
                publisher.free.wait(PATIENCE_S)
                status, headers, body = publisher.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *what):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *who):
                """Say nothing of clients that went away."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), name="publisher").start()
        self.say(OPENID, {"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        self.publish("a")

    def say(self, path, document=None, *, status=200, body=None, **headers):
        body = json.dumps(document).encode() if body is None else body
        self.answers[path] = status, {name.replace("_", "-"): value for name, value in headers.items()}, body

    def publish(self, *kids):
        self.say("/keys", {"keys": [KEYS[kid] for kid in kids]})

    def go_down(self, **headers):
        self.say("/keys", {}, status=503, **headers)

    def hold(self):
        self.free.clear()

    def let_go(self):
        self.free.set()

    @property
    def fetches(self):
        return self.asked.count("/keys")

    def close(self):
        self.free.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def publisher():
    publisher = Publisher()
    yield publisher
    publisher.close()


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def rings_of(clock):
    """Make rings that are closed in the end."""
    made = []

    def make(*issuers, **options):
        usual = {"refresh_s": REFRESH_S, "max_stale_s": STALE_S, "cooldown_s": COOLDOWN_S, "fetch_timeout_s": 10}
        made.append(KeyRings(issuers, clock=clock, **{**usual, **options}))
        return made[-1]

    yield make
    for rings in made:
        rings.close()


@pytest.fixture
def ring(publisher, rings_of):
    return rings_of(issuer_at(publisher)).get(publisher.url)


@pytest.fixture(params=["thread", "task"])
def carry(request):
    return finish if request.param == "thread" else lambda work: asyncio.run(afinish(work))


def issuer_at(publisher, **options):
    return Issuer(options.pop("url", publisher.url), ["api"], insecure_loopback_http=True, **options)


def kids(keys):
    return [key.kid for key in keys.keys]


def current(ring, clock):
    return kids(finish(ring.current(clock.now())))


def unavailable(ring, clock):
    with pytest.raises(ProviderUnavailable) as caught:
        finish(ring.current(clock.now()))
    return caught.value


def eventually(condition):
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def landed(ring):
    """Wait until no fetch is under way."""
    eventually(lambda: ring.waiting is None)


# What is fetched, and from where


def test_nothing_is_there_before_the_first_fetch(ring, publisher, clock):
    assert (ring.keys.keys, ring.failure, publisher.asked) == ((), "", [])
    assert not clock.now() < ring.fresh_until


def test_the_first_who_asks_waits_and_the_next_finds_keys(ring, publisher, clock, carry):
    assert kids(carry(ring.current(clock.now()))) == ["a"]
    assert clock.now() < ring.fresh_until == clock.now() + 0.8 * REFRESH_S
    assert carry(ring.current(clock.now())) is ring.keys
    assert publisher.asked == [OPENID, "/keys"]


def test_keys_that_were_given_are_never_fetched(rings_of, publisher, clock):
    rings = rings_of(issuer_at(publisher, jwks={"keys": [KEYS["b"]]}))
    rings.warm_up()
    ring = rings.get(publisher.url)
    clock.moved_s = 10 * REFRESH_S
    assert ring.fresh_until == float("inf")
    assert current(ring, clock) == ["b"]
    assert newer(ring, ring.keys, clock, BadSignature("no")) == "bad_signature"
    assert publisher.asked == []


def test_keys_at_a_url_of_their_own_need_no_metadata(rings_of, publisher, clock):
    publisher.say("/mine?v=1", {"keys": [KEYS["c"]]}, content_type="application/jwk-set+json")
    rings = rings_of(issuer_at(publisher, jwks_url=f"{publisher.url}/mine?v=1"))
    assert current(rings.get(publisher.url), clock) == ["c"]
    assert publisher.asked == ["/mine?v=1"]


def test_an_authorization_server_that_is_no_openid_provider(rings_of, publisher, clock):
    issuer = issuer_at(publisher, url=f"{publisher.url}/tenant/")
    here = "/.well-known/oauth-authorization-server/tenant"
    publisher.say(here, {"issuer": issuer.url, "jwks_uri": f"{publisher.url}/keys"})
    assert current(rings_of(issuer).get(issuer.url), clock) == ["a"]
    assert publisher.asked == [f"/tenant{OPENID}", here, "/keys"]


def test_metadata_of_another_issuer_leads_nowhere(ring, publisher, clock):
    publisher.say(OPENID, {"issuer": f"{publisher.url}/", "jwks_uri": f"{publisher.url}/keys"})
    error = unavailable(ring, clock)
    assert error.reason == "keys_never_fetched"
    assert "of another issuer" in error.message
    assert publisher.fetches == 0


def test_metadata_without_keys_says_what_to_do(ring, publisher, clock):
    publisher.say(OPENID, {"issuer": publisher.url})
    assert "Give jwks_url or jwks" in unavailable(ring, clock).message


def test_no_metadata_at_all(ring, publisher, clock):
    del publisher.answers[OPENID]
    assert "Check the issuer" in unavailable(ring, clock).message


def test_one_deadline_for_metadata_and_keys(rings_of, publisher, clock):
    ring = rings_of(issuer_at(publisher), fetch_timeout_s=0.3).get(publisher.url)
    publisher.hold()
    assert unavailable(ring, clock).reason == "keys_never_fetched"
    landed(ring)
    assert publisher.asked == [OPENID]


# When keys are fetched anew, and who waits


def test_keys_are_renewed_ahead_and_nobody_waits(ring, publisher, clock, carry):
    assert current(ring, clock) == ["a"]
    publisher.publish("a", "b")
    publisher.hold()
    clock.moved_s = 0.8 * REFRESH_S + 1
    assert not clock.now() < ring.fresh_until
    assert kids(carry(ring.current(clock.now()))) == ["a"]
    assert clock.now() < ring.fresh_until  # until the fetch must have ended, nobody need ask again
    clock.moved_s += 11
    assert kids(carry(ring.current(clock.now()))) == ["a"]
    publisher.let_go()
    landed(ring)
    assert kids(ring.keys) == ["a", "b"]
    assert publisher.fetches == 2
    assert ring.fresh_until > clock.now() + 0.7 * REFRESH_S


def test_the_same_keys_again_stay_the_same_object(ring, publisher, clock):
    current(ring, clock)
    before = ring.keys
    clock.moved_s = REFRESH_S
    assert current(ring, clock) == ["a"]
    assert ring.keys is before
    assert publisher.fetches == 2


def test_a_withdrawn_key_is_dead_within_the_refresh_interval(ring, publisher, clock, carry):
    current(ring, clock)
    publisher.publish("b")
    clock.moved_s = REFRESH_S  # nobody asked meanwhile
    assert kids(carry(ring.current(clock.now()))) == ["b"]


def test_all_keys_withdrawn_is_no_outage(ring, publisher, clock):
    current(ring, clock)
    publisher.publish()
    clock.moved_s = REFRESH_S
    assert current(ring, clock) == []
    assert ring.failure == ""
    assert clock.now() < ring.fresh_until


def test_keys_that_must_not_be_used_are_withdrawn_too(ring, publisher, clock):
    current(ring, clock)
    publisher.say("/keys", {"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]})
    clock.moved_s = REFRESH_S
    assert current(ring, clock) == []
    assert ring.keys.rejected == {"a": "jwk_symmetric"}


def test_many_at_once_wait_for_one_fetch(ring, publisher, clock):
    publisher.hold()

    async def tasks():
        waiting = [asyncio.create_task(afinish(ring.current(clock.now()))) for _ in range(30)]
        await asyncio.to_thread(eventually, lambda: ring.waiting == 60)
        publisher.let_go()
        return await asyncio.gather(*waiting)

    with ThreadPoolExecutor(30) as pool:
        in_threads = [pool.submit(finish, ring.current(clock.now())) for _ in range(30)]
        found = asyncio.run(tasks()) + [each.result(PATIENCE_S) for each in in_threads]
    assert [kids(keys) for keys in found] == [["a"]] * 60
    assert publisher.asked == [OPENID, "/keys"]


def test_only_so_many_wait(ring, publisher, clock):
    publisher.hold()

    async def tasks():
        waiting = [asyncio.create_task(afinish(ring.current(clock.now()))) for _ in range(70)]
        await asyncio.wait(waiting, timeout=PATIENCE_S, return_when=asyncio.FIRST_EXCEPTION)
        await asyncio.sleep(0.02)
        refused = [each.exception() for each in waiting if each.done()]
        waiting[0].cancel()  # who leaves makes room
        await asyncio.sleep(0.02)
        late = asyncio.create_task(afinish(ring.current(clock.now())))
        await asyncio.sleep(0.02)
        publisher.let_go()
        await asyncio.wait([late, *waiting], timeout=PATIENCE_S)
        return refused, kids(late.result())

    refused, late = asyncio.run(tasks())
    assert {(error.reason, error.retry_after_s) for error in refused} == {("too_many_waiting", 1.0)}
    assert (len(refused), late) == (6, ["a"])
    assert ring.waiting is None


def test_warming_up_waits_for_nobody(rings_of, publisher, clock):
    publisher.hold()
    rings = rings_of(issuer_at(publisher))
    rings.warm_up()
    rings.warm_up()
    publisher.let_go()
    landed(ring := rings.get(publisher.url))
    assert kids(ring.keys) == ["a"]
    rings.warm_up()
    assert publisher.fetches == 1


# Outages


def test_nobody_can_say_while_there_never_were_keys(ring, publisher, clock):
    publisher.go_down()
    error = unavailable(ring, clock)
    assert (error.reason, error.status_hint, error.retry_after_s) == ("keys_never_fetched", 503, 1.0)
    assert publisher.url in error.message
    assert "503" in error.message
    publisher.hold()
    assert unavailable(ring, clock).reason == "keys_never_fetched"  # at once, though the server answers nobody
    publisher.let_go()
    publisher.publish("a")
    assert unavailable(ring, clock).reason == "keys_never_fetched"  # the next try is not due
    clock.moved_s += 1
    assert current(ring, clock) == ["a"]
    assert publisher.fetches == 2
    assert ring.failure == ""


def test_a_clock_that_was_ahead_for_a_moment_lets_no_withdrawn_key_live(ring, publisher, clock):
    clock.moved_s = 365 * 86_400
    current(ring, clock)
    clock.moved_s = 0
    publisher.publish("b")
    assert not ring.fresh_since <= clock.now() < ring.fresh_until
    assert current(ring, clock) == ["b"]
    assert ring.fresh_since <= clock.now() < ring.fresh_until


def test_a_clock_that_is_set_back_while_the_issuer_is_down(ring, publisher, clock):
    old = current(ring, clock)
    clock.moved_s = -365 * 86_400
    publisher.go_down()
    assert current(ring, clock) == old  # as outdated keys are, and for as long
    landed(ring)
    clock.moved_s += STALE_S + 1
    assert unavailable(ring, clock).reason == "keys_too_old"


def test_only_the_request_that_starts_a_try_waits_for_it(ring, publisher, clock):
    publisher.go_down()
    unavailable(ring, clock)
    clock.moved_s += 1
    publisher.publish("a")
    publisher.hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(current, ring, clock)
        eventually(lambda: ring.waiting)
        assert unavailable(ring, clock).reason == "keys_never_fetched"
        publisher.let_go()
        assert first.result(PATIENCE_S) == ["a"]


def test_an_outage_is_tried_less_and_less_often(ring, publisher, clock):
    publisher.go_down()
    waits = []
    for _ in range(9):
        waits.append(unavailable(ring, clock).retry_after_s)
        clock.moved_s += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert publisher.fetches == 9


@pytest.mark.parametrize(("said", "wait_s"), [("7", 7), ("0", 1), ("86400", 60)])
def test_retry_after_is_heeded_within_reason(ring, publisher, clock, said, wait_s):
    publisher.go_down(retry_after=said)
    assert unavailable(ring, clock).retry_after_s == wait_s


BAD_ANSWERS = {
    "down": {"status": 503},
    "too many requests": {"status": 429},
    "gone": {"status": 404},
    "not JSON": {"body": b"<html>", "content_type": "text/html"},
    "JSON cut off": {"body": b'{"keys": ['},
    "a list": {"body": b"[]"},
    "no keys member": {"body": b"{}"},
    "duplicate members": {"body": b'{"keys": [], "keys": []}'},
    "10,000 keys": {"body": json.dumps({"keys": [KEYS["b"]] * 2000}).encode()},
    "more than a mebibyte": {"body": b" " * 1_048_577},
    "80 MB announced": {"body": b"", "content_length": "80000000"},
    "redirect": {"status": 302, "body": b"", "location": "http://169.254.169.254/latest"},
    "compressed": {"body": b"", "content_encoding": "gzip"},
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@pytest.mark.parametrize("path", [OPENID, "/keys"])
def test_a_wrong_answer_is_an_outage_and_the_keys_serve_on(ring, publisher, clock, path, answer):
    current(ring, clock)
    publisher.say(path, {}, **answer)
    clock.moved_s = REFRESH_S
    assert current(ring, clock) == ["a"]
    assert ring.failure
    assert ring.failure.isprintable()
    assert not any("latest" in path for path in publisher.asked)


def test_down_for_long_served_then_not_then_again(ring, publisher, clock):
    current(ring, clock)
    publisher.go_down()
    served = []
    while clock.moved_s < REFRESH_S + STALE_S:
        served.append(current(ring, clock))
        clock.moved_s += 10
    assert served == [["a"]] * 150
    error = unavailable(ring, clock)
    assert (error.reason, error.status_hint) == ("keys_too_old", 503)
    assert not clock.now() < ring.fresh_until
    publisher.publish("b")
    clock.moved_s += 60
    assert current(ring, clock) == ["b"]


def test_in_a_known_outage_nobody_waits(ring, publisher, clock, carry):
    current(ring, clock)
    publisher.go_down()
    clock.moved_s = REFRESH_S
    assert current(ring, clock) == ["a"]
    publisher.hold()
    for _ in range(10):
        clock.moved_s += 11
        assert kids(carry(ring.current(clock.now()))) == ["a"]
        assert clock.now() < ring.fresh_until
    publisher.let_go()
    landed(ring)


def test_an_outage_long_ago_is_no_excuse_for_old_keys(ring, publisher, clock):
    current(ring, clock)
    publisher.go_down()
    clock.moved_s = 0.9 * REFRESH_S
    current(ring, clock)
    landed(ring)
    assert ring.failure
    publisher.publish("b")
    clock.moved_s = REFRESH_S + 100  # within the stale time
    assert current(ring, clock) == ["b"]


def test_a_clock_set_back_does_not_stop_the_tries(ring, publisher, clock):
    publisher.go_down()
    unavailable(ring, clock)
    clock.moved_s -= 10_000
    publisher.publish("a")
    assert current(ring, clock) == ["a"]


def test_a_hanging_issuer_is_known_after_one_wait(rings_of, publisher, clock, carry):
    ring = impatient(rings_of, publisher, clock)
    publisher.hold()
    clock.moved_s = REFRESH_S
    assert kids(carry(ring.current(clock.now()))) == ["a"]
    landed(ring)
    assert ring.failure
    assert clock.now() < ring.fresh_until


def test_an_outage_is_logged_once(ring, publisher, clock, caplog):
    current(ring, clock)
    for _ in range(2):
        publisher.go_down()
        for _ in range(3):
            clock.moved_s += REFRESH_S
            carried = newer(ring, ring.keys, clock)
        assert carried == "keys_not_current"
        publisher.publish("a")
        clock.moved_s += REFRESH_S
        current(ring, clock)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert f"The keys of {publisher.url} could not be fetched. " in caplog.text


def test_what_was_not_foreseen_is_an_outage_too(ring, clock, monkeypatch):
    def bug(*_, **__):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(key_ring, "fetch_keys", bug)
        assert "Unexpected: ZeroDivisionError." in unavailable(ring, clock).message
    clock.moved_s += 1
    assert current(ring, clock) == ["a"]


def test_without_a_thread_the_old_keys_serve(rings_of, publisher, clock, monkeypatch):
    def no_more(_):
        message = "can't start new thread"
        raise RuntimeError(message)

    rings = rings_of(issuer_at(publisher))
    current(ring := rings.get(publisher.url), clock)
    rings.close()
    monkeypatch.setattr(threading.Thread, "start", no_more)
    assert newer(ring, ring.keys, clock) == "keys_not_current"
    clock.moved_s = REFRESH_S
    assert current(ring, clock) == ["a"]
    clock.moved_s = REFRESH_S + STALE_S
    assert "no thread" in unavailable(ring, clock).message


# Signs that the keys are too old

UNKNOWN = UnknownKey("no such key", reason="unknown_kid")
SIGNS = {
    "a name nobody knows": UNKNOWN,
    "no key that fits": UnknownKey("none fits", reason="key_algorithm_mismatch"),
    "a key left out": UnknownKey("weak", reason="jwk_rsa_too_small"),
    "another key under its name": BadSignature("no"),
    "another key's length": BadSignature("no", reason="signature_length"),
}


def impatient(rings_of, publisher, clock):
    """Make a ring that has its keys. It soon knows of an issuer that hangs, but a busy machine had time to fetch."""
    patient = rings_of(issuer_at(publisher))
    current(patient.get(publisher.url), clock)
    return rings_of(issuer_at(publisher), fetch_timeout_s=0.3, previous=patient).get(publisher.url)


def newer(ring, seen, clock, doubt=UNKNOWN, made_at=None, carry=finish):
    """What a token is answered that failed with ``seen``: the kids of newer keys, or why there are none."""
    try:
        return kids(carry(ring.newer(seen, doubt, made_at, clock.now())))
    except DoorwardError as error:
        return error.reason


@pytest.mark.parametrize("doubt", SIGNS.values(), ids=SIGNS)
def test_whatever_the_sign_the_keys_are_fetched_once_a_cooldown(ring, publisher, clock, carry, doubt):
    current(ring, clock)
    assert newer(ring, ring.keys, clock, doubt, carry=carry) == doubt.reason  # fetched, and there is nothing new
    publisher.publish("b")
    assert newer(ring, ring.keys, clock, doubt, carry=carry) == "keys_fetched_lately"
    assert publisher.fetches == 2
    clock.moved_s += COOLDOWN_S
    assert newer(ring, ring.keys, clock, doubt, carry=carry) == ["b"]
    assert publisher.fetches == 3


def test_newer_keys_than_were_seen_are_there_at_once(ring, publisher, clock, carry):
    current(ring, clock)
    publisher.publish("a", "b")
    seen = ring.keys
    assert newer(ring, seen, clock, carry=carry) == ["a", "b"]
    publisher.hold()
    assert newer(ring, seen, clock, carry=carry) == ["a", "b"]
    assert publisher.fetches == 2


def test_within_the_cooldown_it_is_said_when_to_come_again(ring, publisher, clock, carry):
    current(ring, clock)
    newer(ring, ring.keys, clock)
    clock.moved_s += 10
    publisher.hold()  # nobody waits
    with pytest.raises(ProviderUnavailable) as caught:
        carry(ring.newer(ring.keys, UNKNOWN, None, clock.now()))
    publisher.let_go()
    assert (caught.value.status_hint, caught.value.retry_after_s) == (503, COOLDOWN_S - 10)
    assert caught.value.__cause__ is UNKNOWN


@pytest.mark.parametrize(
    ("age_s", "answer"),
    [
        (61, "unknown_kid"),
        (60, "unknown_kid"),
        (59, "keys_fetched_lately"),
        (float("inf"), "unknown_kid"),
    ],
)
def test_a_token_that_is_older_than_the_keys_is_refused_within_the_cooldown(ring, publisher, clock, age_s, answer):
    current(ring, clock)
    newer(ring, ring.keys, clock)
    fetched_at = clock.now()
    clock.moved_s += 20
    assert newer(ring, ring.keys, clock, made_at=fetched_at - age_s) == answer
    assert publisher.fetches == 2


@pytest.mark.parametrize(
    ("ahead_s", "answer"), [(30, "keys_fetched_lately"), (31, UNKNOWN.reason), (10**400, UNKNOWN.reason)]
)
def test_no_token_is_of_a_time_to_come(ring, clock, ahead_s, answer):
    current(ring, clock)
    newer(ring, ring.keys, clock)
    assert newer(ring, ring.keys, clock, made_at=int(clock.now()) + ahead_s) == answer


@pytest.mark.parametrize("made_at", [None, True, "1", [1], {}])
def test_what_says_no_time_makes_no_token_old(ring, clock, made_at):
    current(ring, clock)
    newer(ring, ring.keys, clock)
    assert newer(ring, ring.keys, clock, made_at=made_at) == "keys_fetched_lately"


def test_a_flood_of_signs_makes_one_fetch_in_each_cooldown_and_takes_no_memory(ring, publisher, clock):
    current(ring, clock)
    for fetches in (2, 3, 4):
        answers = [newer(ring, ring.keys, clock) for _ in range(1000)]
        assert answers == ["unknown_kid", *["keys_fetched_lately"] * 999]
        assert publisher.fetches == fetches
        clock.moved_s += COOLDOWN_S
    tracemalloc.start()
    try:
        newer(ring, ring.keys, clock)
        gc.collect()
        before = tracemalloc.take_snapshot()
        for number in range(2000):
            newer(ring, ring.keys, clock, UnknownKey(f"{number}" * 100))
        gc.collect()
        grown = sum(each.size_diff for each in tracemalloc.take_snapshot().compare_to(before, "filename"))
    finally:
        tracemalloc.stop()
    assert grown < 50_000


def test_a_strangers_sign_every_cooldown_keeps_no_new_key_out(ring, publisher, clock):
    """He begins each fetch; whoever has a token of the new key comes within each cooldown, and waits for one alone."""
    current(ring, clock)
    old = ring.keys
    for _ in range(3):
        assert newer(ring, old, clock) == "unknown_kid"
        clock.moved_s += COOLDOWN_S
    newer(ring, old, clock)
    publisher.publish("a", "b")
    clock.moved_s += COOLDOWN_S - 1
    assert newer(ring, old, clock) == "keys_fetched_lately"
    clock.moved_s += 1
    newer(ring, old, clock)  # the stranger's
    assert newer(ring, old, clock) == ["a", "b"]


def test_others_do_not_wait_for_a_sign(ring, publisher, clock):
    current(ring, clock)
    seen = ring.keys
    publisher.hold()
    with ThreadPoolExecutor(8) as pool:
        unknown = [pool.submit(newer, ring, seen, clock) for _ in range(8)]
        eventually(lambda: ring.waiting == 8)
        assert clock.now() < ring.fresh_until
        assert current(ring, clock) == ["a"]
        publisher.let_go()
        assert [each.result(PATIENCE_S) for each in unknown] == ["unknown_kid"] * 8
    assert publisher.fetches == 2


def test_an_issuer_that_is_down_is_not_asked_for_a_sign(ring, publisher, clock):
    current(ring, clock)
    publisher.go_down()
    assert newer(ring, ring.keys, clock) == "keys_not_current"
    assert publisher.fetches == 2
    clock.moved_s += COOLDOWN_S
    with pytest.raises(ProviderUnavailable, match="can't answer now") as caught:
        finish(ring.newer(ring.keys, UNKNOWN, None, clock.now()))
    assert (caught.value.reason, caught.value.retry_after_s) == ("keys_not_current", 1.0)
    assert newer(ring, ring.keys, clock, made_at=clock.now() - 1000) == "unknown_kid"
    assert publisher.fetches == 2
    publisher.publish("a", "b")
    assert current(ring, clock) == ["a"]  # the failure is tried again aside
    landed(ring)
    assert kids(ring.keys) == ["a", "b"]


def test_in_an_outage_a_sign_does_not_wait_for_the_next_try(ring, publisher, clock):
    current(ring, clock)
    publisher.go_down()
    newer(ring, ring.keys, clock)
    publisher.hold()
    clock.moved_s += 1
    assert current(ring, clock) == ["a"]  # which tries again aside
    assert ring.waiting == 0
    with pytest.raises(ProviderUnavailable, match="can't be asked"):
        next(ring.newer(ring.keys, UNKNOWN, None, clock.now()))  # at the first step: there is nothing to wait for
    publisher.let_go()
    landed(ring)


@pytest.mark.parametrize(("age_s", "answer"), [(1, "bad_signature"), (0, "bad_signature"), (-1, "keys_fetched_lately")])
def test_a_signature_that_does_not_fit_is_doubted_only_for_a_key_made_since(ring, clock, age_s, answer):
    current(ring, clock)
    newer(ring, ring.keys, clock)
    assert newer(ring, ring.keys, clock, BadSignature("no"), made_at=clock.now() - age_s) == answer


def test_an_issuer_that_hangs_is_waited_for_once(rings_of, publisher, clock):
    ring = impatient(rings_of, publisher, clock)
    publisher.hold()
    assert newer(ring, ring.keys, clock) == "keys_not_current"
    landed(ring)
    clock.moved_s += COOLDOWN_S
    assert newer(ring, ring.keys, clock) == "keys_not_current"
    assert publisher.asked.count(OPENID) == 2


# Rings together


def test_issuers_that_hang_again_and_again_hold_up_no_other(rings_of, publisher, clock):
    hanging = [
        issuer_at(publisher, url=f"{publisher.url}/{number}", jwks_url=f"{publisher.url}/keys") for number in range(20)
    ]
    other = Publisher()
    rings = rings_of(*hanging, issuer_at(other))
    publisher.go_down()
    for issuer in hanging:
        unavailable(rings.get(issuer.url), clock)
    publisher.hold()
    clock.moved_s += 61
    for issuer in hanging:
        rings.get(issuer.url).warm_up(clock.now())
    try:
        assert current(rings.get(other.url), clock) == ["a"]
        assert all(rings.get(issuer.url).waiting is not None for issuer in hanging)
    finally:
        publisher.let_go()
        for issuer in hanging:
            landed(rings.get(issuer.url))
        other.close()


def test_one_issuer_is_one_ring(rings_of, publisher):
    one, other = issuer_at(publisher), issuer_at(publisher, url=f"{publisher.url}/")
    rings = rings_of(one, other)
    assert [ring.issuer for ring in rings.values()] == [one, other]
    assert rings.get(publisher.url).issuer is one
    assert rings.get(publisher.url[:-1]) is None
    with pytest.raises(ConfigurationError, match="given twice") as caught:
        rings_of(one, issuer_at(publisher, leeway_s=1))
    assert (caught.value.field, caught.value.reason) == ("issuers", "issuer_twice")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("refresh_s", 49.9),
        ("refresh_s", 604_801),
        ("refresh_s", True),
        ("max_stale_s", -1),
        ("max_stale_s", "3600"),
        ("cooldown_s", 0),
        ("cooldown_s", float("nan")),
        ("fetch_timeout_s", 0),
        ("fetch_timeout_s", None),
    ],
)
def test_a_wrong_limit_is_named(rings_of, field, value):
    with pytest.raises(ConfigurationError, match=field) as caught:
        rings_of(**{field: value})
    assert (caught.value.field, caught.value.reason) == (field, "seconds_out_of_range")


def test_what_is_no_issuer_is_refused(rings_of):
    with pytest.raises(ConfigurationError) as caught:
        rings_of("https://id.example.org")
    assert (caught.value.field, caught.value.reason) == ("issuers", "not_an_issuer")


def test_a_hanging_issuer_holds_up_no_other(rings_of, publisher, clock):
    hanging = Publisher()
    hanging.hold()
    try:
        rings = rings_of(issuer_at(hanging), issuer_at(publisher))
        rings.warm_up()
        eventually(lambda: hanging.asked)
        assert current(rings.get(publisher.url), clock) == ["a"]
    finally:
        hanging.close()


def test_new_settings_keep_the_keys_of_an_equal_issuer(rings_of, publisher, clock):
    before = rings_of(issuer_at(publisher))
    current(before.get(publisher.url), clock)
    assert newer(before.get(publisher.url), before.get(publisher.url).keys, clock) == UNKNOWN.reason
    publisher.hold()
    same = rings_of(issuer_at(publisher), refresh_s=2 * REFRESH_S, previous=before).get(publisher.url)
    assert same.keys is before.get(publisher.url).keys
    assert same.fresh_until == clock.now() + 1.6 * REFRESH_S
    assert newer(same, same.keys, clock) == "keys_fetched_lately"  # the cooldown goes on
    changed = rings_of(issuer_at(publisher, leeway_s=0), previous=before).get(publisher.url)
    assert changed.keys.keys == ()


def test_new_settings_keep_what_is_known_of_an_outage(rings_of, publisher, clock):
    before = rings_of(issuer_at(publisher))
    publisher.go_down()
    unavailable(before.get(publisher.url), clock)
    after = rings_of(issuer_at(publisher), previous=before)
    before.close()
    assert unavailable(after.get(publisher.url), clock).reason == "keys_never_fetched"
    assert publisher.fetches == 1


def test_given_keys_stay_with_new_settings(rings_of, publisher):
    before = rings_of(issuer_at(publisher, jwks={"keys": [KEYS["a"]]}))
    after = rings_of(issuer_at(publisher, jwks={"keys": [KEYS["a"]]}), previous=before).get(publisher.url)
    assert (kids(after.keys), after.fresh_until) == (["a"], float("inf"))


def test_closed_rings_serve_those_who_hold_them_still(rings_of, publisher, clock):
    rings = rings_of(issuer_at(publisher))
    rings.close()
    assert current(rings.get(publisher.url), clock) == ["a"]


def test_nothing_is_left_behind(publisher, clock, leak_check):
    with leak_check():
        rings = KeyRings([issuer_at(publisher)], clock=clock)
        current(rings.get(publisher.url), clock)
        rings.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_fetch(rings_of, publisher, clock):
    ring = (rings := rings_of(issuer_at(publisher))).get(publisher.url)
    publisher.hold()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(current, ring, clock)
        eventually(lambda: publisher.asked)
        with rings.lock:  # as a thread could that is not there in the child
            child = os.fork()
            if child == 0:
                signal.alarm(PATIENCE_S)
                status = 1
                try:
                    status = 0 if current(ring, clock) == ["a"] else 2
                finally:
                    os._exit(status)
        publisher.let_go()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert waiting.result(PATIENCE_S) == ["a"]


def test_thousands_of_issuers_need_little_memory(rings_of, clock):
    many = 500
    rings_of(*issuers_with_a_key(2))
    gc.collect()
    tracemalloc.start()
    try:
        rings = rings_of(*issuers_with_a_key(many))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(rings.values()) == many
    assert after / many < 4096


def issuers_with_a_key(count):
    return [Issuer(f"https://id{number}.example.org", ["api"], jwks={"keys": [KEYS["a"]]}) for number in range(count)]
