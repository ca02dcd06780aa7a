"""One configuration in force: the parts a guard decides with, swapped as a whole when settings are read again.

The caches are among them, so that nothing decided by one configuration outlives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError
from doorward.guard.addresses import Networks
from doorward.guard.decisions import Accepted, DecisionCache, Rejected
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.key_rings import KeyRings
from doorward.guard.options import bind_admins, check_options
from doorward.guard.policy.policy import Policy
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.guard.api_keys.api_keys import ApiKeys
    from doorward.guard.introspection.introspection import Introspection
    from doorward.guard.options import Audit, GuardOptions
    from doorward.guard.policy.grants import Grants
    from doorward.ports import Clock

__all__ = ["Parts", "assemble"]

_REJECTED_SIZE = 1000
_MOST_TOKENS, _LONGEST_TTL_S = 1_000_000, 3600


@dataclass(frozen=True, slots=True)
class Parts:
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
    accepted: DecisionCache[Accepted]
    rejected: DecisionCache[Rejected]
    token_ttl_s: float
    api_key_ttl_s: float

    @property
    def version_of_api_keys(self) -> int:
        """Changes whenever what was decided about an API key may not hold any more."""
        return 0 if self.api_keys is None else self.api_keys.version

    def close(self, *, but: Parts | None = None) -> None:
        """Close what holds threads, files or connections, but not what another configuration goes on with."""
        kept = [] if but is None else but.closeable()
        for part in self.closeable():
            if not any(part is each for each in kept):
                part.close()

    def closeable(self) -> list[Any]:
        """Return the parts that can be closed: an audit of the caller's own making need not."""
        parts = (self.rings, self.api_keys, self.introspection, self.revocations, self.audit)
        return [part for part in parts if hasattr(part, "close")]


def assemble(
    issuers: Iterable[Issuer],
    api_keys: ApiKeys | None,
    options: GuardOptions,
    *,
    clock: Clock,
    previous: Parts | None = None,
) -> Parts:
    """Make the parts from settings. ``previous`` lends what did not change: keys that were fetched, failures counted.

    Raises:
        ConfigurationError: a setting is wrong; ``field`` names it.
    """
    issuers = (issuers,) if isinstance(issuers, Issuer) else tuple(issuers)
    check_options(issuers, {**options, "api_keys": api_keys})
    introspection = options.get("introspection")
    revocations, throttle = options.get("revocations"), options.get("throttle")
    if revocations is None:
        revocations = Revocations.memory(clock=clock) if previous is None else previous.revocations
    elif previous is not None:
        revocations.take_over(previous.revocations)
    if throttle is None:
        throttle = Throttle() if previous is None else previous.throttle
    size = _within("token_cache_size", options.get("token_cache_size", 1000), _MOST_TOKENS)
    return Parts(
        rings=KeyRings(
            issuers,
            clock=clock,
            refresh_s=options.get("jwks_refresh_s", 3600),
            max_stale_s=options.get("jwks_max_stale_s", 3600),
            previous=None if previous is None else previous.rings,
        ),
        api_keys=api_keys,
        introspection=introspection,
        revocations=revocations,
        throttle=throttle,
        policy=Policy(bind_admins(options.get("admins", ()), issuers, introspection), issuers),
        trusted_proxies=Networks.parse(options.get("trusted_proxies", ()), field="trusted_proxies"),
        grants=options.get("grants"),
        audit=options.get("audit"),
        accepted=DecisionCache(int(size)),
        rejected=DecisionCache(min(int(size), _REJECTED_SIZE)),
        token_ttl_s=_within("token_cache_ttl_s", options.get("token_cache_ttl_s", 300), _LONGEST_TTL_S),
        api_key_ttl_s=_within("api_key_cache_ttl_s", options.get("api_key_cache_ttl_s", 60), _LONGEST_TTL_S),
    )


def _within(field: str, value: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ConfigurationError(f"{field} must be a number between 0 and {most}.", field=field, reason="out_of_range")
    return value
