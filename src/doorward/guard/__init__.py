"""The far door: a credential in, a ``Principal`` out, or the error that says why not. These are its public names.

Each is imported when first used: a guard of signed tokens alone need not pay for databases, logs and introspection.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
