"""Whether somebody is signed in at an institution, from what a browser shows: observations in, verdicts out. Pure.

Only a probe that answered "valid" makes ``SignedIn``. Where the browser is, which cookies it got and which forms it
took decide only when a probe is worth making, and how soon again: they are hints, and each is wrong somewhere.

A probe is worth making where the browser has settled at the service and holds a cookie for it that it did not hold
before. "At the service" is the target's own origin, the proxy's zone, or a host that took an assertion or a ticket, or
set a cookie known to be a service's; never a host that an address only mentions. Within those bounds a wrong hint loses
nothing: the worst it does is to space the probes out.

A target that will not show itself to a probe ends the login with what the probe saw, once nothing moves any more where
somebody seems to be signed in: a person must not sit before a page that they see until their time is over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

from doorward.institution.observations import (
    Answered,
    CookieSeen,
    CookiesSeen,
    Crashed,
    Leaving,
    Observation,
    Pending,
    Posted,
    Probed,
    ProbeNow,
    Refused,
    Settled,
    SignedIn,
    TimedOut,
    Verdict,
    WindowClosed,
    host_of,
    in_words,
)
from doorward.institution.reasons import verdict_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Evidence", "Patterns", "Way"]

_FIRST_GAP_S = 1.0
_LONGEST_GAP_S = 30.0
_HINTLESS_GAP_S = 20.0
"""The gap where every new cookie is of a kind that means nothing by itself."""
_QUIET_S = 5.0
"""How long a page stays, when nobody sits before it, until it is taken for one that wants a person."""
_STILL_S, _STILL_ELSEWHERE_S = 10.0, 60.0
"""How long nothing moves, where the target was shown and where another page of its service is, until a refusal of the
target is taken for its answer. Another page may wait for the person: for terms to be agreed to, say."""
_KEPT_OUT = frozenset({"refused_401", "refused_403", "human_check", "target_open"})
"""What a probe says of a target that will not do, whoever is signed in."""
_HUMAN_CHECK = frozenset({403, 429, 503})
_HISTORY = 400
_OK = 200
_MOST_HOSTS = 64
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Way(Protocol):
    """What evidence asks of a ``Route``."""

    @property
    def kind(self) -> str: ...
    @property
    def host(self) -> str: ...


class Patterns(Protocol):
    """What evidence asks of the cookie patterns: when such a cookie is set, or None where nobody knows."""

    def matches(self, name: str, /) -> Literal["before", "idp", "service"] | None: ...


class Evidence:
    """The evidence of one login. Not safe for threads: whoever drives the browser owns it.

    Args:
        route: the way to the institution.
        target: the https URL of what is to be reached.
        patterns: what cookie names hint at.
        snapshot: the cookies the browser held before the login.
        attended: whether a person sits before the browser. Without one, a page that stays where it is ends the login
            (``needs_person``).
        human_check_wait_s: how long a page that may be a bot check is left alone when nobody is there.
    """

    def __init__(  # noqa: PLR0913 - settings, the rare ones by keyword
        self,
        route: Way,
        target: str,
        patterns: Patterns,
        snapshot: Iterable[CookieSeen] = (),
        *,
        attended: bool = True,
        human_check_wait_s: float = 30.0,
    ) -> None:
        self._route = route
        self.target = target
        self._patterns = patterns
        self._attended = attended
        self._human_check_wait_s = human_check_wait_s

        self._before = _by_place(snapshot)
        self._held = dict(self._before)
        self._changed: dict[tuple[str, str, str], CookieSeen] = {}

        self._settled: str | None = None
        self._last_settled = ""
        self._in_flight: Posted | None = None
        self._took: set[str] = set()  # hosts that took an assertion or a ticket
        self._checked = False
        self._closed = False
        self._opened = False  # the window was shown the target, since the last assertion
        self._went_away = False  # to a page that is not of the target's service
        self._refusal = ""  # why the last probe said no, for a reason that stays
        self._refused_at = 0.0

        self._moved_at = 0.0
        self._arrived_at: float | None = None
        self._probed_at: float | None = None
        self._gap_s = _FIRST_GAP_S
        self._news = False  # since the last probe
        self._unsure = False

        self._verdict: Verdict = Pending("not_started")
        self._history: deque[tuple[float, str, str]] = deque(maxlen=_HISTORY)

    @property
    def verdict(self) -> Verdict:
        """What was said last."""
        return self._verdict

    @property
    def history(self) -> tuple[tuple[float, str, str], ...]:
        """What was observed and what was made of it: instant, observation, verdict; in words that hold no secret."""
        return tuple(self._history)

    def observe(self, observation: Observation, at: float) -> Verdict:
        """Take one observation in.

        Args:
            observation: what was seen.
            at: when, in seconds of a clock that never goes back.

        Returns:
            What is known now. ``SignedIn`` and ``Refused`` are final: nothing observed later changes them.
        """
        if isinstance(self._verdict, SignedIn | Refused):
            return self._verdict
        changed = self._take_in(observation, at)
        verdict = self._judge(observation, at)
        if not isinstance(observation, CookiesSeen) or changed or verdict != self._verdict:
            said = f"{_KINDS[type(verdict)]}: {verdict_in_words(verdict.reason)}"
            self._history.append((at, in_words(observation, changed), said))
        self._verdict = verdict
        return verdict

    def _take_in(self, observation: Observation, at: float) -> tuple[str, ...]:  # noqa: C901 - a case for each
        """Note what was seen. Returns the names of the cookies that changed."""
        match observation:
            case Leaving():
                self._settled = None
                self._moved_at = at
            case Posted():
                self._settled = None
                self._opened = False
                self._in_flight = observation
                self._moved_at = at
            case Answered(url, status):
                self._moved_at = at
                self._checked = status in _HUMAN_CHECK
                self._opened |= status == _OK and self._is_target(url)
                if self._in_flight is not None and host_of(url) == host_of(self._in_flight.url):
                    self._in_flight = None
                    self._tell_of_news()
                    if len(self._took) < _MOST_HOSTS:
                        self._took.add(host_of(url))
            case Settled(url):
                self._settle(url, at)
            case CookiesSeen(cookies):
                return self._take_cookies(cookies)
            case Probed(valid, reason):
                self._note_refusal(reason if valid is False or reason in _KEPT_OUT else "", at)
                self._probed_at = at
                self._news = False
                self._unsure = valid is None
                if not valid:
                    self._gap_s = min(2 * self._gap_s, _LONGEST_GAP_S)
            case WindowClosed():
                self._closed = True
            case Crashed() | TimedOut():
                pass
        return ()

    def _settle(self, url: str, at: float) -> None:
        self._settled = url
        self._in_flight = None
        self._moved_at = at
        self._went_away |= not self._is_of_target(url)
        if url != self._last_settled:
            self._last_settled = url
            self._tell_of_news()

    def _note_refusal(self, reason: str, at: float) -> None:
        if reason in {"refused_401", "refused_403"} and self._opened:
            reason = "human_check"  # it was shown in the window
        if reason != self._refusal:
            self._refusal, self._refused_at = reason, at

    def _take_cookies(self, cookies: tuple[CookieSeen, ...]) -> tuple[str, ...]:
        held = _by_place(cookies)
        fresh = {place: cookie for place, cookie in held.items() if self._held.get(place) != cookie}
        self._held = held
        self._changed = {place: cookie for place, cookie in held.items() if self._before.get(place) != cookie}
        if any(self._patterns.matches(cookie.name) == "service" for cookie in fresh.values()):
            self._tell_of_news()
        elif fresh:
            self._news = True
        return tuple(sorted(cookie.name for cookie in fresh.values()))

    def _tell_of_news(self) -> None:
        self._news = True
        self._gap_s = _FIRST_GAP_S

    def _judge(self, observation: Observation, at: float) -> Verdict:
        if (end := self._end(observation, at)) is not None:
            return end
        if self._closed:
            # Somebody who saw the page they wanted closes the window at once: one last look before it is called off.
            worth = isinstance(observation, WindowClosed) and self._news and self._hint() is not None
            return ProbeNow("window_closed") if worth else self._called_off("window_closed")
        verdict = self._weigh(at)
        if isinstance(verdict, Pending) and not self._attended and self._is_stuck(at):
            return Refused("needs_person", self._refusal)
        return verdict

    def _end(self, observation: Observation, at: float) -> Verdict | None:
        """Say what an observation ends by itself, if it does."""
        match observation:
            case Probed(valid=True, reason=reason):
                return SignedIn(reason)
            case Probed() if self._stays_refused(at):
                return Refused(self._refusal, self._refusal)
            case Crashed(reason):
                return Refused(reason)
            case TimedOut("page"):
                return Refused("page_timeout")
            case TimedOut("login"):
                return self._called_off("login_timeout")
        return None

    def _called_off(self, reason: str) -> Refused:
        """Say why nobody waits any longer: for what kept a person out who seems to be signed in, or ``reason``."""
        is_in = self._seems_signed_in() and self._refusal in _KEPT_OUT
        return Refused(self._refusal if is_in else reason, self._refusal)

    def _stays_refused(self, at: float) -> bool:
        """Whether the target goes on refusing a probe, and nothing moves any more where somebody is signed in."""
        if not self._refusal or not self._seems_signed_in():
            return False
        was_shown = (self._opened or self._is_target(self._last_settled)) and self._refusal in _KEPT_OUT
        patience_s = _STILL_S if was_shown else _STILL_ELSEWHERE_S
        if self._checked:  # the window itself may show a check that its person is answering
            patience_s = max(patience_s, self._human_check_wait_s)
        return at - max(self._moved_at, self._refused_at) >= patience_s

    def _seems_signed_in(self) -> bool:
        """Whether a hint at the target's service is one that only a sign-in leaves. Unseen, it may be an old one."""
        if not self._attended:
            return False
        hint = self._hint() if self._is_of_target(self._last_settled) else None
        came_back = self._went_away and (self._opened or self._is_target(self._last_settled))
        return hint in {"service_cookie", "assertion_taken"} or (hint == "cookie_changed" and came_back)

    def _weigh(self, at: float) -> Verdict:
        if self._in_flight is not None:
            return Pending("assertion_under_way")
        if self._settled is None:
            return Pending("page_under_way")
        hint = self._hint()
        if hint is None:
            self._arrived_at = None
            if self._checked:
                return Pending("human_check")
            return Pending("nothing_changed" if self._is_there(self._settled) else "elsewhere")
        if self._arrived_at is None:
            self._arrived_at = at
        if hint == "cookies_mean_nothing":
            due_at = max(self._arrived_at, self._probed_at or self._arrived_at) + max(_HINTLESS_GAP_S, self._gap_s)
        elif self._probed_at is None:
            due_at = at
        else:
            due_at = self._probed_at + self._gap_s
        if at >= due_at:
            return ProbeNow(hint)
        return Pending(hint if hint == "cookies_mean_nothing" else "not_proven")

    def _hint(self) -> str | None:
        """Say why a probe would be worth making where the browser last settled, or None."""
        if not self._is_there(self._last_settled):
            return None
        host = host_of(self._last_settled)
        kinds = {self._patterns.matches(each.name) for each in self._changed.values() if _goes_to(each.domain, host)}
        if not kinds:
            return None
        if "service" in kinds:
            return "service_cookie"
        if host in self._took:
            return "assertion_taken"
        return "cookie_changed" if None in kinds else "cookies_mean_nothing"

    def _is_there(self, url: str) -> bool:
        if self._is_of_target(url):
            return True
        origin, host = _origin_of(url), host_of(url)
        if origin is None or not host or origin[0] != "https":
            return False
        return host in self._took or any(
            self._patterns.matches(each.name) == "service" and _goes_to(each.domain, host)
            for each in self._changed.values()
        )

    def _is_of_target(self, url: str) -> bool:
        """Whether a page is of the target's own service, or served for it by the proxy."""
        origin, wanted = _origin_of(url), _origin_of(self.target)
        if origin is None or not origin[1]:
            return False
        if wanted is not None and (origin[0], _bare(origin[1]), origin[2]) == (wanted[0], _bare(wanted[1]), wanted[2]):
            return True
        return origin[0] == "https" and self._route.kind == "ezproxy" and _in_zone(url, self._route.host)

    def _is_target(self, url: str) -> bool:
        return self._is_of_target(url) and _path_of(url) == _path_of(self.target)

    def _is_stuck(self, at: float) -> bool:
        """Whether a page stays that would have moved on by itself."""
        patience_s = self._human_check_wait_s if self._checked else _QUIET_S
        quiet_since = max(self._moved_at, self._probed_at or 0.0)
        may_answer_later = self._unsure and self._refusal not in _KEPT_OUT
        return self._settled is not None and not may_answer_later and at - quiet_since >= patience_s


def _by_place(cookies: Iterable[CookieSeen]) -> dict[tuple[str, str, str], CookieSeen]:
    return {(each.name, each.domain, each.path): each for each in cookies}


def _goes_to(domain: str, host: str) -> bool:
    """Whether a cookie of this domain is sent to this host. Browsers write a leading dot where subdomains get it."""
    domain = domain.lower()
    return host == domain.lstrip(".") or (domain.startswith(".") and host.endswith(domain))


def _origin_of(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme, host_of(url), parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def _path_of(url: str) -> str:
    return urlsplit(url).path.rstrip("/")


def _bare(host: str) -> str:
    return host.removeprefix("www.")


def _in_zone(url: str, proxy: str) -> bool:
    """Whether a URL is one that EZproxy serves: below its name, or at another port of it, but not its login."""
    proxy = host_of(f"https://{proxy}")
    zone = proxy.removeprefix("login.")
    host = host_of(url)
    is_login = host in {proxy, zone} and urlsplit(url).path.startswith(("/login", "/connect"))
    return (host == zone or host.endswith(f".{zone}")) and not is_login


_KINDS = {Pending: "pending", ProbeNow: "probe", SignedIn: "signed in", Refused: "refused"}
