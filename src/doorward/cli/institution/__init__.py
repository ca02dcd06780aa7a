"""Commands for researchers: ``institution``, ``fetch``."""
