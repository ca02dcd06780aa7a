"""Puts a guard on FastAPI's routes, as a dependency that also says in the OpenAPI document what they need.

Nothing here judges a credential. A dependency can't keep headers that claim an identity from the application: where
handlers or other middleware read such headers, put ``GuardMiddleware`` before the whole application too.

No postponed annotations in this module: FastAPI reads those of an object that is called, and can't resolve their names.
"""

from typing import TYPE_CHECKING

from doorward.integrations.asgi import Doorkeeper
from doorward.integrations.refusals import REFUSED, Refusals

try:
    from fastapi import HTTPException, WebSocketException, status
    from fastapi.openapi.models import HTTPBearer, OpenIdConnect
    from fastapi.requests import HTTPConnection
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
except ImportError as missing:
    _MESSAGE = "doorward.integrations.fastapi needs FastAPI: pip install 'doorward[fastapi]'"
    raise ImportError(_MESSAGE, name=missing.name) from missing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from doorward.guard.guard import Guard
    from doorward.model import Principal

__all__ = ["Authenticate"]

_DISCOVERY = "/.well-known/openid-configuration"


class Authenticate(SecurityBase):
    """A dependency that gives the ``Principal`` of a request, or refuses it.

    Use it as ``Depends(auth)``, or with the scopes of a route as ``Security(auth, scopes=["notes:read"])``. Behind a
    ``GuardMiddleware`` with the same guard it asks that guard only about scopes which the middleware did not ask for;
    otherwise it authenticates by itself. A refusal is an ``HTTPException`` with the middleware's status, headers and,
    as ``detail``, its body.

    Args:
        guard: who decides.
        scopes: what every route that uses it needs.
        openid_issuer: an issuer, for the OpenAPI document: its discovery address is named there as an
            ``openIdConnect`` scheme, so that tools know where to get a token. None: a ``http`` ``bearer`` scheme.
        scheme_name: what the scheme is called there.
        trusted_proxies, realm, resource_metadata: as for ``GuardMiddleware``.

    Raises:
        ConfigurationError: one of the settings; names it.
    """

    def __init__(  # noqa: PLR0913 - one setting each, all but one with a default
        self,
        guard: "Guard",
        *,
        scopes: "Collection[str]" = (),
        openid_issuer: str | None = None,
        scheme_name: str = "doorward",
        trusted_proxies: "Iterable[str] | None" = None,
        realm: str | None = None,
        resource_metadata: str | None = None,
    ) -> None:
        self.scheme_name = scheme_name
        if openid_issuer is None:
            self.model = HTTPBearer()
        else:
            self.model = OpenIdConnect(openIdConnectUrl=openid_issuer.removesuffix("/") + _DISCOVERY)
        self._doorkeeper = Doorkeeper(guard, trusted_proxies=trusted_proxies)
        self._refusals = Refusals(realm=realm, resource_metadata=resource_metadata, scopes=scopes)
        self._scopes = frozenset(scopes)

    async def __call__(self, connection: HTTPConnection, security_scopes: SecurityScopes) -> "Principal":
        scope = connection.scope
        needed = self._scopes.union(security_scopes.scopes)
        # To hold a scope is not all: for some, the guard asks the issuer whether the token is still good.
        if scope.get("doorward.guard") is self._doorkeeper.guard and needed.issubset(scope["doorward.scopes"]):
            known: Principal | None = scope["doorward.principal"]
            if known is not None:
                return known
        try:
            return await self._doorkeeper.admit(scope, sorted(needed))
        except REFUSED as error:
            refusal = self._refusals.answer(error)
        if scope["type"] == "websocket" and "websocket.http.response" not in (scope.get("extensions") or {}):
            raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
        raise HTTPException(refusal.status, dict(refusal.content), dict(refusal.headers))
