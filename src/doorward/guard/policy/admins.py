"""Administrators: who is one, and by whose word. A name means nothing without the issuer who vouches for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from doorward.errors import ConfigurationError, printable
from doorward.guard.issuers.tenants import TENANT, Template
from doorward.guard.policy.emails import is_email

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.guard.introspection.introspection import Introspection
    from doorward.guard.issuers.issuer import Issuer

__all__ = ["API_KEY_ISSUER", "Admin", "bind_admins"]

API_KEY_ISSUER: Final = "urn:doorward:api-keys"
"""The issuer of every API key's principal; the key's name is the subject. No URL, so no token can name it."""


class Admin(msgspec.Struct, frozen=True):
    """An administrator: a subject, or a verified e-mail address, of one issuer.

    Args:
        issuer: the issuer exactly as its tokens write it, or ``API_KEY_ISSUER``.
        subject: the principal's subject; of an API key its name.
        email: an address, in any case. It counts where the issuer is trusted for e-mail and has verified it.

    Raises:
        ConfigurationError: not exactly one of subject and e-mail, or an address that is none.
    """

    issuer: str
    subject: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        if not self.issuer:
            raise ConfigurationError(
                "An administrator has no issuer: name the issuer whose word counts for it.",
                field="admins",
                reason="admin_issuer_missing",
            )
        if bool(self.subject) == bool(self.email):
            raise ConfigurationError(
                "An administrator is named by subject or by email: give exactly one of them.",
                field="admins",
                reason="admin_ambiguous",
            )
        if self.email and not is_email(self.email):
            raise ConfigurationError(
                "An administrator's email is not an e-mail address: give it as name@domain.",
                field="admins",
                reason="admin_email_malformed",
            )


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
    templates = [(each, Template(each.url, each.tenants)) for each in issuers if TENANT in each.url]
    for place, given in enumerate(admins):
        admin = given if isinstance(given, Admin) else _named(given, issuers, f"admins[{place}]")
        if TENANT in admin.issuer:
            what = "is bound to every tenant, and each could make administrators: name the one whose word counts"
            raise _wrong(f"admins[{place}]", what, "admin_of_every_tenant")
        for template, form in templates:
            if form.takes(admin.issuer):
                vouching[admin.issuer] = template.trust_email
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


def _wrong(field: str, what: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{field} {what}.", field=field, reason=reason)
