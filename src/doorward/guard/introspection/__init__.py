"""Asking an issuer about a token (RFC 7662), for opaque ones and for what needs its latest word.

``introspection`` asks and remembers; ``answer`` holds an active answer against the settings.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
