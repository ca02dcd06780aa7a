"""Jobs: run aside once for all who wait, waited for by threads and tasks alike, bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from doorward.errors import StoreError, UnavailableError
from doorward.guard.work import OwnLock, SharedJobs, Workers, afinish, finish

PATIENCE_S = 20


@pytest.fixture
def workers():
    made = []

    def make(**options):
        made.append(Workers("tests", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(params=["thread", "task"])
def carry(request):
    """Carry a work to its end, in either way."""
    return finish if request.param == "thread" else lambda work: asyncio.run(afinish(work))


@pytest.fixture
def gate():
    """Holds up jobs until it is opened, and opens at the end."""
    gate = threading.Event()
    yield gate
    gate.set()


def wait_for(workers, function, timeout_s=PATIENCE_S):
    """A work of one job."""
    return (yield workers.start(function, timeout_s=timeout_s))


def end_of(job):
    """A work that waits for a job under way."""
    return (yield job)


def eventually(condition):
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def threads():
    return {thread for thread in threading.enumerate() if thread.name == "doorward-tests"}


def test_a_work_without_jobs_ends_at_once(carry):
    def work():
        return 42
        yield

    assert carry(work()) == 42


def test_jobs_run_one_after_the_other_elsewhere(carry, workers):
    crew = workers()

    def work():
        first = yield crew.start(threading.get_ident, timeout_s=PATIENCE_S)
        second = yield crew.start(lambda: first, timeout_s=PATIENCE_S)
        return first, second

    first, second = carry(work())
    assert first == second != threading.get_ident()


def test_a_failure_is_raised_where_it_was_waited_for(carry, workers):
    def fail():
        raise StoreError("gone", reason="store_gone")

    def work():
        try:
            yield crew.start(fail, timeout_s=PATIENCE_S)
        except StoreError as error:
            return error.reason, (yield crew.start(lambda: "and on", timeout_s=PATIENCE_S))

    crew = workers()
    assert carry(work()) == ("store_gone", "and on")
    with pytest.raises(StoreError, match="gone"):
        carry(wait_for(crew, fail))
    assert carry(wait_for(crew, lambda: "still there")) == "still there"


def test_nobody_waits_longer_than_the_job_is_worth(carry, workers, gate):
    crew, ended = workers(), []

    def work():
        try:
            yield crew.start(gate.wait, timeout_s=0.02)
        except TimeoutError:
            return "late"
        finally:
            ended.append(True)

    assert carry(work()) == "late"
    with pytest.raises(TimeoutError):
        carry(wait_for(crew, gate.wait, timeout_s=0.02))
    assert ended == [True]


def test_many_wait_for_one_job(workers, gate):
    crew = workers()
    runs = []
    job = crew.start(lambda: (gate.wait(PATIENCE_S), runs.append(1)), timeout_s=PATIENCE_S)

    def work():
        yield job
        return len(runs)

    async def tasks():
        waiting = [asyncio.create_task(afinish(work())) for _ in range(50)]
        await asyncio.sleep(0.02)
        gate.set()
        return await asyncio.gather(*waiting)

    with ThreadPoolExecutor(8) as pool:
        in_threads = [pool.submit(finish, work()) for _ in range(8)]
        assert asyncio.run(tasks()) == [1] * 50
        assert [each.result(PATIENCE_S) for each in in_threads] == [1] * 8


def test_a_cancelled_task_leaves_the_job_to_others(workers, gate):
    crew, ended = workers(), []
    job = crew.start(lambda: gate.wait(PATIENCE_S), timeout_s=PATIENCE_S)

    def work():
        try:
            return (yield job)
        finally:
            ended.append(True)

    async def main():
        leaving, staying = (asyncio.create_task(afinish(work())) for _ in range(2))
        await asyncio.sleep(0.02)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert ended == [True]
        gate.set()
        return await staying

    assert asyncio.run(main()) is True
    assert ended == [True, True]


def complaints_of(loop):
    found = []
    loop.set_exception_handler(lambda _, context: found.append(context["message"]))
    return found


@pytest.mark.parametrize("leave", ["cancelled", "late"])
def test_a_failure_after_the_wait_troubles_nobody(workers, gate, leave, caplog):
    def fail():
        gate.wait(PATIENCE_S)
        raise StoreError("gone")

    async def main():
        complaints = complaints_of(asyncio.get_running_loop())
        job = workers().start(fail, timeout_s=0.02 if leave == "late" else PATIENCE_S)
        task = asyncio.create_task(afinish(end_of(job)))
        await asyncio.sleep(0.01)
        if leave == "cancelled":
            task.cancel()
        with pytest.raises(asyncio.CancelledError if leave == "cancelled" else TimeoutError):
            await task
        gate.set()
        await asyncio.to_thread(eventually, job.future.done)
        await asyncio.sleep(0)
        del task, job
        gc.collect()
        await asyncio.sleep(0)
        return complaints

    assert asyncio.run(main()) == []
    assert caplog.records == []


def test_a_failure_and_a_cancellation_at_once_trouble_nobody(workers, gate):
    def fail():
        gate.wait(PATIENCE_S)
        raise StoreError("gone")

    async def main():
        complaints = complaints_of(asyncio.get_running_loop())
        job = workers().start(fail, timeout_s=PATIENCE_S)
        task = asyncio.create_task(afinish(end_of(job)))
        await asyncio.sleep(0.01)
        gate.set()
        eventually(job.future.done)
        await asyncio.sleep(0)  # the failure is there, the task has not seen it yet
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task, job
        gc.collect()
        await asyncio.sleep(0)
        return complaints

    assert asyncio.run(main()) == []


def test_a_job_may_end_after_the_loop_of_who_waited(workers, gate, caplog):
    job = workers().start(lambda: gate.wait(PATIENCE_S), timeout_s=0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(afinish(end_of(job)))
    gate.set()
    assert job.future.result(PATIENCE_S) is True
    assert caplog.records == []


def test_jobs_of_one_loop_serve_another(workers):
    crew = workers()
    for number in range(3):
        assert asyncio.run(afinish(wait_for(crew, lambda number=number: number))) == number


def test_a_job_never_waits_while_a_thread_may_be_had(workers, gate):
    """A quick one ends while the one before it hangs, whichever thread has just become free."""
    crew = workers(threads=41)
    for number in range(40):
        crew.start(lambda: gate.wait(PATIENCE_S), timeout_s=PATIENCE_S)
        assert finish(wait_for(crew, lambda number=number: number)) == number


def test_threads_and_queue_are_bounded(workers, gate):
    crew = workers(threads=2, queued=3)
    at_work = threading.Semaphore(0)

    def hold():
        at_work.release()
        return gate.wait(PATIENCE_S)

    jobs = []
    for _ in range(2):
        jobs.append(crew.start(hold, timeout_s=PATIENCE_S))
        assert at_work.acquire(timeout=PATIENCE_S)
    jobs += [crew.start(hold, timeout_s=PATIENCE_S) for _ in range(3)]
    with pytest.raises(UnavailableError, match="Too much is waiting for tests") as refused:
        crew.start(hold, timeout_s=PATIENCE_S)
    assert (refused.value.reason, refused.value.retry_after_s) == ("too_busy", 1.0)
    assert len(threads()) == 2
    gate.set()
    assert [job.future.result(PATIENCE_S) for job in jobs] == [True] * 5
    assert finish(wait_for(crew, lambda: "room again")) == "room again"


@pytest.fixture
def line(workers, gate):
    """Put jobs into lanes behind one that holds the only thread; a lane's letter is written when its turn comes."""
    crew, at_work, turns, refused = workers(threads=1, queued=16), threading.Event(), [], []
    crew.start(lambda: (at_work.set(), gate.wait(PATIENCE_S)), timeout_s=PATIENCE_S)
    assert at_work.wait(PATIENCE_S)

    def put(lanes, **options):
        jobs = []
        for lane in lanes:
            try:
                job = crew.start(
                    lambda lane=lane: turns.append(lane),
                    timeout_s=PATIENCE_S,
                    lane=None if lane == "-" else lane,
                    **options,
                )
                jobs.append(job)
            except UnavailableError:
                refused.append(lane)
        return jobs

    def go_on(jobs):
        gate.set()
        for job in jobs:
            job.future.result(PATIENCE_S)
        return "".join(turns)

    put.crew, put.go_on, put.refused = crew, go_on, refused
    return put


@pytest.mark.parametrize(
    ("lanes", "turns"),
    [
        ("aaaab", "abaaa"),
        ("aaabbbc", "abcabab"),
        ("abcabc", "abcabc"),
        ("aabb--", "--abab"),  # without a lane
        ("-" * 100, "-" * 16),
        ("a" * 100 + "b", "ab" + "a" * 7),  # one alone takes half
        ("a" * 100 + "b" * 100 + "c" * 100, "abcabcababaaaa"),
    ],
)
def test_lanes_take_turns_and_none_fills_the_queue(line, lanes, turns):
    assert line.go_on(line(lanes)) == turns


def test_however_many_lanes_there_are_one_that_comes_finds_a_place_while_there_is_any(line):
    jobs = line("aaaaaaaabbbbccdefghijklmnopq")
    assert line.crew.waiting == 16
    assert (len(jobs), "".join(line.refused)) == (16, "fghijklmnopq")
    assert set(line.go_on(jobs)) >= set("abcde")


def test_what_leaves_places_to_others_finds_none_of_those(line):
    flood = line("abcdefghijklmnopqrstuvwxyz", leaving=4)
    assert len(flood) == 12
    kept = line("0123456789")
    assert len(kept) == 4
    assert set(line.go_on(flood + kept)) >= set("0123")


def test_threads_start_with_the_first_job_and_end_with_close(workers, leak_check):
    with leak_check():
        crew = workers()
        assert threads() == set()
        assert finish(wait_for(crew, lambda: 1)) == 1
        assert len(threads()) == 1
        crew.close()


def test_close_does_what_is_waiting_and_may_be_followed_by_more(workers, gate):
    crew = workers(threads=1)
    jobs = [crew.start(lambda: gate.wait(PATIENCE_S), timeout_s=PATIENCE_S) for _ in range(3)]
    crew.close()
    assert finish(wait_for(crew, lambda: "a new thread")) == "a new thread"
    gate.set()
    assert [job.future.result(PATIENCE_S) for job in jobs] == [True] * 3
    crew.close()
    crew.close()
    eventually(lambda: not threads())


def test_a_thread_without_work_ends_by_itself(workers):
    crew = workers(threads=1, idle_s=0.01)
    assert finish(wait_for(crew, lambda: 1)) == 1
    eventually(lambda: not threads())
    assert finish(wait_for(crew, lambda: 2)) == 2


def test_what_nobody_holds_any_more_leaves_no_thread(leak_check):
    with leak_check():
        crew = Workers("tests", idle_s=0.01)
        finish(wait_for(crew, lambda: 1))
        del crew


def test_a_job_that_exits_takes_no_thread_with_it(workers):
    crew = workers(threads=1)

    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        finish(wait_for(crew, leave))
    assert finish(wait_for(crew, lambda: "still there")) == "still there"


def test_without_a_thread_of_the_system_the_job_is_refused(workers, monkeypatch):
    def no_more(thread):
        message = "can't start new thread"
        raise RuntimeError(message)

    crew, ran = workers(threads=2), []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(UnavailableError, match="gives no thread") as refused:
            crew.start(lambda: ran.append("refused"), timeout_s=PATIENCE_S)
    assert refused.value.reason == "no_thread"
    finish(wait_for(crew, lambda: ran.append("later")))
    assert ran == ["later"]


def test_without_another_thread_the_job_waits_for_the_one_there_is(workers, monkeypatch, gate):
    def no_more(thread):
        message = "can't start new thread"
        raise RuntimeError(message)

    crew = workers(threads=2)
    crew.start(lambda: gate.wait(PATIENCE_S), timeout_s=PATIENCE_S)
    eventually(threads)
    monkeypatch.setattr(threading.Thread, "start", no_more)
    second = crew.start(lambda: "came to it", timeout_s=PATIENCE_S)
    gate.set()
    assert second.future.result(PATIENCE_S) == "came to it"


def in_child(check):
    """Run ``check`` in a fork of this process; say whether it ended well."""
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_S)
        status = 1
        try:
            status = 0 if check() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_starts_threads_of_its_own(workers, gate):
    crew, at_work = workers(threads=1, queued=1), threading.Event()
    crew.start(at_work.set, timeout_s=PATIENCE_S)
    assert at_work.wait(PATIENCE_S)
    at_work.clear()
    crew.start(lambda: (at_work.set(), gate.wait(PATIENCE_S)), timeout_s=PATIENCE_S)
    assert at_work.wait(PATIENCE_S)
    job = crew.start(lambda: gate.wait(PATIENCE_S), timeout_s=PATIENCE_S)  # the queue is full
    assert in_child(lambda: finish(wait_for(crew, os.getpid)) == os.getpid()) == 0
    gate.set()
    assert job.future.result(PATIENCE_S) is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_lock_that_another_thread_holds_is_free_in_the_child_of_a_fork(gate):
    lock, held = OwnLock(), threading.Event()

    def hold():
        with lock:
            held.set()
            gate.wait(PATIENCE_S)

    def may_take_it():
        with lock:
            return True

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(PATIENCE_S)
    assert in_child(may_take_it) == 0
    gate.set()
    other.join(PATIENCE_S)
    assert may_take_it()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_at_any_moment_is_not_stuck(workers):
    crew, stop = workers(), threading.Event()

    def keep_busy():
        while not stop.is_set():
            finish(wait_for(crew, lambda: None))

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        for _ in range(20):
            assert in_child(lambda: finish(wait_for(crew, lambda: True))) == 0
    finally:
        stop.set()
        busy.join(PATIENCE_S)


class TestSharedJobs:
    def test_who_asks_for_the_same_meanwhile_shares_it(self):
        workers, go_on, done = Workers("tests"), threading.Event(), []

        def work():
            assert go_on.wait(20)
            done.append(1)
            return "answer"

        jobs = SharedJobs(workers, timeout_s=20)
        first, second, other = jobs.start("a", work), jobs.start("a", work), jobs.start("b", work)
        assert first is second is not other
        go_on.set()
        assert [job.future.result(20) for job in (first, other)] == ["answer", "answer"]
        assert jobs.start("a", work) is not first
        jobs.start("a", work).future.result(20)
        workers.close()

    def test_after_a_change_nobody_shares_what_began_before_it(self):
        workers, go_on = Workers("tests"), threading.Event()
        jobs = SharedJobs(workers, timeout_s=20)
        before = jobs.start("a", lambda: go_on.wait(20))
        jobs.forget()
        after = jobs.start("a", lambda: "new")
        assert after.future.result(20) == "new"
        go_on.set()
        assert before.future.result(20)
        workers.close()
