"""The demo's API: one address on loopback that answers whoever has an access token meant for it.

It shows what a service has to do by hand, in ``NotesApi.admit``. A real service wants a real server, a key set that is
fetched again, a limit on failures and a log; this one lives for a minute.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from doorward.errors import InvalidCredential
from doorward.http.client import HttpClient
from doorward.protocol.access_token import validate_access_token
from doorward.protocol.bearer import build_www_authenticate, parse_authorization_header
from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.protocol.metadata import (
    build_jwks_request,
    build_metadata_request,
    parse_jwks_response,
    parse_metadata_response,
)

if TYPE_CHECKING:
    from types import TracebackType

    from doorward.ports import Clock
    from doorward.protocol.access_token import AccessTokenClaims
    from doorward.protocol.jwk import JwkSet

__all__ = ["NotesApi"]

_REQUEST_TIMEOUT_S = 5.0
_ALGORITHMS = ("RS256",)


class NotesApi:
    """An API that knows one issuer. Use it as a context manager.

    ``url`` is its address and the audience it answers to. ``refusals`` is its log, newest last: why, for its owner's
    eyes alone.
    """

    def __init__(self, issuer: str, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: JwkSet | None = None
        self._server: ThreadingHTTPServer | None = None
        self.url = ""
        self.refusals: list[InvalidCredential] = []

    def __enter__(self) -> Self:
        self._keys = self._fetch_keys()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/notes"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def admit(self, authorization: list[str]) -> AccessTokenClaims:
        """Return who is calling, from the Authorization headers of a request.

        Raises:
            InvalidCredential: Nobody who may; the class says which rule was broken.
        """
        assert self._keys is not None  # noqa: S101 - fetched before the server starts
        token = parse_authorization_header(*authorization)  # one header, one token
        jwt = parse_jwt(token)  # strict, or not at all
        signed = verify_jwt(jwt, self._keys, algorithms=_ALGORITHMS)  # by a key of our issuer
        return validate_access_token(  # from our issuer, for us, now
            signed, issuer=self._issuer, audiences=[self.url], now=self._clock.now()
        )

    def _fetch_keys(self) -> JwkSet:
        with HttpClient(insecure_loopback_http=True) as client:
            metadata = parse_metadata_response(
                client.send(build_metadata_request(self._issuer)),
                issuer=self._issuer,
                now=self._clock.now(),
                insecure_loopback_http=True,
            )
            return parse_jwks_response(client.send(build_jwks_request(metadata)), now=self._clock.now())

    def _answer(self, authorization: list[str]) -> tuple[int, dict[str, Any], str | None]:
        """Return status, body and challenge. Every refusal looks the same from outside."""
        try:
            caller = self.admit(authorization)
        except InvalidCredential as refusal:
            self.refusals.append(refusal)
            challenge = build_www_authenticate(error="invalid_token" if authorization else None)
            return 401, {"error": "unauthorized"}, challenge
        principal = {
            "issuer": caller.issuer,
            "subject": caller.subject,
            "audience": list(caller.audience),
            "scopes": list(caller.scopes),
            "expires_at": caller.expires_at,
        }
        return 200, principal, None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            timeout = _REQUEST_TIMEOUT_S

            def do_GET(self) -> None:
                status, body, challenge = answer(self.headers.get_all("Authorization", []))
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                if challenge is not None:
                    self.send_header("WWW-Authenticate", challenge)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
