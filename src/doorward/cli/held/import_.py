"""``doorward import``: go on with a session that another program has kept. Its file is read, and stays as it is."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from doorward.cli.options import json_option, profile_option
from doorward.cli.terminal import print_json, print_note, print_text
from doorward.errors import ConfigurationError, printable
from doorward.signin.registration import Registration
from doorward.system import SystemClock
from doorward.vault.imports.reading import MOST_BYTES
from doorward.vault.imports.tokens import read_kubelogin, read_micromegas, read_msal
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.vault.imports.tokens import Kept
    from doorward.vault.shelf import Shelf
    from doorward.vault.typed import ClientAuthenticationMethod

__all__ = ["command"]

T = TypeVar("T", bound="Callable[..., Any]")
_LOCK_TIMEOUT_S = 30.0
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

_replace_option = click.option("--replace", "replacing", is_flag=True, help="Replace what is held under that name.")


def _of_tokens(command: T) -> T:
    """Add what every import of tokens takes."""
    for option in reversed(
        (
            click.argument("file", type=click.Path(dir_okay=False)),
            click.option("--issuer", metavar="URL", help="The issuer, exactly as the provider writes it."),
            click.option("--client-id", metavar="ID", help="The client that the tokens were given to."),
            click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="What was asked for; repeat it."),
            click.option(
                "--secret-method",
                type=click.Choice(["client_secret_basic", "client_secret_post"]),
                help="The client has a secret, and this is how it is sent. The secret itself: doorward secret set.",
            ),
            click.option("--provider", metavar="NAME", help="Whose habits to follow, such as keycloak or gitlab."),
            click.option("--insecure-loopback-http", is_flag=True, help="Allow http to loopback addresses."),
            profile_option,
            _replace_option,
            json_option,
        )
    ):
        command = option(command)
    return command


@click.group("import")
def command() -> None:
    """Go on with a session of another program, with the same client.

    The file is read and stays as it is. It goes on being good for a sign-in until you remove it.
    """


@command.command("micromegas", short_help="Micromegas' tokens.json.")
@_of_tokens
def _micromegas(*, file: str, **options: Any) -> None:
    """Take over ~/.micromegas/tokens.json."""
    data, warnings = _read(file)
    _keep_tokens(file, "micromegas", read_micromegas(data), warnings, **options)


@command.command("kubelogin", short_help="A file of kubelogin's cache.")
@_of_tokens
def _kubelogin(*, file: str, **options: Any) -> None:
    """Take over a file of ~/.kube/cache/oidc-login. It does not say whose it is: give --issuer and --client-id."""
    data, warnings = _read(file)
    _keep_tokens(file, "kubelogin", read_kubelogin(data), warnings, **options)


@command.command("msal", short_help="MSAL's token cache, such as the Azure CLI's.")
@click.option("--account", metavar="NAME", help="Whose tokens, if the cache has those of several.")
@_of_tokens
def _msal(*, file: str, account: str | None, **options: Any) -> None:
    """Take over one account of MSAL's token cache, where it is plain JSON (msal_token_cache.json)."""
    data, warnings = _read(file)
    kept = _only(read_msal(data), account=account, client_id=options["client_id"])
    _keep_tokens(file, "MSAL", kept, warnings, **options)


@command.command("bmlibrarian", short_help="BMLibrarian's openathens_session.json.")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--target", metavar="URL", required=True, help="A page that only members can open.")
@click.option("--name", metavar="NAME", help="What to call the institution here; else its domain or host.")
@_replace_option
@json_option
def _bmlibrarian(*, file: str, target: str, name: str | None, replacing: bool, as_json: bool) -> None:
    """Take over ~/.bmlibrarian/openathens_session.json."""
    from doorward.institution import Institution
    from doorward.institution.cookies.jar import CookieJar
    from doorward.vault.imports.bmlibrarian import read_bmlibrarian
    from doorward.vault.institution_entries import InstitutionEntry, KeptCookie

    data, warnings = _read(file)
    kept = read_bmlibrarian(data)
    institution = Institution(kept.institution_url, name=name, target=target)
    now = SystemClock().now()
    at = min(kept.created_at.timestamp(), now)
    cookies = CookieJar.from_browser(kept.cookies).to_browser()
    if not cookies:
        message = "The file holds no cookie that a browser would send. Sign in: doorward institution login WHERE"
        raise ConfigurationError(message, field="FILE", reason="import_no_cookies")
    entry = InstitutionEntry(
        name=institution.name,
        where=kept.institution_url,
        institution_url=institution.route.institution_url,
        target=target,
        user_agent=kept.user_agent,
        signed_in_at=at,
        created_at=at,
        proven_at=at,
        cookies=tuple(KeptCookie.from_browser(cookie) for cookie in cookies),
    )
    _put(Vault().institutions, entry, entry.name, "institution", replacing=replacing)
    if as_json:
        print_json({"institution": entry.name, "cookies": len(cookies), "file": file, "warnings": warnings})
        return
    print_text(
        f"Imported as institution {entry.name}, {len(cookies)} cookies. Whether the session still holds: doorward "
        f"institution status {entry.name}"
    )
    _tell_of_file(file, "BMLibrarian", warnings)


def _only(found: list[Kept], *, account: str | None, client_id: str | None) -> Kept:
    """Return the one that is meant."""
    meant = [
        each
        for each in found
        if (account is None or (each.account or "").lower() == account.lower())
        and (client_id is None or each.client_id == client_id)
    ]
    if len(meant) == 1:
        return meant[0]
    there = "; ".join(f"--account {each.account} --client-id {each.client_id}" for each in meant or found)
    flaw = "of several accounts or clients" if meant else "of others"
    message = f"The cache has tokens {flaw}. Say which: {printable(there)}"
    raise ConfigurationError(message, field="--account", reason="import_which_account")


def _keep_tokens(  # noqa: PLR0913 - the options of the command, all by keyword
    file: str,
    program: str,
    kept: Kept,
    warnings: list[str],
    *,
    issuer: str | None,
    client_id: str | None,
    scopes: tuple[str, ...],
    secret_method: ClientAuthenticationMethod | None,
    provider: str | None,
    insecure_loopback_http: bool,
    profile: str,
    replacing: bool,
    as_json: bool,
) -> None:
    registration = Registration(
        issuer=_agreed("--issuer", issuer, kept.issuer, program),
        client_id=_agreed("--client-id", client_id, kept.client_id, program),
        scopes=scopes or kept.scopes,
        provider=provider,
        insecure_loopback_http=insecure_loopback_http,
    )
    entry = kept.entry(
        profile=profile,
        issuer=registration.issuer,
        client_id=registration.client_id,
        client_authentication=secret_method or "none",
        scopes=registration.scopes,
        provider=provider,
        insecure_loopback_http=insecure_loopback_http,
        now=SystemClock().now(),
    )
    _put(Vault().profiles, entry, profile, "profile", replacing=replacing)
    if as_json:
        print_json({"profile": profile, "issuer": entry.issuer, "file": file, "warnings": warnings})
        return
    print_text(
        f"Imported as profile {profile}, at {printable(entry.issuer)}. Who it is, the provider says at the first "
        f"renewal: doorward token --renew --profile {profile}"
    )
    _tell_of_file(file, program, warnings)


def _agreed(option: str, given: str | None, told: str | None, program: str) -> str:
    """Return what was given, or else what the file says. They may differ by a slash, as issuers do, and no more."""
    if given is None and told is None:
        message = f"The file does not say it: give {option}, as {program} was told."
        raise ConfigurationError(message, field=option, reason="missing_setting")
    if given is not None and told is not None and given.rstrip("/") != told.rstrip("/"):
        message = f"The file says {printable(told)!r}, and its tokens go nowhere else. Leave out {option}."
        raise ConfigurationError(message, field=option, reason="import_differs")
    return str(told if given is None else given)


def _put(shelf: Shelf[Any], entry: Any, name: str, noun: str, *, replacing: bool) -> None:
    """Save an entry, unless one is there. Nobody refreshes that one meanwhile."""
    clock = SystemClock()
    with shelf.lock(name) as lock:
        for pause in lock.acquire(clock, timeout_s=_LOCK_TIMEOUT_S, unless=lambda: None):
            clock.sleep(pause.seconds)
        if not replacing and shelf.files_of(name):
            message = (
                f"Something is held for {noun} {name!r}. Take another name, or give --replace: what is held is then "
                "gone here, and not revoked."
            )
            raise ConfigurationError(message, field="--replace", reason="import_held")
        shelf.put(entry)


def _read(file: str) -> tuple[bytes, list[str]]:
    """Return the content of a file, and what is to be said of who could read or write it."""
    try:
        with open(os.open(file, _READING), "rb") as opened:  # noqa: PTH123 - a FIFO must not keep us waiting
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                message = f"{printable(file)} is no regular file."
                raise ConfigurationError(message, field="FILE", reason="import_not_a_file")
            return opened.read(MOST_BYTES + 1), _warnings(status)
    except OSError as error:
        message = f"{printable(file)} can't be read: {error.strerror}."
        raise ConfigurationError(message, field="FILE", reason="import_unreadable") from error


def _warnings(status: os.stat_result) -> list[str]:
    found: list[str] = []
    if sys.platform == "win32":
        return found
    if status.st_uid != os.geteuid():
        found.append("The file belongs to another user: be sure that the session in it is yours, and not theirs.")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        found.append("Others can write the file: be sure that the session in it is yours.")
    elif status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        found.append("Others can read the file: if this is no computer of your own, sign out and in again.")
    return found


def _tell_of_file(file: str, program: str, warnings: list[str]) -> None:
    for warning in warnings:
        print_note(warning)
    print_note(
        f"{printable(file)} is as it was, and still holds the live session. Use one of the two: many providers end a "
        f"session that two programs renew. When you are done with {program}, remove the file: rm {shlex.quote(file)}"
    )
