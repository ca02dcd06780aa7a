"""For users' tests and our own: an OpenID provider on loopback that can be told to fail and to lie."""

from doorward.testing.dev_issuer import DevIssuer
from doorward.testing.rules import Rules

__all__ = ["DevIssuer", "Rules"]
