"""How long the command line takes to start, as ratios to a bare interpreter. Run it with the interpreter to measure.

Each figure is a median over interleaved rounds, so that a busy machine slows all of them alike. The vault is a
temporary one. Goals: ``doorward token`` with a fresh token at most 4 times ``python -c pass``; ``import doorward`` at
most 15 ms over it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

BARE = "python -c pass"
DOORWARD = str(Path(sys.executable).with_name("doorward"))
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "import doorward": [sys.executable, "-c", "import doorward"],
    "doorward token, fresh": [DOORWARD, "token"],
    "doorward token --json": [DOORWARD, "token", "--json"],
    "doorward status": [DOORWARD, "status"],
    "doorward --help": [DOORWARD, "--help"],
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


def measure(command: list[str], environment: dict[str, str]) -> float:
    began_at = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return time.perf_counter() - began_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home:
        fill(str(Path(home, "vault")), time.time())
        environment = {**os.environ, "DOORWARD_HOME": home}
        for round_number in range(rounds + 1):
            for name, command in COMMANDS.items():
                seconds = measure(command, environment)
                if round_number:  # the first fills the caches
                    taken[name].append(seconds)
    bare = statistics.median(taken[BARE])
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"{name:24} {median * 1000:7.1f} ms  {median / bare:5.2f} x  {(median - bare) * 1000:+7.1f} ms")


if __name__ == "__main__":
    main()
