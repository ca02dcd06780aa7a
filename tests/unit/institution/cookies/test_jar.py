from __future__ import annotations

import pickle

import pytest

from doorward.errors import CorruptEntry
from doorward.institution.cookies.jar import MAX_COOKIES, MAX_COOKIES_OF_A_DOMAIN, Cookie, CookieJar
from doorward.institution.cookies.set_cookie import parse_cookie_date, parse_set_cookie
from doorward.institution.cookies.suffixes import is_public_suffix
from doorward.model import Secret

NOW = 1_800_000_000.0
DAY_S = 86400.0
UNI = "https://www.uni.example/a/b/c"
PLANTED = "planted-value"


def cookie(name="session", *, domain="uni.example", host_only=True, value=PLANTED, **rest):
    return Cookie(name=name, value=Secret(value), domain=domain, host_only=host_only, **rest)


def jar_after(*set_cookies, url=UNI, jar=None):
    jar = CookieJar() if jar is None else jar
    for each in set_cookies:
        jar.store(each, url=url, now=NOW)
    return jar


def sent(jar, url=UNI, now=NOW):
    return jar.header_for(url, now=now)


class TestWhereItGoes:
    @pytest.mark.parametrize(
        ("kept", "url", "goes"),
        [
            (cookie(), "https://uni.example", True),
            (cookie(), "https://UNI.example:8443/?q", True),
            (cookie(), "https://www.uni.example/", False),
            (cookie(), "https://uni.example./", False),
            (cookie(host_only=False), "https://www.uni.example/", True),
            (cookie(host_only=False), "https://evil-uni.example/", False),
            (cookie(host_only=False), "https://uni.example.evil.example/", False),
            (cookie(domain="0.0.1", host_only=False), "https://127.0.0.1/", False),
            (cookie(domain="::1"), "https://[::1]:8443/", True),
            (cookie(path="/a"), "https://uni.example/a", True),
            (cookie(path="/a"), "https://uni.example/a/b", True),
            (cookie(path="/a/"), "https://uni.example/a/b", True),
            (cookie(path="/a/"), "https://uni.example/a", False),
            (cookie(path="/a"), "https://uni.example/ab", False),
            (cookie(path="/a"), "https://uni.example/A", False),
            (cookie(), "http://uni.example/", True),
            (cookie(secure=True), "http://uni.example/", False),
            (cookie(secure=True, domain="localhost"), "http://localhost/", False),
            (cookie(secure=True), "https://uni.example/", True),
            (cookie(expires_at=NOW), "https://uni.example/", False),
            (cookie(expires_at=NOW + 1), "https://uni.example/", True),
            (cookie(), r"https://evil.example\@uni.example/", False),
            (cookie(), "https://evil.example@uni.example/", False),
            (cookie(), "https://uni.example/\n", False),
            (cookie(), "ftp://uni.example/", False),
            (cookie(), "//uni.example/", False),
            (cookie(), "https://[uni.example/", False),
            (cookie(), "https://uni%2Eexample/", False),
            (cookie(), None, False),
        ],
    )
    def test_host_path_scheme_and_age(self, kept, url, goes):
        assert sent(CookieJar([kept]), url) == (f"session={PLANTED}" if goes else None)

    def test_longer_paths_first_then_older_ones(self):
        jar = jar_after(
            "one=1; path=/", "two=2; path=/a/b", "three=3; path=/a/b", "four=4; path=/a/b/c", "one=5; path=/"
        )
        assert sent(jar) == "four=4; two=2; three=3; one=5"

    def test_two_of_one_name_on_two_hosts(self):
        jar = jar_after("JSESSIONID=sp", url="https://sp.example/")
        jar_after("JSESSIONID=idp", url="https://idp.example/", jar=jar)
        assert (sent(jar, "https://sp.example/"), sent(jar, "https://idp.example/")) == (
            "JSESSIONID=sp",
            "JSESSIONID=idp",
        )

    @pytest.mark.parametrize("value", ["ü", "a\tb"])
    def test_what_no_header_can_hold_stays_behind(self, value):
        assert sent(CookieJar([cookie(value=value), cookie("other", value="")]), "https://uni.example/") == "other="


class TestWhatAServerMaySet:
    @pytest.mark.parametrize(
        ("header", "elsewhere"),
        [
            ("s=1", "https://uni.example/a/b"),
            ("s=1; domain=", "https://uni.example/a/b"),
            ("s=1; domain=uni.example", "https://www.uni.example/a"),
            ("s=1; path=/x", "https://www.uni.example/a/b/c"),
            ("s=1; path=/a/b/c/", "https://www.uni.example/a/b/c"),
        ],
    )
    def test_it_does_not_go_elsewhere(self, header, elsewhere):
        jar = jar_after(header)
        assert len(jar.cookies) == 1
        assert sent(jar, elsewhere) is None

    @pytest.mark.parametrize(
        "header",
        [
            "s=1; Domain=uni.example",
            "s=1; DOMAIN = .UNI.example ",
            "s=1; domain=evil.example; domain=uni.example",
            "s=1; path=/a/b",
            "s=1; path=relative",
            "s=1; expires=nonsense; max-age=1e3; path",
            "s=1; max-age=100; expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "s=1; unknown; ; =; secure=false",
            "  s \t=\t1 ;secure",
            "s=1; path=" + "/x" * 600,
        ],
    )
    def test_it_comes_back(self, header):
        assert sent(jar_after(header)) == "s=1"

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "=1",
            "s",
            ";s=1",
            "s=1\r\nX-Other: 2",
            "s=\x001",
            "s=1; path=/\x7f",
            "s=" + "1" * 4096,
            "s=1; domain=example",
            "s=1; domain=other.example",
            "s=1; domain=w.uni.example",
            "s=1; domain=deeper.www.uni.example",
            "s=1; domain=.uni.example.",
            "s=1; domain=ünï.example",
            "s=1; expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "s=1; max-age=0",
            "s=1; max-age=-5; expires=Thu, 01 Jan 2099 00:00:00 GMT",
            "s=1; samesite=none",
            "__Secure-s=1",
            "__secure-s=1",
            "__Host-s=1; secure",
            "__Host-s=1; path=/",
            "__Host-s=1; secure; path=/a",
            "__Host-s=1; secure; path=/; domain=www.uni.example",
            "__Http-s=1; secure",
            "__Host-Http-s=1; secure; path=/",
        ],
    )
    def test_what_is_ignored(self, header):
        assert jar_after(header).cookies == ()

    @pytest.mark.parametrize(
        "header",
        [
            "__Secure-s=1; secure; domain=uni.example",
            "__Host-s=1; secure; path=/",
            "__Host-Http-s=1; secure; path=/; httponly",
            "s=1; secure; samesite=None",
        ],
    )
    def test_prefixes_that_keep_their_promise(self, header):
        assert len(jar_after(header).cookies) == 1
        assert jar_after(header, url=UNI.replace("https", "http")).cookies == ()

    @pytest.mark.parametrize("host", ["uni.edu.au", "uni.ac.uk", "uni.github.io", "localhost", "127.0.0.1", "[::1]"])
    def test_a_suffix_or_an_address_has_cookies_of_its_own_alone(self, host):
        parent = host.partition(".")[2] if host.startswith("uni") else host.strip("[]")
        jar = jar_after(f"s=1; domain={parent}", url=f"https://{host}/")
        assert [(each.domain, each.host_only) for each in jar.cookies] == (
            [] if host.startswith("uni") else [(parent, True)]
        )

    def test_a_suffix_that_is_a_site_itself(self):
        (kept,) = jar_after("s=1; domain=github.io", url="https://github.io/").cookies
        assert kept.host_only

    @pytest.mark.parametrize("url", [None, "ftp://www.uni.example/", "https://a@www.uni.example/", "https://a\\b/"])
    def test_an_address_that_is_none_sets_nothing(self, url):
        assert jar_after("s=1", url=url).cookies == ()

    def test_a_later_one_takes_the_place_of_the_same_and_of_no_other(self):
        jar = jar_after(
            "s=1; path=/", "s=2; path=/a", "s=3; path=/; domain=uni.example", "s=4; path=/; secure; httponly"
        )
        assert [each.value.reveal() for each in jar.cookies] == ["4", "2", "3"]

    def test_removal(self):
        jar = jar_after("s=1; path=/", "t=2; path=/", "s=; path=/a; max-age=0", "s=; path=/; max-age=0")
        assert sent(jar) == "t=2"

    @pytest.mark.parametrize(
        ("header", "url"),
        [
            ("s=2; path=/", "http://www.uni.example/"),
            ("s=2; path=/; secure", "http://www.uni.example/"),
            ("s=2; path=/a; domain=uni.example", "http://www.uni.example/"),
            ("s=; path=/; max-age=0", "http://www.uni.example/"),
        ],
    )
    def test_without_tls_nothing_takes_the_place_of_a_secure_one(self, header, url):
        jar = jar_after("s=1; path=/; secure")
        jar_after(header, url=url, jar=jar)
        assert sent(jar) == "s=1"

    def test_without_tls_others_may_be_set(self):
        jar = jar_after("s=1; path=/a; secure", "t=1; path=/")
        jar_after("s=2; path=/", "t=2; path=/", url="http://www.uni.example/", jar=jar)
        assert sent(jar) == "s=1; t=2; s=2"

    def test_no_cookie_outlives_400_days(self):
        jar = jar_after("s=1; max-age=" + "9" * 1000, "t=1; expires=Fri, 31 Dec 9999 23:59:59 GMT")
        assert {each.expires_at for each in jar.cookies} == {NOW + 400 * DAY_S}

    def test_a_domain_with_too_many_loses_its_own_oldest(self):
        jar = jar_after("other=1", url="https://other.example/")
        jar_after(*(f"n{each}=1" for each in range(MAX_COOKIES_OF_A_DOMAIN + 1)), jar=jar)
        names = [each.name for each in jar.cookies]
        assert len(names) == MAX_COOKIES_OF_A_DOMAIN + 1
        assert names[:2] == ["other", "n1"]

    def test_a_full_jar_takes_only_what_it_knows_or_has_room_for(self):
        full = [cookie(domain=f"h{each}.example", expires_at=NOW + 5) for each in range(MAX_COOKIES + 1)]
        jar = CookieJar(full)
        assert len(jar.cookies) == MAX_COOKIES
        jar_after("new=1", url="https://new.example/", jar=jar)
        assert sent(jar, "https://new.example/") is None
        jar_after("session=2; path=/", url="https://h0.example/", jar=jar)
        assert sent(jar, "https://h0.example/") == "session=2"
        jar.store("new=1", url="https://new.example/", now=NOW + 5)
        assert [each.name for each in jar.cookies] == ["session", "new"]  # h0's, of this session now


class TestDates:
    @pytest.mark.parametrize(
        "text",
        [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "6 NOVEMBER 1994 8:49:37",
            "08:49:37xyz 1994th 06th Nov",
        ],
    )
    def test_every_way_to_write_one(self, text):
        assert parse_cookie_date(text) == 784111777

    @pytest.mark.parametrize(("year", "begins"), [("69", 3124224000), ("70", 0), ("1601", -11644473600)])
    def test_years(self, year, begins):
        assert parse_cookie_date(f"Thu, 01 Jan {year} 00:00:00 GMT") == begins

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Sun, 06 Nov 1994",
            "08:49:37 Nov 1994",
            "06 1994 08:49:37",
            "06 Nov 08:49:37",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1600 08:49:37 GMT",
            "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        ],
    )
    def test_what_is_no_date(self, text):
        assert parse_cookie_date(text) is None


class TestFromTheBrowserAndTheFile:
    KEPT = (
        cookie(http_only=True, secure=True, same_site="None"),
        cookie("wide", host_only=False, path="/a", expires_at=NOW + 0.5, same_site="Strict"),
        cookie("six", domain="::1"),
    )

    def test_there_and_back(self):
        jar = CookieJar(self.KEPT)
        assert CookieJar.from_json(jar.to_json()).cookies == self.KEPT
        assert CookieJar.from_browser(jar.to_browser()).cookies == self.KEPT

    def test_the_shape_of_the_file(self):
        first, second, third = CookieJar(self.KEPT).to_json()
        assert first == {
            "name": "session",
            "value": PLANTED,
            "domain": "uni.example",
            "path": "/",
            "expires": -1,
            "httpOnly": True,
            "secure": True,
            "sameSite": "None",
        }
        assert (second["domain"], second["expires"], third["domain"]) == (".uni.example", NOW + 0.5, "[::1]")

    @pytest.mark.parametrize(
        "change",
        [
            {"name": ""},
            {"name": "a=b"},
            {"name": "a\nb"},
            {"name": None},
            {"value": "a;b"},
            {"value": "a\r\nb"},
            {"value": " a"},
            {"value": 1},
            {"value": "1" * 4096},
            {"domain": ""},
            {"domain": "."},
            {"domain": "a/b"},
            {"domain": "a b"},
            {"domain": 5},
            {"path": "a"},
            {"path": "/;"},
            {"path": None},
            {"expires": True},
            {"expires": "1"},
            {"expires": float("nan")},
            {"expires": float("inf")},
            {"expires": 10**400},
            {"expires": None},
            {"httpOnly": 1},
            {"secure": "true"},
            {"sameSite": "lax"},
            {"sameSite": []},
            {"extra": 1},
        ],
    )
    def test_a_file_that_was_changed_is_refused(self, change):
        (good,) = CookieJar(self.KEPT[:1]).to_json()
        with pytest.raises(CorruptEntry) as caught:
            CookieJar.from_json([good, good | change])
        assert caught.value.reason == "wrong_cookies"
        assert "number 2" in str(caught.value)
        assert PLANTED not in str(caught.value)
        if "extra" not in change:
            assert len(CookieJar.from_browser([good, good | change]).cookies) == 1

    @pytest.mark.parametrize("document", [None, {}, "[]", [[]], [None], [{}], [{}] * (MAX_COOKIES + 1)])
    def test_what_is_no_list_of_cookies(self, document):
        with pytest.raises(CorruptEntry) as caught:
            CookieJar.from_json(document)
        assert caught.value.reason == "wrong_cookies"

    @pytest.mark.parametrize(
        ("partition", "kept"),
        [
            (None, True),
            ("", True),
            ("https://uni.example", True),
            ("https://example", True),
            ("https://other.example", False),
            ("https://www.uni.example", False),
            ("nonsense", False),
        ],
    )
    def test_a_partitioned_cookie_counts_where_its_site_is_the_page(self, partition, kept):
        (good,) = CookieJar(self.KEPT[:1]).to_browser()
        assert len(CookieJar.from_browser([good | {"partitionKey": partition}]).cookies) == kept


def test_no_value_is_shown():
    jar = CookieJar([cookie()])
    shown = [repr(jar), repr(jar.cookies), str(jar), repr(parse_set_cookie(f"s={PLANTED}", now=NOW))]
    shown.append(repr(pickle.dumps(jar.cookies)))
    assert not [text for text in shown if PLANTED in text]
    assert "session of uni.example" in shown[0]


def test_a_jar_without_a_host():
    jar = CookieJar([cookie(), cookie("wide", host_only=False), cookie("www", domain="www.uni.example")])
    assert [each.name for each in jar.without("UNI.example").cookies] == ["www"]
    assert [each.name for each in jar.without("www.uni.example").cookies] == ["session"]
    assert len(jar.cookies) == 3


@pytest.mark.parametrize(
    ("domain", "wide"),
    [
        ("edu", True), ("edu.au", True), ("ac.uk", True), ("localhost", True), ("herokuapp.com", True), ("com.", True),
        ("jcu.edu.au", False), ("uni.example", False), ("ac.example", False), ("bbc.uk", False), ("a.github.io", False),
        ("kobe.jp", True), ("a.kobe.jp", True), ("city.kobe.jp", False), ("b.c.kobe.jp", False),
        ("k12.ca.us", True), ("pvt.k12.ma.us", True), ("www.ck", False), ("other.ck", True), ("eu.org", True),
        ("xn--55qx5d.cn", True), ("公司.cn", True), ("AC.JP", True), ("s3.amazonaws.com", True),
        ("idm.oclc.org", True), ("jcu.idm.oclc.org", False), ("oclc.org", False), ("unknown-top", True),
    ],
)  # fmt: skip
def test_suffixes(domain, wide):
    assert is_public_suffix(domain) == wide
