"""What is no longer good: ``revocations.Revocations`` is told, and learns what other processes were told.

Decisions ask ``revocation_list``, in memory; ``sql_store`` is what several processes share.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
