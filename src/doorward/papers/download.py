"""One paper from its address to its file: both ways to it, the page of its article, and on where it was cut.

How one address is asked stands in ``follow``, what is on disk in ``partial``, what a file is called in ``naming``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from doorward.children import is_interpreter
from doorward.errors import ConfigurationError, SignInError, UnavailableError
from doorward.papers.addresses import address_flaw, check_address, doi_of, joined
from doorward.papers.checking.article import Article, Verdict, judge
from doorward.papers.checking.reading import can_read, read_pdf
from doorward.papers.follow import Follower, Other, Received
from doorward.papers.inspect import Finding
from doorward.papers.manifest import add, find
from doorward.papers.naming import ASIDE, article_name, file_stem, suggested_name, year_folder
from doorward.papers.outcomes import Outcome, Route
from doorward.papers.partial import InUse, Part, SavedFile
from doorward.papers.settings import DownloadSettings
from doorward.protocol.reading.urls import by_https
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from doorward.papers.session import DownloadSession
    from doorward.ports import Clock

__all__ = ["Progress", "download"]

_log = logging.getLogger("doorward.papers")

_MAY_BE_ARTICLE = {"not_pdf", "not_entitled", "login_page"}
_WANTS_LOGIN = {"login_page", "not_entitled"}


class _Filed(NamedTuple):
    """A paper that is saved, and what is known of it."""

    file: SavedFile
    reason: str


_Result: TypeAlias = _Filed | Other


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is: bytes that are on disk, and how many there will be if the server said."""

    url: str
    received: int
    total: int | None


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
        self._address = check_address(url, insecure_loopback_http=settings.insecure_loopback_http)
        self._target = self._address
        self._article = Article()
        self._session = session
        self._folder = folder
        self._settings = settings
        self._year = year

        def tell(received: int, total: int | None) -> None:
            if progress is not None:
                progress(Progress(url, received, total))

        self._clock = clock or SystemClock()
        self._follower = Follower(session, settings, self._clock, tell, stopped)

    def run(self) -> Outcome:
        if there := self._there_already(self._address):
            return self._outcome(there, "direct")
        result, route = self._ask_both_ways()
        if isinstance(result, Other) and result.finding.outcome == "login_page":
            self._session.note_login_page()
            if self._renewed():
                result, route = self._ask_both_ways()
        return self._outcome(result, route)

    def _ask_both_ways(self) -> tuple[_Result, Route]:
        """Ask at the plain address first: the way through an institution may be one that begins a login each time."""
        result = self._ask(self._target)
        if not isinstance(result, Other) or not (result.finding.outcome in _MAY_BE_ARTICLE or _is_lost(result)):
            return result, "direct"
        link = self._way_in()
        if link is None:
            return result, "direct"
        by_institution = self._ask(link)
        if result.finding.outcome not in _WANTS_LOGIN and not isinstance(by_institution, _Filed):
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
        if isinstance(result, _Filed):
            file = result.file
            return Outcome(self._asked, "saved", result.reason, route, file.path, file.size, file.sha256)
        outcome = Outcome(self._asked, *result.finding, route, retry_after_s=result.retry_after_s)
        aside = result.aside
        return replace(outcome, path=aside.path, bytes=aside.size, sha256=aside.sha256) if aside else outcome

    def _ask(self, url: str) -> _Result:
        """Ask for ``url``, and for the PDF that it names if it is the page of an article."""
        result = self._ask_until_whole(url)
        if not isinstance(result, Other) or result.page is None or result.finding.outcome not in _MAY_BE_ARTICLE:
            return result
        page = result.page
        if page.is_article:
            self._article = page.article
        named = page.pdf_url
        pdf_url = joined(result.at, named) if named else ""
        target = by_https(pdf_url)
        if target in {"", url, result.at}:
            return result
        if flaw := address_flaw(target, insecure_loopback_http=self._settings.insecure_loopback_http):
            return Other(Finding("unavailable", f"address_{flaw}"))
        self._article = page.article
        self._year = self._year or self._article.year
        self._target = target
        return self._there_already(target) or self._ask_until_whole(pdf_url)

    def _there_already(self, address: str) -> _Filed | None:
        saved = find(self._folder, address)
        return None if saved is None else _Filed(saved, "already_there")

    def _ask_until_whole(self, url: str) -> _Result:
        """Go on with what was cut off, as often as may be."""
        for _ in range(self._settings.resumes):
            result = self._ask_once(url)
            if not (isinstance(result, Other) and result.was_cut):
                return result
        return self._ask_once(url)

    def _ask_once(self, url: str) -> _Result:
        stem = f"{file_stem('{name}', {'name': suggested_name(self._target)})[:40]}-{_key(self._target)}"
        try:
            with Part(self._folder, year_folder(self._year), stem) as part:
                came = self._follower.follow(url, part)
                return came if isinstance(came, Other) else self._keep(came, part)
        except InUse:
            return Other(Finding("unavailable", "download_under_way"))

    def _keep(self, received: Received, part: Part) -> _Result:
        """Name the PDF and file it; or keep it aside, if it is another paper."""
        verdict = self._verdict(part)
        name = "" if verdict == "wrong" else article_name(self._article, self._year)
        fields = {
            "name": name or suggested_name(self._target, received.disposition),
            "host": urlsplit(self._target).hostname or "",
            "year": "" if self._year is None else str(self._year),
        }
        stem = file_stem(self._settings.template, fields)
        if verdict == "wrong":
            return Other(Finding("wrong_paper", "another_article"), aside=part.finish(stem, ASIDE))
        reason = "article" if verdict == "right" else verdict
        saved = part.finish(stem)
        try:
            add(self._folder, saved, (self._address, self._target), reason=reason, at=self._clock.now())
        except OSError as error:
            _log.info("A paper that was saved could not be noted: %s", error.strerror)
        return _Filed(saved, reason)

    def _verdict(self, part: Part) -> Verdict | Literal["pdf", "unread", "pypdf_missing"]:
        """Say whether the PDF is of the article that was asked for."""
        dois = {doi for doi in map(doi_of, (self._address, self._target)) if doi}
        article = replace(self._article, dois=self._article.dois | dois)
        if not (article.titles or article.dois):
            return "pdf"
        if not can_read():
            return "pypdf_missing" if is_interpreter() else "unread"
        with part.opened() as fd:
            contents = read_pdf(fd)
        return "unread" if contents is None else judge(article, contents)


def _is_lost(result: Other) -> bool:
    """Say whether the way led nowhere, where a proxy of the institution may find another."""
    return result.finding.reason == "not_by_https"


def _key(url: str) -> str:
    """Return what tells the parts of different addresses apart."""
    return sha256(url.encode()).hexdigest()[:16]
