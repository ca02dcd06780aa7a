"""Which issuer's keys a token is held against, where its ``iss`` is not simply an issuer's URL.

The usual way is a plain look-up (``KeyRings.get``). Here are the two others: the tenants of a template, and JWT-SVIDs,
which may lack ``iss``. Nothing that comes from a token is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from doorward.errors import UnknownIssuer, printable
from doorward.protocol.claims import require_string

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.guard.issuers.key_rings import KeyRing, KeyRings

__all__ = ["find_ring"]

_SPIFFE: Final = "spiffe://"


def find_ring(rings: KeyRings, claims: Mapping[str, Any]) -> KeyRing:
    """Find the issuer of a token by what it says, for no key was found by its ``iss`` alone.

    Raises:
        UnknownIssuer: it is not trusted here.
        MissingClaim, Malformed: it names no issuer.

    Source: JWT-SVID section 4 (the trust domain of ``sub`` says whose keys count).
    """
    if "iss" not in claims:
        subject = claims.get("sub")
        if type(subject) is str and subject.startswith(_SPIFFE):
            domain = _SPIFFE + subject.removeprefix(_SPIFFE).partition("/")[0]
            ring = rings.get(domain)
            if ring is not None:
                return ring
            raise UnknownIssuer(f"The token is of a trust domain that is not trusted here: {printable(domain)}.")
    named = require_string(claims, "iss")
    ring = rings.get(named)
    if ring is not None:
        return ring
    for ring in rings.templates:
        template = ring.claim_rules.template
        if template is not None and template.tenant_of(named) is not None:
            return ring
    raise UnknownIssuer(f"The token is of an issuer that is not trusted here: {printable(named)}.")
