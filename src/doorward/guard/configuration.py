"""One configuration in force: what a guard was given, checked, and the parts it decides with.

A mistake stops the start, and is not met by the first request. When settings are read again, all is swapped as a whole.
The caches are among the parts, so that nothing decided by one configuration outlives it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from doorward.errors import ConfigurationError, Inactive, printable
from doorward.guard.addresses import Networks
from doorward.guard.audit.folding import Folds
from doorward.guard.cache import BoundedCache
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.key_rings import KeyRings
from doorward.guard.issuers.open_issuers import warning_for
from doorward.guard.policy.admins import bind_admins
from doorward.guard.policy.policy import Policy
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.throttle import Throttle
from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.guard.api_keys.api_keys import ApiKeys
    from doorward.guard.audit.decisions import Decision
    from doorward.guard.introspection.introspection import Introspection
    from doorward.guard.policy.admins import Admin
    from doorward.guard.policy.grants import Grants
    from doorward.guard.verdicts import Accepted, Rejected
    from doorward.ports import Clock

__all__ = ["Audit", "Configuration", "Options", "configure"]

_REJECTED_SIZE: Final = 1000
_MOST_TOKENS: Final = 1_000_000
_LONGEST_TTL_S: Final = 3600
_TOKEN_BYTES: Final = (1024, 262_144)
_log = logging.getLogger("doorward.guard")


class Audit(Protocol):
    """Whatever keeps a record of decisions. A record that can't be kept raises StoreError: no decision without one."""

    def record(self, decision: Decision) -> None: ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What ``Guard`` was given, as it was given; see there."""

    issuers: Iterable[Issuer] = ()
    api_keys: ApiKeys | None = None
    throttle: Throttle | None = None
    revocations: Revocations | None = None
    introspection: Introspection | None = None
    audit: Audit | None = None
    admins: Iterable[Admin | str] = ()
    trusted_proxies: Iterable[str] = ()
    grants: Grants | None = None
    token_cache_size: int = 1000
    token_cache_ttl_s: float = 300
    api_key_cache_ttl_s: float = 60
    jwks_refresh_s: float = 3600
    jwks_max_stale_s: float = 3600
    max_token_bytes: int = 16_384

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return "Options()"


class Configuration(msgspec.Struct, frozen=True, eq=False):
    """What a guard decides with."""

    rings: KeyRings
    api_keys: ApiKeys | None
    introspection: Introspection | None
    revocations: Revocations
    throttle: Throttle
    policy: Policy
    trusted_proxies: Networks
    grants: Grants | None
    audit: Audit | None
    folds: Folds | None
    accepted: BoundedCache[Accepted]
    rejected: BoundedCache[Rejected]
    inactive: BoundedCache[Inactive]
    token_ttl_s: float
    api_key_ttl_s: float
    max_token_bytes: int
    algorithms_told: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Of which issuers and algorithms the log has said that they are not allowed: no more than there are."""

    @property
    def version_of_api_keys(self) -> int:
        """Changes whenever what was decided about an API key may not hold any more."""
        return 0 if self.api_keys is None else self.api_keys.version

    def close(self, *, but: Configuration | None = None) -> None:
        """Close what holds threads, files or connections, but not what another configuration goes on with."""
        kept = [] if but is None else but.closeable()
        try:
            if self.folds is not None:  # while the audit can still be written
                self.folds.close()
        finally:
            for part in self.closeable():
                if not any(part is each for each in kept):
                    part.close()

    def closeable(self) -> list[Any]:
        """Return the parts that can be closed: an audit of the caller's own making need not."""
        parts = (self.rings, self.api_keys, self.introspection, self.revocations, self.audit)
        return [part for part in parts if hasattr(part, "close")]


def configure(options: Options, *, clock: Clock, previous: Configuration | None = None) -> Configuration:
    """Make the parts. ``previous`` lends what did not change: keys that were fetched, failures counted.

    Raises:
        ConfigurationError: an option is wrong; ``field`` names it.
    """
    issuers = (options.issuers,) if isinstance(options.issuers, Issuer) else tuple(options.issuers)
    _check_parts(issuers, options)
    for issuer in issuers:
        if (warning := warning_for(issuer)) is not None:
            _log.warning("%s", warning)
    revocations, throttle = options.revocations, options.throttle
    if revocations is None:
        revocations = Revocations.memory(clock=clock) if previous is None else previous.revocations
    elif previous is not None:
        revocations.take_over(previous.revocations)
    if throttle is None:
        throttle = Throttle() if previous is None else previous.throttle
    size = int(_within("token_cache_size", options.token_cache_size, _MOST_TOKENS))
    return Configuration(
        rings=KeyRings(
            issuers,
            clock=clock,
            refresh_s=options.jwks_refresh_s,
            max_stale_s=options.jwks_max_stale_s,
            previous=None if previous is None else previous.rings,
        ),
        api_keys=options.api_keys,
        introspection=options.introspection,
        revocations=revocations,
        throttle=throttle,
        policy=Policy(bind_admins(options.admins, issuers, options.introspection)),
        trusted_proxies=Networks.parse(options.trusted_proxies, field="trusted_proxies"),
        grants=options.grants,
        audit=options.audit,
        folds=None if options.audit is None else Folds(options.audit),
        accepted=BoundedCache(size),
        rejected=BoundedCache(min(size, _REJECTED_SIZE)),
        inactive=BoundedCache(_REJECTED_SIZE),
        token_ttl_s=_within("token_cache_ttl_s", options.token_cache_ttl_s, _LONGEST_TTL_S),
        api_key_ttl_s=_within("api_key_cache_ttl_s", options.api_key_cache_ttl_s, _LONGEST_TTL_S),
        max_token_bytes=int(_within("max_token_bytes", options.max_token_bytes, _TOKEN_BYTES[1], _TOKEN_BYTES[0])),
    )


# By what it can do, so that nobody has to import, or install the parts of, what they do not use.
_PARTS: Final = {
    "api_keys": ("is_ours", 'such as ApiKeys.sqlite("keys.db")'),
    "throttle": ("failed", "a Throttle"),
    "revocations": ("current", 'such as Revocations.sqlite("revoked.db")'),
    "introspection": ("wanted_for", "an Introspection"),
    "audit": ("record", 'such as AuditLog("audit.log")'),
    "grants": ("may", "made by Grants.parse"),
}


def _check_parts(issuers: tuple[object, ...], options: Options) -> None:
    for issuer in issuers:
        if not isinstance(issuer, Issuer):
            message = 'issuers holds what is no Issuer: write Issuer("https://…", audiences=[…]).'
            raise ConfigurationError(message, field="issuers", reason="wrong_type")
    for name, (method, example) in _PARTS.items():
        part = getattr(options, name)
        if part is not None and not callable(getattr(part, method, None)):
            message = f"{name} must be {example}, not {printable(type(part).__name__)}."
            raise ConfigurationError(message, field=name, reason="wrong_type")
    if not issuers and options.api_keys is None and options.introspection is None:
        message = "This guard would let nobody in: give it issuers, API keys or introspection."
        raise ConfigurationError(message, field="issuers", reason="nobody_allowed")


def _within(field: str, value: float, most: float, least: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        message = f"{field} must be a number between {least} and {most}."
        raise ConfigurationError(message, field=field, reason="out_of_range")
    return value
