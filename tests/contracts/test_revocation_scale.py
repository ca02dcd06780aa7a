"""One suite for what every place of revocations promises while much is to be loaded, and beyond the bound of memory.

Never is good what is revoked, and never is everybody shut out.
"""

from __future__ import annotations

import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from doorward.errors import Revoked, StoreError
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.revocation.sql_store import SqlRevocations
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.guard.work import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from doorward.guard.revocation.revocation_list import Changes, Entry, Revocation

ISSUER = "https://id.example.org"
NOW = 1_800_000_000.0
SHARED = ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)]
DOWN = StoreError("The database can't be reached.", reason="database_unreachable")


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at


class SlowStore:
    """A real store, read in pages of ten. A reading takes long after its first page, and then waits for ``go_on``."""

    def __init__(self, store: SqlRevocations, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.held_below = math.inf
        self.go_on = threading.Event()
        self.error: Exception | None = None
        self.found = 0

    def add(self, revocation: Revocation) -> None:
        self._store.add(revocation)

    def latest(self) -> int:
        self._fail()
        return self._store.latest()

    def read(self, position: int, last: int) -> Changes:
        self._fail()
        if 0 < position < self.held_below:
            assert self.go_on.wait(20)
            self._fail()
        if position == 0:
            self._clock.at += 0.3  # more than a decision waits
        return self._store.read(position, min(last, position + 10))

    def find(self, targets: Sequence[bytes]) -> Sequence[Entry]:
        self._fail()
        self.found += 1
        return self._store.find(targets)

    def close(self) -> None:
        self._store.close()

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return sqlite_url(tmp_path / "guard.db")


@pytest.fixture
def process(url: str, clock: Clock) -> Iterator[Callable[..., Revocations]]:
    """Make what another process would have."""
    made: list[Revocations] = []

    def make(**settings: Any) -> Revocations:
        made.append(Revocations.sql(url, clock=clock, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def slow(url: str, clock: Clock) -> Iterator[SlowStore]:
    made = SlowStore(SqlRevocations(open_database(url), clock=clock), clock)
    yield made
    made.go_on.set()
    made.close()


@pytest.fixture
def mirror(slow: SlowStore, clock: Clock) -> Iterator[Revocations]:
    made = Revocations(slow, clock=clock, poll_s=1, max_stale_s=30)
    yield made
    slow.go_on.set()
    made.close()


def decide(revocations: Revocations, subject: str, *, looked_at: int = -1) -> str | None:
    """Return why a token of this subject is refused, None where it is good, as the guard finds out."""
    now = revocations._clock.now()  # noqa: SLF001 - the one that the guard would have
    marks: dict[str, Any] = {"issuer": ISSUER, "subject": subject, "jti": "j", "issued_at": NOW - 1, "kid": "k"}
    marks["fingerprint"] = b""
    if not revocations.fresh_since <= now < revocations.fresh_until:
        finish(revocations.current(now))
    try:
        if not revocations.check(looked_at=looked_at, **marks):
            finish(revocations.ask(now, **marks))
    except Revoked as error:
        return error.reason
    return None


def fill(revocations: Revocations, count: int, **settings: Any) -> list[str]:
    names = [f"person-{number}" for number in range(count)]
    for name in names:
        revocations.revoke(issuer=ISSUER, subject=name, **settings)
    return names


def wait_until(done: Callable[[], bool]) -> None:
    for _ in range(2000):
        if done():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to be")


REFUSED = "subject_revoked"


# Beyond the bound


def test_in_memory_nothing_more_is_revoked_and_it_is_told_in_time(clock: Clock, caplog) -> None:
    revocations = Revocations.memory(clock=clock, max_entries=10)
    told = []
    with caplog.at_level(logging.WARNING, "doorward.guard.revocation"):
        for number in range(10):
            revocations.revoke(issuer=ISSUER, subject=f"person-{number}", until=NOW + 60)
            told.append((len(caplog.records), revocations.fill))
        for _ in range(3):
            with pytest.raises(StoreError) as caught:
                revocations.revoke(issuer=ISSUER, subject="one more")
            assert caught.value.reason == "revocations_full"
    assert told == [(0 if n < 8 else 1 if n < 10 else 2, n / 10) for n in range(1, 11)]
    assert len(caplog.records) == 2
    assert [decide(revocations, name) for name in ("person-0", "one more")] == [REFUSED, None]
    assert revocations.complete
    clock.at += 120
    fill(revocations, 8)
    assert len(caplog.records) == 3  # there was room in between


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_beyond_the_bound_each_revoked_one_is_refused_and_others_pass(process, clock: Clock, caplog) -> None:
    here, there = process(), process(max_entries=20)
    names = fill(here, 50)
    with caplog.at_level(logging.WARNING, "doorward.guard.revocation"):
        assert [decide(there, name) for name in names] == [REFUSED] * 50
        assert [decide(there, f"stranger-{number}") for number in range(50)] == [None] * 50
        clock.at += 5
        decide(there, "stranger")
    assert (len(there), there.fill, there.complete) == (20, 2.5, False)
    assert len(caplog.records) == 1
    assert "max_entries" in caplog.text
    assert "person" not in caplog.text


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_beyond_the_bound_revocations_go_on_to_work_everywhere(process, clock: Clock) -> None:
    here, there = process(max_entries=5), process(max_entries=5)
    fill(here, 10)
    assert decide(there, "alice") is None
    for name in ("alice", "bob"):
        version = there.version
        here.revoke(issuer=ISSUER, subject=name)
        assert decide(here, name) == REFUSED
        clock.at += 1
        finish(there.current(clock.at))
        assert there.version > version  # which ends what was remembered
        assert decide(there, name, looked_at=version) == REFUSED


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_beyond_the_bound_a_wider_entry_counts_as_well(process, clock: Clock) -> None:
    here, there = process(), process(max_entries=1)
    fill(here, 1)
    here.revoke(issuer=ISSUER, subject="alice", before=NOW - 100)
    assert decide(there, "alice") is None
    version = there.version
    here.revoke(issuer=ISSUER, subject="alice", before=NOW)
    clock.at += 1
    assert decide(there, "alice", looked_at=version) == REFUSED
    assert there.version > version


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_what_has_ended_makes_room_and_the_mirror_is_whole_again(process, clock: Clock) -> None:
    here, there = process(), process(max_entries=20)
    for number in range(15):
        here.revoke(issuer=ISSUER, subject=f"brief-{number}", until=NOW + 30)
    names = fill(here, 15)
    assert [decide(there, name) for name in names] == [REFUSED] * 15
    assert not there.complete
    clock.at += 61
    decide(there, "stranger")
    wait_until(lambda: there.complete)
    assert (len(there), there.fill) == (15, 0.75)
    assert [decide(there, name) for name in (*names, "brief-0")] == [REFUSED] * 15 + [None]


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_the_bound_is_crossed_while_many_decide(process) -> None:
    here, there = process(), process(max_entries=30, poll_s=0.05)
    there._clock = here._clock  # noqa: SLF001 - one that stands still: what counts is `current` after each change
    revoked: list[str] = []
    missed: list[str] = []
    writing = threading.Event()
    writing.set()

    def decide_all() -> None:
        while writing.is_set():
            known = list(revoked)
            there.fresh_until = -math.inf
            missed.extend(name for name in known[-10:] if decide(there, name) is None)
            missed.extend(f"{name}!" for name in known[-10:] if decide(there, f"{name}!") is not None)

    with ThreadPoolExecutor(4) as pool:
        deciding = [pool.submit(decide_all) for _ in range(3)]
        for number in range(90):
            there.revoke(issuer=ISSUER, subject=f"person-{number}")
            revoked.append(f"person-{number}")
        writing.clear()
        for each in deciding:
            each.result(60)
    assert missed == []
    assert [decide(there, name) for name in revoked] == [REFUSED] * 90


# While much is to be loaded


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_decisions_are_right_before_all_is_loaded(process, slow, mirror, clock: Clock) -> None:
    names = fill(process(), 60)
    assert [decide(mirror, name) for name in ("stranger", *names)] == [None] + [REFUSED] * 60
    assert (len(mirror), mirror.complete) == (10, False)
    asked = slow.found
    assert asked == 51
    slow.go_on.set()
    wait_until(lambda: mirror.complete)
    assert [decide(mirror, name) for name in ("stranger", *names)] == [None] + [REFUSED] * 60
    assert (len(mirror), slow.found) == (60, asked)


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_what_is_revoked_while_loading_counts_in_time(process, slow, mirror, clock: Clock) -> None:
    here = process()
    fill(here, 60)
    slow.held_below = 60  # what comes later can be read
    version = mirror.version
    assert decide(mirror, "alice") is None
    assert mirror.version > version
    version, asked = mirror.version, slow.found
    assert decide(mirror, "alice", looked_at=version) is None
    assert slow.found == asked  # who was told by the store is remembered
    here.revoke(issuer=ISSUER, subject="alice")
    here.revoke(issuer=ISSUER, subject="person-59")  # under a number that was not there when loading began
    clock.at += 1
    finish(mirror.current(clock.at))
    assert mirror.version > version
    assert decide(mirror, "alice", looked_at=version) == REFUSED
    assert decide(mirror, "bob", looked_at=version) is None
    assert slow.found == asked
    mirror.revoke(issuer=ISSUER, subject="bob")
    assert decide(mirror, "bob", looked_at=version) == REFUSED
    slow.go_on.set()
    wait_until(lambda: mirror.complete)
    assert [decide(mirror, name) for name in ("alice", "bob", "person-59", "carol")] == [REFUSED] * 3 + [None]


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_too_much_at_once_later_on_is_loaded_aside_too(process, slow, mirror, clock: Clock) -> None:
    here = process()
    fill(here, 1)
    assert decide(mirror, "alice") is None
    assert mirror.complete
    version = mirror.version
    names = fill(here, 40)
    clock.at += 20
    slow.read = lambda position, last, read=slow.read: setattr(clock, "at", clock.at + 0.3) or read(position, last)
    slow.held_below = 0
    threading.Thread(target=slow.go_on.set).start()
    assert [decide(mirror, name, looked_at=version) for name in names] == [REFUSED] * 40
    assert decide(mirror, "alice", looked_at=version) is None
    wait_until(lambda: mirror.complete)
    assert len(mirror) == 40


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_store_that_dies_while_loading(process, slow, mirror, clock: Clock) -> None:
    names = fill(process(), 60)
    assert decide(mirror, "alice") is None
    version = mirror.version
    slow.error = DOWN
    slow.go_on.set()
    assert decide(mirror, names[0]) == REFUSED
    for name in ("alice", names[-1]):
        with pytest.raises(StoreError) as caught:
            decide(mirror, name)
        assert caught.value.status_hint == 503
    clock.at += 31
    with pytest.raises(StoreError) as caught:
        decide(mirror, "alice", looked_at=version)
    assert caught.value.reason == "revocations_stale"
    slow.error = None
    clock.at += 10
    assert [decide(mirror, name) for name in names] == [REFUSED] * 60
    wait_until(lambda: mirror.complete)


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_store_that_dies_while_all_is_read_again(process, slow, mirror, clock: Clock) -> None:
    """What was known lately serves for ``max_stale_s``, and what was accepted by it is no answer of the store's."""
    slow.go_on.set()
    here = process()
    names = fill(here, 60)
    decide(mirror, "alice")
    wait_until(lambda: mirror.complete)
    slow.error = DOWN
    clock.at += 2
    assert decide(mirror, "alice") is None
    here.revoke(issuer=ISSUER, subject="alice")
    slow.go_on.clear()
    slow.error = None
    clock.at += 2
    decide(mirror, "carol")  # by what is known, as the store has just failed; meanwhile reading begins again
    wait_until(lambda: not mirror.complete)
    assert decide(mirror, "alice") == REFUSED  # the store says so
    slow.error = DOWN
    marks = {"issuer": ISSUER, "subject": "bob", "jti": None, "issued_at": NOW, "kid": None, "fingerprint": b""}
    assert not mirror.check(**marks)
    assert finish(mirror.ask(clock.at, **marks)) is False
    assert decide(mirror, names[-1]) == REFUSED
    with pytest.raises(StoreError):
        finish(mirror.ask(clock.at + 31, **marks))


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_what_a_newer_version_wrote_stops_decisions_once_it_is_read(process, slow, mirror, clock: Clock) -> None:
    fill(process(), 60)
    read = slow.read

    def read_kinds(position: int, last: int) -> Changes:
        if position:
            assert slow.go_on.wait(20)
            raise StoreError("A kind that is not known.", reason="unknown_revocation")
        return read(position, last)

    slow.read = read_kinds
    decide(mirror, "alice")
    slow.go_on.set()
    wait_until(lambda: mirror._mirror.misunderstood is not None)  # noqa: SLF001 - it shows in nothing else so soon
    for _ in range(3):
        clock.at += 1
        with pytest.raises(StoreError):
            decide(mirror, "alice")
    slow.read = read
    clock.at += 1

    def is_whole_again() -> bool:
        clock.at += 1
        finish(mirror.current(clock.at))
        return mirror.complete

    wait_until(is_whole_again)
    assert decide(mirror, "alice") is None


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_many_who_ask_the_same_ask_once(process, slow, mirror) -> None:
    fill(process(), 60)
    decide(mirror, "alice")
    asked, find = slow.found, slow.find
    asking = threading.Event()
    slow.find = lambda targets: asking.wait(10) and find(targets)
    with ThreadPoolExecutor(20) as pool:
        deciding = [pool.submit(decide, mirror, "bob") for _ in range(20)]
        wait_until(pool._work_queue.empty)  # noqa: SLF001 - all have begun
        threading.Event().wait(0.1)
        asking.set()
        assert {each.result(20) for each in deciding} == {None}
    assert slow.found - asked < 20


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_closing_while_loading_ends_it(process, slow, mirror, clock: Clock, no_leaks) -> None:
    here = process()
    fill(here, 60)
    here.close()
    decide(mirror, "alice")
    threading.Timer(0.1, slow.go_on.set).start()
    mirror.close()
    assert not mirror.complete
    clock.at += 1
    assert decide(mirror, "person-59") == REFUSED  # it can be used again
    wait_until(lambda: mirror.complete)
    mirror.close()
