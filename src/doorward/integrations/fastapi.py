"""Puts a guard on FastAPI's routes, as a dependency that also says in the OpenAPI document what they need.

Nothing here judges a credential. A dependency can't keep headers that claim an identity from the application: where
handlers or other middleware read such headers, put ``GuardMiddleware`` before the whole application too.

No postponed annotations in this module: FastAPI reads those of an object that is called, and can't resolve their names.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError
from doorward.guard.work import afinish
from doorward.integrations.gate.credential_places import AUTHORIZATION
from doorward.integrations.gate.gate import Doorkeeper
from doorward.integrations.gate.refusals import REFUSED, Refusals
from doorward.model import Principal

try:
    from fastapi import HTTPException, WebSocketException, status
    from fastapi.openapi.models import (
        APIKey,
        HTTPBearer,
        OAuth2,
        OAuthFlowAuthorizationCode,
        OAuthFlows,
        OpenIdConnect,
    )
    from fastapi.openapi.models import SecurityBase as SecurityModel
    from fastapi.requests import HTTPConnection
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
except ImportError as missing:
    _MESSAGE = "doorward.integrations.fastapi needs FastAPI: pip install 'doorward[fastapi]'"
    raise ImportError(_MESSAGE, name=missing.name) from missing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from doorward.guard.guard import Guard

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
            ``openIdConnect`` scheme, so that tools know where to get a token. None: a ``http`` ``bearer`` scheme, or
            one of an API key where ``credentials`` starts with a header or a cookie.
        authorization_url, token_url: the issuer's endpoints, for the document too: with both, the button of Swagger UI
            signs people in by authorization code. Have it use PKCE: ``FastAPI(swagger_ui_init_oauth={"clientId": …,
            "usePkceWithAuthorizationCodeGrant": True})``.
        scheme_name: what the scheme is called there; else ``doorward``, with the issuer's host or the header's name
            behind it where the document has one. Two guards that both take plain bearer tokens need two names.
        optional: give None to a request without a credential. A bad one is refused all the same.
        credentials, allowed_origins, trusted_proxies, realm, resource_metadata: as for ``GuardMiddleware``. Without it,
            an application chooses the subprotocol ``bearer`` itself, and sees the token.

    Raises:
        ConfigurationError: one of the settings; names it.
    """

    def __init__(  # noqa: PLR0913 - one setting each, all but one with a default
        self,
        guard: "Guard",
        *,
        scopes: "Collection[str]" = (),
        openid_issuer: str | None = None,
        authorization_url: str | None = None,
        token_url: str | None = None,
        scheme_name: str | None = None,
        optional: bool = False,
        credentials: "Iterable[str]" = AUTHORIZATION,
        allowed_origins: "Iterable[str]" = (),
        trusted_proxies: "Iterable[str] | None" = None,
        realm: str | None = None,
        resource_metadata: str | None = None,
    ) -> None:
        places = credentials if isinstance(credentials, str) else tuple(credentials)
        self._doorkeeper = Doorkeeper(
            guard, trusted_proxies=trusted_proxies, credentials=places, allowed_origins=allowed_origins
        )
        self._optional = optional
        if (authorization_url is None) != (token_url is None):
            message = "authorization_url and token_url go together: give both, or neither."
            raise ConfigurationError(message, field="token_url", reason="endpoint_missing")
        if authorization_url is not None and token_url is not None:
            flow = OAuthFlowAuthorizationCode(
                authorizationUrl=authorization_url, tokenUrl=token_url, scopes=dict.fromkeys(scopes, "")
            )
            self.model: SecurityModel = OAuth2(flows=OAuthFlows(authorizationCode=flow))
        elif openid_issuer is not None:
            self.model = OpenIdConnect(openIdConnectUrl=openid_issuer.removesuffix("/") + _DISCOVERY)
        else:
            self.model = _model_of(places[0])
        told = urlsplit(openid_issuer or authorization_url or "").hostname or places[0].partition(":")[2]
        self.scheme_name = scheme_name or "-".join(filter(None, ("doorward", told)))
        self._refusals = Refusals(realm=realm, resource_metadata=resource_metadata, scopes=scopes)
        self._scopes = frozenset(scopes)

    async def __call__(self, connection: HTTPConnection, security_scopes: SecurityScopes) -> Principal | None:
        scope = connection.scope
        needed = self._scopes.union(security_scopes.scopes)
        # To hold a scope is not all: for some, the guard asks the issuer whether the token is still good.
        if scope.get("doorward.guard") is self._doorkeeper.guard and needed.issubset(scope["doorward.scopes"]):
            known: Principal | None = scope["doorward.principal"]
            if known is not None:
                return known
        try:
            found = self._doorkeeper.admit(scope, sorted(needed), optional=self._optional)
            return found if found is None or isinstance(found, Principal) else await afinish(found)
        except REFUSED as error:
            refusal = self._refusals.answer(error)
        if scope["type"] == "websocket" and "websocket.http.response" not in (scope.get("extensions") or {}):
            raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
        raise HTTPException(refusal.status, dict(refusal.content), dict(refusal.headers))


def _model_of(place: str) -> SecurityModel:
    kind, _, name = place.partition(":")
    if kind in {"header", "cookie"}:
        return APIKey.model_validate({"in": kind, "name": name})
    return HTTPBearer()
