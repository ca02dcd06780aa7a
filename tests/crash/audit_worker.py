"""The processes of the audit's crash tests, as a program of its own: it may fork and kill without harm to the runner.

``kill PATH COUNT KEY`` kills writers, one after the other; ``kill_one_of_four`` kills one of four that write at once,
and starts another. A writer says what it knows to be written, and none of that may be missing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

from doorward.guard.audit.decisions import Decision
from doorward.guard.audit.log import AuditLog
from doorward.journal.last_lines import tail
from doorward.journal.verification import verify

SMALL = 60_000


def writer(path: str, key: str, name: str) -> tuple[int, int]:
    """Fork a writer that numbers what it writes. Return its process, and where it tells how far it got."""
    reader, told = os.pipe()
    child = os.fork()
    if child:
        os.close(told)
        return child, reader
    log = AuditLog(path, key=key or None, max_bytes=SMALL, keep=None, fsync_s=0)
    number = 0
    while True:
        for _ in range(random.randrange(1, 40)):  # noqa: S311 - chance is enough
            number += 1
            log.record(Decision(at=time.time(), outcome="accepted", subject=f"{name}.{number}", reason="x" * 200))
        log.flush()
        os.write(told, number.to_bytes(8, "big"))


def end(child: int, reader: int) -> int:
    """Kill a writer once it is at work. Return the last number it knows to be written."""
    first = os.read(reader, 8)
    time.sleep(random.random() * 0.01)  # noqa: S311 - the same
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(reader, "rb") as later:
        return int.from_bytes((first + later.read())[-8:], "big")


def report(path: str, key: str, written: dict[str, int], kills: int) -> dict[str, int]:
    """Check the whole chain: it holds, and each writer's decisions are there, in order, up to what it knew of."""
    reached: dict[str, int] = {}
    broken = 0 if verify(path, key=key or None).ok else 1
    for line in tail(path, 100_000):
        if "subject" in line:
            name, _, number = line["subject"].partition(".")
            broken += int(number) != reached.get(name, 0) + 1
            reached[name] = int(number)
    return {
        "kills": kills,
        "broken": broken,
        "lost": sum(reached.get(name, 0) < number for name, number in written.items()),
    }


def kill(path: str, count: str, key: str) -> dict[str, int]:
    """Kill one writer after the other; look at the chain after each tenth."""
    written, broken = {}, 0
    for turn in range(int(count)):
        written[str(turn)] = end(*writer(path, key, str(turn)))
        if turn % 10 == 0:
            broken += not verify(path, key=key or None).ok
    found = report(path, key, written, int(count))
    found["broken"] += broken
    return found


def kill_one_of_four(path: str, count: str, key: str) -> dict[str, int]:
    """Kill one of four writers again and again; another takes its place."""
    running = [(str(turn), *writer(path, key, str(turn))) for turn in range(4)]
    written = {}
    for turn in range(4, 4 + int(count)):
        name, child, reader = running.pop(random.randrange(4))  # noqa: S311 - the same
        written[name] = end(child, reader)
        running.append((str(turn), *writer(path, key, str(turn))))
    for name, child, reader in running:
        written[name] = end(child, reader)
    return report(path, key, written, int(count))


if __name__ == "__main__":
    task = {"kill": kill, "kill_one_of_four": kill_one_of_four}[sys.argv[1]]
    print(json.dumps(task(*sys.argv[2:])))  # noqa: T201 - the tests listen
