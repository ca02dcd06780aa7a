"""What a client is allowed and how long it waits, as one checked value. Light to import."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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
    client_certificate: tuple[str, str] | None = None
    _trust: list[ssl.SSLContext] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("connect_timeout_s", "total_timeout_s"):
            seconds = getattr(self, name)
            if not 0 < seconds < math.inf:
                message = f"{name} must be a number of seconds above 0, not {seconds!r}: every request has a deadline."
                raise ConfigurationError(message, field=name, reason="timeout_out_of_range")

    @property
    def trust(self) -> ssl.SSLContext:
        """Whom TLS trusts, read once: without a lock, which a fork might leave held for ever in the child."""
        if self._trust:
            return self._trust[0]
        from doorward.http.trust import present, trust_context, trust_just  # noqa: PLC0415 - heavy, for the first request

        context = trust_context() if self.ca_file is None else trust_just(self.ca_file)
        if self.client_certificate is not None:
            present(context, *self.client_certificate)
        self._trust.append(context)
        return self._trust[0]
