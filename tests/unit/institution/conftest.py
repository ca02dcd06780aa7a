"""A service of its own at sp.localhost, whose every answer a test decides, and a browser that does as it is told."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
from loopback_https import Answer, Server, html_page, redirect
from people import ForwardClock

from doorward.errors import SignInRequired
from doorward.http.client import HttpClient
from doorward.institution.browser.visit import Captured
from doorward.institution.observations import Answered, Probed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loopback_https import Request

PDF = Answer(200, [("Content-Type", "application/pdf")], b"%PDF-1.7\nthe paper\n%%EOF\n")
PLANTED = "PLANTED-cookie-value"


class Service:
    """sp.localhost, and the login at idp.localhost that it sends people to."""

    def __init__(self, certificate: Any, key: Any) -> None:
        self.sessions: set[str] = set()
        self.answers: dict[str, Answer | Callable[[Request], Answer]] = {}
        """By path, instead of what the service would say."""
        self._server = Server(self._answer, certificate, key)
        self.requests = self._server.requests
        self.close = self._server.close
        self.target = self.at("/paper.pdf")
        self.portal = self.at("/", "idp.localhost")

    def at(self, path: str, host: str = "sp.localhost") -> str:
        return f"https://{host}:{self._server.port}{path}"

    def asked(self, path: str = "/paper.pdf") -> int:
        """How often the service was asked for a path."""
        return sum(1 for request in self.requests if request.path == path)

    def begin(self, value: str = PLANTED) -> list[dict[str, Any]]:
        """Begin a session, and return the cookies that a browser would hold."""
        self.sessions.add(value)
        return [
            cookie("_shibsession_1", value, "sp.localhost"),
            cookie("SimpleSAMLAuthToken", PLANTED + "-idp", "idp.localhost"),
        ]

    def _answer(self, request: Request) -> Answer:
        answer = self.answers.get(request.path)
        if answer is not None:
            return answer(request) if callable(answer) else answer
        if request.host == "idp.localhost":
            return html_page("<h1>Login</h1>")
        if request.path == "/Shibboleth.sso/Logout":
            self.sessions.discard(request.cookies.get("_shibsession_1", ""))
            return html_page("Logged out")
        if request.cookies.get("_shibsession_1") in self.sessions:
            return PDF
        return redirect(
            self.at(f"/sso?SAMLRequest={PLANTED}", "idp.localhost"),
            cookies=[f"_shibstate_1={PLANTED}-state; path=/; secure"],
        )


def cookie(name: str, value: str, domain: str, **others: Any) -> dict[str, Any]:
    return {
        "name": name, "value": value, "domain": domain, "path": "/", "expires": -1, "httpOnly": True, "secure": True,
        "sameSite": "None", **others,
    }  # fmt: skip


class Browser:
    """A ``BrowserVisit`` without a browser: ``behave`` says what comes of a visit, as the real one would."""

    def __init__(self, service: Service) -> None:
        self.visits: list[dict[str, Any]] = []
        self.behave: Callable[..., Captured] = self.sign_in
        self._service = service

    def __call__(self, *, headless: bool, cookies: Any) -> Browser:
        self.visits.append({"headless": headless, "cookies": list(cookies)})
        return self

    def drive(self, login_url: str, evidence: Any, probe: Any, settings: Any, say: Any) -> Captured:
        self.visits[-1] |= {"login_url": login_url, "settings": settings}
        say(evidence.observe(Answered(login_url, 200), 1.0))
        return self.behave(probe)

    async def adrive(self, *arguments: Any) -> Captured:
        return self.drive(*arguments)

    def sign_in(self, probe: Any) -> Captured:
        """Hold what the service gives to who signs in; the visit ends only when the probe says so."""
        return self.hold(probe, self._service.begin(f"{PLANTED}-{len(self.visits)}"))

    @staticmethod
    def hold(probe: Any, cookies: Any) -> Captured:
        found = probe(cookies, "Mozilla/5.0 Testing")
        assert found == Probed(valid=True, reason="target_shown")
        return Captured(cookies, "Mozilla/5.0 Testing")

    @staticmethod
    def want_a_person(_probe: Any) -> Captured:
        raise SignInRequired("The institution wants to see you.", reason="needs_person")


@pytest.fixture
def service(test_ca: Any, trust_test_ca: None) -> Iterator[Service]:
    with contextlib.closing(Service(test_ca.certificate, test_ca.key)) as made:
        yield made


@pytest.fixture
def browser(service: Service) -> Browser:
    return Browser(service)


@pytest.fixture
def http() -> HttpClient:
    return HttpClient(connect_timeout_s=5, total_timeout_s=10)


@pytest.fixture
def clock() -> ForwardClock:
    return ForwardClock()


@pytest.fixture
def at_once() -> Callable[[int, Callable[[], Any]], list[Any]]:
    """Run a function in several threads at once, and return what they gave."""

    def run(count: int, function: Callable[[], Any]) -> list[Any]:
        gate, given = threading.Barrier(count), []

        def one() -> None:
            gate.wait(20)
            given.append(function())

        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(given) == count
        return given

    return run
