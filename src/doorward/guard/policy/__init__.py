"""From verified claims to a ``Principal``, and who may do what: e-mail, groups, scopes, administrators, grants.

Nothing here verifies a token, and nothing here waits.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
