"""Revocation in one process: what each way to revoke ends, what escapes none of them, and how a failing store shows."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import ConfigurationError, DoorwardError, Revoked, StoreError
from doorward.guard.revocation.revocation_list import Changes, Kind, Revocation, entry_of, fingerprint, target_of
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.work import afinish, finish
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.claims import parse_jwt, sign_claims
from doorward.protocol.jwk import generate_signing_key

ISSUER = "https://id.example.org"
NOW = 1_800_000_000.0
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
TOKEN = {
    "issuer": ISSUER,
    "subject": "alice",
    "jti": "j1",
    "issued_at": NOW - 10,
    "kid": "k1",
    "fingerprint": b"\0" * 32,
}


class Clock:
    def __init__(self):
        self.at = NOW

    def now(self):
        return self.at


class Shelf:
    """A store that a test can break, or hold up in the middle of a reading."""

    def __init__(self):
        self.kept = []
        self.error = None
        self.reads = self.asked = 0
        self.positions = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.closed = False

    def add(self, revocation):
        if self.error:
            raise self.error
        self.kept.append(revocation)

    def latest(self):
        self.reads += 1
        assert self.go_on.wait(10)
        if self.error:
            raise self.error
        return len(self.kept)

    def read(self, position, last):
        self.positions.append(position)
        found = [entry_of(each) for each in self.kept[position : min(position + 2, last)]]
        return Changes(found, position + len(found))

    def find(self, targets):
        self.asked += 1
        if self.error:
            raise self.error
        return [entry_of(each) for each in self.kept if entry_of(each)[1] in targets]

    def close(self):
        self.closed = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def revocations(clock):
    return Revocations.memory(clock=clock)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def mirror(shelf, clock):
    made = Revocations(shelf, clock=clock, poll_s=1, max_stale_s=30)
    yield made
    shelf.go_on.set()
    made.close()


def refused(call, *args, **kwargs):
    with pytest.raises(DoorwardError) as caught:
        call(*args, **kwargs)
    return caught.value


def ends(revocations, **marks):
    """Return why a token is refused, or None."""
    if "signed" in marks:
        marks["fingerprint"] = fingerprint(marks.pop("signed"))
    try:
        revocations.check(**{**TOKEN, **marks})
    except Revoked as error:
        return error.reason
    return None


def decided(revocations, **marks):
    """Return why a token is refused, or None, as a guard finds out."""
    marks = {**TOKEN, **marks}
    try:
        if not revocations.check(**marks):
            finish(revocations.ask(NOW, **marks))
    except Revoked as error:
        return error.reason
    return None


def subject(name):
    return Revocation("subject", ISSUER, name, NOW, math.inf, NOW)


def test_nothing_revoked(revocations):
    assert ends(revocations) is None
    assert (revocations.version, revocations.fresh_until, len(revocations)) == (0, math.inf, 0)
    finish(revocations.current(NOW))


@pytest.mark.parametrize(
    ("what", "reason", "spared"),
    [
        (
            {"issuer": ISSUER, "jti": "j1"},
            "jti_revoked",
            [{"jti": "j2"}, {"jti": None}, {"issuer": "https://b.example"}],
        ),
        (
            {"issuer": ISSUER, "kid": "k1"},
            "key_revoked",
            [{"kid": "k2"}, {"kid": None}, {"issuer": "https://b.example"}],
        ),
        (
            {"issuer": ISSUER, "subject": "alice"},
            "subject_revoked",
            [{"subject": "bob"}, {"issuer": "https://b.example"}, {"issued_at": NOW + 1}],
        ),
        ({"issuer": ISSUER}, "issuer_revoked", [{"issuer": "https://b.example"}, {"issuer": ISSUER + "/"}]),
        ({"issuer": ISSUER, "before": NOW - 5}, "issuer_revoked", [{"issued_at": NOW - 4}]),
        ({"token": "opaque-token"}, None, [{"signed": b"opaque-toke"}]),
    ],
)
def test_each_way_ends_what_it_names_and_nothing_else(revocations, what, reason, spared):
    revocations.revoke(**what, by="op")
    assert revocations.version == 1
    if reason is None:
        assert ends(revocations, signed=b"opaque-token") == "token_revoked"
    else:
        assert ends(revocations) == reason
    assert [ends(revocations, **marks) for marks in spared] == [None] * len(spared)


@pytest.mark.parametrize("what", [{"subject": "alice"}, {"before": NOW}])
def test_issued_at_the_very_instant_or_at_no_known_one_is_before(revocations, what):
    revocations.revoke(issuer=ISSUER, **what)
    assert ends(revocations, issued_at=NOW)
    assert ends(revocations, issued_at=None)
    assert ends(revocations, issued_at=math.nan)
    assert ends(revocations, issued_at=NOW + 0.5) is None


def test_a_locked_out_subject_stays_out(revocations):
    revocations.revoke(issuer=ISSUER, subject="alice", before=math.inf)
    assert ends(revocations, issued_at=NOW + 10**9) == "subject_revoked"


def test_an_issuer_without_an_instant_is_ended_for_good(revocations):
    revocations.revoke(issuer=ISSUER)
    assert ends(revocations, issued_at=NOW + 10**9) == "issuer_revoked"


def test_a_later_call_never_narrows_an_earlier_one(revocations, clock):
    revocations.revoke(issuer=ISSUER, subject="alice", before=NOW + 100, until=NOW + 500)
    revocations.revoke(issuer=ISSUER, subject="alice", before=NOW - 100, until=NOW + 50)
    assert ends(revocations, issued_at=NOW + 100) == "subject_revoked"
    assert len(revocations) == 1
    revocations.revoke(issuer=ISSUER, subject="alice", before=NOW + 200)
    assert ends(revocations, issued_at=NOW + 200) == "subject_revoked"
    assert len(revocations) == 1


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_no_other_form_of_the_signature_escapes(revocations, alg):
    token = sign_claims({"iss": ISSUER, "sub": "alice", "exp": int(NOW) + 60}, generate_signing_key(alg))
    revocations.revoke(token=token)
    head, _, signature = token.rpartition(".")
    forms = {token, f"{head}.{signature}==", f"{head}.{signature}A", head + "."}
    if alg == "ES256":
        raw = decode_base64url(signature, what="x")
        r, s = decode_dss_signature(encode_dss_signature(*(int.from_bytes(half) for half in (raw[:32], raw[32:]))))
        other = r.to_bytes(32) + (P256_ORDER - s).to_bytes(32)
        assert other != raw
        forms.add(f"{head}.{encode_base64url(other)}")
    assert {ends(revocations, signed=form.rpartition(".")[0].encode()) for form in forms} == {"token_revoked"}
    # and it can be revoked by any form that is a token at all
    assert fingerprint(parse_jwt(token).jws.signing_input) == fingerprint(head.encode())


def test_a_token_revoked_by_its_other_signature_is_the_same_token(revocations):
    key = generate_signing_key("ES256")
    token = sign_claims({"sub": "alice", "exp": int(NOW) + 60}, key)
    head, _, signature = token.rpartition(".")
    raw = decode_base64url(signature, what="x")
    other = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    revocations.revoke(token=f"{head}.{encode_base64url(other)}")
    assert ends(revocations, signed=parse_jwt(token).jws.signing_input) == "token_revoked"


@pytest.mark.parametrize(
    ("exp", "given", "gone_at"),
    [
        (NOW + 60, None, NOW + 361),
        (NOW + 60, NOW + 10, NOW + 361),  # a shorter time would let it live again
        (NOW + 60, NOW + 900, NOW + 901),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_a_token_is_remembered_until_nobody_could_accept_it(clock, exp, given, gone_at):
    revocations = Revocations.memory(clock=clock, max_entries=1)
    claims = {"sub": "alice"} | ({} if exp is None else {"exp": exp if isinstance(exp, str) else int(exp)})
    revocations.revoke(token=sign_claims(claims, generate_signing_key("EdDSA")), until=given)
    for at in (gone_at - 2 if gone_at else NOW + 10**9, gone_at):
        if at is not None:
            clock.at = at
            if at == gone_at:
                revocations.revoke(issuer=ISSUER, jti="another")
            else:
                assert refused(revocations.revoke, issuer=ISSUER, jti="another").reason == "revocations_full"


def test_full(clock):
    revocations = Revocations.memory(clock=clock, max_entries=2)
    revocations.revoke(issuer=ISSUER, jti="a")
    revocations.revoke(issuer=ISSUER, jti="b", until=NOW + 60)
    error = refused(revocations.revoke, issuer=ISSUER, jti="c")
    assert (type(error), error.reason, error.status_hint) == (StoreError, "revocations_full", 503)
    assert [ends(revocations, jti=jti) for jti in "abc"] == ["jti_revoked", "jti_revoked", None]
    revocations.revoke(issuer=ISSUER, jti="b")  # to widen what is there needs no room
    clock.at = NOW + 61
    assert refused(revocations.revoke, issuer=ISSUER, jti="c").reason == "revocations_full"


def test_what_is_over_makes_room(clock):
    revocations = Revocations.memory(clock=clock, max_entries=1)
    revocations.revoke(issuer=ISSUER, jti="a", until=NOW + 60)
    clock.at = NOW + 61
    revocations.revoke(issuer=ISSUER, jti="b")
    assert [ends(revocations, jti=jti) for jti in "ab"] == [None, "jti_revoked"]


@pytest.mark.parametrize(
    ("arguments", "field", "reason"),
    [
        ({}, "issuer", "no_issuer"),
        ({"jti": "j"}, "issuer", "no_issuer"),
        ({"token": "abc", "issuer": ISSUER}, "issuer", "issuer_with_token"),
        ({"issuer": ISSUER, "jti": "j", "subject": "s"}, "subject", "several_targets"),
        ({"issuer": ISSUER, "subject": "s", "kid": "k"}, "kid", "several_targets"),
        ({"token": "abc", "jti": "j"}, "jti", "several_targets"),
        ({"issuer": ""}, "issuer", "bad_text"),
        ({"issuer": ISSUER, "jti": ""}, "jti", "bad_text"),
        ({"issuer": ISSUER, "subject": "a\0b"}, "subject", "bad_text"),
        ({"issuer": ISSUER, "subject": "\ud800"}, "subject", "bad_text"),
        ({"issuer": ISSUER, "subject": "x" * 2049}, "subject", "bad_text"),
        ({"issuer": ISSUER, "kid": 5}, "kid", "bad_text"),
        ({"token": ""}, "token", "bad_text"),
        ({"token": "a" * 16_385}, "token", "bad_text"),
        ({"token": "Bearer abc"}, "token", "token_malformed"),
        ({"token": "abc\n"}, "token", "token_malformed"),
        ({"token": "äbc"}, "token", "token_malformed"),
        ({"token": "eyJhbGciOiJub25lIn0.e30."}, "token", "token_malformed"),
        ({"token": "eyJhbGciOiJFUzI1NiJ9.e30.AAA="}, "token", "token_malformed"),
        ({"issuer": ISSUER, "jti": "j", "before": NOW}, "before", "before_without_subject"),
        ({"issuer": ISSUER, "kid": "k", "before": NOW}, "before", "before_without_subject"),
        ({"token": "abc", "before": NOW}, "before", "before_without_subject"),
        ({"issuer": ISSUER, "subject": "s", "before": math.nan}, "before", "bad_instant"),
        ({"issuer": ISSUER, "subject": "s", "before": -1}, "before", "bad_instant"),
        ({"issuer": ISSUER, "subject": "s", "before": True}, "before", "bad_instant"),
        ({"issuer": ISSUER, "subject": "s", "before": "2026"}, "before", "bad_instant"),
        ({"issuer": ISSUER, "jti": "j", "until": NOW - 1}, "until", "bad_instant"),
        ({"issuer": ISSUER, "jti": "j", "until": math.nan}, "until", "bad_instant"),
    ],
)
def test_what_can_not_be_revoked(revocations, arguments, field, reason):
    error = refused(revocations.revoke, **arguments)
    assert (type(error), error.field, error.reason) == (ConfigurationError, field, reason)
    assert (revocations.version, len(revocations)) == (0, 0)


def test_a_refused_token_is_not_repeated(revocations):
    assert "planted" not in str(refused(revocations.revoke, token="planted\x1b[31m"))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"poll_s": 0}, "poll_s"),
        ({"poll_s": math.nan}, "poll_s"),
        ({"poll_s": 5, "max_stale_s": 1}, "max_stale_s"),
        ({"max_stale_s": math.inf}, "max_stale_s"),
        ({"max_entries": 0}, "max_entries"),
    ],
)
def test_settings_out_of_range(settings, field):
    assert refused(Revocations, **settings).field == field


# With a store


def test_the_first_decision_waits_for_what_was_revoked_elsewhere(mirror, shelf):
    shelf.kept += [subject("alice"), subject("bob"), subject("carol")]
    assert not mirror.fresh_until > NOW
    finish(mirror.current(NOW))
    assert [ends(mirror, subject=name) for name in ("alice", "bob", "carol")] == ["subject_revoked"] * 3
    assert mirror.fresh_until > NOW


def test_what_was_over_when_it_came_takes_no_room(mirror, shelf):
    shelf.kept += [
        Revocation("jti", ISSUER, name, math.inf, until, NOW - 99) for name, until in (("j1", NOW - 1), ("j2", NOW))
    ]
    finish(mirror.current(NOW))
    assert (len(mirror), ends(mirror, jti="j1"), ends(mirror, jti="j2")) == (1, None, "jti_revoked")


async def test_tasks_wait_as_threads_do(mirror, shelf):
    shelf.kept.append(subject("alice"))
    await asyncio.gather(*(afinish(mirror.current(NOW)) for _ in range(20)))
    assert ends(mirror) == "subject_revoked"
    assert shelf.reads == 1


def test_nothing_is_known_and_the_store_fails(mirror, shelf, clock):
    shelf.error = StoreError("The database can't be reached.", reason="database_unreachable")
    error = refused(finish, mirror.current(NOW))
    assert (type(error), error.reason, error.status_hint) == (StoreError, "revocations_stale", 503)
    assert refused(finish, mirror.current(NOW)).reason == "revocations_stale"
    assert shelf.reads == 1  # not asked again by every request
    shelf.error = None
    clock.at += 1
    finish(mirror.current(clock.at))


def test_fresh_means_no_reading(mirror, shelf, clock):
    finish(mirror.current(NOW))
    clock.at += 0.4
    finish(mirror.current(clock.at))
    assert shelf.reads == 1


def test_a_busy_guard_reads_ahead_and_waits_for_nothing(mirror, shelf, clock):
    finish(mirror.current(NOW))
    shelf.go_on.clear()
    clock.at += 0.6
    for _ in range(5):
        assert next(mirror.current(clock.at), "no wait") == "no wait"
    shelf.go_on.set()
    clock.at += 0.5
    finish(mirror.current(clock.at))  # now it is older than poll_s, and the reading is waited for
    assert mirror.fresh_until == pytest.approx(NOW + 1.1)
    assert shelf.reads == 2


def test_no_decision_rests_on_a_list_older_than_poll_s_while_the_store_answers(mirror, shelf, clock):
    finish(mirror.current(NOW))
    version = mirror.version
    clock.at += 20  # a service that nobody called for a while
    shelf.kept.append(subject("alice"))
    finish(mirror.current(clock.at))
    assert ends(mirror) == "subject_revoked"
    assert mirror.version > version


def test_a_failing_store_is_outlived_for_a_while_and_no_longer(mirror, shelf, clock):
    shelf.kept.append(subject("alice"))
    finish(mirror.current(NOW))
    shelf.error = StoreError("The database can't be reached.", reason="database_unreachable")
    for clock.at in (NOW + 2, NOW + 10, NOW + 29.9):
        finish(mirror.current(clock.at))
        assert ends(mirror) == "subject_revoked"
        assert mirror.fresh_until <= NOW + 30
    clock.at = NOW + 30.1
    assert refused(finish, mirror.current(clock.at)).reason == "revocations_stale"
    shelf.error = None
    clock.at += 1
    finish(mirror.current(clock.at))
    assert shelf.positions[-1] == 0  # another database may answer now


def test_a_hanging_store_holds_nobody_up_for_long(mirror, shelf, clock):
    finish(mirror.current(NOW))
    shelf.go_on.clear()
    clock.at += 1.5
    (job,) = mirror.current(clock.at)  # waited for a while, as a list of 1.5 s ago would do
    assert 0 < job.timeout_s <= 1
    clock.at += 2
    assert list(mirror.current(clock.at)) == []  # it was given its time
    clock.at = NOW + 31
    work = mirror.current(clock.at)
    assert next(work).timeout_s > 1
    with pytest.raises(StoreError) as caught:
        work.throw(TimeoutError())
    assert caught.value.reason == "revocations_stale"


def test_the_store_is_asked_about_what_found_no_room_and_nothing_else(shelf, clock):
    mirror = Revocations(shelf, clock=clock, max_entries=3)
    shelf.kept += [subject(name) for name in "abcd"]
    finish(mirror.current(NOW))
    assert (len(mirror), mirror.fill, mirror.complete) == (3, 4 / 3, False)
    assert [decided(mirror, subject=name) for name in "abc"] == ["subject_revoked"] * 3
    assert [decided(mirror, subject=f"stranger-{number}") for number in range(20)] == [None] * 20
    assert shelf.asked == 0
    assert decided(mirror, subject="d") == "subject_revoked"
    assert decided(mirror, subject="d", issued_at=NOW + 1) is None  # there is an entry, and it does not end this token
    assert shelf.asked == 2
    mirror.close()


def test_what_found_no_room_and_can_not_be_asked_for_is_an_outage(shelf, clock):
    mirror = Revocations(shelf, clock=clock, max_entries=3)
    shelf.kept += [subject(name) for name in "abcd"]
    finish(mirror.current(NOW))
    shelf.error = StoreError("Down.", reason="database_unreachable")
    assert decided(mirror, subject="stranger") is None
    assert decided(mirror, subject="a") == "subject_revoked"
    for thrown in (shelf.error, OSError("gone")):
        shelf.error = thrown
        assert refused(decided, mirror, subject="d").status_hint == 503
    mirror.close()


class TestAGap:
    """Much was revoked at once: the first of it is known, and the rest is being loaded."""

    @pytest.fixture
    def behind(self, mirror, shelf, clock):
        read, go_on_loading = shelf.read, threading.Event()

        def slowly(position, last):
            if position > 0:
                assert go_on_loading.wait(20)
            clock.at += 0.3  # longer than decisions wait
            return read(position, last)

        finish(mirror.current(NOW))
        shelf.read = slowly
        shelf.kept += [subject(f"s{number}") for number in range(6)]
        clock.at += 1
        finish(mirror.current(clock.at))
        assert not mirror.complete
        yield mirror
        go_on_loading.set()

    def test_who_was_looked_at_before_it_opened_is_looked_at_again(self, behind):
        token = {**TOKEN, "subject": "s5"}
        assert [behind.check(**token, looked_at=at) for at in (-1, 0, behind.version - 1)] == [False] * 3
        assert behind.check(**token, looked_at=behind.version)
        assert decided(behind, subject="s5") == "subject_revoked"
        assert decided(behind, subject="alice") is None

    def test_while_the_store_fails_it_is_bridged_for_max_stale_s_since_all_was_known(self, behind, shelf):
        shelf.error = StoreError("The database can't be reached.", reason="database_unreachable")
        assert finish(behind.ask(NOW + 29.9, **TOKEN)) is False
        with pytest.raises(StoreError):
            finish(behind.ask(NOW + 30, **TOKEN))


def test_a_list_is_as_old_as_the_beginning_of_its_reading(mirror, shelf, clock):
    latest = shelf.latest

    def slowly():
        clock.at += 0.2
        return latest()

    shelf.latest = slowly
    finish(mirror.current(NOW))
    assert (mirror.fresh_since, mirror.fresh_until) == (NOW, NOW + 0.5)


def test_many_threads_cause_one_reading(mirror, shelf):
    shelf.go_on.clear()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(finish, mirror.current(NOW)) for _ in range(20)]
        shelf.go_on.set()
        assert [each.result(10) for each in waiting] == [None] * 20
    assert shelf.reads == 1


def test_revoking_reaches_the_store_and_this_process_at_once(mirror, shelf):
    mirror.revoke(issuer=ISSUER, subject="alice", by="op\x1b[31m")
    assert ends(mirror) == "subject_revoked"
    (kept,) = shelf.kept
    assert (kept.kind, kept.value, kept.before, kept.until, kept.revoked_at) == ("subject", "alice", NOW, math.inf, NOW)
    assert "\x1b" not in kept.revoked_by
    finish(mirror.current(NOW))
    assert mirror.version == 1  # what was read back is no change


def test_a_store_that_fails_leaves_it_revoked_here_and_says_so(mirror, shelf):
    shelf.error = StoreError("The disk is full.", reason="disk_full")
    error = refused(mirror.revoke, issuer=ISSUER, subject="alice")
    assert (type(error), error.reason) == (StoreError, "disk_full")
    assert "in this process" in str(error)
    assert ends(mirror) == "subject_revoked"


def test_what_does_not_fit_is_written_all_the_same(shelf, clock):
    mirror = Revocations(shelf, clock=clock, max_entries=1)
    finish(mirror.current(NOW))
    mirror.revoke(issuer=ISSUER, jti="a")
    before = mirror.version
    mirror.revoke(issuer=ISSUER, jti="j1")
    assert mirror.version > before
    assert (len(shelf.kept), len(mirror)) == (2, 1)
    assert decided(mirror) == "jti_revoked"
    shelf.error = StoreError("The disk is full.", reason="disk_full")
    error = refused(mirror.revoke, issuer=ISSUER, jti="j2")
    assert (error.reason, "not revoked" in str(error)) == ("disk_full", True)
    mirror.close()


def test_warming_up_waits_for_nothing(mirror, shelf, clock):
    shelf.go_on.clear()
    mirror.warm_up()
    shelf.go_on.set()
    finish(mirror.current(NOW))
    mirror.warm_up()
    assert shelf.reads == 1


def test_closing(shelf, clock, no_leaks):
    mirror = Revocations(shelf, clock=clock)
    finish(mirror.current(NOW))
    mirror.close()
    assert shelf.closed
    Revocations.memory().close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_reading(mirror, shelf, clock):
    shelf.kept.append(subject("alice"))
    shelf.go_on.clear()
    mirror.warm_up()
    with mirror._lock, mirror._list._lock:  # noqa: SLF001 - as if other threads held them at that moment
        child = os.fork()
        if child == 0:  # with the lock still held
            try:
                shelf.go_on = threading.Event()
                shelf.go_on.set()
                finish(mirror.current(NOW))
                os._exit(0 if ends(mirror) == "subject_revoked" else 1)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_that_revoke_at_once_lose_nothing(revocations):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: revocations.revoke(issuer=ISSUER, jti=str(number)), range(400)))
    assert (len(revocations), revocations.version) == (400, 400)


def test_what_another_thread_is_about_to_say_is_said_now(revocations):
    """A reader of the store has added an entry, and has not yet said that anything changed."""
    before = revocations.version
    revocations._list.add(subject("alice"), now=NOW)  # noqa: SLF001 - the first half of what the reader does
    revocations.revoke(issuer=ISSUER, subject="alice", before=NOW)
    assert revocations.version > before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_change(mirror, shelf, clock):
    """The child reads the entry again, which is in its list already: that must not hide the change."""
    finish(mirror.current(NOW))
    before = mirror.version
    shelf.kept.append(subject("alice"))
    mirror._list.add(shelf.kept[0], now=NOW)  # noqa: SLF001 - as a thread of the parent has just done
    child = os.fork()
    if child == 0:
        try:
            clock.at += 2
            finish(mirror.current(clock.at))
            os._exit(0 if mirror.version > before and ends(mirror) == "subject_revoked" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_clock_that_is_set_back_does_not_hide_what_others_revoke(mirror, shelf, clock):
    finish(mirror.current(NOW))
    clock.at = NOW - 3600
    shelf.kept.append(subject("alice"))
    assert not mirror.fresh_since <= clock.at < mirror.fresh_until
    finish(mirror.current(clock.at))
    assert ends(mirror) == "subject_revoked"
    assert mirror.fresh_since <= clock.at < mirror.fresh_until


def test_a_clock_that_is_set_back_while_the_store_is_down(mirror, shelf, clock):
    finish(mirror.current(NOW))
    clock.at = NOW - 3600
    shelf.error = StoreError("Down.", reason="database_unreachable")
    assert refused(finish, mirror.current(clock.at)).reason == "revocations_stale"


@pytest.mark.parametrize("thrown", [ValueError("not hexadecimal"), OSError("gone"), KeyError("x")])
def test_whatever_a_store_raises_is_an_outage(mirror, shelf, thrown):
    shelf.error = thrown
    assert refused(finish, mirror.current(NOW)).reason == "revocations_stale"
    error = refused(mirror.revoke, issuer=ISSUER, jti="j1")
    assert (type(error), error.reason) == (StoreError, "store_failed")
    assert ends(mirror) == "jti_revoked"


def test_an_entry_that_can_not_be_read_is_an_outage(mirror, shelf):
    shelf.kept.append(Revocation("token", "", "no hexadecimal", math.inf, math.inf, NOW))
    assert refused(finish, mirror.current(NOW)).reason == "revocations_stale"


def test_a_list_in_memory_is_handed_on_when_it_is_replaced(revocations, mirror, clock):
    revocations.revoke(issuer=ISSUER, subject="alice", before=NOW + 100)
    revocations.revoke(issuer=ISSUER, jti="j9")
    for heir in (Revocations.memory(clock=clock, max_entries=1), mirror):
        heir.revoke(issuer=ISSUER, subject="alice", before=NOW - 100)
        before = heir.version
        heir.take_over(revocations)
        assert ends(heir, issued_at=NOW + 100) == "subject_revoked"
        assert ends(heir, jti="j9", subject="bob") == "jti_revoked"
        assert heir.version > before
        assert len(heir) == 2


def test_what_a_store_keeps_is_not_handed_on(revocations, mirror, shelf):
    shelf.kept.append(subject("alice"))
    finish(mirror.current(NOW))
    revocations.take_over(mirror)
    assert ends(revocations) is None


@given(st.sampled_from(get_args(Kind)), st.text(), st.text())
def test_a_target_is_the_digest_of_json(kind, issuer, value):
    """The databases of earlier versions hold it so."""
    assert target_of(kind, issuer, value) == sha256(json.dumps([kind, issuer, value]).encode()).digest()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_loading(mirror, shelf, clock):
    shelf.kept += [subject(f"person-{number}") for number in range(20)]
    read, held = shelf.read, threading.Event()

    def read_slowly(position, last):
        if position:
            assert held.wait(10)
        clock.at += 0.3
        return read(position, last)

    shelf.read = read_slowly
    finish(mirror.current(clock.at))
    assert not mirror.complete
    child = os.fork()
    if child == 0:
        try:
            held = threading.Event()
            held.set()
            refused_here = [decided(mirror, subject=f"person-{number}") for number in (0, 19)]
            for _ in range(100):
                clock.at += 1
                finish(mirror.current(clock.at))
                if mirror.complete:
                    break
                threading.Event().wait(0.05)
            right = refused_here == ["subject_revoked"] * 2 and decided(mirror, subject="bob") is None
            os._exit(0 if right and mirror.complete and len(mirror) == 20 else 1)
        finally:
            os._exit(2)
    held.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_clock_that_is_set_back_brings_back_what_was_over(mirror, shelf, clock):
    shelf.kept.append(Revocation("subject", ISSUER, "alice", NOW, NOW + 60, NOW))
    clock.at = NOW + 100
    finish(mirror.current(clock.at))
    assert ends(mirror) is None
    clock.at = NOW
    finish(mirror.current(clock.at))
    assert ends(mirror) == "subject_revoked"


def test_too_much_comes_while_too_much_is_loading(mirror, shelf, clock):
    shelf.kept += [subject(f"person-{number}") for number in range(20)]
    read, held = shelf.read, threading.Event()

    def read_slowly(position, last):
        if position not in {0, 20}:
            assert held.wait(10)
        clock.at += 0.3
        return read(position, last)

    shelf.read = read_slowly
    finish(mirror.current(clock.at))
    shelf.kept += [subject(f"person-{number}") for number in range(20, 40)]
    clock.at += 1
    finish(mirror.current(clock.at))
    assert not mirror.complete
    held.set()
    for _ in range(1000):
        clock.at += 1
        finish(mirror.current(clock.at))
        if mirror.complete:
            break
        threading.Event().wait(0.01)
    assert (mirror.complete, len(mirror)) == (True, 40)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_database_is_being_read(mirror, shelf, clock):
    shelf.kept += [subject("alice"), subject("bob")]
    finish(mirror.current(NOW))
    shelf.error = StoreError("Down.", reason="database_unreachable")
    clock.at += 1.5
    finish(mirror.current(clock.at))
    shelf.error, shelf.kept = None, [subject("carol"), subject("dan")]  # an older copy, which has as many
    read, reading, held = shelf.read, threading.Event(), threading.Event()

    def read_slowly(position, last):
        reading.set()
        assert held.wait(10)
        return read(position, last)

    shelf.read = read_slowly
    clock.at += 1
    finish(mirror.current(clock.at))
    assert reading.wait(10)
    child = os.fork()
    if child == 0:
        try:
            held = threading.Event()
            held.set()
            clock.at += 29  # too old to be outlived, so this waits
            finish(mirror.current(clock.at))
            os._exit(0 if decided(mirror, subject="carol") == "subject_revoked" else 1)
        finally:
            os._exit(2)
    held.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
