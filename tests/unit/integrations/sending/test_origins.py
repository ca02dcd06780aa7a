"""Which origins may have a token, as callers write them."""

import pytest

from doorward.errors import ConfigurationError
from doorward.integrations.sending.origins import origin_of, parse_origins


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
def test_origins_that_cannot_be(origins, reason):
    with pytest.raises(ConfigurationError) as caught:
        parse_origins(origins, loopback_http=False)
    assert (caught.value.field, caught.value.reason) == ("origins", reason)
    assert "pa55" not in caught.value.message


@pytest.mark.parametrize("origin", ["http://localhost", "http://127.0.0.1:80/"])
def test_http_on_port_80_would_be_carried_on(origin):
    with pytest.raises(ConfigurationError) as caught:
        parse_origins([origin], loopback_http=True)
    assert caught.value.reason == "http_port_80"


def test_one_origin_or_several():
    api = origin_of("https", "api.example", 443)
    assert parse_origins("https://API.example", loopback_http=False) == {api}
    assert parse_origins(iter(["https://api.example:443/", "https://api.example"]), loopback_http=False) == {api}
    assert origin_of("http", "LOCALHOST", None) == ("http", "localhost", 80)
