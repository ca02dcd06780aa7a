"""Follows an address to where it ends, as a browser without scripts: hop by hop, cookies judged anew at each.

What the end means is judged elsewhere. The jar that is given is not changed; what the hosts set goes into a copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

from doorward.errors import ConfigurationError, InvalidResponse, TransportError
from doorward.institution.cookies.jar import CookieJar
from doorward.model import HttpRequest
from doorward.protocol.reading.urls import by_https

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doorward.http.client import HttpClient
    from doorward.ports import Clock

__all__ = ["End", "walk"]

_IDLE_TIMEOUT_S = 10.0

_MOST_HOPS = 10
_MOST_BYTES = 262_144
_NO_LIMIT = 1 << 62  # we stop reading; a paper of any size may be announced
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class End:
    """Where a walk ended.

    Attributes:
        url: The address that answered, or was not gone to any more.
        hops: How many redirects led there.
        status: Of the answer; None if there was none.
        headers: By lower-case name.
        body: The first 256 KiB.
        trouble: Why there is no answer, or no end of it, as a slug; empty where all is well.
    """

    url: str = field(repr=False)
    hops: int
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    trouble: str = ""


def walk(  # noqa: PLR0913 - all by keyword but the first two
    jar: CookieJar,
    url: str,
    *,
    purpose: str,
    user_agent: str | None,
    http: HttpClient,
    clock: Clock,
    stop: Callable[[str], bool] = lambda _: False,
    deadline_s: float = 30.0,
) -> End:
    """Ask for ``url`` and follow redirects, ten at most, over https alone: a hop without it is asked by https.

    Args:
        jar: The cookies to begin with.
        url: An https address.
        purpose: What is asked for, in words.
        user_agent: What to present ourselves as; None: ourselves.
        http: How.
        clock: Measures the deadline, and tells which cookies have expired.
        stop: Asked of each address that a redirect names: True ends the walk there, with that address and no status.
        deadline_s: Of the whole walk; the last hop may take its own timeout more.

    Raises:
        ConfigurationError: A proxy or trust setting can't be used.
    """
    walker = _Walker(CookieJar(jar.cookies), purpose, user_agent, http, clock, clock.monotonic() + deadline_s)
    here = urldefrag(url).url
    for hops in range(_MOST_HOPS + 1):
        if walker.is_late:
            return End(here, hops, trouble="timeout_total")
        end = walker.ask(here, hops)
        location = end.headers.get("location")
        if end.status not in _REDIRECTS or not location:
            return end
        try:
            there = by_https(urldefrag(urljoin(here, location)).url)
            if stop(there):
                return End(there, hops + 1)
        except ValueError:  # no address at all
            return End(here, hops, trouble="redirect_malformed")
        here = there
    return End(here, _MOST_HOPS, trouble="redirect_loop")


@dataclass(frozen=True, slots=True)
class _Walker:
    """What stays the same from hop to hop."""

    jar: CookieJar
    purpose: str
    user_agent: str | None
    http: HttpClient
    clock: Clock
    deadline: float

    @property
    def is_late(self) -> bool:
        return self.clock.monotonic() >= self.deadline

    def ask(self, url: str, hops: int) -> End:
        """Make one request, and keep the cookies of its answer."""
        headers = {"Accept": "*/*"}
        if cookies := self.jar.header_for(url, now=self.clock.now()):
            headers["Cookie"] = cookies
        request = HttpRequest("GET", url, self.purpose, headers, max_response_bytes=_NO_LIMIT)
        body = bytearray()
        try:
            with self.http.stream(request, idle_timeout_s=_IDLE_TIMEOUT_S, user_agent=self.user_agent) as answer:
                for set_cookie in answer.set_cookies:
                    self.jar.store(set_cookie, url=url, now=self.clock.now())
                for chunk in () if answer.status in _REDIRECTS else answer.chunks():
                    body += chunk
                    if len(body) >= _MOST_BYTES:
                        break
                    if self.is_late:
                        return End(url, hops, trouble="timeout_total")
                return End(url, hops, answer.status, answer.headers, bytes(body[:_MOST_BYTES]))
        except (TransportError, InvalidResponse) as error:
            return End(url, hops, trouble=error.reason)
        except ConfigurationError as error:
            if error.field not in {"url", "headers"}:  # then it is of this computer, and not what a server made us do
                raise
            return End(url, hops, trouble=f"redirect_{error.reason}")
