"""The audit log: every decision in a chain of hashes, written by ``log.AuditLog``, proved by ``verification.verify``.

Lines and hashes are ``chain``'s, without I/O; ``chain_file`` writes them, ``last_lines`` shows them. What a decision
says is made elsewhere (``guard.record``).
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
