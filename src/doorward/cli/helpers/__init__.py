"""Commands that give a token to other programs: ``exec``, ``curl``, ``credential``."""
