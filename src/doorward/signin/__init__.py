"""The near door: a person, or a program of its own, gets a session, keeps it fresh, and gives it back.

``interactive`` is for a person, ``session`` for what they have left in the vault, ``service`` for a program. Who guards
a service does not look in here.
"""
