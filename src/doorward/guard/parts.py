"""One configuration in force: the parts a guard decides with, swapped as a whole when settings are read again.

The caches are among them, so that nothing decided by one configuration outlives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from doorward.errors import ConfigurationError
from doorward.guard.addresses import Networks
from doorward.guard.key_rings import KeyRings
from doorward.guard.policy import Admin, Policy, is_email
from doorward.guard.revocation import Revocations
from doorward.guard.throttle import Throttle
from doorward.guard.tokens import Accepted, DecisionCache, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.guard.api_keys import ApiKeys
    from doorward.guard.audit_chain import Decision
    from doorward.guard.grants import Grants
    from doorward.guard.introspection import Introspection
    from doorward.guard.issuers import Issuer
    from doorward.ports import Clock

__all__ = ["Audit", "GuardOptions", "Parts", "assemble"]

_REJECTED_SIZE = 1000
_MOST_TOKENS, _LONGEST_TTL_S = 1_000_000, 3600


class Audit(Protocol):
    """Whatever keeps a record of decisions. A record that can't be kept raises StoreError: no decision without one."""

    def record(self, decision: Decision) -> None: ...


class GuardOptions(TypedDict, total=False):
    """What a guard may be given besides issuers and API keys."""

    throttle: Throttle | None
    """How failed attempts are limited; None for the defaults."""
    revocations: Revocations | None
    """What is no longer good; None for a list in memory."""
    introspection: Introspection | None
    """Who is asked about opaque tokens."""
    audit: Audit | None
    """Where every decision is recorded."""
    admins: Iterable[Admin | str]
    """Who is an administrator: ``Admin`` values, or, with exactly one issuer, its subjects and e-mail addresses."""
    trusted_proxies: Iterable[str]
    """Networks whose ``X-Forwarded-For`` the middleware believes."""
    grants: Grants | None
    """Who may read and mint what: kept for the service, which asks it."""
    token_cache_size: int
    """How many accepted credentials are remembered (1000); 0 for none."""
    token_cache_ttl_s: float
    """For how many seconds (300), and never past ``exp``."""
    api_key_cache_ttl_s: float
    """For how many seconds an API key that was revoked elsewhere may still be accepted here (60)."""
    jwks_refresh_s: float
    """How old an issuer's keys may become while it answers (3600)."""
    jwks_max_stale_s: float
    """For how many seconds beyond that they are used while it does not answer (3600)."""


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
    issuers = tuple(issuers)
    introspection = options.get("introspection")
    if not issuers and api_keys is None and introspection is None:
        message = "This guard would let nobody in: give it issuers, API keys or introspection."
        raise ConfigurationError(message, field="issuers", reason="nobody_allowed")
    revocations, throttle = options.get("revocations"), options.get("throttle")
    if revocations is None:
        revocations = Revocations.memory(clock=clock) if previous is None else previous.revocations
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
        policy=Policy(_bound(options.get("admins", ()), issuers), issuers),
        trusted_proxies=Networks.parse(options.get("trusted_proxies", ()), field="trusted_proxies"),
        grants=options.get("grants"),
        audit=options.get("audit"),
        accepted=DecisionCache(int(size)),
        rejected=DecisionCache(min(int(size), _REJECTED_SIZE)),
        token_ttl_s=_within("token_cache_ttl_s", options.get("token_cache_ttl_s", 300), _LONGEST_TTL_S),
        api_key_ttl_s=_within("api_key_cache_ttl_s", options.get("api_key_cache_ttl_s", 60), _LONGEST_TTL_S),
    )


def _bound(admins: Iterable[Admin | str], issuers: tuple[Issuer, ...]) -> list[Admin]:
    """Bind each administrator to an issuer: a name means nothing without the one who vouches for it."""
    bound = []
    for admin in admins:
        if isinstance(admin, Admin):
            bound.append(admin)
            continue
        if len(issuers) != 1:
            message = (
                "An administrator given by name alone needs exactly one issuer to vouch for it: "
                "say which with Admin(issuer, subject=…) or Admin(issuer, email=…)."
            )
            raise ConfigurationError(message, field="admins", reason="admin_without_issuer")
        name = {"email": admin} if is_email(admin) else {"subject": admin}
        bound.append(Admin(issuers[0].url, **name))
    return bound


def _within(field: str, value: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ConfigurationError(f"{field} must be a number between 0 and {most}.", field=field, reason="out_of_range")
    return value
