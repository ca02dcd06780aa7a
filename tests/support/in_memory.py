"""DevIssuer without sockets: a transport that hands each request to its own code, and a person who follows its links.

For tests that drive a flow step by step, or want to do something between two of its requests.
"""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from doorward.model import HttpResponse
from doorward.signin.sign_in import _signing_in, sign_in
from doorward.testing import DevIssuer
from doorward.testing.provider.web import Request, read_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.model import HttpRequest
    from doorward.signin.interactive import SigningIn


class PausedClock:
    """A clock that stands, but for what is slept and what the test adds."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


class InMemory:
    """A transport to one DevIssuer. ``sent`` are the requests, and ``before`` is called with each of them first."""

    def __init__(self, issuer: DevIssuer) -> None:
        self._app = issuer._app  # noqa: SLF001 - what the issuer answers with, without its socket
        self.sent: list[HttpRequest] = []
        self.before: Callable[[HttpRequest], object] = lambda _: None

    def send(self, request: HttpRequest) -> HttpResponse:
        self.before(request)
        self.sent.append(request)
        status, headers, body = self._handle(request.method, request.url, request.headers, request.body or b"")
        return HttpResponse(status, headers, body)

    def purposes(self) -> list[str]:
        """What was asked, in order: metadata, keys, token, device_authorization."""
        names = {"openid-configuration": "metadata", "jwks": "keys"}
        last = [urlsplit(each.url).path.rpartition("/")[2] for each in self.sent]
        return [names.get(each, each) for each in last]

    def where_it_ends(self, address: str) -> str:
        """Follow an authorization URL as a browser does, and return the address that the provider sends it to."""
        return self._handle("GET", address, {}, b"")[1]["location"]

    def _handle(self, method: str, url: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        lower = {name.lower(): value for name, value in headers.items()} | {"host": parts.netloc}
        form = read_pairs(body.decode())
        reply, _ = self._app.handle(Request(method, parts.path, read_pairs(parts.query), form, lower))
        answered = {name.lower(): value for name, value in reply.headers}
        return reply.status, {**answered, "content-type": reply.content_type}, reply.body


class Paster:
    """A prompt whose person follows each address and pastes where it ended. ``told`` is what it was told."""

    attended = True

    def __init__(self, provider: InMemory, spoil: Callable[[str], str] = lambda address: address) -> None:
        self.told: list[str] = []
        self.asked: list[str] = []
        self._provider, self._spoil = provider, spoil
        self._lines: list[str] = []

    def browser_opened(self, _address: str) -> None:
        self.told.append("browser_opened")

    def open_yourself(self, address: str, **_: object) -> None:
        self.told.append("open_yourself")
        self.asked.append(address)
        self._lines.append(self._spoil(self._provider.where_it_ends(address)))

    def device_code(self, _authorization: object) -> None:
        self.told.append("device_code")

    def callback_refused(self, _why: str) -> None:
        self.told.append("callback_refused")

    def paste_refused(self, _why: str) -> None:
        self.told.append("paste_refused")

    def pasted(self) -> str | None:
        return self._lines.pop(0) if self._lines else None


def make_issuer(clock: PausedClock) -> DevIssuer:
    """An honest issuer that has an address and no open port, where alice signs in at the client ``cli``."""
    issuer = DevIssuer(clock=clock)
    issuer.start().stop()
    issuer.add_client("cli")
    issuer.add_user("alice", email="alice@example.org")
    issuer.add_user("bob", email="bob@example.org")
    issuer.sign_in_as("alice")
    return issuer


def signing_in(issuer: DevIssuer, **options: Any) -> SigningIn:
    """What ``sign_in`` makes of its arguments, before anything is sent."""
    arguments = {each.name: each.default for each in signature(sign_in).parameters.values()} | {
        "issuer": issuer.url,
        "client_id": "cli",
        "scopes": ("openid", "offline_access"),
        "insecure_loopback_http": True,
        "clock": issuer.clock,
    }
    return _signing_in(**arguments | options)
