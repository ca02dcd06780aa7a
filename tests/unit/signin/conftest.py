"""A callback listener and what comes to it: real sockets on loopback, driven by the test in one thread."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from doorward.signin.loopback.listener import Callback, CallbackListener
from doorward.signin.loopback.pages import build_page
from doorward.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


AT_ONCE_S = 4.0
"""Less than what an idle connection is given, and more than a busy machine needs."""


@dataclass
class ManualClock:
    """A clock that stands until it is moved."""

    at: float = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    async def asleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def manual_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_listener() -> Callable[..., CallbackListener]:
    """Make a listener that is not open yet, with real clock and randomness unless told otherwise."""
    return lambda **settings: CallbackListener(**{"clock": SystemClock(), "entropy": SystemEntropy(), **settings})


@pytest.fixture
def listener(make_listener) -> Iterator[CallbackListener]:
    with make_listener() as listener:
        listener.set_authorization_url("https://id.example.org/authorize?state=S1&nonce=N1&code_challenge=C1")
        yield listener


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """What a browser, or somebody else on this machine, does to a listener: a real socket, driven by the test."""

    listener: CallbackListener
    received: bytearray = field(default_factory=bytearray)
    host: str = ""

    def __post_init__(self) -> None:
        address = urlsplit(self.listener.redirect_uri)
        self.host = address.netloc
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        self.socket.settimeout(0)

    def send(self, data: str | bytes) -> Client:
        data = data.encode("latin-1") if isinstance(data, str) else data
        while data:
            with contextlib.suppress(BlockingIOError):
                data = data[self.socket.send(data) :]
        return self

    def get(self, target: str, *, method: str = "GET", host: str | None = None, more: str = "") -> Client:
        return self.send(f"{method} {target} HTTP/1.1\r\nHost: {self.host if host is None else host}\r\n{more}\r\n")

    def ended(self) -> bool:
        """Read what has come; say whether that was all of it. A reset fails the test."""
        with contextlib.suppress(BlockingIOError):
            while data := self.socket.recv(65536):
                self.received += data
            return True
        return False

    def answer(self) -> Answer:
        assert self.received, "closed without an answer"
        head, _, body = bytes(self.received).partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert headers.get("Content-Length", "0") == str(len(body))
        return Answer(int(status.split()[1]), headers, body)

    def wait(self, *, within_s: float = AT_ONCE_S, respond: Callable[[Callback], None] = Callback.reject) -> list[str]:
        """Poll as a sign-in does until this connection has ended; return the queries that were handed out."""
        queries = []
        deadline = time.monotonic() + within_s
        while not self.ended():
            assert time.monotonic() < deadline, f"no answer in {within_s} s"
            if callback := self.listener.poll():
                queries.append(callback.query)
                respond(callback)
            else:
                time.sleep(0.002)
        return queries

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def connect() -> Iterator[Callable[[CallbackListener], Client]]:
    """Make clients, and close them when the test ends."""
    with contextlib.ExitStack() as stack:

        def make_client(listener: CallbackListener) -> Client:
            client = Client(listener)
            stack.callback(client.close)
            return client

        yield make_client


@pytest.fixture
def the_real_callback_wins(connect) -> Callable[[CallbackListener], None]:
    """Let the browser come back: its query is handed out and its page complete, and no deadline is waited for."""

    def judge(callback: Callback) -> None:
        callback.succeed() if callback.query == "code=real&state=right" else callback.reject()

    def check(listener: CallbackListener) -> None:
        browser = connect(listener).get("/callback?code=real&state=right")
        queries = browser.wait(respond=judge)
        assert queries[-1] == "code=real&state=right"
        assert browser.answer().status == 200
        assert browser.answer().body == build_page("success").body

    return check


@pytest.fixture
def out_of_descriptors() -> Callable[..., contextlib.AbstractContextManager[None]]:
    return _out_of_descriptors


@contextlib.contextmanager
def _out_of_descriptors(*, spare: int = 0) -> Iterator[None]:
    """Let this process open ``spare`` descriptors more, and no others."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(spare):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in held:
            os.close(descriptor)
