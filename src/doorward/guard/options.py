"""What a guard may be given, and whether it was: a mistake stops the start, and is not met by the first request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from doorward.errors import ConfigurationError, printable
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.policy.policy import API_KEY_ISSUER, Admin, is_email

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from doorward.guard.audit.chain import Decision
    from doorward.guard.introspection.introspection import Introspection
    from doorward.guard.policy.grants import Grants
    from doorward.guard.revocation.revocations import Revocations
    from doorward.guard.throttle import Throttle

__all__ = ["Audit", "GuardOptions", "bind_admins", "check_options"]


class Audit(Protocol):
    """Whatever keeps a record of decisions. A record that can't be kept raises StoreError: no decision without one."""

    def record(self, decision: Decision) -> None: ...


class GuardOptions(TypedDict, total=False):
    """What a guard may be given besides issuers and API keys. All may be left out.

    Attributes:
        throttle: How failed attempts are limited; left out, ``Throttle()``.
        revocations: What is no longer good; left out, a list in memory (``guard.revocations``).
        introspection: Who is asked about opaque tokens.
        audit: Where every decision is recorded: an ``AuditLog``, or anything with its ``record``.
        admins: Who is an administrator: ``Admin`` values; with exactly one issuer, also its subjects and addresses.
        trusted_proxies: Networks whose ``X-Forwarded-For`` the middleware believes.
        grants: Who may read and mint what: kept for the service, which asks ``guard.grants``.
        token_cache_size: How many accepted credentials are remembered, 1000; 0 for none.
        token_cache_ttl_s: For how many seconds, 300, and never past ``exp``.
        api_key_cache_ttl_s: For how many seconds an API key that was revoked elsewhere may still be accepted here, 60.
        jwks_refresh_s: How old an issuer's keys may become while it answers, 3600.
        jwks_max_stale_s: For how many seconds beyond that they are used while it does not answer, 3600.
    """

    throttle: Throttle | None
    revocations: Revocations | None
    introspection: Introspection | None
    audit: Audit | None
    admins: Iterable[Admin | str]
    trusted_proxies: Iterable[str]
    grants: Grants | None
    token_cache_size: int
    token_cache_ttl_s: float
    api_key_cache_ttl_s: float
    jwks_refresh_s: float
    jwks_max_stale_s: float


# By what it can do, so that nobody has to import, or install the parts of, what they do not use.
_PARTS = {
    "api_keys": ("is_ours", 'such as ApiKeys.sqlite("keys.db")'),
    "throttle": ("failed", "a Throttle"),
    "revocations": ("current", 'such as Revocations.sqlite("revoked.db")'),
    "introspection": ("wanted_for", "an Introspection"),
    "audit": ("record", 'such as AuditLog("audit.log")'),
    "grants": ("may", "made by Grants.parse"),
}


def check_options(issuers: tuple[Issuer, ...], options: Mapping[str, Any]) -> None:
    """Refuse what no guard can be made of. ``options`` are those of ``GuardOptions``, and ``api_keys``.

    Raises:
        ConfigurationError: ``field`` names it.
    """
    for issuer in issuers:
        if not isinstance(issuer, Issuer):
            raise _wrong("issuers", 'holds what is no Issuer: write Issuer("https://…", audiences=[…])', "wrong_type")
    known = {*GuardOptions.__annotations__, "api_keys"}
    for name, part in options.items():
        if name not in known:
            raise _unknown(name, known)
        if part is None or name not in _PARTS:
            continue
        method, example = _PARTS[name]
        if not callable(getattr(part, method, None)):
            raise _wrong(name, f"must be {example}, not {printable(type(part).__name__)}", "wrong_type")
    if not issuers and options.get("api_keys") is None and options.get("introspection") is None:
        message = "This guard would let nobody in: give it issuers, API keys or introspection."
        raise ConfigurationError(message, field="issuers", reason="nobody_allowed")


def bind_admins(
    admins: Iterable[Admin | str], issuers: tuple[Issuer, ...], introspection: Introspection | None
) -> list[Admin]:
    """Bind each administrator to an issuer: a name means nothing without the one who vouches for it.

    Raises:
        ConfigurationError: an administrator who could never be one; ``field`` has the place.
    """
    if isinstance(admins, str):
        raise _wrong("admins", f"must be a list: write [{printable(admins)!r}]", "not_a_list")
    asked = [] if introspection is None else [introspection.as_issuer]
    vouching = {each.url: False for each in (*issuers, *asked)} | {API_KEY_ISSUER: False}
    for each in (*issuers, *asked):
        vouching[each.url] |= each.trust_email
    bound = []
    for place, given in enumerate(admins):
        admin = given if isinstance(given, Admin) else _named(given, issuers, f"admins[{place}]")
        if admin.issuer not in vouching:
            raise _wrong(f"admins[{place}]", "is bound to an issuer that is not trusted here", "admin_issuer_unknown")
        if admin.email is not None and not vouching[admin.issuer]:
            what = "is an e-mail address, and its issuer is not trusted for those: give Issuer(…, trust_email=True)"
            raise _wrong(f"admins[{place}]", what, "admin_email_untrusted")
        bound.append(admin)
    return bound


def _named(name: object, issuers: tuple[Issuer, ...], place: str) -> Admin:
    if not isinstance(name, str):
        raise _wrong(place, "must be a name or an Admin", "wrong_type")
    if len(issuers) != 1:
        what = (
            "is a name alone, which needs exactly one issuer: write Admin(issuer, subject=…) or Admin(issuer, email=…)"
        )
        raise _wrong(place, what, "admin_without_issuer")
    return Admin(issuers[0].url, email=name) if is_email(name) else Admin(issuers[0].url, subject=name)


def _unknown(name: str, known: set[str]) -> ConfigurationError:
    import difflib  # noqa: PLC0415 - only for those who misspelt

    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
    return ConfigurationError(f"A guard has no option {printable(name)}; {hint}", field=name, reason="unknown_option")


def _wrong(field: str, what: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{field} {what}.", field=field, reason=reason)
