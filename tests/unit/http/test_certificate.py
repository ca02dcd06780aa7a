"""What a server's certificate says, looked at without trusting it: whom nothing is sent to."""

from __future__ import annotations

import pytest

from doorward.http import certificate
from doorward.http.certificate import look_at_certificate


@pytest.mark.parametrize("ends_in_days", [1, -1])
def test_one_that_nobody_trusts_is_read_and_nothing_is_sent(serve, self_signed, ends_in_days):
    server = serve(tls=self_signed("other.test", ends_in_days=ends_in_days).server)
    shown = look_at_certificate(f"https://localhost:{server.port}/issuer")
    assert shown.subject == shown.issuer == "CN=other.test"
    assert len(shown.until) == len("2027-01-01")
    assert [*server.requests] in ([], [b""])


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 200", b"", b"x" * 20_000, b"\r\n\r\n"],
    ids=["407", "half", "nothing", "endless", "empty"],
)
def test_a_proxy_that_opens_no_tunnel(serve, monkeypatch, answer):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{serve(answer).port}")
    assert look_at_certificate("https://op.test/") is None


@pytest.mark.parametrize("scheme", ["https", "socks5"])
def test_other_proxies_are_not_asked(serve, monkeypatch, scheme):
    proxy = serve(b"")
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{proxy.port}")
    assert look_at_certificate("https://op.test/") is None
    assert proxy.requests == []


@pytest.mark.parametrize("url", ["http://localhost/", "https://127.0.0.1:9/", "https://", "file:///etc/passwd"])
def test_where_there_is_none(url):
    assert look_at_certificate(url) is None


def test_one_who_never_answers_is_not_waited_for(serve, monkeypatch, drip):
    monkeypatch.setattr(certificate, "_DEADLINE_S", 0.3)
    server = serve(drip(b"", b""), read=False)
    assert look_at_certificate(f"https://127.0.0.1:{server.port}/") is None
