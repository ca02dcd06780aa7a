"""What cannot be had for tests: the OpenAthens redirector, an EZproxy and a CAS, each a small server that records.

They do what their real counterparts do where Doorward meets them, and leave out everything else. Each is given the
paths of the test certificate, and answers by https at names under ``.localhost``.
"""

from __future__ import annotations

import html
import secrets
import urllib.parse
from typing import TYPE_CHECKING

from loopback_https import Answer, Server, html_page, redirect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loopback_https import Request
    from playwright.sync_api import Page

__all__ = ["Cas", "EzProxy", "OpenAthens"]

_PASSWORDS = {"alice": "alice-pw", "bob": "bob-pw"}


class OpenAthens:
    """The redirector of go.openathens.net: it knows one domain, whose members go straight to their own login."""

    host = "go.openathens.localhost"
    domain = "university.example"

    def __init__(self, login_url: Callable[[str], str], certificate: Path, key: Path) -> None:
        self._login_url = login_url
        self._server = Server(self._answer, certificate, key)
        self.requests: list[Request] = self._server.requests
        self.authority = f"{self.host}:{self._server.port}"
        self.redirector_url = f"https://{self.authority}/redirector/{self.domain}"
        self.close = self._server.close

    def link_to(self, target: str) -> str:
        return f"{self.redirector_url}?url={urllib.parse.quote(target, safe='')}"

    def _answer(self, request: Request) -> Answer:
        if request.path != f"/redirector/{self.domain}":
            return html_page("<h1>Not found</h1>", status=404)
        target = request.parameter("url")
        if not target:
            return html_page("<h1>Bad request</h1><p>url is missing", status=400)
        return redirect(self._login_url(target))


class EzProxy:
    """An EZproxy, and the one publisher behind it: by starting point, and by the host's rewritten name.

    ``on_campus`` lets it send everybody on to the plain address, as it does for its own network.
    """

    host = "ezproxy.localhost"
    publisher_host = "publisher.localhost"

    def __init__(self, report: bytes, certificate: Path, key: Path) -> None:
        self._report = report
        self._sessions: set[str] = set()
        self.on_campus = False
        self._server = Server(self._answer, certificate, key)
        self.requests: list[Request] = self._server.requests
        self.rewritten_host = f"p{self._server.port}-publisher-localhost.{self.host}"  # a port that is not 443
        self.url = self._at(self.host, "")
        self.login_url = self._at(self.host, "/login")
        self.report_url = self._at(self.publisher_host, "/report.pdf")
        self.rewritten_report_url = self._at(self.rewritten_host, "/report.pdf")
        self.close = self._server.close

    def link_to(self, target: str) -> str:
        return f"{self.login_url}?qurl={urllib.parse.quote(target, safe='')}"

    def kill_sessions(self) -> None:
        self._sessions.clear()

    @staticmethod
    def fill_login(page: Page, name: str = "alice", password: str | None = None) -> None:
        """Fill in the login form of a Playwright page and send it. Without a password, the right one."""
        _fill(page, "user", "pass", name, password)

    def _at(self, host: str, path: str) -> str:
        return f"https://{host}:{self._server.port}{path}"

    def _answer(self, request: Request) -> Answer:
        if request.host == self.publisher_host:
            return html_page("<h1>The report</h1><p>Buy it, or sign in at your library.")
        if request.host == self.rewritten_host:
            return self._proxied(request)
        if request.path == "/login":
            return self._login(request)
        return html_page("<h1>The library's proxy</h1><p><a href='/login'>Sign in</a>")

    def _login(self, request: Request) -> Answer:
        target = _starting_point(request)
        if self.on_campus and target:
            return redirect(target)
        if self._is_signed_in(request):
            return self._enter(target)
        if request.method == "POST":
            if _is_right(request.form, "user", "pass"):
                session = secrets.token_urlsafe()
                self._sessions.add(session)
                cookie = f"ezproxy={session}; Path=/; Domain={self.host}; Secure; HttpOnly"
                return self._enter(request.form.get("url", ""), cookie)
            target = request.form.get("url", "")
        return html_page(
            "<title>Library login</title><h1>Library login</h1><form method=post action=/login>"
            f"<input type=hidden name=url value='{html.escape(target)}'>"
            "<input name=user><input type=password name=pass><button>Login</button></form>"
        )

    def _enter(self, target: str, *cookies: str) -> Answer:
        if not target:
            return html_page("<h1>Menu of databases</h1>", cookies=cookies)
        parts = urllib.parse.urlsplit(target)
        if parts.hostname != self.publisher_host:
            return html_page(
                "<h1>The library's proxy is not configured for this host</h1>", status=403, cookies=cookies
            )
        rewritten = parts._replace(netloc=f"{self.rewritten_host}:{self._server.port}")
        return redirect(rewritten.geturl(), cookies=cookies)

    def _proxied(self, request: Request) -> Answer:
        if not self._is_signed_in(request):
            return redirect(self.link_to(self._at(self.publisher_host, request.path)))
        if request.path != "/report.pdf":
            return html_page("<h1>Not found</h1>", status=404)
        return Answer(200, [("Content-Type", "application/pdf")], self._report)

    def _is_signed_in(self, request: Request) -> bool:
        return request.cookies.get("ezproxy") in self._sessions


def _starting_point(request: Request) -> str:
    """What is behind ``url=`` is the target as it is, with everything in it; behind ``qurl=`` it is encoded."""
    if request.query.startswith("url="):
        return request.query.removeprefix("url=")
    return request.parameter("qurl") or ""


class Cas:
    """A CAS, and the one service that trusts it: the library's, with a session cookie of its own."""

    host = "cas.localhost"
    service_host = "library.localhost"

    def __init__(self, report: bytes, certificate: Path, key: Path) -> None:
        self._report = report
        self._tickets: dict[str, str] = {}
        self._granting: set[str] = set()
        self._sessions: set[str] = set()
        self._server = Server(self._answer, certificate, key)
        self.requests: list[Request] = self._server.requests
        self.login_url = self._at(self.host, "/cas/login")
        self.report_url = self._at(self.service_host, "/report.pdf")
        self.close = self._server.close

    def link_to(self, target: str) -> str:
        return f"{self.login_url}?service={urllib.parse.quote(target, safe='')}"

    def kill_service_sessions(self) -> None:
        """End the sessions at the service; who is signed in at the CAS still is."""
        self._sessions.clear()

    def kill_cas_sessions(self) -> None:
        self._granting.clear()

    @staticmethod
    def fill_login(page: Page, name: str = "alice", password: str | None = None) -> None:
        """Fill in the login form of a Playwright page and send it. Without a password, the right one."""
        _fill(page, "username", "password", name, password)

    def _at(self, host: str, path: str) -> str:
        return f"https://{host}:{self._server.port}{path}"

    def _answer(self, request: Request) -> Answer:
        if request.host == self.service_host:
            return self._serve(request)
        if request.path == "/cas/login":
            return self._login(request)
        return html_page("<h1>Not found</h1>", status=404)

    def _login(self, request: Request) -> Answer:
        service = request.parameter("service") or ""
        if service and not service.startswith(self._at(self.service_host, "/")):
            return html_page("<h1>Application not authorized to use CAS</h1>", status=403)
        if request.cookies.get("TGC") in self._granting:
            return self._grant(service)
        if request.method == "POST" and _is_right(request.form, "username", "password"):
            granting = f"TGT-{secrets.token_urlsafe()}"
            self._granting.add(granting)
            return self._grant(service, f"TGC={granting}; Path=/cas; Secure; HttpOnly")
        return html_page(
            "<title>CAS login</title><h1>Enter username and password</h1><form method=post>"
            "<input name=username><input type=password name=password>"
            "<input type=hidden name=execution value=e1s1><input type=hidden name=_eventId value=submit>"
            "<button>Login</button></form>",
            status=401 if request.method == "POST" else 200,
        )

    def _grant(self, service: str, *cookies: str) -> Answer:
        if not service:
            return html_page("<h1>Log In Successful</h1>", cookies=cookies)
        ticket = f"ST-{secrets.token_urlsafe()}"
        self._tickets[ticket] = service
        return redirect(f"{service}{'&' if '?' in service else '?'}ticket={ticket}", cookies=cookies)

    def _serve(self, request: Request) -> Answer:
        here = self._at(self.service_host, request.path)
        ticket = request.parameter("ticket")
        if ticket and self._tickets.pop(ticket, None) == here:  # a ticket is good once, and for one service
            session = secrets.token_urlsafe()
            self._sessions.add(session)
            return redirect(here, cookies=[f"JSESSIONID={session}; Path=/; Secure; HttpOnly"])
        if request.cookies.get("JSESSIONID") not in self._sessions:
            return redirect(self.link_to(here))
        if request.path != "/report.pdf":
            return html_page("<h1>Not found</h1>", status=404)
        return Answer(200, [("Content-Type", "application/pdf")], self._report)


def _is_right(form: dict[str, str], name_field: str, password_field: str) -> bool:
    return (form.get(name_field), form.get(password_field)) in _PASSWORDS.items()


def _fill(page: Page, name_field: str, password_field: str, name: str, password: str | None) -> None:
    page.locator(f"input[name={name_field}]").fill(name)
    page.locator(f"input[name={password_field}]").fill(_PASSWORDS[name] if password is None else password)
    page.get_by_role("button").click()
