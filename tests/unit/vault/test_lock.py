"""The lock: one holder among threads and processes, whatever becomes of it."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from doorward.errors import LockTimeout, StoreError, UnsafePermissions
from doorward.model import Pause
from doorward.vault.lock import FileLock

DEADLINE_S = 30

HOLD = """
import subprocess, sys, os, time
from doorward.vault.lock import FileLock
lock = FileLock(sys.argv[1])
assert lock.try_acquire()
"""


class FakeClock:
    def __init__(self):
        self.at = 0.0

    def monotonic(self):
        return self.at


@pytest.fixture
def path(folder):
    return os.path.join(folder, "a.lock")


@pytest.fixture
def start(path):
    """Start a process that holds the lock, and return it with what it prints."""
    running = []

    def start(then="print('held', flush=True); sys.stdin.read()"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD + then, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process, process.stdout.readline().split()

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def comes_free(path):
    deadline = time.monotonic() + DEADLINE_S
    lock = FileLock(path)
    while not lock.try_acquire() and time.monotonic() < deadline:
        time.sleep(0.01)
    held = lock.held
    lock.release()
    return held


def drive(flow, clock):
    """Run a flow on a fake clock and return its result and the pauses it made."""
    pauses = []
    try:
        while True:
            pause = next(flow)
            assert isinstance(pause, Pause)
            pauses.append(pause.seconds)
            clock.at += pause.seconds
    except StopIteration as end:
        return end.value, pauses


class TestHolding:
    def test_one_object_excludes_another_of_the_same_thread(self, path):
        first, second = FileLock(path), FileLock(path)
        assert first.try_acquire()
        assert first.try_acquire()
        assert not second.try_acquire()
        first.release()
        assert not first.held
        assert second.try_acquire()
        second.release()
        second.release()

    def test_nothing_of_it_stays_behind(self, folder, path):
        before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
        with FileLock(path) as lock:
            assert lock.try_acquire()
            assert os.listdir(folder) == ["a.lock"]
            assert not FileLock(path).try_acquire()
        assert os.listdir(folder) == []
        assert before == (len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0)

    def test_a_block_that_never_got_it_lets_go_of_nothing(self, path):
        with FileLock(path) as held:
            assert held.try_acquire()
            with FileLock(path) as other:
                assert not other.try_acquire()
            assert not FileLock(path).try_acquire()

    def test_it_shows_whether_it_is_held(self, path):
        lock = FileLock(path)
        assert "held=False" in repr(lock)
        lock.try_acquire()
        assert "held=True" in repr(lock)
        lock.release()

    def test_a_link_in_its_place_is_refused(self, folder, path, tmp_path):
        os.mkdir(folder, 0o700)
        os.symlink(tmp_path / "elsewhere", path)
        with pytest.raises(UnsafePermissions):
            FileLock(path).try_acquire()
        assert not (tmp_path / "elsewhere").exists()

    def test_a_folder_that_may_not_be_written_is_a_typed_error(self, nobodys_folder, without_privileges):
        def use():
            os.chmod(nobodys_folder, 0o500)
            try:
                return FileLock(os.path.join(nobodys_folder, "a.lock")).try_acquire()
            except StoreError as error:
                return error.reason

        assert without_privileges(use) == repr("no_access")

    @pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
    def test_a_disk_without_locks_is_told_with_what_helps(self, path, monkeypatch, code):
        """Some NFS mounts."""

        def refuse(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(fcntl, "flock", refuse)
        with pytest.raises(StoreError, match="DOORWARD_HOME") as refused:
            FileLock(path).try_acquire()
        assert refused.value.reason == "lock_refused"
        assert "NFS" in refused.value.message

    def test_a_file_that_was_removed_by_hand_does_not_confuse_the_next_holder(self, path):
        first, second = FileLock(path), FileLock(path)
        assert first.try_acquire()
        os.remove(path)
        assert second.try_acquire()
        first.release()
        assert not FileLock(path).try_acquire()
        second.release()
        assert comes_free(path)

    def test_a_holder_that_removed_the_file_is_not_followed_into_it(self, path):
        first = FileLock(path)
        assert first.try_acquire()
        late = os.open(path, os.O_RDWR)  # as by somebody who looked just before the release
        first.release()
        second = FileLock(path)
        assert second.try_acquire()
        fcntl.flock(late, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(late)
        assert not FileLock(path).try_acquire()
        second.release()


class TestThreadsAndProcesses:
    def test_threads_take_turns(self, path):
        inside, most, rounds = 0, 0, []

        def work():
            nonlocal inside, most
            for _ in range(50):
                with FileLock(path) as lock:
                    while not lock.try_acquire():
                        time.sleep(0.0005)
                    inside += 1
                    most = max(most, inside)
                    time.sleep(0)
                    rounds.append(1)
                    inside -= 1

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert (most, len(rounds)) == (1, 400)

    def test_processes_take_turns(self, path, tmp_path):
        counter = tmp_path / "counter"
        counter.write_text("0")
        code = """
import sys, time, random
from pathlib import Path
from doorward.vault.lock import FileLock
counter = Path(sys.argv[2])
for _ in range(50):
    with FileLock(sys.argv[1]) as lock:
        while not lock.try_acquire():
            time.sleep(random.random() / 1000)
        value = int(counter.read_text())
        time.sleep(0)
        counter.write_text(str(value + 1))
"""
        workers = [subprocess.Popen([sys.executable, "-c", code, path, counter]) for _ in range(6)]
        assert [worker.wait(DEADLINE_S) for worker in workers] == [0] * 6
        assert counter.read_text() == "300"

    def test_another_process_is_excluded_until_it_lets_go(self, path, start):
        process, _ = start()
        assert not FileLock(path).try_acquire()
        process.stdin.close()
        process.wait(DEADLINE_S)
        assert comes_free(path)

    def test_a_killed_holder_holds_no_longer(self, path, start):
        process, _ = start()
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
        assert comes_free(path)
        assert not os.path.exists(path)

    @pytest.mark.parametrize(
        "child",
        [
            "child = os.fork() or time.sleep(60) or os._exit(0)",
            "child = subprocess.Popen(['sleep', '60'], close_fds=False).pid",
        ],
    )
    def test_a_killed_holder_holds_no_longer_though_its_child_lives(self, path, start, child):
        process, words = start(f"{child}; print('held', child, flush=True); sys.stdin.read()")
        try:
            assert not FileLock(path).try_acquire()
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE_S)
            assert comes_free(path)
            os.kill(int(words[1]), 0)  # the child is still there
        finally:
            os.kill(int(words[1]), signal.SIGKILL)

    def test_letting_go_lets_go_though_a_child_has_the_descriptor(self, path, start):
        """As a child has it between fork and exec, where no hook of ours runs."""
        fork = "import ctypes; child = ctypes.CDLL(None).fork() or time.sleep(60) or os._exit(0)"
        _, words = start(f"{fork}; lock.release(); print('let go', child, flush=True); sys.stdin.read()")
        try:
            assert comes_free(path)
            os.kill(int(words[2]), 0)
        finally:
            os.kill(int(words[2]), signal.SIGKILL)

    def test_a_forked_child_neither_holds_nor_releases(self, path, without_privileges):
        lock = FileLock(path)
        assert lock.try_acquire()

        def child():
            held = lock.held
            lock.release()
            return held

        assert without_privileges(child, user=os.getuid()) == "False"
        assert os.path.exists(path)
        assert not FileLock(path).try_acquire()
        lock.release()
        assert comes_free(path)


class TestWaiting:
    def test_a_free_lock_is_taken_at_once(self, path):
        clock, lock = FakeClock(), FileLock(path)
        assert drive(lock.acquire(clock, timeout_s=10, unless=lambda: "never asked"), clock) == (None, [])
        assert lock.held
        lock.release()

    def test_it_is_taken_when_it_comes_free(self, path):
        clock, holder, lock = FakeClock(), FileLock(path), FileLock(path)
        holder.try_acquire()
        flow = lock.acquire(clock, timeout_s=10, unless=lambda: None)
        next(flow)
        holder.release()
        assert drive(flow, clock) == (None, [])
        assert lock.held
        lock.release()

    def test_who_no_longer_needs_it_leaves(self, path):
        clock, holder, lock = FakeClock(), FileLock(path), FileLock(path)
        holder.try_acquire()
        answers = iter([None, None, "a fresh token"])
        result, pauses = drive(lock.acquire(clock, timeout_s=10, unless=lambda: next(answers)), clock)
        assert (result, len(pauses), lock.held) == ("a fresh token", 3, False)
        holder.release()

    def test_waiting_ends(self, path):
        clock, holder, lock = FakeClock(), FileLock(path), FileLock(path)
        holder.try_acquire()
        with pytest.raises(LockTimeout, match="10 s") as timeout:
            drive(lock.acquire(clock, timeout_s=10, unless=lambda: None), clock)
        assert timeout.value.reason == "lock_held"
        assert clock.at == pytest.approx(10)
        assert not lock.held
        holder.release()

    def test_pauses_grow_to_a_bound_and_differ(self, path):
        holder = FileLock(path)
        holder.try_acquire()

        def pauses():
            clock = FakeClock()
            return drive(FileLock(path).acquire(clock, timeout_s=60, unless=lambda: clock.at > 30 or None), clock)[1]

        one, other = pauses(), pauses()
        assert one[0] < 0.02
        assert max(one) <= 0.25
        assert len(one) < 300
        assert one != other
        holder.release()

    def test_whoever_stops_waiting_holds_nothing(self, path):
        holder, lock = FileLock(path), FileLock(path)
        holder.try_acquire()
        flow = lock.acquire(FakeClock(), timeout_s=10, unless=lambda: None)
        next(flow)
        flow.close()
        holder.release()
        assert not lock.held
        assert comes_free(path)
