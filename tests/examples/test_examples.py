"""Each example runs as its README says: real programs, curl among them, against an issuer and a service on loopback.

The addresses of the READMEs are those of fixed ports. A run of tests takes free ones, so they are put in their place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from loopback_https import Answer, Server, redirect
from markdown_pages import ROOT, blocks_of
from pdfs import make_pdf

from doorward.journal.verification import verify
from doorward.model import Secret
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.vault import Vault

EXAMPLES = ROOT / "examples"
ISSUER, SERVICE = "http://127.0.0.1:8765", "http://127.0.0.1:8000"
DEADLINE_S = 60.0


def test_each_example_says_how_to_run_it_and_is_listed():
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    assert len(folders) >= 5
    listed = (EXAMPLES / "README.md").read_text()
    for folder in folders:
        assert blocks_of(f"examples/{folder.name}/README.md")
        assert f"({folder.name}/README.md)" in listed


@dataclass
class Place:
    """A folder with a copy of an example, and what its commands find around them."""

    folder: object
    addresses: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)

    def text(self, text):
        for old, new in self.addresses.items():
            text = text.replace(old, new)
        return text

    def run(self, script, *, code=0):
        """Run a shell script as a reader would, and return what it printed."""
        done = subprocess.run(
            [shutil.which("bash"), "-euo", "pipefail", "-c", self.text(script)],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == code, (script, done.stdout, done.stderr)
        return done.stdout

    def start(self, command):
        return subprocess.Popen(
            shlex.split(self.text(command)),
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextlib.contextmanager
def stopping(process):
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in output, output


@pytest.fixture
def at(tmp_path, monkeypatch):
    """Copy an example, for somebody who allows each sign-in that a page asks them about."""
    browser = tmp_path / "browser"
    browser.write_text(
        textwrap.dedent(f"""\
            #!{sys.executable} -IS
            import html, re, sys, urllib.parse, urllib.request
            with urllib.request.urlopen(sys.argv[1], timeout=20) as page:
                address, text = page.url, page.read().decode()
            action = html.unescape(re.search('form method="post" action="([^"]*)', text)[1])
            interaction = html.unescape(re.search('name="interaction" value="([^"]*)', text)[1])
            form = urllib.parse.urlencode({{"interaction": interaction, "user": "alice", "decision": "allow"}})
            urllib.request.urlopen(urllib.parse.urljoin(address, action), form.encode(), timeout=20).read()
            """)
    )
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def copy(name, **addresses):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
        return Place(tmp_path / name, dict(addresses))

    return copy


@pytest.fixture
def issuer(at):
    """The issuer that the READMEs tell the reader to keep running; its address."""
    with stopping(Place(EXAMPLES).start("python issuer.py --port 0")) as process:
        yield re.search(r"http://[\d.:]+\d", process.stdout.readline())[0]


@pytest.fixture
def service(at, issuer, require_peer):
    """The service, started as its README says, and where it is."""
    require_peer("curl", shutil.which("curl"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = at("service")
    place.addresses = {ISSUER: issuer, SERVICE: f"http://127.0.0.1:{port}", "--port 8000": f"--port {port}"}
    settings = place.folder / "guard.toml"
    settings.write_text(place.text(settings.read_text()))
    start, *_ = sh_blocks("service")
    with stopping(place.start(start)) as process:
        until_it_answers(f"http://127.0.0.1:{port}/health", process)
        yield place


def until_it_answers(url, process):
    give_up_at = time.monotonic() + DEADLINE_S
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < give_up_at
            time.sleep(0.05)


def sh_blocks(example):
    return [block.text for block in blocks_of(f"examples/{example}/README.md") if block.language == "sh"]


def statuses(output):
    return [int(status) for status in re.findall(r"HTTP/1\.1 (\d+)", output)]


def exported(place, block):
    """Take over what a README says to export."""
    for line in block.splitlines():
        place.environment.update(word.split("=", 1) for word in shlex.split(place.text(line))[1:])


@pytest.mark.peer
def test_service(service):
    start, strangers, person, may_not, key, why = sh_blocks("service")
    assert start.startswith("uvicorn ")
    assert statuses(service.run(strangers)) == [200, 401]
    shown = service.run(person)
    assert statuses(shown) == [200]
    refused = service.run(may_not)
    assert statuses(refused) == [403]
    assert "notes:write" in refused
    assert statuses(service.run(key)) == [201]
    first, rest = why.strip().splitlines()
    assert "malformed" in service.run(first.replace("| ", "2>&1 | "), code=1)
    log = service.run(rest)
    assert [word in log for word in ("missing_credential", "accepted", "forbidden")] == [True] * 3
    assert verify(service.folder / "audit.log").ok


@pytest.mark.peer
def test_tool(at, service):
    tool = at("tool", **service.addresses)
    use, settings = sh_blocks("tool")
    exported(tool, settings)
    listing, adding, leaving = use.splitlines()
    assert tool.run(listing) == ""
    assert tool.run(adding) == "alice: Feed the cat\n"
    tool.environment["BROWSER"] = "false"  # nobody has to sign in again
    assert tool.run(listing) == "alice: Feed the cat\n"
    tool.run(leaving)
    tool.run(leaving, code=1)


@pytest.mark.peer
def test_worker(at, service):
    worker = at("worker", **service.addresses)
    run, settings = sh_blocks("worker")
    exported(worker, settings)
    worker.run("python worker.py --once")
    reader = service.run("doorward keys create reader --db keys.db --scope notes:read").strip()
    service.environment["KEY"] = reader
    asking = f'echo "Authorization: Bearer $KEY" | curl -s -H @- {SERVICE}/notes'
    assert service.run(asking).count('"by":"notes-worker"') == 1

    with worker.start(run.replace("--every 60", "--every 0.1")) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
    assert lines == ["Wrote a note.\n"] * 2

    worker.environment["NOTES_API"] = "http://127.0.0.1:9"  # nobody is there: told, and no reason to fail
    worker.run("python worker.py --once")


def test_tests(at):
    place = at("tests")
    (block,) = sh_blocks("tests")
    _, run = block.splitlines()  # pytest is installed here
    assert "4 passed" in place.run(run)


class Publisher:
    """Shows papers to members alone; ``signed_in`` is whether it still knows the session."""

    def __init__(self, certificate, key):
        self.signed_in = True
        server = Server(self._answer, certificate, key)
        self.url, self.close = f"https://sp.localhost:{server.port}", server.close

    def _answer(self, request):
        if not (self.signed_in and request.cookies.get("session") == "kept"):
            return redirect("https://idp.localhost/login")
        if request.path == "/article/2":
            return Answer(404)
        return Answer(200, [("Content-Type", "application/pdf")], make_pdf(request.path))


def test_papers(at, test_ca, trust_test_ca):
    place = at("papers")
    _, fetch = sh_blocks("papers")
    with contextlib.closing(Publisher(test_ca.certificate, test_ca.key)) as publisher:
        place.addresses = {"https://publisher.example": publisher.url}
        place.run(fetch, code=1)  # nobody is signed in yet
        now = time.time()
        keep = partial(KeptCookie, domain="sp.localhost", secure=True)
        Vault().institutions.put(
            InstitutionEntry(
                name="jcu",
                where="jcu.edu.au",
                institution_url="https://go.openathens.net/redirector/jcu.edu.au",
                target=f"{publisher.url}/members-only.pdf",
                user_agent="Mozilla/5.0",
                signed_in_at=now,
                created_at=now,
                proven_at=now - 600,
                cookies=(keep(name="session", value=Secret("kept")),),
            )
        )
        saved, missing = place.run(fetch, code=1).splitlines()
        assert re.match(r"papers/unknown/\S+\.pdf \(\d+ bytes\)", saved)
        assert missing.endswith("/article/2: not_found (http_404)")
        place.run(fetch.replace(" https://publisher.example/article/2", ""))
        publisher.signed_in = False
        place.run(fetch, code=1)
