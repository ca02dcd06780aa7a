"""What is aiohttp's own. What all clients do is in tests/contracts."""

from __future__ import annotations

import asyncio
import io

import aiohttp
import pytest
from token_api import Server, Source

from doorward.errors import SignInRequired
from doorward.integrations.aiohttp import BearerAuth


@pytest.fixture(scope="module")
def servers():
    with Server() as api, Server() as elsewhere:
        yield api, elsewhere


@pytest.fixture
def api(servers):
    servers[0].seen.clear()
    return servers[0]


@pytest.fixture
def elsewhere(servers):
    servers[1].seen.clear()
    return servers[1]


def with_token(*servers, source=None):
    origins = [server.origin for server in servers]
    return BearerAuth(source or Source(), origins=origins, insecure_loopback_http=True)


async def authorization(answer):
    async with answer as given:
        return (await given.json(content_type=None))["authorization"]


async def test_no_error_shows_the_token(api):
    async with aiohttp.ClientSession(middlewares=[with_token(api)], raise_for_status=True) as session:
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await session.get(f"{api.origin}/never")
    assert [each for _, _, each in api.seen] == ["Bearer first", "Bearer second"]
    assert "Bearer" not in repr(caught.value)
    assert "Authorization" not in caught.value.request_info.headers


async def test_two_of_them_for_two_apis(api, elsewhere):
    middlewares = [with_token(api), with_token(elsewhere, source=Source("other"))]
    async with aiohttp.ClientSession(middlewares=middlewares) as session:
        assert await authorization(session.get(f"{api.origin}/ok")) == "Bearer first"
        assert await authorization(session.get(f"{elsewhere.origin}/ok")) == "Bearer other"
        assert await authorization(session.get(f"{api.origin}/to?{elsewhere.origin}/ok")) is None


async def test_whoever_sends_again_what_came_by_a_redirect_sends_no_token_either(api, elsewhere):
    async def twice(request, handler):
        (await handler(request)).release()
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[twice, with_token(api, elsewhere)]) as session:
        assert await authorization(session.get(f"{api.origin}/to?{elsewhere.origin}/ok")) is None
    assert [each for _, _, each in elsewhere.seen] == [None, None]


async def test_after_a_redirect_that_was_not_followed_other_requests_carry_it(api, elsewhere):
    async with aiohttp.ClientSession(middlewares=[with_token(api, elsewhere)]) as session:
        async with session.get(f"{api.origin}/to?{elsewhere.origin}/ok", allow_redirects=False) as answer:
            assert answer.status == 307
        assert await authorization(session.get(f"{api.origin}/ok")) == "Bearer first"
        assert await authorization(session.get(f"{elsewhere.origin}/ok")) == "Bearer first"


async def test_a_redirect_of_one_task_is_not_anothers(api, elsewhere):
    async with aiohttp.ClientSession(middlewares=[with_token(api, elsewhere)]) as session:
        chains = [authorization(session.get(f"{api.origin}/to?{elsewhere.origin}/ok")) for _ in range(5)]
        calls = [authorization(session.get(f"{elsewhere.origin}/ok")) for _ in range(5)]
        assert await asyncio.gather(*chains, *calls) == [None] * 5 + ["Bearer first"] * 5


@pytest.mark.parametrize("location", ["http://127.0.0.1:notaport/", "mailto:me@example.org"])
async def test_a_redirect_to_nowhere(api, location):
    async with aiohttp.ClientSession(middlewares=[with_token(api)]) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{api.origin}/to?{location}")


@pytest.mark.parametrize("body", [b"order", "order", {"order": "1"}, io.BytesIO(b"order"), io.StringIO("order")])
async def test_a_body_that_can_be_read_again_is_sent_again(api, body):
    async with (
        aiohttp.ClientSession(middlewares=[with_token(api)]) as session,
        session.post(f"{api.origin}/first-refused", data=body) as answer,
    ):
        content = await answer.json(content_type=None)
    assert content["body"].startswith("order")
    assert content["authorization"] == "Bearer second"


async def test_a_refused_answer_is_given_back_when_no_token_can_be_had(api):
    ended = SignInRequired("Sign in again.", reason="refresh_rejected")
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(
        middlewares=[with_token(api, source=Source(failure=ended))], connector=connector
    ) as session:
        for _ in range(3):
            with pytest.raises(SignInRequired):
                await asyncio.wait_for(session.get(f"{api.origin}/never"), 20)


async def test_waiting_for_a_token_blocks_no_other_task(api):
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

    async with aiohttp.ClientSession(middlewares=[with_token(api, source=Gathering())]) as session:
        calls = [authorization(session.get(f"{api.origin}/first-refused")) for _ in range(3)]
        assert await asyncio.gather(*calls) == ["Bearer second"] * 3
