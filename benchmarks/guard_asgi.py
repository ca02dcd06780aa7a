"""What the guard costs a server: requests a second under uvicorn, against the same application without a check.

Each server is a process of its own, and so is what asks it: one thread, 16 raw sockets, one request under way on each.
They are given a processor each where the system can do that. In every round each server is asked for a while, in an
order of its own; shown are medians over the rounds: requests a second, their ratio to the unguarded application, and
the processor's time that the server took for one. The middleware with PyJWT is the least that anybody would write. The
cheapest one that could do the job at all for a token that comes again is SHA-256 of the header and a dictionary: ours
is held to that one, since each line that runs under a server costs two or three times what it does in a loop.

Peers are optional: pip install --constraint constraints.txt '.[bench,demo,fastapi]'
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import selectors
import socket
import statistics
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from itertools import cycle
from typing import TYPE_CHECKING, Any

from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.integrations.asgi import GuardMiddleware
from measuring import Report, Row, options
from token_peers import Corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

_CONNECTIONS = 16
_DEADLINE_S = 60
_LONGEST_ANSWER = 1000
_BODY = b'{"ok":true,"id":42}'
_NO_CHECK, _GUARD, _PYJWT = "no check", "GuardMiddleware", "PyJWT middleware"
_DIGEST = "SHA-256 and a dictionary"
_HOT, _NEW = "one token", "new tokens"


@dataclass(frozen=True)
class _Server:
    """What to start."""

    framework: str
    check: str
    jwks: dict[str, Any]
    pem: str
    remembers: int


@dataclass
class _Running:
    """A server under way, its line, and what was measured of it."""

    port: int
    line: Connection

    def cpu_s(self) -> float:
        self.line.send("cpu")
        return float(_receive(self.line))


def main() -> None:
    chosen, report = options(__doc__), Report()
    if not _installed("uvicorn"):
        print("not installed: uvicorn")
        return
    frameworks = ["bare ASGI"] + ["Starlette"] * _installed("starlette")
    checks = [_NO_CHECK, _GUARD, _DIGEST] + [_PYJWT] * _installed("jwt")
    for name in ({"Starlette"} - set(frameworks)) | ({_PYJWT} - set(checks)):
        print(f"not installed: {name}")
    corpus = Corpus()
    remembers = 50 if chosen.quick else 1000
    # Of twice as many tokens as are remembered, in turn, each is a new one.
    tokens = {_HOT: corpus.tokens("RS256", 1), _NEW: corpus.tokens("RS256", 2 * remembers)}
    requests = {kind: [_request(token) for token in found] for kind, found in tokens.items()}
    with ExitStack() as ending:
        servers = {
            (framework, check): _start(
                _Server(framework, check, corpus.jwks, corpus.pem("RS256").decode(), remembers), ending
            )
            for framework in frameworks
            for check in checks
        }
        _keep_to_processor(1)
        runs = [(framework, check, _HOT) for framework, check in servers]
        runs += [("bare ASGI", check, _NEW) for check in checks if check not in {_NO_CHECK, _DIGEST}]
        measured = _drive(servers, runs, requests, quick=chosen.quick)
    _show(report, measured)
    report.save(chosen.json)


def _installed(module: str) -> bool:
    with suppress(ImportError):
        return bool(import_module(module))
    return False


def _request(token: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


# Asking


def _drive(
    servers: dict[tuple[str, str], _Running],
    runs: list[tuple[str, str, str]],
    requests: dict[str, list[bytes]],
    *,
    quick: bool,
) -> dict[tuple[str, str, str], list[tuple[float, float]]]:
    rounds, seconds = (2, 0.1) if quick else (11, 0.8)
    measured: dict[tuple[str, str, str], list[tuple[float, float]]] = {run: [] for run in runs}
    following = {run: cycle(requests[run[2]]) for run in runs}
    for round_number in range(rounds + 1):
        for run in random.sample(runs, len(runs)):
            server = servers[run[:2]]
            used_s, began_at = server.cpu_s(), time.perf_counter()
            count = _ask(server.port, following[run], seconds)
            figures = count / (time.perf_counter() - began_at), (server.cpu_s() - used_s) / count
            if round_number:  # the first one warms up
                measured[run].append(figures)
    return measured


def _ask(port: int, requests: Iterator[bytes], seconds: float) -> int:
    """Keep every connection busy for a while; return how many answers came. Any but 200 is an error."""
    answered, end_at = 0, time.perf_counter() + seconds
    with selectors.DefaultSelector() as selector, ExitStack() as ending:
        for _ in range(_CONNECTIONS):
            connection = ending.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE_S))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, [b""])
            connection.sendall(next(requests))
        waiting = _CONNECTIONS
        while waiting:
            ready = selector.select(_DEADLINE_S)
            assert ready, "the server does not answer"
            for key, _ in ready:
                connection, received = key.fileobj, key.data
                assert isinstance(connection, socket.socket)
                received[0] += connection.recv(65_536)
                if not received[0].endswith(_BODY):
                    assert len(received[0]) < _LONGEST_ANSWER, received[0][:300]
                    continue
                assert received[0].startswith(b"HTTP/1.1 200 "), received[0][:300]
                received[0] = b""
                answered += 1
                if time.perf_counter() < end_at:
                    connection.sendall(next(requests))
                else:
                    waiting -= 1
    return answered


def _show(report: Report, measured: dict[tuple[str, str, str], list[tuple[float, float]]]) -> None:
    ratios = {}
    for framework in dict.fromkeys(run[0] for run in measured):
        reference = measured[framework, _NO_CHECK, _HOT]
        rows = []
        for run, figures in measured.items():
            if run[0] == framework:
                ratios[run] = statistics.median(own[0] / bare[0] for own, bare in zip(figures, reference, strict=True))
                name = run[1] if run[1] == _NO_CHECK else f"{run[1]}, {run[2]}"
                per_second = statistics.median(rate for rate, _ in figures)
                cpu_us = statistics.median(cpu_s for _, cpu_s in figures) * 1e6
                rows.append(Row(name, cpu_us, ratios[run], f"{per_second:.0f} a second"))
        report.table(f"uvicorn, {framework}: the server's time for a request", rows, reference="throughput")
    for framework in ("bare ASGI", "Starlette"):
        if (framework, _GUARD, _HOT) in ratios:
            ours, cheapest = measured[framework, _GUARD, _HOT], measured[framework, _DIGEST, _HOT]
            ratio = statistics.median(own[0] / other[0] for own, other in zip(ours, cheapest, strict=True))
            report.goal(f"hot, {framework}: throughput to SHA-256 and a dictionary", ratio, least=0.9)
    guard, pyjwt = (ratios.get(("bare ASGI", check, _NEW)) for check in (_GUARD, _PYJWT))
    if guard and pyjwt:
        report.goal("new tokens: throughput to PyJWT's", guard / pyjwt, least=1)


# Serving


def _start(server: _Server, ending: ExitStack) -> _Running:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(server, theirs), daemon=True)
    process.start()
    theirs.close()
    ending.callback(process.join, 10)
    ending.callback(ours.close)  # which ends it
    return _Running(_receive(ours), ours)


def _receive(line: Connection) -> Any:
    assert line.poll(_DEADLINE_S), "a server does not answer"
    return line.recv()


def _serve(server: _Server, line: Connection) -> None:
    import uvicorn  # noqa: PLC0415 - peers are optional

    _keep_to_processor(0)
    app = _guarded(_starlette() if server.framework == "Starlette" else _bare, server)
    # asyncio spares an answer in two parts the wait for an acknowledgement only where the protocol is named
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        running = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        threading.Thread(target=_answer_line, args=(line, running, listener.getsockname()[1]), daemon=True).start()
        running.run(sockets=[listener])


def _answer_line(line: Connection, running: Any, port: int) -> None:
    line.send(port)
    with suppress(EOFError, OSError):
        while line.recv():
            line.send(time.process_time())
    running.should_exit = True


def _keep_to_processor(number: int) -> None:
    if hasattr(os, "sched_setaffinity") and number < (os.cpu_count() or 1):
        with suppress(OSError):
            os.sched_setaffinity(0, {number})


def _guarded(app: Any, server: _Server) -> Any:
    if server.check == _GUARD:
        issuer = Issuer(Corpus.issuer, [Corpus.audience], jwks=server.jwks)
        return GuardMiddleware(app, Guard([issuer], token_cache_size=server.remembers))
    if server.check == _DIGEST:
        return _digest_middleware(app)
    return _pyjwt_middleware(app, server.pem) if server.check == _PYJWT else app


async def _bare(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})


def _starlette() -> Any:
    from starlette.applications import Starlette  # noqa: PLC0415 - peers are optional
    from starlette.responses import JSONResponse  # noqa: PLC0415 - the same
    from starlette.routing import Route  # noqa: PLC0415 - the same

    async def home(_: object) -> JSONResponse:
        return JSONResponse(json.loads(_BODY))

    return Starlette(routes=[Route("/", home)])


def _digest_middleware(app: Any) -> Any:
    """Let in what was let in before: everything, the first time. It knows no expiry and no revocation."""
    known: dict[bytes, str] = {}

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            found = [value for name, value in scope["headers"] if name == b"authorization"]
            scope["user"] = known.setdefault(sha256(found[0]).digest(), "alice")
        await app(scope, receive, send)

    return middleware


def _pyjwt_middleware(app: Any, pem: str) -> Any:
    import jwt  # noqa: PLC0415 - peers are optional
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - for this peer

    key: Any = load_pem_public_key(pem.encode())

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            found = [value for name, value in scope["headers"] if name == b"authorization"]
            try:
                scope["user"] = jwt.decode(
                    found[0].removeprefix(b"Bearer "),
                    key,
                    algorithms=["RS256"],
                    audience=Corpus.audience,
                    issuer=Corpus.issuer,
                    options={"require": ["exp"]},
                )
            except (IndexError, jwt.PyJWTError):
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    return middleware


if __name__ == "__main__":
    main()
