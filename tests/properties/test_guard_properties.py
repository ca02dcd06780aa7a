"""What holds of throttling, grants and required claims for any attempts and any principal."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import ConfigurationError, Throttled, WrongClaim
from doorward.guard.addresses import Networks, client_address, network_of
from doorward.guard.issuers.required_claims import read_required_claims
from doorward.guard.policy.grants import Grants
from doorward.guard.throttle import Throttle
from doorward.model import Principal

START = 1_800_000_000
VICTIM = "198.51.100.7"

ADDRESSES = st.sampled_from(["203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2", "garbage", None])
PREFIXES = st.sampled_from(["dw_a", "dw_b", None])
STEPS_S = st.floats(0, 400, allow_nan=False)
FAILURES = st.lists(st.tuples(ADDRESSES, PREFIXES, STEPS_S), max_size=60)
SETTINGS = st.fixed_dictionaries(
    {
        "free_failures": st.integers(0, 5),
        "base_delay_s": st.floats(0.01, 10),
        "max_delay_s": st.floats(10, 300),
        "forget_after_s": st.floats(300, 900),
        "max_addresses": st.integers(16, 100),
    }
)

TEXTS = st.text(max_size=20)
NAMES = st.sampled_from(["a", "b", "eng", "ops"])
SELECTORS = (
    st.just("*") | NAMES.map("user:{}".format) | NAMES.map("group:{}".format) | NAMES.map("user:{}@x.org".format)
)
LISTS = st.lists(SELECTORS, max_size=3)
GRANTS = st.dictionaries(
    st.sampled_from(["public", "team", "lab"]),
    LISTS | st.fixed_dictionaries({}, optional={"read": LISTS, "mint": LISTS}),
)
PRINCIPALS = st.fixed_dictionaries(
    {
        "issuer": st.just("https://id.example.org"),
        "subject": NAMES,
        "email": st.none() | NAMES.map("{}@X.org".format),
        "email_verified": st.booleans(),
        "groups": st.lists(NAMES, max_size=2).map(tuple),
    }
).map(lambda facts: Principal(**facts))


def wait_s(throttle, address, prefix, now):
    try:
        throttle.check(address, prefix, now=now)
    except Throttled as throttled:
        return throttled.retry_after_s
    return 0


@given(settings=SETTINGS, failures=FAILURES, address=ADDRESSES, prefix=PREFIXES)
def test_who_waits_as_long_as_told_gets_in_and_who_never_failed_never_waits(settings, failures, address, prefix):
    throttle, now = Throttle(**settings), float(START)
    for failed_address, failed_prefix, step_s in failures:
        throttle.failed(failed_address, failed_prefix, now=now)
        now += step_s
    throttle.check(VICTIM, prefix, now=now)
    told_s = wait_s(throttle, address, prefix, now)
    assert 0 <= told_s <= settings["max_delay_s"] + 1
    assert wait_s(throttle, address, prefix, now + told_s) == 0


@given(address=st.none() | st.text() | st.ip_addresses().map(str), prefix=st.none() | st.text())
def test_every_address_counts_and_none_is_an_error(address, prefix):
    throttle = Throttle(free_failures=0)
    throttle.failed(address, prefix, now=START)
    assert wait_s(throttle, address, prefix, START) == (1 if address else 0)


@given(address=st.ip_addresses(v=6), other=st.integers(0, 2**64 - 1))
def test_ipv6_counts_by_64_bits(address, other):
    if network_of(str(address)) == address.packed[:8]:  # not one that has IPv4 inside
        same = type(address)((int(address) >> 64 << 64) | other)
        assert network_of(str(same))[:8] == address.packed[:8] or len(network_of(str(same))) == 4


@given(
    written=st.lists(st.ip_addresses().map(str) | TEXTS),
    client=st.ip_addresses().filter(lambda ip: network_of(str(ip))[:1] != b"\x0a").map(str),
)
def test_what_a_client_writes_before_its_address_changes_nothing(written, client):
    trusted = Networks.parse(["10.0.0.0/8"])
    honest = client_address("10.0.0.1", [client], trusted)
    assert network_of(honest) == network_of(client)
    assert client_address("10.0.0.1", [", ".join([*written, client])], trusted) == honest
    assert client_address("10.0.0.1", [*written, client], trusted) == honest


@given(grants=GRANTS, principal=PRINCIPALS)
def test_grants_agree_with_themselves_and_give_nothing_unsaid(grants, principal):
    parsed = Grants.parse(json.dumps(grants))
    for action in ("read", "mint"):
        held = parsed.audiences(principal, action)
        assert len(set(held)) == len(held)
        for audience in ("public", "team", "lab", "absent"):
            assert parsed.may(principal, action, audience) == (audience in held)
            named = grants.get(audience, [])
            listed = named.get(action, []) if isinstance(named, dict) else named if action == "read" else []
            mine = {"*", f"user:{principal.subject}", *(f"group:{group}" for group in principal.groups)}
            if principal.email and principal.email_verified:
                mine.add(f"user:{principal.email.lower()}")
            public = action == "read" and audience == "public"
            assert (audience in held) == (public or not mine.isdisjoint(listed))


@given(
    st.text()
    | st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda v: st.lists(v) | st.dictionaries(TEXTS, v))
)
def test_whatever_is_given_as_grants_is_read_or_refused(source):
    with suppress(ConfigurationError):
        Grants.parse(source)


def matches(pattern: str, text: str) -> bool:
    """What a pattern means, said as plainly as can be, and slowly."""
    if not pattern:
        return not text
    if pattern == "**":
        return True
    if pattern[0] == "*":
        return matches(pattern[1:], text) or bool(text and text[0] not in "/:" and matches(pattern, text[1:]))
    return bool(text and text[0] == pattern[0] and matches(pattern[1:], text[1:]))


@given(
    pattern=st.text("ab/:*", min_size=1, max_size=8).filter(
        lambda text: "**" not in text.removesuffix("**") and text not in {"**", "***"}
    ),
    text=st.text("ab/:", min_size=1, max_size=10),
)
def test_a_pattern_that_never_goes_back_finds_what_one_that_does_would_find(pattern, text):
    (required,) = read_required_claims({"claim": pattern})
    try:
        required.hold({"claim": text})
    except WrongClaim:
        assert not matches(pattern, text)
    else:
        assert matches(pattern, text)
