"""How the guard grows with issuers, keys, API keys, addresses; what a flood or an issuer that hangs does to others.

Memory is what a process of its own resides in, before and after. Latencies are those of tokens that are never
remembered, from one task among many in one event loop: what they waited for, not what the others' work took. A ring of
keys is filled as a fetch fills it, without the network, but for the two sections with an issuer on loopback.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import random
import resource
import string
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError, UnknownApiKey
from doorward.guard.api_keys.api_key import ApiKey, StoredKey
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.memory_store import MemoryKeyStore
from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.key_rings import KeyRings
from doorward.guard.throttle import Throttle
from doorward.guard.work import finish
from doorward.model import Secret
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import JwkSet, SigningKey, generate_signing_key, parse_jwk_set
from doorward.system import SystemClock
from guard_scale_keys import show_managed_keys
from measuring import Case, Report, each, measure, options, percentile, same

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

_AUDIENCE = "https://api.example.com/orders"
_ALG = "ES256"
_LETTERS = string.ascii_letters + string.digits


def main() -> None:
    chosen, report = options(__doc__), Report()
    logging.disable()  # the issuer that hangs is meant to
    _show_issuers(report, chosen)
    _show_api_keys(report, chosen)
    show_managed_keys(report, chosen)
    _show_throttle(report, chosen)
    _show_memory(report, chosen)
    asyncio.run(_show_flood(report, chosen))
    asyncio.run(_show_hanging(report, chosen))
    report.save(chosen.json)


# Issuers and keys


def _key_set(key: SigningKey, count: int) -> JwkSet:
    jwk = key.public_jwk()
    others = [{**jwk, "kid": f"{key.kid}-{number}"} for number in range(count - 1)]
    return parse_jwk_set(json.dumps({"keys": [*others, jwk]}).encode())


def _url(number: int) -> str:
    return f"https://login.example.com/tenant-{number}/"


def _rings(issuers: int, keys: int, key: SigningKey) -> KeyRings:
    rings = KeyRings([Issuer(_url(number), [_AUDIENCE]) for number in range(issuers)], clock=SystemClock())
    for ring in rings.values():
        ring.keys, ring.fresh_until = _key_set(key, keys), float("inf")
    return rings


def _show_issuers(report: Report, chosen: argparse.Namespace) -> None:
    key = generate_signing_key(_ALG, kid="2026-11")
    cases = []
    for issuers, keys in ((1, 1), (100, 1), (500 if chosen.quick else 10_000, 1), (1, 100)):
        rings = _rings(issuers, keys, key)
        names = random.sample([ring.issuer.url for ring in rings.values()], issuers)
        following = cycle(names).__next__

        def look_up(rings: KeyRings = rings, following: Callable[[], str] = following) -> object:
            ring = rings.get(following())
            return ring and ring.keys.select("2026-11", _ALG)

        same(look_up)(issuers)
        cases.append(Case(f"{issuers} issuers, {keys} keys each", same(look_up)))
    rows = measure(cases, quick=chosen.quick)
    report.table("From a token's issuer and kid to its key, issuers in turn", rows, reference="to one")
    report.goal("look-up, to one issuer with one key", max(row.ratio for row in rows), most=1.5)
    _show_checks(report, chosen, key)


def _show_checks(report: Report, chosen: argparse.Namespace, key: SigningKey) -> None:
    """Show what the look-up's share is in a check: what grows are misses of the processor's cache."""
    few, many = 1, 500 if chosen.quick else 10_000
    tokens = [_authorization(_url(number % many), key) for number in range(50 if chosen.quick else 500)]
    ours = [_authorization(_url(0), key) for _ in tokens]
    cases = []
    for issuers, credentials in ((few, ours), (many, random.sample(tokens, len(tokens)))):
        settings = [Issuer(_url(number), [_AUDIENCE], jwks={"keys": [key.public_jwk()]}) for number in range(issuers)]
        guard = Guard(settings, token_cache_size=0)
        each(guard.authenticate, credentials)(len(credentials))
        cases.append(Case(f"{issuers} issuers", each(guard.authenticate, credentials), most=len(credentials)))
    rows = measure(cases, quick=chosen.quick)
    report.table(f"A cold check, {_ALG}", rows, reference="to one")


# API keys


class _CountingStore(MemoryKeyStore):
    """The store in memory, which says how often it was asked."""

    asked = 0

    def find(self, key_id: str) -> StoredKey | None:
        self.asked += 1
        return super().find(key_id)


def _letters(count: int) -> str:
    return "".join(random.choices(_LETTERS, k=count))  # noqa: S311 - names, not secrets


def _show_api_keys(report: Report, chosen: argparse.Namespace) -> None:
    many = 1000 if chosen.quick else 1_000_000
    cases, garbage = [], [f"dw_{_letters(11)}_{_letters(43)}_{_letters(7)}" for _ in range(100_000)]
    accesses = 0
    for count in (10, many):
        store = _CountingStore()
        store.add(StoredKey(ApiKey(f"{number:011}", f"service-{number}"), "") for number in range(count - 1))
        api_keys = ApiKeys(store, pepper=Secret("a-pepper-of-32-bytes-for-this-run-alone"), clock=SystemClock())
        secret, _ = api_keys.create("ours")
        guard = Guard(api_keys=api_keys)
        authorization = f"Bearer {secret.reveal()}"
        guard.authenticate(authorization)

        def hit(guard: Guard = guard, authorization: str = authorization) -> object:
            return guard.authenticate(authorization)

        def look_up(api_keys: ApiKeys = api_keys, text: str = secret.reveal()) -> object:
            return finish(api_keys.check(text, now=time.time()))

        def refuse(text: str, api_keys: ApiKeys = api_keys) -> None:
            with suppress(UnknownApiKey):
                finish(api_keys.check(text, now=time.time()))

        cases += [
            Case(f"{count} keys, remembered by the guard", same(hit)),
            Case(f"{count} keys, from the store", same(look_up)),
            Case(f"{count} keys, garbage of the right shape", each(refuse, garbage), most=len(garbage)),
        ]
        asked = store.asked
        for text in garbage:
            refuse(text)
        accesses += store.asked - asked
    rows = measure(cases, quick=chosen.quick)
    report.table("API keys", rows, reference="to first")
    report.goal("API key from cache, µs", rows[3].us, most=4)
    report.goal(f"API key from cache, {many} keys to 10", rows[3].ratio, most=1.5)
    report.goal(f"store accesses for {2 * len(garbage)} garbage keys", accesses, most=0)


# Failures and memory


def _address(number: int) -> str:
    return f"{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}.{number >> 24 & 255}"


def _show_throttle(report: Report, chosen: argparse.Namespace) -> None:
    throttle, now = Throttle(), time.time()
    addresses = [_address(number) for number in range(1000 if chosen.quick else 200_000)]
    for address in addresses[:100]:
        throttle.failed(address, None, now=now)

    def check() -> None:
        throttle.check("203.0.113.9", None, now=now)

    def fail(address: str) -> None:
        throttle.failed(address, "dw_0123456789A", now=now)

    rows = measure(
        [
            Case("success path", same(check)),
            Case("a failure, of one address", same(fail, "203.0.113.10")),
            Case("a failure, of new addresses", each(fail, addresses), most=len(addresses)),
        ],
        quick=chosen.quick,
    )
    report.table("Throttle, in memory", rows, reference="to first")
    report.goal("throttle on the success path, µs", rows[0].us, most=0.5)
    report.goal("throttle per failure, µs", max(row.us for row in rows[1:]), most=3)


def _resident_kb() -> float:
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # no more than the peak, elsewhere
    return peak / 1024 if sys.platform == "darwin" else peak


def _fill_rings(count: int) -> object:
    return _rings(count, 1, generate_signing_key("RS256", kid="2026-11"))


def _fill_throttle(count: int) -> object:
    throttle, now = Throttle(), time.time()
    for number in range(count):
        throttle.failed(_address(number), f"dw_{number:011}", now=now)
    return throttle


def _growth_kb(fill: Callable[[int], object], count: int) -> float:
    """Run in a process of its own, for what was freed before would hide what is taken."""
    fill(16)
    before_kb = _resident_kb()
    kept = fill(count)
    grown_kb = _resident_kb() - before_kb
    del kept
    return grown_kb


def _show_memory(report: Report, chosen: argparse.Namespace) -> None:
    issuers, addresses = (200, 5000) if chosen.quick else (10_000, 1_000_000)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        rings_kb = pool.apply(_growth_kb, (_fill_rings, issuers))
        throttle_kb = pool.apply(_growth_kb, (_fill_throttle, addresses))
    figures = {
        f"{issuers} issuers with one RSA key each": f"{rings_kb / issuers:.2f} KB each",
        f"failures from {addresses} addresses": f"{throttle_kb / 1024:.1f} MB",
    }
    report.figures("Memory", figures)
    report.goal("memory for an issuer with one key, KB", rings_kb / issuers, most=4)
    report.goal(f"memory for failures from {addresses} addresses, MB", throttle_kb / 1024, most=128)


# An issuer on loopback


class _KeyServer(ThreadingHTTPServer):
    """Serves one JWK Set and counts how often, or takes connections and never answers."""

    daemon_threads = True

    def __init__(self, jwks: dict[str, object] | None) -> None:
        self.body = None if jwks is None else json.dumps(jwks).encode()
        self.served = 0
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _KeyHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _KeyHandler(BaseHTTPRequestHandler):
    server: _KeyServer

    def do_GET(self) -> None:
        self.server.served += 1
        if self.server.body is None:
            self.server.ended.wait(60)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(jwks: dict[str, object] | None) -> Iterator[_KeyServer]:
    with _KeyServer(jwks) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join(10)


def _issuer(server: _KeyServer) -> Issuer:
    return Issuer(server.url, [_AUDIENCE], jwks_url=f"{server.url}/jwks", insecure_loopback_http=True)


def _authorization(issuer: str, key: SigningKey) -> str:
    now = int(time.time())
    claims = {"iss": issuer, "sub": "alice", "aud": _AUDIENCE, "exp": now + 3600, "iat": now, "jti": str(uuid.uuid4())}
    return f"Bearer {sign_claims(claims, key, typ='JWT')}"


async def _latencies_us(guard: Guard, good: list[str], beside: list[str]) -> list[float]:
    """Time good credentials one after another, while 32 tasks go through the others."""
    queue = iter(beside)

    async def trouble() -> None:
        for authorization in queue:
            with suppress(DoorwardError):
                await guard.aauthenticate(authorization)
            await asyncio.sleep(0)

    troubles = [asyncio.create_task(trouble()) for _ in range(32)] if beside else []
    taken = []
    for authorization in good:
        await asyncio.sleep(0)
        began_ns = time.perf_counter_ns()
        await guard.aauthenticate(authorization)
        taken.append((time.perf_counter_ns() - began_ns) / 1000)
    for task in troubles:
        task.cancel()
    await asyncio.gather(*troubles, return_exceptions=True)
    return taken


async def _show_trouble(report: Report, title: str, guard: Guard, good: list[str], beside: list[str]) -> None:
    """Alternate calm and trouble, for the machine's own moods come and go."""
    calm, troubled, rounds = [], [], 4
    await _latencies_us(guard, good[:20], [])
    for number in range(rounds):
        calm += await _latencies_us(guard, good, [])
        troubled += await _latencies_us(guard, good, beside[number::rounds])
    figures = {
        name: f"{percentile(taken, 0.5):8.1f} µs median {percentile(taken, 0.99):8.1f} µs p99"
        for name, taken in (("calm", calm), ("trouble", troubled))
    }
    report.figures(title, figures)
    report.goal(f"{title}: p99 to calm", percentile(troubled, 0.99) / percentile(calm, 0.99), most=1.2)


async def _show_flood(report: Report, chosen: argparse.Namespace) -> None:
    key, count = generate_signing_key(_ALG, kid="2026-11"), 200 if chosen.quick else 10_000
    with _serving({"keys": [key.public_jwk()]}) as server:
        guard = Guard([_issuer(server)], token_cache_size=0)
        good = [_authorization(server.url, key) for _ in range(100 if chosen.quick else 2000)]
        beside = [
            _authorization(server.url, SigningKey(str(uuid.uuid4()), _ALG, key.private_key)) for _ in range(count)
        ]
        await guard.aauthenticate(good[0])
        before, began_at = server.served, time.monotonic()
        await _show_trouble(report, f"{count} random kids", guard, good, beside)
        fetches, cooldowns = server.served - before, 1 + (time.monotonic() - began_at) // 30
        report.goal(f"fetches for {count} random kids, for each cooldown", fetches / cooldowns, most=1)
        guard.close()


async def _show_hanging(report: Report, chosen: argparse.Namespace) -> None:
    key, count = generate_signing_key(_ALG, kid="2026-11"), 200 if chosen.quick else 10_000
    with _serving({"keys": [key.public_jwk()]}) as server, _serving(None) as hanging:
        guard = Guard([_issuer(server), _issuer(hanging)], token_cache_size=0)
        good = [_authorization(server.url, key) for _ in range(100 if chosen.quick else 2000)]
        await guard.aauthenticate(good[0])
        beside = [_authorization(hanging.url, key)] * count
        await _show_trouble(report, "an issuer that hangs", guard, good, beside)
        guard.close()


if __name__ == "__main__":
    main()
