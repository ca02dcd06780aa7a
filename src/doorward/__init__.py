"""Doorward signs people and services in, keeps what they get safe, and checks it at the other end.

The names below load on first use: ``import doorward`` alone imports neither a network nor a cryptography library.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
