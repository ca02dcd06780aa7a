"""For users' tests and our own: an OpenID provider on loopback that can be told to fail and to lie, and hostile tokens.

Names are imported when first used: pytest loads this package for its plugin, and must not pay for the rest.
"""

from typing import TYPE_CHECKING

from doorward.late import late_names

if TYPE_CHECKING:
    from doorward.testing.app import RequestRecord
    from doorward.testing.dev_issuer import DevIssuer
    from doorward.testing.habits import HABITS
    from doorward.testing.hostile import hostile_tokens, hostile_variants
    from doorward.testing.hostile_token import HostileToken
    from doorward.testing.imitations import IMITATIONS
    from doorward.testing.misbehaviours import MISBEHAVIOURS
    from doorward.testing.rules import GRANT_TYPES, Client, Rules, User

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
        "Client": "rules",
        "DevIssuer": "dev_issuer",
        "GRANT_TYPES": "rules",
        "HABITS": "habits",
        "HostileToken": "hostile_token",
        "IMITATIONS": "imitations",
        "MISBEHAVIOURS": "misbehaviours",
        "RequestRecord": "app",
        "Rules": "rules",
        "User": "rules",
        "hostile_tokens": "hostile",
        "hostile_variants": "hostile",
    },
)
