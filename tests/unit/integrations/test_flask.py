"""The decorator in real Flask applications, behind the middleware and without it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from flask import Blueprint, Flask

from doorward.errors import ConfigurationError, Forbidden, MissingCredential
from doorward.guard.addresses import Networks
from doorward.integrations.flask import Authenticate
from doorward.integrations.wsgi import GuardMiddleware
from doorward.model import Principal

READER = Principal("https://id.example.org", "alice", scopes=("read",))
GOOD = {"Authorization": "Bearer good"}


class ScriptedGuard:
    """Lets anybody in who brings something, with the scope ``read``."""

    trusted_proxies = Networks()
    keeps_records = False
    issuers = ()

    def __init__(self):
        self.asked = []

    def begin(self, authorization, *, client_ip=None, scopes=(), resource=None, recorded=False):
        self.asked.append((authorization, list(scopes), recorded))
        if authorization is None:
            raise MissingCredential("x")
        if missing := tuple(scope for scope in scopes if scope not in READER.scopes):
            raise Forbidden("x", missing_scopes=missing)
        return READER


@pytest.fixture
def guard():
    return ScriptedGuard()


@pytest.fixture
def app():
    return Flask("service")


def test_nobody_is_taken_for_who_called_before(app, guard):
    caller = Authenticate(guard)
    seen = []

    @app.get("/notes")
    @caller.required("read")
    def notes():
        return caller.principal.subject

    @app.get("/open")
    def everybody():
        return str(caller.maybe_principal)

    @app.after_request
    def note(response):
        seen.append(caller.maybe_principal)
        return response

    client = app.test_client()
    with app.app_context():  # as `app.app_context().push()` in a module leaves it open for a server's one thread
        assert client.get("/notes", headers=GOOD).text == "alice"
        assert client.get("/open").text == "None"
        assert client.get("/notes").status_code == 401
        assert caller.maybe_principal is None
    assert seen == [READER, None, None]


def test_a_view_knows_who_is_calling_and_keeps_its_name(app, guard):
    caller = Authenticate(guard)

    @app.get("/orders/<int:number>")
    @caller.required("read")
    def order(number):
        """One order."""
        return f"{number} {caller.principal.subject}"

    assert (order.__name__, order.__doc__) == ("order", "One order.")
    assert app.test_client().get("/orders/7", headers=GOOD).text == "7 alice"
    assert guard.asked == [("Bearer good", ["read"], False)]


def test_a_refusal_is_not_the_applications_to_change(app, guard):
    caller = Authenticate(guard, scopes=["admin"], realm="orders")
    app.get("/orders")(caller.required("read")(lambda: "in"))
    app.register_error_handler(Exception, lambda _: ("changed", 200))
    answer = app.test_client().get("/orders", headers=GOOD)
    assert (answer.status_code, answer.json) == (403, {"error": "forbidden", "missing_scopes": ["admin"]})
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="orders", error="insufficient_scope", scope="admin"'
    assert answer.headers["Content-Type"] == "application/json"


def test_views_may_be_coroutines(app, guard):
    pytest.importorskip("asgiref", reason="Flask's extra async")
    caller = Authenticate(guard)

    @app.get("/")
    @caller.required()
    async def view():
        return caller.principal.subject

    assert app.test_client().get("/", headers=GOOD).text == "alice"
    assert app.test_client().get("/").status_code == 401


def test_all_views_of_a_blueprint(app, guard):
    caller, blueprint = Authenticate(guard), Blueprint("orders", "orders", url_prefix="/orders")
    blueprint.before_request(caller.check)
    blueprint.get("/")(lambda: caller.principal.subject)
    app.get("/health")(lambda: str(caller.maybe_principal))
    app.register_blueprint(blueprint)
    client = app.test_client()
    assert client.get("/orders/").status_code == 401
    assert client.get("/orders/", headers=GOOD).text == "alice"
    assert client.get("/health", headers=GOOD).text == "None"


def test_a_preflight_request_of_cors_passes_where_all_views_are_guarded(app, guard):
    app.before_request(Authenticate(guard).check)
    app.get("/")(lambda: "in")
    asks = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "GET"}
    assert app.test_client().options("/", headers=asks).status_code == 200
    assert app.test_client().options("/", headers={**asks, "Content-Type": "text/plain"}).status_code == 401
    assert app.test_client().options("/").status_code == 401


def test_behind_a_middleware_of_the_same_guard_nobody_is_asked_twice(app, guard):
    caller = Authenticate(guard)
    app.get("/")(caller.required()(lambda: caller.principal.subject))
    app.get("/read", endpoint="read")(caller.required("read")(lambda: caller.principal.subject))
    app.wsgi_app = GuardMiddleware(app.wsgi_app, guard, credentials=["header:x-api-key"])
    client = app.test_client()
    assert client.get("/", headers={"X-Api-Key": "k"}).text == "alice"
    assert guard.asked == [("Bearer k", [], False)]
    assert client.get("/read", headers={"X-Api-Key": "k"}).text == "alice"
    assert guard.asked[2:] == [("Bearer k", ["read"], True)], "with the credential that the middleware found"


def test_behind_another_guard_it_asks_its_own(app, guard):
    caller, other = Authenticate(guard), ScriptedGuard()
    app.get("/")(caller.required()(lambda: caller.principal.subject))
    app.wsgi_app = GuardMiddleware(app.wsgi_app, other)
    assert app.test_client().get("/", headers=GOOD).text == "alice"
    assert len(guard.asked) == len(other.asked) == 1


def test_who_is_calling_is_an_error_where_nobody_was_asked(app, guard):
    anybody = Authenticate(guard, optional=True)
    app.get("/maybe")(anybody.required()(lambda: str(anybody.maybe_principal)))
    app.get("/sure", endpoint="sure")(anybody.required()(lambda: anybody.principal.subject))
    app.testing = True
    assert app.test_client().get("/maybe").text == "None"
    with pytest.raises(ConfigurationError, match="maybe_principal") as wrong:
        app.test_client().get("/sure")
    assert wrong.value.reason == "nobody_known"


def test_without_flask_the_message_says_what_to_install(tmp_path):
    (tmp_path / "flask.py").write_text("raise ImportError('No module named flask', name='flask')")
    code = "import sys; sys.path.insert(0, sys.argv[1])\nimport doorward.integrations.flask"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert "pip install 'doorward[flask]'" in done.stderr
