"""No secret leaves the vault: planted values are looked for everywhere else (S10, S18, V7)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import logging
import pickle
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from people import MovedClock, Onlooker, last_address, visit

import doorward
from doorward.errors import DoorwardError
from doorward.system import SystemEntropy
from doorward.testing import DevIssuer
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_SECRET = "planted-client-secret-5f1c"


class Planting(SystemEntropy):
    """Random values that can be recognised."""

    def __init__(self, label: str) -> None:
        self.made: list[str] = []
        self._label = label

    def token_urlsafe(self, nbytes: int) -> str:
        value = f"planted-{self._label}-{super().token_urlsafe(nbytes)}"
        self.made.append(value)
        return value


@dataclasses.dataclass
class Place:
    """Where secrets could turn up, and what they are."""

    issuer: DevIssuer
    clock: MovedClock
    client: Planting
    provider: Planting
    seen: dict[str, str] = dataclasses.field(default_factory=dict)

    def secrets(self) -> set[str]:
        entry = Vault().get("default")
        held = {
            value.reveal()
            for value in (getattr(entry, field.name) for field in dataclasses.fields(entry))
            if isinstance(value, doorward.Secret)
        }
        lines = {line for value in held for line in value.splitlines() if not line.startswith("-----")}
        return {CLIENT_SECRET, *self.client.made, *self.provider.made, *held, *lines}

    def sign_in(self, **options: Any) -> doorward.Session:
        return doorward.sign_in(
            self.issuer.url,
            "web",
            client_secret=CLIENT_SECRET,
            insecure_loopback_http=True,
            timeout_s=20,
            clock=self.clock,
            entropy=self.client,
            cool_down=False,
            **{"prompt": Onlooker(last_address), **options},
        )


@pytest.fixture(params=["bearer", "bound"])
def place(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Place]:
    """Tokens as they usually are, and tokens that are bound to a key (DPoP)."""
    caplog.set_level(logging.DEBUG)
    clock, provider = MovedClock(), Planting("provider")
    with DevIssuer(clock=clock, entropy=provider) as issuer:
        issuer.add_client("web", secret=CLIENT_SECRET)
        issuer.add_user("alice", email="alice@example.org")
        issuer.sign_in_as("alice")
        if request.param == "bound":
            issuer.change(dpop="required")
        yield Place(issuer, clock, Planting("client"), provider)


def find(secrets: set[str], where: dict[str, str]) -> list[str]:
    return [f"{place}: {secret[:24]}…" for place, text in where.items() for secret in secrets if secret in text]


def test_nothing_planted_is_found_in_logs_reprs_or_files(
    place: Place, caplog: pytest.LogCaptureFixture, doorward_home: Path
) -> None:
    session = place.sign_in()
    place.clock.ahead_s += 3700
    session.token()
    asyncio.run(session.atoken("id"))
    entry = Vault().get("default")
    files = {
        f"file {file.name}": file.read_bytes().decode(errors="replace")
        for file in doorward_home.rglob("*")
        if file.is_file() and file.name != "profile-default.json"
    }
    shown = {
        "logs": caplog.text,
        "session": f"{session!r} {session!s}",
        "entry": f"{entry!r} {entry}",
        "export": repr(Vault().export("default")),
        "pickle": repr(pickle.dumps(dataclasses.replace(entry, claims=None))),
        "issuer": repr(place.issuer.requests),
        **files,
    }
    secrets = place.secrets()
    assert len(secrets) > 12
    assert any("planted-client" in value for value in secrets)
    assert find(secrets, shown) == []
    kept = (Path(Vault().folder) / "profile-default.json").read_text()
    assert CLIENT_SECRET not in kept
    assert entry.refresh_token.reveal() in kept  # the search itself can find


BREAKS = [
    (
        "token",
        {"status": 400, "body": b'{"error": "invalid_grant", "error_description": "%s"}' % CLIENT_SECRET.encode()},
    ),
    ("token", {"status": 503}),
    ("token", {"kind": "html"}),
    ("token", {"kind": "truncated"}),
    ("token", {"kind": "reset"}),
    ("jwks", {"kind": "garbage"}),
]


@pytest.mark.parametrize("number", range(len(BREAKS)))
def test_nothing_planted_is_found_in_tracebacks(place: Place, caplog: pytest.LogCaptureFixture, number: int) -> None:
    session = place.sign_in()
    secrets = place.secrets()
    endpoint, how = BREAKS[number]
    place.issuer.fail(endpoint, **how, times=None)
    place.clock.ahead_s += 3700
    shown = {}
    for what, act in {"refresh": session.token, "sign in": place.sign_in}.items():
        with pytest.raises(DoorwardError) as caught:
            act()
        shown[what] = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert find(secrets | set(place.client.made) | set(place.provider.made), {**shown, "logs": caplog.text}) == []


@pytest.mark.parametrize("lie", ["id_token_signature_flipped", "id_token_wrong_nonce", "token_error_escapes"])
def test_nothing_planted_is_found_when_a_lie_is_refused(
    place: Place, caplog: pytest.LogCaptureFixture, lie: str
) -> None:
    place.issuer.misbehave(lie)
    with pytest.raises(DoorwardError) as caught:
        place.sign_in()
    shown = {"traceback": "".join(traceback.format_exception(caught.value)), "logs": caplog.text}
    assert find({CLIENT_SECRET, *place.client.made, *place.provider.made}, shown) == []
    assert "\x1b" not in caught.value.message


def test_nothing_planted_is_found_in_pages(place: Place) -> None:
    """Neither the code nor the state of a callback is shown again, whatever becomes of it."""
    pages: list[str] = []
    threads: list[threading.Thread] = []

    def browse(address: str) -> None:
        def go() -> None:
            for url in (last_address(address).replace("state=", "state=x"), address):
                with contextlib.suppress(urllib.error.HTTPError):
                    answer = urllib.request.urlopen(url, timeout=10)
                    with answer:
                        pages.append(str(answer.headers) + answer.read().decode())

        threads.append(threading.Thread(target=go))
        threads[0].start()

    place.sign_in(prompt=Onlooker(browse))
    threads[0].join(10)
    assert pages
    assert find(place.secrets(), {"page": "".join(pages)}) == []


def test_nothing_planted_is_found_in_process_arguments(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser's command line shows to every user of the machine: it has a link that works once."""
    record = tmp_path / "arguments"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\ntr "\\0" "\\n" < /proc/$$/cmdline >> {record}\necho "$1" > {record}.link\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(script))

    def click() -> None:
        link = Path(f"{record}.link")
        while not link.exists() or not link.read_text().endswith("\n"):
            time.sleep(0.05)
        visit(link.read_text().strip())

    clicking = threading.Thread(target=click)
    clicking.start()
    place.sign_in()
    clicking.join(10)
    arguments = record.read_text()
    assert "http://127.0.0.1:" in arguments
    links = {part for part in place.client.made if part in arguments}
    assert len(links) == 1  # the path of the link, which is spent
    assert find(place.secrets() - links, {"arguments": arguments}) == []


def test_nothing_planted_is_found_on_the_terminal(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    session = place.sign_in()
    place.clock.ahead_s += 3700
    place.issuer.fail("token", status=503)
    with pytest.raises(DoorwardError) as caught:
        session.token()
    out = io.StringIO()
    traceback.print_exception(caught.value, file=out)
    captured = capfd.readouterr()
    assert find(place.secrets(), {"out": captured.out, "err": captured.err, "traceback": out.getvalue()}) == []


def test_an_uncaught_error_of_a_program_shows_no_secret(place: Place) -> None:
    place.sign_in()
    place.issuer.fail("token", status=400, body=b'{"error": "invalid_client"}')
    program = (
        "import doorward, time\n"
        "from doorward.system import SystemClock\n"
        "class Later(SystemClock):\n"
        "    def now(self): return super().now() + 3700\n"
        f"doorward.open_session(client_secret={CLIENT_SECRET!r}, clock=Later()).token()\n"
    )
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "OAuthError" in done.stderr
    assert find(place.secrets(), {"stderr": done.stderr}) == []
