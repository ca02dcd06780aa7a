"""Every Python block on a page runs, with stand-ins on loopback for what it speaks to.

The blocks of a page are one program, run from top to bottom. The stand-ins are a DevIssuer and small servers, by https;
their addresses are put in the place of those on the page, and nothing else is changed but what ``CHANGED`` names.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import ssl
import time
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import httpx2
import pytest
from loopback_https import Answer, Server, html_page
from markdown_pages import PAGES, blocks_of
from pdfs import make_pdf

import doorward
from doorward.model import Secret
from doorward.testing import DevIssuer, follow_link
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.vault import Vault

PROGRAMS = {page: [block for block in blocks_of(page) if block.language == "python"] for page in PAGES}
PROGRAMS = {page: blocks for page, blocks in PROGRAMS.items() if blocks}

CHANGED = {
    # aiohttp looks for the certificates to trust when it is imported
    "docs/calling.md": ("ClientSession(", "ClientSession(connector=trusting(), "),
    # a window at a real university; tests/peers/institution/test_in_a_window.py opens it at a real federation
    "docs/institutions.md": (".sign_in()", ".open_session()"),
}


@dataclass
class StandIns:
    """Who plays the parts of ``https://id.example.org`` and the others."""

    issuer: DevIssuer
    api: str
    publisher: str
    asked: list = field(default_factory=list)  # the requests to the API
    names: dict = field(default_factory=dict)

    @property
    def places(self):
        return {
            "https://id.example.org": self.issuer.url,
            "https://api.example.org": self.api,
            "https://publisher.example": self.publisher,
        }

    def token(self):
        return self.issuer.issue_access_token("alice", audience=self.api, scopes=["orders:read"])


def answer_for_api(request):
    if not request.headers.get("Authorization", "").startswith("Bearer ey"):
        return Answer(401)
    return Answer(200, [("Content-Type", "application/json")], b"[]")


def answer_for_publisher(request):
    if request.path.startswith("/members-only") and "session=kept" not in request.cookie:
        return html_page("<title>Sign in</title><input type=password>")
    return Answer(200, [("Content-Type", "application/pdf")], make_pdf("A paper"))


@pytest.fixture
def stand_ins(test_ca, trust_test_ca, tmp_path, monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(test_ca.certificate, test_ca.key)
    monkeypatch.setenv("BROWSER", follow_link.command())
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as opened:
        serve = partial(Server, certificate=test_ca.certificate, key=test_ca.key)
        api = opened.enter_context(contextlib.closing(serve(answer_for_api)))
        publisher = opened.enter_context(contextlib.closing(serve(answer_for_publisher)))
        issuer = opened.enter_context(DevIssuer(host="localhost", tls=tls))
        issuer.add_client("my-cli")
        issuer.add_client("nightly", secret="a secret of the test")
        issuer.add_user("alice", email="alice@example.org")
        issuer.sign_in_as("alice")
        made = StandIns(issuer, f"https://localhost:{api.port}", f"https://sp.localhost:{publisher.port}", api.requests)
        keep_institution_session(made.publisher)
        yield made


def keep_institution_session(publisher):
    """As if somebody had signed in at the institution."""
    now = time.time()
    Vault().institutions.put(
        InstitutionEntry(
            name="jcu",
            where="jcu.edu.au",
            institution_url="https://go.openathens.net/redirector/jcu.edu.au",
            target=f"{publisher}/members-only.pdf",
            user_agent="Mozilla/5.0",
            signed_in_at=now,
            created_at=now,
            proven_at=now,
            cookies=(KeptCookie(name="session", value=Secret("kept"), domain="sp.localhost", secure=True),),
        )
    )


def run(page, stand_ins):
    """Run a page's blocks as one program and return its names."""
    module = {"__name__": "page", **stand_ins.names}
    for block in PROGRAMS[page]:
        text = block.text.replace(*CHANGED.get(page, ("", "")))
        for place, address in stand_ins.places.items():
            text = text.replace(place, address)
        code = compile("\n" * (block.line - 1) + text, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, module)  # noqa: S307 - our own page
        if inspect.iscoroutine(running):
            asyncio.run(running)
    return module


async def answer_of(app, path, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path, headers=headers)


def test_each_program_is_run_here():
    ours = {name for name, value in globals().items() if name.startswith("test_")}
    assert {f"test_{page.removesuffix('.md').replace('/', '_').replace('-', '_').lower()}" for page in PROGRAMS} <= ours
    assert all(PROGRAMS.values())
    for page, (old, _) in CHANGED.items():
        assert any(old in block.text for block in PROGRAMS[page]), "nothing to change: remove it"


def test_readme(stand_ins, capsys):
    module = run("README.md", stand_ins)
    assert capsys.readouterr().out == "[]\n"
    token = stand_ins.token()
    assert asyncio.run(answer_of(module["app"], "/orders", token)).json() == ["an order of alice"]
    assert asyncio.run(answer_of(module["app"], "/orders")).status_code == 401
    assert asyncio.run(answer_of(module["app"], "/openapi.json")).status_code == 200
    module["guard"].close()


def test_docs_calling(stand_ins, test_ca, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(test_ca.ca))
    trust = ssl.create_default_context(cafile=test_ca.ca)
    stand_ins.names["trusting"] = lambda: aiohttp.TCPConnector(ssl=trust)
    doorward.sign_in(stand_ins.issuer.url, "my-cli", profile="work")
    run("docs/calling.md", stand_ins)
    assert len(stand_ins.asked) == 3
    assert all(request.headers["Authorization"].startswith("Bearer ey") for request in stand_ins.asked)


def test_docs_sign_in(stand_ins, monkeypatch):
    monkeypatch.setenv("DOORWARD_ISSUER", stand_ins.issuer.url)
    monkeypatch.setenv("DOORWARD_CLIENT_ID", "nightly")
    monkeypatch.setenv("DOORWARD_CLIENT_SECRET", "a secret of the test")
    stand_ins.names |= {"secret": "a secret of the test", "token": stand_ins.token()}
    module = run("docs/sign-in.md", stand_ins)
    assert module["session"].principal.subject == "alice"
    assert module["service"].token()


def test_docs_guard(stand_ins, tmp_path):
    async def app(scope, receive, send):
        raise AssertionError("no request is made")  # pragma: no cover

    (settings,) = [block for block in blocks_of("docs/guard.md") if block.language == "toml"]
    text = settings.text.replace("https://id.example.org", stand_ins.issuer.url)
    (tmp_path / "guard.toml").write_text(text.replace("https://api.example.org", stand_ins.api))
    stand_ins.names |= {"token": stand_ins.token(), "app": app}
    module = run("docs/guard.md", stand_ins)
    assert module["principal"].subject == "alice"
    assert asyncio.run(answer_of(module["api"], "/orders", stand_ins.token())).json() == ["an order of alice"]
    module["guard"].close()


def test_docs_errors(stand_ins, capsys):
    module = run("docs/errors.md", stand_ins)
    assert module["session"].principal.subject == "alice"


def test_docs_institutions(stand_ins, tmp_path, capsys):
    run("docs/institutions.md", stand_ins)
    assert capsys.readouterr().out.startswith("saved ")
    assert [path.name for path in tmp_path.glob("papers/2021/*.pdf")]
    assert Vault().institutions.get("jcu") is None  # the page signs out at its end


def test_docs_testing(stand_ins, pytester, monkeypatch):
    """Its functions are tests: they are run as a user's are, against a small API of ours."""
    monkeypatch.setattr("builtins.input", lambda _: "")
    run("docs/testing.md", stand_ins)
    functions = "\n".join(block.text for block in PROGRAMS["docs/testing.md"] if "def test_" in block.text)
    fixture = """
import httpx2, pytest
from doorward.guard import Guard, Issuer, Throttle
from doorward.integrations.asgi import GuardMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

@pytest.fixture
def client(dev_issuer):
    issuer = Issuer(dev_issuer.url, audiences=["my-api"], insecure_loopback_http=True)
    guard = Guard([issuer], throttle=Throttle(free_failures=1000))
    app = Starlette(routes=[Route("/me", lambda request: PlainTextResponse("me"))])
    with TestClient(GuardMiddleware(app, guard)) as client:
        yield client
    guard.close()
"""
    pytester.makepyfile(fixture + functions)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q").assert_outcomes(passed=3)
