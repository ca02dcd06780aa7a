"""Doorward and MSAL side by side where shared token files go wrong: the refresh race, torn reads, killed writers.

The race: many processes ask at once with one expired session, at a provider that gives a new refresh token each time
and revokes the session when an old one comes again. Each process has imported everything; at "go" it opens what was
saved, asks from its threads, and saves. With --processes 1 --threads 1 all of them keep the session, which shows that
each is used as it should be. Then, while one process writes, another reads; and writers are killed.

All keepers take turns within each round, so that a busy machine slows all of them alike. The peers are optional:
pip install --constraint constraints.txt '.[bench]'
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import ipaddress
import multiprocessing
import os
import platform
import ssl
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doorward.testing import DevIssuer
from token_keepers import CLIENT_ID, DoorwardKeeper, ExtensionsKeeper, Keeper, MsalFileKeeper, peers_installed
from torn_reads import ENTRY_BYTES, DoorwardStore, ExtensionsStore, PlainStore, Store, count_broken, count_torn

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext

_HERE = Path(__file__).resolve().parent
_DEADLINE_S = 120
_EXPIRED_AFTER_S = 1
_NOTES = """\
refreshes: requests with a refresh token that reached the provider in the race. still signed in: rounds after which the
saved session could be refreshed once more. TLS throughout, since MSAL takes no http, even on loopback. Not equal: MSAL
discovers the provider whenever it starts, Doorward when it refreshes; only Doorward fetches the provider's keys to
verify the new ID token, and syncs what it saves to disk."""


@dataclass(frozen=True)
class Race:
    """What came of one race."""

    seconds: float
    requests: int
    answers: Counter[str]
    alive: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8, help="that take part in the race (8)")
    parser.add_argument("--threads", type=int, default=4, help="that ask in each process (4)")
    parser.add_argument("--rounds", type=int, default=3, help="of everything (3)")
    parser.add_argument("--reads", type=int, default=20_000, help="of each store, over all rounds (20000)")
    parser.add_argument("--kills", type=int, default=30, help="of writers of each store, over all rounds (30)")
    options = parser.parse_args()

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["refresh_race"])  # processes start with everything imported
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_HERE), os.environ.get("PYTHONPATH")]))
    print(_surroundings())
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory(dir=_memory()) as memory:
        certificate = _certificate(Path(place))
        # Before the first process, for they inherit it. Both libraries' HTTP clients look here first.
        os.environ.update(SSL_CERT_FILE=str(certificate), REQUESTS_CA_BUNDLE=str(certificate))
        os.environ.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
        _show_races(options, certificate, Path(place), context)
        _show_stores(options, Path(memory), context)


def _show_races(options: argparse.Namespace, certificate: Path, place: Path, context: ForkServerContext) -> None:
    kinds = (DoorwardKeeper, MsalFileKeeper, ExtensionsKeeper) if peers_installed() else (DoorwardKeeper,)
    races: dict[str, list[Race]] = {kind.name: [] for kind in kinds}
    for number in range(options.rounds):
        for kind in kinds:
            folder = place / f"{kind.__name__}-{number}"
            folder.mkdir()
            with _issuer(certificate) as issuer:
                keeper = kind(folder, issuer.url)
                races[kind.name].append(_race(keeper, issuer, options.processes, options.threads, context))
    asked = options.processes * options.threads
    print(f"\nRefresh race: {options.processes} processes of {options.threads} threads, medians of {options.rounds}")
    print(f"{'':38} {'refreshes':>9} {'got a token':>12} {'still signed in':>16} {'time':>8}  otherwise")
    for name, results in races.items():
        refreshes = statistics.median(race.requests for race in results)
        served = statistics.median(race.answers["token"] for race in results)
        alive = sum(race.alive for race in results)
        seconds = statistics.median(race.seconds for race in results)
        refusals = sum((race.answers for race in results), Counter[str]())
        del refusals["token"]
        otherwise = ", ".join(reason for reason, _ in refusals.most_common())
        print(
            f"{name:38} {refreshes:9.0f} {f'{served:.0f} of {asked}':>12} {f'{alive} of {len(results)}':>16}"
            f" {seconds:6.2f} s  {otherwise}"
        )
    print(_NOTES)


def _race(keeper: Keeper, issuer: DevIssuer, processes: int, threads: int, context: ForkServerContext) -> Race:
    issuer.change(access_token_lifetime_s=_EXPIRED_AFTER_S)
    keeper.sign_in()
    time.sleep(_EXPIRED_AFTER_S + 0.1)
    issuer.change(access_token_lifetime_s=3600)
    answers: Counter[str] = Counter()
    with ExitStack() as ending:
        lines = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_ask_at_go, args=(keeper, threads, theirs), daemon=True)
            worker.start()
            theirs.close()
            ending.callback(worker.join, _DEADLINE_S)
            ending.callback(worker.kill)
            lines.append(ours)
        for line in lines:
            _receive(line)
        began_at = time.perf_counter()
        for line in lines:
            line.send("go")
        for line in lines:
            answers.update(_receive(line))
        seconds = time.perf_counter() - began_at
    requests = issuer.count("token", grant_type="refresh_token")
    return Race(seconds, requests, answers, keeper.alive())


def _ask_at_go(keeper: Keeper, threads: int, line: Connection) -> None:
    line.send(["ready"])
    line.recv()
    try:
        answers = keeper.ask(threads)
    except Exception as error:  # noqa: BLE001 - however it fails, that is what its caller would get
        answers = [type(error).__name__] * threads
    line.send(answers)


def _receive(line: Connection) -> list[str]:
    if not line.poll(_DEADLINE_S):
        message = f"A process has not answered within {_DEADLINE_S} s."
        raise TimeoutError(message)
    answer: list[str] = line.recv()
    return answer


def _show_stores(options: argparse.Namespace, folder: Path, context: ForkServerContext) -> None:
    stores: list[Store] = [DoorwardStore(folder), PlainStore(folder)]
    if peers_installed():
        stores.insert(1, ExtensionsStore(folder))
    reads, kills = max(options.reads // options.rounds, 1), max(options.kills // options.rounds, 1)
    readings: dict[str, list[tuple[int, int]]] = {store.name: [] for store in stores}
    broken = dict.fromkeys(readings, 0)
    for _ in range(options.rounds):
        for store in stores:
            readings[store.name].append(count_torn(store, reads, context))
            broken[store.name] += count_broken(store, kills, context)
    where = "in memory" if _memory() else "on disk"
    print(f"\nOne process writes {ENTRY_BYTES} bytes without pause, {where}; another reads {reads} times a round")
    print(f"{'':38} {'unreadable reads':>16} {'writes meanwhile':>16} {'unreadable after kill -9':>24}")
    for name, results in readings.items():
        torn = statistics.median(torn for torn, _ in results) / reads
        writes = statistics.median(writes for _, writes in results)
        print(f"{name:38} {torn:16.1%} {writes:16.0f} {f'{broken[name]} of {kills * options.rounds}':>24}")
    print("PersistedTokenCache repeats a read that failed, twice, after 0.5 s each; what a kill leaves stays so.")


def _issuer(certificate: Path) -> DevIssuer:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
    issuer = DevIssuer(path="/tenant", tls=tls)  # MSAL wants a path
    issuer.change(refresh_tokens="always", rotation="rotate", signing_algorithm="ES256", device_pending_polls=0)
    issuer.change(device_interval_s=1)
    issuer.add_client(CLIENT_ID)
    issuer.add_user("alice")
    issuer.sign_in_as("alice")
    return issuer


def _certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that clients trust by name, and its key beside it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "benchmark.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    file.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def _memory() -> str | None:
    """Return a folder where syncing costs nothing, so that all stores are written as often."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a new private folder is made in it


def _surroundings() -> str:
    parts = [f"Python {platform.python_version()}", sys.platform, f"{os.cpu_count()} CPUs"]
    parts.append(f"load {os.getloadavg()[0]:.1f}")
    if not peers_installed():
        return ", ".join(parts) + "\nWithout MSAL: pip install --constraint constraints.txt '.[bench]'"
    lock = "portalocker" if importlib.util.find_spec("portalocker") else "its own lock"
    extensions = f"msal-extensions {version('msal-extensions')} with {lock}"
    return ", ".join([*parts, f"doorward {version('doorward')}, msal {version('msal')}, {extensions}"])


if __name__ == "__main__":
    main()
