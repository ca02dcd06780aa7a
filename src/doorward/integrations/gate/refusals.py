"""What a refused request hears over HTTP: status, headers, a small JSON body. Never the reason: that is for the log.

Every 401 has the same body, and the same challenge for everybody who sent a credential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doorward.errors import (
    ConfigurationError,
    Forbidden,
    InvalidCredential,
    MissingCredential,
    Throttled,
    UnavailableError,
)
from doorward.protocol.bearer import build_www_authenticate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["REFUSED", "Refusal", "Refusals"]

REFUSED = (InvalidCredential, Forbidden, Throttled, UnavailableError)
"""What a guard says no with. Anything else it raises is a mistake in the program, and no answer of a guard's."""

_RETRY_AFTER_S = 5.0  # where an outage does not say
_LONGEST_RETRY_AFTER_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer. ``content`` is the body, before it is JSON."""

    status: int
    content: Mapping[str, Any]
    headers: Mapping[str, str]


class Refusals:
    """The answers of one guarded place.

    Args:
        realm: what is guarded, in words.
        resource_metadata: URL of the metadata by which a client learns where to get a token (RFC 9728 section 5.1).
        scopes: what is needed everywhere in that place.

    Raises:
        ConfigurationError: one of them can't stand in a header; names it.

    Source: RFC 6750 section 3, RFC 6585 section 4, RFC 9110 sections 10.2.3 and 11.6.1.
    """

    def __init__(
        self, *, realm: str | None = None, resource_metadata: str | None = None, scopes: Collection[str] = ()
    ) -> None:
        if isinstance(scopes, str):
            message = "scopes is one text: give a list of scopes."
            raise ConfigurationError(message, field="scopes", reason="not_a_list")
        self._realm = realm
        self._resource_metadata = resource_metadata
        needed = tuple(scopes)
        build = build_www_authenticate
        self._missing = build(scopes=needed, realm=realm, resource_metadata=resource_metadata)
        self._invalid = build(error="invalid_token", scopes=needed, realm=realm, resource_metadata=resource_metadata)

    def answer(self, error: InvalidCredential | Forbidden | Throttled | UnavailableError) -> Refusal:
        """Return the answer to a request that was refused with ``error``."""
        match error:
            case InvalidCredential():
                challenge = self._missing if isinstance(error, MissingCredential) else self._invalid
                return _refusal(401, {"error": "unauthorized"}, {"WWW-Authenticate": challenge})
            case Forbidden():
                challenge = build_www_authenticate(
                    error="insufficient_scope",
                    scopes=error.missing_scopes,
                    realm=self._realm,
                    resource_metadata=self._resource_metadata,
                )
                content = {"error": "forbidden", "missing_scopes": list(error.missing_scopes)}
                return _refusal(403, content, {"WWW-Authenticate": challenge})
            case Throttled():
                return _refusal(429, {"error": "too_many_attempts"}, _retry_after(error.retry_after_s))
            case UnavailableError():
                return _refusal(503, {"error": "unavailable"}, _retry_after(error.retry_after_s))


def _refusal(status: int, content: Mapping[str, Any], headers: Mapping[str, str]) -> Refusal:
    return Refusal(status, content, {"Cache-Control": "no-store", **headers})


def _retry_after(seconds: float | None) -> dict[str, str]:
    wait_s = min(_RETRY_AFTER_S if seconds is None else seconds, _LONGEST_RETRY_AFTER_S)
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}
