"""The Flight client, against a real Flight server on loopback, with TLS and without."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from flight_server import TABLE, Server
from pyarrow import flight
from token_api import Source

from doorward.errors import ConfigurationError, SignInRequired
from doorward.integrations.flight import FlightClient, TokenProvider

ORDERS = flight.FlightDescriptor.for_path("orders")


@pytest.fixture(scope="module")
def running():
    with Server() as server:
        yield server


@pytest.fixture
def server(running):
    running.seen.clear()
    running.refuses.clear()
    return running


def connect(server, source=None, **options):
    return FlightClient(
        server.location, source or Source(), origins=[server.origin], insecure_loopback_http=True, **options
    )


def put(client):
    writer, _ = client.do_put(ORDERS, TABLE.schema)
    with writer:
        writer.write_table(TABLE)


def exchange(client):
    writer, reader = client.do_exchange(ORDERS)
    with writer:
        writer.begin(TABLE.schema)
        writer.write_table(TABLE)
        writer.done_writing()
        assert reader.read_all() == TABLE


CALLS = {
    "LIST_ACTIONS": lambda client: client.list_actions(),
    "GET_FLIGHT_INFO": lambda client: client.get_flight_info(ORDERS),
    "GET_SCHEMA": lambda client: client.get_schema(ORDERS),
    "DO_GET": lambda client: client.do_get(flight.Ticket(b"orders")).read_all(),
}
STREAMS = {
    "LIST_FLIGHTS": lambda client: list(client.list_flights()),
    "DO_ACTION": lambda client: list(client.do_action("count")),
    "DO_PUT": put,
    "DO_EXCHANGE": exchange,
}


@pytest.mark.parametrize("name", CALLS | STREAMS)
def test_each_call_carries_the_token(server, name):
    with connect(server) as client:
        (CALLS | STREAMS)[name](client)
    assert server.seen == [(name, "Bearer first")]


def test_by_tls(test_ca):
    pair = flight.CertKeyPair(test_ca.certificate.read_bytes(), test_ca.key.read_bytes())
    with (
        Server(tls_certificates=[pair]) as server,
        FlightClient(
            flight.Location(server.location),
            Source(),
            origins=[server.origin],
            tls_root_certs=test_ca.ca.read_bytes(),
        ) as client,
    ):
        assert client.do_get(flight.Ticket(b"orders")).read_all() == TABLE
        assert server.seen == [("DO_GET", "Bearer first")]


@pytest.mark.parametrize("name", CALLS)
def test_one_refusal(server, name):
    server.refuses.add("Bearer first")
    source = Source()
    with connect(server, source) as client:
        CALLS[name](client)
        CALLS[name](client)
    assert server.seen == [(name, "Bearer first"), (name, "Bearer second"), (name, "Bearer second")]
    assert source.seen[:3] == [("token", "access"), ("token", "access"), ("renew", "first")]


@pytest.mark.parametrize("name", STREAMS)
def test_after_a_stream_that_was_refused_the_next_call_has_another_token(server, name):
    server.refuses.add("Bearer first")
    with connect(server) as client:
        with suppress(flight.FlightError, OSError):  # if it was refused early enough, it was repeated
            STREAMS[name](client)
        STREAMS[name](client)
    assert {authorization for _, authorization in server.seen} == {"Bearer first", "Bearer second"}


def test_two_refusals(server):
    server.refuses |= {"Bearer first", "Bearer second"}
    with connect(server) as client, pytest.raises(flight.FlightUnauthenticatedError):
        client.get_flight_info(ORDERS)
    assert [authorization for _, authorization in server.seen] == ["Bearer first", "Bearer second"]


def test_no_other_token(server):
    server.refuses.add("Bearer first")
    with connect(server, Source(renewed="first")) as client, pytest.raises(flight.FlightUnauthenticatedError):
        client.get_flight_info(ORDERS)
    assert len(server.seen) == 1


def test_without_a_token_nothing_is_sent(server, capfd):
    class Ended(Source):
        def token(self, kind="access"):
            raise SignInRequired("Sign in again: doorward login.", reason="session_ended")

    with connect(server, Ended()) as client:
        for call in (CALLS | STREAMS).values():
            with pytest.raises(SignInRequired):
                call(client)
    assert server.seen == []
    assert capfd.readouterr() == ("", "")


def test_another_middleware_is_kept(server):
    class Tracing(flight.ClientMiddlewareFactory):
        calls = 0

        def start_call(self, info):
            self.calls += 1

    tracing = Tracing()
    with connect(server, middleware=[tracing]) as client:
        client.get_schema(ORDERS)
    assert tracing.calls == 1


def test_threads_share_a_client(server):
    server.refuses.add("Bearer first")
    with connect(server) as client, ThreadPoolExecutor(4) as pool:
        schemas = list(pool.map(lambda _: client.get_schema(ORDERS).schema, range(100)))
    assert schemas == [TABLE.schema] * 100


@pytest.mark.parametrize(
    "location",
    [
        "grpc+tls://localhost:443",
        "grpc+tls://127.0.0.1:444",
        "grpc+tls://127.0.0.1:443@flight.example:443",
        "grpc://127.0.0.1:443",
        "grpc+unix:///tmp/127.0.0.1:443",
        "https://127.0.0.1:443",
        "grpc+tls://127.0.0.1:port",
        "127.0.0.1:443",
    ],
)
def test_a_server_that_is_none_of_the_origins(location):
    with pytest.raises(ConfigurationError) as caught:
        FlightClient(location, Source(), origins=["https://127.0.0.1:443"])
    assert (caught.value.field, caught.value.reason) == ("location", "other_origin")


class TestTokenProvider:
    def test_a_token(self):
        assert TokenProvider(Source()).get_token() == "first"

    def test_after_a_refusal(self):
        provider = TokenProvider(Source())
        provider.get_token()
        provider.refused()
        assert provider.get_token() == "second"

    def test_it_shows_no_token(self):
        provider = TokenProvider(Source())
        provider.get_token()
        assert "first" not in f"{provider!r} {vars(provider)}"

    def test_what_is_no_source(self):
        with pytest.raises(ConfigurationError) as caught:
            TokenProvider("a token")
        assert caught.value.field == "source"
