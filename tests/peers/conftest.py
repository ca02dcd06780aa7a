"""The real counterparts, a certified OpenID provider on node and Chromium: started once a worker, ended with it.

Every test in this folder carries the mark ``peer``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest
from chromium_person import Person
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chromium_person import Steps
    from playwright.sync_api import Browser, Page, Playwright

T = TypeVar("T")

_HERE = Path(__file__).parent
_MODULES = _HERE.parent.parent / ".peers" / "node_modules"
_START_DEADLINE_S = 60
_STOP_DEADLINE_S = 5
_BROWSER_DEADLINE_S = 60
_PAGE_DEADLINE_MS = 15_000
_LOOPBACK = ("localhost", "*.localhost", "127.0.0.1", "::1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.peer)


class Authority(Protocol):
    """What ``test_ca`` gives: the paths of PEM files."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class OidcProvider:
    """The running provider: two issuers, and the habits of its sign-in pages.

    Clients (oidc/provider.mjs has them all): ``native``, ``native-ps256``, ``native-es256``, ``native-eddsa``,
    ``native-bound`` and ``nonce-bound`` (DPoP, without and with nonces), ``native-pushed`` (PAR alone),
    ``native-certificate``, ``fapi-certificate``, ``fapi-jwt``, ``service-certificate``, ``confidential-basic``,
    ``confidential-post``, ``confidential-jwt``, ``service-basic``, ``service-post``,
    ``service-jwt``, ``resource-server``. A secret is the client's name with ``-secret`` behind it. The ``-jwt`` clients
    sign with ``client_keys`` (algorithm → PEM), under the ``kid`` ``client-ALGORITHM``. Redirects go to ``/callback``.
    """

    http: str
    https: str
    client_keys: dict[str, bytes]
    client_certificate: Path

    @contextlib.contextmanager
    def access_token_ttl(self, seconds: int) -> Iterator[None]:
        """Let access tokens live for ``seconds`` (else 300)."""
        self._control(f"ttl?seconds={seconds}")
        try:
            yield
        finally:
            self._control("ttl?seconds=300")

    def rotate_keys(self, *, drop: bool = False) -> list[str]:
        """Sign with new keys; the old ones stay published unless dropped. Return the ``kid`` values, new ones first."""
        return self._control("rotate?drop" if drop else "rotate")["kids"]

    def token_requests(self, issuer: str) -> int:
        """Count the requests to an issuer's token endpoint so far."""
        return self._control("token-requests")["tokenRequests"][issuer.partition(":")[0]]

    def _control(self, command: str) -> Any:
        with urllib.request.urlopen(f"{self.http}/test/{command}", data=b"", timeout=_STOP_DEADLINE_S) as response:
            return json.load(response)

    def sign_in(self, page: Page, url: str, *, login: str = "alice") -> None:
        """Follow ``url`` to the provider, sign in there, agree, and wait until the provider sends the browser back."""
        page.goto(url)
        self._log_in(page, login)
        page.get_by_text("Authorize").wait_for()  # both pages have the same title
        page.locator("button[type=submit]").click()
        self._wait_until_back(page)

    def deny(self, page: Page, url: str, *, login: str = "alice") -> None:
        """Follow ``url`` to the provider, sign in there, refuse, and wait until the provider sends the browser back."""
        page.goto(url)
        self._log_in(page, login)
        page.get_by_text("Authorize").wait_for()
        page.get_by_text("[ Cancel ]").click()
        self._wait_until_back(page)

    def approve_device(self, page: Page, verification_uri_complete: str, *, login: str = "alice") -> None:
        """Confirm the device's code, sign in and agree."""
        page.goto(verification_uri_complete)
        page.get_by_role("button", name="Continue").click()
        self._log_in(page, login)
        page.get_by_text("Authorize").wait_for()
        page.locator("button[type=submit]").click()
        page.get_by_text("Success").first.wait_for()

    @staticmethod
    def _log_in(page: Page, login: str) -> None:
        page.locator("input[name=login]").fill(login)
        page.locator("input[name=password]").fill("any password will do")
        page.locator("button[type=submit]").click()

    def _wait_until_back(self, page: Page) -> None:
        page.wait_for_url(lambda url: not url.startswith((self.http, self.https)))


def _private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _self_signed(folder: Path) -> Path:
    """A file with a certificate that nobody has signed but its own key, and that key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a client")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    path = folder / "client.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _private_pem(key))
    return path


@pytest.fixture(scope="session")
def oidc_provider(
    test_ca: Authority,
    require_peer: Callable[[str, object], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OidcProvider]:
    node = shutil.which("node")
    require_peer("node", node)
    require_peer("oidc-provider", (_MODULES / "oidc-provider").is_dir())
    client_keys = {
        "RS256": _private_pem(rsa.generate_private_key(65537, 2048)),
        "ES256": _private_pem(ec.generate_private_key(ec.SECP256R1())),
        "EdDSA": _private_pem(ed25519.Ed25519PrivateKey.generate()),
    }
    client_certificate = _self_signed(tmp_path_factory.mktemp("client"))
    settings = {
        "modules": str(_MODULES),
        "certificate": str(test_ca.certificate),
        "key": str(test_ca.key),
        "clientCertificate": client_certificate.read_text(),
        "clientKeys": {algorithm: pem.decode() for algorithm, pem in client_keys.items()},
    }
    log = tmp_path_factory.mktemp("provider") / "log"
    command = [node, _HERE / "oidc" / "provider.mjs", json.dumps(settings)]
    with contextlib.ExitStack() as ending:
        # In one full run node said nothing for half a minute, and nobody knows why: it is given a second try.
        line = ending.enter_context(_provider(command, log)) or ending.enter_context(_provider(command, log))
        assert line, f"the provider did not start:\n{log.read_text()}"
        yield OidcProvider(**json.loads(line), client_keys=client_keys, client_certificate=client_certificate)


@contextlib.contextmanager
def _provider(command: list[str | Path], log: Path) -> Iterator[bytes]:
    """Start a provider; yield the line that it prints when it listens, empty if it does not."""
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closing it ends the provider, even if this process is killed
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for the tests alone
        ) as process,
    ):
        try:
            ready, _, _ = select.select([process.stdout], [], [], _START_DEADLINE_S)
            yield process.stdout.readline() if ready else b""
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True)
class PlainOAuthServer:
    """The running server that knows OAuth and no OpenID Connect, and the habits of its page.

    Clients (plain_oauth/server.py has them): ``native`` and ``service``. The scopes are ``read`` and ``write``;
    ``/things`` wants ``read``, and says whose things they are.
    """

    url: str

    def agree(self, page: Page, url: str) -> None:
        """Follow ``url`` to the server, and let the client do what it asks for."""
        page.goto(url)
        page.get_by_role("button", name="Authorize").click()
        page.wait_for_url(lambda ended: not ended.startswith(self.url))

    def refuse(self, page: Page, url: str) -> None:
        """Follow ``url`` to the server, and press Cancel."""
        page.goto(url)
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_url(lambda ended: not ended.startswith(self.url))


@pytest.fixture(scope="session")
def plain_oauth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainOAuthServer]:
    folder = tmp_path_factory.mktemp("plain_oauth")
    command = [sys.executable, _HERE / "plain_oauth" / "server.py", folder]
    with _provider(command, folder / "log") as line:
        assert line, f"the server did not start:\n{(folder / 'log').read_text()}"
        yield PlainOAuthServer(line.decode().strip())


class Chromium:
    """One headless Chromium that trusts the test authority, driven from a thread of its own.

    Playwright's synchronous interface takes over the event loop of the thread that starts it, which would break every
    asynchronous test after it; and a sign-in blocks the thread that waits for the callback. So a test hands over its
    steps: a function that is given a new page in a new, empty context.
    """

    def __init__(self, executable: str, home: Path) -> None:
        self._executable = executable
        self._home = home
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chromium")
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    def start(self, steps: Callable[[Page], T]) -> Future[T]:
        """Begin ``steps(page)`` and return at once. Ask the future for its result, so that a failure shows."""
        return self._thread.submit(self._visit, steps)

    def run(self, steps: Callable[[Page], T]) -> T:
        """Return what ``steps(page)`` returns."""
        return self.start(steps).result(_BROWSER_DEADLINE_S)

    def _visit(self, steps: Callable[[Page], T]) -> T:
        with contextlib.closing(self._browser.new_context()) as context:
            context.set_default_timeout(_PAGE_DEADLINE_MS)
            return steps(context.new_page())

    def open(self) -> None:
        self._thread.submit(self._open).result(_BROWSER_DEADLINE_S)

    def _open(self) -> None:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - slow, and only these tests need it

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=self._executable,
            env={**os.environ, "HOME": str(self._home)},
            args=[
                "--no-sandbox",  # it refuses to sandbox for root, and opens nothing but our own pages
                "--disable-dev-shm-usage",
                f"--host-resolver-rules=MAP * ~NOTFOUND, {', '.join(f'EXCLUDE {host}' for host in _LOOPBACK)}",
            ],
        )

    def close(self) -> None:
        self._thread.submit(self._close).result(_BROWSER_DEADLINE_S)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._browser:
            self._browser.close()
        if self._playwright:
            self._playwright.stop()


@pytest.fixture(scope="session")
def chromium_home(
    test_ca: Authority,
    require_peer: Callable[[str, object], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A home folder. A Chromium started with it as HOME trusts the test authority."""
    certutil = shutil.which("certutil")
    require_peer("certutil", certutil)
    home = tmp_path_factory.mktemp("chromium")
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "test authority", "-i", test_ca.ca]):
        subprocess.run([certutil, "-d", f"sql:{database}", *arguments], check=True, timeout=_START_DEADLINE_S)
    return home


@pytest.fixture(scope="session")
def chromium(chromium_home: Path, require_peer: Callable[[str, object], None]) -> Iterator[Chromium]:
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    require_peer("Chromium", executable)
    browser = Chromium(executable, chromium_home)
    try:
        browser.open()
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="session")
def axe(require_peer: Callable[[str, object], None]) -> Callable[[Page], list[str]]:
    """Check a page for what keeps people out: ``axe(page)`` returns the violations, each in words."""
    script = _MODULES / "axe-core" / "axe.min.js"
    require_peer("axe-core", script.is_file())

    def violations(page: Page) -> list[str]:
        page.evaluate(script.read_text())
        found = page.evaluate("axe.run()")["violations"]
        return [f"{each['id']}: {each['help']} {[node['target'] for node in each['nodes']]}" for each in found]

    return violations


@pytest.fixture
def person(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Page, str], None]], Person]:
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(script))

    def make(steps: Steps) -> Person:
        opened.unlink(missing_ok=True)
        return Person(chromium, opened, steps)

    return make
