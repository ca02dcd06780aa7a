"""Whose tokens are trusted: the settings of each issuer, its keys, and what is asked of its tokens' claims.

``issuer.Issuer`` is what a person writes. ``key_rings`` keeps each issuer's keys fresh, by ``discovery``.
``claim_rules`` has the table that every claim is held against. Signatures are verified in ``protocol.jws``.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
