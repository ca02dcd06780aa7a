"""What adapters for clients share: which request may carry a token, and what is done when a server refuses it.

No library of a client is known here, and nothing is sent from here.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
