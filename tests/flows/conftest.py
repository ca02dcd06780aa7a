"""A real peer on loopback (DevIssuer), and a person whose browser follows the links it is given."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from people import MovedClock

import doorward
from doorward.testing import DevIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    SignIn = Callable[..., doorward.Session]


@pytest.fixture
def issuer(clock: MovedClock) -> Iterator[DevIssuer]:
    """An honest issuer with the public client ``cli``, where alice signs in without being asked."""
    with DevIssuer(clock=clock) as issuer:
        issuer.add_client("cli")
        issuer.add_user("alice", email="alice@example.org", groups=["eng"])
        issuer.add_user("bob", email="bob@example.org")
        issuer.sign_in_as("alice")
        yield issuer


@pytest.fixture
def browser_script(tmp_path: Path) -> Path:
    """A program that opens an address as a browser does: it follows redirects and reads the last page."""
    script = tmp_path / "browser"
    script.write_text(
        textwrap.dedent(f"""\
            #!{sys.executable} -IS
            import sys, urllib.error, urllib.request
            try:
                urllib.request.urlopen(sys.argv[1], timeout=60).read()
            except urllib.error.HTTPError:
                pass
            """)
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.fixture
def person(browser_script: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody with a browser."""
    monkeypatch.setenv("BROWSER", str(browser_script))
    return browser_script


@pytest.fixture(autouse=True)
def _no_stray_browser() -> None:
    assert "DISPLAY" not in os.environ


@pytest.fixture
def clock() -> MovedClock:
    """The system's clock, to be set forward; issuer and client both go by it."""
    return MovedClock()


@pytest.fixture(params=["sync", "async"])
def sign_in(request: pytest.FixtureRequest, issuer: DevIssuer) -> SignIn:
    """Sign in at the issuer, through either driver."""

    def do(client_id: str = "cli", **options: Any) -> doorward.Session:
        options = {"insecure_loopback_http": True, "timeout_s": 60, **options}
        if request.param == "sync":
            return doorward.sign_in(issuer.url, client_id, **options)
        return asyncio.run(doorward.asign_in(issuer.url, client_id, **options))

    return do


@pytest.fixture
def session(issuer: DevIssuer, clock: MovedClock, person: Path) -> doorward.Session:
    """Alice's session, by a clock that can be set forward."""
    return doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, timeout_s=60, clock=clock)


@pytest.fixture(params=["sync", "async"])
def token_of(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Ask a token source for a token, through either driver."""

    def ask(source: doorward.TokenSource, kind: str = "access") -> str:
        return source.token(kind) if request.param == "sync" else asyncio.run(source.atoken(kind))

    return ask


@pytest.fixture
def work(issuer: DevIssuer, person: Path) -> doorward.Session:
    """Alice has signed in as profile ``work``, for the audience ``api``."""
    return doorward.sign_in(
        issuer.url, "cli", profile="work", insecure_loopback_http=True, timeout_s=60, audience="api"
    )


@pytest.fixture
def listed(issuer: DevIssuer, doorward_home: Path) -> Callable[..., None]:
    """Write a doorward.toml with a profile that lists origins, and with more settings."""

    def write(*origins: str, name: str = "work", settings: str = "", more: str = "") -> None:
        doorward_home.mkdir(exist_ok=True)
        lines = [f"[profiles.{name}]", f"issuer = '{issuer.url}'", "client_id = 'cli'", "insecure_loopback_http = true"]
        (doorward_home / "doorward.toml").write_text("\n".join([*lines, f"origins = {list(origins)}", settings, more]))

    return write
