"""When an issuer is taken for one that hangs, and who finds out whether it still does."""

from __future__ import annotations

import pytest

from doorward.errors import ProviderUnavailable
from doorward.guard.introspection.outage import Outage

PATIENCE_S = 2.5


class ManualClock:
    at = 100.0

    def monotonic(self):
        return self.at

    def advance(self, seconds):
        self.at += seconds


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def outage(clock):
    return Outage("https://id.example.org", clock, patience_s=PATIENCE_S)


def stall(outage, clock, times):
    for _ in range(times):
        began_at = outage.begin()
        clock.advance(2 * PATIENCE_S)
        outage.failed(began_at)


def wait_of(outage):
    with pytest.raises(ProviderUnavailable) as down:
        outage.begin()
    assert down.value.reason == "introspection_down"
    return down.value.retry_after_s


def test_four_in_a_row_are_an_outage_and_the_wait_grows_to_ten_seconds(outage, clock):
    stall(outage, clock, 4)
    waits = []
    for _ in range(6):
        waits.append(wait_of(outage))
        clock.advance(waits[-1])
        stall(outage, clock, 1)
    assert waits == [1, 2, 4, 8, 10, 10]


def test_one_question_finds_out_while_the_others_are_refused(outage, clock):
    stall(outage, clock, 4)
    clock.advance(1)
    outage.begin()
    assert wait_of(outage) > 2 * PATIENCE_S
    outage.answered()
    stall(outage, clock, 3)
    outage.begin()


def test_those_that_were_under_way_make_the_wait_no_longer(outage, clock):
    began_at = [outage.begin() for _ in range(9)]
    clock.advance(2 * PATIENCE_S)
    for each in began_at:
        outage.failed(each)
    assert wait_of(outage) == 1


@pytest.mark.parametrize("end", ["answered", "refused at once"])
def test_what_comes_in_time_ends_it(outage, clock, end):
    stall(outage, clock, 3)
    if end == "answered":
        outage.answered()
    else:
        outage.failed(outage.begin())
    stall(outage, clock, 3)
    outage.begin()
