"""How long commands and imports take to start, as ratios to a bare interpreter. Run it with the interpreter to measure.

Each figure is a median over interleaved rounds, so that a busy machine slows all of them alike; the processor's time,
which others disturb less, stands beside the clock's. The vault is a temporary one, its token fresh. Each goal is in
times of ``python -c pass``, or in milliseconds over it, and stands at the end of its row. A guard of signed tokens
needs ``from doorward.guard import Guard, Issuer``, since names load when first used.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
import secret_service

BARE = "python -c pass"
DOORWARD = str(Path(sys.executable).with_name("doorward"))
SEALED = "doorward token, sealed"
"""With a key file."""
BY_KEYRING = "doorward token, keyring"
"""With GNOME's keyring, on a session bus of its own, where they are installed."""
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "import doorward": [sys.executable, "-c", "import doorward"],
    "import Guard, Issuer": [sys.executable, "-c", "from doorward.guard import Guard, Issuer"],
    "doorward token, fresh": [DOORWARD, "token"],
    SEALED: [DOORWARD, "token"],
    BY_KEYRING: [DOORWARD, "token"],
    "doorward token --json": [DOORWARD, "token", "--json"],
    "doorward status": [DOORWARD, "status"],
    "doorward status --json": [DOORWARD, "status", "--json"],
    "doorward whoami": [DOORWARD, "whoami"],
    "doorward --help": [DOORWARD, "--help"],
}
MOST_MS = {"import doorward": 5, "import Guard, Issuer": 90}
MOST_TIMES = {
    "doorward token, fresh": 2.5,
    SEALED: 8,
    BY_KEYRING: 8,
    "doorward token --json": 4,
    "doorward status": 4,
    "doorward status --json": 4,
}


def fill(folder: str, now: float) -> None:
    token = Secret("benchmark." + "x" * 1000)
    Vault(folder).put(
        ProfileEntry(
            profile="default",
            issuer="https://id.example.org",
            client_id="cli",
            client_authentication="none",
            created_at=now,
            access_token=token,
            access_token_issued_at=now,
            access_token_expires_at=now + 86_400,
            id_token=token,
            refresh_token=token,
            claims={"iss": "https://id.example.org", "sub": "alice", "email": "alice@example.org"},
        )
    )


def seal(environment: dict[str, str], *options: str) -> None:
    fill(f"{environment['DOORWARD_HOME']}/vault", time.time())
    subprocess.run([DOORWARD, "vault", "seal", *options], env=environment, stdout=subprocess.DEVNULL, check=True)


def processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    began_at, used_s = time.perf_counter(), processor_s()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = threading.Timer(60, process.kill)  # wait(timeout) looks at growing intervals, and rounds the clock up
    deadline.start()
    failed = process.wait()
    taken_s = time.perf_counter() - began_at
    deadline.cancel()
    assert not failed, command
    return taken_s, processor_s() - used_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    programs = secret_service.find_programs()
    names = [name for name in COMMANDS if programs or name != BY_KEYRING]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as compiled, ExitStack() as ended:
        fill(str(Path(home, "vault")), time.time())
        environment = {**os.environ, "DOORWARD_HOME": home, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has been compiled
        sealed = {**environment, "DOORWARD_HOME": f"{home}/sealed", "DOORWARD_VAULT_KEY_FILE": f"{home}/vault.key"}
        seal(sealed, "--key-file", sealed["DOORWARD_VAULT_KEY_FILE"])
        environments = {SEALED: sealed}
        if programs:
            bus = ended.enter_context(closing(secret_service.SessionBus(programs)))
            bus.start_keyring()
            by_keyring = {"DOORWARD_HOME": f"{home}/by_keyring", "DBUS_SESSION_BUS_ADDRESS": bus.address}
            environments[BY_KEYRING] = environment | by_keyring
            seal(environments[BY_KEYRING])
        for round_number in range(rounds + 1):
            for name in names:
                seconds = measure(COMMANDS[name], environments.get(name, environment))
                if round_number:  # the first fills the caches
                    taken[name].append(seconds)
    medians = {name: [statistics.median(column) for column in zip(*taken[name], strict=True)] for name in names}
    print(f"{'':24}{'clock':>12}{'over bare':>12}{'ratio':>8}{'processor':>14}{'over bare':>12}{'ratio':>8}")
    for name, times in medians.items():
        columns = (
            f"{own * 1000:9.1f} ms {(own - bare) * 1000:+8.1f} ms {own / bare:7.2f}"
            for own, bare in zip(times, medians[BARE], strict=True)
        )
        print(f"{name:24}{'  '.join(columns)}{goal(name)}")


def goal(name: str) -> str:
    if name in MOST_MS:
        return f"   at most {MOST_MS[name]} ms over bare"
    return f"   at most {MOST_TIMES[name]} x bare" if name in MOST_TIMES else ""


if __name__ == "__main__":
    main()
