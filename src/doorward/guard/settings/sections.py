"""What each table of a guard's settings may hold, and what it is called where it goes. Makes no part, opens nothing.

A function takes one ``Table`` and returns arguments of the part it is named after; what was not given is left out, so
that the part's own default holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, Malformed
from doorward.guard.api_keys.keyring import parse_entries
from doorward.guard.issuers.tenants import TENANT, is_issuer_of
from doorward.guard.policy.admins import API_KEY_ISSUER, Admin
from doorward.guard.policy.emails import is_email
from doorward.guard.settings.reader import Place, Table, read_bytes
from doorward.model import Secret
from doorward.protocol.reading.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "REFRESH_S",
    "SIZE",
    "STDOUT",
    "TOKEN_BYTES",
    "TTL_S",
    "given",
    "read_admins",
    "read_audit",
    "read_cache",
    "read_introspection",
    "read_issuer",
    "read_jwks",
    "read_keyring",
    "read_revocations",
    "read_throttle",
]

STDOUT = "-"
"""As the place of the audit log: standard output."""
SIZE = (0, 1_000_000)
TTL_S = (0, 3600)
TOKEN_BYTES = (1024, 262_144)
REFRESH_S = (25, 604_800)
_DAY_S = 86_400
_MANY = 100_000_000


def given(**members: Any) -> dict[str, Any]:
    """Return those that were given."""
    return {name: value for name, value in members.items() if value is not None}


def read_issuer(table: Table) -> dict[str, Any]:
    """Read ``Issuer``'s arguments."""
    audience = table.texts("audience")
    if audience is None:
        what = "is missing: give the name of this service at the issuer, as its tokens have it in aud."
        raise table.place.member("audience").wrong(what, "missing_setting")
    keys = table.path("jwks_file")
    described = given(
        url=table.need("issuer"),
        audiences=audience,
        token_type=table.text("token_type"),
        algorithms=table.texts("algorithms"),
        jwks_url=table.text("jwks_url"),
        jwks_token_file=table.text("jwks_token_file"),
        jwks_ca_file=table.text("jwks_ca_file"),
        insecure_jwks_http=table.flag("insecure_jwks_http"),
        trust_email=table.flag("trust_email"),
        leeway_s=table.whole("leeway_s", 0, 300),
        max_token_age_s=table.whole("max_token_age_s", 1, 366 * _DAY_S),
        insecure_loopback_http=table.flag("insecure_loopback_http"),
        profile=table.text("profile"),
        groups_claim=table.text("groups_claim"),
        scope_claims=table.texts("scope_claims"),
        audience_claim=table.text("audience_claim"),
        subject_claim=table.text("subject_claim"),
        required_claims=table.mapping("required_claims"),
        tenants=table.texts("tenants"),
    )
    if keys is not None:
        place = table.place.member("jwks_file")
        try:
            described["jwks"] = loads_object(read_bytes(keys, place), what="The JWK Set")
        except Malformed as error:
            raise place.wrong("names a file that is no JWK Set.", error.reason) from None
    table.end()
    return described


def read_introspection(table: Table, secret: Secret | None) -> dict[str, Any]:
    """Read ``Introspection``'s arguments."""
    described = given(
        issuer=table.need("issuer"),
        client_id=table.need("client_id"),
        client_secret=secret,
        secret_method=table.text("secret_method"),
        audiences=table.texts("audience"),
        client_ids=table.texts("client_ids"),
        endpoint=table.text("endpoint"),
        for_scopes=table.texts("for_scopes"),
        cache_ttl_s=table.number("cache_ttl_s", 0, 300),
        for_scopes_ttl_s=table.number("for_scopes_ttl_s", 0, 5),
        leeway_s=table.whole("leeway_s", 0, 300),
        timeout_s=table.number("timeout_s", 0.1, 60),
        trust_email=table.flag("trust_email"),
        profile=table.text("profile"),
        groups_claim=table.text("groups_claim"),
        scope_claims=table.texts("scope_claims"),
        subject_claim=table.text("subject_claim"),
        required_claims=table.mapping("required_claims"),
        insecure_loopback_http=table.flag("insecure_loopback_http"),
    )
    table.end()
    return described


def read_keyring(entries: Any, place: Place) -> tuple[dict[str, Any], ...]:
    """Check the entries of a keyring, and hide their keys."""
    if not isinstance(entries, list):
        raise place.wrong('must be a list: [{"name": "…", "key": "…"}].', "keyring_shape")
    parse_entries(entries, field=place.path)
    return tuple({**entry, "key": Secret(entry["key"])} for entry in entries)


def read_throttle(table: Table) -> dict[str, Any]:
    """Read ``Throttle``'s arguments."""
    described = given(
        free_failures=table.whole("free_failures", 0, 1_000_000),
        base_delay_s=table.number("base_delay_s", 0.001, _DAY_S),
        max_delay_s=table.number("max_delay_s", 0.001, _DAY_S),
        forget_after_s=table.number("forget_after_s", 0.001, 30 * _DAY_S),
        max_addresses=table.whole("max_addresses", 1, _MANY),
        spared_checks=table.whole("spared_checks", 0, _MANY),
        spared_questions=table.whole("spared_questions", 0, _MANY),
    )
    table.end()
    return described


def read_revocations(table: Table, db: Secret | None) -> dict[str, Any]:
    """Read ``Revocations``' arguments. Without a database, they are kept in memory."""
    described = given(
        db=db,
        poll_s=None if db is None else table.number("poll_s", 0.05, 60),
        max_stale_s=None if db is None else table.number("max_stale_s", 0.05, 3600),
        max_entries=table.whole("max_entries", 1, _MANY),
    )
    table.end()
    return described


def read_audit(table: Table, key: Secret | None) -> dict[str, Any]:
    """Read ``AuditLog``'s arguments."""
    path = table.path("path", but=STDOUT)
    if path is None:
        what = 'is missing: name the file to write, or "-" for standard output.'
        raise table.place.member("path").wrong(what, "missing_setting")
    described = given(
        path=path,
        key=key,
        queue_size=table.whole("queue_size", 1, 1_000_000),
        wait_s=table.number("wait_s", 0, 1),
    )
    if path != STDOUT:  # where nothing is rotated, and nothing is on a disk
        keep = table.whole("keep", 0, 1_000_000)
        described |= given(
            max_bytes=table.whole("max_bytes", 4096, 2**40),
            keep=keep,
            fsync_s=table.number("fsync_s", 0, 60),
        )
        if keep == 0:  # TOML has no word for none
            described["keep"] = None
    table.end()
    return described


def read_cache(table: Table) -> dict[str, Any]:
    """Read the guard's options about its caches."""
    described = given(
        token_cache_size=table.whole("token_size", *SIZE),
        token_cache_ttl_s=table.number("token_ttl_s", *TTL_S),
        api_key_cache_ttl_s=table.number("api_key_ttl_s", *TTL_S),
    )
    table.end()
    return described


def read_jwks(table: Table) -> dict[str, Any]:
    """Read the guard's options about issuers' keys."""
    described = given(
        jwks_refresh_s=table.number("refresh_s", *REFRESH_S),
        jwks_max_stale_s=table.number("max_stale_s", 0, REFRESH_S[1]),
    )
    table.end()
    return described


def read_admins(items: Any, place: Place, issuers: Collection[str]) -> list[tuple[Admin, Place]]:
    """Read who is an administrator: objects with an issuer, or, where there is one issuer alone, plain texts.

    A text with exactly one @ is an e-mail address, any other a subject.
    """
    if not isinstance(items, list):
        raise place.wrong('must be a list, such as ["alice@example.org"].', "not_a_list")
    admins = []
    for index, item in enumerate(items):
        where = place.item(index)
        if isinstance(item, str):
            admins.append((_plain_admin(item, where, issuers), where))
            continue
        table = Table(item, where)
        issuer, subject, email = table.need("issuer"), table.text("subject"), table.text("email")
        table.end()
        if issuer != API_KEY_ISSUER and not any(is_issuer_of(url, issuer) for url in issuers):
            what = "is not an issuer of these settings. Write it exactly as there, trailing slash and all."
            raise where.member("issuer").wrong(what, "admin_issuer_unknown")
        try:
            admins.append((Admin(issuer, subject, email), where))
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error.message}", field=where.path, reason=error.reason) from None
    return admins


def _plain_admin(text: str, where: Place, issuers: Collection[str]) -> Admin:
    name = "email" if text.count("@") == 1 else "subject"
    if len(issuers) != 1:
        count = "several issuers" if issuers else "no issuer"
        what = f'does not say whose word counts: there is {count}. Write {{"issuer": "https://…", "{name}": "…"}}.'
        raise where.wrong(what, "admin_issuer_missing")
    if not text or (name == "email" and not is_email(text)):
        raise where.wrong("is neither a subject nor an e-mail address.", "admin_email_malformed")
    (issuer,) = issuers
    if TENANT in issuer:
        what = f'does not say of which tenant. Write {{"issuer": "{issuer}", "{name}": "…"}} with the tenant in it.'
        raise where.wrong(what, "admin_of_every_tenant")
    return Admin(issuer, **{name: text})
