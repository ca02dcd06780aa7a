"""What holds of an institution's links, cookies and patterns, whatever a person, a server or a file says."""

from __future__ import annotations

import contextlib
import string
from urllib.parse import quote

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from doorward.errors import ConfigurationError, CorruptEntry
from doorward.institution.cookies.jar import Cookie, CookieJar
from doorward.institution.cookies.set_cookie import parse_cookie_date, parse_set_cookie
from doorward.institution.patterns import CookiePatterns
from doorward.institution.routes import parse_institution
from doorward.model import Secret
from doorward.protocol.reading.urls import url_flaw

NOW = 1_800_000_000.0

untimed = settings(deadline=None)  # a busy machine takes the time it takes

ROUTES = [
    parse_institution(where)
    for where in (
        "jcu.edu.au",
        "https://ezproxy.example.edu",
        "https://proxy.example.edu/login?qurl=",
        "https://proxy.openathens.net/login?entityID=urn%3Aidp&qurl=",
        "https://sp.example.com/Shibboleth.sso/Login?entityID=https%3A%2F%2Fidp.example.edu",
        "https://idp.example.edu/idp/profile/SAML2/Unsolicited/SSO?providerId=urn%3Asp",
        "https://cas.example.edu/cas/login",
        "https://sso.example.edu/login?service=",
        "https://my.openathens.net",
    )
]
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
REST = st.text("abcXYZ019-._~:/?#[]@!$&'()*+,;=%", max_size=60)


def is_url(text: str) -> bool:
    return not url_flaw(text.replace("http://", "https://", 1), loopback_http=False, query=True, fragment=True)


TARGETS = (
    st.builds("{}://{}{}/{}".format, st.sampled_from(["https", "http"]), HOSTS, st.sampled_from(["", ":8443"]), REST)
    | st.builds(
        "{}{}".format,
        st.sampled_from(
            ["https://a-b.ezproxy.example.edu/", "https://p80-a--b-c.ezproxy.example.edu/"]
            + [f"{route.institution_url}{mark}{name}=" for route in ROUTES for mark in "?&" for name in ("url", "qurl")]
        ),
        REST | REST.map(lambda rest: quote(f"https://a.example/{rest}", safe="")),
    )
).filter(is_url)  # behind a host without a path, "&url=[" is part of the host's name


@untimed
@given(st.sampled_from(ROUTES), TARGETS)
def test_there_and_back_and_no_further(route, target):
    link = route.link_to(target)
    innermost = route.target_of(target) or target
    assert (route.target_of(link) or link) == innermost
    assert route.link_to(link) == link == route.link_to(innermost)


@untimed
@given(st.sampled_from(ROUTES), TARGETS)
def test_a_link_is_the_institution_again(route, target):
    assume(route.kind != "portal")
    assert parse_institution(route.link_to(target)) == route


@untimed
@given(st.sampled_from(ROUTES), TARGETS, st.integers(1, 4))
def test_links_in_links_lead_to_the_innermost(route, target, depth):
    assume(route.kind != "portal" and route.target_of(target) is None)
    some = "https://a.example"
    prefix = route.link_to(some).removesuffix(quote(some, safe=""))
    link = target
    for _ in range(depth):
        link = prefix + quote(link, safe="")
    assume(len(link) < 16_000)
    assert route.target_of(link) == target


@untimed
@given(st.text() | TARGETS | st.builds("https://{}".format, st.text()) | st.text("htps:/.?#@[]%-", max_size=30))
def test_reading_an_institution_gives_a_route_or_our_error(where):
    with contextlib.suppress(ConfigurationError):
        route = parse_institution(where)
        assert parse_institution(route.institution_url) == route
        assert route.institution_url.startswith("https://")


@untimed
@given(st.sampled_from(ROUTES), st.text() | TARGETS | st.text("htps:/.?#@[]%-=&url", max_size=40))
def test_reading_a_link_never_fails(route, text):
    target = route.target_of(text)
    assert target is None or target.startswith(("https://", "http://"))
    with contextlib.suppress(ConfigurationError):
        assert route.link_to(text).startswith(("https://", "http://"))


SMALL_HOSTS = st.sampled_from(
    ["uni.example", "www.uni.example", "a.www.uni.example", "evil-uni.example", "example", "10.0.0.1", "0.0.1"]
)
SMALL_PATHS = st.text("/ab", max_size=5).map("/{}".format)
COOKIES = st.builds(
    Cookie,
    name=st.text("st", min_size=1, max_size=2),
    value=st.text(string.ascii_letters, max_size=3).map(Secret),
    domain=SMALL_HOSTS,
    host_only=st.booleans(),
    path=SMALL_PATHS,
    expires_at=st.none() | st.floats(NOW - 2, NOW + 2),
    http_only=st.booleans(),
    secure=st.booleans(),
    same_site=st.sampled_from(["Strict", "Lax", "None"]),
)


def may_go(cookie, scheme, host, path, now):
    """RFC 6265 section 5.4, step 1, in its own words."""
    is_ip = host.replace(".", "").isdigit()
    domain_match = host == cookie.domain or (
        host.endswith(cookie.domain) and host[: -len(cookie.domain)].endswith(".") and not is_ip
    )
    host_ok = host == cookie.domain if cookie.host_only else domain_match
    path_ok = path == cookie.path or (
        path.startswith(cookie.path) and (cookie.path[-1] == "/" or path[len(cookie.path)] == "/")
    )
    alive = cookie.expires_at is None or cookie.expires_at > now
    return host_ok and path_ok and alive and (scheme == "https" or not cookie.secure)


@untimed
@given(st.lists(COOKIES, max_size=8), st.sampled_from(["https", "http"]), SMALL_HOSTS, SMALL_PATHS)
def test_a_cookie_goes_where_rfc_6265_sends_it_and_nowhere_else(cookies, scheme, host, path):
    jar = CookieJar(cookies)
    header = jar.header_for(f"{scheme}://{host}{path}", now=NOW)
    due = [each for each in jar.cookies if may_go(each, scheme, host, path, NOW)]
    expected = [f"{each.name}={each.value.reveal()}" for each in sorted(due, key=lambda each: -len(each.path))]
    assert header == ("; ".join(expected) or None)


SET_COOKIES = st.text() | st.builds(
    "{}={}; {}".format,
    st.sampled_from(["s", "t", "__Host-s", "__Secure-s"]),
    st.text("abc ", max_size=3),
    st.lists(
        st.builds("Domain={}".format, SMALL_HOSTS)
        | st.builds("Path={}".format, SMALL_PATHS)
        | st.builds("Max-Age={}".format, st.integers(-5, 5))
        | st.sampled_from(["Secure", "HttpOnly", "SameSite=None", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]),
        max_size=4,
    ).map("; ".join),
)


@untimed
@given(st.lists(st.tuples(SET_COOKIES, st.sampled_from(["https", "http"]), SMALL_HOSTS, SMALL_PATHS), max_size=6))
def test_nobody_sets_a_cookie_for_others(headers):
    jar = CookieJar()
    for text, scheme, host, path in headers:
        before = set(jar.cookies)
        jar.store(text, url=f"{scheme}://{host}{path}", now=NOW)
        assert len(before ^ set(jar.cookies)) <= 2
        for cookie in before ^ set(jar.cookies):
            assert may_go(cookie, "https", host, cookie.path, float("-inf"))
            assert scheme == "https" or not cookie.secure
            assert cookie.host_only or "." in cookie.domain
            assert not cookie.name.startswith("__") or cookie.secure
            assert not cookie.name.startswith("__Host-") or (cookie.host_only and cookie.path == "/")
    assert CookieJar.from_json(jar.to_json()).cookies == jar.cookies


@untimed
@given(st.text())
@example("s=1; max-age=" + "9" * 1024)
@example("s=1; expires=" + "1:1:1 " * 1000)
def test_reading_a_header_never_fails(text):
    parse_cookie_date(text)
    cookie = parse_set_cookie(text, now=NOW)
    assert cookie is None or cookie.name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=8,
)
NAMES = ["name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite"]


@untimed
@given(JSON | st.lists(st.fixed_dictionaries({name: JSON | st.just("/") for name in NAMES}), max_size=3))
def test_reading_a_file_gives_cookies_or_our_error(document):
    with contextlib.suppress(CorruptEntry):
        jar = CookieJar.from_json(document)
        assert CookieJar.from_json(jar.to_json()).cookies == jar.cookies


@untimed
@given(st.text("ab.*+[]-\\^$()|?{}0_", max_size=12) | st.text(max_size=12), st.text(max_size=20))
def test_a_pattern_is_refused_or_matches_few(pattern, name):
    with contextlib.suppress(ConfigurationError):
        patterns = CookiePatterns([pattern])
        assert patterns.matches("") is None
        letters = sum(each.isalnum() for each in pattern)
        if patterns.matches(name) == "service":
            assert letters >= 3
            assert len(name) >= 3
