from __future__ import annotations

import os
import signal
import threading
import tracemalloc

import pytest

from doorward.errors import ConfigurationError, StoreError, Throttled
from doorward.guard.throttle import MemoryFailures, Throttle

NOW = 1_800_000_000.0
ATTACKER, VICTIM = "203.0.113.66", "198.51.100.7"
KEY = "dw_k1"


def fail(throttle, times, *, address=ATTACKER, prefix=KEY, now=NOW):
    for _ in range(times):
        throttle.failed(address, prefix, now=now)


def wait_s(throttle, *, address=ATTACKER, prefix=KEY, now=NOW):
    """How long this address must wait, by the answer it gets; 0 if it is let through."""
    try:
        throttle.check(address, prefix, now=now)
    except Throttled as throttled:
        return throttled.retry_after_s
    return 0


def test_each_failure_beyond_the_free_ones_doubles_the_wait_up_to_a_limit():
    throttle = Throttle(free_failures=3, base_delay_s=2, max_delay_s=15, forget_after_s=100)
    waits = []
    for _ in range(9):
        waits.append(wait_s(throttle, prefix=None))
        fail(throttle, 1, prefix=None)
    assert waits == [0, 0, 0, 0, 2, 4, 8, 15, 15]


def test_after_the_time_it_was_told_an_attempt_passes_and_not_before():
    throttle = Throttle()
    fail(throttle, 14, now=NOW + 0.25)
    with pytest.raises(Throttled) as throttled:
        throttle.check(ATTACKER, KEY, now=NOW + 0.5)
    assert throttled.value.retry_after_s == 8
    assert throttled.value.reason == "address_throttled"
    assert "8 s" in throttled.value.message
    assert wait_s(throttle, now=NOW + 0.5 + 7.7) == 1
    assert wait_s(throttle, now=NOW + 0.5 + 8) == 0


def test_hammering_makes_the_wait_no_longer():
    throttle = Throttle()
    fail(throttle, 11)
    for _ in range(1000):
        assert wait_s(throttle) == 1
    assert wait_s(throttle, now=NOW + 1) == 0


def test_a_million_addresses_stay_within_the_bound():
    throttle = Throttle()
    tracemalloc.start()
    try:
        for number in range(1_000_000):
            throttle.failed(f"{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}.1", None, now=NOW)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 128 * 2**20


def test_failures_are_forgotten():
    throttle = Throttle(forget_after_s=400)
    fail(throttle, 30)
    assert wait_s(throttle) == 300
    fail(throttle, 1, now=NOW + 400)
    assert wait_s(throttle, now=NOW + 400) == 0
    fail(throttle, 10, now=NOW + 401)
    assert wait_s(throttle, now=NOW + 401) == 1


def test_a_clock_that_was_set_back_keeps_nobody_out():
    throttle = Throttle()
    fail(throttle, 30)
    assert wait_s(throttle, now=NOW - 3600) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "[2001:db8::2%en0]:443", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.7", "192.0.2.7:8080", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("not an address", "1" * 10_000, True),
        ("not an address", "\0\udc80", True),
        ("not an address", "192.0.2.7", False),
    ],
)
def test_an_address_counts_with_its_network(one, other, same):
    throttle = Throttle()
    fail(throttle, 11, address=one)
    assert bool(wait_s(throttle, address=other)) == same


@pytest.mark.parametrize("unknown", [None, ""])
def test_nobody_waits_for_the_failures_of_those_without_an_address(unknown):
    throttle = Throttle()
    fail(throttle, 10_000, address=unknown)
    assert wait_s(throttle, address=unknown) == 0
    assert wait_s(throttle, address="not an address") == 0


def test_a_victim_gets_in_while_an_attacker_fails_from_elsewhere():
    throttle = Throttle()
    fail(throttle, 10_000)
    assert wait_s(throttle) == 300
    assert wait_s(throttle, address=VICTIM) == 0
    for host in range(10_000):
        fail(throttle, 1, address=f"10.0.{host >> 8}.{host & 255}")
    assert wait_s(throttle, address=VICTIM) == 0


def test_a_prefix_under_attack_leaves_each_address_one_failure():
    throttle = Throttle()
    for host in range(11):
        address = f"10.0.0.{host}"
        assert wait_s(throttle, address=address) == 0
        fail(throttle, 1, address=address)
    fail(throttle, 1, address="10.0.1.1")
    with pytest.raises(Throttled) as throttled:
        throttle.check("10.0.1.1", KEY, now=NOW)
    assert (throttled.value.reason, throttled.value.retry_after_s) == ("credential_attacked", 1)
    assert wait_s(throttle, address="10.0.1.1", prefix="dw_other") == 0
    assert wait_s(throttle, address="10.0.1.1", prefix=None) == 0
    assert wait_s(throttle, address="10.0.1.1", now=NOW + 1) == 0


def test_a_victim_with_failures_of_its_own_waits_a_moment_whatever_an_attacker_does():
    throttle = Throttle()
    fail(throttle, 10, address=VICTIM)
    fail(throttle, 10_000)
    assert wait_s(throttle, address=VICTIM) == 1
    fail(throttle, 10_000, now=NOW + 1)
    assert wait_s(throttle, address=VICTIM, now=NOW + 1) == 0


def test_an_attack_on_a_prefix_is_forgotten():
    throttle = Throttle()
    fail(throttle, 100)
    fail(throttle, 1, address=VICTIM, prefix="dw_other", now=NOW + 900)
    assert wait_s(throttle, address=VICTIM, now=NOW + 900) == 0


def test_long_prefixes_are_cut_alike_when_counted_and_when_asked():
    throttle = Throttle()
    fail(throttle, 11, prefix="x" * 10_000)
    fail(throttle, 1, address=VICTIM, prefix=None)
    assert wait_s(throttle, address=VICTIM, prefix="x" * 20_000) == 1


def test_new_addresses_do_not_push_out_those_that_must_wait():
    throttle = Throttle(max_addresses=1000)
    fail(throttle, 20)
    for host in range(50_000):
        throttle.failed(f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}", f"dw_{host}", now=NOW + 1)
    assert wait_s(throttle, now=NOW + 2) == 298


def test_memory_is_bounded_whatever_fails():
    failures = MemoryFailures(free_failures=1, forget_after_s=900, max_addresses=1000)
    for host in range(20_000):
        network = host.to_bytes(4, "big")
        for _ in range(1 + host % 2):
            failures.add(network, f"dw_{host}", now=NOW)
        assert len(failures) <= 1000
    assert len(failures) >= 500
    assert len(failures._prefixes) <= 125  # noqa: SLF001 - nobody else sees it


def test_what_is_forgotten_makes_room_by_itself():
    failures = MemoryFailures(free_failures=1, forget_after_s=900, max_addresses=1000)
    for host in range(200):
        failures.add(host.to_bytes(4, "big"), None, now=NOW)
    for round_ in (1, 2):
        failures.add(b"last", None, now=NOW + round_ * 900)
    assert len(failures) == 2  # "last", in both halves
    assert failures.of_network((0).to_bytes(4, "big")) is None


def test_the_cache_of_addresses_is_bounded():
    throttle = Throttle()
    for host in range(10_000):
        throttle.check(f"10.0.{host >> 8}.{host & 255}", None, now=NOW)
        throttle.check("x" * 65 + str(host), None, now=NOW)
    assert len(throttle._networks) <= 4096  # noqa: SLF001 - nobody else sees it
    assert max(map(len, throttle._networks)) <= 64  # noqa: SLF001 - as above


def test_guards_that_share_a_store_count_together():
    store = MemoryFailures(free_failures=10, forget_after_s=900, max_addresses=1000)
    one, other = Throttle(shared=store), Throttle(shared=store)
    fail(one, 6)
    fail(other, 5)
    assert wait_s(one) == wait_s(other) == 1
    fail(one, 1, address=VICTIM)
    assert wait_s(other, address=VICTIM) == 1  # the prefix is under attack by what both have seen


class DownStore:
    """A store whose server can't be reached."""

    def of_network(self, network):
        raise StoreError("The store is down.")

    of_prefix = of_network

    def add(self, network, prefix, *, now):
        raise StoreError("The store is down.")


def test_without_its_store_a_throttle_is_neither_open_nor_shut():
    throttle = Throttle(shared=DownStore())
    fail(throttle, 11)
    assert wait_s(throttle) == 1
    assert wait_s(throttle, address=VICTIM) == 0
    fail(throttle, 1, address=VICTIM)
    assert wait_s(throttle, address=VICTIM) == 1


def test_threads_lose_no_failure():
    throttle = Throttle(free_failures=10_000)
    threads = [threading.Thread(target=fail, args=(throttle, 2_500)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wait_s(throttle) == 0
    fail(throttle, 1)
    assert wait_s(throttle) == 1


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("free_failures", {"free_failures": -1}),
        ("base_delay_s", {"base_delay_s": 0}),
        ("base_delay_s", {"base_delay_s": float("nan")}),
        ("max_delay_s", {"max_delay_s": 0.5}),
        ("max_delay_s", {"max_delay_s": float("inf")}),
        ("forget_after_s", {"forget_after_s": 299}),
        ("forget_after_s", {"forget_after_s": float("inf")}),
        ("max_addresses", {"max_addresses": 15}),
        ("spared_checks", {"spared_checks": -1}),
        ("spared_questions", {"spared_questions": -1}),
    ],
)
def test_settings_out_of_range_stop_the_start(field, settings):
    with pytest.raises(ConfigurationError) as wrong:
        Throttle(**settings)
    assert (wrong.value.field, wrong.value.reason) == (field, f"{field}_range")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_counts_is_not_stuck():
    throttle = Throttle()
    with throttle._memory._lock:  # noqa: SLF001 - as if another thread held it at that moment
        child = os.fork()
        if child == 0:  # with the lock still held
            signal.alarm(10)
            try:
                throttle.failed("192.0.2.1", None, now=0.0)
                os._exit(0)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
