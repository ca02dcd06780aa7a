"""Of which kind a token says it is, in the claims by which issuers tell: the same for signed and for introspected ones.

``typ`` is Keycloak's (Bearer, ID, Refresh, Offline, Logout, …), ``token_use`` Cognito's and Hydra's, ``token_type``
that of several libraries. A word that is not known here says nothing.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, Literal

from doorward.errors import Malformed, WrongType

__all__ = ["KIND_CLAIMS", "check_kind"]

KIND_CLAIMS: Final = ("typ", "token_use", "token_type")

_ACCESS: Final = frozenset({"access", "access_token", "at+jwt", "bearer"})
_ID: Final = frozenset({"id", "id_token", "serialized-id"})
_OTHERS: Final = frozenset(
    {
        *("refresh", "refresh_token", "refresh+jwt", "offline", "offline_access"),
        *("logout", "logout+jwt", "logout-token", "initialaccesstoken", "registrationaccesstoken"),
        *("urn:ietf:params:oauth:token-type:refresh_token", "authorization_code", "device_code"),
    }
)
_REFUSED: Final = MappingProxyType({"access": _OTHERS | _ID, "id": _OTHERS | _ACCESS, "any": _OTHERS})


def check_kind(name: str, value: Any, wanted: Literal["access", "id", "any"]) -> None:
    """Refuse a token that calls itself one of another kind than is taken here.

    Raises:
        WrongType: it does.
        Malformed: what it says is no text.
    """
    if type(value) is not str:
        raise Malformed(f"The claim {name} is not a string; its issuer must correct it.", reason=f"{name}_malformed")
    if value.lower() in _REFUSED[wanted]:
        what = "an access token" if wanted != "id" else "an ID token"
        raise WrongType(f"The token is of another kind by its claim {name}: send {what}.", reason="token_kind")
