"""What the vault holds about an institution, as a value, and its one form as JSON. Pure: no file is touched here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from doorward.protocol.reading.urls import url_flaw
from doorward.secret import Secret
from doorward.vault.fields import VERSION, instant, read_fields, secret, text, truth
from doorward.vault.folders import institution_file
from doorward.vault.times import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["InstitutionEntry", "KeptCookie"]

_KIND = "institution"
_SESSION_COOKIE = -1.0
_LONGEST_URL = 8192

_SameSite = Literal["Strict", "Lax", "None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCookie:
    """A cookie as Playwright tells of it. A ``domain`` without a leading dot is one host's alone."""

    name: str
    value: Secret
    domain: str
    path: str = "/"
    expires: float = _SESSION_COOKIE
    http_only: bool = False
    secure: bool = False
    same_site: _SameSite = "Lax"

    @classmethod
    def from_browser(cls, cookie: Mapping[str, Any]) -> KeptCookie:
        """Take a cookie out of a browser's list; members that are not known here are left out.

        Raises:
            TypeError, ValueError, KeyError: It is none.
        """
        return cls(**{field: read(cookie[member]) for field, member, read in _COOKIE_MEMBERS})

    def to_browser(self) -> dict[str, Any]:
        """Return it as Playwright takes it, its value in plain text."""
        return self.shown(Secret.reveal)

    def shown(self, show: Callable[[Secret], str]) -> dict[str, Any]:
        """Return it like ``to_browser``, its value as ``show`` shows it."""
        members = {member: getattr(self, field) for field, member, _ in _COOKIE_MEMBERS}
        return {**members, "value": show(self.value)}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionEntry:
    """A session at an institution: what a browser held when it was proven to be signed in. Never a password.

    Instants are epoch seconds in UTC; the file keeps microseconds of them.

    Attributes:
        name: What the institution is called here; case does not matter when it is looked up.
        where: The institution as it was given.
        institution_url: What that means, as an address.
        target: An address that shows itself only to who is signed in; asking for it proves the session.
        user_agent: What the browser called itself: a session may be tied to that.
        signed_in_at: When a person last signed in.
        created_at: When these cookies were taken: then, or at a renewal since.
        proven_at: When the target last showed itself.
        cookies: All that the browser held, those of the identity provider included, which renew the session.
    """

    name: str
    where: str
    institution_url: str
    target: str
    user_agent: str
    signed_in_at: float
    created_at: float
    proven_at: float
    cookies: tuple[KeptCookie, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this entry. It holds the secrets in plain text: for the vault's file alone.

        Raises:
            ValueError: An instant is none.
        """
        return self._to_json(Secret.reveal)

    def masked(self) -> dict[str, Any]:
        """Return the same with ``<secret>`` in place of each cookie's value, to show a person what is held."""
        return self._to_json(str)

    def _to_json(self, show: Callable[[Secret], str]) -> dict[str, Any]:
        document: dict[str, Any] = {"version": VERSION, "kind": _KIND}
        for name in _READERS:
            value = getattr(self, name)
            document[name] = format_instant(value) if name.endswith("_at") else value
        document["cookies"] = [cookie.shown(show) for cookie in self.cookies]
        return document

    @classmethod
    def from_json(cls, document: object) -> InstitutionEntry:
        """Read an entry from decoded JSON that may hold anything.

        Raises:
            CorruptEntry: It is not what ``to_json`` gives; ``reason="newer_version"`` if a newer Doorward wrote it.
        """
        return cls(**read_fields(document, kind=_KIND, readers=_READERS))


def _name(value: object) -> str:
    name = text(value)
    institution_file(name)
    return name


def _url(value: object) -> str:
    url = text(value)
    if url_flaw(url, loopback_http=False, query=True, fragment=True, longest=_LONGEST_URL):
        raise ValueError
    return url


def _filled(value: object) -> str:
    if not text(value):
        raise ValueError
    return text(value)


def _expires(value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError
    expires = float(value)  # type: ignore[arg-type] # it is one of the two
    if not math.isfinite(expires) or (expires < 0 and expires != _SESSION_COOKIE):
        raise ValueError
    return expires


def _same_site(value: object) -> str:
    if value not in get_args(_SameSite):
        raise ValueError
    return text(value)


_COOKIE_MEMBERS: tuple[tuple[str, str, Callable[[object], Any]], ...] = (
    ("name", "name", text),
    ("value", "value", secret),
    ("domain", "domain", _filled),
    ("path", "path", _filled),
    ("expires", "expires", _expires),
    ("http_only", "httpOnly", truth),
    ("secure", "secure", truth),
    ("same_site", "sameSite", _same_site),
)
"""Our name, Playwright's, and how its value is read."""

_COOKIE_NAMES = frozenset(member for _, member, _ in _COOKIE_MEMBERS)


def _cookies(value: object) -> tuple[KeptCookie, ...]:
    if not isinstance(value, list):
        raise TypeError
    for item in value:
        if not isinstance(item, dict) or item.keys() != _COOKIE_NAMES:
            raise ValueError
    return tuple(KeptCookie.from_browser(item) for item in value)


_READERS: dict[str, Callable[[object], Any]] = {
    "name": _name,
    "where": _filled,
    "institution_url": _url,
    "target": _url,
    "user_agent": text,
    "signed_in_at": instant,
    "created_at": instant,
    "proven_at": instant,
    "cookies": _cookies,
}
