"""Call credentials for gRPC, sync and asyncio, against a real server on loopback, with TLS and without."""

from __future__ import annotations

import asyncio
import threading
from concurrent import futures

import grpc
import pytest
from token_api import Source

from doorward.errors import ConfigurationError, SignInRequired
from doorward.integrations.grpc import AsyncRenewal, BearerAuth, Renewal

DEADLINE_S = 30
METHOD = "/orders.Orders/List"


class Handlers(grpc.GenericRpcHandler):
    """Answers with the authorization that it was sent, and refuses ``Bearer first`` at ``/orders.Orders/Refuse``."""

    def __init__(self):
        self.seen = []

    def service(self, handler_call_details):
        authorization = dict(handler_call_details.invocation_metadata).get("authorization", "")

        def check(context):
            self.seen.append(authorization)
            if handler_call_details.method.endswith("Refuse") and authorization != "Bearer second":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
            if handler_call_details.method.endswith("Never"):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")

        def one(_request, context):
            check(context)
            return authorization.encode()

        def several(_request, context):
            check(context)
            yield authorization.encode()

        if handler_call_details.method.startswith("/orders.Streams/"):
            return grpc.unary_stream_rpc_method_handler(several)
        return grpc.unary_unary_rpc_method_handler(one)


@pytest.fixture(scope="module")
def running(test_ca):
    handlers = Handlers()
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[handlers])
    pair = (test_ca.key.read_bytes(), test_ca.certificate.read_bytes())
    tls = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    local = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    yield handlers, tls, local
    server.stop(None).wait(DEADLINE_S)


@pytest.fixture
def seen(running):
    running[0].seen.clear()
    return running[0].seen


@pytest.fixture
def target(running, seen):
    return f"127.0.0.1:{running[1]}"


@pytest.fixture(scope="module")
def trust(test_ca):
    return grpc.ssl_channel_credentials(test_ca.ca.read_bytes())


@pytest.fixture(params=["sync", "asyncio"])
def call(request, trust):
    """Make one call: ``call(target, auth, method)``."""

    def credentials_of(auth, channel):
        return grpc.composite_channel_credentials(channel or trust, grpc.metadata_call_credentials(auth))

    def blocking(target, auth, method=METHOD, *, channel=None, options=(), timeout=DEADLINE_S):
        with grpc.secure_channel(target, credentials_of(auth, channel), options) as plain:
            intercepted = grpc.intercept_channel(plain, Renewal(auth))
            return intercepted.unary_unary(method)(b"", timeout=timeout).decode()

    def with_asyncio(target, auth, method=METHOD, *, channel=None, options=(), timeout=DEADLINE_S):
        async def exchange():
            credentials = credentials_of(auth, channel)
            interceptors = [AsyncRenewal(auth)]
            async with grpc.aio.secure_channel(target, credentials, options, interceptors=interceptors) as plain:
                return (await plain.unary_unary(method)(b"", timeout=timeout)).decode()

        return asyncio.run(exchange())

    return blocking if request.param == "sync" else with_asyncio


def test_the_token_goes_to_its_origin(call, target, seen):
    source = Source()
    assert call(target, BearerAuth(source, origins=[f"https://{target}"])) == "Bearer first"
    assert source.seen == [("token", "access")]


@pytest.mark.parametrize("origin", ["https://localhost:{port}", "http://127.0.0.1:{port}", "https://127.0.0.1"])
def test_a_call_elsewhere_fails_before_it_is_sent(call, target, seen, running, origin):
    source = Source()
    auth = BearerAuth(source, origins=[origin.format(port=running[1])], insecure_loopback_http=True)
    with pytest.raises(grpc.RpcError) as caught:
        call(target, auth)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert f"https://{target} is none of the origins" in caught.value.details()
    assert seen == source.seen == []


def test_the_name_of_the_certificate_is_what_counts(call, target, seen):
    options = [("grpc.ssl_target_name_override", "op.test")]
    assert call(target, BearerAuth(Source(), origins=["https://op.test"]), options=options) == "Bearer first"
    with pytest.raises(grpc.RpcError, match=r"https://op\.test is none of the origins"):
        call(target, BearerAuth(Source(), origins=[f"https://{target}"]), options=options)
    assert len(seen) == 1


def test_without_tls_on_this_computer_if_allowed(call, running, seen):
    local = f"127.0.0.1:{running[2]}"
    auth = BearerAuth(Source(), origins=[f"http://{local}"], insecure_loopback_http=True)
    assert call(local, auth, channel=grpc.local_channel_credentials()) == "Bearer first"
    auth = BearerAuth(Source(), origins=[f"https://{local}"])
    with pytest.raises(grpc.RpcError, match="is none of the origins"):
        call(local, auth, channel=grpc.local_channel_credentials())
    assert len(seen) == 1


def test_a_plain_channel_carries_nothing(running, seen):
    local = f"127.0.0.1:{running[2]}"
    source = Source()
    auth = BearerAuth(source, origins=[f"http://{local}"], insecure_loopback_http=True)
    with grpc.insecure_channel(local) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(METHOD)(b"", timeout=DEADLINE_S, credentials=grpc.metadata_call_credentials(auth))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert seen == source.seen == []


def test_a_session_that_has_ended_says_so(call, target, seen, caplog):
    class Ended(Source):
        def token(self, kind="access"):
            raise SignInRequired("Sign in again: doorward login.", reason="session_ended")

    with pytest.raises(grpc.RpcError) as caught:
        call(target, BearerAuth(Ended(), origins=[f"https://{target}"]))
    assert "Sign in again: doorward login." in caught.value.details()
    assert seen == []
    assert caplog.records == [], "no traceback"


def test_one_refusal(call, target, seen):
    source = Source()
    auth = BearerAuth(source, origins=[f"https://{target}"])
    assert call(target, auth, "/orders.Orders/Refuse") == "Bearer second"
    assert seen == ["Bearer first", "Bearer second"]
    assert ("renew", "first") in source.seen


def test_two_refusals(call, target, seen):
    with pytest.raises(grpc.RpcError) as caught:
        call(target, BearerAuth(Source(), origins=[f"https://{target}"]), "/orders.Orders/Never")
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert seen == ["Bearer first", "Bearer second"]


def test_after_a_stream_that_was_refused_the_next_has_another_token(trust, target, seen):
    auth = BearerAuth(Source(), origins=[f"https://{target}"])
    credentials = grpc.composite_channel_credentials(trust, grpc.metadata_call_credentials(auth))
    with grpc.secure_channel(target, credentials) as channel:
        refused = channel.unary_stream("/orders.Streams/Refuse")
        with pytest.raises(grpc.RpcError) as caught:
            list(refused(b"", timeout=DEADLINE_S))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        auth.refused()
        assert list(refused(b"", timeout=DEADLINE_S)) == [b"Bearer second"]


def test_a_call_that_nobody_waits_for_yet_is_not_held_up(trust, target, seen):
    auth = BearerAuth(Source(), origins=[f"https://{target}"])
    credentials = grpc.composite_channel_credentials(trust, grpc.metadata_call_credentials(auth))
    with grpc.secure_channel(target, credentials) as channel:
        intercepted = grpc.intercept_channel(channel, Renewal(auth))
        future = intercepted.unary_unary(METHOD).future(b"", timeout=DEADLINE_S)
        assert future.result() == b"Bearer first"


class Waiting(Source):
    """Gives a token once it may."""

    def __init__(self):
        super().__init__()
        self.asked, self.may = threading.Event(), threading.Event()

    def token(self, kind="access"):
        self.asked.set()
        assert self.may.wait(DEADLINE_S)
        return super().token(kind)


async def test_a_renewal_blocks_no_event_loop(trust, target, seen):
    source = Waiting()
    auth = BearerAuth(source, origins=[f"https://{target}"])
    credentials = grpc.composite_channel_credentials(trust, grpc.metadata_call_credentials(auth))
    async with grpc.aio.secure_channel(target, credentials) as channel:
        call = asyncio.ensure_future(_awaited(channel.unary_unary(METHOD)(b"", timeout=DEADLINE_S)))
        assert await asyncio.to_thread(source.asked.wait, DEADLINE_S)
        source.may.set()  # which nobody could reach if the loop were blocked
        assert await call == b"Bearer first"


async def _awaited(call):
    return await call


def test_a_call_keeps_its_deadline_while_a_token_is_awaited(call, target, seen):
    source = Waiting()
    try:
        with pytest.raises(grpc.RpcError) as caught:
            call(target, BearerAuth(source, origins=[f"https://{target}"]), timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    finally:
        source.may.set()


def test_threads_share_a_channel(trust, target, seen):
    auth = BearerAuth(Source(), origins=[f"https://{target}"])
    credentials = grpc.composite_channel_credentials(trust, grpc.metadata_call_credentials(auth))
    with grpc.secure_channel(target, credentials) as channel, futures.ThreadPoolExecutor(4) as pool:
        refusing = grpc.intercept_channel(channel, Renewal(auth)).unary_unary("/orders.Orders/Refuse")
        answers = list(pool.map(lambda _: refusing(b"", timeout=DEADLINE_S), range(100)))
    assert set(answers) == {b"Bearer second"}


def test_what_is_no_source():
    with pytest.raises(ConfigurationError) as caught:
        BearerAuth("a token", origins=["https://grpc.example"])
    assert caught.value.field == "source"
