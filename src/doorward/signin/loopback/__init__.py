"""The listener on loopback that the person's browser comes back to, and the pages it shows.

``listener`` answers the callback; ``http`` reads a request, ``sockets`` binds, ``pages`` says how it went. What a
callback means is ``protocol.authorization``'s.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
