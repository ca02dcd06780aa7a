"""The cookies of an institution, and where they may go: RFC 6265, judged anew for every request. Pure.

Part of it is stricter than RFC 6265, as browsers are (RFC 6265bis): cookies named ``__Secure-…`` and ``__Host-…``,
``SameSite=None`` without Secure, and nothing that came without TLS in place of a Secure cookie. SameSite itself is kept
for the browser and not judged: what we send is what a person would open in a tab of its own. A cookie without a name is
none. Only https counts as secure, loopback or not.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args
from urllib.parse import urlsplit

from doorward.errors import CorruptEntry
from doorward.institution.cookies.set_cookie import LONGEST_PAIR, SameSite, SetCookie, parse_set_cookie
from doorward.institution.cookies.suffixes import is_public_suffix
from doorward.model import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MAX_COOKIES", "MAX_COOKIES_OF_A_DOMAIN", "Cookie", "CookieJar"]

MAX_COOKIES: Final = 3000
MAX_COOKIES_OF_A_DOMAIN: Final = 180

_URL = re.compile(r"https?://[!-\[\]-~]+")  # a backslash is a slash to some, and none to others
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f.]*:[0-9a-f:.]*")
_WRITTEN_DOMAIN = re.compile(r"\.?([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])")
_NAME = re.compile(r"[^\x00-\x20=;\x7f]([^\x00-\x1f=;\x7f]*[^\x00-\x20=;\x7f])?")
_VALUE = re.compile(r"([^\x00-\x20;\x7f]([^\x00-\x08\x0a-\x1f;\x7f]*[^\x00-\x20;\x7f])?)?")
_PATH = re.compile(r"/[^\x00-\x1f;\x7f]*")
_SENDABLE = re.compile(r"[!-~]([ -~]*[!-~])?")
_FIELDS = frozenset({"name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite"})

_Key: TypeAlias = tuple[str, bool, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """One cookie, as a browser keeps it.

    Attributes:
        domain: A host in lower case, without a dot in front; of IPv6 without brackets.
        host_only: Whether it goes to that host alone, not to those below it.
        expires_at: Epoch seconds; None: the server alone knows when its session ends.
    """

    name: str
    value: Secret
    domain: str
    host_only: bool
    path: str = "/"
    expires_at: float | None = None
    http_only: bool = False
    secure: bool = False
    same_site: SameSite = "Lax"

    @property
    def key(self) -> tuple[str, bool, str, str]:
        """What tells it from all others in a jar."""
        return self.domain, self.host_only, self.path, self.name


class CookieJar:
    """A set of cookies. Threads may share one: each change is a single step.

    Args:
        cookies: In the order in which they were created.
    """

    __slots__ = ("_cookies",)

    def __init__(self, cookies: Iterable[Cookie] = ()) -> None:
        # A dict keeps the place of what is replaced in it, as a cookie keeps its creation time.
        self._cookies: dict[_Key, Cookie] = {}
        self.replace(cookies)

    def __repr__(self) -> str:
        return f"CookieJar({', '.join(f'{cookie.name} of {cookie.domain}' for cookie in self.cookies)})"

    @property
    def cookies(self) -> tuple[Cookie, ...]:
        """All of them, expired or not, the oldest first."""
        return tuple(self._cookies.values())

    def header_for(self, url: str, *, now: float) -> str | None:
        """Return the Cookie header for a request to ``url``, a secret; None if no cookie goes there.

        Longer paths come first, then older cookies. A URL that is not http or https, or that can be read in two ways,
        gets none. A cookie that no header can hold stays behind.

        Source: RFC 6265 section 5.4.
        """
        request = _Request.read(url)
        if request is None:
            return None
        due = [cookie for cookie in self.cookies if request.may_carry(cookie) and not _is_over(cookie, now)]
        due.sort(key=lambda cookie: -len(cookie.path))
        pairs = [f"{cookie.name}={cookie.value.reveal()}" for cookie in due]
        return "; ".join(pair for pair in pairs if _SENDABLE.fullmatch(pair)) or None

    def store(self, set_cookie: str, *, url: str, now: float) -> None:
        """Keep, replace or remove a cookie, as a response from ``url`` asks; ignore what it may not ask.

        Args:
            set_cookie: The value of one Set-Cookie header.
            url: What was asked.
            now: Epoch seconds.

        Source: RFC 6265 section 5.3; for domains as wide as ``edu.au`` see ``suffixes``.
        """
        request = _Request.read(url)
        asked = parse_set_cookie(set_cookie, now=now)
        if request is None or asked is None or (cookie := _grant(asked, request)) is None:
            return
        if not request.secure and any(_is_shadowed(cookie, other) for other in self.cookies):
            return
        if _is_over(cookie, now):
            self._cookies.pop(cookie.key, None)
        elif cookie.key in self._cookies or self._make_room(cookie.domain, now):
            self._cookies[cookie.key] = cookie

    def replace(self, cookies: Iterable[Cookie]) -> None:
        """Hold these and nothing else; of more than a jar may hold, the first ones."""
        kept: dict[_Key, Cookie] = {}
        for cookie in cookies:
            if len(kept) < MAX_COOKIES or cookie.key in kept:
                kept[cookie.key] = cookie
        self._cookies = kept

    def without(self, host: str) -> CookieJar:
        """Return a jar without the cookies that ``host`` could be sent."""
        return CookieJar(cookie for cookie in self.cookies if not _reaches(cookie, host.lower()))

    @classmethod
    def from_browser(cls, cookies: Iterable[Mapping[str, Any]]) -> CookieJar:
        """Take over what Playwright's ``context.cookies()`` returns.

        A partitioned cookie that a site gave to another one's frame is left out, and so is what is no cookie with a
        name: neither is sent where a person would open a page.
        """
        return cls(cookie for each in cookies if _is_first_party(each) and (cookie := _try_reading(each)))

    def to_browser(self) -> list[dict[str, Any]]:
        """Return what Playwright's ``context.add_cookies()`` takes, with the values in plain text."""
        return self.to_json()

    @classmethod
    def from_json(cls, document: object) -> CookieJar:
        """Read what ``to_json`` gives, from decoded JSON that may hold anything.

        Raises:
            CorruptEntry: ``reason="wrong_cookies"``; the message names no cookie.
        """
        if not isinstance(document, list) or len(document) > MAX_COOKIES:
            raise CorruptEntry("The file's cookies are no list of cookies.", reason="wrong_cookies")
        cookies = [
            _try_reading(each) if isinstance(each, dict) and each.keys() == _FIELDS else None for each in document
        ]
        if None in cookies:
            message = f"The file's cookie number {cookies.index(None) + 1} is none."
            raise CorruptEntry(message, reason="wrong_cookies")
        return cls(cookie for cookie in cookies if cookie)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the cookies in the shape of Playwright's, which is the file's, with the values in plain text.

        A dot before the domain says that hosts below it get the cookie too; ``expires`` is -1 for a session's.
        """
        return [
            {
                "name": cookie.name,
                "value": cookie.value.reveal(),
                "domain": _written_domain(cookie),
                "path": cookie.path,
                "expires": -1 if cookie.expires_at is None else cookie.expires_at,
                "httpOnly": cookie.http_only,
                "secure": cookie.secure,
                "sameSite": cookie.same_site,
            }
            for cookie in self.cookies
        ]

    def _make_room(self, domain: str, now: float) -> bool:
        """Say whether there is room for one more; a domain that has too many makes it from its own.

        A full jar takes no new cookie, so that nobody pushes out those of others.
        """
        cookies = self.cookies
        if len(cookies) >= MAX_COOKIES:
            for cookie in cookies:
                if _is_over(cookie, now):
                    self._cookies.pop(cookie.key, None)
        siblings = [cookie for cookie in cookies if cookie.domain == domain]
        if len(siblings) >= MAX_COOKIES_OF_A_DOMAIN:
            self._cookies.pop(siblings[0].key, None)
        return len(self._cookies) < MAX_COOKIES


@dataclass(frozen=True, slots=True)
class _Request:
    host: str
    path: str
    secure: bool

    @classmethod
    def read(cls, url: str) -> _Request | None:
        """Return what counts of a URL; None for one that gets no cookies and sets none."""
        try:
            parts = urlsplit(url) if isinstance(url, str) and _URL.fullmatch(url) else None
        except ValueError:
            return None
        host = parts.hostname if parts and "@" not in parts.netloc else None
        if parts is None or host is None or not _HOST.fullmatch(host):
            return None
        return cls(host, parts.path or "/", parts.scheme == "https")

    @property
    def default_path(self) -> str:
        """RFC 6265 section 5.1.4."""
        return self.path.rpartition("/")[0] or "/"

    def may_carry(self, cookie: Cookie) -> bool:
        return (
            _reaches(cookie, self.host) and _path_matches(self.path, cookie.path) and (self.secure or not cookie.secure)
        )


def _grant(asked: SetCookie, request: _Request) -> Cookie | None:
    """Return the cookie that ``request`` may have for the asking; None if it may not have it."""
    domain, host_only = asked.domain or request.host, not asked.domain
    if is_public_suffix(domain) or _is_address(domain):
        if domain != request.host:
            return None
        host_only = True
    if not _domain_matches(request.host, domain):
        return None
    whole_host = not asked.domain and asked.path == "/"
    prefixes = {"__secure-": True, "__host-": whole_host, "__http-": asked.http_only}
    prefixes["__host-http-"] = whole_host and asked.http_only
    prefixed = [met for prefix, met in prefixes.items() if asked.name.lower().startswith(prefix)]
    wants_secure = asked.secure or prefixed or asked.same_site == "None"
    if not all(prefixed) or (wants_secure and not (asked.secure and request.secure)):
        return None
    return Cookie(
        name=asked.name,
        value=asked.value,
        domain=domain,
        host_only=host_only,
        path=asked.path or request.default_path,
        expires_at=asked.expires_at,
        http_only=asked.http_only,
        secure=asked.secure,
        same_site=asked.same_site or "Lax",
    )


def _is_over(cookie: Cookie, now: float) -> bool:
    return cookie.expires_at is not None and cookie.expires_at <= now


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _domain_matches(host: str, domain: str) -> bool:
    """RFC 6265 section 5.1.3."""
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _path_matches(path: str, wanted: str) -> bool:
    """RFC 6265 section 5.1.4."""
    return path == wanted or path.startswith(wanted if wanted.endswith("/") else f"{wanted}/")


def _reaches(cookie: Cookie, host: str) -> bool:
    return host == cookie.domain or (not cookie.host_only and _domain_matches(host, cookie.domain))


def _is_shadowed(cookie: Cookie, other: Cookie) -> bool:
    """Whether ``cookie``, set without TLS, could be taken for ``other``, which only TLS may set (RFC 6265bis)."""
    same_hosts = _domain_matches(cookie.domain, other.domain) or _domain_matches(other.domain, cookie.domain)
    return other.secure and other.name == cookie.name and same_hosts and _path_matches(cookie.path, other.path)


def _is_first_party(document: Mapping[str, Any]) -> bool:
    partition = document.get("partitionKey")
    if not partition:
        return True
    top = _Request.read(partition)
    return top is not None and _domain_matches(str(document.get("domain")).removeprefix("."), top.host)


def _written_domain(cookie: Cookie) -> str:
    domain = f"[{cookie.domain}]" if ":" in cookie.domain else cookie.domain
    return domain if cookie.host_only else f".{domain}"


def _try_reading(document: Mapping[str, Any]) -> Cookie | None:
    try:
        return _read(document)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _read(document: Mapping[str, Any]) -> Cookie:
    name, value = _text(document["name"], _NAME), _text(document["value"], _VALUE)
    if len(name) + len(value) > LONGEST_PAIR or document["sameSite"] not in get_args(SameSite):
        raise ValueError
    written = _text(document["domain"], _WRITTEN_DOMAIN).lower()
    domain = written.removeprefix(".")
    expires = document["expires"]
    if isinstance(expires, bool) or not math.isfinite(expires):
        raise ValueError
    return Cookie(
        name=name,
        value=Secret(value),
        domain=_text(domain.strip("[]"), _HOST),
        host_only=written == domain,
        path=_text(document["path"], _PATH),
        expires_at=None if expires == -1 else float(expires),
        http_only=_truth(document["httpOnly"]),
        secure=_truth(document["secure"]),
        same_site=document["sameSite"],
    )


def _text(value: object, shape: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ValueError
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
