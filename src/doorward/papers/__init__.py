"""Papers: ask for one at its address, with an institution's session or without, and keep it if it is a PDF.

The names load when first used, so that a program that only looks at a session imports nothing for downloads.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
