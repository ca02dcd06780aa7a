"""The service's own API keys: made, checked, rotated and revoked here, by ``api_keys.ApiKeys``.

What a key looks like is ``format``'s, what is known of it ``api_key``'s, who keeps it a store's (``memory_store``,
``sql_store``) or the configuration's (``keyring``). Nothing here decides on a request: that is ``guard.decide``.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
