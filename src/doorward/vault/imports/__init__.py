"""Reads what other programs kept of a session: bytes in, values and entries out. No file, clock or network is here.

What a file says of a person is not taken: nobody has verified its ID token. The first renewal brings one that is.
"""
