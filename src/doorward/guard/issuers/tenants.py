"""One issuer for many tenants: a URL with ``{tenantid}`` in it, as Entra publishes, and ``iss`` with the tenant's own.

All tenants share their keys, so a signature says nothing of the tenant. What holds: ``iss`` is the template with one
name in place of ``{tenantid}``, ``tid`` is that very name, and it is listed where tenants are listed. A key that its
set ascribes to one tenant counts for no other. Nothing is made or remembered for a tenant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from doorward.errors import UnknownIssuer, UnknownKey, WrongClaim
from doorward.protocol.claims import require_string

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from doorward.protocol.jwk import JwkSet

__all__ = ["TENANT", "Template", "check_key_is_of_tenant", "is_issuer_of"]

TENANT: Final = "{tenantid}"
"""What stands for a tenant in an issuer's URL: as in Entra's own metadata."""

_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class Template:
    """An issuer's URL with ``{tenantid}``.

    Args:
        url: the URL.
        tenants: those that are accepted; None for all.
    """

    __slots__ = ("_after", "_before", "_tenants")

    def __init__(self, url: str, tenants: frozenset[str] | None) -> None:
        self._before, _, self._after = url.partition(TENANT)
        self._tenants = tenants

    def tenant_of(self, issuer: str) -> str | None:
        """Return the tenant of an issuer that is of this form."""
        if not (issuer.startswith(self._before) and issuer.endswith(self._after)):
            return None
        name = issuer[len(self._before) : len(issuer) - len(self._after)]
        return name if _NAME.fullmatch(name) else None

    def takes(self, issuer: str) -> bool:
        """Tell whether an issuer is of this form, and of a tenant that is accepted."""
        tenant = self.tenant_of(issuer)
        return tenant is not None and (self._tenants is None or tenant in self._tenants)

    def hold(self, claims: Mapping[str, Any]) -> str:
        """Refuse a token of a tenant that is not listed, or not its own.

        Returns:
            Its ``iss``.

        Raises:
            UnknownIssuer: ``tenant_not_listed``.
            WrongClaim: ``tid`` is another tenant than ``iss`` names.
            MissingClaim, Malformed: there is no ``tid``, or it is no text.
        """
        issuer = require_string(claims, "iss")
        tenant = self.tenant_of(issuer)
        if require_string(claims, "tid") != tenant:
            message = "The token's tenant (tid) is not the one that its issuer names: its issuer must correct it."
            raise WrongClaim(message, reason="tenant_mismatch")
        if not self.takes(issuer):
            message = "The token is of a tenant that is not listed here: add it to tenants, if it should be."
            raise UnknownIssuer(message, reason="tenant_not_listed")
        return issuer


def is_issuer_of(url: str, issuer: str) -> bool:
    """Tell whether ``issuer`` is the one of these settings, or one of a template's tenants."""
    return issuer == url or (TENANT in url and Template(url, None).takes(issuer))


def check_key_is_of_tenant(keys: JwkSet, kid: str | None, claims: Mapping[str, Any]) -> None:
    """Refuse a token whose key its set ascribes to another tenant (``issuer`` beside the key, as Entra writes it).

    Raises:
        UnknownKey: ``key_of_another_tenant``.
    """
    tenant = claims.get("tid")
    for key in keys.keys:
        if (
            kid in {None, key.kid}
            and key.issuer is not None
            and TENANT not in key.issuer
            and tenant not in key.issuer.split("/")
        ):
            message = "The token is signed with a key that is another tenant's: get a new token."
            raise UnknownKey(message, reason="key_of_another_tenant")
