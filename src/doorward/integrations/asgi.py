"""Puts a guard before an ASGI application. Nothing here judges a credential, and no name of a caller goes in a header.

A pure ASGI class, for it stands on the way of every request. Who calls is in the scope, under ``doorward.principal``,
which no client can write to.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.errors import ConfigurationError, DoorwardError, Forbidden, printable
from doorward.guard.addresses import Networks, client_address
from doorward.guard.work import afinish
from doorward.integrations.credential_places import (
    AUTHORIZATION,
    CredentialPlaces,
    websocket_tokens,
    without_websocket_tokens,
)
from doorward.integrations.identity_headers import IdentityHeaders
from doorward.integrations.long_lived import LongLived, check_recheck_s
from doorward.integrations.protected_resource import ProtectedResource
from doorward.integrations.public_paths import PublicPaths
from doorward.integrations.refusals import REFUSED, Refusals
from doorward.model import Principal, Secret
from doorward.system import SystemClock

if TYPE_CHECKING:
    from doorward.guard.guard import Guard
    from doorward.guard.work import Work
    from doorward.integrations.refusals import Refusal

__all__ = ["ASGIApp", "Doorkeeper", "GuardMiddleware", "ProtectedResource"]

_Scope: TypeAlias = MutableMapping[str, Any]
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_AUTHORIZATION = b"authorization"
_PREFLIGHT = b"access-control-request-method"
_NOT_IN_PREFLIGHT = frozenset({b"authorization", b"cookie", b"content-type"})
_OVERRIDES = (b"x-http-method", b"x-method-override")  # by which some frameworks take a request for another
_LOST = "\ufffd"  # what stands for bytes that are no UTF-8
_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class Doorkeeper:
    """What the middleware and FastAPI's dependency share: from the scope of a request to its principal.

    Args:
        guard: who decides.
        trusted_proxies: networks whose ``X-Forwarded-For`` is believed; None for the guard's own.
        credentials: where the credential may be.
        allowed_origins: whose pages may send a cookie.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        trusted_proxies: Iterable[str] | None = None,
        credentials: Iterable[str] = AUTHORIZATION,
        allowed_origins: Iterable[str] = (),
    ) -> None:
        self.guard = guard
        self.places = CredentialPlaces(credentials, allowed_origins=allowed_origins)
        self._trusted = None if trusted_proxies is None else Networks.parse(trusted_proxies, field="trusted_proxies")

    def ask(
        self, scope: _Scope, authorization: str | None, scopes: Sequence[str], *, again: bool = False
    ) -> Principal | Work[Principal]:
        """Return what ``Guard.begin`` returns for a request. ``again``: it was let in already, and is in the audit."""
        guard = self.guard
        resource = _resource(scope) if guard.keeps_records else None  # else nobody wants to know
        client_ip = self._client_address(scope)
        if again:
            return guard.begin(authorization, client_ip=client_ip, scopes=scopes, resource=resource, recorded=True)
        return guard.begin(authorization, client_ip=client_ip, scopes=scopes, resource=resource)

    def credential(self, scope: _Scope) -> str | None:
        """Return what the guard is asked about, which behind a middleware of the same guard is what that one found.

        Raises:
            Forbidden: there is a cookie alone, and another site's page may have sent it. The guard records that.
        """
        if self._is_behind_middleware(scope):
            found: Secret | None = scope["doorward.credential"]
            return _authorization(scope) if found is None else found.reveal()
        if self.places.is_usual:
            return _authorization(scope)
        try:
            return self.places.find(scope)
        except Forbidden as error:
            resource = _resource(scope) if self.guard.keeps_records else None
            self.guard.record_refusal(error, client_ip=self._client_address(scope), resource=resource)
            raise

    def _is_behind_middleware(self, scope: _Scope) -> bool:
        return scope.get("doorward.guard") is self.guard and scope["doorward.principal"] is not None

    async def admit(self, scope: _Scope, scopes: Sequence[str], *, optional: bool = False) -> Principal | None:
        """Return who is calling; None where nobody says who, and that is ``optional``. Errors are the guard's."""
        credential = self.credential(scope)
        if credential is None and optional:
            return None
        answer = self.ask(scope, credential, scopes, again=self._is_behind_middleware(scope))
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
        self._app = app
        self._guard = guard
        self._doorkeeper = Doorkeeper(
            guard, trusted_proxies=trusted_proxies, credentials=credentials, allowed_origins=allowed_origins
        )
        self._public = PublicPaths(public_paths)
        self._optional = PublicPaths(optional_paths, field="optional_paths")
        check_recheck_s(recheck_s)
        self._recheck_s = recheck_s
        if resource is not None and resource_metadata is None:
            resource_metadata = resource.metadata_url
        self._resource = resource or ProtectedResource.at(resource_metadata)
        self._refusals = Refusals(realm=realm, resource_metadata=resource_metadata, scopes=scopes)
        self._scopes = tuple(scopes)
        self._stripped = IdentityHeaders(identity_headers, only=only_headers)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._pass_lifespan(scope, receive, send)
            return
        inner = {
            **scope,
            "headers": list(scope["headers"]),
            "doorward.guard": self._guard,
            "doorward.scopes": self._scopes,
            "doorward.principal": None,
            "doorward.credential": None,
        }
        path, raw_path = scope["path"], scope.get("raw_path")
        credential = None
        is_preflight = _is_preflight(inner)
        if not is_preflight and not self._public.includes(path, raw_path):
            if self._resource is not None and self._resource.is_asked_for(scope):
                await _send_document(self._resource.document(self._guard.issuers), scope, send)
                return
            try:
                credential = self._doorkeeper.credential(inner)
                if credential is not None or not self._optional.includes(path, raw_path):
                    answer = self._doorkeeper.ask(inner, credential, self._scopes)
                    inner["doorward.principal"] = answer if isinstance(answer, Principal) else await afinish(answer)
            except REFUSED as error:
                await _send_refusal(self._refusals.answer(error), scope, send)
                return
            if credential is not None and not self._doorkeeper.places.is_usual:
                inner["doorward.credential"] = Secret(credential)  # for FastAPI's dependency, which may ask for more
        stripped = self._stripped  # only now: a credential may stand in one of them
        inner["headers"] = [header for header in inner["headers"] if not stripped[header[0]]]
        if is_preflight:
            await _pass_preflight(self._app, inner, send)
            return
        if scope["type"] == "http":
            await self._app(inner, receive, send)
        else:
            await self._pass_websocket(inner, credential, receive, send)

    async def _pass_websocket(self, inner: _Scope, credential: str | None, receive: _Receive, send: _Send) -> None:
        """Call the application, which never sees the token among the subprotocols, and judge the connection anew."""
        if self._doorkeeper.places.takes_websocket_protocol:
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
            ask=lambda: self._doorkeeper.ask(inner, credential, self._scopes, again=True),
            principal=principal,
            recheck_s=self._recheck_s,
            clock=SystemClock(),
        )
        try:
            await self._app(inner, judged.receive, judged.send)
        except Exception:
            if not judged.ended:  # else it only says that it could not go on
                raise

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


def _is_preflight(scope: _Scope) -> bool:
    """Say whether a browser asks what CORS allows: before the request, without its body and without a credential.

    Source: Fetch sections 3.3.2 and 4.8.
    """
    if scope.get("method") != "OPTIONS":
        return False
    headers = dict(scope["headers"])
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    return {b"origin", _PREFLIGHT} <= headers.keys() and not has_body and headers.keys().isdisjoint(_NOT_IN_PREFLIGHT)


async def _pass_preflight(app: ASGIApp, inner: _Scope, send: _Send) -> None:
    """Call the application with nothing that could make another request of it."""
    inner["headers"] = [header for header in inner["headers"] if not header[0].startswith(_OVERRIDES)]

    async def nothing() -> _Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(inner, nothing, send)


def _choosing_bearer(send: _Send) -> _Send:
    """Have ``bearer`` chosen where the application chooses no subprotocol: browsers end a connection without one."""

    async def choosing(message: _Message) -> None:
        if message["type"] == "websocket.accept" and message.get("subprotocol") is None:
            message = {**message, "subprotocol": "bearer"}
        await send(message)

    return choosing


def _authorization(scope: _Scope) -> str | None:
    """Make one value of those of all Authorization headers."""
    # Several are one list (RFC 9110 section 5.3), and no credential has a comma: the guard refuses and records it.
    given = [value for name, value in scope["headers"] if name == _AUTHORIZATION]
    return b", ".join(given).decode("latin-1") if given else None


def _resource(scope: _Scope) -> str:
    """Name what was asked for, for the audit log: without the query, which may hold secrets.

    No two paths are named alike. The server has decoded them, so ``%`` and ``?`` are encoded again: the log cuts off
    what looks like a query. Where it could not decode one, the path is told as it was sent.
    """
    path: str = scope["path"]
    if _LOST in path and scope.get("raw_path"):
        path = scope["raw_path"].decode("latin-1")
    elif "%" in path or "?" in path:
        path = path.replace("%", "%25").replace("?", "%3F")
    return f"{scope.get('method', 'WEBSOCKET')} {path}"


async def _send_document(body: bytes, scope: _Scope, send: _Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"max-age=3600"),
        (b"access-control-allow-origin", b"*"),  # a page that wants to sign in there reads it too; it holds no secret
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


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
