"""Puts a guard before an ASGI application. Nothing here judges a credential, and no name of a caller goes in a header.

A pure ASGI class, for it stands on the way of every request. Who calls is in the scope, under ``doorward.principal``,
which no client can write to.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.errors import ConfigurationError, DoorwardError, printable
from doorward.guard.work import afinish
from doorward.integrations.gate.credential_places import AUTHORIZATION, websocket_tokens, without_websocket_tokens
from doorward.integrations.gate.gate import Gate, Passing, Scope
from doorward.integrations.gate.long_lived import LongLived, check_recheck_s
from doorward.integrations.gate.protected_resource import ProtectedResource
from doorward.integrations.gate.refusals import REFUSED
from doorward.model import Principal
from doorward.system import SystemClock

if TYPE_CHECKING:
    from doorward.guard.guard import Guard
    from doorward.integrations.gate.refusals import Refusal

__all__ = ["ASGIApp", "GuardMiddleware", "ProtectedResource"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, _Receive, _Send], Awaitable[None]]

_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class GuardMiddleware:
    """Lets in whom the guard lets in; everybody else is answered 401, 403, 429 or 503, and the application not called.

    The application finds the ``Principal`` in ``scope["doorward.principal"]``, None on a public path, where nobody is
    asked for a credential. Headers that claim an identity are stripped from every request, on public paths too, after
    the credential was read. The Authorization header stays: some applications call others in the caller's name.

    A preflight request of CORS carries no credential and passes. For a page of another origin to read a refusal, put
    the CORS middleware outside this one. A response that is streamed is judged once, when it begins.

    Args:
        app: the application. Every HTTP and WebSocket request for it passes here; any other kind of scope is refused.
        guard: who decides. Its keys are fetched ahead when the server starts; whoever made it closes it.
        public_paths: what needs no credential, by whatever method: a path, exactly as it is sent, or all below one
            (``/static/*``). Always the whole path, with the mount points of Starlette and the server's ``root_path``.
        optional_paths: what may be asked for without a credential, as ``public_paths`` names it. A good one is told to
            the application, and a bad one is refused.
        credentials: where the credential may be: ``authorization``, ``header:NAME`` such as ``header:x-api-key``,
            ``cookie:NAME``, ``websocket-protocol`` for a browser's ``new WebSocket(url, ["bearer", token])``. Two that
            differ are refused. A cookie counts where there is no other, and opens nothing to a request that another
            site may have had a browser make.
        allowed_origins: origins besides the application's own whose pages may send the cookie.
        recheck_s: for how long what was decided of a WebSocket holds, at most until its credential expires. After that
            nothing passes before the guard was asked again. None: it holds for as long as it is open.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` is believed, read from its right end; without
            it, those of the guard's settings. Servers may believe some themselves and change the peer's address before
            it gets here, as uvicorn does by default for 127.0.0.1 (``--no-proxy-headers``).
        scopes: what every request needs.
        realm: named in the challenges.
        resource: what this application says of itself by RFC 9728: it is served to everybody at its well-known place,
            and named in the challenges.
        resource_metadata: the URL named in the challenges, where the document is elsewhere. Where it is at a well-known
            place of this application, it is served there, unless that is a public path of it.
        identity_headers: names to strip besides those that are known, each maybe with a ``*`` at its end.
        only_headers: names that reach the application, besides those of HTTP itself; every other header is stripped.
            Known names of identities are stripped all the same.

    Raises:
        ConfigurationError: one of the settings; names it.
    """

    def __init__(  # noqa: PLR0913 - one setting each, all but two with a default
        self,
        app: ASGIApp,
        guard: Guard,
        *,
        public_paths: Iterable[str] = (),
        optional_paths: Iterable[str] = (),
        credentials: Iterable[str] = AUTHORIZATION,
        allowed_origins: Iterable[str] = (),
        recheck_s: float | None = 60,
        trusted_proxies: Iterable[str] | None = None,
        scopes: Collection[str] = (),
        realm: str | None = None,
        resource: ProtectedResource | None = None,
        resource_metadata: str | None = None,
        identity_headers: Iterable[str] = (),
        only_headers: Iterable[str] | None = None,
    ) -> None:
        check_recheck_s(recheck_s)
        self._app = app
        self._recheck_s = recheck_s
        self._gate = Gate(
            guard,
            public_paths=public_paths,
            optional_paths=optional_paths,
            credentials=credentials,
            allowed_origins=allowed_origins,
            trusted_proxies=trusted_proxies,
            scopes=scopes,
            realm=realm,
            resource=resource,
            resource_metadata=resource_metadata,
            identity_headers=identity_headers,
            only_headers=only_headers,
        )

    async def __call__(self, scope: Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._pass_lifespan(scope, receive, send)
            return
        gate = self._gate
        inner = gate.enter(scope)
        principal = None
        try:
            credential, found = gate.begin(inner)
            if isinstance(found, Principal):
                principal = found
            elif found is not None and not isinstance(found, Passing):
                principal = await afinish(found)
        except REFUSED as error:
            await _send_refusal(gate.refusals.answer(error), scope, send)
            return
        if found is Passing.DOCUMENT:
            await _send_document(*gate.document(), scope, send)
            return
        is_preflight = found is Passing.PREFLIGHT
        gate.open(inner, credential, principal, is_preflight=is_preflight)
        if scope["type"] == "http":
            await self._app(inner, _without_body(receive) if is_preflight else receive, send)
        else:
            await self._pass_websocket(inner, credential, receive, send)

    async def _pass_websocket(self, inner: Scope, credential: str | None, receive: _Receive, send: _Send) -> None:
        """Call the application, which never sees the token among the subprotocols, and judge the connection anew."""
        if self._gate.doorkeeper.places.takes_websocket_protocol:
            tokens, others = websocket_tokens(inner)
            if tokens:
                inner.update(without_websocket_tokens(inner, others))
                send = _choosing_bearer(send)
        principal = inner["doorward.principal"]
        if principal is None or self._recheck_s is None:
            await self._app(inner, receive, send)
            return
        judged = LongLived(
            receive,
            send,
            ask=lambda: self._gate.doorkeeper.ask(inner, credential, self._gate.scopes, again=True),
            principal=principal,
            recheck_s=self._recheck_s,
            clock=SystemClock(),
        )
        try:
            await self._app(inner, judged.receive, judged.send)
        except Exception:
            if not judged.ended:  # else it only says that it could not go on
                raise

    async def _pass_lifespan(self, scope: Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "lifespan":
            message = f"A guard knows http and websocket, and lets nothing else pass: {printable(str(scope['type']))}."
            raise ConfigurationError(message, field="scope", reason="unknown_scope_type")
        try:
            self._gate.guard.warm_up()
        except DoorwardError as error:  # an exception would tell servers that we know no lifespan, and they would go on
            await receive()
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await self._app(scope, receive, send)


def _without_body(receive: _Receive) -> _Receive:
    """Receive no body, and then wait for the client to go, as an application does that streams its answer."""
    has_asked = False

    async def receiving() -> _Message:
        nonlocal has_asked
        if not has_asked:
            has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return receiving


def _choosing_bearer(send: _Send) -> _Send:
    """Have ``bearer`` chosen where the application chooses no subprotocol: browsers end a connection without one."""

    async def choosing(message: _Message) -> None:
        if message["type"] == "websocket.accept" and message.get("subprotocol") is None:
            message = {**message, "subprotocol": "bearer"}
        await send(message)

    return choosing


async def _send_document(body: bytes, headers: dict[str, str], scope: Scope, send: _Send) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _send_refusal(refusal: Refusal, scope: Scope, send: _Send) -> None:
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
