"""``doorward audit``, as a person or a script runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from doorward.guard.audit.chain import BEGINNING, Decision, build_line
from doorward.guard.audit.log import AuditLog

KEY = "0123456789abcdef-key"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    log.record(
        Decision(
            at=1_700_000_000,
            outcome="accepted",
            kind="jwt",
            issuer="https://id.example.org",
            subject="alice",
            client_ip="192.0.2.7",
            resource="GET /orders",
        )
    )
    log.record(Decision(at=1_700_000_001, outcome="refused", code="expired", reason="expired", subject="mallory"))
    log.record(Decision(at=1_700_000_002, outcome="refused", code="unknown_key", reason="unknown_kid"))
    log.close()
    return path


def run(*arguments):
    from doorward.cli.app import run  # noqa: PLC0415 - heavy

    return run([str(argument) for argument in ("audit", *arguments)])


def test_a_chain_that_holds(path, capsys):
    assert run("verify", path) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "The chain holds: 3 lines, 1 to 3, in 1 file(s)."
    assert said[1].startswith("Last line: 3:")
    assert run("verify", path, "--expect", said[1].removeprefix("Last line: ")) == 0


def test_a_chain_that_is_broken(path, capsys):
    path.write_bytes(path.read_bytes().replace(b"alice", b"evil!"))
    assert run("verify", path) == 1
    said = capsys.readouterr().out
    assert "PROBLEM  audit.log, line 1: This line does not match its hash" in said
    assert run("verify", path, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["problems"][0]["what"]) == (False, "changed")


def test_the_key_comes_from_the_environment(tmp_path, monkeypatch):
    log = AuditLog(tmp_path / "keyed.log", key=KEY)
    log.record(Decision(at=0, outcome="accepted"))
    log.close()
    assert run("verify", tmp_path / "keyed.log") == 1
    monkeypatch.setenv("DOORWARD_AUDIT_KEY", KEY)
    assert run("verify", tmp_path / "keyed.log") == 0


def test_what_can_t_be_meant(path, tmp_path, capsys):
    assert run("verify", tmp_path / "nothing") == 2
    assert run("tail", tmp_path / "nothing") == 2
    assert run("verify", path, "--expect", "3") == 2
    assert "SEQ:HASH" in capsys.readouterr().err


def test_tail_says_when_who_from_where_and_why(path, capsys):
    assert run("tail", path) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2023-11-14T22:13:20Z accepted    alice of https://id.example.org from 192.0.2.7 for GET /orders with jwt",
        "2023-11-14T22:13:21Z refused     mallory (claimed) with none because expired",
        "2023-11-14T22:13:22Z refused     nobody known with none because unknown_key: unknown_kid",
    ]


def test_tail_for_programs(path, capsys):
    assert run("tail", path, "-n", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["seq"] == 3


def test_tail_shows_what_the_log_says_of_itself(path, capsys):
    with path.open("ab") as file:
        file.write(b'{"seq":4,')
    log = AuditLog(path)
    log.record(Decision(at=0, outcome="accepted", subject="\x1b[31m"))
    log.close()
    assert run("tail", path, "-n", "3") == 0
    said = capsys.readouterr().out
    assert "none of ours" in said
    assert "[recovered] torn_bytes=9" in said
    assert "\x1b" not in said


def test_tail_prints_no_escape_that_somebody_wrote_into_the_log(path, capsys):
    members = {"event": "\x1b[2J", "\x1b]0;owned\x07": "\x1b[31m"}
    path.write_bytes(build_line(members, BEGINNING, at=1.0, key=None)[0])
    assert run("tail", path) == 0
    said = capsys.readouterr().out
    assert "owned" in said
    assert said.removesuffix("\n").isprintable()


def test_following(path):
    command = [sys.executable, "-m", "doorward.cli.main", "audit", "tail", "-n", "1", "--follow", "--json", path]
    code = "import sys; from doorward.cli.main import main; sys.argv[0] = 'doorward'; sys.exit(main())"
    command[1:3] = ["-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert json.loads(process.stdout.readline())["seq"] == 3
            log = AuditLog(path)
            log.record(Decision(at=0, outcome="accepted", subject="bob"))
            log.close()
            assert json.loads(process.stdout.readline())["subject"] == "bob"
        finally:
            process.kill()
