"""Which profiles and institutions a command is about. Nobody is asked, and nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from doorward.errors import ConfigurationError, DoorwardError
from doorward.signin.settings.profiles import read_profiles
from doorward.vault.entries import ProfileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from doorward.vault.shelf import Shelf
    from doorward.vault.vault import Vault

__all__ = ["Client", "Holding", "all_holdings", "choosing", "chosen", "clients_of", "named_clients"]


@dataclass(frozen=True, slots=True)
class Client:
    """A confidential client, whose secret the keyring may hold."""

    issuer: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A name, and the shelf that holds what there is about it."""

    noun: str
    name: str
    shelf: Shelf[Any]

    def read(self) -> Any:
        """Return its entry, or the error that says why it can't be read."""
        try:
            return self.shelf.get(self.name)
        except DoorwardError as error:
            if error.reason == f"{self.noun}_name":  # it can't be one
                raise
            return error

    def client(self, entry: object) -> Client | None:
        """Return its client, if that has a secret, as the entry or else ``doorward.toml`` says."""
        if isinstance(entry, ProfileEntry):
            has_secret = entry.client_authentication.startswith("client_secret")
            return Client(entry.issuer, entry.client_id) if has_secret else None
        return named_clients().get(self.name.lower()) if self.noun == "profile" else None


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a command is about."""
    for option in (
        click.option("--all", "every", is_flag=True, help="Everything that is held."),
        click.option("--institution", metavar="NAME", help="One institution."),
        click.option("--profile", metavar="NAME", help="One profile."),
    ):
        command = option(command)
    return command


def chosen(vault: Vault, *, profile: str | None, institution: str | None, every: bool) -> list[Holding] | None:
    """Return what was named, None if nothing was."""
    if (profile is not None) + (institution is not None) + every > 1:
        raise click.UsageError("Give one of --profile, --institution and --all")
    if profile is not None:
        return [Holding("profile", profile, vault.profiles)]
    if institution is not None:
        return [Holding("institution", institution, vault.institutions)]
    return all_holdings(vault) if every else None


def all_holdings(vault: Vault) -> list[Holding]:
    """Return everything of which anything is held, were it a lock that somebody who was killed has left."""
    found = []
    shelves: tuple[Shelf[Any], ...] = vault.shelves
    for noun, shelf in zip(("profile", "institution", "key"), shelves, strict=True):
        names = {*shelf.held_names(), *shelf.locked_names()} | (named_clients().keys() if noun == "profile" else set())
        found += [Holding(noun, name, shelf) for name in sorted(names)]
    return found


def clients_of(holdings: Iterable[Holding]) -> set[Client]:
    """Return the confidential clients of some holdings, as far as these can be read."""
    return {client for each in holdings if (client := each.client(each.read())) is not None}


def named_clients() -> dict[str, Client]:
    """Return the confidential clients that ``doorward.toml`` names, by profile; none if it can't be read."""
    try:
        named = read_profiles()
    except ConfigurationError:  # other commands complain of it; what is held has to be found all the same
        return {}
    return {
        name: Client(each.keywords["issuer"], each.keywords["client_id"])
        for name, each in named.items()
        if each.confidential
    }
