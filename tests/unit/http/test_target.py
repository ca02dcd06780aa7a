from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.http.target import Target, check_target, choose_proxy
from doorward.model import HttpRequest

PROXY = "http://proxy.example:3128"


def target(url):
    return check_target(HttpRequest("GET", url, "the test endpoint"), insecure_loopback_http=True)


class TestTarget:
    @pytest.mark.parametrize(
        ("url", "expected", "authority"),
        [
            ("https://Idp.Example", Target("https", "idp.example", 443, "/"), "idp.example"),
            ("https://idp.example:443/a", Target("https", "idp.example", 443, "/a"), "idp.example"),
            ("https://idp.example:8443/a/?b=c", Target("https", "idp.example", 8443, "/a/?b=c"), "idp.example:8443"),
            ("https://idp.example?b", Target("https", "idp.example", 443, "/?b"), "idp.example"),
            ("https://[2001:db8::1]:8443/", Target("https", "2001:db8::1", 8443, "/"), "[2001:db8::1]:8443"),
            ("http://[::1]", Target("http", "::1", 80, "/"), "[::1]"),
            ("http://127.9.9.9:1/", Target("http", "127.9.9.9", 1, "/"), "127.9.9.9:1"),
        ],
    )
    def test_parts(self, url, expected, authority):
        assert target(url) == expected
        assert target(url).authority == authority

    @pytest.mark.parametrize(
        ("url", "flaw"),
        [
            ("http://127.0.0.1:8080/keys", "not_https"),
            ("http://keys.internal/keys", "not_https"),
            ("https://user:pw@idp.example/", "has_userinfo"),
            ("https://idp.example/a#b", "has_fragment"),
            ("https://" + "a" * 64 + ".example/", "not_a_host"),
        ],
    )
    def test_where_no_request_goes(self, url, flaw):
        with pytest.raises(ConfigurationError) as refused:
            check_target(HttpRequest("GET", url, "the test endpoint"), insecure_loopback_http=False)
        assert (refused.value.field, refused.value.reason) == ("url", flaw)

    def test_one_address_may_be_asked_by_http_and_no_other(self):
        def ask(url):
            request, allowed = HttpRequest("GET", url, "the test endpoint"), "http://keys.internal/keys"
            return check_target(request, insecure_loopback_http=False, insecure_http_url=allowed)

        assert ask("http://keys.internal/keys") == Target("http", "keys.internal", 80, "/keys")
        for other in ("http://keys.internal/keys?a", "http://keys.internal/other", "http://other.internal/keys"):
            with pytest.raises(ConfigurationError) as refused:
                ask(other)
            assert refused.value.reason == "not_https"


class TestProxy:
    def test_plain_http_inside_a_network_goes_through_none(self):
        assert choose_proxy(Target("http", "keys.internal", 80, "/keys"), {"ALL_PROXY": PROXY}) is None

    @pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
    @pytest.mark.parametrize("value", [PROXY, "proxy.example:3128", "http://PROXY.example:3128/"])
    def test_variables(self, variable, value):
        proxy = choose_proxy(target("https://idp.example/"), {variable: value})
        assert (proxy.variable, proxy.host, proxy.port, proxy.username) == (variable, "proxy.example", 3128, None)

    def test_the_special_comes_before_the_general(self):
        environment = {"ALL_PROXY": "http://all.example", "HTTPS_PROXY": "http://https.example", "HTTP_PROXY": PROXY}
        assert choose_proxy(target("https://idp.example/"), environment).host == "https.example"

    @pytest.mark.parametrize("environment", [{}, {"HTTP_PROXY": PROXY}, {"HTTPS_PROXY": ""}])
    def test_no_proxy_is_named(self, environment):
        assert choose_proxy(target("https://idp.example/"), environment) is None

    @pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://localhost/", "https://[::1]/", "http://127.8.8.8/"])
    def test_loopback_is_never_proxied(self, url):
        assert choose_proxy(target(url), {"HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY}) is None

    def test_credentials_are_hidden(self):
        proxy = choose_proxy(target("https://idp.example/"), {"HTTPS_PROXY": "http://me:p%40ss@proxy.example"})
        assert (proxy.username, proxy.password.reveal(), proxy.port) == ("me", "p@ss", 80)
        assert "p@ss" not in repr(proxy)

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("socks4://me:s3cret@proxy.example", "proxy_scheme"),
            ("quic://proxy.example", "proxy_scheme"),
            ("http://", "proxy_malformed"),
            ("http://s3cret:99999@", "proxy_malformed"),
            ("http://proxy.example:s3cret", "proxy_malformed"),
            ("http://[::1", "proxy_malformed"),
            ("http://.proxy.example", "proxy_malformed"),
        ],
    )
    def test_what_is_no_usable_proxy(self, value, reason):
        with pytest.raises(ConfigurationError) as caught:
            choose_proxy(target("https://idp.example/"), {"ALL_PROXY": value})
        assert (caught.value.field, caught.value.reason) == ("ALL_PROXY", reason)
        assert "s3cret" not in caught.value.message

    @pytest.mark.parametrize(
        ("url", "entry"),
        [
            ("https://idp.example/", "*"),
            ("https://idp.example/", "idp.example"),
            ("https://idp.example/", "other, IDP.example ,"),
            ("https://idp.example/", "example"),
            ("https://idp.example/", ".example"),
            ("https://idp.example/", "*.example"),
            ("https://idp.example:8443/", "idp.example:8443"),
            ("https://idp.example/", "other.example idp.example"),
            ("https://idp.example/", " other.example ,\tidp.example\n"),
            ("https://10.1.2.3/", "10.0.0.0/8"),
            ("https://10.1.2.3/", "10.1.2.3"),
            ("https://10.1.2.3:8443/", "10.1.2.3:8443"),
            ("https://[2001:db8::1]/", "2001:db8::1"),
            ("https://[2001:db8::1]/", "2001:db8::/32"),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
        ],
    )
    def test_excluded(self, url, entry):
        for name in ("NO_PROXY", "no_proxy"):
            assert choose_proxy(target(url), {"HTTPS_PROXY": PROXY, name: entry}) is None

    @pytest.mark.parametrize(
        ("url", "entry"),
        [
            ("https://idp.example/", ""),
            ("https://idp.example/", ",."),
            ("https://idp.example/", "dp.example"),
            ("https://idp.example/", "sub.idp.example"),
            ("https://idp.example/", "idp.example:8443"),
            ("https://10.1.2.3/", "10.2.0.0/16"),
            ("https://10.1.2.3/", "2001:db8::/32"),
            ("https://[2001:db8::1]/", "[2001:db8::1]:8443"),
            ("https://10.1.2.3/", "10.1.2.3/99"),
        ],
    )
    def test_not_excluded(self, url, entry):
        assert choose_proxy(target(url), {"HTTPS_PROXY": PROXY, "NO_PROXY": entry}) is not None
