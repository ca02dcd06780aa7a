"""Token sources for services: a token in memory, which nothing on disk stands behind.

Each gives what ``doorward.ports.TokenSource`` asks for. A person's session, which stands on the vault, is next door in
``signin/session.py``.
"""
