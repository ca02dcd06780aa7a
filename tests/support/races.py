"""Many processes on one expired profile."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORKER = Path(__file__).with_name("race_worker.py")
_DEADLINE_S = 120

Worker = subprocess.Popen[str]


def expire(profile: str = "default") -> None:
    """Let the access token in the vault be past its end."""
    vault = Vault()
    entry = vault.get(profile)
    ended_at = time.time() - 60
    vault.put(dataclasses.replace(entry, access_token_issued_at=ended_at - 3600, access_token_expires_at=ended_at))


@contextmanager
def workers(
    count: int, *, each: int, how: Literal["threads", "tasks"] = "threads", profile: str = "default"
) -> Iterator[list[Worker]]:
    """Processes that have opened the profile and wait for ``go``."""
    with ExitStack() as ending:
        started = []
        for _ in range(count):
            worker = subprocess.Popen(
                [sys.executable, str(_WORKER), profile, str(each), how],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ending.callback(_end, worker)
            started.append(worker)
        for worker in started:
            assert worker.stdout.readline() == "READY\n"
        yield started


def go(started: list[Worker]) -> None:
    for worker in started:
        worker.stdin.write("go\n")
        worker.stdin.flush()


def answers(worker: Worker) -> list[str]:
    """What a worker printed; nothing if it was killed."""
    return worker.communicate(timeout=_DEADLINE_S)[0].splitlines()


def lock_holder(lock: Path, among: list[Worker]) -> Worker | None:
    """Who holds the kernel's lock on this file now. Linux only."""
    try:
        inode = lock.stat().st_ino
    except FileNotFoundError:
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if "FLOCK" in fields and fields[1] != "->" and fields[5].endswith(f":{inode}"):
            return next((worker for worker in among if worker.pid == int(fields[4])), None)
    return None


def _end(worker: Worker) -> None:
    if worker.poll() is None:
        worker.kill()
    worker.communicate()
