"""``doorward logout``: end a session at the provider as far as it lets us, and here in every case."""

from __future__ import annotations

from dataclasses import dataclass

import click

from doorward.cli.options import json_option, profile_option
from doorward.cli.session.credentials import session_of
from doorward.cli.terminal import print_json, print_text
from doorward.errors import (
    ConfigurationError,
    CorruptEntry,
    SignInRequired,
    StoreError,
    UnavailableError,
    VaultError,
    printable,
)
from doorward.signin.browser import NoBrowser, open_browser
from doorward.signin.session import Session
from doorward.system import SystemClock
from doorward.vault.vault import Vault

__all__ = ["command"]


@click.command("logout")
@profile_option
@click.option("--all", "every", is_flag=True, help="Every profile.")
@click.option("--browser", is_flag=True, help="Open the provider's own sign-out page as well.")
@json_option
def command(*, profile: str, every: bool, browser: bool, as_json: bool) -> int:
    """Sign out: have the provider revoke the session, and remove it here in every case.

    Exits with 1 if a session could not be revoked: the provider may then honour it until it expires.
    """
    vault = Vault()
    farewells = [_sign_out(name, vault) for name in (vault.held_names() if every else [profile])]
    if as_json:
        print_json([farewell.to_object() for farewell in farewells])
    elif not farewells:
        print_text("Nobody is signed in.")
    else:
        for farewell in farewells:
            print_text(farewell.in_words())
    for farewell in {each.issuer: each for each in farewells if each.logout_url is not None}.values():
        _end_in_browser(farewell, open_it=browser, quiet=as_json)  # once for each provider
    return 1 if any(farewell.problem for farewell in farewells) else 0


@dataclass(frozen=True, slots=True)
class _Farewell:
    """What became of one profile."""

    profile: str
    issuer: str = ""
    removed: bool = False
    revoked: bool = False
    revocable: bool = True
    access_token_revoked: bool = False
    access_token_left: bool = False
    problem: str | None = None
    logout_url: str | None = None

    def in_words(self) -> str:
        if not self.issuer and self.problem is None:
            left = " What was left of it here is removed." if self.removed else ""
            return f"Nobody is signed in as profile {self.profile!r}.{left}"
        if not self.removed:
            return f"Profile {self.profile} could not be removed here: {self.problem}"
        if self.revoked:
            left = " Its access token was not revoked there: it is good until it expires." * self.access_token_left
            return f"Signed out of profile {self.profile}: revoked at {self.issuer}, and removed here.{left}"
        if self.problem is not None:
            return f"Profile {self.profile} is removed here, but was not revoked at the provider: {self.problem}"
        if not self.revocable:
            return f"Profile {self.profile} is removed here. It had no token that could be revoked."
        return f"Profile {self.profile} is removed here. {self.issuer} offers no way to revoke a session."

    def to_object(self) -> dict[str, object]:
        return {
            "profile": self.profile,
            "removed": self.removed,
            "revoked": self.revoked,
            "access_token_revoked": self.access_token_revoked,
            "problem": self.problem,
            "logout_url": self.logout_url,
        }


def _sign_out(profile: str, vault: Vault) -> _Farewell:
    try:
        entry = vault.get(profile)
        if entry is None:
            with vault.lock(profile) as lock:
                gone = lock.try_acquire() and vault.get(profile) is None and vault.forget(profile)
            return _Farewell(profile, removed=gone)  # what was set aside earlier
        done = _session(profile, vault).sign_out()
    except SignInRequired:  # another process was faster
        return _Farewell(profile)
    except (ConfigurationError, VaultError, UnavailableError) as error:
        if error.reason == "profile_name":
            raise
        problem = "its file could not be read." if isinstance(error, CorruptEntry) else error.message
        try:
            vault.forget(profile)
        except StoreError as refused:  # the other profiles go in any case
            return _Farewell(profile, problem=refused.message)
        return _Farewell(profile, removed=True, problem=problem)
    tokens = entry.revocable(now=SystemClock().now())
    return _Farewell(
        profile,
        issuer=printable(entry.issuer),
        removed=True,
        revoked=done.revoked,
        revocable=bool(tokens),
        access_token_revoked=done.access_token_revoked,
        access_token_left="access_token" in tokens and not done.access_token_revoked,
        problem=done.problem,
        logout_url=done.logout_url,
    )


def _session(profile: str, vault: Vault) -> Session:
    try:
        return session_of(profile, vault)
    except ConfigurationError:  # a key that can't be read: the provider is not asked, which sign_out then says
        return Session(profile, vault=vault)


def _end_in_browser(farewell: _Farewell, *, open_it: bool, quiet: bool) -> None:
    """Open the provider's sign-out page, or say where it is."""
    url = str(farewell.logout_url)
    why = ""
    if open_it:
        launch = open_browser(url)
        if not isinstance(launch, NoBrowser):
            if not quiet:
                print_text(f"Your browser opens the sign-out page of {farewell.issuer}.")
            return
        why = f"{launch} "
    if not quiet:
        print_text(f"{why}You may still be signed in there in your browser; to sign out, open: {url}")
