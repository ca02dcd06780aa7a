"""An API that tells what it was sent, and a source of tokens that tells what it was asked. For tests of clients."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Source:
    """Gives ``first``, then a new token for each that is refused. ``seen`` says what was asked of it, and how."""

    def __init__(self, first="first", renewed="second", failure=None):
        self.seen = []
        self._first, self._renewed, self._failure = first, renewed, failure

    def token(self, kind="access"):
        self.seen.append(("token", kind))
        return self._first

    async def atoken(self, kind="access"):
        await asyncio.sleep(0)
        self.seen.append(("atoken", kind))
        return self._first

    def renew(self, rejected):
        self.seen.append(("renew", rejected))
        if self._failure:
            raise self._failure
        return self._renewed

    async def arenew(self, rejected):
        await asyncio.sleep(0)
        self.seen.append(("arenew", rejected))
        if self._failure:
            raise self._failure
        return self._renewed


class SteppingUp(Source):
    """Has the person sign in anew, too, and then gives ``strong``."""

    def step_up(self, acr_values, max_age):
        self.seen.append(("step_up", acr_values, max_age))
        return "strong"

    async def astep_up(self, acr_values, max_age):
        await asyncio.sleep(0)
        self.seen.append(("astep_up", acr_values, max_age))
        return "strong"


class Bound(Source):
    """Proves with each request that it has the key of its tokens. The proof only says here what it is of."""

    def authorization(self, token, method, url, *, nonce=None):
        return {"Authorization": f"DPoP {token}", "DPoP": f"{method} {url} {nonce}"}


class Server(ThreadingHTTPServer):
    """Remembers the Authorization of each request, and answers by path.

    ``/ok``, ``/never`` (401), ``/first-refused`` (401 to the token "first"), ``/stronger`` (401 to all but "strong"),
    ``/nonce`` (401 to a proof without its nonce), ``/to?URL`` (307), ``/refused-then-to?URL``, ``/done?URL`` (303).
    """

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen = []
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self._thread.join(20)
        self.server_close()


STEP_UP = 'Bearer error="insufficient_user_authentication", acr_values="gold", max_age="60"'


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        authorization, proof = self.headers.get("Authorization"), self.headers.get("DPoP")
        path, _, rest = self.path.partition("?")
        self.server.seen.append((self.command, path, authorization))
        status, headers = {"/never": 401, "/to": 307, "/refused-then-to": 307, "/done": 303}.get(path, 200), {}
        if path in ("/first-refused", "/refused-then-to") and authorization == "Bearer first":
            status = 401
        if path == "/stronger" and authorization != "Bearer strong":
            status, headers = 401, {"WWW-Authenticate": STEP_UP}
        if path == "/nonce":
            headers = {"DPoP-Nonce": "n1"}
            if not (proof or "").endswith(" n1"):
                status, headers["WWW-Authenticate"] = 401, 'DPoP error="use_dpop_nonce"'
        if status in (303, 307):
            headers["Location"] = rest
        answer = json.dumps({"authorization": authorization, "dpop": proof, "body": body.decode()}).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - the name is given

    def log_message(self, *_arguments):
        pass
