"""The callback pages in a real browser: what it shows, what it was sent, and what axe says of it (S3)."""

from __future__ import annotations

import asyncio
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from doorward.signin.loopback.listener import Callback, CallbackListener
from doorward.signin.loopback.pages import SECURITY_HEADERS
from doorward.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, Page, Response

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

RESPONSES = {
    "You are signed in": Callback.succeed,
    "You were not signed in": Callback.deny,
    "The sign-in did not finish": Callback.fail,
    "This is not part of your sign-in": Callback.reject,
}
HOSTILE_QUERY = "?code=SECRET&state=x&error_description=%3Cscript%3Ealert(1)%3C/script%3E"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(require_peer) -> AsyncIterator[Browser]:
    require_peer("Chromium", CHROMIUM)
    require_peer("Playwright", find_spec("playwright"))
    from playwright.async_api import async_playwright  # noqa: PLC0415 - an optional peer

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync",
            ],
        )  # fmt: skip
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def axe(require_peer) -> str:
    script = Path(__file__).parents[2] / ".peers/node_modules/axe-core/axe.min.js"
    require_peer("axe-core", script.is_file())
    return script.read_text()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    context = await chromium.new_context()
    yield await context.new_page()
    await context.close()


@pytest.fixture
def listener() -> Iterator[CallbackListener]:
    with CallbackListener(clock=SystemClock(), entropy=SystemEntropy()) as listener:
        yield listener


async def visit(page: Page, url: str, listener: CallbackListener, respond=Callback.succeed) -> Response:
    """Go to ``url`` while the listener is polled as an asynchronous sign-in does."""
    visiting = asyncio.create_task(page.goto(url))
    while not visiting.done():
        if callback := listener.poll():
            respond(callback)
        await asyncio.sleep(0.01)
    response = await visiting
    assert response is not None
    return response


@pytest.mark.parametrize("title", RESPONSES)
async def test_the_browser_is_sent_every_header_and_complains_of_nothing(page, listener, title):
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    response = await visit(page, listener.redirect_uri + HOSTILE_QUERY, listener, RESPONSES[title])
    headers = await response.all_headers()
    assert {name.lower(): value for name, value in SECURITY_HEADERS.items()}.items() <= headers.items()
    assert (await page.title(), await page.inner_text("h1")) == (title, title)
    shown = await page.content()
    assert "SECRET" not in shown
    assert "alert" not in shown
    styled = await page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth")
    assert styled == "512px"  # the policy lets the style in
    assert [text for text in complaints if "the server responded with a status of" not in text] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("title", [*RESPONSES, "This link was already used"])
async def test_axe_finds_nothing(page, listener, axe, title, scheme, monkeypatch):
    monkeypatch.setattr("doorward.signin.loopback.sockets._WAYS", ())  # where nobody tells, a link can be used up
    await page.emulate_media(color_scheme=scheme)
    listener.set_authorization_url(listener.redirect_uri + HOSTILE_QUERY)
    if title in RESPONSES:
        await visit(page, listener.redirect_uri + HOSTILE_QUERY, listener, RESPONSES[title])
    else:
        await visit(page, listener.start_url, listener)
        await visit(page, listener.start_url, listener)
    assert await page.title() == title
    await page.evaluate(axe)  # the policy would keep a script element out
    found = await page.evaluate("axe.run()")
    assert [(each["id"], each["nodes"]) for each in found["violations"]] == []
    assert [each["id"] for each in found["incomplete"]] == []
    assert "color-contrast" in {each["id"] for each in found["passes"]}


@pytest.mark.parametrize("title", RESPONSES)
async def test_a_narrow_window_needs_no_sideways_scrolling(page, title):
    """WCAG 2.2, 1.4.10: 320 CSS pixels, and a program with a long name."""
    await page.set_viewport_size({"width": 320, "height": 256})
    with CallbackListener(clock=SystemClock(), entropy=SystemEntropy(), program="x" * 200) as listener:
        await visit(page, listener.redirect_uri + HOSTILE_QUERY, listener, RESPONSES[title])
    assert await page.evaluate("document.documentElement.scrollWidth") == 320


async def test_the_start_link_leads_to_the_provider_once_where_nobody_tells_whose_it_is(page, listener, monkeypatch):
    monkeypatch.setattr("doorward.signin.loopback.sockets._WAYS", ())
    listener.set_authorization_url(listener.redirect_uri + HOSTILE_QUERY)  # a provider that sends one back at once
    await visit(page, listener.start_url, listener)
    assert page.url == listener.redirect_uri + HOSTILE_QUERY
    assert not listener.start_url_reused
    response = await visit(page, listener.start_url, listener)
    assert response.status == 400
    assert await page.title() == "This link was already used"
    assert listener.start_url_reused


async def test_a_forged_callback_is_refused_and_the_real_one_still_wins(page, listener):
    queries = []

    def judge(callback: Callback) -> None:
        queries.append(callback.query)
        callback.succeed() if "state=right" in callback.query else callback.reject()

    forged = await visit(page, listener.redirect_uri + "?error=access_denied", listener, judge)
    assert (forged.status, await page.title()) == (400, "This is not part of your sign-in")
    real = await visit(page, listener.redirect_uri + "?code=1&state=right", listener, judge)
    assert (real.status, await page.title()) == (200, "You are signed in")
    assert queries == ["error=access_denied", "code=1&state=right"]


async def test_no_page_of_somebody_else_can_frame_ours(page, listener):
    framing = asyncio.create_task(
        page.set_content(f'<iframe src="{listener.redirect_uri}?code=1"></iframe>', wait_until="load")
    )
    while not framing.done():
        if callback := listener.poll():
            callback.succeed()
        await asyncio.sleep(0.01)
    (frame,) = page.main_frame.child_frames
    assert "signed in" not in await frame.content()
