"""Whether a set of cookies opens a protected address: asked of the service itself, and judged by what it shows.

Only what cannot be a login page counts. No word of an answer is kept, and nothing is sent that would start a login.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from doorward.institution.walk import walk

if TYPE_CHECKING:
    from doorward.http.client import HttpClient
    from doorward.institution.cookies.jar import CookieJar
    from doorward.institution.routes import Route
    from doorward.institution.walk import End
    from doorward.ports import Clock

__all__ = ["ProbeResult", "login_page_reason", "probe", "probe_address"]

_PURPOSE = "the protected address"

_FORMS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("saml_form", re.compile(rb"""\bname\s{0,9}=\s{0,9}["']?(samlrequest|samlresponse|wresult)\b""")),
    ("login_form", re.compile(rb"""<input\b[^>]{0,400}?\btype\s{0,9}=\s{0,9}["']?password\b""")),
    ("passing_form", re.compile(rb"""\bonload\s{0,9}=\s{0,9}["'][^"']{0,200}\bsubmit\s{0,9}\(""")),
    ("discovery_page", re.compile(rb"""\bid\s{0,9}=\s{0,9}["']?idpselect|idpselectuiparms|\bdiscofeed\b""")),
)
"""What a page that stands before the login's end has, and a page behind it seldom: reason, in lower case."""

_REFRESH = re.compile(rb"""<meta\b(?=[^>]{0,400}?\bhttp-equiv\s{0,9}=\s{0,9}["']?refresh\b)[^>]{0,400}?\burl\s{0,9}=""")
_NO_SCRIPT = re.compile(rb"<noscript\b.{0,2000}?</noscript", re.DOTALL)
"""What is in there is for browsers that can do less than those that people sign in with."""

_LOGIN_WORDS = frozenset({"login", "logon", "signin", "sign-in", "wayf", "discovery", "disco", "shibboleth.sso"})
_NO_CONTENT = b"\0\t\n\x0b\f\r \xef\xbb\xbf\xfe\xff"
"""White space and byte order marks, of UTF-16 too."""
_CHECKING = "cf-mitigated"
"""The header by which the most common check of bots says that it is one."""
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe showed.

    Attributes:
        valid: The address showed itself; False: it wants a login; None: there was no telling.
        reason: Why, as a slug.
    """

    valid: bool | None
    reason: str


def probe_address(route: Route, target: str) -> str:
    """Return what to ask for: the target itself, or, where a proxy stands before it, the way through the proxy."""
    return route.link_to(target) if route.kind == "ezproxy" else target


def probe(  # noqa: PLR0913 - all by keyword but the first two
    jar: CookieJar,
    target: str,
    *,
    route: Route,
    user_agent: str | None,
    http: HttpClient,
    clock: Clock,
) -> ProbeResult:
    """Ask for ``target`` with the cookies of ``jar``, which stays as it is.

    A redirect into a login is not followed: asking there again and again would keep the person's session at their
    identity provider alive for them.

    Args:
        jar: All cookies that are held.
        target: An address that shows itself only to who is signed in.
        route: The way to it.
        user_agent: Of the browser that the cookies come from; None: our own.
        http: How.
        clock: Measures the deadline, and tells which cookies have expired.

    Raises:
        ConfigurationError: A proxy or trust setting can't be used.
    """
    address = probe_address(route, target)
    end = walk(jar, address, purpose=_PURPOSE, user_agent=user_agent, http=http, clock=clock, stop=_begins_login)
    return _judge(end, target=target, route=route)


def login_page_reason(body: bytes) -> str | None:
    """Say by which sign a page is one of a login, as a slug; None where it has none.

    Args:
        body: The beginning of a page, some 256 KiB at most.
    """
    text = body.replace(b"\0", b"").lower()  # in UTF-16 too
    if _REFRESH.search(_NO_SCRIPT.sub(b"", text)):
        return "passing_page"
    return next((reason for reason, sign in _FORMS if sign.search(text)), None)


def _judge(end: End, *, target: str, route: Route) -> ProbeResult:  # noqa: PLR0911 - a line for each way it ends
    if end.trouble:
        return ProbeResult(None, end.trouble)
    if end.status is None:
        return ProbeResult(valid=False, reason="sent_to_login")
    if _CHECKING in end.headers:
        return ProbeResult(None, "human_check")
    if end.status == HTTPStatus.TOO_MANY_REQUESTS or end.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProbeResult(None, "rate_limited" if end.status == HTTPStatus.TOO_MANY_REQUESTS else "server_error")
    if not _is_there(end.url, target=target, route=route):
        return ProbeResult(valid=False, reason="elsewhere")
    if end.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ProbeResult(valid=False, reason=f"refused_{end.status}")
    if not HTTPStatus.OK <= end.status < HTTPStatus.MULTIPLE_CHOICES:
        return ProbeResult(None, "not_found" if end.status in _GONE else "odd_status")
    flaw = _flaw_of_page(end)
    return ProbeResult(valid=False, reason=flaw) if flaw else ProbeResult(valid=True, reason="target_shown")


def _flaw_of_page(end: End) -> str | None:
    """Say by which sign what was shown is a page of a login; None for a document, or a page without such a sign."""
    if end.hops and _LOGIN_WORDS & set(urlsplit(end.url).path.lower().split("/")):
        return "login_address"
    if "url=" in end.headers.get("refresh", "").lower():
        return "passing_page"
    kind = end.headers.get("content-type", "").partition(";")[0].strip().lower()
    shown = end.body.lstrip(_NO_CONTENT)
    if not shown:
        return "empty"
    return login_page_reason(end.body) if "html" in kind or not kind or shown.startswith(b"<") else None


def _begins_login(url: str) -> bool:
    """Whether a redirect names the beginning of a login: SAML's, CAS's or OpenID's request."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    if "SAMLRequest" in given or given.get("wa") == "wsignin1.0" or {"client_id", "response_type"} <= given.keys():
        return True
    return "service" in given and parts.path.endswith("/login") and not given.keys() & {"gateway", "ticket"}


def _is_there(url: str, *, target: str, route: Route) -> bool:
    """Whether an address is the target's service, or is served for it by the proxy."""
    if _service(url) == _service(target):
        return True
    parts = urlsplit(url)
    if route.kind != "ezproxy" or parts.scheme != "https" or _LOGIN_WORDS & set(parts.path.lower().split("/")):
        return False
    if (meant := route.target_of(url)) is not None:
        return _service(meant) == _service(target)
    return parts.hostname == route.host and parts.port != urlsplit(route.institution_url).port  # a port for each host


def _service(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").removeprefix("www."), parts.port or 443
