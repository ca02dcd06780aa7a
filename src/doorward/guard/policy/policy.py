"""From verified claims to a ``Principal``: e-mail address, groups and scopes (``rights``), and who administers.

A principal is ``(issuer, subject)``; everything else here is said about it. Nothing is verified here but the type of
each claim. Who may read or mint what is ``grants``' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from doorward.errors import printable
from doorward.guard.policy.admins import API_KEY_ISSUER
from doorward.guard.policy.claims_view import ReadOnlyClaims
from doorward.guard.policy.emails import PROFILES, email_of, fold_email
from doorward.guard.policy.rights import Rights
from doorward.model import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    from doorward.guard.api_keys.api_key import ApiKey
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.policy.admins import Admin

__all__ = ["Policy"]

_NO_CLAIMS: Final = ReadOnlyClaims({})


class _Reader:
    """What there is to know about one issuer's tokens, looked up once."""

    __slots__ = ("issuer", "profile", "rights", "trust_email")

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.profile = PROFILES[issuer.profile]
        self.trust_email = issuer.trust_email
        self.rights = Rights(issuer)


class _Admins(msgspec.Struct, frozen=True):
    """The administrators of one issuer."""

    subjects: frozenset[str]
    emails: frozenset[str]


class Policy:
    """Makes principals. It holds settings alone, so any thread may use it.

    Args:
        admins: who is an administrator.
    """

    def __init__(self, admins: Iterable[Admin] = ()) -> None:
        named: dict[str, list[Admin]] = {}
        for admin in admins:
            named.setdefault(admin.issuer, []).append(admin)
        self._admins = {
            issuer: _Admins(
                frozenset(admin.subject for admin in some if admin.subject),
                frozenset(fold_email(admin.email) for admin in some if admin.email),
            )
            for issuer, some in named.items()
        }
        self._readers: dict[int, _Reader] = {}  # one for each issuer whose tokens came

    def principal(  # noqa: PLR0913, PLR0917 - on the path of every new token, where keywords cost
        self,
        issuer: Issuer,
        named: str,
        subject: str,
        audience: tuple[str, ...],
        expires_at: float | None,
        claims: Mapping[str, Any],
        kind: Literal["jwt", "opaque"] = "jwt",
    ) -> Principal:
        """Make the principal of a token.

        Args:
            issuer: whose keys verified the token, or who vouched for it.
            named: how it is called: of a template for many tenants, the name of this one.
            subject: its ``sub``.
            audience: its ``aud``.
            expires_at: epoch seconds.
            claims: all of its claims, as decoded. The principal keeps them: let go of them.
            kind: a signed token, or one that introspection explained.

        Raises:
            Malformed: a claim that is read here has the wrong type (reason ``email_malformed``, ``groups_malformed``,
                ``groups_too_many``, ``scope_malformed``, …).

        Source: OIDC Core section 5.1.
        """
        reader = self._readers.get(id(issuer))  # which the reader keeps alive
        if reader is None:
            reader = self._readers[id(issuer)] = _Reader(issuer)
        email, verified = email_of(claims, reader.profile)
        verified = verified and reader.trust_email
        admins = self._admins.get(named)
        is_admin = admins is not None and (
            subject in admins.subjects or (email is not None and verified and fold_email(email) in admins.emails)
        )
        rights = reader.rights
        return Principal(
            named,
            subject,
            audience,
            email,
            verified,
            rights.groups(claims),
            rights.scopes(claims),
            kind,
            is_admin,
            False,  # noqa: FBT003 - may_delegate: no token may, whoever signed it
            expires_at,
            ReadOnlyClaims(claims if type(claims) is dict else dict(claims)),
        )

    def why_no_admin(self, principal: Principal) -> str | None:
        """Say why somebody is no administrator whose address is one, for ``explain``; None where it is nobody's."""
        if principal.is_admin or principal.email is None:
            return None
        folded = fold_email(principal.email)
        issuers = [issuer for issuer, admins in self._admins.items() if folded in admins.emails]
        if principal.issuer in issuers:
            return "this address is an administrator's, but no trusted issuer has verified it (email_verified)"
        if issuers:
            return f"this address is an administrator's by the word of {printable(', '.join(issuers))} alone"
        return None

    def api_key_principal(self, key: ApiKey) -> Principal:
        """Make the principal of an API key that was checked: ``API_KEY_ISSUER`` and the key's name."""
        return Principal(
            issuer=API_KEY_ISSUER,
            subject=key.name,
            groups=key.groups,
            scopes=key.scopes,
            kind="api_key",
            is_admin=API_KEY_ISSUER in self._admins and key.name in self._admins[API_KEY_ISSUER].subjects,
            may_delegate=key.may_delegate,
            expires_at=key.expires_at,
            claims=_NO_CLAIMS,
        )
