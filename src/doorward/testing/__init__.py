"""For users' tests and our own: an OpenID provider on loopback that can be told to fail and to lie, and hostile tokens.

Names are imported when first used: pytest loads this package for its plugin, and must not pay for the rest.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
