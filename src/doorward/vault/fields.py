"""Reads one JSON object of the vault, member by member, strictly. Which members it has stands with each kind. Pure."""

from __future__ import annotations

from doorward.errors import ConfigurationError, CorruptEntry, printable
from doorward.secret import Secret
from doorward.vault.times import parse_instant

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

__all__ = ["VERSION", "count", "instant", "or_none", "read_fields", "secret", "text", "texts", "truth"]

VERSION = 1
"""Of the schema of every kind of entry."""


def read_fields(
    document: object,
    *,
    kind: str,
    readers: Mapping[str, Callable[[object], Any]],
    later: Collection[str] = (),
    newest: int = VERSION,
) -> dict[str, Any]:
    """Read the members of an entry from decoded JSON that may hold anything.

    Args:
        document: What was decoded.
        kind: What its member ``kind`` has to say.
        readers: Each member's name, and what turns its value into ours or raises ``TypeError``, ``ValueError`` or
            ``ConfigurationError``.
        later: The members that came with a later release: files of an earlier one lack them.
        newest: The highest version of this kind that can be read.

    Raises:
        CorruptEntry: A member is missing, wrong or unknown; ``reason="newer_version"`` if a newer Doorward wrote it.
    """
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise CorruptEntry(f"The file holds no {kind}.", reason="wrong_kind")
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise CorruptEntry("The file has no version that was ever in use.", reason="wrong_version")
    if version > newest:
        raise CorruptEntry("The file was written by a newer Doorward.", reason="newer_version")
    unknown = document.keys() - readers.keys() - {"version", "kind"}
    if unknown:
        message = f"The file has a field that does not belong there: {printable(repr(min(unknown)))}."
        raise CorruptEntry(message, reason="unknown_field")
    missing = readers.keys() - document.keys() - set(later)
    if missing:
        raise CorruptEntry(f"The file lacks the field {min(missing)}.", reason="missing_field")
    values: dict[str, Any] = {}
    for name, read in readers.items():
        if name not in document:
            continue
        try:
            values[name] = read(document[name])
        except (TypeError, ValueError, ConfigurationError):
            raise CorruptEntry(f"The file's field {name} has a wrong value.", reason="wrong_value") from None
    return values


def text(value: object) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def texts(value: object) -> tuple[str, ...]:
    """Take a list of texts."""
    if not isinstance(value, list):
        raise TypeError
    return tuple(text(item) for item in value)


def secret(value: object) -> Secret:
    """Take a text that nobody is to see."""
    return Secret(text(value))


def instant(value: object) -> float:
    """Take an instant, as ``times`` writes it."""
    return parse_instant(text(value))


def truth(value: object) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise TypeError
    return value


def count(value: object) -> int:
    """Take a whole number from 0."""
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def or_none(read: Callable[[object], Any]) -> Callable[[object], Any]:
    """Let null stand for None."""
    return lambda value: None if value is None else read(value)
