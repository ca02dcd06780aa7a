from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import struct
import sys
import time
from urllib.parse import urlsplit

import pytest

from doorward.errors import ConfigurationError, UnavailableError
from doorward.signin.loopback.listener import Callback
from doorward.signin.loopback.pages import SECURITY_HEADERS, build_page

AUTHORIZATION_URL = "https://id.example.org/authorize?state=S1&nonce=N1&code_challenge=C1"

pytestmark = pytest.mark.usefixtures("no_leaks")


def path_of(url: str) -> str:
    return urlsplit(url).path


class TestAddresses:
    @pytest.mark.parametrize(
        ("host", "addresses"),
        [("127.0.0.1", {"127.0.0.1"}), ("::1", {"::1"}), ("localhost", {"127.0.0.1", "::1"})],
    )
    def test_only_loopback_is_bound(self, listening, host, addresses, make_listener):
        before = listening()
        with make_listener(host=host) as listener:
            port = urlsplit(listener.redirect_uri).port
            assert listening() - before == {(address, port) for address in addresses}
        assert listening() == before

    @pytest.mark.parametrize(
        ("host", "authority"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")]
    )
    def test_its_addresses_name_the_host_and_work(self, host, authority, make_listener, the_real_callback_wins):
        with make_listener(host=host) as listener:
            port = urlsplit(listener.redirect_uri).port
            assert listener.redirect_uri == f"http://{authority}:{port}/callback"
            assert listener.start_url.startswith(f"http://{authority}:{port}/")
            the_real_callback_wins(listener)

    def test_both_families_answer_for_localhost(self, make_listener):
        with make_listener(host="localhost") as listener:
            port = urlsplit(listener.redirect_uri).port
            for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family) as raw:
                    raw.connect((address, port))
                    raw.sendall(f"HEAD / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
                    listener.poll()
                    raw.settimeout(1)
                    assert raw.recv(100).startswith(b"HTTP/1.1 204")

    def test_the_path_is_the_callers(self, connect, make_listener):
        with make_listener(path="/") as listener:
            assert path_of(listener.redirect_uri) == "/"
            assert connect(listener).get("/?code=1").wait() == ["code=1"]

    @pytest.mark.parametrize(
        ("settings", "field", "reason"),
        [
            ({"host": "0.0.0.0"}, "host", "host_not_loopback"),  # noqa: S104 - what must be refused
            ({"host": "127.0.0.2"}, "host", "host_not_loopback"),
            ({"host": None}, "host", "host_not_loopback"),
            ({"path": "callback"}, "path", "path_invalid"),
            ({"path": "/call back"}, "path", "path_invalid"),
            ({"path": "/callback?x=1"}, "path", "path_invalid"),
            ({"ports": [80]}, "ports", "port_out_of_range"),
            ({"ports": [8400, 65536]}, "ports", "port_out_of_range"),
        ],
    )
    def test_bad_settings_are_named(self, settings, field, reason, make_listener):
        with pytest.raises(ConfigurationError) as refused:
            make_listener(**settings)
        assert (refused.value.field, refused.value.reason) == (field, reason)

    @pytest.mark.parametrize("read", [lambda it: it.redirect_uri, lambda it: it.start_url])
    def test_there_are_no_addresses_before_it_is_open(self, read, make_listener):
        with pytest.raises(ConfigurationError) as refused:
            read(make_listener())
        assert refused.value.reason == "listener_not_open"


@pytest.fixture
def untold(monkeypatch):
    """A system that does not tell whose a connection is."""
    monkeypatch.setattr("doorward.signin.loopback.sockets._WAYS", ())


class TestStartUrl:
    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
    def test_its_own_user_may_use_it_again(self, listener, connect):
        for _ in range(3):
            client = connect(listener).get(path_of(listener.start_url))
            client.wait()
            assert client.answer().status == 303
        assert listener.start_url_used
        assert not listener.start_url_reused

    @pytest.mark.parametrize(
        "header",
        [
            "Sec-Purpose: prefetch",
            "Sec-Purpose: prefetch;prerender",
            "Purpose: prefetch",
            "X-Purpose: preview",
            "X-Moz: prefetch",
        ],
    )
    def test_a_browser_that_fetches_ahead_does_not_use_it_up(self, listener, connect, untold, header):
        path = path_of(listener.start_url)
        ahead = connect(listener).get(path, more=f"{header}\r\n")
        ahead.wait()
        assert ahead.answer().status == 503
        assert b"state=S1" not in bytes(ahead.received)
        assert not listener.start_url_used
        real = connect(listener).get(path)
        real.wait()
        assert real.answer().status == 303
        assert not listener.start_url_reused

    def test_it_redirects_once_and_reports_the_second_use(self, listener, connect, untold):
        path = path_of(listener.start_url)
        assert len(path) == 1 + 43  # 32 bytes in base64url
        first = connect(listener).get(path)
        first.wait()
        answer = first.answer()
        assert (answer.status, answer.headers["Location"], answer.body) == (303, AUTHORIZATION_URL, b"")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert not listener.start_url_reused

        second = connect(listener).get(path)
        second.wait()
        assert second.answer().status == 400
        assert b"state=S1" not in bytes(second.received)
        assert second.answer().body == build_page("link_used").body
        assert listener.start_url_reused

    def test_nothing_but_a_proper_get_uses_it_up(self, listener, connect):
        path = path_of(listener.start_url)
        for attempt, status in (
            ({"method": "HEAD"}, 204),
            ({"method": "POST"}, 405),
            ({"host": "evil.example"}, 400),
            ({"host": f"localhost:{urlsplit(listener.start_url).port}"}, 400),
            ({"more": "Host: evil.example\r\n"}, 400),
        ):
            client = connect(listener).get(path, **attempt)
            client.wait()
            assert client.answer().status == status
            assert b"state=S1" not in bytes(client.received)
        for wrong in (path + "x", path + "?x=1", path[:-1], path.upper()):
            client = connect(listener).get(wrong)
            client.wait()
            assert client.answer().status == 404
        real = connect(listener).get(path)
        real.wait()
        assert real.answer().status == 303
        assert not listener.start_url_reused

    def test_it_leads_nowhere_until_the_authorization_url_is_known(self, connect, make_listener):
        with make_listener() as listener:
            early = connect(listener).get(path_of(listener.start_url))
            early.wait()
            assert early.answer().status == 404
            listener.set_authorization_url(AUTHORIZATION_URL)
            later = connect(listener).get(path_of(listener.start_url))
            later.wait()
            assert later.answer().status == 303

    @pytest.mark.parametrize("url", ["/authorize", "javascript:alert(1)", "https://a\r\nX: y", "https://ä.example", ""])
    def test_a_url_that_could_break_the_header_is_refused(self, listener, url):
        with pytest.raises(ConfigurationError) as refused:
            listener.set_authorization_url(url)
        assert refused.value.reason == "url_invalid"


class TestCallback:
    @pytest.mark.parametrize(
        ("respond", "outcome", "status"),
        [
            (Callback.succeed, "success", 200),
            (Callback.deny, "denied", 200),
            (Callback.fail, "failed", 500),
            (Callback.reject, "rejected", 400),
        ],
    )
    def test_each_answer_has_its_page_with_every_header(self, listener, connect, respond, outcome, status):
        browser = connect(listener).get("/callback?code=SECRET&state=x&error_description=<script>")
        assert browser.wait(respond=respond) == ["code=SECRET&state=x&error_description=<script>"]
        answer = browser.answer()
        assert (answer.status, answer.body) == (status, build_page(outcome).body)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Connection"] == "close"
        assert SECURITY_HEADERS.items() <= answer.headers.items()
        assert b"SECRET" not in bytes(browser.received)
        assert b"<script" not in bytes(browser.received)

    def test_the_browser_waits_for_as_long_as_the_caller_takes(self, connect, make_listener, manual_clock):
        with make_listener(clock=manual_clock) as listener:
            browser = connect(listener).get("/callback?code=1")
            callback = listener.poll()
            manual_clock.at += 60
            assert not browser.ended()
            callback.succeed()
            browser.wait()
            assert browser.answer().status == 200

    def test_a_second_answer_changes_nothing(self, listener, connect):
        browser = connect(listener).get("/callback?code=1")
        callback = listener.poll()
        callback.reject()
        callback.succeed()
        browser.wait()
        assert browser.answer().status == 400

    def test_a_forgotten_one_is_rejected_by_the_next_poll(self, listener, connect):
        browser = connect(listener).get("/callback?code=1")
        assert listener.poll() is not None
        assert listener.poll() is None
        browser.wait()
        assert browser.answer().status == 400

    def test_one_left_open_at_the_end_is_told_so(self, connect, make_listener):
        with make_listener() as listener:
            browser = connect(listener).get("/callback?code=1")
            callback = listener.poll()
        assert browser.ended()
        assert browser.answer().body == build_page("failed").body
        callback.succeed()

    def test_an_answer_to_a_browser_that_has_gone_is_harmless(self, listener, connect, the_real_callback_wins):
        gone = connect(listener).get("/callback?code=1")
        callback = listener.poll()
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
        gone.close()
        callback.succeed()
        the_real_callback_wins(listener)

    def test_callbacks_come_one_at_a_time_and_none_is_lost(self, listener, connect):
        clients = [connect(listener).get(f"/callback?n={number}") for number in range(5)]
        queries = {query for client in clients for query in client.wait()}
        assert queries == {f"n={number}" for number in range(5)}

    def test_it_does_not_show_its_query(self, listener, connect):
        connect(listener).get("/callback?code=SECRET")
        assert "SECRET" not in repr(listener.poll())

    def test_without_a_query_it_is_none(self, listener, connect):
        for target in ("/callback", "/callback?"):
            client = connect(listener).get(target)
            assert client.wait() == []
            assert client.answer().status == 400

    def test_a_page_larger_than_the_systems_buffers_arrives_whole(self, connect, make_listener):
        with make_listener(program="x" * 9_000_000) as listener:
            browser = connect(listener).get("/callback?code=1")
            browser.wait(respond=Callback.succeed, within_s=10)
            assert len(browser.answer().body) > 9_000_000

    def test_the_page_arrives_whatever_the_request_still_sends(self, listener, connect):
        """Closing with bytes unread would send a reset, and a reset can overtake the page."""
        browser = connect(listener).get("/callback?code=1", more="Content-Length: 400000\r\n").send(b"x" * 200_000)
        callback = listener.poll()
        callback.succeed()
        browser.send(b"x" * 200_000)
        listener.poll()
        browser.wait()
        assert browser.answer().status == 200

    def test_the_page_arrives_when_the_listener_is_closed_at_once(self, connect, make_listener):
        with make_listener() as listener:
            browser = connect(listener).get("/callback?code=1", more="Content-Length: 9\r\n")
            callback = listener.poll()
            browser.send(b"unread...")
            callback.succeed()
        assert browser.ended()
        assert browser.answer().status == 200


class TestClosing:
    def test_a_hundred_in_a_row_leave_nothing(self, listening, make_listener, the_real_callback_wins):
        before = listening()
        for _ in range(100):
            with make_listener() as listener:
                the_real_callback_wins(listener)
        assert listening() == before

    def test_ten_at_once_leave_nothing(self, listening, connect, make_listener, the_real_callback_wins):
        before = listening()
        with contextlib.ExitStack() as stack:
            listeners = [stack.enter_context(make_listener()) for _ in range(10)]
            assert len(listening() - before) == 10
            for listener in listeners:
                connect(listener)
                the_real_callback_wins(listener)
        assert listening() == before

    @pytest.mark.parametrize("ending", [KeyboardInterrupt, TimeoutError, GeneratorExit])
    def test_an_exception_closes_it(self, connect, ending, make_listener):
        listener = make_listener()

        def sign_in():
            with listener:
                connect(listener).get("/callback?code=1")
                yield urlsplit(listener.redirect_uri).port

        flow = sign_in()
        port = next(flow)
        with pytest.raises(ending):
            flow.throw(ending)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    def test_closing_twice_or_before_opening_is_harmless(self, make_listener):
        listener = make_listener()
        listener.close()
        listener.open()
        listener.open()
        listener.close()
        listener.close()
        assert listener.poll() is None

    def test_closing_never_waits(self, connect, make_listener):
        listener = make_listener(program="x" * 9_000_000)
        listener.open()
        connect(listener).get("/callback?code=1")
        listener.poll().succeed()
        for _ in range(10):
            connect(listener).send("GET")
        listener.poll()
        started = time.monotonic()
        listener.close()
        assert time.monotonic() - started < 1

    @pytest.mark.parametrize("spare", [0, 1])
    def test_out_of_descriptors_it_says_so_and_leaves_nothing(
        self, listening, spare, make_listener, out_of_descriptors
    ):
        before = listening()
        with out_of_descriptors(spare=spare), pytest.raises(UnavailableError) as refused:
            make_listener().open()
        assert refused.value.reason == "loopback_unavailable"
        assert listening() == before


def test_no_class_of_the_standard_library_is_changed(make_listener, the_real_callback_wins):
    def state() -> dict[str, dict[str, object]]:
        classes = [
            each for module in (http.server, socketserver) for each in vars(module).values() if isinstance(each, type)
        ]
        return {f"{each.__module__}.{each.__qualname__}": dict(vars(each)) for each in classes}

    before = state()
    with make_listener() as listener:
        the_real_callback_wins(listener)
    assert state() == before
    assert socketserver.TCPServer.allow_reuse_address is False
