"""What may be a URL of ours: absolute, https, and nothing hidden in it."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.protocol.reading.urls import FLAWS, by_https, encode_form, is_loopback_host, url_flaw


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "::1", "0:0:0:0:0:0:0:1"])
def test_loopback_hosts(host):
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.",
        "localhost.example.org",
        "127.0.0.1.nip.io",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0.0.0.0",  # noqa: S104 - to be refused
        "10.0.0.1",
        "169.254.169.254",
        "::",
        "::ffff:127.0.0.1",
        "fe80::1",
        "example.org",
    ],
)
def test_other_hosts_are_not_loopback(host):
    assert not is_loopback_host(host)


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example.org",
        "https://id.example.org/",
        "https://id.example.org:8443/a/b/",
        "https://[2001:db8::1]/x",
    ],
)
def test_good_urls(url):
    assert url_flaw(url, loopback_http=False) == ""


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        (None, "not_a_string"),
        (["https://id.example.org"], "not_a_string"),
        ("", "bad_characters"),
        ("https://id.example.org/" + "a" * 2048, "bad_characters"),
        ("https://id.example.org/\n", "bad_characters"),
        ("https://id.exa\tmple.org", "bad_characters"),
        ("https://id.example.org\\@evil.example", "bad_characters"),
        ("https://id.example.org/{tenantid}", "bad_characters"),
        ("https://idé.example.org", "bad_characters"),
        (" https://id.example.org", "bad_characters"),
        ("https://id.example.org:99999", "not_a_url"),
        ("https://id.example.org:port", "not_a_url"),
        ("https://[::1", "not_a_url"),
        ("https://", "no_host"),
        ("https:id.example.org", "no_host"),
        ("https:///path", "no_host"),
        ("id.example.org", "no_host"),
        ("https://user@id.example.org", "has_userinfo"),
        ("https://user:pw@id.example.org", "has_userinfo"),
        ("https://id.example.org?", "has_query"),
        ("https://id.example.org?a=b", "has_query"),
        ("https://id.example.org#", "has_fragment"),
        ("https://id.example.org/#x", "has_fragment"),
        ("http://id.example.org", "not_https"),
        ("http://127.0.0.1", "not_https"),
        ("HTTPS://id.example.org", "not_https"),
        ("ftp://id.example.org", "not_https"),
        ("javascript://id.example.org/%0aalert(1)", "not_https"),
    ],
)
def test_flaws(url, flaw):
    assert url_flaw(url, loopback_http=False) == flaw
    assert flaw in FLAWS


def test_http_is_for_loopback_alone_and_only_on_request():
    assert url_flaw("http://127.0.0.1:8080/cb", loopback_http=True) == ""
    assert url_flaw("http://[::1]:8080/cb", loopback_http=True) == ""
    assert url_flaw("http://localhost/cb", loopback_http=True) == ""
    assert url_flaw("http://id.example.org", loopback_http=True) == "not_https"
    for scheme in ("ftp", "ws", "javascript", "HTTP", "https+x"):
        assert url_flaw(f"{scheme}://localhost/", loopback_http=True) == "not_https"
    assert url_flaw("http://localhost@evil.example/", loopback_http=True) == "has_userinfo"


def test_query_and_fragment_on_request():
    assert url_flaw("https://id.example.org/a?p=x", loopback_http=False, query=True) == ""
    assert url_flaw("https://id.example.org/a#x", loopback_http=False, query=True) == "has_fragment"
    assert url_flaw("https://id.example.org/a#x", loopback_http=False, fragment=True) == ""
    assert url_flaw("http://id.example.org/a?b#x", loopback_http=True, query=True, fragment=True) == "not_https"


def test_parameters_are_form_encoded():
    assert encode_form([("a", "x y&é"), ("b", None), ("a", "")]) == "a=x+y%26%C3%A9&a="


@pytest.mark.parametrize("value", ["secret\n", "a\x00", "\x1b[2J", "not utf-8 \udcff"])
def test_parameters_are_printable(value):
    with pytest.raises(ConfigurationError) as caught:
        encode_form([("good", "x"), ("audience", value)])
    assert (caught.value.field, caught.value.reason) == ("audience", "not_printable")
    assert value not in caught.value.message


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://example.org/a?b#c", "https://example.org/a?b#c"),
        ("HTTP://example.org:80/a", "https://example.org/a"),
        ("http://example.org:8080/a", "https://example.org:8080/a"),
        ("http://[2001:db8::1]:80/", "https://[2001:db8::1]/"),
        ("http://localhost.example/", "https://localhost.example/"),
        ("http://localhost:5/", "http://localhost:5/"),
        ("http://127.0.0.1/", "http://127.0.0.1/"),
        ("https://example.org:80/", "https://example.org:80/"),
        ("ftp://example.org/", "ftp://example.org/"),
        ("http://example.org:port/", "http://example.org:port/"),
        ("http://[x/", "http://[x/"),
    ],
)
def test_an_address_without_https_is_asked_by_https(url, asked):
    assert by_https(url) == asked
