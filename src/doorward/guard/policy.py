"""From verified claims to a ``Principal``: e-mail address, groups, scopes, and who is an administrator.

A principal is ``(issuer, subject)``; everything else here is said about it. Nothing is verified here but the type of
each claim. Who may read or mint what is ``grants``' business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from doorward.errors import ConfigurationError, Malformed
from doorward.guard.claims_view import ReadOnlyClaims
from doorward.model import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    from doorward.guard.issuers import Issuer
    from doorward.guard.key_records import ApiKey

__all__ = ["API_KEY_ISSUER", "Admin", "Policy", "fold_email", "is_email"]

API_KEY_ISSUER: Final = "urn:doorward:api-keys"
"""The issuer of every API key's principal; the key's name is the subject. No URL, so no token can name it."""

_LONGEST_EMAIL = 320
_ONLY_TEXT = frozenset({str})
_MOST_GROUPS = 1000
_DISPLAY_ONLY = ("preferred_username", "upn", "unique_name")
_NO_CLAIMS = ReadOnlyClaims({})
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class _Profile:
    """Where issuers of one kind say what. The first claim that is there counts.

    E-mail: ``verified_email``, which its name vouches for; ``email``, vouched for by ``email_verified`` or by one of
    ``domain_verified``; where ``namespaced``, the one claim ``https://…/email`` with its ``https://…/email_verified``;
    then what is shown and never trusted: ``preferred_username``, ``upn``, ``unique_name``.
    """

    verified_email: str | None = None
    domain_verified: str | None = None
    namespaced: bool = False
    roles_are_groups: bool = False


_GENERIC = _Profile()
_PROFILES = {
    "generic": _GENERIC,
    "google": _GENERIC,
    "okta": _GENERIC,
    "auth0": _Profile(namespaced=True),
    # With more groups than fit, Entra sends _claim_names in place of groups: then there are none here.
    "entra": _Profile(verified_email="verified_primary_email", domain_verified="xms_edov"),
    "keycloak": _Profile(roles_are_groups=True),
}


@cache  # compiled when the first address is seen, not when a guard is imported
def _email_form() -> re.Pattern[str]:
    return re.compile(r'[^\s@()<>\[\]:;,\\"]+@[^\s@()<>\[\]:;,\\"]+')


def is_email(text: str) -> bool:
    """Say whether a text looks like one address that every reader takes for the same: ``a@evil@corp`` does not."""
    return len(text) <= _LONGEST_EMAIL and _email_form().fullmatch(text) is not None and text.isprintable()


def fold_email(email: str) -> str:
    """Return an address as it is compared: ASCII letters in lower case, all others as they are.

    The lower case of U+212A (Kelvin) is k, and that of U+0130 begins with i: neither may pass for the ASCII letter.
    """
    return email.lower() if email.isascii() else email.translate(_ASCII_LOWER)


@dataclass(frozen=True, slots=True)
class Admin:
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


class _Reader:
    """What there is to know about one issuer's tokens, looked up once."""

    __slots__ = (
        "admin_emails",
        "admin_subjects",
        "groups_claim",
        "issuer",
        "profile",
        "roles_are_groups",
        "trust_email",
    )

    def __init__(self, issuer: Issuer, admins: Iterable[Admin]) -> None:
        mine = [admin for admin in admins if admin.issuer == issuer.url]
        self.issuer = issuer
        self.profile = _PROFILES[issuer.profile]
        self.trust_email = issuer.trust_email
        self.groups_claim = issuer.groups_claim or "groups"
        self.roles_are_groups = self.profile.roles_are_groups and issuer.groups_claim is None
        self.admin_subjects = frozenset(admin.subject for admin in mine if admin.subject)
        self.admin_emails = frozenset(fold_email(admin.email) for admin in mine if admin.email)


class Policy:
    """Makes principals. It holds settings alone, so any thread may use it.

    Args:
        admins: who is an administrator.
        issuers: those whose tokens will come; others are learned when they do.
    """

    def __init__(self, admins: Iterable[Admin] = (), issuers: Iterable[Issuer] = ()) -> None:
        self._admins = tuple(admins)
        self._readers = {id(issuer): _Reader(issuer, self._admins) for issuer in issuers}
        self._admin_keys = frozenset(
            admin.subject for admin in self._admins if admin.subject and admin.issuer == API_KEY_ISSUER
        )

    def principal(  # noqa: PLR0913, PLR0917 - on the path of every new token, where keywords cost
        self,
        issuer: Issuer,
        subject: str,
        audience: tuple[str, ...],
        expires_at: float | None,
        claims: Mapping[str, Any],
        kind: Literal["jwt", "opaque"] = "jwt",
    ) -> Principal:
        """Make the principal of a token.

        Args:
            issuer: whose keys verified the token, or who vouched for it.
            subject: its ``sub``.
            audience: its ``aud``.
            expires_at: epoch seconds.
            claims: all of its claims, as decoded. The principal keeps them: let go of them.
            kind: a signed token, or one that introspection explained.

        Raises:
            Malformed: a claim that is read here has the wrong type (reason ``email_malformed``, ``groups_malformed``,
                ``groups_too_many``, ``scope_malformed``, …).

        Source: OIDC Core section 5.1; RFC 8693 section 4.2 (``scope``).
        """
        reader = self._readers.get(id(issuer))  # which the reader keeps alive
        if reader is None:
            reader = self._readers[id(issuer)] = _Reader(issuer, self._admins)
        email, verified = _email(claims, reader.profile)
        verified = verified and reader.trust_email
        is_admin = subject in reader.admin_subjects
        if email is not None and verified and reader.admin_emails:
            is_admin = is_admin or fold_email(email) in reader.admin_emails
        groups = claims.get(reader.groups_claim)
        if groups is None and reader.roles_are_groups:
            groups = _realm_roles(claims)
        scopes = claims.get("scope")
        if scopes is None:
            scopes = claims.get("scp")
        return Principal(
            reader.issuer.url,
            subject,
            audience,
            email,
            verified,
            () if groups is None else _groups(groups),
            () if scopes is None else _scopes(scopes),
            kind,
            is_admin,
            False,  # noqa: FBT003 - may_delegate: no token may, whoever signed it
            expires_at,
            ReadOnlyClaims(claims if type(claims) is dict else dict(claims)),
        )

    def api_key_principal(self, key: ApiKey) -> Principal:
        """Make the principal of an API key that was checked: ``API_KEY_ISSUER`` and the key's name."""
        return Principal(
            issuer=API_KEY_ISSUER,
            subject=key.name,
            groups=key.groups,
            scopes=key.scopes,
            kind="api_key",
            is_admin=key.name in self._admin_keys,
            may_delegate=key.may_delegate,
            expires_at=key.expires_at,
            claims=_NO_CLAIMS,
        )


def _email(claims: Mapping[str, Any], profile: _Profile) -> tuple[str | None, bool]:
    """Return an address to show, and whether the issuer vouches for it."""
    if profile.verified_email is not None:
        email = _first_text(claims, profile.verified_email)
        if email is not None and is_email(email):
            return email, True
    email = claims.get("email")
    if email is not None and is_email(_text(email, "email")):
        if claims.get("email_verified") is True:  # "true" and 1 are no word to rely on
            return email, True
        return email, profile.domain_verified is not None and _owned(claims.get(profile.domain_verified))
    if profile.namespaced:
        names = [name for name in claims if name.startswith("https://") and name.endswith("/email")]
        if len(names) == 1 and is_email(_text(claims[names[0]], "email")):
            return claims[names[0]], claims.get(names[0] + "_verified") is True
    for name in _DISPLAY_ONLY:
        email = claims.get(name)
        if email is not None and is_email(_text(email, name)):
            return email, False
    return None, False


def _owned(value: object) -> bool:
    return value is True or value in ("1", "true") or (type(value) is int and value == 1)  # Entra has sent each of them


def _text(value: object, name: str) -> str:
    if type(value) is not str:
        raise Malformed(f"The claim {name} is not a string; its issuer must correct it.", reason=f"{name}_malformed")
    return value


def _first_text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if type(value) is list:
        value = value[0] if value else None
    return None if value is None else _text(value, name)


def _realm_roles(claims: Mapping[str, Any]) -> Any:
    access = claims.get("realm_access")
    if access is None:
        return None
    if type(access) is not dict:
        raise Malformed(
            "The claim realm_access is not an object; its issuer must correct it.", reason="groups_malformed"
        )
    return access.get("roles")


def _groups(value: object) -> tuple[str, ...]:
    if type(value) is not list or not _ONLY_TEXT.issuperset(map(type, value)):
        message = "The groups are not a list of strings: set groups_claim to the claim that lists them."
        raise Malformed(message, reason="groups_malformed")
    if len(value) > _MOST_GROUPS:
        message = f"The token names more than {_MOST_GROUPS} groups: have its issuer send those that matter here."
        raise Malformed(message, reason="groups_too_many")
    return tuple(value)


def _scopes(value: object) -> tuple[str, ...]:
    """Read scopes, separated by spaces or in a list as Okta (``scp``) and others write them."""
    if type(value) is str:
        return tuple(filter(None, value.split(" ")))  # by spaces alone: other blanks may be part of one
    if type(value) is list and all(type(scope) is str and scope and " " not in scope for scope in value):
        return tuple(value)
    raise Malformed(
        "The scopes are neither a string nor a list of names; their issuer must correct them.", reason="scope_malformed"
    )
