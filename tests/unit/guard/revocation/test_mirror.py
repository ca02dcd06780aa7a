"""A mirror that begins anew while something is still being loaded for it."""

from __future__ import annotations

import threading
from math import inf

import pytest

from doorward.errors import Revoked
from doorward.guard.revocation.mirror import Mirror
from doorward.guard.revocation.revocation_list import Changes, Revocation, RevocationList, entry_of

ISSUER, NOW, FITS = "https://id.example.org", 1_800_000_000.0, 5
HERE_S = 20


def entry(number):
    return entry_of(Revocation("jti", ISSUER, f"j{number}", inf, inf, NOW))


class Clock:
    at = NOW

    def now(self):
        return self.at


class PagedStore:
    """Pages of ten. ``reading`` is called before each, by whichever thread reads."""

    def __init__(self):
        self.entries = [entry(number) for number in range(30)]
        self.reading = lambda _position, _last: None

    def latest(self):
        return len(self.entries)

    def read(self, position, last):
        self.reading(position, last)
        end = min(position + 10, last)
        return Changes(self.entries[position:end], end)

    def find(self, targets):
        return [each for each in self.entries if each[1] in targets]

    def close(self):
        pass


def is_revoked(entries, number):
    marks = {"issuer": ISSUER, "subject": "s", "jti": f"j{number}", "issued_at": NOW, "kid": "k", "fingerprint": b"f"}
    try:
        return not entries.check(**marks)  # False: perhaps, ask the store
    except Revoked:
        return True


@pytest.mark.parametrize("restored", [False, True], ids=["after a failure", "after an older copy was put back"])
def test_what_was_loaded_for_the_reading_before_does_not_end_the_new_one(restored):
    store, clock, entries, version = PagedStore(), Clock(), RevocationList(FITS), iter(range(1, 1000))
    mirror = Mirror(store, entries, clock=clock, changed=lambda: next(version), failed=lambda _error: None)
    mirror.follow(clock.now())
    assert mirror.all_known

    loading, go_on_loading = threading.Event(), threading.Event()

    def slowly(position, last):
        if threading.current_thread() is threading.main_thread():
            clock.at += 0.3
        elif position >= last - 10:
            loading.set()
            assert go_on_loading.wait(HERE_S)

    store.entries += [entry(number) for number in range(100, 160)]
    store.reading = slowly
    mirror.follow(clock.now())
    mirror.go_on()
    assert loading.wait(HERE_S)
    assert not mirror.all_known

    began, go_on_reading = threading.Event(), threading.Event()

    def held(position, _last):
        if position == 0:
            began.set()
            assert go_on_reading.wait(HERE_S)

    if restored:
        del store.entries[60:]
    else:
        mirror.start_anew()
    store.reading = held
    anew = threading.Thread(target=mirror.follow, args=(clock.now(),))
    anew.start()
    assert began.wait(HERE_S)
    go_on_loading.set()
    mirror._loading.future.result(HERE_S)  # noqa: SLF001 - the job that must change nothing any more
    assert not mirror.all_known
    go_on_reading.set()
    anew.join(HERE_S)
    mirror.close()
    assert all(is_revoked(entries, number) for number in range(30))


def test_a_loading_that_fails_is_told_and_everything_is_read_anew():
    store, clock, entries, told = PagedStore(), Clock(), RevocationList(100), threading.Event()
    mirror = Mirror(store, entries, clock=clock, changed=lambda: 1, failed=lambda _error: told.set())

    def fails_aside(_position, _last):
        if threading.current_thread() is threading.main_thread():
            clock.at += 0.3
        else:
            raise OSError("gone")

    store.reading = fails_aside
    mirror.follow(clock.now())
    mirror.go_on()
    assert told.wait(HERE_S)
    assert not mirror.all_known
    positions = []
    store.reading = lambda position, _last: positions.append(position)
    mirror.follow(clock.now())
    assert positions == [0, 10, 20]
    assert mirror.all_known
    mirror.close()
