"""``doorward fetch``: papers by their addresses into a folder, with what became of each."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.ending import FAILED, SIGN_IN_NEEDED, UNAVAILABLE, error_object, exit_code
from doorward.cli.options import json_option
from doorward.cli.terminal import make_console, print_line, print_note, print_text
from doorward.cli.view import duration_in_words
from doorward.errors import ConfigurationError, DoorwardError, printable
from doorward.papers.addresses import check_address
from doorward.papers.library import Library
from doorward.papers.settings import DownloadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from doorward.institution import InstitutionSession
    from doorward.institution.cookies.jar import CookieJar
    from doorward.papers.download import Progress
    from doorward.papers.outcomes import Outcome, OutcomeName

__all__ = ["EXIT_CODES", "command", "fetch_papers"]

_KIB = 1024
_MIB = 1_048_576

EXIT_CODES: Mapping[OutcomeName, int] = MappingProxyType(
    {
        "saved": 0,
        "login_page": SIGN_IN_NEEDED,
        "not_entitled": FAILED,
        "human_check": UNAVAILABLE,
        "rate_limited": UNAVAILABLE,
        "not_found": FAILED,
        "empty": UNAVAILABLE,
        "not_pdf": FAILED,
        "wrong_paper": FAILED,
        "truncated": UNAVAILABLE,
        "too_large": FAILED,
        "unavailable": UNAVAILABLE,
    }
)
"""How each outcome ends the command: what its advice calls worth trying again is ``UNAVAILABLE``."""
_NO_USE_TO_TRY_AGAIN = frozenset({"redirect_circle", "response_encoded", "too_many_redirects"})
"""Reasons of an outcome that is worth it otherwise."""


@click.command("fetch")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--to", "folder", metavar="FOLDER", default="papers", help="Where they go; else the folder 'papers' here."
)
@click.option("--year", metavar="Y", type=click.IntRange(1, 9999), help="The year of publication, of all of them.")
@click.option(
    "--institution",
    metavar="NAME",
    envvar="DOORWARD_INSTITUTION",
    help="Where you signed in, for what wants a login (doorward institution list); else the only one, if there is one.",
)
@click.option("--insecure-loopback-http", is_flag=True, help="Allow http to this computer, for development.")
@json_option
def command(  # noqa: PLR0913 - the options of the command, all by keyword
    *,
    urls: tuple[str, ...],
    folder: str,
    year: int | None,
    institution: str | None,
    insecure_loopback_http: bool,
    as_json: bool,
) -> int:
    """Fetch papers: the address of a PDF, or of the page of an article that names its PDF.

    Each goes to FOLDER/YEAR, or to FOLDER/unknown where nobody says the year. Only a PDF is saved; of anything else you
    are told what it is. A download that was cut off goes on where it was, where the server can.

    With --json, each paper is one line as soon as it is done.

    \b
    Exit codes, besides those of every command:
      0  all were saved
      1  some were not, and trying again won't help
      3  some want a login
      4  some can't be had for now
    """  # noqa: D301 - click's mark for lines to be left alone
    settings = DownloadSettings(insecure_loopback_http=insecure_loopback_http)
    session = _only_session(as_json=as_json) if institution is None else _session_at(institution)
    return fetch_papers(urls, folder, session, year=year, settings=settings, as_json=as_json)


def _session_at(name: str) -> InstitutionSession:
    from doorward.institution import Institution

    return Institution.named(name).open_session()


def _only_session(*, as_json: bool) -> InstitutionSession | None:
    """Return the session of who is signed in at one institution. One that can't be used keeps from no open paper."""
    try:
        names = _signed_in_at()
        session = _session_at(names[0]) if len(names) == 1 else None
    except DoorwardError as error:
        print_note(f"Fetching as somebody who is signed in nowhere. {error.message}")
        return None
    if session is not None and not as_json:
        print_note(f"What wants a login is fetched by way of {session.name}, where you are signed in.")
    return session


def fetch_papers(  # noqa: PLR0913 - what is fetched, and by keyword how
    urls: Sequence[str],
    folder: str,
    session: InstitutionSession | None,
    *,
    year: int | None,
    settings: DownloadSettings,
    as_json: bool,
) -> int:
    """Fetch papers with a session, or as anybody where it is None; tell of each, and return the exit code."""
    _check_addresses(urls, settings)
    library = Library(folder, _Announced(session) if session and not as_json else session, settings=settings)
    outcomes = []
    try:
        for number, url in enumerate(urls, 1):
            with _progress(f"{number}/{len(urls)}", url, as_json=as_json) as progress:
                [outcome] = library.fetch(url, year=year, progress=progress)
            outcomes.append(outcome)
            if as_json:
                print_line(json.dumps(_outcome_object(outcome)))
            else:
                print_text(_in_words(outcome, session))
            sys.stdout.flush()
    except DoorwardError as error:
        if not as_json:
            raise
        print_line(json.dumps({"error": error_object(error)}))  # a line like the others
        return exit_code(error)
    return _exit_code(outcomes)


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return the code of the most that a person can do: sign in, try again later, or nothing."""
    codes = {FAILED if outcome.reason in _NO_USE_TO_TRY_AGAIN else EXIT_CODES[outcome.outcome] for outcome in outcomes}
    return next((code for code in (SIGN_IN_NEEDED, UNAVAILABLE, FAILED) if code in codes), 0)


class _Announced:
    """A session that says so before it is renewed: that takes as long as a browser takes."""

    def __init__(self, session: InstitutionSession) -> None:
        self._session = session
        self.name = session.name
        self.get_user_agent = session.get_user_agent
        self.link_to = session.link_to
        self.note_login_page = session.note_login_page

    @property
    def jar(self) -> CookieJar:
        return self._session.jar

    def renew(self) -> bool:
        print_note(
            f"A login page came. Seeing whether {self._session.name} still knows you, in a browser that nobody sees: "
            "that can take a minute…"
        )
        return self._session.renew()


def _check_addresses(urls: Sequence[str], settings: DownloadSettings) -> None:
    """Look at every address before any is asked for. Which one is wrong is said by its place: it may hold a secret."""
    for number, url in enumerate(urls, 1):
        try:
            check_address(url, insecure_loopback_http=settings.insecure_loopback_http)
        except ConfigurationError as error:
            if len(urls) == 1:
                raise
            message = f"Address {number} of {len(urls)}: {error.message} Nothing was fetched."
            raise ConfigurationError(message, field=error.field, reason=error.reason) from None


def _in_words(outcome: Outcome, session: InstitutionSession | None) -> str:
    kept = f"{printable(str(outcome.path))} ({_size(outcome.bytes)})"
    if outcome.reason == "already_there":
        return f"There already: {kept}."
    if outcome.is_saved:
        return f"Saved {kept}.{outcome.advice.removeprefix('Saved.')}"
    advice = outcome.advice if outcome.path is None else f"{outcome.advice} It is {kept}."
    if EXIT_CODES[outcome.outcome] == SIGN_IN_NEEDED:
        advice += f" {_how_to_sign_in(session)}"
    wait = "" if outcome.retry_after_s is None else f" It asks for {duration_in_words(outcome.retry_after_s)}."
    slugs = ", ".join(dict.fromkeys((outcome.outcome, outcome.reason)))
    return f"Not saved: {printable(outcome.url)}: {advice}{wait} ({slugs})"


def _how_to_sign_in(session: InstitutionSession | None) -> str:
    if session is None and len(names := _signed_in_at()) > 1:
        return f"You are signed in at several: name one with --institution ({', '.join(map(printable, names))})."
    return f"Sign in with: doorward institution login {'WHERE --target URL' if session is None else session.name}."


def _signed_in_at() -> list[str]:
    from doorward.vault.vault import Vault

    return Vault().institutions.names()


def _size(length: int) -> str:
    return f"{length / _MIB:.1f} MiB" if length >= _MIB else f"{length / _KIB:.1f} KiB"


def _outcome_object(outcome: Outcome) -> dict[str, Any]:
    described: dict[str, Any] = {
        "url": outcome.url,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "route": outcome.route,
        "path": None if outcome.path is None else str(outcome.path),
        "bytes": outcome.bytes,
        "sha256": outcome.sha256,
    }
    if outcome.retry_after_s is not None:
        described["retry_after_s"] = outcome.retry_after_s
    return described


@contextmanager
def _progress(number: str, url: str, *, as_json: bool) -> Generator[Callable[[Progress], None] | None]:
    """Show how far one paper is, on a terminal; it goes away when the paper is done."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        BarColumn(bar_width=20),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=make_console(stderr=True), transient=True, expand=True) as bars:
        task = bars.add_task(f"{number} {printable(url.partition('://')[2])}", total=None)

        def show(progress: Progress) -> None:
            bars.update(task, completed=progress.received, total=progress.total)

        yield show
