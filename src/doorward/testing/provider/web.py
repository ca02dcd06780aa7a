"""Requests and replies of the development issuer, as data, and its one internal exception: an OAuth refusal.

No socket and no state: ``server`` turns bytes into a ``Request`` and a ``Reply`` into bytes, the endpoints map one to
the other.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MAX_BODY_BYTES",
    "Refusal",
    "Reply",
    "Request",
    "json_reply",
    "parse_basic",
    "read_pairs",
    "redirect_reply",
    "with_query",
]

MAX_BODY_BYTES = 65_536
_MAX_FIELDS = 100

_Pairs = tuple[tuple[str, str], ...]


class Refusal(Exception):
    """An endpoint says no, in the terms of RFC 6749 section 5.2. Never leaves this package."""

    def __init__(
        self, error: str, description: str = "", *, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are lower case; ``query`` and ``form`` keep repeated names, to refuse them."""

    method: str
    path: str
    query: _Pairs = field(default=(), repr=False)
    form: _Pairs = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def parameters(self) -> dict[str, str]:
        """Return the parameters, each once (RFC 6749 section 3.1: repeated or empty ones are refused or left out)."""
        pairs = self.form if self.method == "POST" else self.query
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1} - {"resource", "audience"})
        if repeated:
            raise Refusal("invalid_request", f"repeated parameter: {repeated[0]}")
        return {name: value for name, value in pairs if value}

    def every(self, name: str) -> tuple[str, ...]:
        """Return all values of a parameter that may be repeated (RFC 8707)."""
        pairs = self.form if self.method == "POST" else self.query
        return tuple(value for key, value in pairs if key == name and value)

    def cookie(self, name: str) -> str | None:
        """Return one cookie's value."""
        for part in self.headers.get("cookie", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. ``padding_bytes`` spaces follow the body, so that a huge answer costs no memory."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    padding_bytes: int = 0


def json_reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Make a reply of JSON that nobody may keep, unless ``headers`` has its own ``Cache-Control``."""
    merged = {"Cache-Control": "no-store", **(headers or {})}
    return Reply(status=status, body=json.dumps(value).encode(), headers=tuple(merged.items()))


def redirect_reply(url: str, *, headers: Iterable[tuple[str, str]] = ()) -> Reply:
    """Send the browser on; 303 also after a POST."""
    fixed = (("Location", url), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))
    return Reply(status=303, content_type="text/plain", headers=(*fixed, *headers))


def with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Add parameters to a URL that may have some already (RFC 6749 section 3.1.2)."""
    parts = urlsplit(url)
    added = urlencode(list(pairs))
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, added)))))


def read_pairs(text: str) -> _Pairs:
    """Decode a query or a form; raise Refusal for one that is no such thing."""
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise Refusal("invalid_request", "parameters are not form-encoded UTF-8") from None


def parse_basic(value: str) -> tuple[str, str] | None:
    """Read client id and secret from an Authorization header, form-decoded as RFC 6749 section 2.3.1 wants."""
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (unquote_plus(client_id), unquote_plus(secret)) if colon else None
