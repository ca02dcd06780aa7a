"""The far door: a credential in, a ``Principal`` out, or the error that says why not. These are its public names.

Each is imported when first used: a guard of signed tokens alone need not pay for databases, logs and introspection.
"""

from typing import TYPE_CHECKING

from doorward.late import late_names

if TYPE_CHECKING:
    from doorward.guard.api_keys import ApiKeys
    from doorward.guard.audit import AuditLog
    from doorward.guard.grants import Grants
    from doorward.guard.guard import Guard
    from doorward.guard.introspection import Introspection
    from doorward.guard.issuers import Issuer
    from doorward.guard.options import GuardOptions
    from doorward.guard.policy import Admin
    from doorward.guard.revocation import Revocations
    from doorward.guard.throttle import Throttle

__all__ = [
    "Admin",
    "ApiKeys",
    "AuditLog",
    "Grants",
    "Guard",
    "GuardOptions",
    "Introspection",
    "Issuer",
    "Revocations",
    "Throttle",
]

__getattr__ = late_names(
    __name__,
    {
        "Admin": "policy",
        "ApiKeys": "api_keys",
        "AuditLog": "audit",
        "Grants": "grants",
        "Guard": "guard",
        "GuardOptions": "options",
        "Introspection": "introspection",
        "Issuer": "issuers",
        "Revocations": "revocation",
        "Throttle": "throttle",
    },
)
