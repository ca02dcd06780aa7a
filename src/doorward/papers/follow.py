"""One address asked, and wherever its answers point, until a whole PDF is on disk or something else has come.

Redirects, and pages that lead on by themselves, are followed here, hop by hop, because cookies are judged anew at each
(RFC 6265 section 5.4). What an answer is stands in ``inspect``, what is on disk in ``partial``.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from doorward.errors import ConfigurationError, InvalidResponse, TransportError
from doorward.http.client import HttpClient
from doorward.model import HttpRequest, HttpResponse
from doorward.papers.addresses import address_flaw, joined
from doorward.papers.inspect import (
    HEAD_BYTES,
    PADDING,
    TAIL_BYTES,
    Finding,
    begins_as_pdf,
    ends_as_pdf,
    is_login_url,
    name_page,
)
from doorward.papers.page import PAGE_BYTES, Page, read_page, refresh_address
from doorward.papers.ranges import goes_on, total_of, validator_of
from doorward.protocol.reading.responses import retry_after_s
from doorward.protocol.reading.urls import by_https

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doorward.http.wire import StreamedResponse
    from doorward.papers.partial import Part, SavedFile
    from doorward.papers.session import DownloadSession
    from doorward.papers.settings import DownloadSettings
    from doorward.ports import Clock

__all__ = ["Follower", "Other", "Received"]

_MAX_HOPS = 20
"""As many as browsers follow."""

_REDIRECTS = {301, 302, 303, 307, 308}
_OK, _PARTIAL, _RANGE_REFUSED = 200, 206, 416
_OVER = {"stopped", "timeout_total"}


class Received(NamedTuple):
    """A whole PDF, in its part; and what its server calls it, as ``Content-Disposition`` says."""

    disposition: str


class Other(NamedTuple):
    """What came instead of a paper."""

    finding: Finding
    page: Page | None = None
    at: str = ""
    retry_after_s: float | None = None
    was_cut: bool = False
    aside: SavedFile | None = None
    """The PDF, if it is one that was not asked for."""


class Follower:
    """Asks for one paper, within the time of that paper.

    Args:
        session: whose cookies are sent, and where those that servers set are stored.
        settings: limits and deadlines.
        clock: measures deadlines, and tells the jar what has expired.
        progress: called with the bytes that are on disk, and how many there will be if that is known.
        stopped: asked with each part; True ends it.
    """

    def __init__(
        self,
        session: DownloadSession,
        settings: DownloadSettings,
        clock: Clock,
        progress: Callable[[int, int | None], None],
        stopped: Callable[[], bool] | None,
    ) -> None:
        self._session = session
        self._settings = settings
        self._clock = clock
        self._progress = progress
        self._stopped = stopped
        self._ends_at = clock.monotonic() + settings.total_timeout_s
        self._client = HttpClient(
            insecure_loopback_http=settings.insecure_loopback_http, total_timeout_s=settings.head_timeout_s
        )

    def follow(self, url: str, part: Part) -> Received | Other:
        """Ask for ``url`` and wherever its answers point. What is without https is asked by https all the same."""
        leads_to = url
        turns = set()
        for hops in range(1 + _MAX_HOPS):
            at = by_https(leads_to)
            if over := self._over():
                return Other(Finding("unavailable", over))
            turn = at, self._cookies_for(at), part.resume
            if turn in turns:
                return Other(Finding("not_pdf", "redirect_circle"))
            turns.add(turn)
            try:
                came = self._hop(at, part, redirected=hops > 0)
            except TransportError as error:
                return Other(Finding("unavailable", error.reason if at == leads_to else "not_by_https"))
            except ConfigurationError as error:
                if error.field != "url":  # a proxy's, or of the trust store: the same for all papers
                    raise
                return Other(Finding("unavailable", f"address_{error.reason}"))
            if not isinstance(came, str):
                return came if at == leads_to else _by_https(came)
            leads_to = came
        return Other(Finding("not_pdf", "too_many_redirects"))

    def _hop(self, at: str, part: Part, *, redirected: bool) -> Received | Other | str:
        """Ask once. Return what came, or the address to ask next."""
        if flaw := address_flaw(at, insecure_loopback_http=self._settings.insecure_loopback_http):
            return Other(Finding("unavailable", f"address_{flaw}"))
        with self._client.stream(
            self._request(at, part),
            idle_timeout_s=self._settings.idle_timeout_s,
            user_agent=self._session.get_user_agent(),
        ) as response:
            for set_cookie in response.set_cookies:
                self._session.jar.store(set_cookie, url=at, now=self._clock.now())
            location = response.headers.get("location") if response.status in _REDIRECTS else None
            if location is None:
                return self._receive(response, part, at, redirected=redirected)
        return _next(at, _as_utf8(location))

    def _cookies_for(self, url: str) -> str:
        # The wire takes printable ASCII. A cookie that is not is left out rather than the request.
        cookies = self._session.jar.header_for(url, now=self._clock.now()) or ""
        return "; ".join(pair for pair in cookies.split("; ") if pair.isascii() and pair.isprintable())

    def _request(self, url: str, part: Part) -> HttpRequest:
        headers = {"Accept": "application/pdf, text/html;q=0.9, */*;q=0.5"}
        if cookies := self._cookies_for(url):
            headers["Cookie"] = cookies
        if resume := part.resume:
            headers["Range"] = f"bytes={resume.offset}-"
            headers["If-Range"] = resume.validator
        limit = max(self._settings.max_bytes - (resume.offset if resume else 0), 1)
        return HttpRequest("GET", url, "the paper", headers, max_response_bytes=limit)

    def _receive(self, response: StreamedResponse, part: Part, at: str, *, redirected: bool) -> Received | Other | str:
        resume = part.resume
        fits = resume is not None and not response.is_coded and goes_on(response.headers, resume)
        if response.status == _PARTIAL and fits:
            return self._save(self._in_time(response), response, part)
        if response.status in {_PARTIAL, _RANGE_REFUSED} and resume is not None:
            part.discard()
            return at  # the same once more, from its beginning
        chunks = self._in_time(response)
        body, failure = _take(chunks, HEAD_BYTES)
        if response.status == _OK and begins_as_pdf(body):
            # Of a body in a coding no part can be asked for: ranges count its coded bytes.
            validator = None if response.is_coded else validator_of(response.headers)
            part.begin(validator, _total(response))
            return self._save(chain([body], chunks), response, part) if failure is None else _cut(failure, part)
        if failure is None:
            more, failure = _take(chunks, PAGE_BYTES)
            body += more
        return self._name(response, body, failure, at, redirected=redirected)

    def _in_time(self, response: StreamedResponse) -> Iterator[bytes]:
        """Hand on what comes in, as long as it may: a server can go on for ever, a byte now and then."""
        for chunk in response.chunks():
            yield chunk
            if over := self._over():
                raise TransportError("The download was ended from here.", reason=over)

    def _over(self) -> str:
        """Say what ends the download, if something does."""
        if self._stopped is not None and self._stopped():
            return "stopped"
        return "timeout_total" if self._clock.monotonic() >= self._ends_at else ""

    def _name(
        self,
        response: StreamedResponse,
        body: bytes,
        failure: TransportError | InvalidResponse | None,
        at: str,
        *,
        redirected: bool,
    ) -> Other | str:
        """Name what is no PDF. Where it could not be read, the status says enough only if it is an error's."""
        says_enough = body or response.status >= 400  # noqa: PLR2004 - errors (RFC 9110 section 15)
        if failure is not None and (failure.reason in _OVER or not says_enough):
            return _failed(failure)
        page = read_page(body)
        finding = name_page(response.status, response.headers, body, page, redirected_to=at if redirected else None)
        refresh = refresh_address(_as_utf8(response.headers.get("refresh", ""))) or page.refresh
        if refresh and not page.pdf_url and finding in {("not_pdf", "html"), ("empty", "no_body")}:
            return _next(at, refresh)
        answer = HttpResponse(response.status, response.headers)
        return Other(finding, page, at, retry_after_s(answer, now=self._clock.now()))

    def _save(self, chunks: Iterator[bytes], response: StreamedResponse, part: Part) -> Other | Received:
        """Write what comes in, and say whether its end is that of a PDF."""
        total = _total(response)
        try:
            for chunk in chunks:
                part.write(chunk)
                self._progress(part.size, total)
        except (TransportError, InvalidResponse) as failure:
            return _cut(failure, part)
        if not ends_as_pdf(part.tail(TAIL_BYTES, PADDING), part.size):
            part.discard()
            return Other(Finding("truncated", "no_pdf_end"))
        return Received(_as_utf8(response.headers.get("content-disposition", "")))


def _next(at: str, reference: str) -> Other | str:
    """Return the address that an answer leads to; or that it leads to a login."""
    leads_to = joined(at, reference)
    return Other(Finding("login_page", "saml_redirect")) if is_login_url(leads_to) else leads_to


def _by_https(came: Received | Other) -> Received | Other:
    """Name what came where an address was without https: what is not there may be there by http alone."""
    if isinstance(came, Received):
        return came
    outcome, reason = came.finding
    is_missing = outcome == "not_found" or (outcome == "unavailable" and reason.startswith("http_4"))
    return Other(Finding("unavailable", "not_by_https")) if is_missing else came


def _total(response: StreamedResponse) -> int | None:
    return None if response.is_coded else total_of(response.headers)


def _cut(failure: TransportError | InvalidResponse, part: Part) -> Other:
    """Say that the body broke off, or was too large."""
    if isinstance(failure, InvalidResponse):
        part.discard()
        return _failed(failure)
    was_cut = part.resume is not None and failure.reason not in _OVER
    return Other(Finding("truncated", failure.reason), was_cut=was_cut)


def _failed(failure: TransportError | InvalidResponse) -> Other:
    match failure.reason:
        case "response_too_large":
            return Other(Finding("too_large", failure.reason))
        case "response_encoded":  # for good, and browsers may read it
            return Other(Finding("not_pdf", failure.reason))
        case _:
            return Other(Finding("unavailable", failure.reason))


def _take(chunks: Iterator[bytes], length: int) -> tuple[bytes, TransportError | InvalidResponse | None]:
    """Read until there are ``length`` bytes or some more; return them, and what ended it if it was not the end."""
    taken = bytearray()
    try:
        for chunk in chunks:
            taken += chunk
            if len(taken) >= length:
                break
    except (TransportError, InvalidResponse) as failure:
        return bytes(taken), failure
    return bytes(taken), None


def _as_utf8(value: str) -> str:
    """Read a header again that is UTF-8, as many are, although HTTP knows only bytes there."""
    return value.encode("latin-1").decode("utf-8", "replace")
