"""``doorward institution``: sign in at an institution in a browser, and see, list and end what is held of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from doorward.cli.ending import FAILED, SIGN_IN_NEEDED, UNAVAILABLE, error_object
from doorward.cli.options import Group, json_option
from doorward.cli.terminal import print_json, print_note, print_table, print_text
from doorward.cli.view import duration_in_words
from doorward.errors import (
    ConfigurationError,
    CorruptEntry,
    DoorwardError,
    SignInRequired,
    StoreError,
    VaultError,
    printable,
)
from doorward.institution import Institution
from doorward.institution.observations import Pending, ProbeNow
from doorward.institution.session import UNTOLD, Cleared, Status
from doorward.institution.settings import read_institutions
from doorward.system import SystemClock
from doorward.vault.times import format_instant
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.institution.observations import Verdict
    from doorward.institution.session import InstitutionSession
    from doorward.institution.settings import NamedInstitution
    from doorward.vault.institution_entries import InstitutionEntry

__all__ = ["command"]

_HEADER = ("NAME", "SIGNED IN", "LAST PROVEN", "WHERE")
_WHERE = 3
_SETTINGS = "settings"

_WAITING = "Waiting for you in the browser window: sign in there as you always do. Ctrl-C stops."
_ASKING = "The service has let the window in; asking whether it opens the page too…"
_SAID = {
    "elsewhere": _WAITING,
    "nothing_changed": _WAITING,
    "cookies_mean_nothing": _WAITING,
    "human_check": "The site may want to see that you are a person: look at the window.",
    "service_cookie": _ASKING,
    "assertion_taken": _ASKING,
    "not_proven": "The page has not opened yet. It is asked for again from time to time.",
}
"""What a verdict means to who waits at the terminal; of any other, nothing is said. Each is said once, and none claims
what a later one may have to take back."""


@click.group("institution", cls=Group)
def command() -> None:
    """Sign in at a university or library, with the browser you have.

    The sign-in is proven: a page that only members can open has to open. Passwords are typed in the browser alone.
    """


@command.command("login", short_help="Sign in at an institution, and keep the session.")
@click.argument("where")
@click.option("--name", metavar="NAME", help="What to call it here; else its domain or host.")
@click.option("--target", metavar="URL", help="A page or paper that only members can open: it proves the sign-in.")
@click.option("--headless", is_flag=True, help="Without a window, where nobody has to be asked anything.")
@click.option("--explain", is_flag=True, help="Afterwards, say step by step what was seen and what it meant.")
@json_option
def _login(  # noqa: PLR0913 - the options of the command, all by keyword
    *, where: str, name: str | None, target: str | None, headless: bool, explain: bool, as_json: bool
) -> None:
    """Sign in at WHERE, and keep the session.

    WHERE is the institution's domain, as OpenAthens knows it (jcu.edu.au), or the https address of a redirector, an
    EZproxy, a Shibboleth or CAS login or a portal; or a name that was used before or stands in doorward.toml.

    The first time, a --target is needed too, unless the address holds one.
    """
    institution = _institution(where, name, target)
    teller = None if as_json else _Teller(institution.route.host, headless=headless)
    try:
        session = institution.sign_in(headless=headless, say=teller)
    finally:
        if explain:
            _explain(institution)
    if as_json:
        print_json({"institution": session.name, "signed_in": True})
        return
    hours = institution.settings.session_max_age_h
    print_text(
        f"Signed in at {session.name}: the page opened. The session is kept for {hours:g} h, unless the service ends "
        "it sooner."
    )


@command.command("status", short_help="Ask whether sessions still hold.")
@click.argument("name", required=False)
@json_option
def _status(*, name: str | None, as_json: bool) -> int:
    """Ask whether the session at NAME still holds; without NAME, of all of them.

    \b
    Exit codes, besides those of every command:
      0  all hold
      3  some do not: sign in again
      1  some have settings that are wrong
      4  some could not be asked
    """  # noqa: D301 - click's mark for lines to be left alone
    found = [
        (each, _standing_of(each, alone=bool(name))) for each in ([name] if name else Vault().institutions.names())
    ]
    if as_json:
        print_json(
            [{"institution": each, "state": at.state, "reason": at.reason, "message": at.message} for each, at in found]
        )
    elif not found:
        print_text(_NOBODY)
    else:
        for each, at in found:
            print_text(_standing(each, at))
    states = {at.state for _, at in found}
    if "expired" in states:
        return SIGN_IN_NEEDED
    if any(at.reason == _SETTINGS for _, at in found):
        return FAILED
    return UNAVAILABLE if "unknown" in states else 0


@command.command("logout", short_help="Sign out, and remove what is held here.")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Every institution.")
@json_option
def _logout(*, name: str | None, every: bool, as_json: bool) -> int:
    """Sign out of NAME: remove all that is held here, and have the service end the session where that is possible.

    Exits with 1 if the service still takes the session.
    """
    vault = Vault()
    names = vault.institutions.held_names() if every or not name else [name]
    if len(names) > 1 and not every:
        message = f"You are signed in at {', '.join(names)}. Say which to leave, or give --all."
        raise ConfigurationError(message, field="NAME", reason="name_missing")
    ended = [(each, _left(each, vault)) for each in names]
    if as_json:
        print_json(
            [
                {"institution": each, "removed": done.removed, "signed_out": done.signed_out, "problem": done.problem}
                for each, done in ended
            ]
        )
    elif not ended:
        print_text(_NOBODY)
    else:
        for each, done in ended:
            print_text(_farewell(each, done))
    return FAILED if any(done.signed_out is False for _, done in ended) else 0


@command.command("list", short_help="Show the institutions that are known here.")
@json_option
def _list(*, as_json: bool) -> None:
    """Show every institution that is signed in at, or named in doorward.toml. No network is used."""
    now, named = SystemClock().now(), read_institutions()
    held = _read()
    names = sorted({*named, *held})
    if as_json:
        print_json([_listed_object(name, held.get(name), named.get(name)) for name in names])
        return
    rows, notes = [], []
    for name in names:
        match held.get(name):
            case None:
                rows.append((named[name].name, "no", "", printable(named[name].where)))
            case DoorwardError() as problem:
                notes.append(f"{name}: {problem.message}")
            case entry:
                times = _ago(entry.signed_in_at, now), _ago(entry.proven_at, now)
                rows.append((entry.name, *times, printable(entry.where)))
    if rows:
        print_table(_HEADER, rows, shorten=_WHERE)
    for note in notes:
        print_text(note)
    if not names:
        print_text(_NOBODY)


_MARGIN = " " * 10

_NOBODY = "Nobody is signed in at an institution. Sign in with: doorward institution login WHERE --target URL"


class _Teller:
    """Tells who waits at the terminal what is waited for, each thing once. Called in the browser's thread."""

    def __init__(self, host: str, *, headless: bool) -> None:
        opening = f"Opening {printable(host)} in a browser{' that has no window' if headless else ''}…"
        self._untold = {"page_under_way": opening} if headless else {"page_under_way": opening, **_SAID}

    def __call__(self, verdict: Verdict) -> None:
        text = self._untold.get(verdict.reason) if isinstance(verdict, Pending | ProbeNow) else None
        if text:
            self._untold = {reason: other for reason, other in self._untold.items() if other != text}
            print_note(text)


def _institution(where: str, name: str | None, target: str | None) -> Institution:
    """Make the institution that ``where`` says: a name that is known here, or a place."""
    if not _is_known(where):
        return Institution(where, name=name, target=target)
    known = Institution.named(where, target=target)
    if name is not None and name.lower() != known.name.lower():
        message = f"{printable(where)!r} is called that already. Leave out --name, or give its address."
        raise ConfigurationError(message, field="--name", reason="name_twice")
    return known


def _is_known(where: str) -> bool:
    try:
        return where.lower() in read_institutions() or Vault().institutions.get(where) is not None
    except CorruptEntry as error:
        print_note(error.message)
        return False
    except ConfigurationError as error:
        if error.reason == "institution_name":  # then it is an address
            return False
        raise


def _read() -> dict[str, InstitutionEntry | DoorwardError]:
    """Read every institution's entry, or why it can't be read: one hides none of the others."""
    shelf = Vault().institutions
    found: dict[str, InstitutionEntry | DoorwardError] = {}
    for name in shelf.names():
        try:
            entry = shelf.get(name)
        except DoorwardError as error:
            found[name] = error
        else:
            if entry is not None:  # signed out in between
                found[name] = entry
    return found


def _open(name: str) -> InstitutionSession:
    return Institution.named(name).session()


def _standing_of(name: str, *, alone: bool) -> Status:
    """Ask whether one holds. One that can't be used hides none of the others."""
    try:
        return _open(name).status
    except CorruptEntry as error:
        return Status("expired", "tampered", error.message)
    except DoorwardError as error:
        if alone:
            raise
        reason = _SETTINGS if isinstance(error, ConfigurationError) else error.reason or error.code
        return Status("unknown", reason, error.message)


def _left(name: str, vault: Vault) -> Cleared:
    """Sign out of one. What can't be read any more is removed all the same, what was set aside of it too."""
    try:
        return _open(name).clear()
    except (ConfigurationError, SignInRequired, VaultError) as error:
        try:
            removed = vault.institutions.forget(name)
        except StoreError as refused:  # the others go in any case
            return Cleared(removed=False, signed_out=False, problem=refused.message)
        if not removed:
            if isinstance(error, SignInRequired):  # nothing was held, as after another sign-out
                return Cleared(removed=False)
            raise
        is_told = isinstance(error, CorruptEntry | SignInRequired)
        return Cleared(removed=True, signed_out=False, problem=UNTOLD if is_told else error.message)


def _explain(institution: Institution) -> None:
    """Print what the browser showed, and what it meant, with the seconds since the beginning."""
    history = institution.history
    for at, observed, verdict in history:
        print_note(f"{at - history[0][0]:6.1f} s  {observed}", hanging=_MARGIN)
        print_note(f"{_MARGIN}→ {verdict}", hanging=f"{_MARGIN}  ")


def _standing(name: str, at: Status) -> str:
    again = f"doorward institution login {name}"
    if at.reason == "no_session":
        return f"{name}: nobody is signed in. Sign in with: {again}"
    remedy = f" Sign in again with: {again}" if at.state == "expired" and at.reason != "tampered" else ""
    return f"{name}: {at.state}. {at.message}{remedy}"


def _farewell(name: str, done: Cleared) -> str:
    if not done.removed:
        return f"{name} is not removed: {done.problem}" if done.problem else f"Nobody is signed in at {name}."
    if done.signed_out:
        return f"Signed out of {name}: ended at the service, and removed here."
    if done.problem is not None:
        return f"{name} is removed here. {done.problem}"
    return f"{name} is removed here. Its service has no known way to be told; it ends the session by itself."


def _ago(at: float, now: float) -> str:
    return f"{duration_in_words(max(now - at, 0))} ago"


def _listed_object(
    name: str, held: InstitutionEntry | DoorwardError | None, known: NamedInstitution | None
) -> dict[str, Any]:
    """Return what a program may want to know of an institution, without any cookie."""
    if isinstance(held, DoorwardError):
        return {"institution": name, "signed_in": False, "error": error_object(held)}
    if held is None:
        return {
            "institution": name,
            "signed_in": False,
            "where": known and known.where,
            "target": known and known.target,
        }
    return {
        "institution": held.name,
        "signed_in": True,
        "where": held.where,
        "target": held.target,
        "signed_in_at": format_instant(held.signed_in_at),
        "created_at": format_instant(held.created_at),
        "proven_at": format_instant(held.proven_at),
    }
