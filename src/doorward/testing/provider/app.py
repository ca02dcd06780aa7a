"""From a request to a reply: routes, the Host check, the log of requests, faults. No socket."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doorward.testing.provider.endpoints import authorize, discovery, interaction, resources, token_endpoint
from doorward.testing.provider.faults import FaultPlan
from doorward.testing.provider.web import Refusal, Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.testing.provider.core import Core, EndpointName
    from doorward.testing.provider.faults import Fault
    from doorward.testing.provider.switches import Point
    from doorward.testing.provider.web import Request

__all__ = ["App", "RequestRecord"]

_logger = logging.getLogger("doorward.testing")
_MAX_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that was answered; no parameter but the grant type. ``status`` is 0 where no answer went out."""

    method: str
    path: str
    endpoint: str
    grant_type: str
    status: int


@dataclass(frozen=True, slots=True)
class _Route:
    endpoint: EndpointName
    methods: frozenset[str]
    handler: Callable[[Core, Request], Reply]


_READ = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})
_PAGE = frozenset({"GET"})
_BOTH = _PAGE | _POST
_ROUTES = {
    "/.well-known/openid-configuration": _Route("discovery", _READ, discovery.discovery),
    "/jwks": _Route("jwks", _READ, discovery.jwks),
    "/authorize": _Route("authorize", _BOTH, authorize.authorize),
    "/par": _Route("par", _POST, authorize.push),
    "/authorize/decide": _Route("authorize", _POST, interaction.decide_sign_in),
    "/token": _Route("token", _POST, token_endpoint.token),
    "/device_authorization": _Route("device_authorization", _POST, token_endpoint.device_authorization),
    "/device": _Route("device", _PAGE, interaction.device),
    "/device/decide": _Route("device", _POST, interaction.decide_device),
    "/introspect": _Route("introspect", _POST, resources.introspect),
    "/revoke": _Route("revoke", _POST, resources.revoke),
    "/userinfo": _Route("userinfo", _BOTH, resources.userinfo),
    "/end_session": _Route("end_session", _BOTH, interaction.end_session),
}
_REPLY_POINTS: dict[str, Point] = {"discovery": "discovery_reply", "jwks": "jwks_reply", "token": "token_reply"}


@dataclass(slots=True)
class App:
    """The issuer without its socket."""

    core: Core
    faults: FaultPlan = field(default_factory=FaultPlan)
    records: deque[RequestRecord] = field(default_factory=lambda: deque(maxlen=_MAX_RECORDS))

    def handle(self, request: Request) -> tuple[Reply, Fault | None]:
        """Answer one request; the fault, if any, is for the server to act out."""
        with self.core.lock:
            route = self._route(request)
            fault = self.faults.take(route.endpoint) if isinstance(route, _Route) else None
            if isinstance(route, Reply):
                reply, endpoint = route, ""
            elif fault is not None and not fault.done:
                reply, endpoint = fault.reply(), route.endpoint
            else:
                reply, endpoint = self._run(route, request), route.endpoint
            self._record(request, endpoint, 0 if fault is not None and fault.silent else reply.status)
            return reply, fault

    def _route(self, request: Request) -> _Route | Reply:
        core = self.core
        hosts = {core.origin.partition("//")[2]}
        hosts |= {f"{name}:{core.port}" for name in ("localhost", "127.0.0.1", "[::1]")}
        if request.headers.get("host", "").lower() not in hosts:
            return json_reply({"error": "invalid_request", "error_description": "unknown Host"}, status=421)
        if request.path == f"/.well-known/oauth-authorization-server{core.path}":
            return _ROUTES["/.well-known/openid-configuration"]
        inside = request.path.removeprefix(core.path) if request.path.startswith(core.path) else ""
        route = _ROUTES.get(inside)
        if route is None:
            return json_reply({"error": "not_found"}, status=404)
        if request.method not in route.methods:
            allowed = ", ".join(sorted(route.methods))
            return json_reply({"error": "invalid_request"}, status=405, headers={"Allow": allowed})
        return route

    def _run(self, route: _Route, request: Request) -> Reply:
        try:
            reply = route.handler(self.core, request)
            point = _REPLY_POINTS.get(route.endpoint)
            return reply if point is None else self.core.bend(point, reply)
        except Refusal as refusal:
            return json_reply({"error": refusal.error}, status=refusal.status, headers=refusal.headers)
        except Exception:
            # the test sees a 500, and its log says where this issuer is broken; parameters are in no traceback's text
            _logger.exception("the development issuer failed at %s", route.endpoint)
            return json_reply({"error": "server_error"}, status=500)

    def _record(self, request: Request, endpoint: str, status: int) -> None:
        grant_type = next((value for name, value in request.form if name == "grant_type"), "")
        known = grant_type if grant_type in token_endpoint.GRANTS else ""
        record = RequestRecord(request.method, request.path, endpoint, known, status)
        self.records.append(record)
        _logger.debug("%s %s %s %s", record.method, endpoint or "-", known or "-", status)
