"""Adapters: each puts a token source or a guard where a library wants it. No rule of either lives here.

A module is imported when it is first named, for each imports the library it adapts.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
