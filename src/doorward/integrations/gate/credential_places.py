"""Where a request may hold its credential, and which one counts. Nothing here judges it: that is for the guard.

A credential that somebody put there counts: in a header, or in a WebSocket's subprotocol. Two that differ are refused,
for nobody knows which one other programs on the way went by. A cookie counts where there is no other credential, since
browsers send it by themselves: so it opens nothing to a request that another site may have had a browser make.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, Forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

__all__ = ["AUTHORIZATION", "CredentialPlaces", "websocket_tokens", "without_websocket_tokens"]

AUTHORIZATION: Final = ("authorization",)

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - a name, by RFC 9110 section 5.6.2
_PLACE: Final = re.compile(rf"authorization|websocket-protocol|(header|cookie):({_TOKEN})")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 section 9.2.1
_OWN: Final = frozenset({b"same-origin", b"none"})  # Fetch Metadata: the page itself, or the person
_BEARER: Final = "bearer"


class CredentialPlaces:
    """The places of one guarded application.

    Args:
        places: some of ``authorization``, ``header:NAME``, ``cookie:NAME`` and ``websocket-protocol``, where a
            browser's ``new WebSocket(url, ["bearer", token])`` puts it.
        allowed_origins: origins besides the application's own that may send its cookie.

    Raises:
        ConfigurationError: field ``credentials`` or ``allowed_origins``.
    """

    def __init__(self, places: Iterable[str] = AUTHORIZATION, *, allowed_origins: Iterable[str] = ()) -> None:
        if isinstance(places, str) or not (found := [(place, _PLACE.fullmatch(place)) for place in places]):
            message = 'credentials is a list of places: ["authorization", "header:x-api-key"].'
            raise ConfigurationError(message, field="credentials", reason="not_a_list")
        headers, cookies = [], []
        for place, match in found:
            if match is None:
                message = (
                    "credentials has what is no place. Known are authorization, header:NAME, cookie:NAME and "
                    "websocket-protocol."
                )
                raise ConfigurationError(message, field="credentials", reason="unknown_place")
            if place == "authorization" or match[1] == "header":
                headers.append((match[2] or place).lower().encode())
            elif match[1] == "cookie":
                cookies.append(match[2])
        self._headers = tuple(headers)
        self._cookies = tuple(cookies)
        self.takes_websocket_protocol = any(place == "websocket-protocol" for place, _ in found)
        self.is_usual = self._headers == (b"authorization",) and not cookies and not self.takes_websocket_protocol
        self._allowed = _origins(allowed_origins)

    def find(self, scope: MutableMapping[str, Any]) -> str | None:
        """Return what the Authorization header would hold; several that differ are one list, which no guard accepts.

        Raises:
            Forbidden: there is a cookie alone, and another site may have had a browser make the request.
        """
        found: list[str] = []
        for header, value in scope["headers"]:
            if header in self._headers:
                text = value.decode("latin-1")
                found.append(text if header == b"authorization" else _as_bearer(text))
        if self.takes_websocket_protocol:
            found += map(_as_bearer, websocket_tokens(scope)[0])
        if not found and self._cookies:
            found = [_as_bearer(value) for name, value in _cookies(scope) if name in self._cookies]
            if found and not self._is_of_this_site(scope):
                message = "A cookie alone opens nothing to a request that another site may have made."
                raise Forbidden(message, reason="cross_site_request")
        return ", ".join(dict.fromkeys(found)) if found else None

    def _is_of_this_site(self, scope: MutableMapping[str, Any]) -> bool:
        """Say whether a request can only come from the application's own pages, or does no harm by coming.

        Source: Fetch Metadata Request Headers section 2.3; RFC 6454 section 7; RFC 6455 section 10.2.
        """
        if scope["type"] == "http" and scope["method"] in _SAFE:
            return True
        given = {name: value for name, value in scope["headers"] if name in {b"sec-fetch-site", b"origin", b"host"}}
        origin = given.get(b"origin", b"").decode("latin-1")
        if origin in self._allowed:
            return True
        if b"sec-fetch-site" in given:
            return given[b"sec-fetch-site"] in _OWN
        scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "http"), scope.get("scheme", "http"))
        own = {f"{each}://{given.get(b'host', b'').decode('latin-1').lower()}" for each in {scheme, "https"}}
        return origin.lower() in own


def websocket_tokens(scope: MutableMapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what a WebSocket offers after each subprotocol ``bearer``, and the subprotocols besides."""
    tokens: list[str] = []
    others: list[str] = []
    offered = iter(scope.get("subprotocols") or ())
    for name in offered:
        if name == _BEARER:
            tokens.append(next(offered, ""))
        else:
            others.append(name)
    return tokens, others


def without_websocket_tokens(scope: MutableMapping[str, Any], others: list[str]) -> dict[str, Any]:
    """Return the members of a scope that held tokens, with the ``others`` alone."""
    headers = [header for header in scope["headers"] if header[0] != b"sec-websocket-protocol"]
    if others:
        headers.append((b"sec-websocket-protocol", ", ".join(others).encode("latin-1")))
    return {"subprotocols": others, "headers": headers}


def _as_bearer(value: str) -> str:
    return value if value[:7].lower() == "bearer " else f"Bearer {value}"


def _cookies(scope: MutableMapping[str, Any]) -> list[tuple[str, str]]:
    lines = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    pairs = (pair.partition("=") for pair in lines.split(";"))
    # Blanks alone are taken off: browsers let a site set "\xa0__Host-x", which is no name of ours.
    return [(name.strip(" \t"), value.strip(" \t").strip('"')) for name, _, value in pairs]


def _origins(given: Iterable[str]) -> frozenset[str]:
    if isinstance(given, str):
        message = "allowed_origins is one text: give a list."
        raise ConfigurationError(message, field="allowed_origins", reason="not_a_list")
    origins = list(given)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            message = "allowed_origins has what is no origin: write https://app.example.org, without a path."
            raise ConfigurationError(message, field="allowed_origins", reason="not_an_origin")
    return frozenset(origins)
