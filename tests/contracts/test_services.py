"""What every integration for services does: one suite, each on a real server on loopback.

The application answers at /open, /maybe, /all and /notes (which needs the scope notes:read) with who is calling and
the headers that reached it. Routes in a function name what is local to it, which FastAPI could not find by postponed
annotations.
"""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Annotated

import httpx2
import pytest
import uvicorn
import waitress
from fastapi import Depends, FastAPI, Request, Security
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from werkzeug.serving import make_server

from doorward import Principal
from doorward.guard import ApiKeys, Guard, Issuer, Revocations, Throttle
from doorward.integrations import asgi, wsgi
from doorward.integrations import fastapi as for_fastapi
from doorward.integrations import flask as for_flask
from doorward.testing import DevIssuer

DEADLINE_S = 30
PATHS = {"public_paths": ["/open"], "optional_paths": ["/maybe"]}
NOTES = "notes:read"


def told(principal, headers) -> dict[str, object]:
    return {"subject": principal and principal.subject, "headers": sorted(name.lower() for name, _ in headers)}


def asgi_app(guard):
    async def tell(request):
        return JSONResponse(told(request.scope["doorward.principal"], request.headers.items()))

    routes = [Route(path, tell, methods=["GET", "POST"]) for path in ("/open", "/maybe", "/all")]
    notes = asgi.GuardMiddleware(Starlette(routes=[Route("/notes", tell)]), guard, scopes=[NOTES])
    everything = asgi.GuardMiddleware(Starlette(routes=routes), guard, **PATHS)

    async def app(scope, receive, send):
        await (notes if scope.get("path") == "/notes" else everything)(scope, receive, send)

    return app


def fastapi_app(guard):
    caller, anybody = for_fastapi.Authenticate(guard), for_fastapi.Authenticate(guard, optional=True)
    app = FastAPI()

    @app.get("/open")
    def _open():
        return told(None, [])

    @app.get("/maybe")
    def _maybe(request: Request, principal: Annotated[Principal | None, Depends(anybody)]):
        return told(principal, request.headers.items())

    @app.api_route("/all", methods=["GET", "POST", "HEAD"])
    def _all(request: Request, principal: Annotated[Principal, Depends(caller)]):
        return told(principal, request.headers.items())

    @app.get("/notes")
    def _notes(request: Request, principal: Annotated[Principal, Security(caller, scopes=[NOTES])]):
        return told(principal, request.headers.items())

    return asgi.GuardMiddleware(app, guard, **PATHS)


def wsgi_app(guard):
    def tell(environ, start_response):
        headers = [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name[:5] == "HTTP_"]
        body = json.dumps(told(environ["doorward.principal"], headers)).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    notes, everything = wsgi.GuardMiddleware(tell, guard, scopes=[NOTES]), wsgi.GuardMiddleware(tell, guard, **PATHS)
    return lambda environ, start: (notes if environ["PATH_INFO"] == "/notes" else everything)(environ, start)


def flask_app(guard):
    caller, anybody = for_flask.Authenticate(guard), for_flask.Authenticate(guard, optional=True)
    app = Flask("service")

    @app.get("/open")
    def _open():
        return told(caller.maybe_principal, flask_request.headers)

    @app.get("/maybe")
    @anybody.required()
    def _maybe():
        return told(anybody.maybe_principal, flask_request.headers)

    @app.route("/all", methods=["GET", "POST"])
    @caller.required()
    def _all():
        return told(caller.principal, flask_request.headers)

    @app.get("/notes")
    @caller.required(NOTES)
    def _notes():
        return told(caller.principal, flask_request.headers)

    app.wsgi_app = wsgi.GuardMiddleware(app.wsgi_app, guard, **PATHS)
    return app


@contextmanager
def uvicorn_serves(app):
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    with running(lambda: server.run([listener]), lambda: setattr(server, "should_exit", True)):
        give_up_at = time.monotonic() + DEADLINE_S
        while not server.started:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        yield listener.getsockname()[1]


@contextmanager
def waitress_serves(app):
    listener = socket.create_server(("127.0.0.1", 0))
    server = waitress.create_server(app, sockets=[listener], threads=2)

    def stop():
        with suppress(OSError):  # it has closed already, between its being told and its being woken
            server.trigger.pull_trigger(server.close)

    with running(server.run, stop):
        yield listener.getsockname()[1]
    server.task_dispatcher.shutdown()


@contextmanager
def werkzeug_serves(app):
    with make_server("127.0.0.1", 0, app, threaded=True) as server, running(server.serve_forever, server.shutdown):
        yield server.server_port


@contextmanager
def running(serve, stop):
    thread = threading.Thread(target=serve, name="service", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


SERVICES = {
    "asgi": (asgi_app, uvicorn_serves),
    "fastapi": (fastapi_app, uvicorn_serves),
    "wsgi": (wsgi_app, waitress_serves),
    "flask": (flask_app, werkzeug_serves),
}


@pytest.fixture(scope="module")
def issuer():
    with DevIssuer() as issuer:
        yield issuer


class Service:
    """One service that runs, and what the guard was made of."""

    def __init__(self, client, guard, keys, revocations, issuer):
        self.client, self.guard, self.keys, self.revocations, self.issuer = client, guard, keys, revocations, issuer

    def token(self, *scopes):
        return self.issuer.issue_access_token("alice", audience="notes", scope=" ".join(scopes))

    def ask(self, path="/all", token=None, *, method="GET", **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        return self.client.request(method, path, headers=given)


@pytest.fixture(params=SERVICES)
def service(request, issuer):
    make, serves = SERVICES[request.param]
    keys, revocations = ApiKeys.memory(), Revocations.memory()
    throttle = Throttle(free_failures=3)
    trusted = Issuer(issuer.url, audiences=["notes"], insecure_loopback_http=True)
    with (
        closing(Guard([trusted], keys, revocations=revocations, throttle=throttle)) as guard,
        serves(make(guard)) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=DEADLINE_S) as client,
    ):
        yield Service(client, guard, keys, revocations, issuer)


def test_a_token_and_an_api_key_get_in(service):
    key, _ = service.keys.create("robot")
    assert service.ask(token=service.token()).json()["subject"] == "alice"
    assert service.ask(token=key.reveal()).json()["subject"] == "robot"


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_without_a_credential_there_is_a_challenge_and_no_more(service, method):
    answer = service.ask(method=method)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.text == ("" if method == "HEAD" else '{"error": "unauthorized"}')


def test_every_bad_credential_gets_the_same_answer(service):
    good = service.token()
    expired = service.issuer.issue_access_token("alice", audience="notes", iat=time.time() - 900, exp=time.time() - 600)
    bad = [good[:-4] + "AAAA", "x.y.z", expired]  # no more than cost nothing
    answers = {
        (each.status_code, each.headers["WWW-Authenticate"], each.content)
        for each in (service.ask(token=each) for each in bad)
    }
    assert answers == {(401, 'Bearer error="invalid_token"', b'{"error": "unauthorized"}')}


def test_a_scope_that_is_missing_is_named(service):
    answer = service.ask("/notes", service.token("profile"))
    assert answer.status_code == 403
    assert answer.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{NOTES}"'
    content = answer.json()  # FastAPI puts an error's under a name of its own
    assert content.get("detail", content) == {"error": "forbidden", "missing_scopes": [NOTES]}
    assert service.ask("/notes", service.token(NOTES, "profile")).json()["subject"] == "alice"


def test_a_guess_too_many_waits_and_a_good_token_does_not(service):
    statuses = [service.ask(token=f"{number:040x}").status_code for number in range(6)]
    assert statuses[:3] == [401] * 3
    assert statuses[-1] == 429
    assert int(service.ask(token="0" * 40).headers["Retry-After"]) >= 1
    assert service.ask(token=service.token()).json()["subject"] == "alice"


def test_what_was_revoked_is_refused_at_once(service):
    token, (key, made) = service.token(), service.keys.create("robot")
    assert [service.ask(token=each).status_code for each in (token, key.reveal())] == [200, 200]
    service.revocations.revoke(token=token)
    service.keys.revoke(made.key_id)
    assert [service.ask(token=each).status_code for each in (token, key.reveal())] == [401, 401]


def test_where_a_credential_is_optional_a_bad_one_is_refused(service):
    assert service.ask("/maybe").json()["subject"] is None
    assert service.ask("/maybe", service.token()).json()["subject"] == "alice"
    assert service.ask("/maybe", "x.y.z").status_code == 401


def test_a_public_path_asks_nobody(service):
    assert service.ask("/open", "x.y.z").json()["subject"] is None


@pytest.mark.parametrize("path", ["/open", "/all"])
def test_no_claim_of_an_identity_reaches_the_application(service, path):
    claims = {"X_Auth_User": "admin", "Remote_User": "admin", "X_Forwarded_Email": "admin", "X_Request_Id": "7"}
    heard = service.ask(path, service.token(), **claims).json()["headers"]
    assert not {"x-auth-user", "remote-user", "x-forwarded-email"} & set(heard)
    assert heard == [] or "x-request-id" in heard


def test_an_outage_of_the_issuer_is_503_and_opens_nothing(service):
    service.issuer.fail("jwks", times=None)
    try:
        answer = service.ask(token=service.token())
    finally:
        service.issuer.behave()
    assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_preflight_request_passes_and_what_only_looks_like_one_does_not(service):
    asks = {"Origin": "https://app.example.org", "Access_Control_Request_Method": "GET"}
    assert service.ask(method="OPTIONS", **asks).status_code not in {401, 403}
    assert service.ask(method="OPTIONS").status_code == 401


def test_many_at_once_are_each_told_who_they_are(service):
    tokens = {name: service.issuer.issue_access_token(name, audience="notes") for name in ("alice", "bob", "carol")}
    with ThreadPoolExecutor(8) as pool:
        names = list(tokens) * 20
        assert list(pool.map(lambda name: service.ask(token=tokens[name]).json()["subject"], names)) == names
