from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.signin.loopback.http import build_response, build_short_response, parse_head
from doorward.signin.loopback.pages import SECURITY_HEADERS


def test_a_browsers_request_is_understood():
    head = parse_head(
        b"GET /callback?code=a%20b&state=x HTTP/1.1\r\nHost:  127.0.0.1:5000\t\r\nAccept: */*\r\nCookie: name=caf\xe9"
    )
    assert (head.method, head.target, head.hosts) == ("GET", "/callback?code=a%20b&state=x", ("127.0.0.1:5000",))


def test_every_host_is_told_whatever_its_case():
    assert parse_head(b"GET / HTTP/1.1\r\nhost: a\r\nHOST: b").hosts == ("a", "b")
    assert parse_head(b"GET / HTTP/1.1").hosts == ()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET / HTTP/2.0",
        b"GET / http/1.1",
        b"get / HTTP/1.1",
        b"GET callback HTTP/1.1",
        b"GET http://127.0.0.1:1/ HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /#fragment HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET / HTTP/1.1\nHost: a",
        b"GET / HTTP/1.1\r\nHost: a\nX: b",
        b"GET / HTTP/1.1\r\nHost: a\rX: b",
        b"GET / HTTP/1.1\r\nHost : a",
        b"GET / HTTP/1.1\r\nHost",
        b"GET / HTTP/1.1\r\n: a",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded",
        b"GET / HTTP/1.1\r\nX: \x00",
        b"A" * 21 + b" / HTTP/1.1",
    ],
)
def test_anything_but_the_plainest_form_is_refused(head):
    assert parse_head(head) is None


@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=60).map(lambda noise: b"GET /" + noise + b" HTTP/1.1\r\nHost: a"),
        st.binary(max_size=60).map(lambda noise: b"GET / HTTP/1.1\r\nHost: a\r\n" + noise),
    )
)
def test_whatever_comes_a_target_is_printable_ascii_or_there_is_none(data):
    head = parse_head(data)
    if head is not None:
        assert head.target.startswith("/")
        assert all("!" <= character <= "~" and character != "#" for character in head.target)
        assert not any(character in host for host in head.hosts for character in "\r\n\x00")


def test_a_target_does_not_show_itself():
    assert "SECRET" not in repr(parse_head(b"GET /callback?code=SECRET HTTP/1.1"))


def test_every_response_ends_its_connection_and_carries_the_headers():
    for response in (build_response(303, Location="https://id.example/"), build_short_response(HTTPStatus.NOT_FOUND)):
        head, _, body = response.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert {f"{name}: {value}" for name, value in SECURITY_HEADERS.items()} <= set(lines)
        assert {"Connection: close", f"Content-Length: {len(body)}"} <= set(lines)
    assert b"Content-Length" not in build_response(HTTPStatus.NO_CONTENT)


@pytest.mark.parametrize("name", ["Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"])
@pytest.mark.parametrize(("value", "ahead"), [("prefetch;prerender", True), ("Preview", True), ("", False)])
def test_what_is_fetched_ahead_says_so_in_one_of_four_ways(name, value, ahead):
    head = parse_head(f"GET / HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\nX: y".encode())
    assert head.ahead is ahead
