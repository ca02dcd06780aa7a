"""Stand-ins for people, their browsers and their clocks, for tests that sign in."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.protocol.token_endpoint import DeviceAuthorization


class Onlooker:
    """A prompt that keeps what it was told, and acts on it."""

    attended = True

    def __init__(self, when_asked: Callable[[str], str | None] | None = None) -> None:
        self.told: list[tuple[str, str]] = []
        self.address = ""
        self._when_asked = when_asked
        self._line: str | None = None

    def browser_opened(self, address: str) -> None:
        self.told.append(("browser_opened", address))
        self.address = address

    def open_yourself(self, address: str, *, why: str, redirect_uri: str, device_offered: bool) -> None:
        self.told.append(("open_yourself", f"{why} {redirect_uri} {device_offered}"))
        self.address = address
        if self._when_asked is not None:
            self._line = self._when_asked(address)

    def device_code(self, authorization: DeviceAuthorization) -> None:
        self.told.append(("device_code", authorization.user_code))

    def callback_refused(self, why: str) -> None:
        self.told.append(("callback_refused", why))

    def paste_refused(self, why: str) -> None:
        self.told.append(("paste_refused", why))

    def pasted(self) -> str | None:
        line, self._line = self._line, None
        return line


class MovedClock(SystemClock):
    """The system's clock, set forward by ``ahead_s``."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


class ForwardClock(MovedClock):
    """The system's clocks, both set forward by ``forward``."""

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def forward(self, seconds: float) -> None:
        self.ahead_s += seconds


def last_address(start: str) -> str:
    """Follow an authorization URL like a browser whose last page does not load, and return where it ended."""

    class Stop(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *request_and_answer: Any) -> None:
            _, answer, _, _, _, address = request_and_answer
            answer.close()
            raise ConnectionError(address)

    try:
        urllib.request.build_opener(Stop).open(start, timeout=60).close()
    except ConnectionError as stopped:
        return str(stopped)
    raise AssertionError


def visit(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def asked_for(prompt: Onlooker) -> dict[str, str]:
    """The parameters of the authorization request that the person was shown."""
    return {name: values[0] for name, values in parse_qs(urlsplit(prompt.address).query).items()}
