"""What every integration for HTTP clients does: one suite, each against real servers on loopback."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple

import aiohttp
import httpx
import httpx2
import pytest
import requests
from token_api import Bound, Server, Source, SteppingUp

from doorward.errors import ConfigurationError, Malformed, SignInRequired
from doorward.integrations.aiohttp import BearerAuth as ForAiohttp
from doorward.integrations.httpx import BearerAuth as ForHttpx
from doorward.integrations.requests import BearerAuth as ForRequests


class Answer(NamedTuple):
    status: int
    content: dict


def by_httpx(library):
    def send(auth, trust, method, url, **options):
        with library.Client(auth=auth, verify=trust, follow_redirects=True) as client:
            answer = client.request(method, url, **options)
            return Answer(answer.status_code, answer.json())

    return send


def by_async_httpx(library):
    def send(auth, trust, method, url, **options):
        async def exchange():
            async with library.AsyncClient(auth=auth, verify=trust, follow_redirects=True) as client:
                answer = await client.request(method, url, **options)
                return Answer(answer.status_code, answer.json())

        return asyncio.run(exchange())

    return send


def by_requests(auth, trust, method, url, *, content=None, **options):
    with requests.Session() as session:
        session.auth, session.trust_env = auth, False
        session.mount("https://", _Trusting(trust))
        answer = session.request(method, url, data=content, timeout=30, **options)
        return Answer(answer.status_code, answer.json())


class _Trusting(requests.adapters.HTTPAdapter):
    def __init__(self, trust):
        self._trust = trust
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, ssl_context=self._trust, **options)


def by_aiohttp(auth, trust, method, url, *, content=None, **options):
    async def exchange():
        connector = aiohttp.TCPConnector(ssl=trust)
        async with (
            aiohttp.ClientSession(middlewares=[auth], connector=connector) as session,
            session.request(method, url, data=content, **options) as answer,
        ):
            return Answer(answer.status, await answer.json(content_type=None))

    return asyncio.run(exchange())


async def _parts():
    yield b"part"


CLIENTS = {
    "httpx2.Client": (ForHttpx, by_httpx(httpx2), lambda: iter([b"part"])),
    "httpx2.AsyncClient": (ForHttpx, by_async_httpx(httpx2), _parts),
    "httpx.Client": (ForHttpx, by_httpx(httpx), lambda: iter([b"part"])),
    "httpx.AsyncClient": (ForHttpx, by_async_httpx(httpx), _parts),
    "requests": (ForRequests, by_requests, lambda: iter([b"part"])),
    "aiohttp": (ForAiohttp, by_aiohttp, _parts),
}


class Client:
    """A library's client, and the adapter for it."""

    def __init__(self, name, trust):
        self.auth, self._send, self.streamed = CLIENTS[name]
        self._trust = trust
        self.prefix = "a" if name in {"httpx2.AsyncClient", "httpx.AsyncClient", "aiohttp"} else ""

    def fetch(self, auth, url, method="GET", **options):
        return self._send(auth, self._trust, method, url, **options)


@pytest.fixture(scope="module")
def trust(test_ca):
    return ssl.create_default_context(cafile=test_ca.ca)


@pytest.fixture(scope="module")
def tls(test_ca):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(test_ca.certificate, test_ca.key)
    return server


@pytest.fixture(params=CLIENTS)
def client(request, trust):
    return Client(request.param, trust)


@pytest.fixture(scope="module")
def servers(tls):
    with Server(tls) as api, Server(tls) as elsewhere, Server() as plain:
        yield api, elsewhere, plain


@pytest.fixture
def api(servers):
    servers[0].seen.clear()
    return servers[0]


@pytest.fixture
def elsewhere(servers):
    servers[1].seen.clear()
    return servers[1]


@pytest.fixture
def plain(servers):
    servers[2].seen.clear()
    return servers[2]


class TestCarrying:
    def test_the_token_goes_to_its_origin(self, client, api):
        source = Source()
        answer = client.fetch(client.auth(source, origins=[api.origin]), f"{api.origin}/ok")
        assert answer.content["authorization"] == "Bearer first"
        assert source.seen == [(f"{client.prefix}token", "access")]

    def test_nothing_goes_elsewhere(self, client, api, elsewhere):
        source = Source()
        answer = client.fetch(client.auth(source, origins=[api.origin]), f"{elsewhere.origin}/never")
        assert answer.status == 401
        assert elsewhere.seen == [("GET", "/never", None)]
        assert source.seen == []

    @pytest.mark.parametrize("other", ["https://localhost:{port}", "http://127.0.0.1:{port}", "https://127.0.0.1"])
    def test_only_the_very_origin(self, client, api, other):
        origin = other.format(port=api.server_port)
        auth = client.auth(Source(), origins=[origin], insecure_loopback_http=True)
        assert client.fetch(auth, f"{api.origin}/ok").content["authorization"] is None

    def test_an_authorization_of_ones_own_stays(self, client, api):
        source = Source()
        auth = client.auth(source, origins=[api.origin])
        answer = client.fetch(auth, f"{api.origin}/never", headers={"authorization": "Basic own"})
        assert answer.status == 401
        assert api.seen == [("GET", "/never", "Basic own")]
        assert source.seen == []

    def test_http_on_loopback_if_allowed(self, client, plain):
        auth = client.auth(Source(), origins=[plain.origin], insecure_loopback_http=True)
        assert client.fetch(auth, f"{plain.origin}/ok").content["authorization"] == "Bearer first"

    def test_a_token_that_no_header_can_hold(self, client, api):
        with pytest.raises(Malformed) as caught:
            client.fetch(client.auth(Source("a\r\nX: y"), origins=[api.origin]), f"{api.origin}/ok")
        assert caught.value.reason == "unsendable_token"
        assert api.seen == []

    def test_many_requests_share_one_object(self, client, api):
        auth = client.auth(Source(), origins=[api.origin])
        answers = [client.fetch(auth, f"{api.origin}/first-refused") for _ in range(3)]
        assert [answer.content["authorization"] for answer in answers] == ["Bearer second"] * 3


class TestRedirects:
    def test_to_the_same_origin(self, client, api):
        auth = client.auth(Source(), origins=[api.origin])
        answer = client.fetch(auth, f"{api.origin}/to?{api.origin}/ok")
        assert answer.content["authorization"] == "Bearer first"

    def test_to_another_origin(self, client, api, elsewhere):
        source = Source()
        answer = client.fetch(client.auth(source, origins=[api.origin]), f"{api.origin}/to?{elsewhere.origin}/never")
        assert answer.status == 401
        assert api.seen == [("GET", "/to", "Bearer first")]
        assert elsewhere.seen == [("GET", "/never", None)]
        assert len(source.seen) == 1

    def test_to_another_origin_that_may_have_the_token(self, client, api, elsewhere):
        auth = client.auth(Source(), origins=[api.origin, elsewhere.origin])
        answer = client.fetch(auth, f"{api.origin}/to?{elsewhere.origin}/ok")
        assert answer.content["authorization"] is None

    def test_there_and_back(self, client, api, elsewhere):
        auth = client.auth(Source(), origins=[api.origin, elsewhere.origin])
        answer = client.fetch(auth, f"{api.origin}/to?{elsewhere.origin}/to?{api.origin}/to?{api.origin}/never")
        assert answer.status == 401
        assert [authorization for _, _, authorization in api.seen + elsewhere.seen] == ["Bearer first", *[None] * 3]

    def test_from_http_to_https_of_the_same_host(self, client, api, plain):
        origins = [plain.origin, api.origin]
        auth = client.auth(Source(), origins=origins, insecure_loopback_http=True)
        assert client.fetch(auth, f"{plain.origin}/to?{api.origin}/ok").content["authorization"] is None

    def test_from_https_to_http_of_the_same_host(self, client, api, plain):
        auth = client.auth(Source(), origins=[api.origin, plain.origin], insecure_loopback_http=True)
        assert client.fetch(auth, f"{api.origin}/to?{plain.origin}/ok").content["authorization"] is None

    def test_to_another_name_of_the_same_host(self, client, api):
        auth = client.auth(Source(), origins=[api.origin])
        there = f"https://localhost:{api.server_port}/ok"
        assert client.fetch(auth, f"{api.origin}/to?{there}").content["authorization"] is None

    def test_from_elsewhere_to_the_origin(self, client, api, elsewhere):
        auth = client.auth(Source(), origins=[api.origin])
        assert client.fetch(auth, f"{elsewhere.origin}/to?{api.origin}/ok").content["authorization"] is None

    def test_a_request_that_has_done_its_work_is_not_repeated(self, client, api):
        auth = client.auth(Source(), origins=[api.origin])
        answer = client.fetch(auth, f"{api.origin}/done?{api.origin}/never", "POST", content=b"order")
        assert answer.status == 401
        assert api.seen == [("POST", "/done", "Bearer first"), ("GET", "/never", "Bearer first")]

    def test_a_renewed_token_is_left_behind_too(self, client, api, elsewhere):
        auth = client.auth(Source(), origins=[api.origin, elsewhere.origin])
        client.fetch(auth, f"{api.origin}/refused-then-to?{elsewhere.origin}/ok")
        assert [authorization for _, _, authorization in api.seen] == ["Bearer first", "Bearer second"]
        assert elsewhere.seen == [("GET", "/ok", None)]


class TestRenewing:
    @pytest.mark.parametrize("options", [{}, {"content": b"x=1"}])
    def test_one_refusal(self, client, api, options):
        source = Source()
        auth = client.auth(source, origins=[api.origin])
        answer = client.fetch(auth, f"{api.origin}/first-refused", "POST", **options)
        assert answer.status == 200
        assert answer.content == {
            "authorization": "Bearer second",
            "dpop": None,
            "body": "x=1" if options else "",
        }
        assert source.seen[1:] == [(f"{client.prefix}renew", "first")]

    def test_two_refusals(self, client, api):
        source = Source()
        answer = client.fetch(client.auth(source, origins=[api.origin]), f"{api.origin}/never")
        assert answer.status == 401
        assert [authorization for _, _, authorization in api.seen] == ["Bearer first", "Bearer second"]
        assert len(source.seen) == 2

    def test_no_other_token(self, client, api):
        answer = client.fetch(client.auth(Source(renewed="first"), origins=[api.origin]), f"{api.origin}/never")
        assert answer.status == 401
        assert len(api.seen) == 1

    def test_a_streamed_body_is_not_repeated(self, client, api):
        source = Source()
        answer = client.fetch(
            client.auth(source, origins=[api.origin]),
            f"{api.origin}/never",
            "POST",
            content=client.streamed(),
            headers={"Content-Length": "4"},
        )
        assert answer.status == 401
        assert len(api.seen) == len(source.seen) == 1

    def test_a_session_that_has_ended(self, client, api):
        ended = SignInRequired("Sign in again.", reason="refresh_rejected")
        with pytest.raises(SignInRequired) as caught:
            client.fetch(client.auth(Source(failure=ended), origins=[api.origin]), f"{api.origin}/never")
        assert caught.value is ended


class TestStrongerSignIn:
    def test_a_person_signs_in_as_the_api_wants_it(self, client, api):
        source = SteppingUp()
        answer = client.fetch(client.auth(source, origins=[api.origin]), f"{api.origin}/stronger", "POST", content=b"x")
        assert answer == (200, {"authorization": "Bearer strong", "dpop": None, "body": "x"})
        assert source.seen[1:] == [(f"{client.prefix}step_up", "gold", 60)]

    def test_where_nobody_is_asked_the_refusal_is_the_answer(self, client, api):
        source = Source()
        assert client.fetch(client.auth(source, origins=[api.origin]), f"{api.origin}/stronger").status == 401
        assert len(api.seen) == len(source.seen) == 1


class TestBoundTokens:
    def test_with_the_nonce_that_the_server_wants(self, client, api):
        auth = client.auth(Bound(), origins=[api.origin])
        url = f"{api.origin}/nonce"
        answers = [client.fetch(auth, url, "POST", content=b"x") for _ in range(2)]
        expected = {"authorization": "DPoP first", "dpop": f"POST {url} n1", "body": "x"}
        assert answers == [(200, expected)] * 2
        assert len(api.seen) == 3, "the nonce is kept"

    def test_no_proof_crosses_a_redirect(self, client, api, elsewhere):
        auth = client.auth(Bound(), origins=[api.origin, elsewhere.origin])
        answer = client.fetch(auth, f"{api.origin}/to?{elsewhere.origin}/ok")
        assert answer.content["authorization"] is None
        if client.auth is not ForHttpx:  # which carries a proof on, without the token: it is of another address
            assert answer.content["dpop"] is None


class TestSettings:
    def test_what_is_no_source(self, client):
        with pytest.raises(ConfigurationError) as caught:
            client.auth("a token", origins=["https://api.example"])
        assert caught.value.field == "source"

    def test_what_is_no_origin(self, client):
        with pytest.raises(ConfigurationError) as caught:
            client.auth(Source(), origins=["http://api.example"])
        assert (caught.value.field, caught.value.reason) == ("origins", "not_https")
