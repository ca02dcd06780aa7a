"""A flood of throttled requests leaves a few lines, which say how many there were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing

import pytest

from doorward.errors import DoorwardError, StoreError, Throttled
from doorward.guard import ApiKeys, Guard, Throttle
from doorward.guard.audit.decisions import Decision
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
    return Decision(at=at, outcome="throttled", code="throttled", subject=who)


def refused(at, code):
    return Decision(at=at, outcome="refused", code=code, subject=code)


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


def test_anybodys_refusal_after_the_minute_tells_of_the_rest(folds, kept):
    folds.record(throttled(100.0), b"a")
    folds.record(throttled(101.0, "folded"), b"a")
    folds.record(refused(159.0, "malformed"), b"b")
    assert [who for _, who, *_ in kept.lines] == ["x", "malformed"]
    folds.record(refused(160.0, "malformed"), b"b")
    assert kept.lines[2:] == [(101.0, "folded", 1, 100.0), (160.0, "malformed", 1, None)]


@pytest.mark.parametrize("code", ["missing_credential", "unknown_key", "provider_unavailable", "expired"])
def test_what_nobody_waits_for_is_folded_after_a_hundred(folds, kept, code):
    for number in range(1000):
        folds.record(refused(100.0, code), b"a")
        folds.record(refused(100.0, code), number.to_bytes(2) if number < 99 else b"a")
    folds.close()
    assert len(kept.lines) == 99 + 100 + 1
    assert sum(count for *_, count, _ in kept.lines) == 2000


@pytest.mark.parametrize("code", ["bad_signature", "malformed", "unknown_api_key", "forbidden"])
def test_what_may_be_a_guess_or_has_a_known_caller_is_told_each_time(folds, kept, code):
    for _ in range(300):
        folds.record(refused(100.0, code), b"a")
    assert len(kept.lines) == 300


def test_a_clock_that_was_set_back_ends_no_fold_too_late(folds, kept):
    folds.record(throttled(100_000.0), b"a")
    folds.record(throttled(50.0), b"a")
    folds.record(throttled(110.0, "next"), b"a")
    assert [(who, count) for _, who, count, _ in kept.lines] == [("x", 1), ("x", 1), ("next", 1)]


def test_ever_new_networks_take_no_more_memory_and_no_more_lines(folds, kept):
    for number in range(5000):
        folds.record(throttled(100.0), number.to_bytes(4))
        folds.record(throttled(100.5), number.to_bytes(4))
    folds.close()
    assert len(kept.lines) < 2100
    assert sum(count for *_, count, _ in kept.lines) == 10_000, "and nobody is left out"


def test_while_the_audit_takes_nothing_what_is_folded_is_kept(kept):
    class Filling(Kept):
        is_full = False

        def record(self, decision):
            if self.is_full:
                raise StoreError("full", reason="audit_full")
            super().record(decision)

    audit = Filling()
    folds = Folds(audit)
    for network in (b"a", b"b", b"c"):
        for _ in range(5):
            folds.record(throttled(100.0), network)
    audit.is_full = True
    for _ in range(2):
        with pytest.raises(StoreError):
            folds.record(throttled(160.0), b"a")
    with pytest.raises(StoreError):
        folds.close()
    audit.is_full = False
    folds.close()
    assert sum(count for *_, count, _ in audit.lines) == 15


def test_a_child_tells_nothing_of_its_parent(folds, kept):
    for _ in range(5):
        folds.record(throttled(100.0), b"a")
    folds.after_fork()
    folds.close()
    assert len(kept.lines) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_amid_a_flood_hangs_no_child(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, tmp_path / "a.log", "fork"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_closes_nothing_tells_of_all(tmp_path):
    path = tmp_path / "a.log"
    flood(path, "exit")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    decisions = [line for line in lines if "outcome" in line]
    assert sum(int(line.get("count", 1)) for line in decisions) == 500
    assert len(decisions) < 20


def flood(*arguments):
    command = [sys.executable, "-c", FLOOD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


FLOOD = """
import os, sys, threading
from doorward.errors import DoorwardError
from doorward.guard import ApiKeys, AuditLog, Guard, Throttle
guard = Guard([], ApiKeys.memory(), throttle=Throttle(free_failures=1), audit=AuditLog(sys.argv[1]))
def flood(count):
    for number in range(count):
        try:
            guard.authenticate(f"Bearer guess-{number}", client_ip="192.0.2.7")
        except DoorwardError:
            pass
if sys.argv[2] == "exit":
    flood(500)
else:
    threads = [threading.Thread(target=flood, args=(3000,)) for _ in range(4)]
    for each in threads:
        each.start()
    children = []
    for _ in range(10):
        if not (child := os.fork()):
            flood(50)
            os._exit(0)
        children.append(child)
    for each in threads:
        each.join()
    for child in children:
        assert not os.waitpid(child, 0)[1]
"""


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
