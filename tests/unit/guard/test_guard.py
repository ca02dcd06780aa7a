"""What a guard answers, remembers and counts, with keys given in the settings: no network."""

import asyncio
import math
import time
from contextlib import closing

import pytest
from people import MovedClock

from doorward.errors import (
    BadSignature,
    ConfigurationError,
    DoorwardError,
    Expired,
    Forbidden,
    InvalidCredential,
    Malformed,
    MissingClaim,
    MissingCredential,
    Revoked,
    StoreError,
    Throttled,
    UnknownApiKey,
    UnknownIssuer,
    UnknownKey,
    WrongAudience,
)
from doorward.guard import Admin, ApiKeys, Guard, Issuer, Revocations, Throttle
from doorward.model import Secret
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key

URL = "https://id.example.org"
KEY = generate_signing_key("ES256", kid="k1")
RSA_KEY = generate_signing_key("RS256", kid="k1")


class Heard:
    """An audit that keeps what it is told."""

    def __init__(self):
        self.decisions = []
        self.broken = False

    def record(self, decision):
        if self.broken:
            raise StoreError("The audit log is full: see to its disk.", reason="audit_full")
        self.decisions.append(decision)


@pytest.fixture
def clock():
    return MovedClock()


@pytest.fixture
def heard():
    return Heard()


def issuer(url=URL, *, key=KEY, **settings):
    return Issuer(url, ["api"], jwks={"keys": [key.public_jwk()]}, **settings)


@pytest.fixture
def guard(clock, heard):
    return Guard([issuer()], clock=clock, audit=heard)


@pytest.fixture
def token(clock):
    def make(*, key=KEY, **claims):
        now = int(clock.now())
        given = {"iss": URL, "sub": "alice", "aud": "api", "iat": now, "exp": now + 300, "scope": "read", **claims}
        return sign_claims({name: value for name, value in given.items() if value is not ...}, key)

    return make


def bearer(token):
    return f"Bearer {token}"


class TestDeciding:
    def test_a_token_is_a_principal(self, guard, token):
        principal = guard.authenticate(bearer(token(email="alice@example.org", email_verified=True, groups=["eng"])))
        assert (principal.issuer, principal.subject, principal.kind) == (URL, "alice", "jwt")
        assert (principal.audience, principal.scopes, principal.groups) == (("api",), ("read",), ("eng",))
        assert principal.claims["sub"] == "alice"
        assert not principal.is_admin
        assert not principal.may_delegate

    async def test_asyncio_gets_the_same(self, guard, token):
        value = bearer(token())
        principal = await guard.aauthenticate(value)
        assert principal is guard.authenticate(value)
        with pytest.raises(MissingCredential):
            await guard.aauthenticate(None)

    @pytest.mark.parametrize(
        ("authorization", "error", "reason"),
        [
            (None, MissingCredential, "no_authorization"),
            ("", MissingCredential, "other_scheme"),
            ("Basic YTpi", MissingCredential, "other_scheme"),
            ("Bearer", Malformed, "bad_bearer_token"),
            ("Bearer  x", Malformed, "bad_bearer_token"),
            ("Bearer x\n", Malformed, "bad_bearer_token"),
            ("Bearer \udcff", Malformed, "bad_bearer_token"),
            ("Bearer something", Malformed, "unknown_shape"),
            ("Bearer dw_something", Malformed, "unknown_shape"),
            ("Bearer eyJ9.e30.x", Malformed, None),
            ("Bearer " + "a" * 70_000, Malformed, "token_too_long"),
        ],
    )
    def test_what_is_no_credential(self, guard, authorization, error, reason):
        with pytest.raises(error) as refused:
            guard.authenticate(authorization)
        assert reason in {None, refused.value.reason}

    def test_the_scheme_is_read_in_any_case(self, guard, token):
        value = token()
        assert guard.authenticate(f"bearer {value}").subject == guard.authenticate(f"BEARER {value}").subject

    def test_only_issuers_of_ours(self, guard, token):
        for other in (URL + "/", URL[:-1], URL.upper(), "https://evil.example.org", "https://id.example.org.evil.org"):
            with pytest.raises(UnknownIssuer):
                guard.authenticate(bearer(token(iss=other)))
        for other, error in ((..., MissingClaim), ([URL], Malformed), (None, Malformed), (7, Malformed)):
            with pytest.raises(error):
                guard.authenticate(bearer(token(iss=other)))

    def test_two_issuers_that_name_their_keys_alike(self, clock, token):
        other = "https://evil.example.org"
        evil = generate_signing_key("ES256", kid="k1")
        guard = Guard([issuer(), issuer(other, key=evil)], clock=clock)
        assert guard.authenticate(bearer(token())).issuer == URL
        assert guard.authenticate(bearer(token(iss=other, key=evil))).issuer == other
        for forged in (token(key=evil), token(iss=other)):
            with pytest.raises(BadSignature):
                guard.authenticate(bearer(forged))

    def test_scopes_that_are_missing(self, guard, token):
        value = bearer(token(scope="read list"))
        assert guard.authenticate(value, scopes=["read"]).subject == "alice"
        for _ in range(2):  # anew, and remembered
            with pytest.raises(Forbidden) as refused:
                guard.authenticate(value, scopes=["read", "write", "admin"])
            assert refused.value.missing_scopes == ("write", "admin")
        assert guard.authenticate(value).subject == "alice"

    def test_scopes_are_a_list(self, guard, token):
        value = bearer(token(scope="read"))
        assert guard.authenticate(value, scopes=iter(["read"])).subject == "alice"
        for ask in (guard.authenticate, guard.known):
            with pytest.raises(ConfigurationError) as wrong:
                ask(value, scopes="read")
            assert wrong.value.field == "scopes"

    def test_an_admin_of_one_issuer_is_none_of_another(self, clock, token):
        other = "https://evil.example.org"
        guard = Guard(
            [issuer(trust_email=True), issuer(other, trust_email=True)],
            admins=[Admin(URL, email="root@example.org"), Admin(URL, subject="root")],
            clock=clock,
        )
        mail = {"email": "root@example.org", "email_verified": True}
        assert guard.authenticate(bearer(token(**mail))).is_admin
        assert guard.authenticate(bearer(token(sub="root"))).is_admin
        assert not guard.authenticate(bearer(token(iss=other, **mail))).is_admin
        assert not guard.authenticate(bearer(token(iss=other, sub="root"))).is_admin
        assert not guard.authenticate(bearer(token(email="root@example.org"))).is_admin

    def test_a_name_alone_is_an_admin_where_there_is_one_issuer(self, clock, token):
        guard = Guard([issuer()], admins=["root"], clock=clock)
        assert guard.authenticate(bearer(token(sub="root"))).is_admin
        with pytest.raises(ConfigurationError):
            Guard([issuer(), issuer("https://b.example.org")], admins=["root"], clock=clock)

    def test_a_guard_that_lets_nobody_in_is_a_mistake(self):
        with pytest.raises(ConfigurationError) as wrong:
            Guard()
        assert wrong.value.reason == "nobody_allowed"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("token_cache_size", -1),
            ("token_cache_size", True),
            ("token_cache_ttl_s", math.inf),
            ("token_cache_ttl_s", "300"),
            ("api_key_cache_ttl_s", -0.1),
        ],
    )
    def test_settings_out_of_range(self, name, value):
        with pytest.raises(ConfigurationError) as wrong:
            Guard([issuer()], **{name: value})
        assert wrong.value.field == name

    def test_it_shows_no_secret(self, guard):
        assert repr(guard) == f"Guard(issuers=['{URL}'])"


class TestRemembering:
    def test_a_token_is_checked_once(self, guard, token):
        value = bearer(token())
        assert guard.known(value) is None
        principal = guard.authenticate(value)
        assert guard.known(value) is principal
        assert guard.authenticate(value) is principal

    def test_never_past_its_end(self, guard, token, clock):
        value = bearer(token(exp=int(clock.now()) + 60))
        guard.authenticate(value)
        clock.ahead_s = 59
        assert guard.known(value) is not None
        clock.ahead_s = 61
        assert guard.known(value) is None
        assert guard.authenticate(value).subject == "alice"  # within the leeway, checked anew each time
        assert guard.known(value) is None
        clock.ahead_s = 91
        with pytest.raises(Expired):
            guard.authenticate(value)

    def test_nor_once_its_key_is_withdrawn(self, guard, token):
        value, other = bearer(token()), generate_signing_key("ES256", kid="k2")
        guard.authenticate(value)
        ring = guard._configuration.rings.get(URL)  # noqa: SLF001 - as if it had fetched
        ring.keys = issuer(key=other).static_keys
        assert guard.known(value) is None
        with pytest.raises(UnknownKey):
            guard.authenticate(value)
        assert guard.authenticate(bearer(token(key=other))).subject == "alice"

    def test_nor_once_its_keys_are_too_old(self, guard, token, clock):
        value = bearer(token())
        guard.authenticate(value)
        ring = guard._configuration.rings.get(URL)  # noqa: SLF001 - as above
        ring.fresh_until = clock.now()
        assert guard.known(value) is None

    def test_nor_longer_than_set(self, token, clock):
        guard = Guard([issuer()], clock=clock, token_cache_ttl_s=10)
        value = bearer(token())
        guard.authenticate(value)
        clock.ahead_s = 9
        assert guard.known(value) is not None
        clock.ahead_s = 11
        assert guard.known(value) is None

    def test_a_cache_of_nothing(self, token, clock):
        guard = Guard([issuer()], clock=clock, token_cache_size=0)
        value = bearer(token())
        assert guard.authenticate(value) is not guard.authenticate(value)

    def test_no_number_of_bad_tokens_evicts_a_good_one(self, token, clock):
        guard = Guard([issuer()], clock=clock, token_cache_size=3, throttle=Throttle(free_failures=1_000_000))
        good = bearer(token())
        guard.authenticate(good)
        for number in range(200):
            with pytest.raises(UnknownIssuer):
                guard.authenticate(bearer(token(iss=f"https://evil.example.org/{number}")))
        assert guard.known(good) is not None

    def test_a_refusal_is_remembered_with_its_reason(self, guard, token):
        value = bearer(token(aud="another"))
        for _ in range(3):
            with pytest.raises(WrongAudience) as refused:
                guard.authenticate(value)
            assert refused.value.reason == "audience_mismatch"

    def test_a_part_of_a_token_is_not_the_token(self, guard, token):
        good = token()
        guard.authenticate(bearer(good))
        head, payload, signature = good.split(".")
        forged = token(sub="root").split(".")[1]
        for other in (f"{head}.{forged}.{signature}", f"{head}.{payload}.{'A' * len(signature)}"):
            with pytest.raises(BadSignature):
                guard.authenticate(bearer(other))

    def test_a_principal_cannot_be_changed_for_the_next_request(self, guard, token):
        value = bearer(token(roles={"admin": ["a"]}, tags=["x"]))
        principal = guard.authenticate(value)
        with pytest.raises(TypeError):
            principal.claims["sub"] = "root"
        with pytest.raises((TypeError, AttributeError)):
            principal.claims["tags"].append("y")
        with pytest.raises((TypeError, AttributeError)):
            principal.claims["roles"]["admin"].append("b")
        assert guard.known(value).claims["sub"] == "alice"

    def test_invalidating(self, guard, token):
        values = [bearer(token(sub=name, jti=name)) for name in ("alice", "bob", "carol", "dave")]
        for value in values:
            guard.authenticate(value)
        assert guard.invalidate(token=values[0].removeprefix("Bearer ")) == 1
        assert guard.invalidate(issuer=URL, subject="bob") == 1
        assert guard.invalidate(jti="carol") == 1
        assert guard.invalidate(issuer="https://other.example.org") == 0
        assert [guard.known(value) is None for value in values] == [True, True, True, False]
        assert guard.invalidate() == 1
        assert guard.authenticate(values[0]).subject == "alice"


class TestRevoking:
    @pytest.mark.parametrize("how", ["token", "jti", "subject", "issuer", "kid"])
    def test_at_once_though_remembered(self, guard, token, how):
        value = token(jti="1")
        other = token(jti="2", sub="bob")
        for each in (value, other):
            guard.authenticate(bearer(each))
        what = {
            "token": {"token": value},
            "jti": {"issuer": URL, "jti": "1"},
            "subject": {"issuer": URL, "subject": "alice"},
            "issuer": {"issuer": URL},
            "kid": {"issuer": URL, "kid": "k1"},
        }[how]
        guard.revocations.revoke(**what)
        with pytest.raises(Revoked):
            guard.authenticate(bearer(value))
        if how in {"token", "jti", "subject"}:
            assert guard.known(bearer(other)) is not None
        else:
            with pytest.raises(Revoked):
                guard.authenticate(bearer(other))

    @pytest.mark.parametrize("remembered", [True, False])
    def test_an_api_key_is_revoked_by_its_text_too(self, clock, remembered):
        keys = ApiKeys.memory(clock=clock, keyring=[{"name": "fixed", "key": "abcdefgh"}])
        guard = Guard([issuer()], keys, clock=clock)
        for value in (keys.create("nightly")[0].reveal(), "abcdefgh"):
            if remembered:
                guard.authenticate(bearer(value))
            guard.revocations.revoke(token=value)
            with pytest.raises(Revoked) as refused:
                guard.authenticate(bearer(value))
            assert refused.value.reason == "token_revoked"

    @pytest.mark.parametrize("remember", [0, 100])
    async def test_what_the_memory_has_no_room_for(self, clock, token, tmp_path, remember):
        keys = ApiKeys.memory(clock=clock)
        elsewhere = Revocations.sqlite(tmp_path / "revoked.db", clock=clock)
        elsewhere.revoke(issuer=URL, jti="another")
        revocations = Revocations.sqlite(tmp_path / "revoked.db", clock=clock, max_entries=1)
        guard = Guard([issuer()], keys, clock=clock, revocations=revocations, token_cache_size=remember)
        values = [token(sub="bob", jti="1"), token(sub="carol", jti="2"), keys.create("nightly")[0].reveal()]
        good = token(jti="good")
        for value in (*values, good):
            assert guard.authenticate(bearer(value)) == await guard.aauthenticate(bearer(value))
        for what in ({"issuer": URL, "jti": "1"}, {"issuer": URL, "subject": "carol"}, {"token": values[2]}):
            elsewhere.revoke(**what)
        clock.ahead_s += 1
        assert guard.authenticate(bearer(good)).subject == "alice"
        for value in values:
            with pytest.raises(Revoked):
                guard.authenticate(bearer(value))
            with pytest.raises(Revoked):
                await guard.aauthenticate(bearer(value))
            assert guard.known(bearer(value)) is None
            assert guard.explain(value).code == "revoked"
        assert (guard.known(bearer(good)) is not None) == bool(remember)
        assert revocations.fill == 4
        for each in (guard, elsewhere):
            each.close()

    def test_warming_up_loads_what_was_revoked(self, clock, token, tmp_path):
        with closing(Revocations.sqlite(tmp_path / "revoked.db", clock=clock)) as elsewhere:
            elsewhere.revoke(issuer=URL, jti="another")
        guard = Guard([issuer()], clock=clock, revocations=Revocations.sqlite(tmp_path / "revoked.db", clock=clock))
        guard.warm_up()
        while not guard.revocations.complete:
            time.sleep(0.01)
        assert len(guard.revocations) == 1
        guard.close()

    def test_an_api_key_is_dropped_by_its_text_too(self, clock):
        keys = ApiKeys.memory(clock=clock)
        guard = Guard([issuer()], keys, clock=clock)
        value, other = (keys.create(name)[0].reveal() for name in ("nightly", "daily"))
        guard.authenticate(bearer(value))
        guard.authenticate(bearer(other))
        assert guard.invalidate(token=value) == 1
        assert [guard.known(bearer(each)) is None for each in (value, other)] == [True, False]

    def test_the_other_signature_of_ecdsa_is_the_same_token(self, guard, token):
        value = token()
        head, _, signature = value.rpartition(".")
        raw = decode_base64url(signature, what="signature")
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        twin = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
        malleated = f"{head}.{encode_base64url(twin)}"
        assert guard.authenticate(bearer(malleated)).subject == "alice"  # it is as good a signature
        guard.revocations.revoke(token=value)
        for each in (value, malleated):
            with pytest.raises(Revoked):
                guard.authenticate(bearer(each))
        for spelling in (value + "=", value + "==", value.replace("-", "+").replace("_", "/") + "="):
            with pytest.raises(DoorwardError):
                guard.authenticate(bearer(spelling))


class TestClocksAndAges:
    def test_a_token_that_grows_too_old_is_not_remembered_beyond(self, clock, token):
        guard = Guard([issuer(max_token_age_s=60, leeway_s=0)], clock=clock)
        value = bearer(token(exp=int(clock.now()) + 3600))
        guard.authenticate(value)
        clock.ahead_s = 61
        with pytest.raises(Expired) as refused:
            guard.authenticate(value)
        assert refused.value.reason == "too_old"

    def test_a_clock_that_was_ahead_for_a_moment_shuts_nobody_out(self, guard, clock, token):
        value = bearer(token())
        clock.ahead_s = 86_400
        with pytest.raises(Expired):
            guard.authenticate(value)
        clock.ahead_s = 0
        assert guard.authenticate(value).subject == "alice"

    def test_a_clock_that_is_set_back_prolongs_nothing(self, clock):
        keys = ApiKeys.memory(clock=clock)
        other_process = ApiKeys(keys._store, pepper=keys_pepper(keys), clock=clock)  # noqa: SLF001 - as a database would be shared
        guard = Guard([issuer()], keys, clock=clock)
        value = bearer(keys.create("nightly")[0].reveal())
        clock.ahead_s = 86_400
        guard.authenticate(value)
        other_process.revoke("nightly")
        clock.ahead_s = 0
        with pytest.raises(Revoked):
            guard.authenticate(value)

    def test_a_refusal_that_is_over_is_remembered_anew(self, guard, clock, token):
        value = bearer(token(aud="another", exp=int(clock.now()) + 3000))
        for clock.ahead_s in (0, 61, 62):
            with pytest.raises(WrongAudience):
                guard.authenticate(value)
        held = guard._configuration.rejected.get(guard._digest(value))  # noqa: SLF001 - nothing else tells how often it was checked
        assert held.until > clock.now() + 50

    def test_a_key_that_takes_the_name_of_another(self, clock, token):
        key = generate_signing_key("ES256", kid="k1")
        guard = Guard([issuer()], clock=clock)
        value = bearer(token(key=key))
        with pytest.raises(BadSignature):
            guard.authenticate(value)
        ring = guard._configuration.rings.get(URL)  # noqa: SLF001 - as if it had fetched
        ring.keys = issuer(key=key).static_keys
        assert guard.authenticate(value).subject == "alice"

    def test_scopes_that_can_be_read_only_once(self, guard, token):
        value = bearer(token())
        for _ in range(2):
            with pytest.raises(Forbidden):
                guard.authenticate(value, scopes=iter(["admin"]))
            assert guard.known(value, scopes=iter(["admin"])) is None


def keys_pepper(keys):
    return Secret(keys._peppers.known[0].key.decode())  # noqa: SLF001 - what the other process has been given


class Told:
    """A store of failures that is shared with other guards: it keeps what it hears."""

    def __init__(self):
        self.prefixes = set()

    def of_network(self, network):
        return (1, 0.0)

    def of_prefix(self, prefix):
        self.prefixes.add(prefix)

    def add(self, network, prefix, *, now):
        self.prefixes.add(prefix)


def test_no_part_of_a_secret_is_counted_elsewhere(clock):
    told = Told()
    keys = ApiKeys.memory(clock=clock, keyring=[{"name": "fixed", "key": "dw_planted-secret"}])
    guard = Guard((), keys, clock=clock, throttle=Throttle(shared=told))
    own, key = keys.create("nightly")
    for value in ("opaque-planted-secret", "dw_planted-secret", own.reveal(), own.reveal()[:-1], "dw_planted_secret"):
        try:
            guard.authenticate(bearer(value), client_ip="192.0.2.1")
        except (Malformed, UnknownApiKey):
            continue
    assert told.prefixes == {None, key.key_id}


def guess(guard, credential, *, client_ip):
    """Send something bad until one has to wait; return what is said then."""
    for _ in range(100):
        try:
            guard.authenticate(bearer(credential), client_ip=client_ip)
        except InvalidCredential:
            continue
        except Throttled as throttled:
            return throttled
    pytest.fail("nobody ever had to wait")


SHARED, ELSEWHERE = "192.0.2.1", "192.0.2.2"


class Still(MovedClock):
    """A clock that moves only when it is moved."""

    def now(self):
        return 1_800_000_000 + self.ahead_s


class TestCountingFailures:
    """Only guesses wait for the guesses of a neighbour behind the same address (decision 13)."""

    @pytest.fixture
    def clock(self):
        return Still()

    @pytest.fixture
    def keys(self, clock):
        return ApiKeys.memory(clock=clock)

    @pytest.fixture
    def guard(self, clock, keys):
        return Guard([issuer()], keys, clock=clock)

    @pytest.fixture
    def refused(self, guard):
        def ask(credential, client_ip=SHARED):
            with pytest.raises(DoorwardError) as caught:
                guard.authenticate(bearer(credential), client_ip=client_ip)
            return type(caught.value), caught.value.reason

        return ask

    @pytest.mark.parametrize(
        "credential",
        [
            "guess",
            "undefine",
            "eyJ9.e30.x",
            lambda token: token()[:-4] + "AAAA",
            lambda token: token(iss="https://evil.example.org"),
            "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUub3JnIn0.AAAA",
            "dw_guess",
            "dw_abcdefghijk_" + "0" * 43 + "_0000000",
        ],
    )
    def test_a_guesser_waits(self, guard, keys, token, credential):
        credential = credential(token) if callable(credential) else credential
        key = keys.create("nightly")[0].reveal()
        heard = guess(guard, credential, client_ip=SHARED)
        assert (heard.reason, heard.retry_after_s > 0) == ("address_throttled", True)
        with pytest.raises(Throttled):  # what could be guessed
            guard.authenticate(bearer(key), client_ip=SHARED)
        assert guard.authenticate(bearer(key), client_ip=ELSEWHERE).subject == "nightly"

    def test_a_good_signed_token_does_not_wait_for_the_guesses_of_its_neighbours(self, guard, token):
        forged = token()[:-4] + "AAAA"
        guess(guard, forged, client_ip=SHARED)
        for number in range(100):
            assert guard.authenticate(bearer(token(sub=f"{number}")), client_ip=SHARED).subject == f"{number}"
            with pytest.raises(Throttled):
                guard.authenticate(bearer(forged), client_ip=SHARED)

    async def test_nor_with_asyncio(self, guard, token):
        guess(guard, "guess", client_ip=SHARED)
        assert (await guard.aauthenticate(bearer(token()), client_ip=SHARED)).subject == "alice"
        with pytest.raises(Throttled):
            await guard.aauthenticate(bearer(token()[:-4] + "AAAA"), client_ip=SHARED)

    def test_one_bad_request_now_and_then_keeps_nobody_out(self, guard, token, clock):
        retry_at, began, bad, good = clock.now(), clock.now(), 0, 0
        while clock.now() < began + 7200:
            if clock.now() >= retry_at:
                try:
                    guard.authenticate("Bearer garbage", client_ip=SHARED)
                except Throttled as throttled:
                    retry_at = clock.now() + throttled.retry_after_s
                except Malformed:
                    bad += 1
            assert guard.authenticate(bearer(token(sub=f"{clock.now()}")), client_ip=SHARED).kind == "jwt"
            good += 1
            clock.ahead_s += 7
        assert (bad > 20, good > 1000) == (True, True)

    @pytest.mark.parametrize(
        ("authorization", "reason"),
        [
            (None, "no_authorization"),
            ("", "other_scheme"),
            ("Basic YTpi", "other_scheme"),
            ("Bearer", "bad_bearer_token"),
            ("Bearer ", "bad_bearer_token"),
            ("Bearer [object Object]", "bad_bearer_token"),
            ("Bearer ${TOKEN}", "bad_bearer_token"),
            ("Bearer <nil>", "bad_bearer_token"),
            ("Bearer undefined", "placeholder"),
            ("bearer null", "placeholder"),
            ("Bearer None", "placeholder"),
            ("Bearer NaN", "placeholder"),
            ("Bearer false", "placeholder"),
            ({"exp": 1}, "expired"),
            ({"aud": "another"}, "audience_mismatch"),
            ({"key": generate_signing_key("ES256", kid="of-last-year")}, "unknown_kid"),
            ({"key": generate_signing_key("ES256", kid="of-tomorrow")}, "unknown_kid"),
            ({"key": generate_signing_key("EdDSA", kid="k1")}, "key_algorithm_mismatch"),
        ],
    )
    def test_what_is_no_guess_is_not_counted(self, guard, keys, token, authorization, reason):
        if isinstance(authorization, dict):
            authorization = bearer(token(**authorization))
        for _ in range(200):
            with pytest.raises(InvalidCredential) as refused:
                guard.authenticate(authorization, client_ip=SHARED)
            assert refused.value.reason == reason
        key = keys.create("nightly")[0].reveal()
        assert guard.authenticate(bearer(key), client_ip=SHARED).subject == "nightly"

    def test_what_is_no_guess_is_told_so_though_the_address_waits(self, guard, token, refused):
        guess(guard, "guess", client_ip=SHARED)
        assert refused("undefined") == (MissingCredential, "placeholder")
        assert refused(token(exp=1)) == (Expired, "expired")
        assert refused(token(key=generate_signing_key("ES256", kid="old"))) == (UnknownKey, "unknown_kid")

    def test_who_is_known_is_not_held_up(self, guard, token):
        value = bearer(token())
        guard.authenticate(value, client_ip=SHARED)
        guess(guard, "guess", client_ip=SHARED)
        assert guard.authenticate(value, client_ip=SHARED).subject == "alice"

    def test_a_key_that_was_good_is_looked_at_again_and_once_it_is_bad_no_more(self, guard, keys, clock, refused):
        good, bad = (keys.create(name)[0].reveal() for name in ("nightly", "daily"))
        for key in (good, bad):
            guard.authenticate(bearer(key), client_ip=SHARED)
        keys.revoke("daily")
        clock.ahead_s = 61  # longer than a key is remembered
        assert guard.known(bearer(good)) is None
        guess(guard, "guess", client_ip=SHARED)
        assert guard.authenticate(bearer(good), client_ip=SHARED).subject == "nightly"
        assert refused(bad) == (Revoked, "key_revoked")
        assert refused(bad) == (Throttled, "address_throttled")

    def test_a_flood_of_bad_tokens_is_looked_at_within_a_budget(self, clock, token):
        guard = Guard([issuer()], clock=clock, throttle=Throttle(free_failures=0, spared_checks=4))

        def outcomes(client_ip, times):
            for number in range(times):
                try:
                    yield guard.authenticate(bearer(token(jti=f"{number}")[:-4] + "AAAA"), client_ip=client_ip)
                except DoorwardError as error:
                    yield error.reason

        assert list(outcomes(SHARED, 5)) == ["bad_signature", *["address_throttled"] * 2, *["checks_used_up"] * 2]
        with pytest.raises(Throttled) as unlucky:
            guard.authenticate(bearer(token()), client_ip=SHARED)
        assert (unlucky.value.reason, unlucky.value.retry_after_s) == ("checks_used_up", 1)
        assert guard.authenticate(bearer(token()), client_ip="198.51.100.1").subject == "alice"
        for other in (ELSEWHERE, "192.0.2.3"):
            list(outcomes(other, 5))
        assert list(outcomes("192.0.2.4", 2)) == ["bad_signature", "checks_used_up"]  # all of them together
        clock.ahead_s += 1
        assert guard.authenticate(bearer(token(sub="bob")), client_ip=SHARED).subject == "bob"

    def test_good_tokens_use_up_nothing(self, clock, token):
        guard = Guard([issuer()], clock=clock, throttle=Throttle(free_failures=0, spared_checks=1))
        with pytest.raises(Malformed):
            guard.authenticate("Bearer guess", client_ip=SHARED)
        for number in range(50):
            assert guard.authenticate(bearer(token(sub=f"{number}")), client_ip=SHARED).kind == "jwt"

    def test_without_a_budget_all_wait(self, clock, token):
        guard = Guard([issuer()], clock=clock, throttle=Throttle(free_failures=0, spared_checks=0))
        with pytest.raises(Malformed):
            guard.authenticate("Bearer guess", client_ip=SHARED)
        with pytest.raises(Throttled):
            guard.authenticate(bearer(token()), client_ip=SHARED)

    def test_the_audit_hears_what_the_caller_heard(self, clock, heard, token):
        guard = Guard([issuer()], clock=clock, audit=heard, throttle=Throttle(free_failures=0))
        for credential in ("guess", token()[:-4] + "AAAA"):
            with pytest.raises(DoorwardError):
                guard.authenticate(bearer(credential), client_ip=SHARED)
        told = [(each.outcome, each.reason) for each in heard.decisions]
        assert told == [("refused", "unknown_shape"), ("throttled", "address_throttled")]


class TestApiKeys:
    @pytest.fixture
    def keys(self, clock):
        return ApiKeys.memory(clock=clock)

    @pytest.fixture
    def guard(self, clock, heard, keys):
        return Guard([issuer()], keys, clock=clock, audit=heard)

    def test_a_key_is_a_principal(self, guard, keys):
        secret, key = keys.create("nightly", scopes=["read"], may_delegate=True)
        value = bearer(secret.reveal())
        principal = guard.authenticate(value, scopes=["read"])
        assert (principal.subject, principal.kind, principal.scopes) == ("nightly", "api_key", ("read",))
        assert principal.may_delegate
        assert not principal.is_admin
        assert guard.known(value) is principal
        assert key.key_id in secret.reveal()

    def test_a_revoked_key_is_dead_at_once(self, guard, keys):
        secret, _ = keys.create("nightly")
        guard.authenticate(bearer(secret.reveal()))
        keys.revoke("nightly")
        with pytest.raises(Revoked):
            guard.authenticate(bearer(secret.reveal()))

    def test_a_key_ends_when_it_ends(self, guard, keys, clock):
        secret, _ = keys.create("nightly", expires_at=clock.now() + 20)
        guard.authenticate(bearer(secret.reveal()))
        clock.ahead_s = 21
        with pytest.raises(Expired):
            guard.authenticate(bearer(secret.reveal()))

    def test_no_key_of_ours(self, guard, keys):
        secret, _ = keys.create("nightly")
        other, _ = ApiKeys.memory().create("nightly")
        for value in (other.reveal(), secret.reveal()[:-1], secret.reveal() + "a", secret.reveal().upper()):
            with pytest.raises((UnknownApiKey, Malformed)):
                guard.authenticate(bearer(value))

    def test_both_ways_in_stand_side_by_side(self, guard, keys, token):
        secret, _ = keys.create("alice")
        person, service = guard.authenticate(bearer(token())), guard.authenticate(bearer(secret.reveal()))
        assert person.subject == service.subject
        assert person.issuer != service.issuer


class TestTheAudit:
    def test_every_decision_is_told(self, guard, heard, token):
        value = bearer(token(jti="1"))
        for _ in range(2):
            guard.authenticate(value, client_ip="192.0.2.1", scopes=["read"], resource="GET /orders")
        with pytest.raises(Forbidden):
            guard.authenticate(value, scopes=["write"])
        with pytest.raises(BadSignature):
            guard.authenticate(value[:-4] + "AAAA")
        with pytest.raises(MissingCredential):
            guard.authenticate(None)
        told = [(each.outcome, each.reason, each.kind, each.subject) for each in heard.decisions]
        assert told == [
            ("accepted", "", "jwt", "alice"),
            ("accepted", "", "jwt", "alice"),
            ("forbidden", "forbidden", "jwt", "alice"),
            ("refused", "bad_signature", "jwt", "alice"),
            ("refused", "no_authorization", "none", ""),
        ]
        first = heard.decisions[0]
        assert (first.issuer, first.jti, first.key_id) == (URL, "1", "k1")
        assert (first.client_ip, first.resource, first.scopes) == ("192.0.2.1", "GET /orders", ("read",))

    @pytest.mark.parametrize(
        ("credential", "kind", "key_id"),
        [
            ("something", "opaque", ""),
            ("dw_abcdefghijk_secretsecretsecret_check", "api_key", "abcdefghijk"),
            ("dw_secretsecretsecretsecret", "api_key", ""),
            ("eyJ.e30.AA", "jwt", ""),
        ],
    )
    def test_what_a_refused_credential_says_of_itself(self, guard, heard, credential, kind, key_id):
        with pytest.raises(Malformed):
            guard.authenticate(bearer(credential))
        assert (heard.decisions[-1].kind, heard.decisions[-1].key_id) == (kind, key_id)

    def test_names_of_the_wrong_type_are_left_out(self, guard, heard, token):
        with pytest.raises(Malformed):
            guard.authenticate(bearer(token(iss=7, sub=[1])))
        assert (heard.decisions[-1].issuer, heard.decisions[-1].subject) == ("", "")

    def test_no_decision_without_a_record(self, guard, heard, token):
        value = bearer(token())
        guard.authenticate(value)
        heard.broken = True
        for authorization in (value, bearer(token(sub="bob")), "Bearer nonsense", None):
            with pytest.raises(StoreError):
                guard.authenticate(authorization)


def test_what_is_logged_nowhere(guard, token, caplog, heard):
    value = token()
    guard.authenticate(bearer(value))
    with pytest.raises(BadSignature) as refused:
        guard.authenticate(bearer(value[:-4] + "AAAA"))
    shown = f"{refused.value!r} {refused.value} {heard.decisions!r} {caplog.text} {guard!r}"
    assert not any(part in shown for part in value.split("."))


async def test_a_guard_serves_several_loops(guard, token):
    value = bearer(token())
    await guard.aauthenticate(value)
    assert await asyncio.to_thread(asyncio.run, guard.aauthenticate(value)) is guard.known(value)


class FailsAfterwards(Heard):
    """An audit whose disk fails after it took the line."""

    def record(self, decision):
        super().record(decision)
        raise StoreError("The disk failed.", reason="fsync")


@pytest.mark.parametrize("scopes", [(), ("read",)])
def test_an_audit_that_fails_is_asked_once(clock, token, scopes):
    heard = FailsAfterwards()
    guard = Guard([issuer()], clock=clock, audit=heard)
    with pytest.raises(StoreError):
        guard.authenticate(bearer(token()), scopes=scopes)
    assert [each.outcome for each in heard.decisions] == ["accepted"]


def test_a_refusal_by_an_adapter_is_recorded():
    decisions = []

    class Kept:
        def record(self, decision):
            decisions.append(decision)

    for audit in (Kept(), None):
        guard = Guard([], ApiKeys.memory(), audit=audit)
        guard.record_refusal(Forbidden("x", reason="cross_site_request"), client_ip="192.0.2.7", resource="POST /notes")
        guard.close()
    (decision,) = decisions
    assert (decision.outcome, decision.reason) == ("forbidden", "cross_site_request")
    assert (decision.client_ip, decision.resource, decision.kind) == ("192.0.2.7", "POST /notes", "none")
