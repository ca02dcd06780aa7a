"""What counts as a proof, asked of a real server over TLS; and where a cookie goes on the way."""

import gzip
import re
from pathlib import Path

import pytest
from loopback_https import Answer, html_page, redirect

import doorward.http
from doorward.errors import ConfigurationError
from doorward.http.client import HttpClient
from doorward.institution.cookies.jar import CookieJar
from doorward.institution.probe import ProbeResult, login_page_reason, probe
from doorward.institution.reasons import PROBE_REASONS, probe_in_words
from doorward.institution.routes import parse_institution
from doorward.protocol.reading.urls import FLAWS

HTML = "text/html; charset=utf-8"
LOGIN = "<form><input type=password name=p></form>"


@pytest.fixture
def ask(service, http, clock):
    """Ask for the target with a session's cookies, or with none."""

    def ask(cookies=None, *, target=service.target, where=service.portal):
        jar = CookieJar.from_browser(service.begin() if cookies is None else cookies)
        before = jar.to_json()
        found = probe(
            jar, target, route=parse_institution(where), user_agent="Mozilla/5.0 Testing", http=http, clock=clock
        )
        assert jar.to_json() == before
        return found

    return ask


def test_a_session_is_proven_by_what_it_opens(ask, service):
    assert ask() == ProbeResult(valid=True, reason="target_shown")
    assert service.requests[-1].headers["User-Agent"] == "Mozilla/5.0 Testing"
    assert service.requests[-1].cookies == {"_shibsession_1": "PLANTED-cookie-value"}


def test_without_one_the_service_sends_to_a_login_which_is_not_asked(ask, service):
    assert ask([]) == ProbeResult(valid=False, reason="sent_to_login")
    assert {request.host for request in service.requests} == {"sp.localhost"}


@pytest.mark.parametrize(
    ("answer", "valid", "reason"),
    [
        (html_page("<h1>The paper</h1><p>on SAMLResponse forms and passwords"), True, "target_shown"),
        (Answer(200, [("Content-Type", "application/pdf")], b"%PDF- <input type=password>"), True, "target_shown"),
        (Answer(206, [("Content-Type", "application/pdf")], b"%PDF-"), True, "target_shown"),
        (html_page("<form><input name=u><input type=password name=p></form>"), False, "login_form"),
        (html_page("<INPUT NAME = 'p'\nTYPE = 'PASSWORD'>"), False, "login_form"),
        (html_page("<form method=post><input type=hidden name='SAMLRequest' value=x>"), False, "saml_form"),
        (html_page('<body onload="document.forms[0].submit()"><form>'), False, "passing_form"),
        (html_page("<form><input type=hidden name=wresult>"), False, "saml_form"),
        (html_page("<div id='idpSelect'></div>"), False, "discovery_page"),
        (Answer(200, [("Content-Type", "application/pdf")], b"  <input type=password>"), False, "login_form"),
        (Answer(200, [], b"x <input type=password>"), False, "login_form"),
        (Answer(200, [("Content-Type", "text/html; charset=utf-16")], LOGIN.encode("utf-16")), False, "login_form"),
        (Answer(200, [("Content-Type", HTML)], LOGIN.encode("utf-16-be")), False, "login_form"),
        (Answer(200, [("Content-Type", "text/plain")], LOGIN.encode("utf-8-sig")), False, "login_form"),
        (Answer(200, [("Content-Type", "text/plain")], LOGIN.encode("utf-16")), False, "login_form"),
        (html_page("<meta http-equiv='Refresh' content='0; URL=/login'>"), False, "passing_page"),
        (html_page('<meta content="0;url=/login" http-equiv=refresh>'), False, "passing_page"),
        (html_page("<noscript><meta http-equiv=refresh content='0;url=/old'></noscript>"), True, "target_shown"),
        (html_page("<meta http-equiv=refresh content=300> The paper"), True, "target_shown"),
        (Answer(200, [("Content-Type", HTML), ("Refresh", "0; url=/login")], b"Wait"), False, "passing_page"),
        (Answer(200, [("Content-Type", HTML)], b" \n"), False, "empty"),
        (Answer(200, [("Content-Type", HTML)], b"\xff\xfe"), False, "empty"),
        (Answer(200, [("Content-Type", "application/pdf")], b""), False, "empty"),
        (Answer(401), False, "refused_401"),
        (Answer(403), False, "refused_403"),
        (Answer(403, [("cf-mitigated", "challenge")]), None, "human_check"),
        (Answer(429), None, "rate_limited"),
        (Answer(404), None, "not_found"),
        (Answer(410), None, "not_found"),
        (Answer(400), None, "odd_status"),
        (Answer(302), None, "odd_status"),
        (Answer(500), None, "server_error"),
        (Answer(503), None, "server_error"),
        (Answer(200, [("Content-Encoding", "br"), ("Content-Type", HTML)], b"\x1f\x8b"), None, "response_encoded"),
        (Answer(200, [("Content-Encoding", "gzip"), ("Content-Type", HTML)], b"\x1f\x8b"), None, "truncated"),
        (Answer(200, [("Content-Encoding", "gzip")], gzip.compress(b"%PDF-1.7 paper")), True, "target_shown"),
        (
            Answer(
                200, [("Content-Encoding", "gzip"), ("Content-Type", HTML)], gzip.compress(b"<input type=password>")
            ),
            False,
            "login_form",
        ),
        (redirect("https://idp.localhost:1/x?SAMLRequest=y"), False, "sent_to_login"),
        (redirect("https://idp.localhost:1/cas/login?service=y"), False, "sent_to_login"),
        (redirect("https://idp.localhost:1/authorize?client_id=a&response_type=code"), False, "sent_to_login"),
        (redirect("https://idp.localhost:1/?wa=wsignin1.0"), False, "sent_to_login"),
        (redirect("http://127.0.0.1/paper.pdf"), None, "redirect_not_https"),
        (redirect("file:///etc/passwd"), None, "redirect_no_host"),
        (redirect("https://[x"), None, "redirect_malformed"),
        (redirect("https://u:p@sp.localhost/"), None, "redirect_has_userinfo"),
        (redirect("/paper.pdf"), None, "redirect_loop"),
        (redirect("/account/login?back=/paper.pdf"), False, "login_address"),
        (redirect("https://idp.localhost:1/cas/login?service=y&gateway=true"), None, "connection_refused"),
    ],
)
def test_what_an_answer_means(ask, service, answer, valid, reason):
    service.answers["/paper.pdf"] = answer
    service.answers["/account/login"] = html_page("<h1>Welcome</h1>")
    assert ask() == ProbeResult(valid, reason)
    assert reason in PROBE_REASONS


def test_no_reason_is_shown_as_a_slug():
    """Each that a request can end with has its sentence, and one that nobody thought of is not shown."""
    sources = [file.read_text() for file in Path(doorward.http.__file__).parent.glob("*.py")]
    reasons = {reason for text in sources for reason in re.findall(r'reason="([a-z_]+)"', text)}
    of_programs = {"client_certificate_unreadable", "timeout_out_of_range", "unknown_event_loop"}
    of_addresses = {"header_malformed", "not_a_host", *FLAWS} - {"not_a_string", "has_query", "has_fragment"}
    assert "response_too_large" in reasons
    assert reasons - of_programs - of_addresses <= PROBE_REASONS.keys()
    assert {f"redirect_{reason}" for reason in of_addresses} <= PROBE_REASONS.keys()
    assert "_" not in probe_in_words("something_else")


def test_a_hop_without_https_is_asked_by_https(ask, service):
    service.answers["/paper.pdf"] = redirect(service.at("/shown.pdf").replace("https://", "http://"))
    service.answers["/shown.pdf"] = Answer(200, [("Content-Type", "application/pdf")], b"%PDF-1.7")
    assert ask() == ProbeResult(valid=True, reason="target_shown")


def test_another_place_is_no_proof_however_it_looks(ask, service):
    service.answers["/paper.pdf"] = redirect(service.at("/x", "library.localhost"))
    service.answers["/x"] = Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")
    assert ask() == ProbeResult(valid=False, reason="elsewhere")
    assert service.requests[-1].cookie == ""


def test_a_way_over_other_hosts_takes_each_only_its_own_cookies(ask, service):
    def back(request):
        return redirect(service.at("/paper.pdf?again"), cookies=["seen=1; Domain=localhost", "mine=1; Secure"])

    def first(request):
        if request.query == "again":
            return Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")
        return redirect(service.at("/bounce", "idp.localhost"), cookies=["fresh=1"])

    service.answers |= {"/paper.pdf": first, "/bounce": back}
    assert ask().valid
    sent = [(request.host, set(request.cookies)) for request in service.requests]
    assert sent == [
        ("sp.localhost", {"_shibsession_1"}),
        ("idp.localhost", {"SimpleSAMLAuthToken"}),
        ("sp.localhost", {"_shibsession_1", "fresh"}),
    ]


def test_ten_hops_are_followed_and_no_more(ask, service):
    service.answers["/paper.pdf"] = redirect("/1")
    for hop in range(1, 11):
        service.answers[f"/{hop}"] = redirect(f"/{hop + 1}")
    assert ask().reason == "redirect_loop"
    service.answers["/10"] = Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")
    assert ask().valid


def test_only_the_beginning_of_a_large_answer_is_read(ask, service):
    service.answers["/paper.pdf"] = html_page("x" * 5_000_000 + "<input type=password>")
    assert ask().valid


def test_a_fragment_is_not_sent(ask, service):
    assert ask(target=f"{service.target}#page=2").valid


def test_nobody_there_is_no_telling(ask):
    assert ask(target="https://sp.localhost:1/x") == ProbeResult(None, "connection_refused")
    assert ask(target="https://sp.example/x") == ProbeResult(None, "dns_failed")


def test_an_untrusted_service_is_no_telling(service, clock, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    found = probe(
        CookieJar(),
        service.target,
        route=parse_institution("a.example"),
        user_agent=None,
        http=HttpClient(),
        clock=clock,
    )
    assert found == ProbeResult(None, "tls_certificate")
    assert service.requests == []


def test_a_mistake_of_this_computer_is_one(ask, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with pytest.raises(ConfigurationError) as wrong:
        ask()
    assert wrong.value.field == "SSL_CERT_FILE"


def test_a_walk_has_a_deadline(ask, service, clock):
    def slowly(request):
        clock.forward(31)
        return redirect("/paper.pdf?again")

    service.answers["/paper.pdf"] = slowly
    assert ask() == ProbeResult(None, "timeout_total")
    assert service.asked() == 1


class TestThroughAProxy:
    @pytest.fixture
    def through(self, ask, service):
        where = service.at("/login", "ezproxy.localhost")
        target = "https://publisher.localhost/report.pdf"
        rewritten = service.at("/report.pdf", "publisher-localhost.ezproxy.localhost")
        service.answers["/report.pdf"] = Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")

        def through(login_answer):
            service.answers["/login"] = login_answer
            return ask(where=where, target=target)

        through.rewritten = rewritten
        return through

    def test_the_rewritten_address_is_the_service(self, through, service):
        assert through(redirect(through.rewritten)) == ProbeResult(valid=True, reason="target_shown")
        assert service.requests[0].query == "qurl=https%3A%2F%2Fpublisher.localhost%2Freport.pdf"

    def test_its_login_is_not(self, through):
        assert not through(html_page("<h1>Sign in with your library card</h1>")).valid

    def test_another_host_behind_it_is_not(self, through, service):
        other = through.rewritten.replace("publisher-localhost", "another-localhost")
        assert through(redirect(other)) == ProbeResult(valid=False, reason="elsewhere")

    def test_its_menu_is_not(self, through, service):
        service.answers["/menu"] = html_page("<h1>Menu</h1>")
        assert not through(redirect("/menu")).valid


def test_signs_are_looked_for_in_bounded_time():
    for text in (
        b"<input " * 40_000,
        b'onload="' + b"a" * 250_000,
        b"name = " * 40_000,
        b"<input" + b"type" * 60_000,
        b"<noscript " * 26_000,
        b"<meta http-equiv=refresh " * 10_000,
    ):
        assert login_page_reason(text) is None
