"""Whose tokens are trusted: the settings of each issuer, its keys, and what is asked of its tokens' claims.

``issuer.Issuer`` is what a person writes. ``key_rings`` keeps each issuer's keys fresh, by ``discovery``. ``claims``
has the table of what every claim is held against. No signature is verified here: that is ``protocol.jws``.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
