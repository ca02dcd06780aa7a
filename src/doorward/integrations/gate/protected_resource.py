"""The document by which a client that was refused learns where to get a token (RFC 9728). It holds no secret."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError
from doorward.protocol.reading.urls import FLAWS, url_flaw

if TYPE_CHECKING:
    from collections.abc import Collection, MutableMapping

__all__ = ["ProtectedResource"]

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True)
class ProtectedResource:
    """What a guarded application says of itself.

    Args:
        resource: its identifier, an https URL, such as ``https://api.example.org``; http for loopback.
        authorization_servers: who issues tokens for it; empty: the guard's issuers.
        scopes_supported: the scopes that a client may ask for.
        name: what people call it.
        documentation: URL of a page for developers.

    Raises:
        ConfigurationError: field ``resource``.

    Source: RFC 9728 sections 2 and 3.
    """

    resource: str
    authorization_servers: Collection[str] = ()
    scopes_supported: Collection[str] = ()
    name: str | None = None
    documentation: str | None = None

    def __post_init__(self) -> None:
        if flaw := url_flaw(self.resource, loopback_http=True):
            message = f"resource {FLAWS[flaw]}. Give the URL that clients know this service by."
            raise ConfigurationError(message, field="resource", reason=flaw)

    @classmethod
    def at(cls, metadata_url: str | None) -> ProtectedResource | None:
        """Return the resource whose document is at a URL; None where it is not a place that RFC 9728 gives it."""
        try:
            parts = urlsplit(metadata_url or "")
            own_path = parts.path.removeprefix(_WELL_KNOWN)
            if own_path == parts.path or own_path[:1] not in {"", "/"} or parts.query:
                return None
            return cls(f"{parts.scheme}://{parts.netloc}{own_path}")
        except (ConfigurationError, ValueError):
            return None

    @property
    def metadata_url(self) -> str:
        """Where the document is: the well-known path comes before the resource's own."""
        parts = urlsplit(self.resource)
        return f"{parts.scheme}://{parts.netloc}{self.path}"

    @property
    def path(self) -> str:
        """The path of ``metadata_url``."""
        return _WELL_KNOWN + urlsplit(self.resource).path.removesuffix("/")

    def is_asked_for(self, scope: MutableMapping[str, Any]) -> bool:
        """Say whether a request is for the document."""
        return scope["path"] == self.path and scope.get("method") in {"GET", "HEAD"}

    def document(self, issuers: Collection[str]) -> bytes:
        """Return the document; ``issuers`` are the guard's, where no others were given."""
        members = {
            "resource": self.resource,
            "authorization_servers": sorted(self.authorization_servers or issuers),
            "bearer_methods_supported": ["header"],
            "scopes_supported": list(self.scopes_supported) or None,
            "resource_name": self.name,
            "resource_documentation": self.documentation,
        }
        return json.dumps({name: value for name, value in members.items() if value}).encode()
