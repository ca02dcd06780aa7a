"""The federation behaves as a federation does, so that a failure elsewhere is about Doorward."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from federation import find_programs
from loopback_https import fetch

from doorward.http.client import HttpClient
from doorward.model import HttpRequest


@pytest.fixture
def cookies_of(federation):
    """The Cookie header a browser context would send to a URL."""

    def ask(page, url):
        return "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies(url))

    return ask


def _is_login(url, federation):
    return url.startswith(f"{federation.idp_url}/simplesaml/module.php/core/loginuserpass.php")


class TestPlainClient:
    def test_without_a_session_the_way_leads_to_the_login(self, federation):
        answer = federation.fetch(federation.report_url)
        assert answer.status == 302
        assert answer.location.startswith(f"{federation.idp_url}/simplesaml/saml2/idp/SSOService.php?SAMLRequest=")
        assert [name.partition("_ss")[0] for name in answer.cookies] == ["_opensaml_req"]
        answer = federation.fetch(answer.location)
        assert (answer.status, list(answer.cookies)) == (302, ["SimpleSAML"])
        assert _is_login(answer.location, federation)

    @pytest.mark.parametrize("method", ["HEAD", "POST"])
    def test_other_methods_are_sent_to_the_login_too(self, federation, method):
        answer = federation.fetch(federation.report_url, method=method)
        assert answer.status == 302
        assert answer.location.startswith(federation.idp_url)

    def test_with_a_session_comes_the_paper(self, federation):
        cookie = federation.sign_in_plainly().sp_cookie
        assert "_shibsession_" in cookie
        assert federation.fetch(federation.report_url, cookie=cookie).body == federation.report
        assert federation.fetch(federation.paper_url(7), cookie=cookie).body == federation.paper(7)
        assert federation.paper(7) != federation.paper(8)

    def test_a_paper_comes_in_parts(self, federation, test_ca):
        cookie = {"Cookie": federation.sign_in_plainly().sp_cookie}
        whole = fetch(federation.report_url, test_ca.ca, headers=cookie)
        rest = {**cookie, "Range": "bytes=10-", "If-Range": whole.header("ETag")}
        answer = fetch(federation.report_url, test_ca.ca, headers=rest)
        assert (answer.status, answer.body) == (206, federation.report[10:])
        answer = fetch(federation.report_url, test_ca.ca, headers={**rest, "If-Range": '"another"'})
        assert (answer.status, answer.body) == (200, federation.report)

    def test_the_identity_providers_cookies_alone_give_a_form(self, federation):
        cookie = federation.sign_in_plainly("bob").idp_cookie
        assert "SimpleSAMLAuthToken=" in cookie
        to_idp = federation.fetch(federation.report_url).location
        answer = federation.fetch(to_idp, cookie=cookie)
        assert (answer.status, b'name="SAMLResponse"' in answer.body) == (200, True)

    def test_doorwards_own_client_reaches_it(self, federation, trust_test_ca):
        with HttpClient() as client:
            answer = client.send(HttpRequest("GET", federation.report_url, "the report"))
        assert answer.status == 302

    def test_anonymous_cookies(self, federation):
        answer = federation.fetch(federation.anonymous_url)
        assert answer.status == 200
        assert len(answer.cookies) == 20

    def test_a_redirect_to_anywhere(self, federation):
        url = "https://publisher.localhost:1/a?b=c%20d&e=f"
        assert federation.fetch(federation.redirecting_url(url)).location == url

    def test_requests_are_logged(self, federation):
        federation.fetch(f"{federation.sp_url}/index.html?logged", cookie="a=b; c=d")
        give_up_at = time.monotonic() + 10
        while not (found := [each for each in federation.requests() if each.query == "logged"]):
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        assert [(each.host, each.path, each.status, each.cookie) for each in found] == [
            (federation.sp_host, "/index.html", 200, "a=b; c=d")
        ]


class TestBrowser:
    def test_a_sign_in_sets_the_session_and_ends_at_the_target(self, federation, chromium):
        def steps(page):
            page.goto(federation.login_url(f"{federation.sp_url}/protected/"))
            assert _is_login(page.url, federation)
            before = {each["name"] for each in page.context.cookies()}
            federation.fill_login(page)
            page.get_by_text("Members only").wait_for()
            return before, {(each["name"].partition("_sp")[0], each["domain"]) for each in page.context.cookies()}

        before, after = chromium.run(steps)
        assert "SimpleSAML" in before
        assert not any(name.startswith(("_shibsession_", "SimpleSAMLAuthToken")) for name in before)
        assert ("SimpleSAMLAuthToken", federation.idp_host) in after
        assert any(name.startswith("_shibsession_") and host == federation.sp_host for name, host in after)

    def test_wrong_passwords(self, federation, chromium):
        def steps(page):
            page.goto(federation.login_url())
            for _ in range(3):
                federation.fail_login(page)
            assert _is_login(page.url, federation)
            return {each["name"] for each in page.context.cookies()}

        names = chromium.run(steps)
        assert not any(name.startswith("_shibsession_") for name in names)
        assert "SimpleSAMLAuthToken" not in names

    def test_the_discovery_page_keeps_the_choice_before_anybody_signs_in(self, federation, chromium):
        def steps(page):
            page.goto(federation.discovered_report_url)
            assert page.url.startswith(f"{federation.sp_url}/discovery.html?")
            federation.choose_institution(page)
            page.locator("input[name=username]").wait_for()
            cookies = page.context.cookies(federation.sp_url)
            federation.fill_login(page, "bob")
            page.wait_for_url(federation.discovered_report_url)
            return {each["name"] for each in cookies}

        names = chromium.run(steps)
        assert "_saml_idp" in names
        assert not any(name.startswith("_shibsession_") for name in names)

    def test_the_consent_page_comes_between(self, federation, chromium):
        def steps(page):
            page.goto(federation.login_url())
            federation.fill_login(page)
            page.locator("#yesbutton").wait_for()
            names = {each["name"] for each in page.context.cookies()}
            assert page.url.startswith(federation.idp_url)
            federation.agree(page)
            page.wait_for_url(f"{federation.sp_url}/**")
            return names

        with federation.consent():
            names = chromium.run(steps)
        assert "SimpleSAMLAuthToken" in names
        assert not any(name.startswith("_shibsession_") for name in names)

    def test_a_slow_assertion(self, federation, chromium):
        def steps(page):
            began = time.monotonic()
            federation.sign_in(page)
            return time.monotonic() - began

        with federation.slow(1.5):
            assert chromium.run(steps) >= 1.5

    def test_a_sign_in_that_begins_at_the_identity_provider(self, federation, chromium):
        def steps(page):
            page.goto(federation.unsolicited_login_url())
            assert page.url.startswith(federation.idp_url)
            assert "report.pdf" in page.url
            federation.fill_login(page)
            page.wait_for_url(federation.report_url)

        chromium.run(steps)

    def test_an_error_page_of_the_identity_provider(self, federation, chromium):
        def steps(page):
            page.goto(federation.idp_error_url)
            return page.inner_text("h2")

        assert chromium.run(steps) == "Metadata not found"

    def test_the_restless_page_ends_at_the_login(self, federation, chromium):
        def steps(page):
            seen = []
            page.on("framenavigated", lambda frame: seen.append(frame.url))
            page.goto(federation.restless_url)
            page.locator("input[name=username]").wait_for()
            return seen

        assert len(chromium.run(steps)) >= 10


class TestSessions:
    def test_the_service_provider_tells_a_live_session_from_a_dead_one(self, federation):
        first, second = (federation.sign_in_plainly().sp_cookie for _ in range(2))
        assert federation.session_lives(first)
        federation.kill_sp_session(first)
        assert not federation.session_lives(first)
        assert federation.session_lives(second)
        assert federation.fetch(federation.report_url, cookie=first).status == 302

    def test_a_restart_of_the_service_provider_keeps_the_identity_providers_session(
        self, federation, chromium, cookies_of
    ):
        def steps(page):
            federation.sign_in(page)
            before = cookies_of(page, federation.sp_url)
            federation.restart_sp()
            assert not federation.session_lives(before)
            page.goto(f"{federation.sp_url}/protected/")
            page.get_by_text("Members only").wait_for()  # without a form
            return before, cookies_of(page, federation.sp_url)

        before, after = chromium.run(steps)
        assert before != after
        assert federation.session_lives(after)

    def test_without_the_identity_providers_session_comes_the_form(self, federation, chromium, cookies_of):
        def steps(page):
            federation.sign_in(page)
            federation.kill_idp_sessions()
            assert federation.session_lives(cookies_of(page, federation.sp_url))
            federation.restart_sp()
            page.goto(f"{federation.sp_url}/protected/")
            assert _is_login(page.url, federation)

        chromium.run(steps)

    def test_a_session_ends_by_its_age(self, federation):
        federation.restart_sp(session_lifetime_s=2)
        try:
            cookie = federation.sign_in_plainly().sp_cookie
            give_up_at = time.monotonic() + 20
            while federation.session_lives(cookie):
                assert time.monotonic() < give_up_at
                time.sleep(0.2)
        finally:
            federation.restart_sp()
        assert federation.session_lives(federation.sign_in_plainly().sp_cookie)


_ABANDONED = """
import os, signal, sys
from pathlib import Path
from federation import Federation, find_programs

ca, certificate, key = map(Path, sys.argv[1:])
made = Federation(find_programs(), ca=ca, certificate=certificate, key=key)
made.start()
print(made.folder, *made.process_ids(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_the_process_that_is_killed(test_ca, require_peer, tmp_path):
    require_peer("The SAML federation", find_programs())
    support = Path(__file__).parents[2] / "support"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_ABANDONED), test_ca.ca, test_ca.certificate, test_ca.key],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(support), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    folder, *processes = done.stdout.split()
    try:
        give_up_at = time.monotonic() + 20
        while any(Path(f"/proc/{each}").exists() for each in processes):
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        assert len(processes) >= 2 + 4  # both, and Apache's workers
    finally:
        shutil.rmtree(folder)
