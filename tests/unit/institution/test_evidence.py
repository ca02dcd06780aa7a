"""Verdicts over sequences of observations: what a login shows, and what may be made of it (I6)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.institution.evidence import Evidence
from doorward.institution.observations import (
    Answered,
    CookieSeen,
    CookiesSeen,
    Crashed,
    Leaving,
    Pending,
    Posted,
    Probed,
    ProbeNow,
    Refused,
    Settled,
    SignedIn,
    TimedOut,
    WindowClosed,
    place_of,
)

TARGET = "https://journal.example.org/paper?id=1"
IDP = "https://idp.example.edu/login"
ACS = "https://journal.example.org/Shibboleth.sso/SAML2/POST"


@dataclass(frozen=True)
class Route:
    kind: str = "shibboleth"
    host: str = "journal.example.org"


class Patterns:
    KINDS = (
        ("_shibstate_", "before"),
        ("_opensaml_req_", "before"),
        ("_saml_idp", "before"),
        ("simplesamlauthtoken", "idp"),
        ("tgc", "idp"),
        ("simplesaml", "before"),
        ("_shibsession_", "service"),
        ("ezproxy", "service"),
    )

    def matches(self, name):
        return next((kind for start, kind in self.KINDS if name.lower().startswith(start)), None)


def evidence(target=TARGET, route=Route(), **options) -> Evidence:
    return Evidence(route, target, Patterns(), **options)


def cookies(*names: str, domain="journal.example.org", digest="1") -> CookiesSeen:
    return CookiesSeen(tuple(CookieSeen(name, domain, "/", digest) for name in names))


def told(evidence: Evidence, *observations, every_s=1.0, start=100.0):
    """Tell it one after the other; return the last verdict."""
    verdict = evidence.verdict
    for number, observation in enumerate(observations):
        verdict = evidence.observe(observation, start + number * every_s)
    return verdict


PENDING = {
    "nothing seen": ([CookiesSeen(())], "page_under_way"),
    "a login page": ([Leaving(IDP), Settled(IDP), CookiesSeen(())], "elsewhere"),
    "the target without a cookie": ([Settled(TARGET), CookiesSeen(())], "nothing_changed"),
    "the target's name in a RelayState": (
        [Settled(f"{IDP}?RelayState=https%3A%2F%2Fjournal.example.org%2Fpaper"), cookies("_shibstate_1")],
        "elsewhere",
    ),
    "the target's name in a path, a fragment, a user name": (
        [
            Settled("https://idp.example.edu/journal.example.org/#https://journal.example.org/"),
            cookies("JSESSIONID"),
            Settled("https://journal.example.org@idp.example.edu/"),
            cookies("JSESSIONID"),
            Settled("https://journal.example.org.idp.example.edu/"),
            cookies("JSESSIONID"),
        ],
        "elsewhere",
    ),
    "the target over plain http, on another port": (
        [
            Settled("http://journal.example.org/paper"),
            cookies("JSESSIONID"),
            Settled("https://journal.example.org:8443/paper"),
            cookies("JSESSIONID"),
        ],
        "elsewhere",
    ),
    "another service over plain http": (
        [Settled("http://publisher.test/doi/1"), cookies("_shibsession_9", domain="publisher.test")],
        "elsewhere",
    ),
    "a discovery choice": ([Settled(TARGET), cookies("_saml_idp")], "cookies_mean_nothing"),
    "cookies from before the login": (
        [Settled(TARGET), cookies("_shibstate_1a", "_opensaml_req_x", "SimpleSAML", "SimpleSAMLSessionID")],
        "cookies_mean_nothing",
    ),
    "a consent page at the provider": (
        [
            Posted(ACS, "SAMLResponse"),
            Settled("https://idp.example.edu/module.php/consent/getconsent.php"),
            cookies("SimpleSAMLAuthToken", "SimpleSAMLSessionID", domain="idp.example.edu"),
        ],
        "elsewhere",
    ),
    "a session at the provider alone": (
        [Settled(TARGET), cookies("SimpleSAMLAuthToken", "TGC", domain="idp.example.edu")],
        "nothing_changed",
    ),
    "a wrong password, three times": (
        [Leaving(IDP), Answered(IDP, 200), Settled(IDP), cookies("JSESSIONID", domain="idp.example.edu")] * 3,
        "elsewhere",
    ),
    "an error page at the provider": ([Answered(IDP, 500), Settled(IDP), CookiesSeen(())], "elsewhere"),
    "twenty anonymous cookies at the provider": (
        [Settled(IDP), cookies(*(f"_ga_{number}" for number in range(20)), domain="idp.example.edu")],
        "elsewhere",
    ),
    "an assertion under way": ([Posted(ACS, "SAMLResponse"), cookies("_shibsession_1")], "assertion_under_way"),
    "a page under way": ([Settled(TARGET), Leaving(TARGET), cookies("_shibsession_1")], "page_under_way"),
    "a bot check": ([Answered(TARGET, 403), Settled(TARGET), CookiesSeen(())], "human_check"),
    "addresses of no host": ([Settled("about:blank"), cookies("x"), Settled("https://["), cookies("x")], "elsewhere"),
}


@pytest.mark.parametrize(("observations", "reason"), PENDING.values(), ids=PENDING)
def test_nobody_is_signed_in_by(observations, reason):
    assert told(evidence(), *observations) == Pending(reason)


WORTH_A_PROBE = {
    "a session of the service": ([Settled(TARGET), cookies("_shibsession_1")], "service_cookie"),
    "a cookie nobody knows": ([Settled(TARGET), cookies("JSESSIONID")], "cookie_changed"),
    "a wide cookie": ([Settled(TARGET), cookies("s", domain=".example.org")], "cookie_changed"),
    "the target with www": ([Settled("https://www.journal.example.org/x"), cookies("s", domain=".example.org")],
                            "cookie_changed"),
    "a service that uses SimpleSAMLphp": (
        [Posted(ACS, "SAMLResponse"), Answered(ACS, 303), Settled(TARGET), cookies("SimpleSAMLAuthToken")],
        "assertion_taken",
    ),
    "a target that moves, with an assertion": (
        [
            Posted("https://publisher.test/acs", "SAMLResponse"),
            Answered("https://publisher.test/acs", 302),
            Settled("https://publisher.test/doi/1"),
            cookies("JSESSIONID", domain="publisher.test"),
        ],
        "assertion_taken",
    ),
    "a target that moves, with a known cookie": (
        [Settled("https://publisher.test/doi/1"), cookies("_shibsession_9", domain="publisher.test")],
        "service_cookie",
    ),
    "a ticket": (
        [Posted(TARGET, "ticket"), Answered(TARGET, 302), Settled(TARGET), cookies("PHPSESSID")],
        "assertion_taken",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("observations", "reason"), WORTH_A_PROBE.values(), ids=WORTH_A_PROBE)
def test_a_probe_is_worth_making_for(observations, reason):
    assert told(evidence(), *observations) == ProbeNow(reason)


def test_only_the_probe_signs_in():
    made = evidence()
    assert told(made, Settled(TARGET), cookies("_shibsession_1")) == ProbeNow("service_cookie")
    assert told(made, Probed(valid=False, reason="login_page"), start=103) == Pending("not_proven")
    assert told(made, Probed(valid=None, reason="dns_failed"), start=104) == Pending("not_proven")
    assert told(made, Probed(valid=True, reason="paper"), start=105) == SignedIn("paper")
    assert told(made, WindowClosed(), start=106) == SignedIn("paper")


OBSERVATIONS = st.one_of(
    st.sampled_from([Settled(TARGET), Settled(IDP), Settled("https://["), Leaving(IDP), Posted(ACS, "SAMLResponse")]),
    st.builds(Answered, st.sampled_from([ACS, IDP, TARGET]), st.integers(200, 599)),
    st.lists(st.sampled_from(["_shibsession_1", "TGC", "_saml_idp", "x"])).map(lambda names: cookies(*names)),
    st.builds(Probed, st.sampled_from([False, None]), st.just("no")),
)


@given(st.lists(OBSERVATIONS, max_size=60), st.booleans())
def test_without_a_valid_probe_nobody_is_ever_signed_in(observations, attended):
    made = evidence(attended=attended)
    for number, observation in enumerate(observations):
        assert not isinstance(made.observe(observation, number / 3), SignedIn)


@given(st.lists(OBSERVATIONS, max_size=60))
def test_whatever_came_before_a_session_at_the_service_is_probed_in_the_end(observations):
    made = evidence()
    for observation in [*observations, Settled(TARGET)]:
        made.observe(observation, 10)
    soon = [made.observe(cookies("_shibsession_2", digest="new"), 10 + wait) for wait in (0, 1, 31)]
    assert any(isinstance(each, ProbeNow) for each in soon)


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (WindowClosed(), "window_closed"),
        (Crashed("browser_ended"), "browser_ended"),
        (Crashed("page_crashed"), "page_crashed"),
        (Crashed("page_unreachable"), "page_unreachable"),
        (TimedOut("page"), "page_timeout"),
        (TimedOut("login"), "login_timeout"),
    ],
)
def test_each_end_has_its_reason_and_is_final(observation, reason):
    made = evidence()
    assert told(made, Settled(IDP), CookiesSeen(()), observation) == Refused(reason)
    seen = len(made.history)
    assert told(made, Settled(TARGET), Probed(valid=True, reason="late"), start=200) == Refused(reason)
    assert len(made.history) == seen


def probes(made: Evidence, looks, *, until_s: float, valid=False) -> list[float]:
    """Look twice a second and answer every wish for a probe; return when there was one."""
    asked, at = [], 0.0
    while at < until_s:
        if isinstance(made.observe(looks(at), 1000 + at), ProbeNow):
            asked.append(at)
            made.observe(Probed(valid=valid, reason="no"), 1000 + at)
        at += 0.5
    return asked


def test_probes_are_spaced_out_however_many_cookies_change():
    made = evidence()
    made.observe(Settled(TARGET), 999)
    asked = probes(made, lambda at: cookies("_ga", digest=str(at)), until_s=300)
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert asked[0] == 0
    assert gaps == sorted(gaps)
    assert gaps[-1] == 30
    assert len(asked) < 20


def test_news_of_the_service_shortens_the_wait_but_not_below_a_second():
    made = evidence()
    made.observe(Settled(TARGET), 999)
    asked = probes(made, lambda at: cookies("_shibsession_1", digest=str(at)), until_s=30)
    assert 14 <= len(asked) <= 31
    made.observe(Settled(TARGET + "&page=2"), 1060)
    assert made.observe(cookies("_shibsession_1", digest="last"), 1060) == ProbeNow("service_cookie")


def test_cookies_that_mean_nothing_are_not_trusted_to_mean_nothing_for_ever():
    made = evidence()
    made.observe(Settled(TARGET), 999)
    asked = probes(made, lambda _: cookies("_shibstate_1"), until_s=60)
    assert asked == [20, 40]


def test_what_was_there_before_is_no_change():
    before = cookies("_shibsession_1").cookies
    made = evidence(snapshot=before)
    assert told(made, Settled(TARGET), CookiesSeen(before)) == Pending("nothing_changed")
    changed = cookies("_shibsession_1", digest="2")
    assert told(made, changed, start=110) == ProbeNow("service_cookie")


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("https://link-publisher-test.ezproxy.example.edu/article/1", True),
        ("https://ezproxy.example.edu:2048/article/1", True),
        ("https://ezproxy.example.edu/menu", True),
        ("https://login.ezproxy.example.edu/login?qurl=https%3A%2F%2Flink.publisher.test%2F", False),
        ("https://login.ezproxy.example.edu/connect?session=x", False),
        ("https://idp.example.edu/ezproxy.example.edu", False),
        ("https://notezproxy.example.edu/", False),
        ("http://link-publisher-test.ezproxy.example.edu/article/1", False),
        ("https://link.publisher.test/article/1", True),
    ],
)
def test_a_proxy_serves_below_its_own_name(url, there):
    made = evidence("https://link.publisher.test/article/1", Route("ezproxy", "login.ezproxy.example.edu"))
    host = url.split("/")[2].partition(":")[0]
    verdict = told(made, Settled(url), cookies("other", domain=host))  # a name that nobody knows: the zone alone tells
    assert verdict == (ProbeNow("cookie_changed") if there else Pending("elsewhere"))


def test_the_target_is_itself_where_the_proxy_serves_it():
    made = evidence("https://link.publisher.test/article/1", Route("ezproxy", "login.ezproxy.example.edu"))
    seen = [
        Settled("https://login.ezproxy.example.edu/login"),
        Settled("https://link-publisher-test.ezproxy.example.edu/article/1/"),
        cookies("ezproxy", domain=".ezproxy.example.edu"),
    ]
    verdict, at = looked_at(made, *seen, reason="refused_403")
    assert verdict == Refused("refused_403", "refused_403")
    assert at <= 20


def test_whoever_closes_the_window_at_once_gets_one_last_look():
    made = evidence()
    told(made, Settled(TARGET), cookies("_shibsession_1"))  # a probe is due, but the window closes first
    assert told(made, WindowClosed(), start=110) == ProbeNow("window_closed")
    assert told(made, Probed(valid=True, reason="paper"), start=111) == SignedIn("paper")


def test_a_last_look_that_finds_nothing_is_the_end():
    made = evidence()
    told(made, Settled(TARGET), cookies("_shibsession_1"), WindowClosed())
    last = Probed(valid=False, reason="sent_to_login")
    assert told(made, last, start=111) == Refused("window_closed", "sent_to_login")


def looked_at(made: Evidence, *observations, reason: str, valid: bool | None = False, until_s: float = 290):
    """Show it what a person does, then look twice a second; answer each wish for a probe. Return the end, and when."""
    told(made, *observations, every_s=0, start=1000)
    at = 0.0
    while at < until_s and not isinstance(made.verdict, Refused | SignedIn):
        if isinstance(made.observe(CookiesSeen(made_cookies(observations)), 1000 + at), ProbeNow):
            made.observe(Probed(valid=valid, reason=reason), 1000 + at)
        at += 0.5
    return made.verdict, at


def made_cookies(observations):
    return next((each.cookies for each in reversed(observations) if isinstance(each, CookiesSeen)), ())


TERMS = "https://journal.example.org/terms"
TOOK = [Settled(IDP), Posted(ACS, "SAMLResponse"), Answered(ACS, 302)]
SHOWN = [*TOOK, Answered(TARGET, 200), Settled(TARGET), cookies("_shibsession_1")]
REFUSED = [*TOOK, Answered(TARGET, 401), Settled(TARGET), cookies("_shibsession_1")]
OF_A_PORTAL = [Settled(IDP), Answered(TARGET, 200), Settled(TARGET), cookies("sid")]

KEPT_OUT = {
    "the target answers 401": (REFUSED, "refused_401", False, "refused_401", 10, 20),
    "403 in the window too, perhaps a check": (
        [*TOOK, Answered(TARGET, 403), Settled(TARGET), cookies("_shibsession_1")],
        "refused_403", False, "refused_403", 30, 50,
    ),
    "programs are kept out": (SHOWN, "refused_403", False, "human_check", 10, 20),
    "a bot check": (SHOWN, "human_check", None, "human_check", 10, 20),
    "a paper that the window saved": (
        [Settled(TERMS), *TOOK[1:], Answered(TARGET, 200), Settled(TERMS), cookies("_shibsession_1")],
        "human_check", None, "human_check", 10, 20,
    ),
    "a target that is open to browsers": (SHOWN, "target_open", None, "target_open", 10, 20),
    "a cookie that nobody knows, after a way through the provider": (
        OF_A_PORTAL, "refused_401", False, "human_check", 10, 20,
    ),
    "terms that may have to be agreed to": (
        [*TOOK, Settled(TERMS), cookies("_shibsession_1")], "refused_403", False, "refused_403", 60, 120,
    ),
    "a login page all along": (SHOWN, "login_form", False, "login_form", 60, 120),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "reason", "valid", "end", "least", "most"), KEPT_OUT.values(), ids=KEPT_OUT)
def test_a_target_that_goes_on_refusing_ends_it_soon(seen, reason, valid, end, least, most):
    verdict, at = looked_at(evidence(), *seen, reason=reason, valid=valid)
    assert verdict == Refused(end, end)
    assert least <= at <= most


NOT_KEPT_OUT = {
    "nobody has signed in: a cookie of the start page": ([Settled(TARGET), cookies("sid")], "refused_401", False),
    "an outage": (SHOWN, "server_error", None),
    "a network that is away": (SHOWN, "dns_failed", None),
    "too many requests": (SHOWN, "rate_limited", None),
    "another service, where they look for the way on": (
        [
            Settled("https://library.test/"),
            CookiesSeen((CookieSeen("_shibsession_9", "library.test", "/", "1"),)),
        ],
        "refused_403",
        False,
    ),
}


@pytest.mark.parametrize(("seen", "reason", "valid"), NOT_KEPT_OUT.values(), ids=NOT_KEPT_OUT)
def test_it_goes_on_where_more_may_come(seen, reason, valid):
    made = evidence()
    verdict, _ = looked_at(made, *seen, reason=reason, valid=valid)
    assert isinstance(verdict, Pending)
    shown = reason if valid is False else ""
    assert told(made, TimedOut("login"), start=1300) == Refused("login_timeout", shown)


def test_who_is_still_at_it_is_left_alone():
    made = evidence()
    told(made, *SHOWN, every_s=0, start=1000)
    for at in range(1000, 1290):
        if isinstance(made.observe(SHOWN[-1], at), ProbeNow):
            made.observe(Probed(valid=None, reason="human_check"), at)
        if at % 8 == 0:
            made.observe(Settled(f"{TERMS}/{at}"), at)
    assert not isinstance(made.verdict, Refused)


@pytest.mark.parametrize(("end", "start"), [(TimedOut("login"), 102), (WindowClosed(), 102)], ids=["time", "window"])
def test_whatever_ends_it_says_that_the_target_refused(end, start):
    made = evidence()
    told(made, *REFUSED, Probed(valid=False, reason="refused_401"), every_s=0, start=100)
    assert told(made, end, start=start) == Refused("refused_401", "refused_401")


def test_without_a_person_a_refusal_may_be_that_of_the_old_cookies():
    verdict, _ = looked_at(evidence(attended=False), *REFUSED, reason="refused_401")
    assert verdict == Refused("needs_person", "refused_401")
    made = evidence(attended=False)
    looked_at(made, *SHOWN, reason="human_check", valid=None, until_s=8)
    assert told(made, TimedOut("login"), start=1008) == Refused("login_timeout", "human_check")


def test_without_a_person_a_check_for_one_is_not_waited_for():
    verdict, at = looked_at(evidence(attended=False), *SHOWN, reason="human_check", valid=None)
    assert verdict == Refused("needs_person", "human_check")
    assert at <= 20


@pytest.mark.parametrize("status", [200, 403])
def test_without_a_person_a_page_that_stays_wants_one(status):
    made = evidence(attended=False, human_check_wait_s=30)
    told(made, Leaving(IDP), Answered(IDP, status), Settled(IDP), every_s=0)
    patience_s = 5 if status == 200 else 30
    assert isinstance(made.observe(CookiesSeen(()), 100 + patience_s - 0.1), Pending)
    assert made.observe(CookiesSeen(()), 100 + patience_s) == Refused("needs_person")


def test_without_a_person_a_slow_answer_is_waited_for():
    made = evidence(attended=False)
    told(made, Settled(IDP), Posted(ACS, "SAMLResponse"))
    assert made.observe(CookiesSeen(()), 200) == Pending("assertion_under_way")


def test_without_a_person_an_outage_is_not_taken_for_a_login_form():
    made = evidence(attended=False)
    told(made, Settled(TARGET), cookies("_shibsession_1"), Probed(valid=None, reason="dns_failed"))
    assert not isinstance(made.observe(cookies("_shibsession_1"), 200), Refused)


def test_the_history_tells_it_all_in_words_and_holds_no_secret():
    made = evidence()
    told(
        made,
        Leaving(f"{IDP};jsessionid=SECRET?SAMLRequest=SECRET#SECRET"),
        Answered(f"https://idp.example.edu/{'SECRET' * 10}/x", 302),
        Posted(f"{ACS}?x=SECRET", "SAMLResponse"),
        Answered(ACS, 302),
        Settled(TARGET + "&SECRET"),
        CookiesSeen((CookieSeen("_shibsession_1\x1b[2J", "journal.example.org", "/", "SECRET"),)),
        CookiesSeen((CookieSeen("_shibsession_1\x1b[2J", "journal.example.org", "/", "SECRET"),)),
        Probed(valid=True, reason="target_shown"),
    )
    said = "\n".join(f"{at} {seen} -> {made}" for at, seen, made in made.history)
    assert "SECRET" not in said
    assert "\x1b" not in said
    assert "on the way to https://idp.example.edu/login -> pending: a page is under way" in said
    assert "took a SAMLResponse to https://journal.example.org/Shibboleth.sso/SAML2/POST" in said
    assert "cookies changed: _shibsession_1" in said
    assert "the probe says: valid. The service showed the page, as to somebody who is signed in." in said
    assert said.endswith("-> signed in: the page opened")
    assert not [word for word in said.split() if "_" in word and "shibsession" not in word]  # no slug


def test_nothing_new_is_not_written_down_again():
    made = evidence()
    told(made, Settled(IDP), *[cookies("x")] * 50)
    assert len(made.history) == 2


def test_the_history_is_bounded():
    made = evidence()
    told(made, *[Settled(f"{IDP}/{number}") for number in range(1000)])
    assert len(made.history) == 400


def test_many_names_are_cut_short():
    made = evidence()
    told(made, Settled(IDP), cookies(*(f"{'c' * 60}{number:02}" for number in range(20))))
    assert "and 14 more" in made.history[-1][1]
    assert len(made.history[-1][1]) < 300


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://a.test:8443/b/c?d#e", "https://a.test:8443/b/c"),
        ("https://user:pass@a.test/", "https://a.test/"),
        ("about:blank", "about:"),
        ("data:text/html,secret", "data:"),
        ("https://[", "an address that can't be read"),
        ("https://a.test:99999/", "an address that can't be read"),
    ],
)
def test_a_place_is_an_address_without_its_secrets(url, place):
    assert place_of(url) == place
