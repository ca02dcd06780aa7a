"""A log as a chain of hashes: its lines, the file or stream they are written to, and whether the chain holds.

What the lines tell of is not known here: the guard's decisions (``guard.audit``), or what the near door did
(``record``).
"""
