r"""What an issuer's tokens must say beside what every token must: ``required_claims``, with exact values or patterns.

A pattern is a text with ``*``. It stands for any letters but ``/`` and ``:``, so ``repo:acme/*`` never runs on into
another part of the name. ``**`` stands for anything, and only at the end, after something. All else is exact, capitals
too. Regular expressions are not taken: an unescaped dot or a forgotten anchor lets strangers in, and a bad one can
hang. These patterns are anchored, and their atomic groups ``(?>…)`` never go back: no value makes a match take long.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from doorward.errors import ConfigurationError, MissingClaim, WrongClaim, printable
from doorward.guard.issuers.claim_paths import ABSENT, ClaimPath

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ClaimValue", "RequiredClaim", "RequiredClaims", "read_required_claims"]

ClaimValue: TypeAlias = str | int | bool
RequiredClaims: TypeAlias = Mapping[str, ClaimValue | Collection[ClaimValue]]

_ANY: Final = "[^/:]*"
_MOST_VALUES: Final = 1000
_LONGEST_PATTERN: Final = 512


class RequiredClaim:
    """One claim that must be there, with one of some values. In a list, one member with such a value is enough.

    Two of the same name and values are equal, in whatever order the values were given.

    Args:
        name: where it stands, as for ``ClaimPath``.
        values: exact values, and texts that may be patterns.
    """

    __slots__ = ("_patterns", "name", "path", "values")

    def __init__(self, name: str, values: frozenset[tuple[type, ClaimValue]]) -> None:
        self.name, self.values = name, values
        self.path = ClaimPath(name)
        texts = [value for _, value in values if isinstance(value, str) and "*" in value]
        self._patterns: tuple[Callable[[str], object], ...] = tuple(_compile(text) for text in texts)

    def hold(self, claims: Mapping[str, Any]) -> None:
        """Refuse a token that does not say so.

        Raises:
            MissingClaim: it says nothing there.
            WrongClaim: it says something else.
        """
        found = self.path.find(claims)
        if found is ABSENT or found is None:
            message = f"The token has no claim {self.name}, which this service requires (required_claims)."
            raise MissingClaim(message, reason="required_claim_missing")
        if not any(map(self._fits, found if type(found) is list else (found,))):
            message = f"The token's claim {self.name} is not one that this service accepts (required_claims)."
            raise WrongClaim(message, reason="required_claim_mismatch")

    def tells_some_from_others(self, common: str = "") -> bool:
        """Tell whether each value says more than ``common``, with which everybody's begins, before its first star."""
        starts = [value.partition("*")[0] for _, value in self.values if isinstance(value, str) and "*" in value]
        return not any(common.startswith(start) for start in starts)

    def _fits(self, value: Any) -> bool:
        kind = type(value)
        if kind not in {str, int, bool}:  # a list or an object within a list, a number with a fraction
            return False
        return (kind, value) in self.values or (kind is str and any(fits(value) for fits in self._patterns))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RequiredClaim) and (self.name, self.values) == (other.name, other.values)

    def __hash__(self) -> int:
        return hash((self.name, self.values))

    def __repr__(self) -> str:
        return f"RequiredClaim({self.name!r}, {sorted((value for _, value in self.values), key=str)!r})"


def read_required_claims(given: RequiredClaims | tuple[RequiredClaim, ...]) -> tuple[RequiredClaim, ...]:
    """Check the setting and compile it. What was compiled before may be given again.

    Raises:
        ConfigurationError: ``field`` is ``required_claims``.
    """
    if isinstance(given, tuple) and all(isinstance(each, RequiredClaim) for each in given):
        return given
    if not isinstance(given, Mapping):
        raise _wrong('is a table of claims, such as {"repository_owner": "acme"}', "not_a_mapping")
    return tuple(sorted((_read(name, values) for name, values in given.items()), key=lambda each: each.name))


def _read(name: str, values: ClaimValue | Collection[ClaimValue]) -> RequiredClaim:
    if not isinstance(name, str) or not name or not name.isprintable() or name != name.strip():
        raise _wrong("holds what is no name of a claim", "not_a_name")
    shown = printable(name)
    if isinstance(values, (str, int)):
        values = (values,)
    if isinstance(values, (bytes, Mapping)) or not isinstance(values, Collection) or not values:
        raise _wrong(f"needs for {shown} a value or a list of them", "not_a_value")
    if len(values) > _MOST_VALUES:
        raise _wrong(f"holds for {shown} more than {_MOST_VALUES} values: use a pattern", "too_many_values")
    for value in values:
        if type(value) not in {str, int, bool} or value == "":
            raise _wrong(f"needs for {shown} texts, whole numbers, true or false", "not_a_value")
        if isinstance(value, str) and "*" in value:
            _check_pattern(value, shown)
    return RequiredClaim(name, frozenset((type(value), value) for value in values))  # 1 is not true


def _check_pattern(text: str, shown: str) -> None:
    if "**" in text.removesuffix("**"):
        raise _wrong(f"has ** for {shown} elsewhere than at the end: use * before", "pattern_malformed")
    if "**" in text and not text.strip("*"):
        raise _wrong(f"accepts anything at all for {shown}: say before ** how the value begins", "pattern_matches_all")
    if len(text) > _LONGEST_PATTERN:
        raise _wrong(f"has a pattern for {shown} of more than {_LONGEST_PATTERN} characters", "pattern_malformed")


def _compile(text: str) -> Callable[[str], object]:
    body, rest = (text[:-2], ".*") if text.endswith("**") else (text, "")
    first, *more = map(re.escape, body.split("*"))
    last = f"{_ANY}{more.pop()}" if more and not rest else ""
    # The earliest place for a piece leaves most for the next one, so nothing is lost by never going back to it.
    middle = "".join(f"(?>{_ANY}?{piece})" for piece in more)
    return re.compile(first + middle + last + rest, re.DOTALL).fullmatch


def _wrong(what: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"required_claims {what}. Correct it.", field="required_claims", reason=reason)
