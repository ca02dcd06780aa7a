from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.guard.addresses import Networks, client_address, network_of

PROXIES = Networks.parse(["10.0.0.0/8", "::1", "2001:db8:1::/48"])
NONE = Networks.parse([])


def test_without_trusted_proxies_the_header_means_nothing():
    assert client_address("192.0.2.7", ["198.51.100.1"], NONE) == "192.0.2.7"
    assert client_address(None, ["198.51.100.1"], NONE) is None
    assert client_address("192.0.2.7", [], PROXIES) == "192.0.2.7"


@pytest.mark.parametrize("written", ["198.51.100.1", "10.1.1.1, 198.51.100.1", "::1", "unknown", ""])
def test_a_peer_that_is_no_proxy_can_write_what_it_likes(written):
    assert client_address("192.0.2.7", [written], PROXIES) == "192.0.2.7"
    assert client_address("testclient", [written], PROXIES) == "testclient"
    assert client_address(None, [written], PROXIES) is None


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (["192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7", "10.0.0.2, 10.0.0.3"], "192.0.2.7"),
        (["198.51.100.1,192.0.2.7 ,\t10.0.0.2"], "192.0.2.7"),
        (["192.0.2.7:50123"], "192.0.2.7"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["[2001:DB8:0::7]"], "2001:db8::7"),
        (["fe80::1%eth0"], "fe80::1"),
        (["::ffff:192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 2001:db8:1::5, ::ffff:10.0.0.9"], "192.0.2.7"),
        (["10.0.0.5, 10.0.0.6"], "10.0.0.5"),  # a client inside the trusted networks
    ],
)
def test_the_first_address_that_is_no_proxy_is_the_client(headers, client):
    assert client_address("10.0.0.1", headers, PROXIES) == client
    assert client_address("::ffff:10.0.0.1", headers, PROXIES) == client  # as a dual-stack socket says it


@pytest.mark.parametrize(
    "garbage",
    [
        *(
            "unknown",
            "_hidden",
            "",
            " ",
            ",",
            "a b",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.4/8",
            "256.1.1.1",
            "0x7f.1",
        ),
        *("1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "1.2.3.4:\u0663", "1.2.3.4\0", "\udc80", "é", "for=1.2.3.4"),
        *(
            "[::1",
            "[::1]x",
            "[::1]:",
            "[1.2.3.4]",
            "::1]",
            ":::",
            "1:2:3",
            "[]",
            "%eth0",
            ":80",
            "2130706433",
            "1" * 65_536,
        ),
    ],
)
def test_where_a_proxy_names_no_address_it_is_the_client_itself(garbage):
    assert network_of(garbage) is None
    assert client_address("10.0.0.1", [f"192.0.2.7, {garbage}, 10.0.0.2"], PROXIES) == "10.0.0.2"
    assert client_address("10.0.0.1", [f"192.0.2.7, {garbage}"], PROXIES) == "10.0.0.1"


def test_only_the_last_entries_of_a_long_chain_are_read():
    chain = ["192.0.2.7", *(f"10.0.1.{hop}" for hop in range(40))]
    assert client_address("10.0.0.1", [", ".join(chain)], PROXIES) == "10.0.1.8"
    assert client_address("10.0.0.1", chain, PROXIES) == "10.0.1.8"
    assert client_address("10.0.0.1", ["10.0.0.2," * 1_000_000 + "10.0.0.3"], PROXIES) == "10.0.0.2"


def test_a_peer_on_a_socket_file_is_trusted_only_by_name():
    assert client_address(None, ["192.0.2.7"], Networks.parse(["unix"])) == "192.0.2.7"
    assert client_address("10.0.0.1", ["192.0.2.7"], Networks.parse(["unix"])) == "10.0.0.1"
    assert client_address(None, ["unknown"], Networks.parse(["unix"])) is None


@pytest.mark.parametrize(
    ("networks", "field", "reason"),
    [
        (["10.0.0.0/8", "10.0.0.1/8"], "trusted_proxies[1]", "network_malformed"),
        (["proxy.example.org"], "trusted_proxies[0]", "network_malformed"),
        ([""], "trusted_proxies[0]", "network_malformed"),
        ([7], "trusted_proxies[0]", "network_malformed"),
        (["10.0.0.0/33"], "trusted_proxies[0]", "network_malformed"),
        (["unix", "0.0.0.0/0"], "trusted_proxies[1]", "network_everyone"),
        (["::/0"], "trusted_proxies[0]", "network_everyone"),
        (["::ffff:10.0.0.0/104"], "trusted_proxies[0]", "network_mapped"),
        ("10.0.0.0/8", "trusted_proxies", "networks_not_list"),
    ],
)
def test_a_mistake_among_the_trusted_networks_stops_the_start(networks, field, reason):
    with pytest.raises(ConfigurationError) as wrong:
        Networks.parse(networks)
    assert (wrong.value.field, wrong.value.reason) == (field, reason)


def test_ipv6_counts_by_64_bits_and_ipv4_inside_it_by_itself():
    assert network_of("2001:db8::1") == network_of("[2001:db8::ffff:ffff:ffff:ffff%en0]:443")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert (
        network_of("192.0.2.7")
        == network_of("::ffff:192.0.2.7")
        == network_of("64:ff9b::192.0.2.7")
        == b"\xc0\x00\x02\x07"
    )
    assert network_of("192.0.2.7") != network_of("192.0.2.8")
