"""The far door: a credential in, a ``Principal`` out, or the error that says why not. These are its public names."""

from __future__ import annotations

from doorward.guard.api_keys import ApiKeys
from doorward.guard.audit import AuditLog
from doorward.guard.grants import Grants
from doorward.guard.guard import Guard
from doorward.guard.introspection import Introspection
from doorward.guard.issuers import Issuer
from doorward.guard.parts import GuardOptions
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
