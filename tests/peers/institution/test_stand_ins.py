"""The stand-ins do what their real counterparts do where Doorward meets them."""

from __future__ import annotations

import urllib.parse

import pytest
from loopback_https import fetch


class TestOpenAthens:
    def test_the_redirector_sends_to_the_login_for_the_target(self, openathens, federation, test_ca):
        answer = fetch(openathens.link_to(federation.paper_url(3)), test_ca.ca)
        assert (answer.status, answer.cookies) == (302, {})
        assert answer.location == federation.login_url(federation.paper_url(3))

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/redirector/university.example", 400),
            ("/redirector/university.example?url=", 400),
            ("/redirector/elsewhere.example?url=x", 404),
            ("/", 404),
        ],
    )
    def test_it_answers_nothing_else(self, openathens, test_ca, path, status):
        answer = fetch(f"https://{openathens.authority}{path}", test_ca.ca)
        assert (answer.status, answer.cookies) == (status, {})

    def test_a_person_gets_to_the_paper_through_it(self, openathens, federation, chromium):
        def steps(page):
            federation.sign_in(page, openathens.link_to(federation.report_url))
            page.wait_for_url(federation.report_url)
            return {each["domain"] for each in page.context.cookies()}

        assert chromium.run(steps) == {federation.sp_host, federation.idp_host}
        assert openathens.requests[-1].cookie == ""


class TestEzProxy:
    @pytest.fixture(autouse=True)
    def _anew(self, ezproxy):
        ezproxy.kill_sessions()
        yield
        ezproxy.on_campus = False

    def test_a_plain_client_meets_the_form(self, ezproxy, test_ca):
        answer = fetch(ezproxy.link_to(ezproxy.report_url), test_ca.ca)
        assert (answer.status, answer.cookies) == (200, {})
        assert b"name=pass" in answer.body
        answer = fetch(ezproxy.rewritten_report_url, test_ca.ca)
        assert (answer.status, answer.location) == (302, ezproxy.link_to(ezproxy.report_url))
        assert fetch(ezproxy.report_url, test_ca.ca).header("Content-Type").startswith("text/html")

    @pytest.mark.parametrize("link", ["url", "qurl"])
    def test_a_sign_in_leads_to_the_rewritten_host(self, ezproxy, test_ca, link):
        target = f"{ezproxy.report_url}?a=b&c=d%20e"
        quoted = target if link == "url" else urllib.parse.quote(target, safe="")
        form = fetch(f"{ezproxy.login_url}?{link}={quoted}", test_ca.ca)
        assert target.replace("&", "&amp;").encode() in form.body
        answer = fetch(ezproxy.login_url, test_ca.ca, form={"user": "bob", "pass": "bob-pw", "url": target})
        assert answer.location == target.replace(ezproxy.publisher_host, ezproxy.rewritten_host)
        cookie = {"Cookie": f"ezproxy={answer.cookies['ezproxy']}"}
        assert fetch(ezproxy.rewritten_report_url, test_ca.ca, headers=cookie).body.startswith(b"%PDF-")
        assert fetch(ezproxy.link_to(target), test_ca.ca, headers=cookie).status == 302
        ezproxy.kill_sessions()
        assert fetch(ezproxy.rewritten_report_url, test_ca.ca, headers=cookie).status == 302

    @pytest.mark.parametrize("form", [{}, {"user": "alice"}, {"user": "alice", "pass": "wrong"}, {"pass": "bob-pw"}])
    def test_a_wrong_password_is_the_form_again(self, ezproxy, test_ca, form):
        answer = fetch(ezproxy.login_url, test_ca.ca, form={"url": ezproxy.report_url, **form})
        assert (answer.status, answer.cookies) == (200, {})
        assert ezproxy.report_url.encode() in answer.body

    def test_it_knows_its_one_publisher_alone(self, ezproxy, test_ca):
        form = {"user": "alice", "pass": "alice-pw", "url": "https://elsewhere.example/"}
        assert fetch(ezproxy.login_url, test_ca.ca, form=form).status == 403

    def test_on_campus_the_way_leads_back_unproxied(self, ezproxy, test_ca):
        ezproxy.on_campus = True
        assert fetch(ezproxy.link_to(ezproxy.report_url), test_ca.ca).location == ezproxy.report_url

    def test_a_browser_takes_the_cookie_to_both_names(self, ezproxy, chromium):
        def steps(page):
            page.goto(ezproxy.link_to(ezproxy.report_url))
            ezproxy.fill_login(page)
            page.wait_for_url(ezproxy.rewritten_report_url)
            return [each["domain"] for each in page.context.cookies()]

        assert chromium.run(steps) == [f".{ezproxy.host}"]
        last = next(each for each in reversed(ezproxy.requests) if each.host == ezproxy.rewritten_host)
        assert list(last.cookies) == ["ezproxy"]


class TestCas:
    def test_a_browser_signs_in_once_and_the_service_checks_its_ticket(self, cas, chromium):
        def steps(page):
            page.goto(cas.report_url)
            assert page.url == cas.link_to(cas.report_url)
            cas.fill_login(page)
            page.wait_for_url(cas.report_url)
            cookies = {(each["name"], each["domain"], each["path"]) for each in page.context.cookies()}
            cas.kill_service_sessions()
            page.goto(cas.link_to(cas.report_url))  # without a form
            page.wait_for_url(cas.report_url)
            return cookies

        assert chromium.run(steps) == {
            ("TGC", cas.host, "/cas"),
            ("JSESSIONID", cas.service_host, "/"),
        }

    def test_a_ticket_is_good_once_and_for_its_service(self, cas, test_ca):
        form = {"username": "alice", "password": "alice-pw"}
        with_ticket = fetch(cas.link_to(cas.report_url), test_ca.ca, form=form).location
        ticket = with_ticket.partition("?")[2]
        assert ticket.startswith("ticket=ST-")
        first = fetch(with_ticket, test_ca.ca)
        assert (first.location, list(first.cookies)) == (cas.report_url, ["JSESSIONID"])
        again = fetch(with_ticket, test_ca.ca)
        assert (again.location, again.cookies) == (cas.link_to(cas.report_url), {})

    @pytest.mark.parametrize("form", [{}, {"username": "alice"}, {"username": "alice", "password": "wrong"}])
    def test_a_wrong_password_is_the_form_again(self, cas, test_ca, form):
        answer = fetch(cas.link_to(cas.report_url), test_ca.ca, form={"_eventId": "submit", **form})
        assert (answer.status, answer.cookies) == (401, {})

    def test_without_a_service_one_is_signed_in_at_the_cas_alone(self, cas, test_ca):
        answer = fetch(cas.login_url, test_ca.ca, form={"username": "bob", "password": "bob-pw"})
        assert (answer.status, list(answer.cookies)) == (200, ["TGC"])

    def test_a_stranger_is_no_service(self, cas, test_ca):
        assert fetch(cas.link_to("https://elsewhere.example/"), test_ca.ca).status == 403
