"""What pages can do at an application behind the middleware, in a real browser and at a real server (G20).

WebSockets with a token among their subprotocols, CORS with its preflight requests, and a cookie that another origin's
page makes the browser send along.
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import uvicorn
from starlette.middleware.cors import CORSMiddleware

from doorward.guard import Guard, Issuer
from doorward.integrations.asgi import GuardMiddleware
from doorward.testing import DevIssuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DEADLINE_S = 20.0
LIFE_S = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(require_peer) -> AsyncIterator[Browser]:
    require_peer("Chromium", CHROMIUM)
    require_peer("Playwright", find_spec("playwright"))
    from playwright.async_api import async_playwright  # noqa: PLC0415 - an optional peer

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context()
    yield context
    await context.close()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on loopback; gives its host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), name="guarded")
    thread.start()
    give_up_at = time.monotonic() + DEADLINE_S
    while not server.started:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)


class App:
    """Answers with who called, and an empty page at /page; remembers what reached it."""

    def __init__(self) -> None:
        self.reached: list[tuple[str, str | None]] = []
        self.offered: list[list[str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        caller = scope["doorward.principal"] and scope["doorward.principal"].subject
        if scope["path"] != "/favicon.ico":  # a browser asks for it now and then, unbidden
            self.reached.append((scope.get("method", "WEBSOCKET"), caller))
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/html" if scope["path"] == "/page" else b"text/plain")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": str(caller).encode()})
            return
        self.offered.append(scope["subprotocols"])
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": caller})


@pytest.fixture(scope="module")
def issuer() -> Iterator[DevIssuer]:
    with DevIssuer() as issuer:
        issuer.change(access_token_lifetime_s=LIFE_S)
        yield issuer


@pytest.fixture
def token(issuer: DevIssuer) -> str:
    now = int(issuer.clock.now())
    return issuer.issue_access_token("alice", audience="api", iat=now, exp=now + 3600)


@pytest.fixture(scope="module")
def guard(issuer: DevIssuer) -> Iterator[Guard]:
    with closing(Guard([Issuer(issuer.url, audiences=["api"], leeway_s=0, insecure_loopback_http=True)])) as guard:
        yield guard


@pytest.fixture
def app() -> App:
    return App()


async def page_of(context: BrowserContext, host: str) -> Page:
    page = await context.new_page()
    await page.goto(f"http://{host}/page")
    return page


TALK = """async ([url, protocols, pause_ms]) => new Promise(done => {
    const socket = protocols ? new WebSocket(url, protocols) : new WebSocket(url), said = []
    socket.onopen = () => { said.push(`chose ${socket.protocol}`); socket.send("who?") }
    socket.onmessage = message => {
        said.push(message.data)
        if (pause_ms === null) socket.close(1000)
        else setTimeout(() => socket.send("and now?"), pause_ms)
    }
    socket.onclose = event => { said.push(event.code); done(said) }
})"""
FETCH = """async ([url, options]) => {
    try { const answer = await fetch(url, options); return [answer.type, answer.status, await answer.text()] }
    catch (error) { return error.name }
}"""


async def test_a_page_opens_a_websocket_with_a_token_and_only_with_one(context, guard, app, token) -> None:
    guarded = GuardMiddleware(app, guard, credentials=["websocket-protocol"], public_paths=["/page"])
    with served(guarded) as host:
        page = await page_of(context, host)
        url = f"ws://{host}/live"
        assert await page.evaluate(TALK, [url, ["bearer", token], None]) == ["chose bearer", "alice", 1000]
        assert await page.evaluate(TALK, [url, ["chat", "bearer", token], None]) == ["chose bearer", "alice", 1000]
        for protocols in (None, ["bearer"], ["bearer", "forged"]):
            assert await page.evaluate(TALK, [url, protocols, None]) == [1006]
    assert app.offered == [[], ["chat"]]


async def test_a_websocket_ends_with_its_token(context, guard, app, issuer) -> None:
    guarded = GuardMiddleware(app, guard, credentials=["websocket-protocol"], public_paths=["/page"])
    with served(guarded) as host:
        page = await page_of(context, host)
        short = issuer.issue_access_token("alice", audience="api")
        said = await page.evaluate(TALK, [f"ws://{host}/live", ["bearer", short], (LIFE_S + 1) * 1000])
    assert said == ["chose bearer", "alice", 1008]


@pytest.mark.parametrize("outside", ["guard", "cors"])
async def test_a_page_of_another_origin_calls_with_a_token(context, guard, token, outside) -> None:
    app, site = App(), App()
    with served(GuardMiddleware(site, guard, public_paths=["/page"])) as home:
        allowed = {"allow_origins": [f"http://{home}"], "allow_headers": ["authorization"]}
        guarded = (
            GuardMiddleware(CORSMiddleware(app, **allowed), guard)
            if outside == "guard"
            else CORSMiddleware(GuardMiddleware(app, guard), **allowed)
        )
        with served(guarded) as host:
            page = await page_of(context, home)
            good = {"headers": {"Authorization": f"Bearer {token}"}}
            assert await page.evaluate(FETCH, [f"http://{host}/", good]) == ["cors", 200, "alice"]
            refused = await page.evaluate(FETCH, [f"http://{host}/", {"headers": {"Authorization": "Bearer x"}}])
            if outside == "cors":
                assert refused[:2] == ["cors", 401]
            else:
                assert refused == "TypeError", "the page is told nothing"
    assert app.reached == [("GET", "alice")]


async def test_a_cookie_opens_to_pages_of_its_own_origin_alone(context, guard, app, token) -> None:
    """Both are of one site, so a cookie goes along whatever its SameSite says."""
    site = App()
    guarded = GuardMiddleware(app, guard, credentials=["cookie:session"], public_paths=["/page"])
    with served(guarded) as host, served(GuardMiddleware(site, guard, public_paths=["/page"])) as neighbour:
        await context.add_cookies([{"name": "session", "value": token, "url": f"http://{host}", "sameSite": "Strict"}])
        own, other = await page_of(context, host), await page_of(context, neighbour)
        app.reached.clear()
        post = {"method": "POST", "credentials": "include"}
        assert await own.evaluate(FETCH, [f"http://{host}/", post]) == ["basic", 200, "alice"]
        assert await own.evaluate(TALK, [f"ws://{host}/", None, None]) == ["chose ", "alice", 1000]
        assert app.reached == [("POST", "alice"), ("WEBSOCKET", "alice")]

        assert await other.evaluate(FETCH, [f"http://{host}/", {**post, "mode": "no-cors"}]) == ["opaque", 0, ""]
        assert await other.evaluate(TALK, [f"ws://{host}/", None, None]) == [1006]
        async with other.expect_response(f"http://{host}/") as posted:
            await other.evaluate(
                "url => { document.body.innerHTML = `<form method=post action=${url}>`; document.forms[0].submit() }",
                f"http://{host}/",
            )
        assert (await posted.value).status == 403
        assert len(app.reached) == 2
