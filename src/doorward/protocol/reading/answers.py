"""The members of a JSON answer, read by type. null counts as absent, as some providers write it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from doorward.errors import InvalidResponse
from doorward.model import Secret
from doorward.protocol.reading.responses import read_object, sentence
from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import HttpRequest, HttpResponse

__all__ = ["VSCHAR", "Answer"]

VSCHAR = re.compile(r"[\x21-\x7e]+")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,9})?")


class Answer(msgspec.Struct, frozen=True):
    """A JSON object that an endpoint gave. ``purpose`` names the endpoint in messages.

    Every reader raises InvalidResponse: ``missing_member``, ``wrong_member_type`` or ``negative_duration``.
    """

    purpose: str
    body: Mapping[str, Any]

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"Answer(purpose={self.purpose!r})"

    @classmethod
    def read(cls, response: HttpResponse, *, request: HttpRequest, now: float) -> Answer:
        """Take a successful answer to ``request``. Raises as ``responses.read_object``."""
        return cls(request.purpose, read_object(response, purpose=request.purpose, now=now, request=request))

    def text(self, name: str) -> str:
        """Return a string that must be there."""
        value = self.optional_text(name)
        if value is None:
            raise self._missing(name)
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def token(self, name: str) -> Secret:
        """Return a token: any printable ASCII without spaces (RFC 6749 appendix A.12)."""
        value = self.text(name)
        if not VSCHAR.fullmatch(value):
            raise self._wrong(name, "printable ASCII without spaces")
        return Secret(value)

    def optional_token(self, name: str) -> Secret | None:
        """Return a token, or None; the empty string, which some providers send, is none."""
        return self.token(name) if self.optional_text(name) else None

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return a list of strings, or None."""
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of strings")
        return tuple(value)

    def words(self, name: str) -> tuple[str, ...] | None:
        """Return the words of a string, or None; Twitch gives them as a list."""
        if isinstance(self.body.get(name), list):
            return self.texts(name)
        value = self.optional_text(name)
        return None if value is None else tuple(value.split())

    def flag(self, name: str) -> bool:
        """Return a boolean that is false when absent."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value is True

    def seconds(self, name: str, *, most: int) -> int:
        """Return a duration that must be there, no longer than ``most``."""
        value = self.optional_seconds(name, most=most)
        if value is None:
            raise self._missing(name)
        return value

    def optional_seconds(self, name: str, *, most: int) -> int | None:
        """Return a duration or None, its whole seconds; one too long becomes ``most``.

        Some providers write the number as a string, and some with a fraction (``3599.0``).
        """
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, "a number")
        if value < 0:
            message = f"{sentence(self.purpose)} gave a negative {name}. Tell the provider."
            raise InvalidResponse(message, reason="negative_duration")
        return int(min(value, most))

    def _missing(self, name: str) -> InvalidResponse:
        message = f"{sentence(self.purpose)} gave no {name}. Check that the issuer is an OpenID Connect provider."
        return InvalidResponse(message, reason="missing_member")

    def _wrong(self, name: str, expected: str) -> InvalidResponse:
        message = f"{sentence(self.purpose)} gave {name} in a wrong form: it is not {expected}. Tell the provider."
        return InvalidResponse(message, reason="wrong_member_type")
