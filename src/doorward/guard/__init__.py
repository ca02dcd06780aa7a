"""The far door: a credential in, a ``Principal`` out, or the error that says why not. These are its public names.

A token passes ``guard``, ``decide``, ``credentials``, ``throttle``, ``verify`` (which asks ``protocol.claims``,
``issuers.key_rings``, ``protocol.jws``, ``issuers.claims``, ``policy.policy`` and ``revocation.revocation_list``),
``cache``, ``record`` and ``audit.log``, in this order. ``configuration`` holds what they work with. Each other subject
has a room of its own (decision 15).

Each name is imported when first used. A guard of signed tokens alone need not pay for databases, logs, introspection.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
