"""What may be set about signing in at institutions, with its safe ranges, and how ``doorward.toml`` says it.

Where ``doorward.toml`` lies, and who may write it, is the vault's business; what an address means, ``routes``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, printable
from doorward.institution.patterns import CookiePatterns
from doorward.vault.folders import institution_file
from doorward.vault.settings_file import SETTINGS_FILE, read_tables, refuse_unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InstitutionSettings", "NamedInstitution", "read_institutions"]

_RANGES: Mapping[str, tuple[float, float]] = {
    "poll_s": (0.2, 10),
    "page_timeout_s": (1, 600),
    "login_timeout_s": (5, 3600),
    "session_max_age_h": (0.01, 168),
    "session_cache_ttl_s": (1, 900),
    "human_check_wait_s": (1, 300),
}
"""Polling faster is rude; a session older than a week, or one that was last seen alive 15 minutes ago, is a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSettings:
    """How long to wait for what, and what to believe for how long. Checked when made.

    Attributes:
        poll_s: How often the browser is looked at during a login; from 0.2.
        page_timeout_s: How long the first page may take.
        login_timeout_s: How long the whole login may take.
        session_max_age_h: A session older than that counts as expired without asking; at most 168, a week.
        session_cache_ttl_s: How long the answer of a live check is believed; at most 900.
        human_check_wait_s: How long a page that wants to see a person is given.
        patterns: Regular expressions for names of cookies that a service sets once somebody is signed in.

    Raises:
        ConfigurationError: A value is out of its range; ``field`` names it.
    """

    poll_s: float = 0.5
    page_timeout_s: float = 60.0
    login_timeout_s: float = 300.0
    session_max_age_h: float = 24.0
    session_cache_ttl_s: float = 60.0
    human_check_wait_s: float = 30.0
    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not least <= value <= most:
                message = f"{name} must be a number from {least:g} to {most:g}, not {printable(repr(value))}."
                raise ConfigurationError(message, field=name, reason="out_of_range")
        if not isinstance(self.patterns, tuple) or not all(isinstance(each, str) for each in self.patterns):
            raise ConfigurationError("patterns must be texts, in a tuple.", field="patterns", reason="wrong_value")
        CookiePatterns(self.patterns)


@dataclass(frozen=True, slots=True)
class NamedInstitution:
    """An institution of ``doorward.toml``: ``[institutions.NAME]``."""

    name: str
    where: str
    target: str | None
    settings: InstitutionSettings


def read_institutions(path: str | None = None) -> dict[str, NamedInstitution]:
    """Read the institutions of ``doorward.toml``, by name in lower case. No file means none.

    Args:
        path: Of another file than the one in the configuration folder.

    Raises:
        ConfigurationError: The file can't be read, or says something that is no setting; ``field`` is the place.
    """
    tables = read_tables("institutions", path)
    named: dict[str, NamedInstitution] = {}
    for name, table in tables.items():
        institution_file(name)
        if name.lower() in named:
            raise wrong(f"institutions.{name}", "is there twice: names differ by more than case", "given_twice")
        named[name.lower()] = _read(name, table)
    return named


def _read(name: str, table: object) -> NamedInstitution:
    place = f"institutions.{name}"
    if not isinstance(table, dict):
        raise wrong(place, f"must be a table: [{place}]", "not_a_table")
    refuse_unknown(table, {"where", "target", *(field.name for field in fields(InstitutionSettings))}, f"{place}.")
    values = dict(table)
    where, target = values.pop("where", None), values.pop("target", None)
    if not isinstance(where, str) or not where:
        raise wrong(f"{place}.where", 'must say where it is, such as "jcu.edu.au"', "missing_setting")
    if target is not None and not isinstance(target, str):
        raise wrong(f"{place}.target", "must be the address of a page", "wrong_value")
    if isinstance(values.get("patterns"), list):
        values["patterns"] = tuple(values["patterns"])
    try:
        return NamedInstitution(name, where, target, InstitutionSettings(**values))
    except ConfigurationError as error:
        message = f"{SETTINGS_FILE}, in [{place}]: {error.message}"
        raise ConfigurationError(message, field=f"{place}.{error.field}", reason=error.reason) from None
