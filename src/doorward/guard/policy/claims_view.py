"""The claims of a principal, to be read and not written: a guard's cache hands the same ones to many callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ReadOnlyClaims"]


@final
class ReadOnlyClaims(Mapping[str, Any]):
    """A JSON object that can't be changed: objects inside it are read-only as well, and lists come out as tuples.

    It equals a dictionary of the same content. ``to_dict`` gives a copy for whoever wants to change it or write JSON.

    Args:
        claims: decoded JSON. It is not copied: whoever made it must let go of it.
    """

    __slots__ = ("_claims",)

    def __init__(self, claims: dict[str, Any]) -> None:
        self._claims = claims

    def __getitem__(self, name: str) -> Any:
        return _read_only(self._claims[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def __contains__(self, name: object) -> bool:
        return name in self._claims

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ReadOnlyClaims):
            return self._claims == other._claims
        if isinstance(other, dict):
            return self._claims == other or dict(self) == other  # with lists, or with the tuples that came out of here
        return NotImplemented

    __hash__ = None  # type: ignore[assignment] # as a dictionary

    def __repr__(self) -> str:
        return "<claims>"  # they are personal

    def __copy__(self) -> ReadOnlyClaims:
        return self

    def __deepcopy__(self, memo: object) -> ReadOnlyClaims:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadOnlyClaims, (self._claims,)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy in plain dictionaries and lists, for JSON."""
        return {name: _plain(value) for name, value in self._claims.items()}


def _read_only(value: Any) -> Any:
    if type(value) is list:
        return tuple(map(_read_only, value))
    return ReadOnlyClaims(value) if type(value) is dict else value


def _plain(value: Any) -> Any:
    if type(value) is list:
        return list(map(_plain, value))
    return {name: _plain(one) for name, one in value.items()} if type(value) is dict else value
