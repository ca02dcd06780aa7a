"""What a login in a browser shows from outside, and what may be said of it: the words between browser and evidence.

Pure values. An observation never holds what a page says, what a form posts, or a cookie's value: only where the browser
is, names, and digests that tell one value from another. The places they print are cut to what is no secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from doorward.errors import printable
from doorward.institution.reasons import probe_in_words

__all__ = [
    "Answered",
    "CookieSeen",
    "CookiesSeen",
    "Crashed",
    "Leaving",
    "Observation",
    "Pending",
    "Posted",
    "ProbeNow",
    "Probed",
    "Refused",
    "Settled",
    "SignedIn",
    "TimedOut",
    "Verdict",
    "WindowClosed",
    "host_of",
    "in_words",
    "place_of",
]

_LONGEST_SEGMENT = 32
_LONGEST_NAME = 40
_MOST_NAMES = 6


@dataclass(frozen=True, slots=True)
class CookieSeen:
    """A cookie that the browser holds: its name, its place, and a digest of its value."""

    name: str
    domain: str
    path: str
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leaving:
    """The main frame has asked for another page, which has not come yet."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """The main frame shows the page at ``url`` and is asking for no other."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CookiesSeen:
    """All the cookies the browser holds now. The regular observation, also where nothing has changed."""

    cookies: tuple[CookieSeen, ...]


@dataclass(frozen=True, slots=True)
class Posted:
    """The main frame is taking an assertion or a ticket to ``url``."""

    url: str = field(repr=False)
    what: Literal["SAMLResponse", "ticket"]


@dataclass(frozen=True, slots=True)
class Answered:
    """A main frame's request was answered with ``status``; a redirect is an answer too."""

    url: str = field(repr=False)
    status: int


@dataclass(frozen=True, slots=True)
class Probed:
    """The protected address was asked for with the browser's cookies: ``valid`` is None where there was no telling."""

    valid: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """The person closed the last window."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The browser or its page ended by itself."""

    reason: Literal["browser_ended", "page_crashed", "page_unreachable"]


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The first page did not load, or the whole login took too long."""

    which: Literal["page", "login"]


Observation: TypeAlias = (
    Leaving | Settled | CookiesSeen | Posted | Answered | Probed | WindowClosed | Crashed | TimedOut
)


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing is known yet: go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class ProbeNow:
    """Ask for the protected address now, with the cookies last seen, and observe what came of it."""

    reason: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A probe has proven it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It is over without a session. ``shown`` is why the last probe said no, if that may be the cause."""

    reason: str
    shown: str = ""


Verdict: TypeAlias = Pending | ProbeNow | SignedIn | Refused


def host_of(url: str) -> str:
    """Return the host of a browser's URL in lower case, or nothing where it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def place_of(url: str) -> str:
    """Say where a URL is without what may be a secret in it: no query, no fragment, no long word of its path."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that can't be read"
    segments = (segment.partition(";")[0] for segment in parts.path.split("/"))
    path = "/".join(segment if len(segment) <= _LONGEST_SEGMENT else "…" for segment in segments)
    return printable(f"{parts.scheme}://{host_of(url)}{port}{path}" if parts.hostname else f"{parts.scheme}:")


def in_words(observation: Observation, changed: tuple[str, ...] = ()) -> str:  # noqa: C901, PLR0911 - a case for each
    """Say an observation in words. ``changed`` are the names of the cookies that are new to the watcher."""
    match observation:
        case Leaving(url):
            return f"on the way to {place_of(url)}"
        case Settled(url):
            return f"settled at {place_of(url)}"
        case Posted(url, what):
            return f"took a {what} to {place_of(url)}"
        case Answered(url, status):
            return f"{place_of(url)} answered {status}"
        case CookiesSeen(cookies):
            if not changed:
                return f"{len(cookies)} cookies, none changed"
            names = [printable(name)[:_LONGEST_NAME] for name in changed[:_MOST_NAMES]]
            more = f" and {len(changed) - _MOST_NAMES} more" if len(changed) > _MOST_NAMES else ""
            return f"cookies changed: {', '.join(names)}{more}"
        case Probed(valid, reason):
            told = {True: "valid", False: "not valid", None: "no telling"}[valid]
            return f"the probe says: {told}. {probe_in_words(reason)}"
        case WindowClosed():
            return "the window was closed"
        case Crashed(reason):
            return {
                "browser_ended": "the browser ended",
                "page_crashed": "the page crashed",
                "page_unreachable": "the login page could not be reached",
            }[reason]
        case TimedOut(which):
            return "the page did not load in time" if which == "page" else "the login took too long"
