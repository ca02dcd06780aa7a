"""What ``doorward status`` reads and prints. ``main`` comes here straight, since ``click`` takes longest to load."""

from __future__ import annotations

from doorward.cli.ending import error_object
from doorward.cli.terminal import print_json, print_table, print_text
from doorward.cli.view import access_in_words, entry_object, renewal_in_words, who
from doorward.errors import DoorwardError, printable
from doorward.system import SystemClock
from doorward.vault.vault import Vault

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from typing import Any

    from doorward.vault.entries import ProfileEntry

__all__ = ["Profiles"]

_HEADER = ("PROFILE", "WHO", "ISSUER", "ACCESS TOKEN", "RENEWAL")
_ISSUER = 2


_SECRET_FROM = {
    "environment": "the client's secret comes from DOORWARD_CLIENT_SECRET.",
    "keyring": "the client's secret is in the keyring.",
    "missing": "renewals need the client's secret: set DOORWARD_CLIENT_SECRET, or keep it with doorward secret set.",
}


def _has_secret(entry: ProfileEntry) -> bool:
    return entry.client_authentication.startswith("client_secret")


def _source(entry: ProfileEntry) -> str:
    from doorward.cli.session.credentials import secret_source  # heavy, and for few

    return secret_source(entry.issuer, entry.client_id)


class Profiles:
    """Every profile of the default vault, as it was at one moment. One that can't be read hides none of the others."""

    def __init__(self) -> None:
        self._now = SystemClock().now()
        self._entries: list[ProfileEntry] = []
        self._broken: list[tuple[str, DoorwardError]] = []
        vault = Vault()
        for profile in vault.names():
            try:
                entry = vault.get(profile)
            except DoorwardError as error:
                self._broken.append((profile, error))
            else:
                if entry is not None:  # signed out in between
                    self._entries.append(entry)

    def print(self, *, as_json: bool) -> None:
        """Print them, for programs or for people."""
        if as_json:
            self._print_json()
            return
        if self._entries:
            print_table(_HEADER, [self._row(entry) for entry in self._entries], shorten=_ISSUER)
        for entry in filter(_has_secret, self._entries):
            print_text(f"{entry.profile}: {_SECRET_FROM[_source(entry)]}")
        for message in dict.fromkeys(error.message for _, error in self._broken):  # a key not at hand concerns all
            named = ", ".join(profile for profile, error in self._broken if error.message == message)
            print_text(f"{named}: {message}")
        if not self._entries and not self._broken:
            print_text("Nobody is signed in. Sign in with: doorward login ISSUER --client-id ID")

    def _print_json(self) -> None:
        listed: list[dict[str, Any]] = [
            entry_object(entry, now=self._now) | ({"client_secret": _source(entry)} if _has_secret(entry) else {})
            for entry in self._entries
        ]
        listed += [{"profile": profile, "error": error_object(error)} for profile, error in self._broken]
        print_json(sorted(listed, key=lambda each: str(each["profile"])))

    def _row(self, entry: ProfileEntry) -> tuple[str, ...]:
        issuer = printable(entry.issuer.removeprefix("https://"))
        access, renewal = access_in_words(entry, now=self._now), renewal_in_words(entry, now=self._now)
        return entry.profile, who(entry), issuer, access, renewal
