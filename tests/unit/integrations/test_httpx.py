"""Both libraries, each with both of its clients, against real servers on loopback."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import httpx2
import pytest

import doorward
from doorward.errors import ConfigurationError, Malformed, SignInRequired
from doorward.integrations.httpx import BearerAuth


class Source:
    """Gives ``first``, then a new token for each that is refused. ``seen`` says what was asked of it, and how."""

    def __init__(self, first="first", renewed="second", failure=None):
        self.seen = []
        self._first, self._renewed, self._failure = first, renewed, failure

    def token(self, kind="access"):
        self.seen.append(("token", kind))
        return self._first

    async def atoken(self, kind="access"):
        await asyncio.sleep(0)
        self.seen.append(("atoken", kind))
        return self._first

    def renew(self, rejected):
        self.seen.append(("renew", rejected))
        if self._failure:
            raise self._failure
        return self._renewed

    async def arenew(self, rejected):
        await asyncio.sleep(0)
        self.seen.append(("arenew", rejected))
        if self._failure:
            raise self._failure
        return self._renewed


class Server(ThreadingHTTPServer):
    """Remembers the Authorization of each request, and answers by path.

    ``/ok``, ``/never`` (401), ``/first-refused`` (401 to the token "first"), ``/to?URL`` (307), ``/done?URL`` (303).
    """

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self._thread.join(20)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        authorization = self.headers.get("Authorization")
        path, _, rest = self.path.partition("?")
        self.server.seen.append((self.command, path, authorization))
        status = {"/never": 401, "/to": 307, "/done": 303}.get(path, 200)
        if path == "/first-refused" and authorization == "Bearer first":
            status = 401
        answer = json.dumps({"authorization": authorization, "body": body.decode()}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if status in (303, 307):
            self.send_header("Location", rest)
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - the name is given

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def tls(test_ca):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(test_ca.certificate, test_ca.key)
    return server


@pytest.fixture
def api(tls):
    with Server(tls) as server:
        yield server


@pytest.fixture
def elsewhere(tls):
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

    fetch = blocking if kind == "Client" else with_asyncio
    fetch.is_async = kind == "AsyncClient"
    return fetch


def test_only_adapters_are_found_from_the_top():
    with pytest.raises(AttributeError, match="nothing"):
        _ = doorward.integrations.nothing


class TestCarrying:
    def test_the_token_goes_to_its_origin(self, fetch, api):
        source = Source()
        response = fetch(BearerAuth(source, origins=[api.origin]), f"{api.origin}/ok")
        assert response.json()["authorization"] == "Bearer first"
        assert source.seen == [("atoken" if fetch.is_async else "token", "access")]

    def test_nothing_goes_elsewhere(self, fetch, api, elsewhere):
        source = Source()
        response = fetch(BearerAuth(source, origins=[api.origin]), f"{elsewhere.origin}/never")
        assert response.status_code == 401
        assert elsewhere.seen == [("GET", "/never", None)]
        assert source.seen == []

    @pytest.mark.parametrize("other", ["https://localhost:{port}", "http://127.0.0.1:{port}", "https://127.0.0.1"])
    def test_only_the_very_origin(self, fetch, api, other):
        origin = other.format(port=api.server_port)
        auth = BearerAuth(Source(), origins=[origin], insecure_loopback_http=True)
        assert fetch(auth, f"{api.origin}/ok").json()["authorization"] is None

    def test_an_authorization_of_ones_own_stays(self, fetch, api):
        source = Source()
        auth = BearerAuth(source, origins=[api.origin])
        response = fetch(auth, f"{api.origin}/never", headers={"authorization": "Basic own"})
        assert response.status_code == 401
        assert api.seen == [("GET", "/never", "Basic own")]
        assert source.seen == []

    def test_http_on_loopback_if_allowed(self, fetch):
        with Server() as server:
            auth = BearerAuth(Source(), origins=[server.origin], insecure_loopback_http=True)
            assert fetch(auth, f"{server.origin}/ok").json()["authorization"] == "Bearer first"

    def test_a_token_that_no_header_can_hold(self, fetch, api):
        with pytest.raises(Malformed) as caught:
            fetch(BearerAuth(Source("a\r\nX: y"), origins=[api.origin]), f"{api.origin}/ok")
        assert caught.value.reason == "unsendable_token"
        assert api.seen == []

    def test_nothing_is_left_in_the_request(self, fetch, api):
        response = fetch(BearerAuth(Source(), origins=[api.origin]), f"{api.origin}/first-refused")
        assert response.status_code == 200
        assert "authorization" not in response.request.headers


class TestRedirects:
    def test_to_the_same_origin(self, fetch, api):
        auth = BearerAuth(Source(), origins=[api.origin])
        assert fetch(auth, f"{api.origin}/to?{api.origin}/ok").json()["authorization"] == "Bearer first"

    def test_to_another_origin(self, fetch, api, elsewhere):
        source = Source()
        response = fetch(BearerAuth(source, origins=[api.origin]), f"{api.origin}/to?{elsewhere.origin}/never")
        assert response.status_code == 401
        assert api.seen == [("GET", "/to", "Bearer first")]
        assert elsewhere.seen == [("GET", "/never", None)]
        assert len(source.seen) == 1

    def test_to_another_origin_that_may_have_the_token(self, fetch, api, elsewhere):
        auth = BearerAuth(Source(), origins=[api.origin, elsewhere.origin])
        assert fetch(auth, f"{api.origin}/to?{elsewhere.origin}/ok").json()["authorization"] is None

    def test_from_http_to_https_of_the_same_host(self, fetch, api):
        with Server() as plain:
            auth = BearerAuth(Source(), origins=[plain.origin], insecure_loopback_http=True)
            assert fetch(auth, f"{plain.origin}/to?{api.origin}/ok").json()["authorization"] is None

    def test_from_elsewhere_to_the_origin(self, fetch, api, elsewhere):
        auth = BearerAuth(Source(), origins=[api.origin])
        assert fetch(auth, f"{elsewhere.origin}/to?{api.origin}/ok").json()["authorization"] is None

    def test_a_request_that_has_done_its_work_is_not_repeated(self, fetch, api):
        response = fetch(
            BearerAuth(Source(), origins=[api.origin]),
            f"{api.origin}/done?{api.origin}/never",
            "POST",
            content=b"order",
        )
        assert response.status_code == 401
        assert api.seen == [("POST", "/done", "Bearer first"), ("GET", "/never", "Bearer first")]


class TestRenewing:
    @pytest.mark.parametrize("options", [{}, {"content": b"x=1"}, {"data": {"x": "1"}}])
    def test_one_refusal(self, fetch, api, options):
        source = Source()
        response = fetch(BearerAuth(source, origins=[api.origin]), f"{api.origin}/first-refused", "POST", **options)
        assert response.status_code == 200
        assert response.json() == {"authorization": "Bearer second", "body": "x=1" if options else ""}
        assert source.seen[1:] == [("arenew" if fetch.is_async else "renew", "first")]
        assert [answer.status_code for answer in response.history] == [401]

    def test_two_refusals(self, fetch, api):
        source = Source()
        response = fetch(BearerAuth(source, origins=[api.origin]), f"{api.origin}/never")
        assert response.status_code == 401
        assert [authorization for _, _, authorization in api.seen] == ["Bearer first", "Bearer second"]
        assert len(source.seen) == 2

    def test_no_other_token(self, fetch, api):
        response = fetch(BearerAuth(Source(renewed="first"), origins=[api.origin]), f"{api.origin}/never")
        assert response.status_code == 401
        assert len(api.seen) == 1

    def test_a_streamed_body_is_not_repeated(self, fetch, api):
        async def parts():
            yield b"part"

        source = Source()
        content = parts() if fetch.is_async else iter([b"part"])
        headers = {"Content-Length": "4"}
        response = fetch(
            BearerAuth(source, origins=[api.origin]), f"{api.origin}/never", "POST", content=content, headers=headers
        )
        assert response.status_code == 401
        assert len(api.seen) == len(source.seen) == 1

    def test_a_session_that_has_ended(self, fetch, api):
        ended = SignInRequired("Sign in again.", reason="refresh_rejected")
        with pytest.raises(SignInRequired) as caught:
            fetch(BearerAuth(Source(failure=ended), origins=[api.origin]), f"{api.origin}/never")
        assert caught.value is ended

    @pytest.mark.parametrize("library", [httpx, httpx2])
    async def test_waiting_for_a_token_blocks_no_other_task(self, library, api, test_ca):
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


class TestSettings:
    @pytest.mark.parametrize(
        ("origins", "reason"),
        [
            ([], "no_origins"),
            (["http://api.example"], "not_https"),
            (["http://127.0.0.1:8000"], "not_https"),
            (["*"], "no_host"),
            (["https://*.example"], "wildcard"),
            (["https://*"], "wildcard"),
            (["api.example"], "no_host"),
            (["https://api.example/v1"], "has_path"),
            (["https://api.example?x"], "has_query"),
            (["https://api.example#x"], "has_fragment"),
            (["https://me:pa55@api.example"], "has_userinfo"),
            (["https://api.example:x"], "not_a_url"),
            (["https://bücher.example"], "bad_characters"),
            (["https://api.example", 7], "not_a_string"),
        ],
    )
    def test_origins_that_cannot_be(self, origins, reason):
        with pytest.raises(ConfigurationError) as caught:
            BearerAuth(Source(), origins=origins)
        assert (caught.value.field, caught.value.reason) == ("origins", reason)
        assert "pa55" not in caught.value.message

    @pytest.mark.parametrize("origin", ["http://localhost", "http://127.0.0.1:80/"])
    def test_http_on_port_80_would_be_carried_on(self, origin):
        with pytest.raises(ConfigurationError) as caught:
            BearerAuth(Source(), origins=[origin], insecure_loopback_http=True)
        assert caught.value.reason == "http_port_80"

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
    def test_origins_written_in_other_ways(self, library, origin, url):
        request = library.Request("GET", url)
        flow = BearerAuth(Source(), origins=origin).sync_auth_flow(request)
        assert next(flow).headers["Authorization"] == "Bearer first"

    def test_a_token_is_no_source(self):
        with pytest.raises(ConfigurationError) as caught:
            BearerAuth("a token", origins=["https://api.example"])
        assert caught.value.field == "source"


@pytest.mark.parametrize(
    "before", ["import sys; sys.modules['httpx'] = None", "import httpx2; httpx2.alias_httpx()", "import httpx2, httpx"]
)
def test_either_library_alone_is_enough(before):
    check = "import doorward, httpx2; assert issubclass(doorward.integrations.httpx.BearerAuth, httpx2.Auth)"
    script = f"{before}; {check}"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
