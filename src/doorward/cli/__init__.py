"""The ``doorward`` command. ``main`` prints a fresh token by itself; ``app`` runs all else.

One folder a group of commands: ``session``, ``guard``, ``institution``, ``demo``. A command's module has its options
and its words, and is imported when the command is called. What it does stands in the rooms below.
"""
