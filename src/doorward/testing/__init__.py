"""For users' tests and our own: an OpenID provider on loopback that can be told to fail and to lie, and hostile tokens.

Names are imported when first used: pytest loads this package for its plugin, and must not pay for the rest.
"""

from typing import TYPE_CHECKING

from doorward.late import late_names

if TYPE_CHECKING:
    from doorward.testing.dev_issuer import DevIssuer
    from doorward.testing.lies.habits import HABITS
    from doorward.testing.lies.imitations import IMITATIONS
    from doorward.testing.lies.misbehaviours import MISBEHAVIOURS
    from doorward.testing.provider.app import RequestRecord
    from doorward.testing.provider.rules import GRANT_TYPES, Client, Rules, User
    from doorward.testing.tokens.hostile import hostile_tokens, hostile_variants
    from doorward.testing.tokens.hostile_token import HostileToken

__all__ = [
    "GRANT_TYPES",
    "HABITS",
    "IMITATIONS",
    "MISBEHAVIOURS",
    "Client",
    "DevIssuer",
    "HostileToken",
    "RequestRecord",
    "Rules",
    "User",
    "hostile_tokens",
    "hostile_variants",
]

__getattr__ = late_names(
    __name__,
    {
        "Client": "provider.rules",
        "DevIssuer": "dev_issuer",
        "GRANT_TYPES": "provider.rules",
        "HABITS": "lies.habits",
        "HostileToken": "tokens.hostile_token",
        "IMITATIONS": "lies.imitations",
        "MISBEHAVIOURS": "lies.misbehaviours",
        "RequestRecord": "provider.app",
        "Rules": "provider.rules",
        "User": "provider.rules",
        "hostile_tokens": "tokens.hostile",
        "hostile_variants": "tokens.hostile",
    },
)
