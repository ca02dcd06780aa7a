"""Where a client may send the browser."""

from __future__ import annotations

import pytest

from doorward.testing import Client
from doorward.testing.provider.rules import is_loopback_host


@pytest.mark.parametrize(
    ("rule", "registered", "asked", "allowed"),
    [
        ("any_loopback", "", "http://127.0.0.1:9/x", True),
        ("any_loopback", "", "http://[::1]:9/x", True),
        ("any_loopback", "", "http://localhost/x", True),
        ("any_loopback", "", "http://127.0.0.1:9/x\\y", False),
        ("any_loopback", "", "http://127.0.0.1:9/x y", False),
        ("any_loopback", "", "http://192.0.2.1/x", False),
        ("any_loopback", "", "http://[::1", False),
        ("any_loopback", "", "ftp://127.0.0.1/x", False),
        ("any_port_ip", "http://127.0.0.1/cb", "http://127.0.0.1:9/cb", True),
        ("any_port_ip", "http://127.0.0.1/cb", "http://127.0.0.1:9/other", False),
        ("any_port_ip", "http://127.0.0.1/cb", "http://127.0.0.1:9/cb?x=1", False),
        ("any_port_ip", "http://127.0.0.1/cb", "http://localhost:9/cb", False),
        ("any_port_ip", "http://127.0.0.1/cb", "http://[::1]:9/cb", False),
        ("any_port_ip", "http://localhost/cb", "http://localhost:9/cb", False),
        ("any_port_ip", "http://localhost:9/cb", "http://localhost:9/cb", True),
        ("any_port_ip", "https://app.example.org/cb", "https://app.example.org:444/cb", False),
        ("any_port_ip", "org.example.app:/cb", "org.example.app:/cb", True),
        ("any_port_localhost", "http://localhost/cb", "http://localhost:9/cb", True),
        ("any_port_localhost", "http://127.0.0.1/cb", "http://127.0.0.1:9/cb", False),
        ("exact", "http://127.0.0.1:9/cb", "http://127.0.0.1:9/cb", True),
        ("exact", "http://127.0.0.1:9/cb", "http://127.0.0.1:8/cb", False),
        ("exact", "http://127.0.0.1:9", "http://127.0.0.1:9/", False),
    ],
)
def test_redirect_rules(rule, registered, asked, allowed):
    client = Client("cli", redirect_uris=(registered,) if registered else (), redirect_rule=rule)
    assert client.allows_redirect(asked) is allowed


@pytest.mark.parametrize(("host", "loopback"), [("localhost", True), ("127.8.9.1", True), ("::1", True), ("::", False)])
def test_loopback(host, loopback):
    assert is_loopback_host(host) is loopback
