"""The middleware for WSGI, called as a server calls it. Real servers are in contracts/test_services.py and peers/."""

from __future__ import annotations

import io

import pytest

from doorward.errors import ConfigurationError, MissingCredential
from doorward.guard.addresses import Networks
from doorward.integrations.wsgi import GuardMiddleware, ProtectedResource
from doorward.model import Principal

ALICE = Principal("https://id.example.org", "alice", scopes=("read",))
BEARER = {"HTTP_AUTHORIZATION": "Bearer good"}


class ScriptedGuard:
    """Lets anybody in who brings something."""

    trusted_proxies = Networks()
    keeps_records = True
    issuers = ("https://id.example.org",)

    def __init__(self):
        self.asked = []

    def begin(self, authorization, *, client_ip=None, scopes=(), resource=None, recorded=False):
        self.asked.append((authorization, client_ip, tuple(scopes), resource))
        if authorization is None:
            raise MissingCredential("x")
        return ALICE

    def record_refusal(self, error, *, client_ip=None, resource=None):
        self.asked.append((error.reason, client_ip, (), resource))


class App:
    def __init__(self):
        self.environs = []

    def __call__(self, environ, start_response):
        self.environs.append(environ)
        start_response("200 OK", [])
        return [b"in"]


def environ(path="/notes", *, method="GET", **more):
    return {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.7",
        "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(), "HTTP_HOST": "api.example.org", **more,
    }  # fmt: skip


def ask(guarded, request):
    started = []
    body = guarded(request, lambda status, headers: started.append((status, dict(headers))))
    return *started[0], b"".join(body)


@pytest.fixture
def guard():
    return ScriptedGuard()


@pytest.fixture
def app():
    return App()


def test_the_servers_environment_stays_as_it_was(guard, app):
    request = environ(**BEARER, HTTP_X_AUTH_USER="admin")
    before = dict(request)
    assert ask(GuardMiddleware(app, guard), request) == ("200 OK", {}, b"in")
    assert request == before
    (inner,) = app.environs
    assert inner["doorward.principal"] is ALICE
    assert "HTTP_X_AUTH_USER" not in inner
    assert {name for name in inner if not name.startswith("doorward.")} == before.keys() - {"HTTP_X_AUTH_USER"}


def test_the_answer_to_head_has_no_body(guard, app):
    status, headers, body = ask(GuardMiddleware(app, guard, realm="notes"), environ(method="HEAD"))
    assert (status, body) == ("401 Unauthorized", b"")
    assert headers["Content-Length"] == "25"
    assert headers["WWW-Authenticate"] == 'Bearer realm="notes"'


@pytest.mark.parametrize(
    ("request_path", "seen"),
    [
        ({"PATH_INFO": "/health"}, True),
        ({"SCRIPT_NAME": "/health", "PATH_INFO": ""}, True),
        ({"SCRIPT_NAME": "/v1", "PATH_INFO": "/health"}, False),
        ({"SCRIPT_NAME": "/heal", "PATH_INFO": "th", "HTTP_SCRIPT_NAME": "/heal"}, False),
        ({"SCRIPT_NAME": "/health", "PATH_INFO": "", "HTTP_SCRIPT_NAME": "/x,/health"}, False),
        ({"SCRIPT_NAME": "/health", "PATH_INFO": "", "HTTP_X_FORWARDED_PREFIX": "/health"}, False),
        ({"SCRIPT_NAME": "/health", "PATH_INFO": "", "HTTP_X_SCRIPT_NAME": "/heal"}, False),
        ({"SCRIPT_NAME": "/health", "PATH_INFO": "", "HTTP_X_FORWARDED_PREFIX": "/v1, "}, True),
        ({"PATH_INFO": "/health", "HTTP_SCRIPT_NAME": "/v1"}, True),
        ({"PATH_INFO": "/health", "RAW_URI": "/health?x=%2e"}, True),
        ({"PATH_INFO": "/health", "RAW_URI": "/%68ealth"}, False),
        ({"PATH_INFO": "/health", "REQUEST_URI": "/x/../health"}, False),
        ({"PATH_INFO": "/health", "REQUEST_URI": "http://api.example.org/health?x"}, True),
        ({"PATH_INFO": "/health", "REQUEST_URI": "http://api.example.org/%68ealth"}, False),
        ({"PATH_INFO": "/health", "REQUEST_URI": "health"}, False),
        ({"PATH_INFO": "/health\xc3\xa4"}, False),
    ],
)
def test_a_public_path_is_the_whole_path_as_it_was_sent(guard, app, request_path, seen):
    ask(GuardMiddleware(app, guard, public_paths=["/health"]), environ(**request_path))
    assert bool(app.environs) == seen
    assert bool(guard.asked) != seen


def test_the_log_hears_of_the_path_as_people_read_it(guard, app):
    ask(GuardMiddleware(app, guard), environ("/caf\xc3\xa9", SCRIPT_NAME="/v1"))
    assert guard.asked == [(None, "192.0.2.7", (), "GET /v1/caf\xe9")]


@pytest.mark.parametrize(
    ("peer", "heard"), [("10.0.0.1", "203.0.113.9"), ("192.0.2.7", "192.0.2.7"), ("", None), ("unix:", "unix:")]
)
def test_the_clients_address_comes_from_trusted_proxies_alone(guard, app, peer, heard):
    guarded = GuardMiddleware(app, guard, trusted_proxies=["10.0.0.0/8"])
    ask(guarded, environ(REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR="198.51.100.1, 203.0.113.9"))
    assert guard.asked[0][1] == heard


def test_a_key_in_a_header_of_its_own(guard, app):
    ask(GuardMiddleware(app, guard, credentials=["header:x-api-key"]), environ(HTTP_X_API_KEY="k"))
    assert guard.asked[0][0] == "Bearer k"
    assert "HTTP_X_API_KEY" in app.environs[0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"HTTP_ORIGIN": "https://evil.example"}, "403 Forbidden"),
        ({"HTTP_ORIGIN": "https://api.example.org"}, "200 OK"),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, "403 Forbidden"),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, "200 OK"),
        ({}, "403 Forbidden"),
    ],
)
def test_a_cookie_opens_to_pages_of_its_own_origin_alone(guard, app, headers, status):
    guarded = GuardMiddleware(app, guard, credentials=["cookie:session"])
    assert ask(guarded, environ(method="POST", HTTP_COOKIE="session=good", **headers))[0] == status
    assert ask(guarded, environ(method="GET", HTTP_COOKIE="session=good", **headers))[0] == "200 OK"


def test_a_preflight_request_cannot_be_made_another_one(guard, app):
    asks = {"HTTP_ORIGIN": "https://app.example.org", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT"}
    override = {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE", "HTTP_X_REQUEST_ID": "7"}
    guarded = GuardMiddleware(app, guard)
    assert ask(guarded, environ(method="OPTIONS", CONTENT_LENGTH="", **asks, **override))[0] == "200 OK"
    (inner,) = app.environs
    assert inner["doorward.principal"] is None
    assert "HTTP_X_HTTP_METHOD_OVERRIDE" not in inner
    assert inner["HTTP_X_REQUEST_ID"] == "7"
    for more in ({"CONTENT_LENGTH": "3"}, {"HTTP_TRANSFER_ENCODING": "chunked"}, {"HTTP_COOKIE": "a=b"}):
        assert ask(guarded, environ(method="OPTIONS", **asks, **more))[0] == "401 Unauthorized"
    assert len(app.environs) == 1


def test_the_document_of_the_resource_is_served_to_everybody(guard, app):
    guarded = GuardMiddleware(app, guard, resource=ProtectedResource("https://api.example.org/v1"))
    status, headers, body = ask(guarded, environ("/.well-known/oauth-protected-resource/v1"))
    assert status == "200 OK"
    assert headers["Content-Type"] == "application/json"
    assert b'"authorization_servers": ["https://id.example.org"]' in body
    assert ask(guarded, environ())[1]["WWW-Authenticate"] == (
        'Bearer resource_metadata="https://api.example.org/.well-known/oauth-protected-resource/v1"'
    )


def test_only_named_headers_reach_the_application(guard, app):
    ask(GuardMiddleware(app, guard, only_headers=["x-tenant"]), environ(HTTP_X_TENANT="a", HTTP_X_OTHER="b", **BEARER))
    assert {"HTTP_X_TENANT", "HTTP_HOST", "HTTP_AUTHORIZATION"} <= app.environs[0].keys()
    assert "HTTP_X_OTHER" not in app.environs[0]


def test_a_wrong_setting_stops_the_start(guard, app):
    with pytest.raises(ConfigurationError) as wrong:
        GuardMiddleware(app, guard, public_paths="/health")
    assert wrong.value.field == "public_paths"
