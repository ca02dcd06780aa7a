"""G2 and G6 with real tokens of real issuers: rotation, withdrawal, floods of unknown keys, outages, neighbours."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from people import MovedClock

from doorward.errors import BadSignature, ProviderUnavailable, UnknownKey
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.key_rings import KeyRings
from doorward.guard.work import afinish, finish
from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.testing import DevIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doorward.guard.issuers.key_ring import KeyRing
    from doorward.guard.work import Work
    from doorward.protocol.claims import SignedClaims

HOUR_S = 3600


class Door:
    """As much of a guard as the keys need: it finds them by issuer, and asks for newer ones once."""

    def __init__(self, clock: MovedClock, *issuers: DevIssuer, **options: Any) -> None:
        trusted = [Issuer(each.url, ["api"], insecure_loopback_http=True) for each in issuers]
        self.clock = clock
        self.rings = KeyRings(trusted, clock=clock, **options)

    def ring(self, issuer: DevIssuer) -> KeyRing:
        return self.rings.get(issuer.url)

    def check(self, token: str) -> Work[SignedClaims]:
        jwt, now = parse_jwt(token), self.clock.now()
        ring = self.rings.get(jwt.claims["iss"])
        keys = ring.keys if now < ring.fresh_until else (yield from ring.current(now))
        try:
            return verify_jwt(jwt, keys, algorithms=ring.issuer.algorithms)
        except (UnknownKey, BadSignature) as error:
            newer = yield from ring.newer(keys, error, jwt.claims["iat"], now)
            return verify_jwt(jwt, newer, algorithms=ring.issuer.algorithms)


class PassedClock(MovedClock):
    """Time that passes: both of its clocks go forward."""

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@pytest.fixture
def clock() -> PassedClock:
    return PassedClock()


@pytest.fixture
def door_of(clock: MovedClock) -> Iterator[Callable[..., Door]]:
    made = []

    def make(*issuers: DevIssuer, **options: Any) -> Door:
        made.append(Door(clock, *issuers, **options))
        return made[-1]

    yield make
    for door in made:
        door.rings.close()


@pytest.fixture
def door(door_of: Callable[..., Door], issuer: DevIssuer) -> Door:
    return door_of(issuer)


@pytest.fixture(params=["thread", "task"])
def enters(request: pytest.FixtureRequest) -> Callable[[Door, str], str]:
    """Say for whom a token was accepted, through either driver."""

    def enter(door: Door, token: str) -> str:
        work = door.check(token)
        signed = finish(work) if request.param == "thread" else asyncio.run(afinish(work))
        return signed.claims["sub"]

    return enter


def by_thread(door, token):
    return finish(door.check(token)).claims["sub"]


def refused(enters, door, token):
    with pytest.raises((UnknownKey, BadSignature, ProviderUnavailable)) as caught:
        enters(door, token)
    return caught.value.reason


def token_of(issuer, subject="alice", lifetime_s=10 * HOUR_S):
    return issuer.issue_access_token(subject, audience="api", exp=int(issuer.clock.now()) + lifetime_s)


def with_kid(token, kid):
    """The same token, saying another key: unsigned garbage to anybody who looks."""
    from doorward.protocol.base64url import encode_base64url  # noqa: PLC0415 - for this alone

    _, payload, signature = token.split(".")
    header = encode_base64url(f'{{"alg":"RS256","kid":"{kid}"}}'.encode())
    return f"{header}.{payload}.{signature}"


def eventually(condition):
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_rotation_with_overlap(issuer, door, enters):
    old = token_of(issuer)
    assert enters(door, old) == "alice"
    issuer.rotate_keys()
    assert enters(door, token_of(issuer, "bob")) == "bob"
    assert enters(door, old) == "alice"
    assert issuer.count("jwks") == 2


def test_rotation_without_overlap(issuer, door, clock, enters):
    old = token_of(issuer)
    assert enters(door, old) == "alice"
    issuer.rotate_keys(keep_old=False)
    young = token_of(issuer, "bob")
    assert enters(door, young) == "bob"
    assert refused(enters, door, old) == "keys_fetched_lately"  # as young as a token of a key yet to be published
    clock.ahead_s += 60
    assert refused(enters, door, old) == "unknown_kid"
    assert refused(enters, door, old) == "unknown_kid"
    assert enters(door, young) == "bob"
    assert issuer.count("jwks") == 3


def test_a_key_replaced_under_its_old_name(clock, door_of, enters):
    """A container that makes its key anew at each start, always by the same name."""
    with DevIssuer(clock=clock) as issuer:
        door, port = door_of(issuer), urlsplit(issuer.url).port
        assert enters(door, token_of(issuer)) == "alice"
    with DevIssuer(clock=clock, port=port) as issuer:
        assert enters(door, token_of(issuer, "bob")) == "bob"
        assert issuer.count("jwks") == 1


@pytest.mark.parametrize("keep_old", [True, False])
def test_an_issuer_that_names_no_keys(issuer, door, enters, keep_old):
    with issuer.misbehave("access_token_kid_missing"):
        old = token_of(issuer)
        assert enters(door, old) == "alice"
        issuer.rotate_keys(keep_old=keep_old)
        assert enters(door, token_of(issuer, "bob")) == "bob"
        assert issuer.count("jwks") == 2
        if keep_old:
            assert enters(door, old) == "alice"


def test_a_token_that_comes_before_its_key_is_published(issuer, door, clock, enters):
    """Whatever a stranger does meanwhile, it is let in one cooldown after."""
    assert enters(door, token_of(issuer)) == "alice"
    lagging = json.dumps({"keys": [issuer.signing_key.public_jwk()]}).encode()
    issuer.fail("jwks", status=200, body=lagging, times=None)
    issuer.rotate_keys()
    early = token_of(issuer, "bob")
    assert refused(enters, door, with_kid(early, "stranger")) == "unknown_kid"
    assert refused(enters, door, early) == "keys_fetched_lately"
    issuer.behave()
    clock.ahead_s += 29
    assert refused(enters, door, early) == "keys_fetched_lately"
    clock.ahead_s += 1
    assert enters(door, early) == "bob"


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_a_withdrawn_key_is_dead_within_the_refresh_interval(issuer, door, clock, enters, busy):
    old = token_of(issuer)
    enters(door, old)
    issuer.rotate_keys(keep_old=False)  # nobody brings a token of the new key
    until = clock.now() + HOUR_S
    if busy:
        for _ in range(11):
            clock.ahead_s += 300
            with suppress(UnknownKey, ProviderUnavailable):
                enters(door, old)
            eventually(lambda: door.ring(issuer).waiting is None)
        assert issuer.count("jwks") > 1
    clock.ahead_s += until - clock.now()
    assert refused(enters, door, old) == "unknown_kid"


def test_ten_thousand_random_kids(issuer, door):
    good = token_of(issuer)
    assert finish(door.check(good)).claims["sub"] == "alice"
    reasons = {refused(by_thread, door, with_kid(good, secrets.token_hex(8))) for _ in range(10_000)}
    assert reasons == {"unknown_kid", "keys_fetched_lately"}
    assert issuer.count("jwks") == 2
    assert finish(door.check(good)).claims["sub"] == "alice"


def test_an_hour_without_the_issuer(issuer, door, clock, enters):
    token = token_of(issuer)
    assert enters(door, token) == "alice"
    issuer.fail("jwks", times=None)
    outcomes = []
    for _ in range(24):
        clock.ahead_s += 300
        try:
            outcomes.append(enters(door, token))
        except ProviderUnavailable as error:
            outcomes.append(error.reason)
        eventually(lambda: door.ring(issuer).waiting is None)
    assert outcomes == ["alice"] * 23 + ["keys_too_old"]
    issuer.behave()
    clock.ahead_s += 60
    assert enters(door, token) == "alice"


def test_the_port_closed_for_a_while(issuer, door, clock, enters):
    token = token_of(issuer)
    assert enters(door, token) == "alice"
    issuer.stop()
    clock.ahead_s += HOUR_S
    assert enters(door, token) == "alice"
    assert "nothing accepts connections there" in door.ring(issuer).failure
    issuer.start()
    clock.ahead_s += HOUR_S
    assert enters(door, token) == "alice"
    assert door.ring(issuer).failure == ""


@pytest.mark.parametrize("kind", ["hang", "slow_body", "reset", "close", "garbage", "truncated", "html"])
@pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
def test_whatever_goes_wrong_the_old_keys_serve(issuer, door_of, clock, enters, endpoint, kind):
    patient, token = door_of(issuer), token_of(issuer)
    assert enters(patient, token) == "alice"
    door = door_of(issuer, fetch_timeout_s=0.5, previous=patient.rings)  # a busy machine had time for the first fetch
    issuer.fail(endpoint, kind, times=None)
    clock.ahead_s += HOUR_S
    assert enters(door, token) == "alice"
    eventually(lambda: door.ring(issuer).failure)  # on a busy machine it is served before that is noted


def test_a_hanging_issuer_is_in_nobodys_way(issuer, door_of, clock, enters):
    with DevIssuer(clock=clock) as other:
        door = door_of(issuer, other, fetch_timeout_s=30)
        token, others = token_of(issuer), token_of(other, "carol")
        assert (enters(door, token), enters(door, others)) == ("alice", "carol")
        clock.ahead_s += 0.9 * HOUR_S
        issuer.fail("jwks", "hang", times=None)
        fetches = issuer.count("jwks")
        for _ in range(100):  # a fetch of the one hangs meanwhile, and both go on
            assert (enters(door, token), enters(door, others)) == ("alice", "carol")
        eventually(lambda: issuer.count("jwks") == fetches + 1)
        assert door.ring(issuer).waiting == 0


def test_a_hanging_issuer_that_nobody_knew_yet_holds_up_its_own_tokens_alone(issuer, door_of, clock):
    with DevIssuer(clock=clock) as other:
        door = door_of(issuer, other, fetch_timeout_s=4)
        issuer.fail("discovery", "hang", times=None)
        stuck = threading.Thread(target=refused, args=(by_thread, door, token_of(issuer)))
        stuck.start()
        eventually(lambda: door.ring(issuer).waiting)
        for _ in range(50):
            assert finish(door.check(token_of(other, "carol"))).claims["sub"] == "carol"
        assert door.ring(issuer).waiting == 1
        stuck.join(20)


def test_two_issuers_that_share_a_kid(issuer, door_of, clock, enters):
    with DevIssuer(clock=clock) as hostile:
        door = door_of(issuer, hostile)
        assert enters(door, token_of(issuer)) == "alice"
        assert enters(door, token_of(hostile, "mallory")) == "mallory"
        kids = [[key.kid for key in ring.keys.keys] for ring in door.rings.values()]
        assert kids == [["key-1"], ["key-1"]]
        forged = hostile.issue_access_token("alice", audience="api", iss=issuer.url)
        assert refused(enters, door, forged) == "bad_signature"


def test_keys_of_ten_thousand(issuer, door, clock, enters):
    token = token_of(issuer)
    enters(door, token)
    key = '{"kty":"RSA","n":"AQAB","e":"AQAB"}'
    issuer.fail("jwks", status=200, body=f'{{"keys":[{",".join([key] * 10_000)}]}}'.encode(), times=None)
    clock.ahead_s += HOUR_S
    assert enters(door, token) == "alice"
    assert "more than 100 keys" in door.ring(issuer).failure


def test_eighty_megabytes(issuer, door, clock, enters):
    token = token_of(issuer)
    enters(door, token)
    issuer.fail("jwks", status=200, body=b" " * 80_000_000)
    clock.ahead_s += HOUR_S
    assert enters(door, token) == "alice"
    assert "larger than" in door.ring(issuer).failure


def test_a_redirect_is_not_followed(issuer, door, clock, enters):
    token = token_of(issuer)
    enters(door, token)
    issuer.fail("jwks", status=302, headers={"Location": "http://169.254.169.254/keys"})
    clock.ahead_s += HOUR_S
    assert enters(door, token) == "alice"
    assert "redirect" in door.ring(issuer).failure


def test_no_keys_any_more(issuer, door, clock, enters):
    token = token_of(issuer)
    enters(door, token)
    issuer.fail("jwks", status=200, body=b'{"keys": []}', times=None)
    clock.ahead_s += HOUR_S
    assert refused(enters, door, token) == "unknown_kid"
