"""From verified claims to a ``Principal``: e-mail address, groups, scopes, and who is an administrator.

A principal is ``(issuer, subject)``; everything else here is said about it. Nothing is verified here but the type of
each claim. Who may read or mint what is ``grants``' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from doorward.errors import Malformed
from doorward.guard.policy.admins import API_KEY_ISSUER
from doorward.guard.policy.claims_view import ReadOnlyClaims
from doorward.guard.policy.emails import PROFILES, email_of, fold_email
from doorward.model import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    from doorward.guard.api_keys.api_key import ApiKey
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.policy.admins import Admin

__all__ = ["Policy"]

_ONLY_TEXT: Final = frozenset({str})
_MOST_GROUPS: Final = 1000
_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 512
_NO_CLAIMS: Final = ReadOnlyClaims({})


class _Reader:
    """What there is to know about one issuer's tokens, looked up once. ``admins`` are those of this issuer."""

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
        self.issuer = issuer
        self.profile = PROFILES[issuer.profile]
        self.trust_email = issuer.trust_email
        self.groups_claim = issuer.groups_claim or "groups"
        self.roles_are_groups = self.profile.roles_are_groups and issuer.groups_claim is None
        self.admin_subjects = frozenset(admin.subject for admin in admins if admin.subject)
        self.admin_emails = frozenset(fold_email(admin.email) for admin in admins if admin.email)


class Policy:
    """Makes principals. It holds settings alone, so any thread may use it.

    Args:
        admins: who is an administrator.
    """

    def __init__(self, admins: Iterable[Admin] = ()) -> None:
        self._admins: dict[str, list[Admin]] = {}
        for admin in admins:
            self._admins.setdefault(admin.issuer, []).append(admin)
        self._readers: dict[int, _Reader] = {}  # one for each issuer whose tokens came
        self._admin_keys = frozenset(admin.subject for admin in self._admins.get(API_KEY_ISSUER, ()) if admin.subject)

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
            reader = self._readers[id(issuer)] = _Reader(issuer, self._admins.get(issuer.url, ()))
        email, verified = email_of(claims, reader.profile)
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


_parsed_scopes: Final[dict[str, tuple[str, ...]]] = {}  # the tokens of one client ask for the same


def _scopes(value: object) -> tuple[str, ...]:
    """Read scopes, separated by spaces or in a list as Okta (``scp``) and others write them."""
    if type(value) is str:
        return _parsed_scopes.get(value) or _parse_scopes(value)
    if type(value) is list and all(type(scope) is str and scope and " " not in scope for scope in value):
        return tuple(value)
    raise Malformed(
        "The scopes are neither a string nor a list of names; their issuer must correct them.", reason="scope_malformed"
    )


def _parse_scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(filter(None, text.split(" ")))  # by spaces alone: other blanks may be part of one
    if len(text) <= _LONGEST_REMEMBERED:
        if len(_parsed_scopes) >= _MOST_REMEMBERED:
            _parsed_scopes.clear()
        _parsed_scopes[text] = scopes
    return scopes
