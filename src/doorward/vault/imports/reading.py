"""Reads the JSON of another program member by member, strictly, and says which member is wrong. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

from doorward.errors import ConfigurationError, Malformed, printable
from doorward.protocol.reading.strict_json import loads_object
from doorward.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_BYTES", "Reader", "loaded", "refuse"]

MOST_BYTES = 4_194_304
"""A larger file is nobody's cache of tokens."""

_LONGEST_TOKEN = 65_536
_LAST_INSTANT = 253_402_300_799  # the end of the year 9999
_MOST_DIGITS = 12
_BINARY_PICKLE = b"\x80"


def loaded(data: bytes, program: str) -> Reader:
    """Return the JSON object that a program wrote.

    Raises:
        ConfigurationError: It is none. A pickle is named as such, and never loaded.
    """
    if data.startswith(_BINARY_PICKLE):
        message = (
            "This file is a pickle. Reading one runs whatever is in it, so it is not read. Sign in anew: doorward "
            "institution login WHERE. Then remove the file."
        )
        raise ConfigurationError(message, field="FILE", reason="import_pickle")
    if len(data) > MOST_BYTES:
        refuse(program, "it is larger than 4 MiB", "import_too_large")
    try:
        return Reader(loads_object(data, what="The file"), program)
    except Malformed:
        refuse(program, "it is no JSON object, or is encrypted", "import_not_json")


class Reader:
    """One JSON object of a file.

    Args:
        members: What it holds.
        program: Who wrote the file.
        place: Where in the file the object is.
    """

    def __init__(self, members: Mapping[str, Any], program: str, place: str = "") -> None:
        self._members = members
        self._program = program
        self._place = place

    def inner(self, name: str) -> Reader:
        """Return an object in it."""
        value = self._needed(name)
        if not isinstance(value, dict):
            self.wrong(name, "is no object")
        return Reader(value, self._program, f"{self._place}{name}.")

    def inners(self, name: str) -> list[Reader]:
        """Return the objects in an object of it, whatever their names; none if it is not there."""
        if name not in self._members:
            return []
        of = self.inner(name)
        return [of.inner(each) for each in of._members]  # noqa: SLF001 - same class

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return a list of objects."""
        value = self._needed(name)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.wrong(name, "is no list of objects")
        return value

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value = self._needed(name)
        if not isinstance(value, str) or not value or not value.isprintable():
            self.wrong(name, "is no text")
        return value

    def text_or_none(self, name: str) -> str | None:
        """Return a text, None if it is not there, or null or empty."""
        return self.text(name) if self._members.get(name) not in (None, "") else None

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words of a text, or of a list of texts; none if it is not there."""
        value = self._members.get(name)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        return tuple((self.text_or_none(name) or "").split())

    def secret(self, name: str) -> Secret | None:
        """Return a token, None if it is not there."""
        text = self.text_or_none(name)
        if text is None:
            return None
        if not text.isascii() or " " in text or len(text) > _LONGEST_TOKEN:
            self.wrong(name, "is no token")
        return Secret(text)

    def instant(self, name: str) -> float | None:
        """Return epoch seconds, as a number or in digits; None if it is not there, or is no such instant."""
        value = self._members.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
            value = int(value)
        if type(value) not in (int, float):
            return None
        at = float(value)  # type: ignore[arg-type] # it is one of the two
        return at if math.isfinite(at) and 0 < at <= _LAST_INSTANT else None

    def wrong(self, name: str, flaw: str) -> NoReturn:
        """Refuse the file for a member of this object. No value is told."""
        refuse(self._program, f"{printable(self._place + name)} {flaw}", "import_wrong_value")

    def _needed(self, name: str) -> Any:
        if name not in self._members:
            refuse(self._program, f"{printable(self._place + name)} is missing", "import_missing_value")
        return self._members[name]


def refuse(program: str, flaw: str, reason: str) -> NoReturn:
    """Refuse a file."""
    message = f"This is no file that {program} writes: {flaw}. Nothing was imported."
    raise ConfigurationError(message, field="FILE", reason=reason)
