"""A flood of throttled requests leaves a few lines, which say how many there were."""

from __future__ import annotations

from contextlib import closing

import pytest

from doorward.errors import DoorwardError, StoreError, Throttled
from doorward.guard import ApiKeys, Guard, Throttle
from doorward.guard.audit.chain import Decision
from doorward.guard.audit.folding import Folds


class Kept:
    def __init__(self):
        self.lines = []

    def record(self, decision):
        self.lines.append((decision.at, decision.subject, decision.count, decision.since))


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def folds(kept):
    return Folds(kept)


def throttled(at, who="x"):
    return Decision(at=at, outcome="throttled", subject=who)


def test_the_first_is_told_at_once_and_the_rest_of_its_minute_in_one_line(folds, kept):
    for at in (100.0, 101.0, 102.0, 159.9):
        folds.record(throttled(at, f"at {at}"), b"a")
    assert kept.lines == [(100.0, "at 100.0", 1, None)]
    folds.record(throttled(160.0, "next"), b"a")
    assert kept.lines[1:] == [(159.9, "at 159.9", 3, 100.0), (160.0, "next", 1, None)]


def test_networks_are_told_of_apart_and_a_single_one_leaves_no_second_line(folds, kept):
    for network in (b"a", b"b", None):
        folds.record(throttled(100.0, str(network)), network)
    folds.record(throttled(101.0, "b again"), b"b")
    assert len(kept.lines) == 3
    folds.close()
    assert kept.lines[3:] == [(101.0, "b again", 1, 100.0)]


def test_anybodys_refusal_after_the_minute_closes_a_fold(folds, kept):
    folds.record(throttled(100.0), b"a")
    folds.record(throttled(101.0), b"a")
    assert folds.due_at == 160.0
    folds.close_due(159.0)
    assert len(kept.lines) == 1
    folds.close_due(160.0)
    assert len(kept.lines) == 2
    assert folds.due_at == float("inf")


def test_a_clock_that_was_set_back_begins_anew(folds, kept):
    folds.record(throttled(100.0), b"a")
    folds.record(throttled(50.0), b"a")
    assert [at for at, *_ in kept.lines] == [100.0, 50.0]


def test_ever_new_networks_take_no_more_memory(folds, kept):
    for number in range(5000):
        folds.record(throttled(100.0), number.to_bytes(4))
        folds.record(throttled(100.5), number.to_bytes(4))
    assert len(kept.lines) > 8000, "the oldest are told of early"
    folds.close()
    assert len(kept.lines) == 10_000, "and nobody is left out"


def test_an_audit_that_takes_nothing_more_is_heard(folds):
    class Full:
        def record(self, decision):
            raise StoreError("full", reason="audit_full")

    with pytest.raises(StoreError):
        Folds(Full()).record(throttled(1.0), b"a")


def test_a_flood_does_not_wash_a_guards_log_out(kept):
    with closing(Guard([], ApiKeys.memory(), throttle=Throttle(free_failures=1), audit=kept)) as guard:
        heard = []
        for number in range(500):
            with pytest.raises(DoorwardError) as caught:
                guard.authenticate(f"Bearer guess-{number}", client_ip="192.0.2.7")
            heard.append(caught.type)
        assert heard.count(Throttled) > 490
        assert len(kept.lines) < 12
    assert sum(count for _, _, count, _ in kept.lines) == 500
