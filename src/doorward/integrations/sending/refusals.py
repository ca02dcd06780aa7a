"""What a refusal asks for: read from a 401 and its challenges. What is then done about it is ``sender``'s business."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from doorward.errors import InvalidResponse
from doorward.protocol.reading.challenges import parse_challenges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorward.protocol.reading.challenges import Challenge

__all__ = ["Answer", "StepUp", "read_step_up", "wants_nonce"]

_SCHEMES = {"bearer", "dpop"}
_LONGEST_AGE_DIGITS = 10


class Answer(NamedTuple):
    """What a server said to a request, as far as a token is concerned.

    Args:
        refused: It said 401, to this very request and not to what a redirect made of it.
        repeatable: The request can be sent once more: its body is still there.
        challenges: Each WWW-Authenticate header.
        nonce: The DPoP-Nonce header.
    """

    refused: bool
    repeatable: bool
    challenges: Sequence[str] = ()
    nonce: str | None = None


class StepUp(NamedTuple):
    """The sign-in that an API wants before it answers: of such a kind, or no older than so many seconds (RFC 9470)."""

    acr_values: str | None
    max_age: int | None


def read_step_up(*challenges: str) -> StepUp | None:
    """Return the sign-in that an API asks for; None if its refusal is another one.

    Args:
        challenges: Every WWW-Authenticate header of its answer.

    Source: RFC 9470 section 3.
    """
    for challenge in _ours(challenges):
        if challenge.parameters.get("error") == "insufficient_user_authentication":
            acr_values, max_age = challenge.parameters.get("acr_values"), challenge.parameters.get("max_age", "")
            is_age = max_age.isascii() and max_age.isdigit() and len(max_age) <= _LONGEST_AGE_DIGITS
            return StepUp(acr_values or None, int(max_age) if is_age else None)
    return None


def wants_nonce(*challenges: str) -> bool:
    """Say whether the server wants its nonce in the proof, and refuses for no other reason (RFC 9449 section 9)."""
    return any(
        challenge.scheme == "dpop" and challenge.parameters.get("error") == "use_dpop_nonce"
        for challenge in _ours(challenges)
    )


def _ours(challenges: Sequence[str]) -> Iterator[Challenge]:
    """Take what can't be read for a plain refusal: a server's mistake is no reason to send it less, or more."""
    with suppress(InvalidResponse):
        for challenge in parse_challenges(*challenges):
            if challenge.scheme in _SCHEMES:
                yield challenge
