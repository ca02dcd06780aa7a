"""A session at an institution, against a service over TLS; the browser alone is told what to do (see conftest)."""

import asyncio
import json
import logging
import pickle
import threading
import traceback
from dataclasses import replace

import pytest
from loopback_https import Answer, html_page, redirect

from doorward.errors import (
    ConfigurationError,
    CorruptEntry,
    LockTimeout,
    ProviderUnavailable,
    SignInCancelled,
    SignInRequired,
    SignInTimeout,
    TransportError,
    UnsafePermissions,
    VaultError,
)
from doorward.institution import Institution, InstitutionSettings
from doorward.institution.browser.visit import Captured
from doorward.vault.vault import Vault

PLANTED = "PLANTED"


@pytest.fixture
def make(service, browser, clock, http):
    """Make the institution of the service; ``make(settings=…)`` and the like change it."""

    def make(where=service.portal, **changes):
        given = {"name": "uni", "target": service.target, "clock": clock, "http": http, "visit": browser, **changes}
        return Institution(where, **given)

    return make


@pytest.fixture(params=["sync", "async"])
def sign_in(request, make):
    def sign_in(institution=None, **options):
        institution = institution or make()
        if request.param == "sync":
            return institution.sign_in(**options)
        return asyncio.run(institution.asign_in(**options))

    return sign_in


@pytest.fixture
def session(make):
    return make().sign_in()


@pytest.fixture(params=["sync", "async"])
def renew(request):
    return lambda session: session.renew() if request.param == "sync" else asyncio.run(session.arenew())


def entry():
    return Vault().institutions.get("uni")


class TestSigningIn:
    def test_a_proven_session_is_kept_as_promised(self, sign_in, service, browser, clock):
        said = []
        session = sign_in(say=said.append)
        kept = entry()
        assert (kept.name, kept.where, kept.institution_url) == ("uni", service.portal, service.portal.rstrip("/"))
        assert (kept.target, kept.user_agent) == (service.target, "Mozilla/5.0 Testing")
        assert kept.signed_in_at == kept.created_at == kept.proven_at
        assert abs(kept.created_at - clock.now()) < 60
        assert [cookie.name for cookie in kept.cookies] == ["_shibsession_1", "SimpleSAMLAuthToken"]
        assert session.is_authenticated()
        assert len(said) == 1
        (visit,) = browser.visits
        assert (visit["headless"], visit["cookies"]) == (False, [])
        assert visit["login_url"] == service.target

    def test_the_browser_is_sent_through_the_institution(self, make, service, browser):
        make(service.at("/login?service=x", "cas.localhost")).sign_in()
        assert browser.visits[0]["login_url"].startswith(service.at("/login?service=https%3A%2F%2F", "cas.localhost"))

    def test_what_the_browser_showed_can_be_told_afterwards_also_of_a_failure(self, make, browser):
        institution = make()
        assert institution.history == ()
        institution.sign_in()
        ((_, observed, _),) = institution.history
        assert "answered 200" in observed

        def cancel(_probe):
            raise SignInCancelled("The window was closed.", reason="window_closed")

        browser.behave = cancel
        with pytest.raises(SignInCancelled):
            institution.sign_in()
        assert len(institution.history) == 1

    @pytest.mark.parametrize("error", [SignInCancelled, SignInTimeout, TransportError])
    def test_a_failed_one_leaves_the_old_session(self, session, make, sign_in, browser, error):
        before = entry()

        def fail(_probe):
            raise error("No.", reason="no")

        browser.behave = fail
        with pytest.raises(error):
            sign_in()
        assert entry() == before
        assert session.is_authenticated()

    def test_cookies_that_open_nothing_prove_nothing(self, sign_in, service, browser):
        seen = []

        def hold_little(probe):
            seen.append(probe(service.begin()[1:], "Mozilla/5.0 Testing"))
            raise SignInTimeout("Out of time.", reason="login_timeout")

        browser.behave = hold_little
        with pytest.raises(SignInTimeout):
            sign_in()
        assert (seen[0].valid, seen[0].reason) == (False, "sent_to_login")
        assert entry() is None

    def test_a_target_that_is_open_to_all_proves_nothing_and_no_window_opens(self, make, service, browser):
        service.answers["/paper.pdf"] = html_page("<h1>Read me</h1>")
        with pytest.raises(ConfigurationError, match="without a sign-in") as wrong:
            make().sign_in()
        assert (wrong.value.field, wrong.value.reason) == ("target", "target_open")
        assert browser.visits == []

    def test_nor_one_that_opens_to_any_browser_but_not_to_us(self, sign_in, service, browser):
        def for_browsers(request):
            mozilla = request.headers["User-Agent"].startswith("Mozilla")
            return html_page("<h1>Read me</h1>", status=200 if mozilla else 403)

        service.answers["/paper.pdf"] = for_browsers
        seen = []

        def look(probe):
            seen.append(probe(service.begin(), "Mozilla/5.0 Testing"))
            raise SignInTimeout("Out of time.", reason="login_timeout")

        browser.behave = look
        with pytest.raises(SignInTimeout):
            sign_in()
        assert (seen[0].valid, seen[0].reason) == (None, "target_open")

    @pytest.mark.parametrize(
        ("answer", "error", "reason"),
        [
            (Answer(404), ConfigurationError, "target_not_found"),
            (Answer(500), ProviderUnavailable, "server_error"),
            (redirect("http://sp.localhost/"), ProviderUnavailable, "connection_refused"),
        ],
    )
    def test_a_target_that_can_not_prove_anything_is_told_before_a_window_opens(
        self, make, service, browser, answer, error, reason
    ):
        service.answers["/paper.pdf"] = answer
        with pytest.raises(error) as refused:
            make().sign_in()
        assert refused.value.reason == reason
        assert browser.visits == []

    def test_without_a_target_it_says_what_one_is(self, make, browser):
        with pytest.raises(ConfigurationError, match="Give a target") as wrong:
            make("jcu.edu.au", target=None).sign_in()
        assert (wrong.value.field, wrong.value.reason) == ("target", "target_missing")

    def test_a_portal_and_an_address_with_a_target_need_none(self, make, service):
        service.answers["/"] = redirect(service.at("/sso?SAMLRequest=x", "idp.localhost"))
        link = "https://go.openathens.net/redirector/jcu.edu.au?url=https%3A%2F%2Fa.example%2Fx"
        assert make(link, target=None)._target == "https://a.example/x"  # noqa: SLF001 - no network to show it by
        assert make("https://portal.example/x", target=None)._target == "https://portal.example/x"  # noqa: SLF001 - as above

    @pytest.mark.parametrize("path", ["/members/", "/members", "/members/?tab=1"])
    def test_a_portal_is_asked_for_as_it_was_given(self, make, service, browser, path):
        """Without its slash it is another page to many servers, or none."""
        anonymous = redirect(service.at("/sso?SAMLRequest=x", "idp.localhost"))

        def members(request):
            return html_page("<h1>Welcome</h1>") if request.cookies.get("_shibsession_1") else anonymous

        service.answers |= {"/members/": members, "/members": members}
        make(service.at(path), target=None).sign_in()
        assert browser.visits[0]["login_url"] == service.at(path) == entry().target
        assert {f"{request.path}{request.query and '?'}{request.query}" for request in service.requests} == {path}
        other = path.replace("members/", "members") if "members/" in path else "/members/"
        again = make(service.at(other), target=None).open_session()
        assert again.status.reason == "target_shown"  # it is the same institution

    @pytest.mark.parametrize("target", ["http://a.example", "a.example", "", "https://u:p@a.example/"])
    def test_a_target_is_an_https_address(self, make, target):
        with pytest.raises(ConfigurationError) as wrong:
            make(target=target)
        assert wrong.value.field == "target"

    @pytest.mark.parametrize(
        ("where", "name"),
        [
            ("jcu.edu.au", "jcu.edu.au"),
            ("https://go.openathens.net/redirector/JCU.edu.au/", "jcu.edu.au"),
            ("https://portal.example:8443/x", "portal.example"),
            ("https://[::1]:8443/x", "1"),
        ],
    )
    def test_its_name_is_where_it_is(self, where, name):
        assert Institution(where).name == name

    def test_a_name_that_is_none_is_refused(self, make):
        with pytest.raises(ConfigurationError):
            make(name="../x")

    def test_a_tampered_file_is_no_reason_not_to_sign_in(self, session, sign_in, doorward_home, caplog):
        (doorward_home / "vault" / "institution-uni.json").write_text("{")
        assert sign_in().is_authenticated()
        assert "set aside" in caplog.text

    def test_nor_is_one_of_a_newer_version(self, session, sign_in, doorward_home):
        file = doorward_home / "vault" / "institution-uni.json"
        file.write_text(file.read_text().replace('"version":1', '"version":2'))
        assert sign_in().is_authenticated()

    def test_one_that_others_can_read_is_told(self, session, make, doorward_home):
        (doorward_home / "vault" / "institution-uni.json").chmod(0o644)
        with pytest.raises(UnsafePermissions):
            make().sign_in()

    def test_two_at_once_open_one_window(self, make, browser, at_once):
        sessions = at_once(2, lambda: make().sign_in())
        assert len(browser.visits) == 1
        assert all(session.is_authenticated() for session in sessions)

    def test_cancelling_lets_go_of_the_lock(self, make, browser):
        started = threading.Event()

        async def wait(*_):
            started.set()
            await asyncio.sleep(30)

        browser.adrive = wait

        async def go():
            task = asyncio.ensure_future(make().asign_in())
            await asyncio.to_thread(started.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(go())
        with Vault().institutions.lock("uni", "sign_in") as lock:
            assert lock.try_acquire()

    def test_a_browsers_odd_cookies_do_not_spoil_the_rest(self, sign_in, service, browser):
        odd = [{"name": "", "value": "x", "domain": "sp.localhost"}, {}]
        browser.behave = lambda probe: browser.hold(probe, [*odd, *service.begin()])
        sign_in()
        assert len(entry().cookies) == 2

    def test_what_can_not_be_kept_is_told_and_the_old_one_stays(self, session, sign_in, service, browser):
        before = entry()
        many = [  # not sent to the service
            {**service.begin("x")[0], "name": f"c{number}", "value": "y" * 4000, "domain": "a.example"}
            for number in range(300)
        ]
        browser.behave = lambda probe: browser.hold(probe, [*service.begin("new"), *many])
        with pytest.raises(VaultError) as refused:
            sign_in()
        assert refused.value.reason == "not_storable"
        assert entry() == before


class TestReachability:
    def test_it_is_asked_before_a_window_opens(self, make, service, browser):
        service.answers["/"] = Answer(404)
        with pytest.raises(ConfigurationError, match="nothing at") as wrong:
            make().sign_in()
        assert wrong.value.reason == "institution_not_found"
        assert [request.method for request in service.requests] == ["HEAD", "GET"]
        assert browser.visits == []

    def test_an_outage_is_one(self, make, service):
        service.answers["/"] = Answer(503)
        with pytest.raises(ProviderUnavailable) as down:
            make().check_reachable()
        assert down.value.reason == "institution_unavailable"

    def test_a_head_is_enough(self, make, service):
        make().check_reachable()
        assert [request.method for request in service.requests] == ["HEAD"]

    @pytest.mark.parametrize("status", [405, 500, 403])
    def test_where_head_is_not_known_get_is_asked(self, make, service, status):
        service.answers["/"] = lambda request: Answer(status if request.method == "HEAD" else 200)
        make().check_reachable()
        assert [request.method for request in service.requests] == ["HEAD", "GET"]

    def test_a_redirector_is_never_asked(self, make):
        make("jcu.edu.au").check_reachable()  # the tests may not ask it

    def test_nobody_there(self, make):
        with pytest.raises(TransportError) as nobody:
            make("https://idp.localhost:1/x").check_reachable()
        assert nobody.value.reason == "connection_refused"


class TestStatus:
    def test_a_hundred_looks_are_one_check(self, session, service, clock):
        before = service.asked()
        assert all(session.is_authenticated() for _ in range(50))
        clock.forward(59)
        assert all(session.is_authenticated() for _ in range(50))
        assert service.asked() - before == 1
        clock.forward(2)
        assert session.is_authenticated()
        assert service.asked() - before == 2

    def test_a_session_that_ended_at_the_service_shows_within_the_cache_time(self, session, service, clock):
        assert session.is_authenticated()
        service.sessions.clear()
        assert session.is_authenticated()
        clock.forward(61)
        assert (session.status.state, session.status.reason) == ("expired", "sent_to_login")
        assert not session.is_authenticated()

    def test_a_login_page_met_by_a_download_shows_it_at_once(self, session, service):
        assert session.is_authenticated()
        service.sessions.clear()
        session.note_login_page()
        assert not session.is_authenticated()

    def test_one_met_while_a_check_is_under_way_is_not_lost(self, session, service):
        def meet(request):
            session.note_login_page()
            return Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")

        service.answers["/paper.pdf"] = meet
        assert session.is_authenticated()
        before = service.asked()
        assert session.is_authenticated()
        assert service.asked() == before + 1

    def test_threads_share_one_check(self, session, service, at_once):
        before = service.asked()
        assert at_once(8, session.is_authenticated) == [True] * 8
        assert service.asked() == before + 1

    def test_an_outage_is_unknown_and_not_believed_for_long(self, session, service, clock):
        service.answers["/paper.pdf"] = Answer(503)
        assert (session.status.state, session.status.reason) == ("unknown", "server_error")
        assert not session.is_authenticated()
        del service.answers["/paper.pdf"]
        assert session.status.state == "unknown"
        clock.forward(11)
        assert session.status.state == "valid"

    def test_age_counts(self, session, clock, service):
        clock.forward(24 * 3600 + 1)
        before = service.asked()
        assert (session.status.state, session.status.reason) == ("expired", "too_old")
        assert (session.get_cookies(), session.get_user_agent()) == ([], None)
        assert service.asked() == before

    def test_another_institution_of_the_same_name_does_not(self, session, make, service):
        other = make("https://portal.example").open_session()
        assert (other.status.state, other.status.reason) == ("expired", "other_institution")
        assert other.jar.cookies == ()

    def test_a_tampered_file_is_cleared_and_reported(self, session, doorward_home, caplog):
        assert session.is_authenticated()
        file = doorward_home / "vault" / "institution-uni.json"
        file.write_text(file.read_text().replace("sp.localhost", "sp.localhost\\ud800", 1))
        found = session.status
        assert (found.state, found.reason) == ("expired", "tampered")
        assert "set aside" in found.message
        assert found.message in caplog.text
        assert session.status.reason == "no_session"
        assert not session.is_authenticated()

    def test_another_process_that_signs_in_is_noticed(self, session, make, service):
        service.sessions.clear()
        assert not session.is_authenticated()
        make().sign_in()
        assert session.is_authenticated()

    def test_a_proof_is_written_down(self, session, clock):
        clock.forward(100)
        assert session.is_authenticated()
        kept = entry()
        assert kept.proven_at - kept.created_at > 99

    def test_but_is_not_worth_waiting_for(self, session, clock):
        clock.forward(100)
        with Vault().institutions.lock("uni") as lock:
            assert lock.try_acquire()
            assert session.is_authenticated()
        assert entry().proven_at == entry().created_at


class TestForCallers:
    def test_what_bmlibrarian_asks_for(self, session, service):
        assert session.is_authenticated()
        (cookie, _) = session.get_cookies()
        assert cookie == {
            "name": "_shibsession_1", "value": "PLANTED-cookie-value-1", "domain": "sp.localhost", "path": "/",
            "expires": -1, "httpOnly": True, "secure": True, "sameSite": "None",
        }  # fmt: skip
        assert session.get_user_agent() == "Mozilla/5.0 Testing"
        assert session.clear_session() is None
        assert not session.is_authenticated()
        assert session.get_cookies() == []
        assert session.get_user_agent() is None

    def test_what_papers_ask_for(self, session, service, clock):
        assert session.jar is session.jar
        assert session.jar.header_for(service.target, now=clock.now()) == "_shibsession_1=PLANTED-cookie-value-1"
        session.jar.store("fresh=1", url=service.target, now=clock.now())
        assert "fresh=1" in session.jar.header_for(service.target, now=clock.now())
        assert session.is_authenticated()
        assert service.requests[-1].cookies["fresh"] == "1"
        session.renew()
        assert "fresh" not in session.jar.header_for(service.target, now=clock.now())
        assert session.link_to(service.target) == service.target

    def test_nothing_of_it_shows_a_secret(self, session, doorward_home, caplog):
        caplog.set_level(logging.DEBUG)
        session.note_login_page()
        session.is_authenticated()
        session.renew()
        shown = "".join([repr(session), repr(session.status), repr(session.jar), caplog.text])
        try:
            raise ValueError(session)  # noqa: TRY301 - the traceback is what is looked at
        except ValueError as error:
            shown += "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert PLANTED not in shown
        assert PLANTED in (doorward_home / "vault" / "institution-uni.json").read_text()
        with pytest.raises(TypeError):
            pickle.dumps(session)

    def test_the_file_is_private_and_has_what_was_promised(self, session, doorward_home):
        file = doorward_home / "vault" / "institution-uni.json"
        assert file.stat().st_mode & 0o777 == 0o600
        document = json.loads(file.read_text())
        assert document.keys() >= {"created_at", "cookies", "institution_url", "user_agent"}


class TestOpening:
    def test_what_was_kept_is_opened_without_the_network(self, session, make, service):
        before = len(service.requests)
        opened = make().open_session()
        assert opened.get_cookies() == session.get_cookies()
        assert len(service.requests) == before

    def test_where_there_is_none_a_person_has_to_sign_in(self, make):
        with pytest.raises(SignInRequired, match="doorward institution login") as missing:
            make().open_session()
        assert missing.value.reason == "no_session"

    def test_a_name_is_enough(self, session, http):
        opened = Institution.named("UNI", http=http).open_session()
        assert opened.is_authenticated()

    def test_a_name_may_be_that_of_the_settings(self, session, doorward_home, service):
        (doorward_home / "doorward.toml").write_text(
            f'[institutions.Uni]\nwhere = "{service.portal}"\ntarget = "{service.target}"\nsession_max_age_h = 1'
        )
        found = Institution.named("uni")
        assert found.name == "Uni"
        assert found.open_session().get_cookies() == session.get_cookies()

    def test_a_name_that_was_signed_out_of_wants_a_person(self, session):
        session.clear()
        with pytest.raises(SignInRequired):
            Institution.named("uni")

    def test_an_unknown_name_is_told(self):
        with pytest.raises(SignInRequired, match="No institution is called 'nowhere'") as wrong:
            Institution.named("nowhere")
        assert wrong.value.reason == "unknown_institution"

    def test_a_tampered_file_is_told(self, session, make, doorward_home):
        (doorward_home / "vault" / "institution-uni.json").write_text("[]")
        with pytest.raises(CorruptEntry):
            make().open_session()

    def test_making_one_does_nothing(self, make, service, doorward_home):
        assert "uni" in repr(make())
        assert not doorward_home.exists()
        assert service.requests == []


class TestRenewing:
    def test_it_asks_nobody_and_begins_with_what_is_held(self, session, renew, service, browser, clock):
        signed_in_at = entry().signed_in_at
        held = session.get_cookies()
        service.sessions.clear()
        session.note_login_page()
        assert not session.is_authenticated()
        clock.forward(100)
        assert renew(session) is True
        assert session.is_authenticated()
        visit = browser.visits[1]
        assert (visit["headless"], visit["cookies"]) == (True, held)
        assert visit["settings"].login_timeout_s == 60
        assert entry().signed_in_at == signed_in_at
        assert entry().created_at - signed_in_at > 99

    @pytest.mark.parametrize("error", [SignInRequired, SignInTimeout])
    def test_where_a_person_is_needed_it_says_so_and_keeps_what_there_is(self, session, renew, browser, error):
        before = entry()

        def fail(_probe):
            raise error("No.", reason="needs_person")

        browser.behave = fail
        assert renew(session) is False
        assert entry() == before

    def test_an_outage_is_none_of_its_answers(self, session, renew, browser):
        def fail(_probe):
            raise TransportError("No.", reason="page_unreachable")

        browser.behave = fail
        with pytest.raises(TransportError):
            renew(session)

    def test_nothing_held_is_nothing_renewed(self, session, renew, browser):
        session.clear()
        assert renew(session) is False
        assert len(browser.visits) == 1

    def test_an_old_session_may_be_renewed(self, session, clock):
        clock.forward(25 * 3600)
        assert not session.is_authenticated()
        assert session.renew()
        assert session.is_authenticated()

    def test_one_at_a_time_and_the_others_take_what_the_first_brought(self, session, make, browser, at_once):
        sessions = [session, *(make().open_session() for _ in range(3))]
        assert at_once(4, lambda: sessions.pop().renew()) == [True] * 4
        assert len(browser.visits) == 2

    def test_a_sign_out_meanwhile_is_not_undone(self, session, service, browser):
        def sign_out(probe):
            session.clear()
            return browser.hold(probe, service.begin("new"))

        browser.behave = sign_out
        assert session.renew() is False
        assert entry() is None

    def test_a_sign_in_meanwhile_stays(self, session, service, browser, clock):
        newer = replace(entry(), created_at=entry().created_at + 5)

        def sign_in(probe):
            Vault().institutions.put(newer)
            return browser.hold(probe, service.begin("new"))

        browser.behave = sign_in
        assert session.renew() is True
        assert entry().created_at == newer.created_at

    def test_somebody_who_never_lets_go_is_told_of(self, session, make, browser):
        waiting = make(settings=InstitutionSettings(login_timeout_s=5)).open_session()
        with Vault().institutions.lock("uni", "sign_in") as lock:
            assert lock.try_acquire()
            with pytest.raises(LockTimeout):
                waiting.renew()
        assert len(browser.visits) == 1


class TestClearing:
    def test_it_ends_here_and_at_the_service(self, session, service):
        done = session.clear()
        assert (done.removed, done.signed_out, done.problem) == (True, True, None)
        assert service.asked("/Shibboleth.sso/Logout") == 1
        assert service.sessions == set()
        assert entry() is None
        assert session.status.reason == "no_session"

    def test_here_in_every_case(self, session, service):
        service.answers["/Shibboleth.sso/Logout"] = Answer(500)
        done = session.clear()
        assert (done.removed, done.signed_out) == (True, False)
        assert "still takes" in done.problem
        assert entry() is None

    def test_also_where_the_service_is_gone(self, session, service):
        service.close()
        done = session.clear()
        assert (done.removed, done.signed_out) == (True, False)
        assert "connection refused" in done.problem
        assert entry() is None

    def test_where_the_service_knows_no_sign_out_none_is_asked(self, make, service, browser):
        held = [{**service.begin("x")[0], "name": "sid"}]

        def by_sid(request):
            if request.cookies.get("sid") == "x":
                return Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")
            return redirect(service.at("/?SAMLRequest=x", "idp.localhost"))

        service.answers["/paper.pdf"] = by_sid
        browser.behave = lambda probe: browser.hold(probe, held)
        done = make().sign_in().clear()
        assert (done.removed, done.signed_out, done.problem) == (True, None, None)

    @pytest.mark.parametrize(
        ("where", "path"), [("/cas/login?service=x", "/cas/logout"), ("/login?url=https://a.example", "/logout")]
    )
    def test_a_cas_and_a_proxy_have_places_of_their_own(self, make, service, browser, where, path):
        held = [{**service.begin("x")[0], "name": "sid"}]
        session = make(service.at(where, "idp.localhost"))
        browser.behave = lambda _probe: Captured(held, "Mozilla/5.0")
        service.answers["/paper.pdf"] = redirect(service.at("/?SAMLRequest=x", "idp.localhost"))
        service.answers["/login"] = html_page("<input type=password>")
        assert session.sign_in().clear().signed_out
        assert service.asked(path) == 1

    def test_nothing_held_is_nothing_removed(self, session):
        session.clear()
        done = session.clear()
        assert (done.removed, done.signed_out) == (False, None)

    def test_what_is_set_aside_goes_too(self, session, doorward_home):
        file = doorward_home / "vault" / "institution-uni.json"
        file.write_text("[]")
        assert session.clear().removed
        assert list((doorward_home / "vault").iterdir()) == []

    def test_somebody_who_holds_the_lock_does_not_keep_it(self, session):
        with Vault().institutions.lock("uni") as lock:
            assert lock.try_acquire()
            assert session.clear().removed
        assert entry() is None


class TestAsyncTwins:
    """Each gives what its twin gives, and the event loop goes on: it alone opens the gate that the service waits at."""

    @pytest.fixture
    def beside(self, service):
        def run(question, path="/paper.pdf"):
            arrived, gate = threading.Event(), threading.Event()

            def held(request):
                arrived.set()
                assert gate.wait(20)
                del service.answers[path]
                return service._answer(request)  # noqa: SLF001 - the same service, past the gate

            async def go():
                asked = asyncio.ensure_future(question())
                await asyncio.to_thread(arrived.wait, 20)
                gate.set()
                return await asked

            service.answers[path] = held
            return asyncio.run(go())

        return run

    def test_whether_it_holds(self, session, beside, clock):
        clock.forward(61)
        assert beside(session.ais_authenticated) is True
        assert asyncio.run(session.ais_authenticated()) is True  # remembered, so nobody is asked

    def test_why(self, session, service, beside, clock):
        clock.forward(61)
        service.sessions.clear()
        status = beside(session.astatus)
        assert (status.state, status.reason) == ("expired", "sent_to_login")
        assert status == session.status

    def test_signing_out(self, session):
        assert asyncio.run(session.aclear()).removed
        assert entry() is None
        assert not asyncio.run(session.aclear()).removed

    def test_whether_anybody_answers(self, make, beside):
        assert beside(make().acheck_reachable, "/") is None

    def test_a_failure_is_the_same(self, make, service):
        service.answers["/"] = Answer(503)
        with pytest.raises(ProviderUnavailable):
            asyncio.run(make().acheck_reachable())
