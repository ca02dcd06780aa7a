"""Reads one table of settings, member by member, strictly. What a member means is ``settings``'s business.

A mistake is named by its place, never by its value: that may be a secret in the wrong member.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, Malformed, printable
from doorward.model import Secret
from doorward.protocol.reading.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Place", "Table", "read_bytes", "read_json", "read_toml"]

_LARGEST_FILE = 1_048_576
_READING = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_WHERE = re.compile(r"\(at (line \d+, column \d+|end of document)\)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting stands: ``path`` in a file, or in an environment variable, whose name it then begins with."""

    path: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.path}" if self.file and self.path else self.file or self.path

    def member(self, name: str) -> Place:
        return Place(f"{self.path}.{name}" if self.path else name, self.file)

    def item(self, index: int) -> Place:
        return Place(f"{self.path}[{index}]", self.file)

    def wrong(self, what: str, reason: str) -> ConfigurationError:
        """Return the error about this place; ``what`` goes on from its name."""
        return ConfigurationError(f"{self} {what}", field=self.path or self.file, reason=reason)


class Table:
    """One table of settings. Each member is taken once, by type; ``end`` refuses what nobody took."""

    def __init__(self, values: object, place: Place, *, folder: Path | None = None) -> None:
        if not isinstance(values, dict):
            raise place.wrong("must be an object with named members.", "not_a_table")
        self.place = place
        self._folder = folder
        self._values: dict[str, Any] = dict(values)
        self._known: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def end(self) -> None:
        """Refuse members that nobody took: most are misspelt."""
        for name in self._values:
            near = difflib.get_close_matches(name, self._known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(self._known))}."
            place = self.place.member(printable(name))
            raise place.wrong(f"is no setting; {remedy}", "unknown_setting")

    def text(self, name: str) -> str | None:
        """Take a text that is not empty."""
        value: str | None = self._take(name, _is_text, "a text that is not empty")
        return value

    def need(self, name: str) -> str:
        """Take a text that has to be there."""
        value = self.text(name)
        if value is None:
            raise self.place.member(name).wrong("is missing: give it.", "missing_setting")
        return value

    def flag(self, name: str) -> bool | None:
        """Take true or false."""
        value: bool | None = self._take(name, lambda value: isinstance(value, bool), "true or false")
        return value

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Take a whole number within limits."""

        def fits(value: Any) -> bool:
            return type(value) is int and least <= value <= most

        value: int | None = self._take(name, fits, f"a whole number from {least} to {most}")
        return value

    def number(self, name: str, least: float, most: float) -> float | None:
        """Take a number within limits, with or without a fraction."""

        def fits(value: Any) -> bool:
            return type(value) in (int, float) and least <= value <= most

        value: float | None = self._take(name, fits, f"a number from {least} to {most}")
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Take a list of texts, or a single one."""
        value = self._take(name, _are_texts, "a text or a list of texts")
        return None if value is None else (value,) if isinstance(value, str) else tuple(value)

    def items(self, name: str) -> list[Any] | None:
        """Take a list of whatever."""
        value: list[Any] | None = self._take(name, lambda value: isinstance(value, list), "a list")
        return value

    def table(self, name: str) -> Table | None:
        """Take a table within this one."""
        value = self._take(name, lambda value: isinstance(value, dict), "a table")
        return None if value is None else Table(value, self.place.member(name), folder=self._folder)

    def mapping(self, name: str) -> dict[str, Any] | None:
        """Take a table as it is, which somebody else reads."""
        value: dict[str, Any] | None = self._take(name, lambda value: isinstance(value, dict), "a table")
        return value

    def path(self, name: str, *, but: str | None = None) -> str | None:
        """Take a path. A relative one is taken from the folder of the settings file. ``but`` is no path."""
        text = self.text(name)
        return text if text is None or text == but else self._resolved(name, text)

    def database(self, name: str, environment: Mapping[str, str]) -> Secret | None:
        """Take a database: a path or URL as ``NAME``, or, with a password in it, as ``NAME_env`` or ``NAME_file``."""
        if name not in self._values:
            return self.secret(name, environment)
        text = self.need(name)
        self._known += [f"{name}_env", f"{name}_file"]
        if "://" not in text:
            return Secret(self._resolved(name, text))
        if "@" in text or "password" in text.lower():  # PostgreSQL also takes one behind the question mark
            remedy = f"Name where the URL is: {name}_env or {name}_file."
            raise self.place.member(name).wrong(f"has a user in it, and maybe a password. {remedy}", "secret_in_file")
        return Secret(text)

    def secret(self, name: str, environment: Mapping[str, str]) -> Secret | None:
        """Take a secret, which is never in the settings themselves: from ``NAME_env`` or ``NAME_file``."""
        if name in self._values:
            remedy = f"Name where it is: {name}_env or {name}_file."
            raise self.place.member(name).wrong(f"is a secret, which has no place here. {remedy}", "secret_in_file")
        variable, file = self.text(f"{name}_env"), self.path(f"{name}_file")
        if variable is not None and file is not None:
            raise self.place.member(f"{name}_file").wrong(f"is given beside {name}_env: choose one.", "given_twice")
        if variable is not None:
            if not environment.get(variable):
                remedy = f"Set the environment variable {printable(variable)}."
                raise self.place.member(f"{name}_env").wrong(f"names what is not there. {remedy}", "variable_missing")
            return Secret(environment[variable])
        if file is None:
            return None
        place = self.place.member(f"{name}_file")
        text = read_bytes(file, place).decode(errors="replace").rstrip("\r\n")
        if not text or "\ufffd" in text:
            raise place.wrong("names a file that is empty or no text.", "file_not_text")
        return Secret(text)

    def _resolved(self, name: str, text: str) -> str:
        if "\0" in text:
            raise self.place.member(name).wrong("must be a path, which has no NUL in it.", "wrong_value")
        return text if self._folder is None else str(self._folder / text)

    def _take(self, name: str, fits: Callable[[Any], bool], kind: str) -> Any:
        self._known.append(name)
        if name not in self._values:
            return None
        value = self._values.pop(name)
        if not fits(value):
            raise self.place.member(name).wrong(f"must be {kind}.", "wrong_value")
        return value


def read_json(text: str, place: Place) -> Any:
    """Read one JSON value, as strictly as a token's.

    Raises:
        ConfigurationError: it is none.
    """
    try:  # as a member, so that a list will do
        whole = loads_object(b'{"value":%b}' % text.encode(errors="surrogatepass"), what=str(place))
    except Malformed as error:
        raise place.wrong("is not valid JSON. Mind quotes, commas and brackets.", error.reason) from None
    if len(whole) > 1:
        raise place.wrong("is not valid JSON: something comes after its end.", "json_syntax")
    return whole["value"]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: it can't be read, or is none.
    """
    place = Place("", printable(path.name))
    data = read_bytes(path, place)
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        where = _WHERE.search(str(error))  # and nothing else of its message, which may repeat a secret
        at = f", {where[1]}" if where else ""
        raise place.wrong(f"is not valid TOML in UTF-8{at}.", "toml_syntax") from None


def read_bytes(path: str | Path, place: Place) -> bytes:
    """Read a regular file of ordinary size.

    Raises:
        ConfigurationError: there is none that can be read.
    """
    try:
        with open(os.open(path, _READING), "rb") as file:  # noqa: PTH123 - a FIFO must not keep us waiting
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            data = file.read(_LARGEST_FILE + 1) if is_regular else b""
    except (OSError, ValueError) as error:
        what = (isinstance(error, OSError) and error.strerror) or "not a path"
        raise place.wrong(f"can't be read: {printable(str(path))}: {what}.", "file_unreadable") from None
    if not is_regular or len(data) > _LARGEST_FILE:
        what = f"can't be read: {printable(str(path))} is no regular file of at most 1 MiB."
        raise place.wrong(what, "file_unreadable")
    return data


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_texts(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and bool(value) and all(map(_is_text, value)))
