"""The processes of the crash tests, as a program of its own: it may fork and kill without harm to the test runner.

``kill FOLDER COUNT`` kills writers and checks what they leave. ``write FOLDER STOP`` writes until there is a file STOP,
and ``watch FOLDER STOP`` looks at all files meanwhile. Each says when it is ready, and reports as JSON when it is done.
"""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import sys
import time
from pathlib import Path

from doorward.errors import CorruptEntry
from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

ISSUER = "https://id.example.org"


def entry(number: int) -> ProfileEntry:
    """Make an entry that shows from beginning to end which one it is, of a size that varies."""
    text = Secret(f"{number}." * (1 + number % 5 * 500))
    return ProfileEntry(
        profile="work",
        issuer=ISSUER,
        client_id="cli",
        client_authentication="none",
        created_at=number,
        access_token=text,
        refresh_token=text,
        failures=number,
    )


def kill(folder: str, count: str) -> dict[str, int]:
    """Kill writers at random instants. What is there afterwards must be the value last acknowledged, or the next."""
    vault = Vault(folder)
    vault.put(entry(0))
    found = {"kills": 0, "unreadable": 0, "lost": 0, "mid_write": 0}
    number = 0
    for _ in range(int(count)):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            while True:
                number += 1
                vault.put(entry(number))
                os.write(writer, number.to_bytes(8, "big"))
        os.close(writer)
        acknowledged = os.read(reader, 8)  # it is at work; what it does from here on is left to chance
        time.sleep(random.random() * 0.001)  # noqa: S311 - chance is enough
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with open(reader, "rb") as later:
            acknowledged = (acknowledged + later.read())[-8:]
        number = int.from_bytes(acknowledged, "big")
        found["kills"] += 1
        leftovers = list(Path(folder).glob(".*.tmp"))
        found["mid_write"] += len(leftovers)
        for leftover in leftovers:
            leftover.unlink()
        try:
            kept = vault.get("work")
        except CorruptEntry:
            kept = None
            found["unreadable"] += 1
        if kept in (entry(number), entry(number + 1)):
            number = kept.failures
        else:
            found["lost"] += 1
    return found


def write(folder: str, stop: str) -> dict[str, int]:
    """Write as fast as the disk allows."""
    os.umask(0)
    vault, number = Vault(folder), 0
    while not Path(stop).exists():
        number += 1
        vault.put(entry(number))
        with vault.lock("work") as lock:
            lock.try_acquire()
    return {"written": number}


def watch(folder: str, stop: str) -> dict[str, list[int]]:
    """Look at every file in the folder, again and again, as a process of another user would try to."""
    modes: dict[str, set[int]] = {"folder": set()}
    while not Path(stop).exists():
        modes["folder"].add(stat.S_IMODE(os.lstat(folder).st_mode))
        for name in os.listdir(folder):
            try:
                mode = os.lstat(os.path.join(folder, name)).st_mode
            except FileNotFoundError:
                continue
            modes.setdefault(Path(name).suffix, set()).add(stat.S_IMODE(mode))
    return {kind: sorted(seen) for kind, seen in modes.items()}


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201 - the tests listen
    report = {"kill": kill, "write": write, "watch": watch}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(report))  # noqa: T201 - the tests listen
