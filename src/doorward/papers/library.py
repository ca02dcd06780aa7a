"""A folder of papers, and whose session they are fetched with."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.papers.addresses import check_address
from doorward.papers.download import download
from doorward.papers.session import Anonymous
from doorward.papers.settings import DownloadSettings
from doorward.record.noting import noting

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from doorward.papers.download import Progress
    from doorward.papers.outcomes import Outcome
    from doorward.papers.session import DownloadSession

__all__ = ["Library"]


class Library:
    """Fetches papers into folders by year.

    Args:
        folder: where they go; ``~`` is the person's home. It is made when the first paper comes.
        session: the session at an institution, if there is one; else papers are asked for as anybody would.
        settings: limits, deadlines, names.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        session: DownloadSession | None = None,
        *,
        settings: DownloadSettings | None = None,
    ) -> None:
        self.folder = Path(folder).expanduser()
        self._session = session or Anonymous()
        self._settings = settings or DownloadSettings()

    def fetch(
        self, *urls: str, year: int | None = None, progress: Callable[[Progress], None] | None = None
    ) -> list[Outcome]:
        """Fetch papers, one after the other, and say what became of each.

        Args:
            urls: addresses of PDFs or of the pages of articles, https.
            year: of publication, of all of them; else the page of the article says it, or nobody.
            progress: called with each part that comes in.

        Returns:
            One outcome for each address, in their order. Only a PDF is saved.

        Raises:
            ConfigurationError: an address can't be one. Nothing was fetched then.
            StoreError: the folder can't be written. What was saved before stays.
        """
        return self._fetch(urls, year, progress, None)

    async def afetch(
        self, *urls: str, year: int | None = None, progress: Callable[[Progress], None] | None = None
    ) -> list[Outcome]:
        """Fetch like ``fetch``, in a thread, which calls ``progress`` too. Cancelling ends it with the next part."""
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(self._fetch, urls, year, progress, stopped.is_set)
        finally:
            stopped.set()

    def _fetch(
        self,
        urls: Sequence[str],
        year: int | None,
        progress: Callable[[Progress], None] | None,
        stopped: Callable[[], bool] | None,
    ) -> list[Outcome]:
        for url in urls:
            check_address(url, insecure_loopback_http=self._settings.insecure_loopback_http)
        outcomes = []
        for url in urls:
            if stopped is not None and stopped():
                break
            fetch = partial(
                download,
                url,
                self._session,
                self.folder,
                settings=self._settings,
                year=year,
                progress=progress,
                stopped=stopped,
            )
            outcomes.append(self._noted(url, fetch))
        return outcomes

    def _noted(self, url: str, fetch: Callable[[], Outcome]) -> Outcome:
        """Fetch one paper. What is asked for with a session is noted, where a record is kept."""
        institution = getattr(self._session, "name", None)
        if institution is None:
            return fetch()
        with noting("download", institution=institution, to=url) as ended:
            outcome = fetch()
            ended["result"] = outcome.outcome
            return outcome
