"""An issuer on a clock that stands still, and a plain client for it, with nothing of ours in between."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from doorward.testing import DevIssuer, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERIFIER = "a-code-verifier-of-forty-three-characters-1"
REDIRECT = "http://127.0.0.1:1/callback"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass
class StandingClock:
    """A clock that only moves when told."""

    at: float = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    async def asleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def callback(self) -> dict[str, str]:
        assert self.status == 303, self.body
        return dict(parse_qsl(urlsplit(self.headers["Location"]).query))


@dataclass
class Caller:
    """Sends what a client or a browser would."""

    issuer: DevIssuer
    client_id: str = "cli"

    def request(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Send a request; ``path`` is inside the issuer, unless it begins with two slashes."""
        base = urlsplit(self.issuer.url)
        connection = http.client.HTTPConnection(base.netloc, timeout=20)
        if body is not None:
            headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        try:
            target = path[1:] if path.startswith("//") else base.path.rstrip("/") + path
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None, **query: str) -> Answer:
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path, headers=headers)

    def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> Answer:
        return self.request("POST", path, urlencode(form), headers)

    def authorize(self, **changes: str | None) -> Answer:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        query: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": "openid email profile offline_access",
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return self.get("/authorize", **{name: value for name, value in query.items() if value is not None})

    def redeem(self, code: str, /, **changes: str) -> Answer:
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }
        return self.post("/token", **{**form, **changes})

    def sign_in(self, **changes: str | None) -> dict[str, Any]:
        answer = self.redeem(self.authorize(**changes).callback["code"])
        assert answer.status == 200, answer.body
        return answer.json

    def refresh(self, refresh_token: str, **changes: str) -> Answer:
        form = {"grant_type": "refresh_token", "client_id": self.client_id, "refresh_token": refresh_token}
        return self.post("/token", **{**form, **changes})

    def start_device(self) -> dict[str, Any]:
        answer = self.post("/device_authorization", client_id=self.client_id, scope="openid email")
        assert answer.status == 200, answer.body
        return answer.json

    def poll_device(self, device_code: str) -> Answer:
        return self.post("/token", grant_type=DEVICE_GRANT, client_id=self.client_id, device_code=device_code)


def read_jwt(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and payload, unverified."""
    header, payload, _ = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    return json.loads(header), json.loads(payload)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def issuer(clock: StandingClock) -> Iterator[DevIssuer]:
    """An honest issuer with the public client ``cli`` where alice signs in without being asked.

    It signs with ES256, whose keys are made faster than the default's.
    """
    with DevIssuer(clock=clock, rules=Rules(signing_algorithm="ES256")) as issuer:
        issuer.add_client("cli")
        issuer.add_user("alice", email="alice@example.org", full_name="Alice Liddell", groups=["staff"])
        issuer.sign_in_as("alice")
        yield issuer


@pytest.fixture
def caller(issuer: DevIssuer) -> Caller:
    return Caller(issuer)


@pytest.fixture(scope="session")
def new_caller() -> Callable[..., Caller]:
    return Caller


@pytest.fixture
def jwt() -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    return read_jwt
