"""``doorward keys``: the API keys of a service, in its database. A new key is printed once, and alone."""

from __future__ import annotations

import getpass
import os
import re
import shlex
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import click

from doorward.cli.options import Group, json_option
from doorward.cli.terminal import (
    print_facts,
    print_json,
    print_json_list,
    print_line,
    print_note,
    print_table,
    print_text,
)
from doorward.cli.view import duration_in_words, instant
from doorward.errors import ConfigurationError, DoorwardError, printable
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.peppers import generate_pepper
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.guard.api_keys.api_key import ApiKey
    from doorward.model import Secret

__all__ = ["command"]

_VARIABLE = "DOORWARD_KEYS_DB"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LARGEST_IMPORT = 1_048_576
_HEADER = ("NAME", "ID", "SCOPES", "STATE", "LAST USED")
_SCOPES = 2
_OUR_COMMANDS = re.compile(r"doorward keys (?:create NAME|list --all|seal)")


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Read a number and its unit."""
    if value is None:
        return None
    if value == "0":
        return 0.0
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
    if found is None:
        raise click.BadParameter(f"{printable(repr(value))} is no time span. Give one like 90d, 24h or 30m.")
    return int(found[1]) * float(_UNITS_S[found[2]])


def _life(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Read a time span that is to come."""
    seconds = _seconds(context, parameter, value)
    if seconds == 0:
        raise click.BadParameter("Such a key would open nothing. Give a span like 90d or 24h, or leave it out.")
    return seconds


_database_option = click.option(
    "--db",
    "database",
    metavar="PATH_OR_URL",
    help=f"The database; {_VARIABLE}, or else keys.db in your data folder. A password belongs in the variable.",
)


@click.group("keys", cls=Group)
def command() -> None:
    """Make, show, rotate and revoke the API keys of a service.

    Keys are kept in an SQLite file or a PostgreSQL database, as digests: a key is shown when it is made, and never
    again. What digests are keyed with, the pepper, comes from DOORWARD_API_KEY_PEPPER, or from a private file beside
    the SQLite file.
    """


@command.command("create")
@click.argument("name")
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="What requests with it may do. More than once.")
@click.option("--group", "groups", metavar="GROUP", multiple=True, help="A group it is a member of. More than once.")
@click.option("--expires", "expires_s", metavar="SPAN", callback=_life, help="End it after this: 90d. Else it stays.")
@click.option("--may-delegate", is_flag=True, help="It may act for others.")
@_database_option
@json_option
def _create(  # noqa: PLR0913 - the options of the command, all by keyword
    *,
    name: str,
    scopes: tuple[str, ...],
    groups: tuple[str, ...],
    expires_s: float | None,
    may_delegate: bool,
    database: str | None,
    as_json: bool,
) -> None:
    """Make a key and print it, this once."""
    with _opened(database) as keys:
        secret, key = keys.create(
            name,
            scopes=scopes,
            groups=groups,
            may_delegate=may_delegate,
            expires_at=None if expires_s is None else SystemClock().now() + expires_s,
            created_by=_user(),
        )
    _print_new(secret, key, database, as_json=as_json)


@command.command("list")
@click.option("--all", "ended", is_flag=True, help="Also those that are revoked or have expired.")
@_database_option
@json_option
def _list_keys(*, ended: bool, database: str | None, as_json: bool) -> None:
    """List the keys that are good now."""
    now = SystemClock().now()
    with _opened(database, existing=True) as keys:
        found = keys.each(ended=ended)
        if as_json:
            print_json_list(map(_object, found))
        elif (first := next(found, None)) is not None:
            print_table(_HEADER, (_row(key, now=now) for key in chain([first], found)), shorten=_SCOPES)
        else:
            print_text(_with_database("There is no key. Make one with: doorward keys create NAME", database))


@command.command("show")
@click.argument("name_or_id", metavar="NAME|ID")
@_database_option
@json_option
def _show(*, name_or_id: str, database: str | None, as_json: bool) -> None:
    """Show a key by its id, or the current one of a name, or its newest."""
    with _opened(database, existing=True) as keys:
        key = keys.show(name_or_id)
    if as_json:
        print_json(_object(key))
        return
    now = SystemClock().now()
    facts = [
        *_what_it_may(key),
        ("State", _state(key, now=now)),
        ("Last used", _last_used(key, now=now)),
        ("Pepper", key.pepper_id),
    ]
    if key.revoked_at is not None:
        facts.append(("Revoked", f"{instant(key.revoked_at)}{_by(key.revoked_by)}"))
    print_facts([(name, printable(value)) for name, value in facts])


@command.command("rotate")
@click.argument("name")
@click.option(
    "--overlap",
    "overlap_s",
    metavar="SPAN",
    callback=_seconds,
    default="24h",
    help="How long the old key goes on, else 24h; 0s ends it now.",
)
@_database_option
@json_option
def _rotate(*, name: str, overlap_s: float, database: str | None, as_json: bool) -> None:
    """Replace a key by a new one, and print that, this once."""
    with _opened(database, existing=True) as keys:
        secret, key = keys.rotate(name, overlap_s=overlap_s, by=_user())
    _print_new(secret, key, database, as_json=as_json)
    if not as_json:
        until = f"goes on for {duration_in_words(overlap_s)} at most" if overlap_s else "has ended"
        print_note(f"The old key {until}.")


@command.command("revoke")
@click.argument("name_or_id", metavar="NAME|ID")
@_database_option
@json_option
def _revoke(*, name_or_id: str, database: str | None, as_json: bool) -> None:
    """End a key by its id, or all keys of a name."""
    with _opened(database, existing=True) as keys:
        ended = keys.revoke(name_or_id, by=_user())
    if as_json:
        print_json({"revoked": [key.key_id for key in ended]})
    elif ended:
        print_text(
            f"Revoked {', '.join(key.key_id for key in ended)}. "
            "Running services learn of it within the time of their cache, a minute unless they set another."
        )
    else:
        print_text("It was revoked or had expired already.")


@command.command("seal")
@click.argument("names", metavar="[NAME|ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that have no seal. Only where none has one yet.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask: these keys may do what is listed.")
@_database_option
@json_option
def _seal(*, names: tuple[str, ...], every: bool, is_sure: bool, database: str | None, as_json: bool) -> None:
    """Vouch, once, for keys that an earlier Doorward made, which did not seal them.

    Each entry of the database has a seal that shows that nobody else wrote there. Theirs have none: look at what
    each may do, then seal it. A key that has lost its seal later was changed by somebody else.
    """
    if every == bool(names):
        raise click.UsageError("Name the keys to seal, or give --all.")
    with _opened(database, existing=True) as keys:
        found = [*keys.each()] if every else [keys.show(name) for name in names]
        unsealed = [key for key in found if not key.sealed]
        if every and len(unsealed) < len(found):
            message = (
                "Some keys have a seal already. Who took it from the others? Look at those, and seal them by name."
            )
            raise ConfigurationError(message, field="--all", reason="sealed_before")
        if unsealed and not is_sure:
            for key in unsealed:
                print_facts([(name, printable(value)) for name, value in _what_it_may(key)])
                print_text("")
            if not click.confirm("Is this what these keys were given?", err=True):
                raise click.Abort
        keys.seal(unsealed)
    if as_json:
        print_json({"sealed": [key.key_id for key in unsealed]})
    else:
        print_text(f"Sealed {', '.join(key.name for key in unsealed)}." if unsealed else "They have their seals.")


@command.command("import")
@click.argument("file")
@_database_option
@json_option
def _import_keys(*, file: str, database: str | None, as_json: bool) -> None:
    """Take over keys that were made elsewhere.

    They go on working; only digests of them are kept. FILE (- for standard input) holds [{"name": …, "key": …}, …];
    an entry may also have "scopes", "groups", "may_delegate" and "expires_at". All are taken, or none.
    """
    content = _read(file)
    with _opened(database) as keys:
        imported = keys.import_keys(content, by=_user())
    if as_json:
        print_json([_object(key) for key in imported])
    else:
        print_text(f"Imported {len(imported)}: {', '.join(key.name for key in imported)}. Only digests were kept.")


@command.command("pepper")
def _pepper() -> None:
    """Print a new pepper, for DOORWARD_API_KEY_PEPPER.

    To replace one, put the new one before it, with a space between: keys made with either are good then.
    """
    print_line(generate_pepper().reveal())


@contextmanager
def _opened(database: str | None, *, existing: bool = False) -> Iterator[ApiKeys]:
    try:
        with closing(_open(database, existing=existing)) as keys:
            yield keys
    except DoorwardError as error:
        message = _with_database(error.message, database)
        if error.reason == "database_corrupt":  # no outage: trying again won't help
            raise ConfigurationError(message, field="--db", reason=error.reason) from error
        error.args = (message,)
        raise


def _with_database(message: str, database: str | None) -> str:
    """Have each command that a message advises go to the database that was named."""
    option = "" if database is None else f" --db {shlex.quote(printable(database))}"
    return _OUR_COMMANDS.sub(lambda command: command[0] + option, message)


def _open(database: str | None, *, existing: bool) -> ApiKeys:
    given = database or os.environ.get(_VARIABLE)
    if given and "://" in given:
        if database and _holds_password(database):
            message = f"Others can read the arguments of a command: give a URL with a password in {_VARIABLE} instead."
            raise ConfigurationError(message, field="--db", reason="password_argument")
        return ApiKeys.sql(given)
    path = given or _default_path()
    if existing and not Path(path).exists():  # else a slip in the path would make a new, empty database
        message = f"There is no database {printable(path)}. Give its --db, or make a key: doorward keys create NAME"
        raise ConfigurationError(message, field="--db", reason="no_database")
    return ApiKeys.sqlite(path)


def _default_path() -> str:
    from doorward.vault.folders import data_folder
    from doorward.vault.private_folder import ensured_folder

    with ensured_folder(data_folder()) as folder:
        return folder.path_of("keys.db")


def _holds_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return True  # who knows
    return parts.password is not None or any("password" in name for name in parse_qs(parts.query))


def _read(file: str) -> bytes:
    try:
        with click.open_file(file, "rb") as stream:
            content: bytes = stream.read(_LARGEST_IMPORT + 1)
    except OSError as error:
        message = f"{printable(file)} can't be read: {error.strerror}."
        raise ConfigurationError(message, field="FILE", reason="import_file") from error
    if len(content) > _LARGEST_IMPORT:
        message = f"{printable(file)} is larger than 1 MiB. Import it in parts."
        raise ConfigurationError(message, field="FILE", reason="import_size")
    return content


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # nobody's name is known for this user id
        return ""


def _print_new(secret: Secret, key: ApiKey, database: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({**_object(key), "key": secret.reveal()})
        return
    print_line(secret.reveal())
    given = database or os.environ.get(_VARIABLE) or _default_path()
    where = "your database" if "://" in given else printable(str(Path(given).resolve()))
    print_note(
        f"This is the key {key.name} ({key.key_id}). It is shown this once: only a digest was kept, in {where}. "
        "A service has to use that database and its pepper."
    )


def _object(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "groups": list(key.groups),
        "may_delegate": key.may_delegate,
        "created_at": instant(key.created_at),
        "created_by": key.created_by,
        "expires_at": instant(key.expires_at),
        "revoked_at": instant(key.revoked_at),
        "revoked_by": key.revoked_by,
        "replaced_by": key.replaced_by,
        "last_used_at": instant(key.last_used_at),
        "imported": key.imported,
        "pepper": key.pepper_id,
        "sealed": key.sealed,
    }


def _what_it_may(key: ApiKey) -> list[tuple[str, str]]:
    return [
        ("Name", key.name),
        ("Id", key.key_id),
        ("Scopes", " ".join(key.scopes) or "none"),
        ("Groups", ", ".join(key.groups) or "none"),
        ("May delegate", "yes" if key.may_delegate else "no"),
        ("Made", f"{instant(key.created_at)}{_by(key.created_by)}{', imported' if key.imported else ''}"),
        ("Expires", instant(key.expires_at) or "never"),
    ]


def _row(key: ApiKey, *, now: float) -> tuple[str, ...]:
    return key.name, key.key_id, printable(" ".join(key.scopes)), _state(key, now=now), _last_used(key, now=now)


def _state(key: ApiKey, *, now: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.has_ended(now):
        return "expired" if key.replaced_by is None else "replaced"
    if key.sealed is False:
        return "altered or unsealed"
    left = "" if key.expires_at is None else f" for {duration_in_words(key.expires_at - now)}"
    return f"good{left}" if key.replaced_by is None else f"replaced, good{left}"


def _last_used(key: ApiKey, *, now: float) -> str:
    return "never" if key.last_used_at is None else f"{duration_in_words(now - key.last_used_at)} ago"


def _by(who: str) -> str:
    return f" by {who}" if who else ""
