"""A real SAML federation on loopback, for tests: Shibboleth's service provider and a SimpleSAMLphp identity provider.

One Apache serves both, from a folder made of the templates in tests/peers/institution/federation. A member is alice
with the password alice-pw, or bob with bob-pw. Names under ``.localhost`` are loopback to browsers and to Doorward
without a resolver's help; there are two names, because cookies know hosts and no ports.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import html
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from loopback_https import fetch
from pdfs import make_pdf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loopback_https import Answer
    from playwright.sync_api import Page

__all__ = ["Federation", "LoggedRequest", "Programs", "SignedIn", "find_programs"]

_PROJECT = Path(__file__).parents[2]
_TEMPLATES = _PROJECT / "tests" / "peers" / "institution" / "federation"
_DEADLINE_S = 30.0
_LIFETIME_S = 28_800
_PAPERS = 120
_HIDDEN_FIELD = re.compile(r'<input type="hidden" name="(SAMLResponse|RelayState)" value="([^"]*)"')


@dataclass(frozen=True)
class Programs:
    """Where what the federation is made of lies."""

    setpriv: str
    apache: Path
    shibd: Path
    modules: Path
    php: Path
    simplesamlphp: Path


def find_programs() -> Programs | None:
    """Return what the federation is made of, None where a part is missing. Debian's places, and scripts/peers' own."""
    modules = Path("/usr/lib/apache2/modules")
    php = sorted(modules.glob("libphp*.so"))
    found = Programs(
        shutil.which("setpriv") or "",
        Path("/usr/sbin/apache2"),
        Path("/usr/sbin/shibd"),
        modules,
        php[-1] if php else modules / "libphp.so",
        _PROJECT / ".peers" / "simplesamlphp",
    )
    needed = (found.apache, found.shibd, found.php, modules / "mod_shib.so", found.simplesamlphp / "www")
    return found if found.setpriv and all(each.exists() for each in needed) else None


@dataclass(frozen=True)
class LoggedRequest:
    """A line of Apache's log: what came in, and how it was answered."""

    host: str
    method: str
    path: str
    query: str
    status: int
    cookie: str


@dataclass(frozen=True)
class SignedIn:
    """The Cookie headers of a person who has signed in."""

    sp_cookie: str
    idp_cookie: str


class Federation:
    """The two providers. They end with this process, also if that is killed."""

    sp_host = "sp.localhost"
    idp_host = "idp.localhost"
    idp_entity_id = f"https://{idp_host}/idp"
    passwords = {"alice": "alice-pw", "bob": "bob-pw"}  # noqa: RUF012 - read alone

    def __init__(self, programs: Programs, *, ca: Path, certificate: Path, key: Path) -> None:
        self._programs = programs
        self._ca = ca
        self.folder = Path(tempfile.mkdtemp(prefix="doorward-saml-"))  # the servers' users can't reach pytest's folders
        # A signal on a parent's death is sent when the thread that started the child ends: this one stays.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="federation")
        self._apache: subprocess.Popen[bytes] | None = None
        self._shibd: subprocess.Popen[bytes] | None = None
        self._lifetime_s = _LIFETIME_S
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.sp_url = f"https://{self.sp_host}:{port}"
        self.idp_url = f"https://{self.idp_host}:{port}"
        self._values = {
            "ACCOUNT": "User www-data\nGroup www-data" if os.geteuid() == 0 else "",  # Apache refuses to run as root
            "ANONYMOUS_COOKIES": "\n".join(
                f'    Header always add Set-Cookie "visitor_{number}=anonymous; Path=/; Secure"' for number in range(18)
            ),
            "CERTIFICATE": str(certificate),
            "FOLDER": str(self.folder),
            "IDP_HOST": self.idp_host,
            "KEY": str(key),
            "MODULES": str(programs.modules),
            "PHP": str(programs.php),
            "PORT": str(port),
            "SP_HOST": self.sp_host,
        }
        self.report = make_pdf("The report")
        self.report_url = f"{self.sp_url}/protected/report.pdf"

    def start(self) -> None:
        self._write_folder()
        self._start_shibd()
        self._start_apache()

    def close(self) -> None:
        self._stop_apache()
        self._stop_shibd()
        self._starter.shutdown()
        shutil.rmtree(self.folder)

    def process_ids(self) -> list[int]:
        """Every process of both providers."""
        started = [each.pid for each in (self._apache, self._shibd) if each is not None]
        workers = [Path(f"/proc/{each}/task/{each}/children").read_text().split() for each in started]
        return [*started, *(int(each) for children in workers for each in children)]

    # Addresses

    @property
    def discovered_report_url(self) -> str:
        """The same report, where the service provider first asks a discovery page for the identity provider."""
        return f"{self.sp_url}/discovered/report.pdf"

    def paper_url(self, number: int) -> str:
        """One of 120 more papers, from 0. ``paper(number)`` is what is there."""
        assert 0 <= number < _PAPERS
        return f"{self.sp_url}/protected/papers/{number}.pdf"

    @staticmethod
    def paper(number: int) -> bytes:
        return make_pdf(f"Paper {number}")

    def login_url(self, target: str | None = None) -> str:
        """The WAYFless address: straight to the identity provider, and from there to the target (else the report)."""
        query = {"entityID": self.idp_entity_id, "target": target or self.report_url}
        return f"{self.sp_url}/Shibboleth.sso/Login?{urllib.parse.urlencode(query)}"

    def unsolicited_login_url(self, target: str | None = None) -> str:
        """Where a sign-in begins at the identity provider: an address there whose RelayState names the target."""
        query = {"spentityid": f"https://{self.sp_host}/shibboleth", "RelayState": target or self.report_url}
        return f"{self.idp_url}/simplesaml/saml2/idp/SSOService.php?{urllib.parse.urlencode(query)}"

    @property
    def idp_error_url(self) -> str:
        """An error page of the identity provider: it does not know who asks."""
        return f"{self.idp_url}/simplesaml/saml2/idp/SSOService.php?spentityid=https%3A%2F%2Fstranger.example"

    @property
    def anonymous_url(self) -> str:
        """A page of the service provider's host that gives everybody twenty cookies."""
        return f"{self.sp_url}/anonymous.html"

    @property
    def restless_url(self) -> str:
        """A page that navigates ten times within a second, and then to the report."""
        return f"{self.sp_url}/restless.html"

    def redirecting_url(self, url: str) -> str:
        """An open address of the service provider's host that redirects to ``url``."""
        return f"{self.sp_url}/away?{url}"

    @property
    def session_url(self) -> str:
        """Where the service provider tells whether a cookie's session lives."""
        return f"{self.sp_url}/Shibboleth.sso/Session"

    def session_lives(self, cookie: str) -> bool:
        """Ask the service provider about the session of a Cookie header."""
        return b"eppn" in self.fetch(self.session_url, cookie=cookie).body

    def fetch(self, url: str, *, method: str = "GET", cookie: str = "", form: dict[str, str] | None = None) -> Answer:
        """Ask either provider, as a plain client that follows nothing."""
        headers = {"Cookie": cookie} if cookie else {}
        return fetch(url, self._ca, method=method, headers=headers, form=form)

    def requests(self) -> list[LoggedRequest]:
        """What Apache has been asked so far. It writes a line after its answer: wait for one that may be on its way."""
        log = self.folder / "log" / "requests"
        lines = [line.split("\t") for line in log.read_text().splitlines()]
        return [
            LoggedRequest(host, method, path, query.removeprefix("?"), int(status), "" if cookie == "-" else cookie)
            for host, method, path, query, status, cookie in lines
        ]

    def passwords_typed(self) -> int:
        """Count how often somebody sent the login form: what the identity provider saw, whatever a test believes."""
        return sum(
            (request.host, request.method) == (self.idp_host, "POST") and "loginuserpass" in request.path
            for request in self.requests()
        )

    # Sessions

    def sign_in_plainly(self, name: str = "alice") -> SignedIn:
        """Sign in without a browser, which is quicker: do what its forms would do."""
        to_idp = self.fetch(self.login_url()).location
        form = self.fetch(to_idp)
        idp = form.cookies
        state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(form.location).query))["AuthState"]
        filled = {"username": name, "password": self.passwords[name], "AuthState": state}
        answer = self.fetch(form.location.partition("?")[0], cookie=_header(idp), form=filled)
        idp |= answer.cookies
        sent = {each: html.unescape(value) for each, value in _HIDDEN_FIELD.findall(answer.body.decode())}
        posted = self.fetch(f"{self.sp_url}/Shibboleth.sso/SAML2/POST", form=sent)
        return SignedIn(_header(posted.cookies), _header(idp))

    def restart_sp(self, *, session_lifetime_s: int = _LIFETIME_S) -> None:
        """Lose every session of the service provider's; those of the identity provider stay."""
        self._stop_shibd()
        if session_lifetime_s == self._lifetime_s:
            self._start_shibd()
            return
        self._stop_apache()  # it has read the settings too
        self._lifetime_s = session_lifetime_s
        self._write(_TEMPLATES / "sp" / "shibboleth2.xml", {**self._values, "LIFETIME": str(session_lifetime_s)})
        self._start_shibd()
        self._start_apache()

    def kill_sp_session(self, cookie: str) -> None:
        """End the one session of a Cookie header at the service provider, and there alone."""
        self.fetch(f"{self.sp_url}/Shibboleth.sso/LocalLogout", cookie=cookie)
        assert not self.session_lives(cookie)

    def kill_idp_sessions(self) -> None:
        """End every session of the identity provider; those of the service provider live on."""
        for each in (self.folder / "sessions").iterdir():
            each.unlink(missing_ok=True)

    # Habits that can be switched

    @contextlib.contextmanager
    def consent(self) -> Iterator[None]:
        """Let the identity provider ask for consent at each sign-in."""
        with self._switch("consent", ""):
            yield

    @contextlib.contextmanager
    def slow(self, seconds: float, path: str = "/Shibboleth.sso/SAML2/POST") -> Iterator[None]:
        """Let requests for a path wait for ``seconds``: without another one, the POST of the assertion."""
        with self._switch("slow", f"{path} {round(seconds * 1000)}\n"):
            yield

    @contextlib.contextmanager
    def _switch(self, name: str, text: str) -> Iterator[None]:
        file = self.folder / "switches" / name
        file.with_suffix(".new").write_text(text)
        file.with_suffix(".new").rename(file)
        try:
            yield
        finally:
            file.unlink()

    # What a person does in a Playwright page

    def sign_in(self, page: Page, url: str | None = None, name: str = "alice") -> None:
        """Follow a URL (else the WAYFless one) to the login form, fill it in, and wait until the publisher is back."""
        page.goto(url or self.login_url())
        self.fill_login(page, name)
        page.wait_for_url(f"{self.sp_url}/**")

    def fill_login(self, page: Page, name: str = "alice", password: str | None = None) -> None:
        """Fill in the identity provider's form and send it. Without a password, the right one."""
        page.locator("input[name=username]").fill(name)
        page.locator("input[name=password]").fill(self.passwords[name] if password is None else password)
        page.locator("#submit_button").click()

    def fail_login(self, page: Page, name: str = "alice") -> None:
        """Send a wrong password and wait for the form that says so."""
        with page.expect_navigation():  # the form before may say so too
            self.fill_login(page, name, "wrong")
        page.get_by_text("Incorrect username or password").first.wait_for()

    @staticmethod
    def agree(page: Page) -> None:
        """Answer the consent page."""
        page.locator("#yesbutton").click()

    @staticmethod
    def choose_institution(page: Page) -> None:
        """Answer the discovery page."""
        page.get_by_role("button", name="Example University").click()

    # The folder and the processes

    def _write_folder(self) -> None:
        for name in ("log", "run", "run/idp", "sessions", "switches"):
            folder = self.folder / name
            folder.mkdir(parents=True)
            folder.chmod(0o777)  # as root, each server has an account of its own
        self.folder.chmod(0o755)
        values = {
            **self._values,
            "LIFETIME": str(self._lifetime_s),
            "SIMPLESAMLPHP": str(self._simplesamlphp()),
            "SP_CERTIFICATE": self._write_saml_key("sp"),
            "IDP_CERTIFICATE": self._write_saml_key("idp"),
        }
        for template in _TEMPLATES.rglob("*.*"):
            self._write(template, values)
        papers = self.folder / "www" / "protected" / "papers"
        papers.mkdir()
        _write_paper(papers.with_name("report.pdf"), self.report)
        for number in range(_PAPERS):
            _write_paper(papers / f"{number}.pdf", self.paper(number))

    def _write(self, template: Path, values: dict[str, str]) -> None:
        file = self.folder / template.relative_to(_TEMPLATES)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(re.sub("@([A-Z_]+)@", lambda found: values[found[1]], template.read_text()))

    def _simplesamlphp(self) -> Path:
        """Where Apache's account can read it: a root's home keeps others out."""
        unpacked = self._programs.simplesamlphp
        if os.geteuid() or all(folder.stat().st_mode & 1 for folder in unpacked.parents):
            return unpacked
        return shutil.copytree(unpacked, self.folder / "simplesamlphp", symlinks=True)

    def _write_saml_key(self, name: str) -> str:
        """Make a provider's key for SAML, and return its certificate as metadata want it."""
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=7))
            .sign(key, hashes.SHA256())
        )
        folder = self.folder / name
        folder.mkdir()
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / "saml.crt").write_bytes(pem)
        (folder / "saml.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return "".join(pem.decode().splitlines()[1:-1])

    def _start_shibd(self) -> None:
        account = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("_shibd")
            account = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        command = [self._programs.shibd, "-F", "-f", "-c", self.folder / "sp" / "shibboleth2.xml"]
        self._shibd = self._start([*account, *command, "-p", self.folder / "run" / "shibd.pid"])
        self._wait_until(self._shibd_listens)  # Apache, once it was turned away, tries again after seconds only

    def _shibd_listens(self) -> bool:
        """Ask the kernel, not shibd: a connection that only looks has been seen to crash it."""
        path = str(self.folder / "run" / "shibd.sock")
        sockets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
        return any(fields[-1] == path and fields[3] == "00010000" for fields in sockets)  # it accepts connections

    def _start_apache(self) -> None:
        self._apache = self._start([self._programs.apache, "-f", self.folder / "httpd.conf", "-D", "FOREGROUND"])
        self._wait_until(self._sp_answers)

    def _start(self, command: list[str | Path]) -> subprocess.Popen[bytes]:
        def start() -> subprocess.Popen[bytes]:
            with (self.folder / "log" / "output").open("ab") as log:
                return subprocess.Popen(
                    [self._programs.setpriv, "--pdeathsig=TERM", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    start_new_session=True,  # Ctrl-C is for the tests alone
                )

        return self._starter.submit(start).result(_DEADLINE_S)

    def _stop_apache(self) -> None:
        if self._apache is not None:
            self._apache.terminate()  # which its workers notice
            self._apache.wait(_DEADLINE_S)
            self._apache = None

    def _stop_shibd(self) -> None:
        if self._shibd is not None:
            self._shibd.kill()  # asked to end, it takes two seconds
            self._shibd.wait(_DEADLINE_S)
            self._shibd = None

    def _sp_answers(self) -> bool:
        return self.fetch(self.session_url).status == 200

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + _DEADLINE_S
        while True:
            with contextlib.suppress(OSError):
                if ready():
                    return
            for process in (self._apache, self._shibd):
                ended = process is not None and process.poll() is not None
                assert not ended, f"a part of the federation ended:\n{self._said()}"
            assert time.monotonic() < give_up_at, f"the federation did not start:\n{self._said()}"
            time.sleep(0.02)

    def _said(self) -> str:
        logs = [each for each in (self.folder / "log").iterdir() if each.name != "requests"]
        return "\n".join(f"{each.name}:\n{each.read_text()}" for each in logs)


def _write_paper(file: Path, paper: bytes) -> None:
    file.write_bytes(paper)
    os.utime(file, (0, 0))  # Apache's entity tag for what has just changed is a weak one, which no If-Range matches


def _header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
