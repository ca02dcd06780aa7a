"""Reads WWW-Authenticate: what a server that refused a request wants instead. Strict, for any server writes these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doorward.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Challenge", "parse_challenges"]

_LONGEST = 16_384
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # the RFC calls it a token
_QUOTED = r'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_ELEMENT = re.compile(
    rf"""
    (?: (?:(?P<scheme>{_WORD})[ ]+)? (?P<name>{_WORD})[ \t]*=[ \t]*(?:(?P<plain>{_WORD})|(?P<quoted>{_QUOTED}))
      | (?P<lone_scheme>{_WORD})(?:[ ]+[A-Za-z0-9\-._~+/]+=*)?  # alone, or with a token68, which no scheme of ours has
    )?
    [ \t]*(?:,[ \t]*|$)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge. Its scheme and the names of its parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(*values: str) -> tuple[Challenge, ...]:
    """Return the challenges of a response, in their order.

    Args:
        values: Every WWW-Authenticate header of the response.

    Raises:
        InvalidResponse: They are not what the grammar says, or a parameter stands twice in one challenge.

    Source: RFC 9110 sections 5.6.1, 11.2 and 11.6.1.
    """
    return tuple(challenge for value in values for challenge in _parse(value))


def _parse(value: str) -> list[Challenge]:
    if len(value) > _LONGEST:
        raise InvalidResponse("The server's WWW-Authenticate header is too long.", reason="challenge_too_long")
    challenges: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(value):
        element = _ELEMENT.match(value, position)
        if element is None:
            raise _bad()
        position = element.end()
        scheme, name = element["scheme"] or element["lone_scheme"], element["name"]
        if scheme is not None:
            challenges.append((scheme.lower(), {}))
        if name is not None:
            if not challenges or name.lower() in challenges[-1][1]:
                raise _bad()
            challenges[-1][1][name.lower()] = element["plain"] or _unquoted(element["quoted"])
    return [Challenge(scheme, parameters) for scheme, parameters in challenges]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _bad() -> InvalidResponse:
    message = "The server's WWW-Authenticate header is not what HTTP says it must be. Its operator has to mend it."
    return InvalidResponse(message, reason="bad_challenge")
