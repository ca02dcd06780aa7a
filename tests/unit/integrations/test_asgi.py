"""The middleware, called as a server calls it. Real servers and hostile bytes are in peers/test_header_smuggling.py."""

from __future__ import annotations

import asyncio
import json
import types
import urllib.parse

import httpx2
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import doorward
from doorward.errors import (
    ConfigurationError,
    Expired,
    Forbidden,
    MissingCredential,
    ProviderUnavailable,
    Throttled,
)
from doorward.guard.addresses import Networks
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.audit.chain import Decision, describe
from doorward.guard.audit.log import AuditLog
from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.integrations.asgi import GuardMiddleware
from doorward.integrations.gate.protected_resource import ProtectedResource
from doorward.model import Principal
from doorward.protocol.jwk import generate_signing_key

KEY = generate_signing_key("ES256")
ALICE = Principal("https://id.example.org", "alice", scopes=("read",))


class ScriptedGuard:
    """Lets ``Bearer good`` in; refuses any other with the error it was given."""

    trusted_proxies = Networks()
    keeps_records = True

    def __init__(self, refuses_with=None):
        self.asked = []
        self.warmed_up = 0
        self._refuses_with = refuses_with or Expired("x")

    issuers = ("https://id.example.org",)

    def begin(self, authorization, *, client_ip=None, scopes=(), resource=None, recorded=False):
        self.asked.append((authorization, client_ip, tuple(scopes), resource))
        self.recorded = recorded
        if authorization is None:
            raise MissingCredential("x")
        if authorization != "Bearer good":
            raise self._refuses_with
        if missing := tuple(scope for scope in scopes if scope not in ALICE.scopes):
            raise Forbidden("x", missing_scopes=missing)
        return ALICE

    def record_refusal(self, error, *, client_ip=None, resource=None):
        self.asked.append((error.reason, client_ip, (), resource))

    def warm_up(self):
        self.warmed_up += 1


class App:
    """Remembers the scopes it was called with."""

    def __init__(self):
        self.scopes = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"in"})


async def never(*_):
    raise AssertionError("a refused request's body is not read")


def http_scope(path="/notes", *, headers=(), method="GET", **more):
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers], "client": ("192.0.2.7", 1234),
        **more,
    }  # fmt: skip


def websocket_scope(**more):
    scope = {**http_scope("/live"), "type": "websocket", **more}
    del scope["method"]
    return scope


async def ask(guarded, scope):
    sent = []

    async def send(message):
        sent.append(message)

    await guarded(scope, never, send)
    return sent


def headers_of(sent):
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.fixture
def guard():
    return ScriptedGuard()


@pytest.fixture
def app():
    return App()


BEARER = ("authorization", "Bearer good")


async def test_a_good_credential_gets_in_and_the_application_knows_who(guard, app):
    scope = http_scope(headers=[BEARER, ("accept", "*/*")])
    sent = await ask(GuardMiddleware(app, guard), scope)
    assert sent[0]["status"] == 200
    (seen,) = app.scopes
    assert seen["doorward.principal"] is ALICE
    assert seen["headers"] == scope["headers"], "the credential stays: some applications pass it on"
    assert guard.asked == [("Bearer good", "192.0.2.7", (), "GET /notes")]


async def test_the_callers_scope_stays_as_it_was(guard, app):
    scope = http_scope(headers=[BEARER, ("x-auth-user", "admin")])
    before = {**scope, "headers": list(scope["headers"])}
    await ask(GuardMiddleware(app, guard), scope)
    assert scope == before


async def test_headers_may_come_as_any_iterable_of_pairs(guard, app):
    scope = http_scope(headers=[])
    scope["headers"] = (pair for pair in ([b"authorization", b"Bearer good"], [b"x_user", b"admin"], [b"host", b"x"]))
    sent = await ask(GuardMiddleware(app, guard), scope)
    assert sent[0]["status"] == 200
    assert app.scopes[0]["headers"] == [[b"authorization", b"Bearer good"], [b"host", b"x"]]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer bad")],
        [("authorization", "")],
        [BEARER, BEARER],
        [BEARER, ("authorization", "")],
        [("x-auth-user", "alice")],
        [("proxy-authorization", "Bearer good")],
        [("authorization ", "Bearer good")],
    ],
)
async def test_anything_else_is_401_and_the_application_is_not_called(guard, app, headers):
    sent = await ask(GuardMiddleware(app, guard), http_scope(headers=headers))
    assert app.scopes == []
    assert sent[0]["status"] == 401
    assert json.loads(sent[1]["body"]) == {"error": "unauthorized"}
    found = headers_of(sent)
    assert found["www-authenticate"].startswith("Bearer")
    assert found["cache-control"] == "no-store"
    assert found["content-type"] == "application/json"
    assert int(found["content-length"]) == len(sent[1]["body"])


async def test_several_authorization_headers_are_refused_by_the_guard_which_records_it(guard, app):
    await ask(GuardMiddleware(app, guard), http_scope(headers=[BEARER, BEARER]))
    assert guard.asked[0][0] == "Bearer good, Bearer good"


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (Throttled("x", retry_after_s=2.5), 429, ("retry-after", "3")),
        (ProviderUnavailable("x"), 503, ("retry-after", "5")),
        (
            Forbidden("x", missing_scopes=("w",)),
            403,
            ("www-authenticate", 'Bearer error="insufficient_scope", scope="w"'),
        ),
    ],
)
async def test_other_refusals_have_a_status_of_their_own(app, error, status, header):
    guarded = GuardMiddleware(app, ScriptedGuard(error))
    sent = await ask(guarded, http_scope(headers=[("authorization", "Bearer bad")]))
    assert app.scopes == []
    assert sent[0]["status"] == status
    assert header in headers_of(sent).items()


async def test_scopes_are_asked_of_everybody(guard, app):
    sent = await ask(GuardMiddleware(app, guard, scopes=["write"]), http_scope(headers=[BEARER]))
    assert sent[0]["status"] == 403
    assert json.loads(sent[1]["body"])["missing_scopes"] == ["write"]
    assert app.scopes == []


async def test_a_mistake_in_the_guard_is_no_way_in(app):
    guarded = GuardMiddleware(app, ScriptedGuard(RuntimeError("a bug")))
    with pytest.raises(RuntimeError):
        await ask(guarded, http_scope(headers=[("authorization", "Bearer bad")]))
    assert app.scopes == []


async def test_a_refusal_raised_by_the_application_is_the_applications(guard):
    async def app(scope, receive, send):
        raise Expired("of some other token")

    with pytest.raises(Expired):
        await ask(GuardMiddleware(app, guard), http_scope(headers=[BEARER]))


async def test_the_answer_to_head_has_no_body(guard, app):
    sent = await ask(GuardMiddleware(app, guard), http_scope(method="HEAD"))
    assert (sent[0]["status"], sent[1]["body"]) == (401, b"")


PREFLIGHT = [("origin", "https://app.example.org"), ("access-control-request-method", "GET")]


async def test_a_preflight_request_passes_and_brings_nobody_and_nothing(guard):
    seen = []

    async def takes_all(scope, receive, send):
        seen.append((scope["doorward.principal"], dict(scope["headers"]), await receive()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    claims = [("x-auth-user", "admin"), ("x-http-method-override", "DELETE"), ("x_method_override", "DELETE")]
    guarded = GuardMiddleware(takes_all, guard)
    sent = await ask(guarded, http_scope(method="OPTIONS", headers=[*PREFLIGHT, ("content-length", "0"), *claims]))
    assert sent[0]["status"] == 200
    ((principal, headers, message),) = seen
    assert principal is None
    assert sorted(headers) == [b"access-control-request-method", b"content-length", b"origin"]
    assert message == {"type": "http.request", "body": b"", "more_body": False}
    assert guard.asked == []


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("OPTIONS", PREFLIGHT[:1]),
        ("OPTIONS", PREFLIGHT[1:]),
        ("OPTIONS", []),
        ("GET", PREFLIGHT),
        ("POST", PREFLIGHT),
        ("options", PREFLIGHT),
        ("OPTIONS", [*PREFLIGHT, ("content-length", "8")]),
        ("OPTIONS", [*PREFLIGHT, ("transfer-encoding", "chunked")]),
        ("OPTIONS", [*PREFLIGHT, ("content-type", "application/json")]),
        ("OPTIONS", [*PREFLIGHT, ("cookie", "session=x")]),
        ("OPTIONS", [*PREFLIGHT, ("authorization", "Bearer bad")]),
    ],
)
async def test_what_is_no_preflight_request_needs_a_credential(guard, app, method, headers):
    sent = await ask(GuardMiddleware(app, guard), http_scope(method=method, headers=headers))
    assert (sent[0]["status"], app.scopes) == (401, [])


async def test_an_optional_path_knows_who_says_so_and_refuses_a_bad_credential(guard, app):
    guarded = GuardMiddleware(app, guard, optional_paths=["/", "/open/*"])
    for path, headers, status, principal in [
        ("/", [], 200, None),
        ("/open/x", [BEARER], 200, ALICE),
        ("/open/x", [("authorization", "Bearer bad")], 401, None),
        ("/notes", [], 401, None),
    ]:
        app.scopes.clear()
        sent = await ask(guarded, http_scope(path, headers=headers))
        assert sent[0]["status"] == status
        assert [seen["doorward.principal"] for seen in app.scopes] == ([principal] if status == 200 else [])


async def test_only_named_headers_reach_the_application(guard, app):
    guarded = GuardMiddleware(app, guard, only_headers=["x-page", "x-auth-user"])
    given = [("host", "x"), ("content-type", "text/plain"), ("x-page", "2"), ("x-own-idea", "y"), ("x-auth-user", "z")]
    await ask(guarded, http_scope(headers=[*given, BEARER]))
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"content-type", b"x-page", b"authorization"]


# What a client that was refused can learn


async def test_the_document_of_the_resource_is_served_to_everybody(guard, app):
    resource = ProtectedResource("https://api.example.org/v1/", scopes_supported=["read"], name="Notes")
    guarded = GuardMiddleware(app, guard, resource=resource)
    refused = await ask(guarded, http_scope())
    where = "https://api.example.org/.well-known/oauth-protected-resource/v1"
    assert headers_of(refused)["www-authenticate"] == f'Bearer resource_metadata="{where}"'
    sent = await ask(guarded, http_scope("/.well-known/oauth-protected-resource/v1"))
    assert json.loads(sent[1]["body"]) == {
        "resource": "https://api.example.org/v1/",
        "authorization_servers": ["https://id.example.org"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["read"],
        "resource_name": "Notes",
    }
    assert headers_of(sent)["content-type"] == "application/json"
    assert guard.asked[1:] == []
    for scope in (
        http_scope("/.well-known/oauth-protected-resource/v1", method="POST"),
        http_scope("/.well-known/oauth-protected-resource"),
        websocket_scope(path="/.well-known/oauth-protected-resource/v1"),
    ):
        sent = await ask(guarded, scope)
        assert sent[0].get("status", 401) == 401
    assert app.scopes == []


async def test_metadata_at_a_place_of_the_application_is_served_unless_it_does_so_itself(guard, app):
    place = "https://api.example.org/.well-known/oauth-protected-resource"
    path = "/.well-known/oauth-protected-resource"
    sent = await ask(GuardMiddleware(app, guard, resource_metadata=place), http_scope(path))
    assert json.loads(sent[1]["body"])["resource"] == "https://api.example.org"
    sent = await ask(GuardMiddleware(app, guard, resource_metadata=place, public_paths=[path]), http_scope(path))
    assert sent[1]["body"] == b"in"
    for other in ("/metadata", "/.well-known/oauth-protected-resource-v2", f"{path}.evil.example"):
        elsewhere = GuardMiddleware(app, guard, resource_metadata=f"https://api.example.org{other}")
        assert (await ask(elsewhere, http_scope(path)))[0]["status"] == 401
        assert (await ask(elsewhere, http_scope(other)))[0]["status"] == 401


async def test_headers_that_claim_an_identity_are_stripped_where_a_credential_is_needed_and_where_not(guard, app):
    claims = [(name, "admin") for name in ("x-auth-user", "x_auth_user", "x.auth.user", "remote-user", "x-tenant")]
    guarded = GuardMiddleware(app, guard, public_paths=["/health"], identity_headers=["x-tenant"])
    await ask(guarded, http_scope(headers=[*claims, BEARER]))
    await ask(guarded, http_scope("/health", headers=[*claims, ("host", "x")]))
    assert [seen["headers"] for seen in app.scopes] == [[(b"authorization", b"Bearer good")], [(b"host", b"x")]]


async def test_on_a_public_path_nobody_is_asked_and_nobody_is_known(guard, app):
    guarded = GuardMiddleware(app, guard, public_paths=["/health"])
    for headers in ([], [BEARER], [("authorization", "Bearer bad")]):
        await ask(guarded, http_scope("/health", headers=headers, **{"doorward.principal": "planted"}))
    assert [seen["doorward.principal"] for seen in app.scopes] == [None, None, None]
    assert guard.asked == []


async def test_a_path_sent_otherwise_than_it_reads_is_not_public(guard, app):
    guarded = GuardMiddleware(app, guard, public_paths=["/health"])
    sent = await ask(guarded, http_scope("/health", raw_path=b"/admin/%2e%2e/health"))
    assert (sent[0]["status"], app.scopes) == (401, [])


async def test_a_mounted_middleware_matches_the_whole_path(guard, app):
    guarded = GuardMiddleware(app, guard, public_paths=["/v1/health"])
    assert (await ask(guarded, http_scope("/v1/health", root_path="/v1")))[0]["status"] == 200
    assert (await ask(guarded, http_scope("/health", root_path="/v1")))[0]["status"] == 401


async def test_starlette_can_mount_it_and_cors_can_stand_outside(guard):
    async def who(request):
        return PlainTextResponse(str(request.scope["doorward.principal"] and "somebody"))

    notes = Starlette(routes=[Route("/health", who), Route("/notes", who)])
    guarded = GuardMiddleware(notes, guard, public_paths=["/v1/health"])
    cors = Middleware(CORSMiddleware, allow_origins=["https://app.example.org"])
    app = Starlette(routes=[Mount("/v1", app=guarded)], middleware=[cors])
    preflight = {"origin": "https://app.example.org", "access-control-request-method": "GET"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api.example.org") as client:
        assert (await client.get("/v1/health")).text == "None"
        assert (await client.get("/v1/notes")).status_code == 401
        assert (await client.get("/v1/notes", headers=[BEARER])).text == "somebody"
        assert (await client.options("/v1/notes", headers=preflight)).status_code == 200


async def test_the_clients_address_comes_from_trusted_proxies_alone(guard, app):
    headers = [("authorization", "Bearer bad"), ("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.4")]
    none = GuardMiddleware(app, guard)
    one = GuardMiddleware(app, guard, trusted_proxies=["192.0.2.0/24"])
    socket_file = GuardMiddleware(app, guard, trusted_proxies=["unix"])
    for guarded, client in ((none, ("192.0.2.7", 1)), (one, ("192.0.2.7", 1)), (none, None), (socket_file, ("", 0))):
        await ask(guarded, http_scope(headers=headers, client=client))
    assert [address for _, address, _, _ in guard.asked] == ["192.0.2.7", "198.51.100.4", None, "198.51.100.4"]


async def test_what_the_log_hears_of_the_request_is_printable_and_short(app):
    heard = []
    guard = Guard(
        [Issuer("https://id.example.org", ["api"], jwks={"keys": [KEY.public_jwk()]})],
        audit=types.SimpleNamespace(record=heard.append),
    )
    await ask(GuardMiddleware(app, guard), http_scope("/a\x1b[2J\n" + "b" * 5000, query_string=b"secret=1"))
    resource = heard[0].resource
    assert resource.startswith(r"GET /a\u001b[2J\u000abbb")
    assert resource.isprintable()
    assert len(resource) <= 300
    assert "secret" not in resource
    assert describe(heard[0])["resource"] == resource  # and nothing is escaped twice


PATHS = {
    b"/notes": "/notes",
    b"/notes%3F/../admin": "/notes%3F/../admin",
    b"/notes%253F/../admin": "/notes%253F/../admin",
    b"/n%6Ftes%20b": "/notes b",
    b"/caf%C3%A9": "/café",
    b"/%FF": "/%FF",
    b"/%FE": "/%FE",
    b"/%25FF": "/%25FF",
    b"/%EF%BF%BD": "/%EF%BF%BD",
    b"/a%0Ab": "/a\nb",
    b"/a%5Cu000ab": "/a\\u000ab",
}


async def test_no_two_paths_are_told_alike(guard, app):
    for sent in PATHS:
        path = urllib.parse.unquote(sent.decode("ascii"))  # as uvicorn does it
        await ask(GuardMiddleware(app, guard), http_scope(path, raw_path=sent))
    told = [resource for _, _, _, resource in guard.asked]
    assert told == [f"GET {path}" for path in PATHS.values()]
    lines = [describe(Decision(at=0, outcome="refused", resource=resource))["resource"] for resource in told]
    assert len(set(lines)) == len(PATHS)


async def test_a_websocket_is_refused_before_it_opens(guard, app):
    guarded = GuardMiddleware(app, guard)
    offered = await ask(guarded, websocket_scope(extensions={"websocket.http.response": {}}))
    assert [message["type"] for message in offered] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert offered[0]["status"] == 401
    for extensions in ({}, {"extensions": None}, {"extensions": {}}):
        (closed,) = await ask(guarded, websocket_scope(**extensions))
        assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert app.scopes == []
    assert guard.asked[0][3] == "WEBSOCKET /live"


async def test_a_websocket_with_a_good_credential_opens(guard, app):
    await ask(GuardMiddleware(app, guard), websocket_scope(headers=[(b"authorization", b"Bearer good")]))
    assert app.scopes[0]["doorward.principal"] is ALICE


async def test_a_cookie_from_another_sites_page_is_refused_and_recorded(guard, app):
    guarded = GuardMiddleware(app, guard, credentials=["cookie:session"])
    given = [("cookie", "session=good"), ("sec-fetch-site", "cross-site")]
    sent = await ask(guarded, http_scope(method="POST", headers=given))
    assert (sent[0]["status"], app.scopes) == (403, [])
    assert guard.asked == [("cross_site_request", "192.0.2.7", (), "POST /notes")]
    assert (await ask(guarded, http_scope(headers=given)))[0]["status"] == 200


class Live:
    """An open WebSocket: the messages that come, and those that were sent."""

    def __init__(self, *texts):
        self.comes = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in texts)]
        self.sent = []

    async def receive(self):
        return self.comes.pop(0) if self.comes else {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message):
        self.sent.append(message)


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


OPENS = websocket_scope(headers=[(b"authorization", b"Bearer good")])


class OnceGuard(ScriptedGuard):
    """Lets in once somebody whose token has ended already, as a leeway does; then refuses."""

    def begin(self, authorization, **asked):
        super().begin(authorization, **asked)
        if len(self.asked) > 1:
            raise Expired("x")
        return msgspec.structs.replace(ALICE, expires_at=1.0)


@pytest.mark.parametrize(("recheck_s", "sent"), [(3600, ["accept", "close"]), (None, ["accept", "send"])])
async def test_a_websocket_is_judged_again_unless_nobody_wants_that(recheck_s, sent):
    guard, live = OnceGuard(), Live("a")

    async def a_second_later():
        await asyncio.sleep(1.1 if live.sent else 0)
        return await live.receive()

    await GuardMiddleware(echo, guard, recheck_s=recheck_s)(OPENS, a_second_later, live.send)
    assert [message["type"].partition(".")[2] for message in live.sent] == sent
    assert guard.recorded == (recheck_s is not None), "what was let in is in the audit already"


async def test_a_websocket_that_only_sends_is_stopped_without_an_error():
    async def ticker(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(1.1)
        while True:
            await send({"type": "websocket.send", "text": "tick"})

    live = Live()
    await GuardMiddleware(ticker, OnceGuard())(OPENS, live.receive, live.send)
    assert [message["type"] for message in live.sent] == ["websocket.accept", "websocket.close"]


async def test_a_mistake_of_the_application_stays_one():
    async def broken(scope, receive, send):
        raise ZeroDivisionError

    live = Live()
    with pytest.raises(ZeroDivisionError):
        await GuardMiddleware(broken, ScriptedGuard())(OPENS, live.receive, live.send)


async def test_a_token_among_the_subprotocols_opens_and_is_not_shown_to_the_application(guard, app):
    live = Live()
    offered = ["chat", "bearer", "good"]
    header = (b"sec-websocket-protocol", b"chat, bearer, good")

    async def accepting(scope, receive, send):
        await app(scope, receive, send)
        await send({"type": "websocket.accept"})

    guarded = GuardMiddleware(accepting, guard, credentials=["websocket-protocol"])
    await guarded(websocket_scope(subprotocols=offered, headers=[header]), live.receive, live.send)
    (seen,) = app.scopes
    assert seen["doorward.principal"] is ALICE
    assert (seen["subprotocols"], seen["headers"]) == (["chat"], [(b"sec-websocket-protocol", b"chat")])
    assert "good" not in repr(seen)
    assert live.sent == [{"type": "websocket.accept", "subprotocol": "bearer"}]


async def test_a_guard_within_another_does_not_take_the_credential_of_the_other(guard, app):
    inner = ScriptedGuard()
    guarded = GuardMiddleware(GuardMiddleware(app, inner), guard, credentials=["header:x-api-key"])
    sent = await ask(guarded, http_scope(headers=[("x-api-key", "good")]))
    assert (sent[0]["status"], inner.asked[0][0]) == (401, None)


async def test_when_the_server_starts_keys_are_fetched_and_the_application_starts_too(guard, app):
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    await ask(GuardMiddleware(app, guard), scope)
    assert guard.warmed_up == 1
    assert app.scopes == [scope]


async def test_a_guard_that_cannot_work_stops_the_server(app, tmp_path):
    guard = Guard(api_keys=ApiKeys.memory(), audit=AuditLog(tmp_path / "no" / "audit.log"))
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    await GuardMiddleware(app, guard)({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    (told,) = sent
    assert told["type"] == "lifespan.startup.failed", "after an exception servers go on without a lifespan"
    assert "Make its folder" in told["message"]
    assert app.scopes == []


@pytest.mark.parametrize("kind", ["webtransport", "HTTP", "", "http\n"])
async def test_an_unknown_kind_of_scope_is_refused(guard, app, kind):
    with pytest.raises(ConfigurationError) as refused:
        await ask(GuardMiddleware(app, guard), {**http_scope(), "type": kind})
    assert refused.value.reason == "unknown_scope_type"
    assert app.scopes == []


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"public_paths": "/health"}, "public_paths"),
        ({"trusted_proxies": ["everybody"]}, "trusted_proxies[0]"),
        ({"realm": '"'}, "realm"),
        ({"resource_metadata": "https://x\n"}, "resource_metadata"),
        ({"scopes": ['"']}, "scope"),
        ({"scopes": "read"}, "scopes"),
        ({"identity_headers": [" "]}, "identity_headers"),
    ],
)
def test_a_wrong_setting_stops_the_start(guard, app, setting, field):
    with pytest.raises(ConfigurationError) as refused:
        GuardMiddleware(app, guard, **setting)
    assert refused.value.field == field


def test_its_name_loads_when_it_is_used():
    assert doorward.integrations.asgi.GuardMiddleware is GuardMiddleware
