"""Puts a guard before a WSGI application. Nothing here judges a credential, and no name of a caller goes in a header.

Who calls is in the environment of a request, under ``doorward.principal``, which no client can write to.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from doorward.guard.work import finish
from doorward.integrations.gate.credential_places import AUTHORIZATION
from doorward.integrations.gate.environ import environ_of, scope_of
from doorward.integrations.gate.gate import Gate, Passing
from doorward.integrations.gate.protected_resource import ProtectedResource
from doorward.integrations.gate.refusals import REFUSED
from doorward.model import Principal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from doorward.guard.guard import Guard

__all__ = ["GuardMiddleware", "ProtectedResource"]


class GuardMiddleware:
    """Lets in whom the guard lets in; everybody else is answered 401, 403, 429 or 503, and the application not called.

    The application finds the ``Principal`` in ``environ["doorward.principal"]``, None on a public path, where nobody is
    asked for a credential. Headers that claim an identity are stripped from every request, on public paths too, after
    the credential was read. ``REMOTE_USER`` stays: no client sets it, and the server that does has asked somebody.

    A preflight request of CORS carries no credential and passes. For a page of another origin to read a refusal, put
    the CORS middleware outside this one. A response that is streamed is judged once, when it begins.

    Args:
        app: the application. Every request for it passes here.
        guard: who decides. Its keys are fetched when the first request comes; whoever made it closes it.
        public_paths: what needs no credential, by whatever method: a path, exactly as it is sent, or all below one
            (``/static/*``). Always the whole path, with the place that the application is mounted at. Where a header of
            the request says which place that is (``SCRIPT_NAME`` at gunicorn), nothing is public.
        optional_paths: what may be asked for without a credential, as ``public_paths`` names it. A good one is told to
            the application, and a bad one is refused.
        credentials: where the credential may be: ``authorization``, ``header:NAME`` such as ``header:x-api-key``,
            ``cookie:NAME``. Two that differ are refused. A cookie counts where there is no other, and opens nothing to
            a request that another site may have had a browser make.
        allowed_origins: origins besides the application's own whose pages may send the cookie.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` is believed, read from its right end; without
            it, those of the guard's settings. Servers may believe some themselves and change the peer's address before
            it gets here (gunicorn's ``forwarded_allow_ips`` does not, waitress' ``trusted_proxy`` does).
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

    Source: PEP 3333.
    """

    def __init__(  # noqa: PLR0913 - one setting each, all but two with a default
        self,
        app: WSGIApplication,
        guard: Guard,
        *,
        public_paths: Iterable[str] = (),
        optional_paths: Iterable[str] = (),
        credentials: Iterable[str] = AUTHORIZATION,
        allowed_origins: Iterable[str] = (),
        trusted_proxies: Iterable[str] | None = None,
        scopes: Collection[str] = (),
        realm: str | None = None,
        resource: ProtectedResource | None = None,
        resource_metadata: str | None = None,
        identity_headers: Iterable[str] = (),
        only_headers: Iterable[str] | None = None,
    ) -> None:
        self._app = app
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

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        gate, scope = self._gate, self._gate.enter(scope_of(environ))
        principal = None
        try:
            credential, found = gate.begin(scope)
            if isinstance(found, Principal):
                principal = found
            elif found is not None and not isinstance(found, Passing):
                principal = finish(found)
        except REFUSED as error:
            refusal = gate.refusals.answer(error)
            body = json.dumps(refusal.content).encode()
            headers = {**refusal.headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
            return _answer(environ, start_response, refusal.status, headers, body)
        if found is Passing.DOCUMENT:
            body, headers = gate.document()
            return _answer(environ, start_response, 200, headers, body)
        gate.open(scope, credential, principal, is_preflight=found is Passing.PREFLIGHT)
        return self._app(environ_of(scope, environ), start_response)


def _answer(
    environ: WSGIEnvironment, start_response: StartResponse, status: int, headers: Mapping[str, str], body: bytes
) -> list[bytes]:
    start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
