"""``doorward exec`` and ``doorward curl``: real children, and a service behind a real guard (S20)."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from command_line import DEADLINE_S, DOORWARD, doorward_cli
from guarded_service import GuardedService
from loopback_https import Answer, Request, Server

import doorward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from doorward.testing import DevIssuer

pytestmark = pytest.mark.usefixtures("trust_test_ca")

SECRETS = {"DOORWARD_CLIENT_SECRET": "planted", "DOORWARD_VAULT_PASSPHRASE": "planted", "DOORWARD_AUDIT_KEY": "planted"}


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split())


@pytest.fixture
def signed_in(issuer: DevIssuer, person: Path) -> doorward.Session:
    """Alice has signed in as profile ``default``, for the audience ``api``."""
    return doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, timeout_s=60, audience="api")


class TestExec:
    def test_the_child_alone_has_the_token(self, signed_in: doorward.Session) -> None:
        code = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
        words = ["--id", "--json", "a b", "*", "--"]
        done = doorward_cli(
            "exec", "--", sys.executable, "-c", code, *words, KEPT="yes", ARM_CLIENT_SECRET="x", **SECRETS
        )
        assert (done.returncode, done.stderr) == (0, "")
        arguments, environment = json.loads(done.stdout)
        assert arguments == words
        assert environment["BEARER_TOKEN"] == signed_in.token()
        assert (environment["KEPT"], environment["ARM_CLIENT_SECRET"]) == ("yes", "x")
        assert {name for name in environment if name.startswith("DOORWARD_")} == {"DOORWARD_HOME"}
        assert "BEARER_TOKEN" not in os.environ

    @pytest.mark.parametrize(
        ("options", "variable", "kind"),
        [(["--var", "API_TOKEN"], "API_TOKEN", "access"), (["--id"], "BEARER_TOKEN", "id")],
    )
    def test_which_token_and_variable(
        self, signed_in: doorward.Session, options: list[str], variable: str, kind: Any
    ) -> None:
        done = doorward_cli("exec", *options, "printenv", variable)
        assert done.stdout.strip() == signed_in.token(kind)

    @pytest.mark.parametrize(
        "command", [["sh", "-c", "exit 41"], ["sh", "-c", "kill -TERM $$"]], ids=["code", "signal"]
    )
    def test_how_the_child_ends_is_how_it_ends(self, signed_in: doorward.Session, command: list[str]) -> None:
        done = doorward_cli("exec", "--", *command)
        assert done.returncode == (41 if "exit" in command[2] else -signal.SIGTERM)

    def test_a_signal_reaches_the_child(self, signed_in: doorward.Session) -> None:
        handled = "import signal, sys; signal.signal(signal.SIGHUP, lambda *_: sys.exit(7))"
        command = [DOORWARD, "exec", "--", sys.executable, "-c", f"{handled}; print('on', flush=True); signal.pause()"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "on\n"
            child.send_signal(signal.SIGHUP)
            assert child.wait(DEADLINE_S) == 7

    def test_a_pipe_that_nobody_reads_ends_the_child_as_it_would_alone(self, signed_in: doorward.Session) -> None:
        shell = f"{DOORWARD} exec -- sh -c 'kill -PIPE $$; echo survived'"
        done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert (done.returncode, done.stdout) == (128 + signal.SIGPIPE, "")

    def test_standard_input_and_the_terminal_are_the_childs(self, signed_in: doorward.Session) -> None:
        assert doorward_cli("exec", "--", "cat", typed="typed").stdout == "typed"
        main, side = pty.openpty()
        try:
            done = subprocess.run(
                [DOORWARD, "exec", "--", "tty"], stdin=side, capture_output=True, text=True, check=False
            )
            assert done.stdout.strip() == os.ttyname(side)
        finally:
            os.close(main)
            os.close(side)

    @pytest.mark.parametrize(
        ("command", "code", "what"),
        [(["no-such-program"], 127, "No such file"), (["/etc/passwd"], 126, "Permission denied")],
        ids=["missing", "no program"],
    )
    def test_a_program_that_cannot_run_is_told_as_shells_do(
        self, signed_in: doorward.Session, command: list[str], code: int, what: str
    ) -> None:
        done = doorward_cli("exec", "--", *command)
        assert done.returncode == code
        assert what in said(done)

    @pytest.mark.parametrize(
        ("arguments", "code", "what"),
        [
            (["--profile", "nobody", "true"], 3, "doorward login --profile nobody"),
            (["--var", "A=B", "true"], 2, "--var must be"),
            ([], 2, "Missing argument"),
            (["--profile", "nobody", "program", "--json"], 3, "Sign in first"),  # the program's --json, not ours
        ],
        ids=["not signed in", "variable", "no program", "another's --json"],
    )
    def test_what_goes_wrong_before_is_said_on_standard_error(self, arguments: list[str], code: int, what: str) -> None:
        done = doorward_cli("exec", *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert what in said(done)


@pytest.fixture
def service(issuer: DevIssuer, test_ca: Any) -> Iterator[GuardedService]:
    """A service that echoes what reached it."""

    def echo(request: Request) -> Answer:
        if request.path == "/elsewhere":
            return Answer(302, [("Location", request.parameter("to") or "")])
        if request.path == "/fails":
            return Answer(503, [("X-Why", "tired")], b"not now")
        told = {"method": request.method, "headers": {k.lower(): v for k, v in request.headers.items()}}
        told |= {"path": request.path, "query": request.query, "body": request.body.decode("latin-1")}
        return Answer(200, [("Content-Type", "application/json")], json.dumps(told).encode())

    guarded = GuardedService(issuer, test_ca, echo)
    yield guarded
    guarded.close()


@pytest.fixture
def stranger(test_ca: Any) -> Iterator[Server]:
    server = Server(lambda _: Answer(200, [], b"thanks"), test_ca.certificate, test_ca.key)
    yield server
    server.close()


def curl(*arguments: str, **options: Any) -> Any:
    done = doorward_cli("curl", *arguments, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("signed_in")
class TestCurl:
    def test_the_service_lets_it_in(self, service: GuardedService) -> None:
        told = curl(f"{service.origin}/things?a=1&b=%20#part")
        assert (told["method"], told["path"], told["query"], told["body"]) == ("GET", "/things", "a=1&b=%20", "")
        assert told["headers"]["authorization"].startswith("Bearer eyJ")

    @pytest.mark.parametrize(
        ("options", "method", "body", "kind"),
        [
            (["-d", "a=1", "-d", "b=2"], "POST", "a=1&b=2", "application/x-www-form-urlencoded"),
            (["-d", "@FILE"], "POST", "line oneline two", "application/x-www-form-urlencoded"),
            (["--json", "@FILE"], "POST", "line one\nline two\n", "application/json"),
            (["--json", '{"a": 1}', "-X", "PUT"], "PUT", '{"a": 1}', "application/json"),
            (["-d", "@-", "-H", "Content-Type: text/plain"], "POST", "typed", "text/plain"),
            (["-X", "DELETE"], "DELETE", "", None),
        ],
        ids=["form", "form of a file", "JSON of a file", "PUT", "standard input", "DELETE"],
    )
    def test_method_and_body(
        self, service: GuardedService, tmp_path: Path, options: list[str], method: str, body: str, kind: str | None
    ) -> None:
        file = tmp_path / "body"
        file.write_text("line one\nline two\n")
        told = curl(*(each.replace("FILE", str(file)) for each in options), service.origin, typed="typed")
        assert (told["method"], told["body"], told["headers"].get("content-type")) == (method, body, kind)

    def test_output_and_head(self, service: GuardedService, tmp_path: Path) -> None:
        file = tmp_path / "answer"
        done = doorward_cli("curl", "-i", "-o", str(file), service.origin)
        assert (done.returncode, done.stdout) == (0, "")
        head, _, body = file.read_bytes().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200\r\n")
        assert b"\r\ncontent-type: application/json" in head
        assert json.loads(body)["path"] == "/"

    def test_failure_is_told_by_curls_own_code(self, service: GuardedService) -> None:
        plain, failing = (doorward_cli("curl", *option, f"{service.origin}/fails") for option in ([], ["-f"]))
        assert (plain.returncode, plain.stdout) == (0, "not now")
        assert (failing.returncode, failing.stdout) == (22, "")
        assert "status 503" in failing.stderr

    def test_a_redirect_is_told_and_not_followed(self, service: GuardedService, stranger: Server) -> None:
        done = doorward_cli("curl", f"{service.origin}/elsewhere?to=https://localhost:{stranger.port}/")
        assert (done.returncode, done.stdout) == (0, "")
        assert f"Redirected to https://localhost:{stranger.port}/" in said(done)
        assert stranger.requests == []

    def test_a_token_that_was_refused_is_renewed_once(self, service: GuardedService, issuer: DevIssuer) -> None:
        first = doorward_cli("token").stdout.strip()
        service.refused.add(first)
        assert curl("-d", "once", service.origin)["body"] == "once"
        assert [token == first for token in service.shown] == [True, False]

    def test_a_service_that_refuses_each_token_is_asked_twice(self, service: GuardedService) -> None:
        service.closed = True
        done = doorward_cli("curl", "-f", service.origin)
        assert done.returncode == 22
        assert len(set(service.shown)) == len(service.shown) == 2


class TestWhereTheTokenMayGo:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:1/", "https://u:p@localhost/", "ftp://localhost/", "localhost", "https://",
            "https://a b/",            "https://localhost/\r\nX: y", "http://localhost.example.org/",
        ],
        ids=str,
    )  # fmt: skip
    def test_an_address_that_is_none(self, signed_in: doorward.Session, url: str) -> None:
        done = doorward_cli("curl", url)
        assert (done.returncode, done.stdout) == (2, "")
        assert "begins with https://" in said(done)

    def test_the_profiles_origins_hold_for_a_typed_address_too(
        self, signed_in: doorward.Session, service: GuardedService, listed: Callable[..., None]
    ) -> None:
        listed("https://git.example.org", name="default")
        refused = doorward_cli("curl", service.origin)
        assert (refused.returncode, service.shown) == (2, [])
        assert f"--origin {service.origin}" in said(refused)
        assert curl("--origin", service.origin, service.origin)["path"] == "/"
        listed(service.origin, name="default")
        assert curl(service.origin)["path"] == "/"

    @pytest.mark.parametrize(
        "header", ["Authorization: Basic x", "host: other", "no colon", "A: b\r\nAuthorization: x"]
    )
    def test_headers_that_are_not_the_callers(
        self, signed_in: doorward.Session, service: GuardedService, header: str
    ) -> None:
        done = doorward_cli("curl", "-H", header, service.origin)
        assert (done.returncode, service.shown) == (2, [])

    def test_no_session_no_request(self, service: GuardedService) -> None:
        done = doorward_cli("curl", "--json", "{}", service.origin)
        assert (done.returncode, done.stdout, service.requests) == (3, "", [])
        assert "Sign in first" in said(done)
