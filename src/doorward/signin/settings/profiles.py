"""Profiles that ``doorward.toml`` names, ``[profiles.NAME]``: what a sign-in under that name asks for.

A team may share the file, so no secret stands in it. What a setting means, and what it may be, ``sign_in`` knows.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, printable
from doorward.protocol.reading.origins import parse_origin
from doorward.vault.folders import profile_file
from doorward.vault.settings_file import read_tables, refuse_unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from doorward.protocol.reading.origins import Origin

__all__ = [
    "BASIC_USERNAME",
    "NamedProfile",
    "how_to_sign_in",
    "meant",
    "read_profile",
    "read_profiles",
    "unknown_profile",
]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("must be a text")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-9;-~]{1,256}", value):  # RFC 7617 section 2: no colon
        raise TypeError("must be a word of ASCII without a colon")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise TypeError('must be texts: ["…", "…"]')
    return tuple(value)


def _ports(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise TypeError("must be numbers: [8400]")
    return tuple(value)


def _by_name(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise TypeError('must be texts by name: {hd = "example.org"}')
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError("must be a number")
    return value  # type: ignore[return-value] # as was just seen


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("must be a whole number")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be true or false")
    return value


_SETTINGS: Mapping[str, Callable[[object], Any]] = {
    "issuer": _text,
    "client_id": _text,
    "confidential": _truth,
    "secret_method": _text,
    "client_key_name": _text,
    "client_certificate": _text,
    "client_certificate_key": _text,
    "security_profile": _text,
    "scopes": _texts,
    "audience": _text,
    "resource": _text,
    "known_audiences": _texts,
    "mode": _text,
    "ports": _ports,
    "redirect_uri": _text,
    "timeout_s": _number,
    "max_age_s": _whole,
    "prompt": _text,
    "login_hint": _text,
    "acr_values": _text,
    "ui_locales": _text,
    "parameters": _by_name,
    "provider": _text,
    "par": _text,
    "dpop": _text,
    "insecure_loopback_http": _truth,
    "origins": _texts,
    "basic_username": _word,
}
"""Each is the keyword of ``sign_in`` of that name, but ``confidential``: the client has a secret, kept elsewhere.

The last two are for helpers of other programs: where the profile's token may go, and the user name that stands beside
it where a program sends both.
"""

BASIC_USERNAME = "oauth2"


_SECRETS = {
    "client_secret": "then keep the new one in the keyring: doorward secret set",
    "client_key": "then name the file of the new one in DOORWARD_CLIENT_KEY_FILE",
}


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """A profile of ``doorward.toml``: its name as written, and the keywords of ``sign_in`` that it gives.

    ``confidential``: the client has a secret, which is in ``DOORWARD_CLIENT_SECRET`` or the keyring. ``origins``: where
    helpers of other programs may let its token go.
    """

    name: str
    keywords: Mapping[str, Any]
    confidential: bool
    origins: frozenset[Origin] = frozenset()
    basic_username: str = BASIC_USERNAME


def read_profiles() -> dict[str, NamedProfile]:
    """Read the profiles of ``doorward.toml``, by name in lower case. No file means none.

    Raises:
        ConfigurationError: The file can't be read, somebody else can write it, or it says something that is no
            setting; ``field`` is the place.
    """
    named: dict[str, NamedProfile] = {}
    for name, table in read_tables("profiles").items():
        profile_file(name)
        if name.lower() in named:
            raise wrong(f"profiles.{name}", "is there twice: names differ by more than case", "given_twice")
        named[name.lower()] = _read(name, table)
    return named


def read_profile(name: str) -> NamedProfile:
    """Return one profile of ``doorward.toml``. Raises what ``read_profiles`` does, and for a name that is not there."""
    named = read_profiles()
    if name.lower() not in named:
        raise unknown_profile(name, named)
    return named[name.lower()]


def meant(name: str, known: Iterable[str]) -> str:
    """Ask whether the profile was meant whose name is nearly that; empty where there is none."""
    near = difflib.get_close_matches(name.lower(), sorted(known), 1)
    return f"Did you mean {near[0]}?" if near else ""


def how_to_sign_in(profile: str, *, held: Iterable[str]) -> str:
    """Say what to do where nobody is signed in as a profile: which of those that are was meant, or what to type."""
    try:
        named = read_profiles()
    except ConfigurationError:  # signing in tells of it
        named = {}
    option = "" if profile == "default" else f" --profile {profile}"
    if profile.lower() in named:
        return f"Sign in first: doorward login{option}."
    return f"{meant(profile, held)} Sign in first: doorward login{option} ISSUER --client-id ID.".strip()


def unknown_profile(name: str, known: Iterable[str]) -> ConfigurationError:
    """Build the error for a name that no profile has."""
    names = sorted(known)
    there = meant(name, names) or f"Known: {', '.join(names) or 'none yet'}."
    message = (
        f"{printable(name)!r} is none of the profiles. {there} To sign in at an issuer, give its URL, such as "
        "https://id.example.org, and its client ID; or name both in doorward.toml: [profiles.NAME]."
    )
    return ConfigurationError(message, field="profile", reason="unknown_profile")


def _read(name: str, table: object) -> NamedProfile:
    place = f"profiles.{name}"
    if not isinstance(table, dict):
        raise wrong(place, f"must be a table: [{place}]", "not_a_table")
    for setting, remedy in _SECRETS.items():
        if setting in table:
            what = "is a secret, which a file for everybody must not hold. Remove it, and have the provider replace it"
            raise wrong(f"{place}.{setting}", f"{what}; {remedy}", "secret_in_settings")
    refuse_unknown(table, _SETTINGS, f"{place}.")
    for needed in ("issuer", "client_id"):
        if needed not in table:
            raise wrong(f"{place}.{needed}", "is missing", "missing_setting")
    values = {}
    for setting, value in table.items():
        try:
            values[setting] = _SETTINGS[setting](value)
        except TypeError as error:
            raise wrong(f"{place}.{setting}", str(error), "wrong_value") from None
    confidential = values.pop("confidential", False) or "secret_method" in values
    loopback_http = values.get("insecure_loopback_http", False)
    try:
        origins = frozenset(parse_origin(each, loopback_http=loopback_http) for each in values.pop("origins", ()))
    except ConfigurationError as error:
        raise wrong(f"{place}.origins", f"does not fit: {error.message.removesuffix('.')}", error.reason) from None
    return NamedProfile(name, values, confidential, origins, values.pop("basic_username", BASIC_USERNAME))
