"""The far door: a credential in, a ``Principal`` out, or the error that says why not. These are its public names.

Each is imported when first used: a guard of signed tokens alone need not pay for databases, logs and introspection.
"""

from typing import TYPE_CHECKING

from doorward.late import late_names

if TYPE_CHECKING:
    from doorward.guard.api_keys.api_keys import ApiKeys
    from doorward.guard.audit.log import AuditLog
    from doorward.guard.guard import Guard
    from doorward.guard.introspection.introspection import Introspection
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.options import GuardOptions
    from doorward.guard.policy.grants import Grants
    from doorward.guard.policy.policy import Admin
    from doorward.guard.revocation.revocations import Revocations
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
        "Admin": "policy.policy",
        "ApiKeys": "api_keys.api_keys",
        "AuditLog": "audit.log",
        "Grants": "policy.grants",
        "Guard": "guard",
        "GuardOptions": "options",
        "Introspection": "introspection.introspection",
        "Issuer": "issuers.issuer",
        "Revocations": "revocation.revocations",
        "Throttle": "throttle",
    },
)
