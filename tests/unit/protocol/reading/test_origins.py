"""Origins compare exactly, and nothing that only looks like one passes."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.protocol.reading.origins import Origin, origin_of, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://git.example.org", Origin("https", "git.example.org", 443)),
        ("https://git.example.org/", Origin("https", "git.example.org", 443)),
        ("https://GIT.example.org:443", Origin("https", "git.example.org", 443)),
        ("https://git.example.org:8443", Origin("https", "git.example.org", 8443)),
        ("https://[::1]:8443", Origin("https", "::1", 8443)),
    ],
)
def test_an_origin_is_three_parts(text, origin):
    assert parse_origin(text) == origin_of(text) == parse_origin(str(origin)) == origin


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("git.example.org", "no_host"),
        ("http://git.example.org", "not_https"),
        ("http://127.0.0.1:8000", "not_https"),
        ("https://", "no_host"),
        ("https://u@git.example.org", "has_userinfo"),
        ("https://git.example.org/team", "has_path"),
        ("https://git.example.org?", "has_query"),
        ("https://*.example.org", "wildcard"),
        ("https://git.example.org:port", "not_a_url"),
        ("https://git.example.org\n", "bad_characters"),
        ("https://gi\N{COMBINING DOT BELOW}t.example.org", "bad_characters"),
        (7, "not_a_string"),
    ],
)
def test_what_is_none_is_named(text, reason):
    with pytest.raises(ConfigurationError) as refused:
        parse_origin(text)
    assert refused.value.reason == reason


def test_http_is_for_this_machine_alone_and_only_if_allowed():
    assert str(parse_origin("http://127.0.0.1:8000", loopback_http=True)) == "http://127.0.0.1:8000"
    assert str(origin_of("http://localhost/x", loopback_http=True)) == "http://localhost"
    assert origin_of("http://localhost.example.org", loopback_http=True) is None


def test_the_origin_of_an_address_is_that_of_its_host():
    assert str(origin_of("https://[2001:DB8::1]/path?query=https://other.example#part")) == "https://[2001:db8::1]"
    assert origin_of("https://u@git.example.org/") is None
