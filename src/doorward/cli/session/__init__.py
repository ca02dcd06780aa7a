"""Commands about a person's session: ``login``, ``token``, ``status``, ``whoami``, ``logout``."""
