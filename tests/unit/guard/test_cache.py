"""The caches: bounded, keyed by nothing that can be guessed, and no place for a credential."""

import os
import signal
import threading

import pytest

from doorward.errors import Malformed
from doorward.guard.cache import BoundedCache, digester
from doorward.guard.verdicts import Rejected


def test_digests_differ_by_every_byte_and_by_process():
    one, other = digester(), digester()
    assert one("Bearer a") == one("Bearer a")
    assert len({one("Bearer a"), one("Bearer b"), one("bearer a"), one("Bearer a "), one(None), other("Bearer a")}) == 6
    assert one(None) == one("")
    assert one("\udcff") != one("\udcfe")  # whatever a server hands in


def test_the_oldest_makes_room():
    cache = BoundedCache(3)
    for name in (b"a", b"b", b"c", b"d"):
        cache.put(name, name.decode())
    assert [cache.get(name) for name in (b"a", b"b", b"c", b"d")] == [None, "b", "c", "d"]
    cache.put(b"b", "again")
    cache.put(b"e", "e")
    assert [cache.get(name) for name in (b"b", b"c")] == ["again", None]
    assert len(cache) == 3


def test_a_cache_of_nothing_keeps_nothing():
    cache = BoundedCache(0)
    cache.put(b"a", "a")
    assert cache.get(b"a") is None


def test_dropping():
    cache = BoundedCache(10)
    for number in range(6):
        cache.put(bytes([number]), number)
    cache.drop(b"\x00")
    cache.drop(b"not there")
    assert cache.drop_where(lambda number: number % 2 == 1) == 3
    assert [cache.get(bytes([number])) for number in range(6)] == [None, None, 2, None, 4, None]


def test_many_threads_keep_the_bound():
    cache = BoundedCache(50)

    def fill(start):
        for number in range(start, start + 2000):
            cache.put(number.to_bytes(4, "big"), number)
            if not number % 100:
                cache.drop_where(lambda each: each % 7 == 0)

    threads = [threading.Thread(target=fill, args=(start,)) for start in range(0, 8000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(cache) <= 50


def test_a_refusal_is_raised_anew():
    rejected = Rejected(Malformed, "No.", "token_parts", 0.0, 1.0)
    first, second = rejected.again(), rejected.again()
    assert first is not second
    assert (type(first), first.message, first.reason) == (Malformed, "No.", "token_parts")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_writes_is_not_stuck():
    cache = BoundedCache(2)
    with cache._lock:  # noqa: SLF001 - as if another thread held it at that moment
        child = os.fork()
        if child == 0:  # with the lock still held
            signal.alarm(10)
            try:
                cache.put(b"1", "decided")
                cache.drop(b"2")
                os._exit(0 if cache.get(b"1") == "decided" and cache.drop_where(bool) == 1 else 1)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
