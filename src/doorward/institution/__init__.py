"""The near door by browser: sign in at an institution, keep the session, know whether it holds. These are its names.

Each is imported when first used.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
