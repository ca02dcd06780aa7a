"""The listener on loopback that the person's browser comes back to, and the pages it shows.

``listener`` answers the callback; ``http`` reads a request, ``sockets`` binds, ``pages`` says how it went. What a
callback means is ``protocol.authorization``'s.
"""
