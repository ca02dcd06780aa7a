"""``doorward fetch``: papers by their addresses into a folder, with what became of each."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.ending import FAILED, SIGN_IN_NEEDED, UNAVAILABLE, error_object, exit_code
from doorward.cli.options import json_option
from doorward.cli.terminal import make_console, print_line, print_text
from doorward.errors import ConfigurationError, DoorwardError, printable
from doorward.papers.addresses import check_address
from doorward.papers.library import Library
from doorward.papers.settings import DownloadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from doorward.papers.download import Progress
    from doorward.papers.outcomes import Outcome
    from doorward.papers.session import DownloadSession

__all__ = ["command", "fetch_papers"]

_KIB = 1024
_MIB = 1_048_576
_SIGN_IN = {"login_page"}
_LATER = {"rate_limited", "unavailable"}


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
    help="Where you signed in, for what wants a login: doorward institution list.",
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
    session = None
    if institution is not None:
        from doorward.institution import Institution

        session = Institution.named(institution).open_session()
    return fetch_papers(urls, folder, session, year=year, settings=settings, as_json=as_json)


def fetch_papers(  # noqa: PLR0913 - what is fetched, and by keyword how
    urls: Sequence[str],
    folder: str,
    session: DownloadSession | None,
    *,
    year: int | None,
    settings: DownloadSettings,
    as_json: bool,
) -> int:
    """Fetch papers with a session, or as anybody where it is None; tell of each, and return the exit code."""
    _check_addresses(urls, settings)
    library = Library(folder, session, settings=settings)
    outcomes = []
    try:
        for number, url in enumerate(urls, 1):
            with _progress(f"{number}/{len(urls)}", url, as_json=as_json) as progress:
                [outcome] = library.fetch(url, year=year, progress=progress)
            outcomes.append(outcome)
            if as_json:
                print_line(json.dumps(_outcome_object(outcome)))
            else:
                print_text(_in_words(outcome, is_member=session is not None))
            sys.stdout.flush()
    except DoorwardError as error:
        if not as_json:
            raise
        print_line(json.dumps({"error": error_object(error)}))  # a line like the others
        return exit_code(error)
    return _exit_code(outcomes)


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    names = {outcome.outcome for outcome in outcomes} - {"saved"}
    if not names:
        return 0
    if names & _SIGN_IN:
        return SIGN_IN_NEEDED
    return UNAVAILABLE if names & _LATER else FAILED


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


def _in_words(outcome: Outcome, *, is_member: bool) -> str:
    where = f"{printable(str(outcome.path))} ({_size(outcome.bytes)})"
    if outcome.reason == "already_there":
        return f"There already: {where}."
    if outcome.is_saved:
        return f"Saved {where}.{outcome.advice.removeprefix('Saved.')}"
    advice = outcome.advice if outcome.path is None else f"{outcome.advice} It is {where}."
    if outcome.outcome in _SIGN_IN and not is_member:
        advice = f"{advice} Name the institution with --institution."
    wait = "" if outcome.retry_after_s is None else f" It asks for {outcome.retry_after_s:.0f} s."
    return f"Not saved: {printable(outcome.url)}: {advice}{wait} ({outcome.outcome}, {outcome.reason})"


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
