"""What a server's answer is: a PDF, or by which name it is something else. Pure: bytes in, a finding out.

The markers are hints for people; nothing is trusted because of them. What is saved is decided by ``begins_as_pdf`` and
``ends_as_pdf`` alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.papers.outcomes import OutcomeName
    from doorward.papers.page import Page

__all__ = [
    "HEAD_BYTES",
    "PADDING",
    "TAIL_BYTES",
    "Finding",
    "begins_as_pdf",
    "ends_as_pdf",
    "is_login_url",
    "name_page",
]

HEAD_BYTES = 1024
"""As much of the beginning is looked at."""

TAIL_BYTES = 2048
"""As much of the end."""

PADDING = b"\0\t\n\f\r \x1a\xff"
"""What files are filled up with behind their end."""

_PDF_BEGIN = re.compile(rb"%PDF-[12]\.\d")
_PDF_END = re.compile(rb"startxref[\t\n\f\r ]+(\d{1,19})[\t\n\f\r ]+%%EOF")
_MARKUP = re.compile(rb"<(?:!doctype|!--|\?xml|html|head|body|title|meta|script|svg)", re.IGNORECASE)


def begins_as_pdf(head: bytes) -> bool:
    """Say whether ``%PDF-`` and a version stand in the first 1,024 bytes, and no page begins before them.

    That is where readers look (implementation note 13 of PDF 1.7): some send a byte order mark, blank lines,
    headers of a gateway or a warning of a program first.
    """
    found = _PDF_BEGIN.search(head[:HEAD_BYTES])
    return found is not None and _MARKUP.search(head, 0, found.start()) is None


def ends_as_pdf(tail: bytes, size: int) -> bool:
    """Say whether a file of ``size`` bytes ends as ISO 32000-2 section 7.5.5 says: with the place of its last table.

    Args:
        tail: the last ``TAIL_BYTES`` before its ``PADDING``. A little may follow the end, as readers allow.
        size: of the whole file: the table has its place within. The place 0 is that of a linearized file's first part,
            which ends like a whole one.
    """
    ends = _PDF_END.findall(tail)
    return bool(ends) and 0 < int(ends[-1]) < size


class Finding(NamedTuple):
    """What an answer is if it is no PDF, and the marker that gave it away."""

    outcome: OutcomeName
    reason: str


_SAML_REQUEST = re.compile(r"[?&]samlrequest=", re.IGNORECASE)
_SAML_FIELDS = frozenset({"samlresponse", "samlrequest", "samlart", "wresult"})

_CHECKS: tuple[tuple[str, str], ...] = (
    ("cloudflare_challenge", "/cdn-cgi/challenge-platform/"),
    ("cloudflare_challenge", "cf-chl-"),
    ("cloudflare_challenge", "<title>just a moment"),
    ("cloudflare_challenge", "<title>attention required! | cloudflare"),
    ("imperva_check", "_incapsula_resource"),
    ("imperva_check", "pardon our interruption"),
    ("datadome_check", "captcha-delivery.com"),
    ("perimeterx_check", "px-captcha"),
    ("akamai_check", "sec-if-cpt-container"),
    ("aws_waf_check", "awswafintegration"),
    ("radware_check", "perfdrive.com"),
    ("captcha", "verify you are human"),
    ("captcha", "verify that you are human"),
    ("captcha", "are you a robot"),
    ("captcha", "confirm you are not a robot"),
)
"""Pages of services that keep robots out."""

_PAYWALLS: tuple[tuple[str, str], ...] = (
    ("access_denied", "you do not have access"),
    ("access_denied", "you don't have access"),
    ("access_denied", "your institution does not have access"),
    ("access_denied", "does not subscribe to this"),
    ("purchase_offered", "buy this article"),
    ("purchase_offered", "buy article pdf"),
    ("purchase_offered", "purchase access"),
    ("purchase_offered", "purchase this article"),
    ("purchase_offered", "purchase pdf"),
    ("purchase_offered", "rent this article"),
    ("purchase_offered", "rent or buy"),
    ("subscription_wanted", "subscription required"),
    ("subscription_wanted", "requires a subscription"),
    ("subscription_wanted", "access through your institution"),
    ("subscription_wanted", "access via your institution"),
    ("subscription_wanted", "log in via an institution"),
    ("subscription_wanted", "get access to the full"),
)
"""What publishers offer to those without access."""

_LOGINS: tuple[tuple[str, str], ...] = (
    ("ezproxy_login", "ezproxyform"),
    ("openathens_login", "login.openathens.net"),
    ("discovery", "where are you from"),
    ("discovery", "find your institution"),
    ("discovery", "choose your institution"),
    ("discovery", "select your institution"),
    ("discovery", "search for your institution"),
)
"""What asks who one is without asking for a password."""

_LOGIN_PATH = re.compile(
    r"/(login|signin|sign-in|logon|sso|ssostart|cas|idp|wayf|shibboleth\.sso|saml2?|authorize)(/|$)"
)
"""Where logins are, for those whose page is made by a script."""

_NOT_FOUND_TITLES = ("not found", "page unavailable", "error 404")
_LOGIN_TITLES = ("log in", "login", "sign in", "signin")

_TOO_MANY = 429

_STATUSES: dict[int, Finding] = {
    401: Finding("login_page", "http_401"),
    402: Finding("not_entitled", "http_402"),
    403: Finding("not_entitled", "http_403"),
    404: Finding("not_found", "http_404"),
    410: Finding("not_found", "http_410"),
    _TOO_MANY: Finding("rate_limited", "http_429"),
}


def name_page(
    status: int, headers: Mapping[str, str], body: bytes, page: Page, *, redirected_to: str | None = None
) -> Finding:
    """Name an answer that is no PDF.

    Args:
        status: of the answer.
        headers: by lower-case name.
        body: its beginning, up to ``PAGE_BYTES``.
        page: what ``read_page`` made of the body.
        redirected_to: where it came from, if that is not where it was asked for.
    """
    if status == _TOO_MANY:  # who is told to wait should, whatever the page looks like
        return _STATUSES[status]
    check = "cloudflare_challenge" if "cf-mitigated" in headers else _marked(page, _CHECKS)
    if check:
        return Finding("human_check", check)
    if any(name in _SAML_FIELDS for name, _ in page.inputs):
        return Finding("login_page", "saml_form")
    if status >= 400:  # noqa: PLR2004 - errors (RFC 9110 section 15)
        return _refused(status, page)
    finding = _named(page) if body.strip() else Finding("empty", "no_body")
    if finding.outcome == "not_pdf" and redirected_to and _LOGIN_PATH.search(urlsplit(redirected_to).path.lower()):
        return Finding("login_page", "login_address")
    return finding


def _refused(status: int, page: Page) -> Finding:
    known = _STATUSES.get(status, Finding("unavailable", f"http_{status}"))
    asks_who = known.outcome == "not_entitled" and not page.is_article and _has_password(page)
    return Finding("login_page", "password_form") if asks_who else known


def _named(page: Page) -> Finding:
    """Name a page that came with a status of success. What says who it is comes before what may be in a corner."""
    title = page.title.lower()
    if any(marker in title for marker in _NOT_FOUND_TITLES):
        return Finding("not_found", "page_says_so")
    paywall = _marked(page, _PAYWALLS)
    if _has_password(page) and not (page.is_article or paywall):
        return Finding("login_page", "password_form")
    if title.startswith(_LOGIN_TITLES):
        return Finding("login_page", "page_says_so")
    if paywall:
        return Finding("not_entitled", paywall)
    if reason := _marked(page, _LOGINS):
        return Finding("login_page", reason)
    return Finding("not_pdf", "html" if "<html" in page.text or "<!doctype html" in page.text else "other_content")


def _has_password(page: Page) -> bool:
    return any(kind == "password" for _, kind in page.inputs)


def _marked(page: Page, markers: tuple[tuple[str, str], ...]) -> str:
    return next((reason for reason, marker in markers if marker in page.text), "")


def is_login_url(url: str) -> bool:
    """Say whether a redirect to ``url`` asks for a login that only a browser can go through: a SAML request.

    What comes back from it is a form that a script posts, so that nothing is won by going there (SAML 2.0 Bindings
    section 3.5).
    """
    return _SAML_REQUEST.search(url) is not None
