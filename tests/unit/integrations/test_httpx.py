"""What is httpx's own, with both libraries and both their clients. What all clients do is in tests/contracts."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys

import httpx
import httpx2
import pytest
from token_api import Server, Source

import doorward
from doorward.integrations.httpx import BearerAuth


@pytest.fixture(scope="module")
def api(test_ca):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(test_ca.certificate, test_ca.key)
    with Server(tls) as server:
        yield server


@pytest.fixture(params=["httpx2.Client", "httpx2.AsyncClient", "httpx.Client", "httpx.AsyncClient"])
def fetch(request, test_ca):
    """Send one request through a client with ``auth``: ``fetch(auth, url, method="GET", **options)``."""
    library, kind = request.param.split(".")
    library = {"httpx": httpx, "httpx2": httpx2}[library]
    trust = ssl.create_default_context(cafile=test_ca.ca)

    def blocking(auth, url, method="GET", **options):
        with library.Client(auth=auth, verify=trust, follow_redirects=True) as client:
            return client.request(method, url, **options)

    def with_asyncio(auth, url, method="GET", **options):
        async def exchange():
            async with library.AsyncClient(auth=auth, verify=trust, follow_redirects=True) as client:
                return await client.request(method, url, **options)

        return asyncio.run(exchange())

    return blocking if kind == "Client" else with_asyncio


def test_only_adapters_are_found_from_the_top():
    with pytest.raises(AttributeError, match="nothing"):
        _ = doorward.integrations.nothing


def test_nothing_is_left_in_the_request(fetch, api):
    response = fetch(BearerAuth(Source(), origins=[api.origin]), f"{api.origin}/first-refused")
    assert response.status_code == 200
    assert "authorization" not in response.request.headers


def test_a_form_is_sent_again_and_the_refusal_is_remembered(fetch, api):
    auth = BearerAuth(Source(), origins=[api.origin])
    response = fetch(auth, f"{api.origin}/first-refused", "POST", data={"x": "1"})
    assert response.json() == {"authorization": "Bearer second", "dpop": None, "body": "x=1"}
    assert [answer.status_code for answer in response.history] == [401]


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_waiting_for_a_token_blocks_no_other_task(library, api, test_ca):
    class Gathering(Source):
        """Renews for nobody until three wait for it."""

        waiting = 0
        all_are_here = asyncio.Event()

        async def arenew(self, rejected):
            self.waiting += 1
            if self.waiting == 3:
                self.all_are_here.set()
            await asyncio.wait_for(self.all_are_here.wait(), 20)
            return await super().arenew(rejected)

    auth = BearerAuth(Gathering(), origins=[api.origin])
    trust = ssl.create_default_context(cafile=test_ca.ca)
    async with library.AsyncClient(auth=auth, verify=trust) as client:
        answers = await asyncio.gather(*[client.get(f"{api.origin}/first-refused") for _ in range(3)])
    assert [answer.status_code for answer in answers] == [200] * 3


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://API.example", "https://api.example:443/v1"),
        ("https://api.example:443/", "https://API.example/v1"),
        ("https://xn--bcher-kva.example", "https://bücher.example/"),
        ("https://[::1]:8443", "https://[::1]:8443/"),
    ],
)
@pytest.mark.parametrize("library", [httpx, httpx2])
def test_origins_written_in_other_ways(library, origin, url):
    request = library.Request("GET", url)
    flow = BearerAuth(Source(), origins=origin).sync_auth_flow(request)
    assert next(flow).headers["Authorization"] == "Bearer first"


@pytest.mark.parametrize(
    "before", ["import sys; sys.modules['httpx'] = None", "import httpx2; httpx2.alias_httpx()", "import httpx2, httpx"]
)
def test_either_library_alone_is_enough(before):
    check = "import doorward, httpx2; assert issubclass(doorward.integrations.httpx.BearerAuth, httpx2.Auth)"
    script = f"{before}; {check}"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
