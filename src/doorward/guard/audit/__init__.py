"""The audit log: every decision in a chain of hashes, written by ``log.AuditLog`` and proved by ``verify``.

Lines, hashes and files are ``journal``'s. What a decision says is made elsewhere (``guard.record``).
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
