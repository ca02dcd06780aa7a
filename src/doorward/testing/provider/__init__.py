"""The development issuer itself: an honest OpenID provider on loopback, from the socket to the rules.

Its endpoints have a room of their own. It knows no lie: ``switches`` is the seam through which ``lies`` reach it.
"""
