"""One paper from its address to its file: asks, follows, tells a PDF from what is none, and goes on where it was cut.

Redirects are followed here, hop by hop, because cookies are judged anew at each (RFC 6265 section 5.4). What an answer
is stands in ``inspect``, what is on disk in ``partial``, what a file is called in ``naming``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, InvalidResponse, SignInError, TransportError, UnavailableError
from doorward.http.client import HttpClient
from doorward.model import HttpRequest, HttpResponse
from doorward.papers.addresses import address_flaw, check_address, joined
from doorward.papers.inspect import (
    HEAD_BYTES,
    PAGE_BYTES,
    TAIL_BYTES,
    Finding,
    Page,
    begins_as_pdf,
    ends_as_pdf,
    is_login_url,
    name_page,
    read_page,
)
from doorward.papers.naming import file_stem, suggested_name, year_folder
from doorward.papers.outcomes import Outcome, Route
from doorward.papers.partial import InUse, Part, SavedFile
from doorward.papers.ranges import goes_on, total_of, validator_of
from doorward.papers.settings import DownloadSettings
from doorward.protocol.reading.responses import retry_after_s
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from doorward.http.wire import StreamedResponse
    from doorward.papers.session import DownloadSession
    from doorward.ports import Clock

__all__ = ["Progress", "download"]

_log = logging.getLogger("doorward.papers")

_MAX_HOPS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_OK, _PARTIAL, _RANGE_REFUSED = 200, 206, 416
_MAY_BE_ARTICLE = {"not_pdf", "not_entitled", "login_page"}
_OVER = {"stopped", "timeout_total"}
_WANTS_LOGIN = {"login_page", "not_entitled"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is: bytes that are on disk, and how many there will be if the server said."""

    url: str
    received: int
    total: int | None


class _Other(NamedTuple):
    """What came instead of a paper."""

    finding: Finding
    page: Page | None = None
    at: str = ""
    retry_after_s: float | None = None
    was_cut: bool = False


_Result: TypeAlias = SavedFile | _Other


def download(  # noqa: PLR0913 - what is asked for, and all by keyword how
    url: str,
    session: DownloadSession,
    folder: Path,
    *,
    settings: DownloadSettings | None = None,
    year: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    stopped: Callable[[], bool] | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Fetch one paper, and save it if it is a PDF.

    The plain address comes first. The page of an article leads on to the PDF it names (``citation_pdf_url``), and to
    the year if none was given. Where a login or a purchase is wanted, the way through the institution is tried, and
    tried again if the session can be renewed.

    Args:
        url: https address of the PDF or of the page of its article.
        session: whose cookies are sent and whose institution leads there; ``Anonymous()`` for open papers.
        folder: where the folders of the years are; made if it is not there.
        settings: limits, deadlines, names.
        year: of publication.
        progress: called from this thread with each part that comes in.
        stopped: asked with each part; True ends the download, which stays to be gone on with.
        clock: measures deadlines, and tells the jar what has expired.

    Raises:
        ConfigurationError: the address, or a setting of the network, can't be used.
        StoreError: the folder can't be written; ``disk_full`` for one.
    """
    return _Download(url, session, folder, settings or DownloadSettings(), year, progress, stopped, clock).run()


class _Download:
    """One paper, on its way."""

    def __init__(  # noqa: PLR0913, PLR0917 - those of ``download``
        self,
        url: str,
        session: DownloadSession,
        folder: Path,
        settings: DownloadSettings,
        year: int | None,
        progress: Callable[[Progress], None] | None,
        stopped: Callable[[], bool] | None,
        clock: Clock | None,
    ) -> None:
        self._asked = url
        self._target = check_address(url, insecure_loopback_http=settings.insecure_loopback_http)
        self._session = session
        self._folder = folder
        self._settings = settings
        self._year = year
        self._progress = progress
        self._stopped = stopped
        self._clock = clock or SystemClock()
        self._ends_at = self._clock.monotonic() + settings.total_timeout_s
        self._client = HttpClient(
            insecure_loopback_http=settings.insecure_loopback_http, total_timeout_s=settings.head_timeout_s
        )

    def run(self) -> Outcome:
        result, route = self._ask_both_ways()
        if isinstance(result, _Other) and result.finding.outcome == "login_page":
            self._session.note_login_page()
            if self._renewed():
                result, route = self._ask_both_ways()
        return self._outcome(result, route)

    def _ask_both_ways(self) -> tuple[_Result, Route]:
        """Ask at the plain address first: the way through an institution may be one that begins a login each time."""
        result = self._ask(self._target)
        if not isinstance(result, _Other) or result.finding.outcome not in _MAY_BE_ARTICLE:
            return result, "direct"
        link = self._way_in()
        if link is None:
            return result, "direct"
        by_institution = self._ask(link)
        if result.finding.outcome not in _WANTS_LOGIN and not isinstance(by_institution, SavedFile):
            return result, "direct"  # a page that wants nothing of anybody, and is no paper
        return by_institution, "institution"

    def _way_in(self) -> str | None:
        """Return the way through the institution, if there is one: its links take no address that is too long."""
        try:
            return self._session.link_to(self._target)
        except ConfigurationError:
            return None

    def _renewed(self) -> bool:
        """Say whether the session is there again. What keeps it from that is no reason not to ask for other papers."""
        try:
            return self._session.renew()
        except (ConfigurationError, SignInError, UnavailableError) as error:
            _log.info("The session could not be renewed: %s", error.message)
            return False

    def _outcome(self, result: _Result, route: Route) -> Outcome:
        if isinstance(result, SavedFile):
            return Outcome(self._asked, "saved", "pdf", route, result.path, result.size, result.sha256)
        name, reason = result.finding
        return Outcome(self._asked, name, reason, route, retry_after_s=result.retry_after_s)

    def _ask(self, url: str) -> _Result:
        """Ask for ``url``, and for the PDF that it names if it is the page of an article."""
        result = self._ask_until_whole(url)
        if not isinstance(result, _Other) or result.page is None or result.finding.outcome not in _MAY_BE_ARTICLE:
            return result
        named = result.page.pdf_url
        pdf_url = joined(result.at, named) if named else ""
        if pdf_url in {"", url, result.at}:
            return result
        if flaw := self._flaw(pdf_url):
            return _Other(Finding("unavailable", f"address_{flaw}"))
        self._year = self._year or result.page.year
        self._target = pdf_url
        return self._ask_until_whole(pdf_url)

    def _ask_until_whole(self, url: str) -> _Result:
        """Go on with what was cut off, as often as may be."""
        for _ in range(self._settings.resumes):
            result = self._ask_once(url)
            if not (isinstance(result, _Other) and result.was_cut):
                return result
        return self._ask_once(url)

    def _ask_once(self, url: str) -> _Result:
        stem = f"{file_stem('{name}', {'name': suggested_name(self._target)})[:40]}-{_key(self._target)}"
        try:
            with Part(self._folder, year_folder(self._year), stem) as part:
                return self._follow(url, part)
        except InUse:
            return _Other(Finding("unavailable", "download_under_way"))

    def _follow(self, url: str, part: Part) -> _Result:
        """Ask for ``url``, and wherever its answers point."""
        at = url
        for _ in range(1 + _MAX_HOPS):
            if over := self._over():
                return _Other(Finding("unavailable", over))
            try:
                step = self._hop(at, part, redirected=at != url)
            except TransportError as error:
                return _Other(Finding("unavailable", error.reason))
            except ConfigurationError as error:
                if error.field != "url":  # a proxy's, or of the trust store: the same for all papers
                    raise
                return _Other(Finding("unavailable", f"address_{error.reason}"))
            if not isinstance(step, str):
                return step
            at = step
        return _Other(Finding("unavailable", "too_many_redirects"))

    def _hop(self, at: str, part: Part, *, redirected: bool) -> _Result | str:
        """Ask once. Return what came, or the address to ask next."""
        if flaw := self._flaw(at):
            return _Other(Finding("unavailable", f"address_{flaw}"))
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
        leads_to = joined(at, _as_utf8(location))
        return _Other(Finding("login_page", "saml_redirect")) if is_login_url(leads_to) else leads_to

    def _flaw(self, url: str) -> str:
        return address_flaw(url, insecure_loopback_http=self._settings.insecure_loopback_http)

    def _request(self, url: str, part: Part) -> HttpRequest:
        headers = {"Accept": "application/pdf, text/html;q=0.9, */*;q=0.5"}
        if cookies := self._session.jar.header_for(url, now=self._clock.now()):
            # The wire takes printable ASCII. A cookie that is not is left out rather than the request.
            headers["Cookie"] = "; ".join(pair for pair in cookies.split("; ") if pair.isascii() and pair.isprintable())
        if resume := part.resume:
            headers["Range"] = f"bytes={resume.offset}-"
            headers["If-Range"] = resume.validator
        limit = max(self._settings.max_bytes - (resume.offset if resume else 0), 1)
        return HttpRequest("GET", url, "the paper", headers, max_response_bytes=limit)

    def _receive(self, response: StreamedResponse, part: Part, at: str, *, redirected: bool) -> _Result | str:
        resume = part.resume
        if response.status == _PARTIAL and resume is not None and goes_on(response.headers, resume):
            return self._save(self._in_time(response), response, part)
        if response.status in {_PARTIAL, _RANGE_REFUSED} and resume is not None:
            part.discard()
            return at  # the same once more, from its beginning
        chunks = self._in_time(response)
        body, failure = _take(chunks, HEAD_BYTES)
        if response.status == _OK and begins_as_pdf(body):
            part.begin(validator_of(response.headers), total_of(response.headers))
            return self._save(chain([body], chunks), response, part) if failure is None else self._cut(failure, part)
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
        """Return why nothing more is to be asked or read, one of ``_OVER``; empty if it may."""
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
    ) -> _Other:
        """Name what is no PDF. Where it could not be read, the status says enough only if it is an error's."""
        says_enough = body or response.status >= 400  # noqa: PLR2004 - errors (RFC 9110 section 15)
        if failure is not None and (failure.reason in _OVER or not says_enough):
            return _failed(failure)
        page = read_page(body)
        finding = name_page(response.status, response.headers, body, page, redirected_to=at if redirected else None)
        answer = HttpResponse(response.status, response.headers)
        return _Other(finding, page, at, retry_after_s(answer, now=self._clock.now()))

    def _save(self, chunks: Iterator[bytes], response: StreamedResponse, part: Part) -> _Other | SavedFile:
        """Write what comes in, and make a paper of it if its end is one."""
        total = total_of(response.headers)
        try:
            for chunk in chunks:
                part.write(chunk)
                if self._progress is not None:
                    self._progress(Progress(self._asked, part.size, total))
        except (TransportError, InvalidResponse) as failure:
            return self._cut(failure, part)
        if not ends_as_pdf(part.tail(TAIL_BYTES), part.size):
            part.discard()
            return _Other(Finding("truncated", "no_pdf_end"))
        fields = {
            "name": suggested_name(self._target, _as_utf8(response.headers.get("content-disposition", ""))),
            "host": urlsplit(self._target).hostname or "",
            "year": "" if self._year is None else str(self._year),
        }
        return part.finish(file_stem(self._settings.template, fields))

    @staticmethod
    def _cut(failure: TransportError | InvalidResponse, part: Part) -> _Other:
        """Say that the body broke off, or was too large."""
        if isinstance(failure, InvalidResponse):
            part.discard()
            return _failed(failure)
        was_cut = part.resume is not None and failure.reason not in _OVER
        return _Other(Finding("truncated", failure.reason), was_cut=was_cut)


def _failed(failure: TransportError | InvalidResponse) -> _Other:
    too_large = failure.reason == "response_too_large"
    return _Other(Finding("too_large" if too_large else "unavailable", failure.reason))


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


def _key(url: str) -> str:
    """Return what tells the parts of different addresses apart."""
    return sha256(url.encode()).hexdigest()[:16]
