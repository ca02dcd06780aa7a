"""How the guard does with a million revocations in a database: when it decides, when all is in memory, what that takes.

Each measurement is of a process of its own, started on a database that was filled before. Its memory is what it resides
in more than one that is as old and knows of no revocation. PostgreSQL is measured where its programs are installed.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
import tracemalloc
from contextlib import closing, suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from doorward.errors import Revoked
from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.policy.admins import Admin
from doorward.guard.revocation.revocation_list import target_of
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.work import finish
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import SigningKey, generate_signing_key
from measuring import Report, options

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import postgres

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_ISSUER = "https://login.example.com/"
_AUDIENCE = "https://api.example.com/orders"
_COLUMNS = "number, target, kind, issuer, value, before_at, until_at, revoked_at, revoked_by"
_MARKS = "?, ?, ?, ?, ?, ?, ?, ?, ?"


def main() -> None:
    chosen, report = options(__doc__), Report()
    _show_many_admins(report, chosen)
    with tempfile.TemporaryDirectory() as folder:
        _show_revocations(report, chosen, "SQLite", f"sqlite:///{folder}/guard.db")
    programs = postgres.find_programs()
    if programs is None:
        print("\nPostgreSQL is not installed here, so it was not measured.")
    else:
        with closing(postgres.PostgreSQL(programs)) as server:
            server.start()
            _show_revocations(report, chosen, "PostgreSQL", server.new_database())
    report.save(chosen.json)


def _show_many_admins(report: Report, chosen: argparse.Namespace) -> None:
    count = 500 if chosen.quick else 8000
    issuers = [Issuer(f"https://login.example.com/tenant-{number}/", [_AUDIENCE]) for number in range(count)]
    admins = [Admin(issuer.url, f"admin-{number}") for number, issuer in enumerate(issuers)]
    taken_s = []
    for _ in range(3):
        began_at = time.perf_counter()
        Guard(issuers, admins=admins).close()
        taken_s.append(time.perf_counter() - began_at)
    report.figures("Construction", {f"{count} issuers with an admin each": f"{min(taken_s):.3f} s"})
    report.goal(f"a guard of {count} issuers with an admin each, s", min(taken_s), most=0.2)


def _show_revocations(report: Report, chosen: argparse.Namespace, name: str, url: str) -> None:
    count = 20_000 if chosen.quick else 1_000_000
    _fill(url, count)
    settings = {"max_entries": 2 * count}
    whole = _measured(_start, url, settings, count)
    traced = _measured(_trace, url, settings)
    beyond = _measured(_start, url, {"max_entries": count // 2}, count)
    bare_mb = _measured(_start, None, {}, count)["resident_mb"]
    figures = {
        "to the first decision": f"{whole['first_s']:.2f} s",
        "to all in memory": f"{whole['complete_s']:.2f} s, {count / whole['complete_s']:,.0f} a second",
        "memory, resident": f"{whole['resident_mb'] - bare_mb:.1f} MB, at most {whole['peak_mb'] - bare_mb:.1f} MB",
        "memory, by tracemalloc": f"{traced['traced_mb']:.1f} MB",
        "a decision while loading": f"{whole['loading_ms']:.2f} ms median of {whole['loading_count']:.0f}",
        "a decision when all is in memory": f"{whole['known_us']:.0f} µs",
        "twice the bound: memory, resident": f"{beyond['resident_mb'] - bare_mb:.1f} MB",
        "twice the bound: a decision": f"{beyond['known_us']:.0f} µs",
        "twice the bound: one that asks the store": f"{beyond['asked_ms']:.2f} ms",
    }
    report.figures(f"{count} revocations in {name}", figures)
    report.goal(f"{name}: first decision, s", whole["first_s"], most=5)
    if not chosen.quick:  # else to connect takes the most of it
        report.goal(f"{name}: entries loaded in a second", count / whole["complete_s"], least=200_000)
    report.goal(f"{name}: memory, MB", whole["peak_mb"] - bare_mb, most=150)
    report.goal(f"{name}: first decision at twice the bound, s", beyond["first_s"], most=5)
    report.goal(f"{name}: wrong decisions", whole["wrong"] + beyond["wrong"], most=0)


def _measured(function: Any, *arguments: object) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(function, arguments)  # type: ignore[no-any-return] # what `_start` and `_trace` return


def _fill(url: str, count: int) -> None:
    """Write what `revoke` would, faster than one after another."""
    with closing(Revocations.sql(url)) as revocations:
        finish(revocations.current(time.time()))  # makes the tables
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
            database.executemany(f"INSERT INTO doorward_revocations ({_COLUMNS}) VALUES ({_MARKS})", _rows(count))  # noqa: S608 - ours
            database.execute("UPDATE doorward_revocation_count SET latest = ?", (count,))
        return
    with psycopg.connect(url) as connection:
        with connection.cursor().copy(f"COPY doorward_revocations ({_COLUMNS}) FROM STDIN") as copy:
            for row in _rows(count):
                copy.write_row(row)
        connection.execute("UPDATE doorward_revocation_count SET latest = %s", (count,))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE doorward_revocations")


def _rows(count: int) -> Iterator[tuple[object, ...]]:
    now = time.time()
    for number in range(1, count + 1):
        value = f"{number:032x}"
        target = target_of("jti", _ISSUER, value).hex()
        yield number, target, "jti", _ISSUER, value, None, now + 86_400 + number, now, "benchmark"


def _token(key: SigningKey, jti: str) -> str:
    now = int(time.time())
    claims = {"iss": _ISSUER, "sub": "alice", "aud": _AUDIENCE, "exp": now + 3600, "iat": now, "jti": jti}
    return f"Bearer {sign_claims(claims, key, typ='JWT')}"


def _guard(url: str | None, settings: dict[str, Any]) -> tuple[Guard, Revocations, SigningKey]:
    key = generate_signing_key("ES256", kid="2026-11")
    logging.getLogger("doorward.guard.revocation").setLevel(logging.ERROR)  # that it is full is what is measured
    revocations = Revocations.memory() if url is None else Revocations.sql(url, **settings)
    issuer = Issuer(_ISSUER, [_AUDIENCE], jwks={"keys": [key.public_jwk()]})
    return Guard([issuer], revocations=revocations, token_cache_size=0), revocations, key


def _start(url: str | None, settings: dict[str, Any], count: int) -> dict[str, float]:
    guard, revocations, key = _guard(url, settings)
    good = [_token(key, f"good-{number}") for number in range(2000)]
    bad = [_token(key, f"{number:032x}") for number in (1, count // 2, count)]
    began_at, before_mb = time.perf_counter(), _resident_mb()
    guard.authenticate(good[0])
    first_s, loading_s, wrong = time.perf_counter() - began_at, [], _wrong(guard, bad) if url else 0
    while url and not _is_loaded(revocations):
        at = time.perf_counter()
        guard.authenticate(good[len(loading_s) % len(good)])
        loading_s.append(time.perf_counter() - at)
        time.sleep(0.02)
    complete_s = time.perf_counter() - began_at
    wrong += _wrong(guard, bad) if url else 0
    known = [_timed(guard, token) for token in good]
    asked = [_timed_asking(revocations, number) for number in range(200)] if url else [0.0]
    figures = {
        "first_s": first_s,
        "complete_s": complete_s,
        "resident_mb": _resident_mb() - before_mb,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
        - before_mb,
        "loading_ms": 1000 * statistics.median(loading_s or [0.0]),
        "loading_count": len(loading_s),
        "known_us": 1e6 * statistics.median(known),
        "asked_ms": 1000 * statistics.median(asked),
        "wrong": wrong,
    }
    guard.close()
    return figures


def _trace(url: str, settings: dict[str, Any]) -> dict[str, float]:
    guard, revocations, key = _guard(url, settings)
    token = _token(key, "good")
    tracemalloc.start()
    guard.authenticate(token)
    while not _is_loaded(revocations):
        time.sleep(0.1)
        guard.authenticate(token)
    traced_mb = tracemalloc.get_traced_memory()[0] / 2**20
    guard.close()
    return {"traced_mb": traced_mb}


def _is_loaded(revocations: Revocations) -> bool:
    # Beyond the bound a mirror is never complete: then the entries that are kept and those that are not add up.
    return revocations.complete or revocations.fill > 1.9  # noqa: PLR2004 - twice the bound, less what the filter misses


def _wrong(guard: Guard, revoked: list[str]) -> int:
    accepted = 0
    for token in revoked:
        with suppress(Revoked):
            guard.authenticate(token)
            accepted += 1
    return accepted


def _timed(guard: Guard, token: str) -> float:
    at = time.perf_counter()
    guard.authenticate(token)
    return time.perf_counter() - at


def _timed_asking(revocations: Revocations, number: int) -> float:
    at = time.perf_counter()
    marks = {"issuer": _ISSUER, "subject": "alice", "jti": f"new-{number}", "issued_at": 0.0, "kid": "k"}
    finish(revocations.ask(time.time(), **marks, fingerprint=b""))  # type: ignore[arg-type] # built for brevity
    return time.perf_counter() - at


def _resident_mb() -> float:
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return inf


if __name__ == "__main__":
    main()
