"""The dependency in real FastAPI applications, behind the middleware and without it.

Routes in a function name what is local to it, which FastAPI could not find by postponed annotations.
"""

import subprocess
import sys
from contextlib import closing
from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI, Security, WebSocket

import doorward
from doorward.errors import (
    ConfigurationError,
    Expired,
    Forbidden,
    MissingCredential,
    StoreError,
    Throttled,
)
from doorward.guard import ApiKeys, Guard
from doorward.guard.addresses import Networks
from doorward.integrations.asgi import GuardMiddleware
from doorward.integrations.fastapi import Authenticate
from doorward.model import Principal

READER = Principal("https://id.example.org", "alice", scopes=("read",))


class ScriptedGuard:
    """Lets ``Bearer good`` in; refuses any other with the error it was given."""

    trusted_proxies = Networks()
    keeps_records = True

    def __init__(self, refuses_with=None):
        self.asked = []
        self._refuses_with = refuses_with or Expired("x")

    issuers = ()

    def begin(self, authorization, *, client_ip=None, scopes=(), resource=None, recorded=False):
        self.asked.append((authorization, client_ip, list(scopes), resource))
        if authorization is None:
            raise MissingCredential("x")
        if authorization != "Bearer good":
            raise self._refuses_with
        if missing := tuple(scope for scope in scopes if scope not in READER.scopes):
            raise Forbidden("x", missing_scopes=missing)
        return READER

    def warm_up(self):
        pass


def application(auth):
    app = FastAPI()

    @app.get("/notes")
    def notes(caller: Annotated[Principal, Depends(auth)]) -> str:
        return caller.subject

    @app.get("/read")
    async def read(caller: Annotated[Principal, Security(auth, scopes=["read"])]) -> str:
        return caller.subject

    @app.get("/write", dependencies=[Security(auth, scopes=["write"])])
    async def write() -> str:
        return "written"

    @app.websocket("/live")
    async def live(websocket: WebSocket, caller: Annotated[Principal, Depends(auth)]) -> None:
        await websocket.accept()
        await websocket.send_text(caller.subject)
        await websocket.close()

    return app


async def get(app, path, *credentials, **headers):
    transport = httpx2.ASGITransport(app, client=("192.0.2.7", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.example.org") as client:
        given = [*headers.items(), *(("authorization", credential) for credential in credentials)]
        return await client.get(path, headers=given)


@pytest.fixture
def guard():
    return ScriptedGuard()


@pytest.mark.parametrize("path", ["/notes", "/read"])
async def test_a_good_credential_gives_the_principal(guard, path):
    answer = await get(application(Authenticate(guard)), path, "Bearer good")
    assert (answer.status_code, answer.json()) == (200, "alice")
    assert guard.asked[0][:2] == ("Bearer good", "192.0.2.7")
    assert guard.asked[0][3] == f"GET {path}"


async def test_every_401_has_one_body(guard):
    app = application(Authenticate(guard, realm="notes"))
    none, bad = await get(app, "/notes"), await get(app, "/notes", "Bearer bad")
    two = await get(app, "/notes", "Bearer good", "Bearer good")
    assert [answer.status_code for answer in (none, bad, two)] == [401, 401, 401]
    assert none.content == bad.content == two.content == b'{"detail":{"error":"unauthorized"}}'
    assert none.headers["www-authenticate"] == 'Bearer realm="notes"'
    assert bad.headers["www-authenticate"] == 'Bearer realm="notes", error="invalid_token"'
    assert bad.headers["cache-control"] == "no-store"


async def test_missing_scopes_are_named(guard):
    answer = await get(application(Authenticate(guard)), "/write", "Bearer good")
    assert answer.status_code == 403
    assert answer.json() == {"detail": {"error": "forbidden", "missing_scopes": ["write"]}}
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="write"'


async def test_scopes_of_the_dependency_are_asked_on_every_route(guard):
    app = application(Authenticate(guard, scopes=["admin"]))
    assert (await get(app, "/notes", "Bearer good")).json()["detail"]["missing_scopes"] == ["admin"]
    assert (await get(app, "/write", "Bearer good")).json()["detail"]["missing_scopes"] == ["admin", "write"]


@pytest.mark.parametrize(
    ("error", "status", "wait"), [(Throttled("x", retry_after_s=9.1), 429, "10"), (StoreError("x"), 503, "5")]
)
async def test_other_refusals(error, status, wait):
    answer = await get(application(Authenticate(ScriptedGuard(error))), "/notes", "Bearer bad")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, wait)


async def test_a_mistake_in_the_guard_is_no_way_in():
    with pytest.raises(RuntimeError):
        await get(application(Authenticate(ScriptedGuard(RuntimeError("a bug")))), "/notes", "Bearer bad")


async def test_behind_the_middleware_nothing_is_asked_twice(guard):
    app = GuardMiddleware(application(Authenticate(guard, scopes=["read"])), guard, scopes=["read"])
    assert (await get(app, "/read", "Bearer good")).status_code == 200
    assert len(guard.asked) == 1


async def test_scopes_that_the_middleware_did_not_ask_for_are_the_guards_to_judge(guard):
    app = GuardMiddleware(application(Authenticate(guard)), guard)
    assert (await get(app, "/read", "Bearer good")).status_code == 200
    assert [scopes for _, _, scopes, _ in guard.asked] == [[], ["read"]], "to hold a scope may not be enough"
    assert (await get(app, "/write", "Bearer good")).status_code == 403
    assert guard.asked[-1][2] == ["write"], "the guard refuses, and so records it"


async def test_a_credential_that_the_middleware_took_away_counts_for_the_dependency_too(guard):
    app = GuardMiddleware(application(Authenticate(guard)), guard, credentials=["header:x-goog-iap-jwt-assertion"])
    assert (await get(app, "/read", **{"x-goog-iap-jwt-assertion": "good"})).json() == "alice"
    assert [asked[0] for asked in guard.asked] == ["Bearer good", "Bearer good"]
    other = GuardMiddleware(application(Authenticate(ScriptedGuard())), guard, credentials=["header:x-api-key"])
    assert (await get(other, "/read", **{"x-api-key": "good"})).status_code == 401, "of another guard"


async def test_behind_the_middleware_nobody_else_can_come_in_by_another_place(guard):
    """Else a request would have two callers, and the audit know of one."""
    app = GuardMiddleware(application(Authenticate(guard, credentials=["header:x-api-key"])), guard)
    assert (await get(app, "/read", "Bearer good", **{"x-api-key": "bad"})).json() == "alice"
    assert [asked[0] for asked in guard.asked] == ["Bearer good", "Bearer good"]


async def test_on_a_public_path_of_the_middleware_the_dependency_still_asks(guard):
    app = GuardMiddleware(application(Authenticate(guard)), guard, public_paths=["/notes"])
    assert (await get(app, "/notes")).status_code == 401
    assert (await get(app, "/notes", "Bearer good")).status_code == 200


async def test_whom_another_guard_let_in_is_not_let_in_here(guard):
    stricter = ScriptedGuard()
    app = GuardMiddleware(application(Authenticate(stricter)), guard)
    assert (await get(app, "/notes", "Bearer good")).status_code == 200
    assert len(stricter.asked) == 1


async def test_the_clients_address_comes_from_trusted_proxies_alone(guard):
    for trusted in ([], ["192.0.2.7"]):
        app = application(Authenticate(guard, trusted_proxies=trusted))
        await get(app, "/notes", "Bearer good", **{"x-forwarded-for": "203.0.113.9"})
    assert [address for _, address, _, _ in guard.asked] == ["192.0.2.7", "203.0.113.9"]


async def talk(app, credential, **more):
    scope = {
        "type": "websocket", "path": "/live", "raw_path": b"/live", "query_string": b"", "root_path": "",
        "client": None, "headers": [(b"authorization", credential)], "subprotocols": [], **more,
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_a_websocket_is_guarded_too(guard):
    app = application(Authenticate(guard))
    accepted = await talk(app, b"Bearer good")
    assert [message["type"] for message in accepted] == ["websocket.accept", "websocket.send", "websocket.close"]
    (closed,) = await talk(app, b"Bearer bad")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    answered = await talk(app, b"Bearer bad", extensions={"websocket.http.response": {}})
    assert answered[0]["status"] == 401


def test_the_openapi_document_says_what_routes_need(guard):
    document = application(Authenticate(guard)).openapi()
    assert document["components"]["securitySchemes"] == {"doorward": {"type": "http", "scheme": "bearer"}}
    assert document["paths"]["/notes"]["get"]["security"] == [{"doorward": []}]
    assert document["paths"]["/write"]["get"]["security"] == [{"doorward": ["write"]}]


@pytest.mark.parametrize("issuer", ["https://id.example.org/realm", "https://id.example.org/realm/"])
def test_the_openapi_document_can_name_the_issuer(guard, issuer):
    document = application(Authenticate(guard, openid_issuer=issuer, scheme_name="work")).openapi()
    assert document["components"]["securitySchemes"] == {
        "work": {
            "type": "openIdConnect",
            "openIdConnectUrl": "https://id.example.org/realm/.well-known/openid-configuration",
        }
    }


def test_two_guards_in_one_application_keep_their_schemes(guard):
    people = Authenticate(guard, authorization_url="https://id.example.org/a", token_url="https://id.example.org/t")
    programs = Authenticate(ScriptedGuard(), credentials=["header:x-api-key"])
    app = application(people)

    @app.get("/jobs")
    def jobs(caller: Annotated[Principal, Depends(programs)]) -> str:
        return caller.subject

    document = app.openapi()
    assert document["components"]["securitySchemes"] == {
        "doorward-id.example.org": {
            "type": "oauth2",
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": "https://id.example.org/a",
                    "tokenUrl": "https://id.example.org/t",
                    "scopes": {},
                }
            },
        },
        "doorward-x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    assert document["paths"]["/jobs"]["get"]["security"] == [{"doorward-x-api-key": []}]


async def test_a_credential_may_be_optional_and_a_bad_one_is_refused(guard):
    app, auth = FastAPI(), Authenticate(guard, optional=True)

    @app.get("/")
    def page(caller: Annotated[Principal | None, Depends(auth)]) -> str:
        return caller.subject if caller else "nobody"

    assert (await get(app, "/")).json() == "nobody"
    assert (await get(app, "/", "Bearer good")).json() == "alice"
    assert (await get(app, "/", "Bearer bad")).status_code == 401


async def test_a_request_that_passes_middleware_and_dependency_is_recorded_once():
    decisions = []

    class Audit:
        def record(self, decision):
            decisions.append((decision.outcome, decision.resource))

    keys = ApiKeys.memory()
    secret, _ = keys.create("n", scopes=["read"])
    with closing(Guard([], keys, audit=Audit())) as guard:
        app = GuardMiddleware(application(Authenticate(guard)), guard)
        for path, status in (("/notes", 200), ("/read", 200), ("/read", 200), ("/write", 403)):
            assert (await get(app, path, f"Bearer {secret.reveal()}")).status_code == status
    assert decisions == [
        ("accepted", "GET /notes"),
        ("accepted", "GET /read"),
        ("accepted", "GET /read"),
        ("accepted", "GET /write"),
        ("forbidden", "GET /write"),
    ]


@pytest.mark.parametrize(
    "settings", [{"scopes": "read"}, {"authorization_url": "https://x"}, {"credentials": "authorization"}]
)
def test_a_wrong_setting_stops_the_start(guard, settings):
    with pytest.raises(ConfigurationError):
        Authenticate(guard, **settings)


def test_its_name_loads_when_it_is_used():
    assert doorward.integrations.fastapi.Authenticate is Authenticate


def test_without_fastapi_it_says_what_to_install():
    code = "import sys; sys.modules['fastapi'] = None; import doorward; doorward.integrations.fastapi"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'doorward[fastapi]'" in done.stderr.splitlines()[-1]
