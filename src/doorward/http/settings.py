"""What a client is allowed and how long it waits, as one checked value. Light to import."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

__all__ = ["ClientSettings"]


@dataclass(frozen=True)
class ClientSettings:
    """What a client allows and how long it waits. Described at ``HttpClient``."""

    insecure_loopback_http: bool
    connect_timeout_s: float
    total_timeout_s: float
    insecure_http_url: str | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        for field in ("connect_timeout_s", "total_timeout_s"):
            seconds = getattr(self, field)
            if not 0 < seconds < math.inf:
                message = f"{field} must be a number of seconds above 0, not {seconds!r}: every request has a deadline."
                raise ConfigurationError(message, field=field, reason="timeout_out_of_range")

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Whom TLS trusts, read once."""
        from doorward.http.trust import trust_context, trust_just  # noqa: PLC0415 - heavy; the first request needs it

        return trust_context() if self.ca_file is None else trust_just(self.ca_file)
