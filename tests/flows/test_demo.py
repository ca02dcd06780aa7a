"""The demo, from its first line to its last, as a person and as a script run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doorward.cli.demo.api import NotesApi
from doorward.cli.demo.demo import _Demo
from doorward.cli.demo.story import Story
from doorward.guard import Guard, Issuer
from doorward.model import Principal
from doorward.system import SystemClock
from doorward.testing import DevIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


DOORWARD = Path(sys.executable).with_name("doorward")
DEADLINE_S = 120.0

REFUSED_AS = {
    "alg none": "algorithm_not_allowed",
    "HS256": "algorithm_not_allowed",
    "a stranger's key": "bad_signature",
    "expired": "expired",
    "wrong audience": "wrong_audience",
    "tampered payload": "bad_signature",
}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The folder for the demo's temporary files, to see what it leaves. Its path is short: Chromium wants that."""
    with tempfile.TemporaryDirectory(prefix="dw") as folder:
        yield Path(folder)


@pytest.fixture
def allowing_browser(tmp_path: Path) -> Path:
    """A person who presses Allow on the issuer's page."""
    script = tmp_path / "allow"
    script.write_text(
        textwrap.dedent(f"""\
            #!{sys.executable} -IS
            import html, re, sys, urllib.parse, urllib.request
            with urllib.request.urlopen(sys.argv[1], timeout=20) as page:
                address, text = page.url, page.read().decode()
            action = html.unescape(re.search('form method="post" action="([^"]*)', text)[1])
            interaction = html.unescape(re.search('name="interaction" value="([^"]*)', text)[1])
            form = urllib.parse.urlencode({{"interaction": interaction, "user": "bob", "decision": "allow"}})
            urllib.request.urlopen(urllib.parse.urljoin(address, action), form.encode(), timeout=20).read()
            """)
    )
    script.chmod(0o700)
    return script


def demo(temporary: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DOORWARD, "demo", *arguments],
        env={**os.environ, "TMPDIR": str(temporary), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_a_person_with_a_browser_sees_five_steps_and_six_refusals(
    temporary: Path, allowing_browser: Path, doorward_home: Path
) -> None:
    done = demo(temporary, BROWSER=str(allowing_browser))

    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert [step[0] for step in steps] == list("12345")
    assert "Signed in as bob@example.org." in done.stdout
    for name, error in REFUSED_AS.items():
        assert any(name in line and error in line and "401" in line for line in done.stdout.splitlines())
    assert "6 of 6 forgeries refused" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not set("\x1b\t│") & set(done.stdout)
    assert list(temporary.iterdir()) == []
    assert not doorward_home.exists(), "the person's own vault was not touched"


def test_json_says_what_happened(temporary: Path, allowing_browser: Path) -> None:
    done = demo(temporary, "--json", BROWSER=str(allowing_browser))

    outcome = json.loads(done.stdout)
    assert outcome["ok"] is True
    assert outcome["signed_in"] == {"subject": "bob", "email": "bob@example.org"}
    assert outcome["call"]["status"] == 200
    assert outcome["call"]["principal"]["audience"] == [outcome["api"]]
    assert {each["name"]: each["refused_as"] for each in outcome["forgeries"]} == REFUSED_AS


@pytest.mark.peer
def test_auto_signs_in_by_itself(temporary: Path, require_peer: Callable[[str, object], None]) -> None:
    require_peer("Chromium", shutil.which("chromium"))

    done = demo(temporary, "--auto")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Signed in as alice@example.org." in done.stdout
    assert done.stderr == ""
    assert list(temporary.iterdir()) == []


def test_auto_without_chromium_says_what_is_missing(temporary: Path, tmp_path: Path) -> None:
    done = demo(temporary, "--auto", PATH=str(tmp_path))

    assert done.returncode == 2
    assert "Chromium" in done.stderr


def test_without_a_server_for_its_api_it_says_what_is_missing(temporary: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from doorward.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'doorward[demo]'" in done.stderr


def test_without_browser_and_terminal_it_ends(temporary: Path) -> None:
    done = demo(temporary, BROWSER="false", SSH_CONNECTION="192.0.2.1 1 192.0.2.2 22")

    assert done.returncode == 3
    assert "Add --auto" in done.stderr, "it says what to do here"
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_the_middle_it_leaves_nothing(temporary: Path, end: signal.Signals) -> None:
    process = subprocess.Popen(
        [DOORWARD, "demo"],
        env={**os.environ, "TMPDIR": str(temporary), "BROWSER": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "Waiting for you" not in (line := process.stderr.readline()):
            assert line, "ended too early"
        assert list(temporary.iterdir())
        process.send_signal(end)
        _, shown = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == (1 if end is signal.SIGINT else 128 + end)
    assert "Traceback" not in shown
    assert list(temporary.iterdir()) == []


class _CredulousGuard(Guard):
    """A guard that looks at no credential."""

    async def aauthenticate(self, *_: object, **__: object) -> Principal:
        return Principal("i", "admin")


class _CredulousApi(NotesApi):
    def make_guard(self) -> Guard:
        return _CredulousGuard([Issuer("https://id.example.org", audiences=["everybody"])])


def test_an_api_that_lets_forgeries_in_is_not_as_it_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    clock = SystemClock()
    story = _Demo(auto=True, clock=clock, story=Story(quiet=False))
    with DevIssuer() as issuer, _CredulousApi(issuer.url, clock) as api:
        issuer.add_user("alice")
        token = issuer.issue_access_token("alice", audience=api.url)

        class Session:
            principal = issuer.add_user("alice")

            def token(self) -> str:
                return token

        story.try_forgeries(issuer, api, Session())
    story.end()

    assert story.outcome["ok"] is False
    shown = capsys.readouterr().out
    assert shown.count("This is not as it should be") == 6
    assert "let in" in shown
    assert "Not all was as it should be" in shown
