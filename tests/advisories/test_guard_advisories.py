"""What has let people in past other guards, or brought one down: one test for each, through the guard's public face.

Forged and misspelled tokens are in flows/test_guard_hostile_tokens.py; smuggled headers, which need real servers, in
peers/test_header_smuggling.py.
"""

from __future__ import annotations

import json
import random
import threading
import time

import pytest
from people import MovedClock

from doorward.errors import (
    DoorwardError,
    Forbidden,
    InvalidCredential,
    ProviderUnavailable,
    Revoked,
    StoreError,
    Throttled,
    UnavailableError,
    UnknownApiKey,
    UnknownIssuer,
    UnknownKey,
)
from doorward.guard import Admin, ApiKeys, Guard, Issuer, Throttle
from doorward.guard.api_keys.memory_store import MemoryKeyStore
from doorward.model import Secret
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.jwk import generate_signing_key
from doorward.testing import DevIssuer, hostile_variants


@pytest.fixture
def clock():
    return MovedClock()


@pytest.fixture
def issuer(clock):
    with DevIssuer(clock=clock) as issuer:
        issuer.change(signing_algorithm="EdDSA")  # quick to make keys for
        yield issuer


def trusted(issuer: DevIssuer, **settings) -> Issuer:
    return Issuer(issuer.url, ["api"], insecure_loopback_http=True, **settings)


@pytest.fixture
def guard_of(clock):
    made = []

    def make(*issuers: DevIssuer, **options) -> Guard:
        made.append(Guard([trusted(each) for each in issuers], clock=clock, **options))
        return made[-1]

    yield make
    for guard in made:
        guard.close()


def ask(guard: Guard, token: str, **options):
    return guard.authenticate(f"Bearer {token}", **options)


def token_of(issuer: DevIssuer, subject: str = "alice", **claims) -> str:
    return issuer.issue_access_token(subject, audience="api", **claims)


def refusal(guard: Guard, token: str, **options) -> DoorwardError:
    with pytest.raises(DoorwardError) as caught:
        ask(guard, token, **options)
    return caught.value


# Caches


def test_cve_2026_35030_a_cache_that_is_keyed_by_a_part_of_the_token(issuer, guard_of):
    """A remembered token shares its head, its tail, its payload or its signature with each of these."""
    guard = guard_of(issuer)
    good = token_of(issuer, iat=int(issuer.clock.now()) - 100)
    assert ask(guard, good).subject == "alice"
    header, payload, signature = good.split(".")
    for length in (20, 32, 64, 128, 256):
        assert isinstance(refusal(guard, good[:length] + "A" * (len(good) - length)), InvalidCredential)
        assert isinstance(refusal(guard, "A" * (len(good) - length) + good[-length:]), InvalidCredential)
    admin = encode_base64url(json.dumps({"iss": issuer.url, "sub": "admin", "aud": "api", "iat": 1}).encode())
    for forged in (f"{header}.{admin}.{signature}", f"{header}.{payload}.{signature[::-1]}", f"{good[:-1]}"):
        assert isinstance(refusal(guard, forged), InvalidCredential)
    for each in hostile_variants(good):
        assert isinstance(refusal(guard, each.token), InvalidCredential)
    assert ask(guard, good).subject == "alice"


def test_two_people_are_never_mixed_up_by_what_is_remembered(issuer, guard_of):
    guard = guard_of(issuer, token_cache_size=8)
    tokens = {f"person-{number}": token_of(issuer, f"person-{number}") for number in range(20)}
    for _ in range(2):
        for subject, token in tokens.items():
            assert ask(guard, token).subject == subject


def test_what_is_remembered_is_who_it_is_and_not_what_they_may(issuer, guard_of):
    guard = guard_of(issuer)
    token = token_of(issuer, scopes=["read"])
    assert ask(guard, token, scopes=["read"]).scopes == ("read",)
    for _ in range(2):
        error = refusal(guard, token, scopes=["read", "write"])
        assert isinstance(error, Forbidden)
        assert error.missing_scopes == ("write",)
    assert ask(guard, token, scopes=["read"]).subject == "alice"


def test_a_remembered_token_expires_all_the_same(issuer, guard_of, clock):
    guard = guard_of(issuer)
    token = token_of(issuer, exp=int(clock.now()) + 60)
    assert ask(guard, token)
    clock.ahead_s += 91
    assert refusal(guard, token).code == "expired"


def test_bad_tokens_evict_no_good_one(issuer, guard_of):
    guard = guard_of(issuer, token_cache_size=10)
    good = token_of(issuer)
    assert ask(guard, good)
    for number in range(200):
        refusal(guard, f"{good[:-8]}{number:08d}")
    assert guard.known(f"Bearer {good}") is not None


# Keys and issuers


def test_cve_2026_48524_ten_thousand_random_kids_are_one_fetch(issuer, guard_of, clock):
    guard = guard_of(issuer)
    assert ask(guard, token_of(issuer))
    asked = issuer.count("jwks")
    stranger = generate_signing_key("EdDSA", kid="stranger")
    header, payload, signature = token_of(issuer).split(".")
    dice = random.Random(7)  # noqa: S311 - names to be refused
    for _ in range(10_000):
        kid = f"{dice.getrandbits(128):032x}"
        header = encode_base64url(json.dumps({"alg": "EdDSA", "kid": kid, "typ": "at+jwt"}).encode())
        refused = refusal(guard, f"{header}.{payload}.{signature}")
        assert isinstance(refused, UnknownKey) or refused.reason == "keys_fetched_lately"
    assert issuer.count("jwks") - asked <= 1
    assert ask(guard, token_of(issuer)).subject == "alice"
    assert stranger.kid == "stranger"


def test_two_issuers_that_share_a_kid_sign_for_themselves_alone(clock, guard_of):
    with DevIssuer(clock=clock) as honest, DevIssuer(clock=clock) as hostile:
        for each in (honest, hostile):
            each.change(signing_algorithm="EdDSA")
        assert honest.signing_key.kid == hostile.signing_key.kid
        guard = guard_of(honest, hostile)
        assert ask(guard, token_of(hostile)).issuer == hostile.url
        assert refusal(guard, token_of(hostile, iss=honest.url)).code == "bad_signature"
        assert ask(guard, token_of(honest)).issuer == honest.url
        assert refusal(guard, token_of(hostile, iss=honest.url, iat=1)).code == "bad_signature"


@pytest.mark.parametrize("named", ["{}/", "{}/.", "{}.evil.example", "{}?", "{}#", "{}/tenant", " {}", "{}\0"])
def test_an_issuer_is_compared_letter_by_letter(issuer, guard_of, named):
    guard = guard_of(issuer)
    assert isinstance(refusal(guard, token_of(issuer, iss=named.format(issuer.url))), UnknownIssuer)
    assert issuer.count("jwks") == 0


def test_an_issuer_whose_name_begins_with_anothers(clock, guard_of):
    with DevIssuer(clock=clock, path="/realms/a") as short, DevIssuer(clock=clock, path="/realms/ab") as long:
        guard = guard_of(short, long)
        assert refusal(guard, token_of(long, iss=short.url)).code == "bad_signature"
        assert ask(guard, token_of(long)).issuer == long.url


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_an_algorithm_that_was_not_allowed_for_this_issuer(clock, alg):
    with DevIssuer(clock=clock) as issuer:
        issuer.change(signing_algorithm=alg)
        others = {"RS256", "ES256", "EdDSA"} - {alg}
        guard = Guard([trusted(issuer, algorithms=others)], clock=clock)
        assert refusal(guard, token_of(issuer)).code == "algorithm_not_allowed"
        guard.close()


@pytest.mark.parametrize("lie", ["weak_key", "symmetric_key"])
def test_a_weak_key_in_the_issuers_own_set_verifies_nothing(issuer, guard_of, lie):
    with issuer.misbehave(f"access_token_{lie}"):
        assert isinstance(refusal(guard_of(issuer), token_of(issuer)), InvalidCredential)


@pytest.mark.parametrize("kind", ["status", "html", "garbage", "reset", "close", "truncated"])
def test_an_issuer_that_fails_is_an_outage_and_lets_nobody_in(issuer, guard_of, kind):
    issuer.fail("jwks", kind, times=None)
    guard = guard_of(issuer)
    for _ in range(2):
        error = refusal(guard, token_of(issuer))
        assert isinstance(error, UnavailableError)
        assert error.status_hint == 503


def test_an_issuer_that_redirects_is_not_followed(issuer, guard_of):
    issuer.fail("jwks", status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"}, times=None)
    assert isinstance(refusal(guard_of(issuer), token_of(issuer)), ProviderUnavailable)


def test_an_issuer_that_answers_80_megabytes(issuer, guard_of):
    body = b'{"keys":[' + b" " * 80_000_000 + b"]}"
    issuer.fail("jwks", status=200, body=body, times=None)
    assert isinstance(refusal(guard_of(issuer), token_of(issuer)), ProviderUnavailable)


def test_an_issuer_with_10_000_keys(issuer, guard_of):
    key = issuer.signing_key.public_jwk()
    keys = [{**key, "kid": f"{number}"} for number in range(9_999)] + [key]
    issuer.fail("jwks", status=200, body=json.dumps({"keys": keys}).encode(), times=None)
    assert isinstance(refusal(guard_of(issuer), token_of(issuer)), ProviderUnavailable)


def test_an_issuer_that_hangs_holds_up_nobody_elses_tokens(clock, guard_of):
    with DevIssuer(clock=clock) as hanging, DevIssuer(clock=clock) as good:
        hanging.fail("jwks", "hang", times=None)
        guard = guard_of(hanging, good)
        assert ask(guard, token_of(good))
        outcomes = []
        waiting = threading.Thread(target=lambda: outcomes.append(refusal(guard, token_of(hanging))), daemon=True)
        waiting.start()
        began = time.monotonic()
        for number in range(20):
            assert ask(guard, token_of(good, f"person-{number}"))
        assert time.monotonic() - began < 3
        assert not outcomes
        hanging.stop()
        waiting.join(20)
        assert isinstance(outcomes[0], UnavailableError)


def test_an_hour_without_the_issuer_then_503_and_never_401(issuer, guard_of, clock):
    guard = guard_of(issuer)
    token = token_of(issuer, exp=int(clock.now()) + 100_000)
    assert ask(guard, token)
    issuer.fail("jwks", status=503, times=None)
    issuer.fail("discovery", status=503, times=None)
    for _ in range(6):
        clock.ahead_s += 1100
        assert ask(guard, token).subject == "alice"
    clock.ahead_s += 1000
    error = refusal(guard, token)
    assert isinstance(error, UnavailableError)
    issuer.behave()
    clock.ahead_s += 120
    assert ask(guard, token).subject == "alice"


def test_a_key_withdrawn_by_its_issuer_is_dead_within_the_hour(issuer, guard_of, clock):
    guard = guard_of(issuer)
    token = token_of(issuer, exp=int(clock.now()) + 100_000)
    assert ask(guard, token)
    issuer.rotate_keys(keep_old=False)
    clock.ahead_s += 3601
    assert refusal(guard, token).code == "unknown_key"


def test_an_issuer_that_drops_all_keys(issuer, guard_of, clock):
    guard = guard_of(issuer)
    token = token_of(issuer, exp=int(clock.now()) + 100_000)
    assert ask(guard, token)
    issuer.fail("jwks", status=200, body=b'{"keys":[]}', times=None)
    clock.ahead_s += 3601
    assert isinstance(refusal(guard, token), (InvalidCredential, UnavailableError))


# Who somebody is


def admins_of(issuer: DevIssuer, *admins: Admin, trust_email: bool = True, clock) -> Guard:
    return Guard([trusted(issuer, trust_email=trust_email)], admins=admins, clock=clock)


def test_the_e_mail_of_an_admin_said_by_another_issuer_makes_no_admin(clock):
    with DevIssuer(clock=clock) as ours, DevIssuer(clock=clock) as theirs:
        guard = Guard(
            [trusted(ours, trust_email=True), trusted(theirs, trust_email=True)],
            admins=[Admin(ours.url, email="root@example.org")],
            clock=clock,
        )
        claims = {"email": "root@example.org", "email_verified": True}
        assert ask(guard, token_of(ours, **claims)).is_admin
        assert not ask(guard, token_of(theirs, **claims)).is_admin
        guard.close()


def test_the_subject_of_an_admin_at_another_issuer_is_no_admin(clock):
    with DevIssuer(clock=clock) as ours, DevIssuer(clock=clock) as theirs:
        guard = Guard([trusted(ours), trusted(theirs)], admins=[Admin(ours.url, subject="root")], clock=clock)
        assert ask(guard, token_of(ours, "root")).is_admin
        assert not ask(guard, token_of(theirs, "root")).is_admin
        assert not ask(guard, token_of(ours, "Root")).is_admin
        guard.close()


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "root@example.org"},
        {"email": "root@example.org", "email_verified": False},
        {"email": "root@example.org", "email_verified": "false"},
        {"email": "root@example.org", "email_verified": 1},
        {"email": "root@example.org", "email_verified": [True]},
        {"email": ["root@example.org"], "email_verified": True},
        {"email": "root@example.org@evil.example", "email_verified": True},
        {"email": "root@example.org\0", "email_verified": True},
        {"email": " root@example.org", "email_verified": True},
        {"email": "root@example.org,mallory@evil.example", "email_verified": True},
        {"preferred_username": "root@example.org", "email_verified": True},
        {"upn": "root@example.org", "email_verified": True},
        {"unique_name": "root@example.org", "email_verified": True},
        {"name": "root@example.org", "email_verified": True},
    ],
)
def test_what_is_no_verified_e_mail_makes_no_admin(issuer, clock, claims):
    guard = admins_of(issuer, Admin(issuer.url, email="root@example.org"), clock=clock)
    try:
        principal = ask(guard, token_of(issuer, "mallory", **claims))
    except InvalidCredential:
        pass
    else:
        assert not principal.is_admin
        assert not principal.email_verified or principal.email != "root@example.org"
    guard.close()


def test_an_issuer_that_is_not_trusted_for_e_mail_says_nothing_by_it(issuer, clock):
    guard = admins_of(issuer, Admin(issuer.url, subject="someone"), trust_email=False, clock=clock)
    principal = ask(guard, token_of(issuer, "mallory", email="root@example.org", email_verified=True))
    assert not principal.email_verified
    assert not principal.is_admin
    guard.close()


def test_a_token_can_not_give_itself_what_only_settings_give(issuer, guard_of):
    said = {"is_admin": True, "admin": True, "may_delegate": True, "kind": "api_key", "roles": ["admin"]}
    principal = ask(guard_of(issuer), token_of(issuer, **said))
    assert (principal.is_admin, principal.may_delegate, principal.kind) == (False, False, "jwt")


# API keys


@pytest.fixture
def api_keys(clock):
    keys = ApiKeys.memory(pepper=Secret("a-pepper-of-the-tests-that-is-long-enough"), clock=clock)
    yield keys
    keys.close()


BOGUS_KEYS = [
    "dw_", "dw_' OR '1'='1", "dw_00000000000_" + "0" * 43 + "_0000000", "dw_%_%_%", "dw_" + "a" * 5000, "DW_x_y_z",
    "dw_00000000000_" + "0" * 43 + "_0000000'; DROP TABLE keys; --", "anonymous", "null", "undefined", "-", "0",
]  # fmt: skip


@pytest.mark.parametrize("bogus", BOGUS_KEYS)
def test_a_bogus_key_is_nobody(clock, api_keys, bogus):
    guard = Guard(api_keys=api_keys, clock=clock)
    secret, made = api_keys.create("batch")
    for _ in range(2):
        assert isinstance(refusal(guard, bogus), InvalidCredential)
    principal = ask(guard, secret.reveal())
    assert principal.kind == "api_key"
    assert made.name == "batch"


def test_a_key_one_letter_off_is_unknown(clock, api_keys):
    guard = Guard(api_keys=api_keys, clock=clock)
    secret = api_keys.create("batch")[0].reveal()
    for place in range(3, len(secret)):
        if secret[place] != "_":
            other = "B" if secret[place] == "A" else "A"
            assert isinstance(refusal(guard, secret[:place] + other + secret[place + 1 :]), UnknownApiKey)
    assert ask(guard, secret)


def test_a_revoked_key_is_out_at_once_though_it_was_remembered(clock, api_keys):
    guard = Guard(api_keys=api_keys, clock=clock)
    secret, _ = api_keys.create("batch")
    assert ask(guard, secret.reveal())
    api_keys.revoke("batch")
    assert isinstance(refusal(guard, secret.reveal()), (Revoked, UnknownApiKey))


class WatchedStore:
    """A store that notes what is asked of it, and fails when told to."""

    def __init__(self):
        self.asked = []
        self.fails = False
        self._store = MemoryKeyStore()

    def __getattr__(self, name):
        method = getattr(self._store, name)

        def watched(*values, **options):
            self.asked.append(name)
            if self.fails:
                raise StoreError("The store is down. Wait.")
            return method(*values, **options)

        return watched


@pytest.fixture
def store():
    return WatchedStore()


@pytest.fixture
def stored_keys(store, clock):
    keys = ApiKeys(store, pepper=Secret("a-pepper-of-the-tests-that-is-long-enough"), clock=clock)
    yield keys
    store.fails = False
    keys.close()


def test_a_bogus_key_costs_the_store_nothing(store, stored_keys, clock):
    guard = Guard(api_keys=stored_keys, clock=clock)
    secret = stored_keys.create("batch")[0].reveal()
    assert ask(guard, secret)
    store.asked.clear()
    for number in range(500):
        bogus = f"dw_{number:011}_{number:043}_0000000"
        assert isinstance(refusal(guard, bogus), UnknownApiKey)
    assert store.asked == []


def test_a_store_that_is_down_refuses_nobody_and_lets_nobody_in(store, stored_keys, clock):
    guard = Guard(api_keys=stored_keys, throttle=Throttle(free_failures=1), clock=clock)
    known, fresh = (stored_keys.create(name)[0].reveal() for name in ("known", "fresh"))
    assert ask(guard, known)
    store.fails = True
    assert ask(guard, known).subject == "known"  # for the time that it is remembered
    for _ in range(5):
        error = refusal(guard, fresh, client_ip="192.0.2.7")
        assert isinstance(error, StoreError)
        assert error.status_hint == 503
    clock.ahead_s += 3600
    assert isinstance(refusal(guard, known), StoreError)
    store.fails = False
    assert ask(guard, fresh, client_ip="192.0.2.7").subject == "fresh"
    assert ask(guard, known).subject == "known"


# Throttling


def test_an_attacker_locks_out_nobody_but_itself(clock, api_keys):
    guard = Guard(api_keys=api_keys, throttle=Throttle(), clock=clock)
    secret = api_keys.create("victim")[0].reveal()
    wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    kinds = {type(refusal(guard, wrong, client_ip="192.0.2.66")) for _ in range(200)}
    assert kinds == {UnknownApiKey, Throttled}
    assert ask(guard, secret, client_ip="198.51.100.7").kind == "api_key"


def test_walking_through_a_64_gains_nothing(clock, api_keys):
    guard = Guard(api_keys=api_keys, throttle=Throttle(), clock=clock)
    outcomes = [refusal(guard, f"dw_{number}", client_ip=f"2001:db8::{number:x}") for number in range(1, 100)]
    assert sum(isinstance(error, Throttled) for error in outcomes) > 80
    assert isinstance(refusal(guard, "dw_1", client_ip="2001:db8:0:1::1"), InvalidCredential)


def test_an_outage_is_no_failed_attempt(issuer, clock):
    guard = Guard([trusted(issuer)], throttle=Throttle(free_failures=1), clock=clock)
    issuer.fail("jwks", status=503, times=None)
    for number in range(20):
        assert isinstance(refusal(guard, token_of(issuer, f"{number}"), client_ip="192.0.2.7"), UnavailableError)
    issuer.behave()
    clock.ahead_s += 120
    assert ask(guard, token_of(issuer), client_ip="192.0.2.7")
    guard.close()
