"""Puts a guard before an ASGI application. Nothing here judges a credential, and no name of a caller goes in a header.

A pure ASGI class, for it stands on the way of every request. Who calls is in the scope, under ``doorward.principal``,
which no client can write to.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.errors import ConfigurationError, DoorwardError, printable
from doorward.guard.addresses import Networks, client_address
from doorward.guard.work import afinish
from doorward.integrations.identity_headers import IdentityHeaders
from doorward.integrations.public_paths import PublicPaths
from doorward.integrations.refusals import REFUSED, Refusals
from doorward.model import Principal

if TYPE_CHECKING:
    from doorward.guard.guard import Guard
    from doorward.guard.work import Work
    from doorward.integrations.refusals import Refusal

__all__ = ["ASGIApp", "Doorkeeper", "GuardMiddleware"]

_Scope: TypeAlias = MutableMapping[str, Any]
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_AUTHORIZATION = b"authorization"
_LONGEST_RESOURCE = 300
_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class Doorkeeper:
    """What the middleware and FastAPI's dependency share: from the scope of a request to its principal.

    Args:
        guard: who decides.
        trusted_proxies: networks whose ``X-Forwarded-For`` is believed; None for the guard's own.
    """

    def __init__(self, guard: Guard, *, trusted_proxies: Iterable[str] | None = None) -> None:
        self.guard = guard
        self._trusted = None if trusted_proxies is None else Networks.parse(trusted_proxies, field="trusted_proxies")

    def ask(self, scope: _Scope, authorization: str | None, scopes: Sequence[str]) -> Principal | Work[Principal]:
        """Return what ``Guard.begin`` returns for a request."""
        guard = self.guard
        resource = _resource(scope) if guard.keeps_records else None  # else nobody wants to know
        return guard.begin(authorization, client_ip=self._client_address(scope), scopes=scopes, resource=resource)

    async def admit(self, scope: _Scope, scopes: Sequence[str]) -> Principal:
        """Return who is calling. Raises what ``Guard.authenticate`` raises."""
        answer = self.ask(
            scope, _authorization([value for name, value in scope["headers"] if name == _AUTHORIZATION]), scopes
        )
        return answer if isinstance(answer, Principal) else await afinish(answer)

    def _client_address(self, scope: _Scope) -> str | None:
        client = scope.get("client")
        peer = client[0] or None if client else None
        trusted = self.guard.trusted_proxies if self._trusted is None else self._trusted
        if not trusted:
            return peer
        forwarded_for = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_address(peer, forwarded_for, trusted)


class GuardMiddleware:
    """Lets in whom the guard lets in; everybody else is answered 401, 403, 429 or 503, and the application not called.

    The application finds the ``Principal`` in ``scope["doorward.principal"]``, None on a public path, where nobody is
    asked for a credential. Headers that claim an identity are stripped from every request, on public paths too. The
    Authorization header stays: some applications call others in the caller's name.

    A WebSocket is judged once, when it opens: an application that keeps one open for long looks at the principal's
    ``expires_at`` itself. The preflight requests of CORS carry no credential: put the CORS middleware outside this one.

    Args:
        app: the application. Every HTTP and WebSocket request for it passes here; any other kind of scope is refused.
        guard: who decides. Its keys are fetched ahead when the server starts; whoever made it closes it.
        public_paths: what needs no credential, by whatever method: a path, exactly as it is sent, or all below one
            (``/static/*``). Always the whole path, with the mount points of Starlette and the server's ``root_path``.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` is believed, read from its right end; without
            it, those of the guard's settings. Servers may believe some themselves and change the peer's address before
            it gets here, as uvicorn does by default for 127.0.0.1 (``--no-proxy-headers``).
        scopes: what every request needs.
        realm: named in the challenges.
        resource_metadata: URL named in the challenges, by which a client learns where to get a token (RFC 9728).
        identity_headers: names to strip besides those that are known, each maybe with a ``*`` at its end.

    Raises:
        ConfigurationError: one of the settings; names it.
    """

    def __init__(  # noqa: PLR0913 - one setting each, all but two with a default
        self,
        app: ASGIApp,
        guard: Guard,
        *,
        public_paths: Iterable[str] = (),
        trusted_proxies: Iterable[str] | None = None,
        scopes: Collection[str] = (),
        realm: str | None = None,
        resource_metadata: str | None = None,
        identity_headers: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._guard = guard
        self._doorkeeper = Doorkeeper(guard, trusted_proxies=trusted_proxies)
        self._public = PublicPaths(public_paths)
        self._refusals = Refusals(realm=realm, resource_metadata=resource_metadata, scopes=scopes)
        self._scopes = tuple(scopes)
        self._stripped = IdentityHeaders(identity_headers)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._pass_lifespan(scope, receive, send)
            return
        stripped = self._stripped
        headers = [header for header in scope["headers"] if not stripped[header[0]]]
        inner = {
            **scope,
            "headers": headers,
            "doorward.guard": self._guard,
            "doorward.scopes": self._scopes,
            "doorward.principal": None,
        }
        if not self._public.includes(scope["path"], scope.get("raw_path")):
            given = [value for name, value in headers if name == _AUTHORIZATION]
            try:
                answer = self._doorkeeper.ask(inner, _authorization(given), self._scopes)
                inner["doorward.principal"] = answer if isinstance(answer, Principal) else await afinish(answer)
            except REFUSED as error:
                await _send_refusal(self._refusals.answer(error), scope, send)
                return
        await self._app(inner, receive, send)

    async def _pass_lifespan(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "lifespan":
            message = f"A guard knows http and websocket, and lets nothing else pass: {printable(str(scope['type']))}."
            raise ConfigurationError(message, field="scope", reason="unknown_scope_type")
        try:
            self._guard.warm_up()
        except DoorwardError as error:  # an exception would tell servers that we know no lifespan, and they would go on
            await receive()
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await self._app(scope, receive, send)


def _authorization(given: list[bytes]) -> str | None:
    """Make one value of those of all Authorization headers."""
    # Several are one list (RFC 9110 section 5.3), and no credential has a comma: the guard refuses and records it.
    return b", ".join(given).decode("latin-1") if given else None


def _resource(scope: _Scope) -> str:
    """Name what was asked for, for the audit log: without the query, which may hold secrets."""
    path = scope["path"].replace("?", "%3F")  # it was sent encoded: the log cuts off what looks like a query
    resource = f"{scope.get('method', 'WEBSOCKET')} {path}"
    return resource if len(resource) <= _LONGEST_RESOURCE and resource.isprintable() else printable(resource)


async def _send_refusal(refusal: Refusal, scope: _Scope, send: _Send) -> None:
    kind = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return
        kind = "websocket.http"
    body = json.dumps(refusal.content).encode()
    headers = {**refusal.headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": f"{kind}.response.start", "status": refusal.status, "headers": raw})
    await send({"type": f"{kind}.response.body", "body": b"" if scope.get("method") == "HEAD" else body})
