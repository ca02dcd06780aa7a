"""What is no longer good: ``revocations.Revocations`` is told, and learns what other processes were told.

Decisions ask ``revocation_list``, in memory; ``sql_store`` is what several processes share.
"""
