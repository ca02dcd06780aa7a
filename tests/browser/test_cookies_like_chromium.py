"""Our jar beside Chromium's: given the same Set-Cookie headers, both send the same cookies, to the letter (I10)."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import pytest_asyncio

from doorward.institution.cookies.jar import CookieJar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

UNI = "https://www.uni.test/a/b"
ELSEWHERE = [
    "https://www.uni.test/", "https://www.uni.test/a", "https://www.uni.test/a/", "https://www.uni.test/ab",
    "https://www.uni.test/a/b/c", "https://uni.test/a/b", "https://sp.uni.test/a/b", "https://x.www.uni.test/a/b",
    "https://evil-uni.test/a/b", "https://other.test/a/b", "http://www.uni.test/a/b", "http://uni.test/",
]  # fmt: skip

SETS = {
    "host only": [(UNI, "s=1; path=/")],
    "a domain": [(UNI, "s=1; path=/; domain=uni.test")],
    "a domain with a dot, in capitals": [(UNI, "s=1; path=/; Domain=.UNI.test")],
    "its own host as domain": [(UNI, "s=1; path=/; domain=www.uni.test")],
    "an empty domain": [(UNI, "s=1; path=/; domain=")],
    "the last domain counts": [(UNI, "s=1; path=/; domain=other.test; domain=uni.test")],
    "the last domain counts, and is another's": [(UNI, "s=1; path=/; domain=uni.test; domain=other.test")],
    "a sibling's domain": [(UNI, "s=1; path=/; domain=sp.uni.test")],
    "a domain below": [(UNI, "s=1; path=/; domain=x.www.uni.test")],
    "another's domain": [(UNI, "s=1; path=/; domain=other.test")],
    "half a label": [("https://evil-uni.test/", "s=1; path=/; domain=uni.test")],
    "a domain with a dot behind": [(UNI, "s=1; path=/; domain=uni.test.")],
    "a top-level domain": [(UNI, "s=1; path=/; domain=test")],
    "a public suffix": [
        ("https://jcu.edu.au/", "s=1; domain=edu.au"),
        ("https://ox.ac.uk/", "s=1; domain=ac.uk"),
        ("https://lab.github.io/", "s=1; domain=github.io"),
        ("https://github.io/", "t=1; domain=github.io"),
        ("https://lib.jcu.edu.au/", "u=1; domain=jcu.edu.au"),
    ],
    "an address": [("https://127.0.0.1/", "s=1; domain=127.0.0.1"), ("https://127.0.0.1/", "t=1; domain=0.0.1")],
    "the path it was set from": [(UNI, "s=1"), ("https://www.uni.test/a/b/", "t=1"), ("https://www.uni.test/", "u=1")],
    "paths": [(UNI, "s=1; path=/a"), (UNI, "t=1; path=/a/"), (UNI, "u=1; path=/a/b/c"), (UNI, "v=1; path=/A")],
    "a path that is none": [(UNI, "s=1; path=a"), (UNI, "t=1; path="), (UNI, "u=1; path=/; path")],
    "secure": [(UNI, "s=1; path=/; secure"), (UNI, "t=1; path=/; domain=uni.test; SECURE=x")],
    "secure, over http": [("http://www.uni.test/", "s=1; secure"), ("http://www.uni.test/", "t=1")],
    "nothing in place of a secure one": [
        (UNI, "s=1; path=/a; secure"),
        (UNI, "t=1; path=/; secure; domain=uni.test"),
        ("http://www.uni.test/", "s=2; path=/"),
        ("http://www.uni.test/", "s=3; path=/a/b"),
        ("http://uni.test/", "t=2; path=/; domain=uni.test"),
        ("http://www.uni.test/", "t=; path=/; domain=uni.test; max-age=0"),
    ],
    "expiry": [
        (UNI, "s=1; path=/; max-age=0"),
        (UNI, "t=1; path=/; max-age=-1"),
        (UNI, "u=1; path=/; max-age=600"),
        (UNI, "v=1; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        (UNI, "w=1; path=/; expires=Fri, 01-Jan-2100 00:00:00 GMT"),
        (UNI, "x=1; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; max-age=600"),
        (UNI, "y=1; path=/; expires=nonsense"),
        (UNI, "z=1; path=/; max-age=nonsense; expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    ],
    "removal": [
        (UNI, "s=1; path=/"), (UNI, "t=1; path=/"), (UNI, "u=1; path=/; domain=uni.test"),
        (UNI, "s=; path=/; max-age=0"), (UNI, "t=; path=/a; max-age=0"), (UNI, "u=; path=/; max-age=0"),
    ],
    "one name on two hosts": [
        ("https://sp.uni.test/", "JSESSIONID=sp; path=/"),
        ("https://idp.uni.test/", "JSESSIONID=idp; path=/"),
        ("https://uni.test/", "JSESSIONID=all; path=/; domain=uni.test"),
    ],
    "order": [
        (UNI, "a=1; path=/"), (UNI, "b=1; path=/a"), (UNI, "c=1; path=/a"), (UNI, "d=1; path=/a/b"),
        (UNI, "a=2; path=/"),
    ],
    "__Secure-": [
        (UNI, "__Secure-a=1; path=/; secure; domain=uni.test"),
        (UNI, "__Secure-b=1; path=/"),
        (UNI, "__secure-c=1; path=/"),
        ("http://www.uni.test/", "__Secure-d=1; path=/; secure"),
    ],
    "__Host-": [
        (UNI, "__Host-a=1; path=/; secure"),
        (UNI, "__Host-b=1; path=/"),
        (UNI, "__Host-c=1; secure"),
        (UNI, "__Host-d=1; path=/a; secure"),
        (UNI, "__Host-e=1; path=/; secure; domain=www.uni.test"),
        (UNI, "__host-f=1; path=/"),
        ("http://www.uni.test/", "__Host-g=1; path=/; secure"),
        ("https://www.uni.test/", "__Host-h=1; secure"),
    ],
    "__Http-": [
        (UNI, "__Http-a=1; path=/; secure; httponly"),
        (UNI, "__Http-b=1; path=/; secure"),
        (UNI, "__Host-Http-c=1; path=/; secure; httponly"),
        (UNI, "__Host-Http-d=1; path=/; secure"),
        (UNI, "__Host-Http-e=1; path=/; secure; httponly; domain=uni.test"),
    ],
    "SameSite": [
        (UNI, "a=1; path=/; samesite=strict"), (UNI, "b=1; path=/; samesite=lax"), (UNI, "c=1; path=/; samesite=none"),
        (UNI, "d=1; path=/; samesite=none; secure"), (UNI, "e=1; path=/; samesite=nonsense"),
    ],
    "spelling": [
        (UNI, " a \t=\t1 ; path = / ;;"), (UNI, 'b="1 2"; path=/'), (UNI, "c=1=2==; path=/"), (UNI, "d=; path=/"),
        (UNI, "e f=1; path=/"), (UNI, "g=1,h=2; path=/"), (UNI, ";i=1; path=/"), (UNI, "; path=/"),
    ],
    "size": [
        (UNI, f"a={'1' * 4095}; path=/"), (UNI, f"b={'1' * 4096}; path=/"), (UNI, f"c=1; path=/{'x' * 1024}"),
        (UNI, f"d=1; path=/; domain={'x' * 1025}"),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Hosts:
    """Every host there is, on loopback: two servers that set the cookies they are asked to and tell those they got."""

    ports: dict[str, int]

    def at(self, url: str) -> str:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}:{self.ports[parts.scheme]}{parts.path}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        request, *lines = head.decode("latin-1").strip().split("\r\n")
        wanted = parse_qs(urlsplit(request.split(" ")[1]).query).get("set", [])
        got = [line.partition(": ")[2] for line in lines if line.lower().startswith("cookie:")]
        body = json.dumps(got).encode()
        headers = ["HTTP/1.1 200 OK", "Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close"]
        headers += [f"Set-Cookie: {each}" for each in wanted]
        writer.write("\r\n".join([*headers, "", ""]).encode("latin-1") + body)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        pass  # a connection that the browser opened in case it needs one
    finally:
        writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hosts(test_ca) -> AsyncIterator[Hosts]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(test_ca.certificate, test_ca.key)
    servers = {
        scheme: await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
        for scheme, context in {"http": None, "https": tls}.items()
    }
    yield Hosts({scheme: server.sockets[0].getsockname()[1] for scheme, server in servers.items()})
    for server in servers.values():
        server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(require_peer) -> AsyncIterator[Browser]:
    require_peer("Chromium", CHROMIUM)
    require_peer("Playwright", find_spec("playwright"))
    from playwright.async_api import async_playwright  # noqa: PLC0415 - an optional peer

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * 127.0.0.1"],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(ignore_https_errors=True)  # no certificate has all these names
    yield context
    await context.close()


async def _fill(context: BrowserContext, hosts: Hosts, headers: list[tuple[str, str]]) -> CookieJar:
    """Let the browser and a jar be told the same, one header after the other."""
    jar = CookieJar()
    page = await context.new_page()
    for url, header in headers:
        await page.goto(f"{hosts.at(url)}?set={quote(header)}")
        jar.store(header, url=hosts.at(url), now=time.time())
    await page.close()
    return jar


async def _sent(context: BrowserContext, urls: list[str]) -> dict[str, str | None]:
    page = await context.new_page()
    sent = {}
    for url in urls:
        response = await page.goto(url)
        sent[url] = "; ".join(json.loads(await response.text())) or None
    await page.close()
    return sent


@pytest.mark.parametrize("name", SETS)
async def test_cookie_for_cookie(context, hosts, name):
    headers = SETS[name]
    urls = sorted({hosts.at(url) for url in [*ELSEWHERE, *(url for url, _ in headers)]})
    ours = await _fill(context, hosts, headers)
    sent = await _sent(context, urls)
    assert {url: ours.header_for(url, now=time.time()) for url in urls} == sent


async def test_what_is_taken_from_one_browser_and_given_to_another_is_sent_alike(context, chromium, hosts):
    headers = [header for name in SETS if name not in ("size", "removal") for header in SETS[name]]
    urls = sorted({hosts.at(url) for url in [*ELSEWHERE, *(url for url, _ in headers)]})
    await _fill(context, hosts, headers)
    sent = await _sent(context, urls)
    taken = CookieJar.from_browser(await context.cookies())
    again = await chromium.new_context(ignore_https_errors=True)
    await again.add_cookies(CookieJar.from_json(taken.to_json()).to_browser())

    def parted(sent: dict[str, str | None]) -> dict[str, list[str]]:  # whoever hands them over keeps no creation times
        return {url: sorted((header or "").split("; ")) for url, header in sent.items()}

    assert any(sent.values())
    assert parted({url: taken.header_for(url, now=time.time()) for url in urls}) == parted(sent)
    assert parted(await _sent(again, urls)) == parted(sent)
    await again.close()
