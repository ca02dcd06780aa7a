"""When a key was last used is written in one go, seldom, and kept where it could not be written."""

from __future__ import annotations

import threading

import pytest

from doorward.errors import StoreError
from doorward.guard.api_keys.last_used import LastUsed

DEADLINE_S = 30


class Book:
    """Where uses are written, if it is open."""

    def __init__(self):
        self.batches = []
        self.closed = False
        self.written = threading.Event()
        self.tried = threading.Semaphore(0)

    def write(self, used):
        self.tried.release()
        if self.closed:
            raise StoreError("gone")
        self.batches.append(dict(used))
        self.written.set()


@pytest.fixture
def book():
    return Book()


def test_many_uses_are_one_write(book, no_leaks):
    noted = LastUsed(book.write, interval_s=0.2)
    for at in range(1000):
        noted.note(f"key{at % 10}", float(at))
    assert book.written.wait(DEADLINE_S)
    assert book.batches == [{f"key{number}": 990.0 + number for number in range(10)}]


def test_a_failed_write_is_tried_again(book, no_leaks):
    book.closed = True
    noted = LastUsed(book.write, interval_s=0.05)
    noted.note("one", 1.0)
    noted.note("two", 1.0)
    assert book.tried.acquire(timeout=DEADLINE_S)
    assert book.tried.acquire(timeout=DEADLINE_S)
    noted.note("one", 2.0)
    book.closed = False
    assert book.written.wait(DEADLINE_S)
    assert book.batches == [{"one": 2.0, "two": 1.0}]


def test_the_end_writes_what_is_left(book, no_leaks):
    noted = LastUsed(book.write)
    noted.note("one", 1.0)
    noted.flush()
    noted.flush()
    assert book.batches == [{"one": 1.0}]


def test_what_can_not_be_written_at_the_end_is_told(book, no_leaks):
    book.closed = True
    noted = LastUsed(book.write)
    noted.note("one", 1.0)
    with pytest.raises(StoreError):
        noted.flush()


def test_a_use_while_a_write_fails_is_the_newer_one(book, no_leaks):
    def write(used):
        if not book.closed:
            book.closed = True
            noted.note("one", 2.0)
            raise StoreError("gone")
        book.batches.append(dict(used))

    noted = LastUsed(write)
    noted.note("one", 1.0)
    noted.note("two", 1.0)
    with pytest.raises(StoreError):
        noted.flush()
    noted.flush()
    assert book.batches == [{"one": 2.0, "two": 1.0}]


def test_a_forked_process_leaves_what_was_noted_to_its_parent(book, no_leaks):
    noted = LastUsed(book.write)
    noted.note("one", 1.0)
    timer = noted._timer  # noqa: SLF001 - the parent's, which goes on there
    noted.after_fork()
    noted.flush()
    assert book.batches == []
    timer.cancel()


def test_memory_is_bounded(book, no_leaks):
    noted = LastUsed(book.write)
    for number in range(20_000):
        noted.note(str(number), 1.0)
    noted.note("0", 2.0)
    noted.flush()
    assert len(book.batches[0]) == 10_000
    assert book.batches[0]["0"] == 2.0
