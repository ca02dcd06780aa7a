"""``doorward audit``, as a person or a script runs it."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import types

import pytest

from doorward.guard.audit.decisions import Decision
from doorward.guard.audit.log import AuditLog
from doorward.journal.chain import BEGINNING, build_line

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


@pytest.mark.parametrize("what", ["a folder", "a text", "a program", "nothing in it", "a head"])
def test_tail_of_what_is_no_log(what, path, tmp_path, capsys):
    place = tmp_path / "place"
    match what:
        case "a folder":
            place.mkdir()
        case "a head":
            place = path.with_name("audit.log.head")
        case _:
            place.write_bytes({"a text": b"Dear diary\n" * 9, "a program": bytes(range(256)) * 999}.get(what, b""))
    assert run("tail", place) == 2
    assert run("tail", place, "-n", "0", "--follow") == 2
    assert run("tail", place, "--json") == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["reason"] == "audit_missing"
    assert "Name the file that it is written to." in said.err


def test_tail_of_a_log_that_has_no_decision_yet(tmp_path, capsys):
    AuditLog(tmp_path / "new.log").check()
    assert run("tail", tmp_path / "new.log") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("columns", [80, 200])
def test_tail_wraps_at_words_on_a_terminal(path, columns):
    log = AuditLog(path)
    log.record(
        Decision(at=0, outcome="accepted", kind="jwt", issuer="https://id.example.org/" + "a" * 30, subject="bob")
    )
    log.close()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    code = "import sys; from doorward.cli.main import main; sys.argv[0] = 'doorward'; sys.exit(main())"
    command = [sys.executable, "-c", code, "audit", "tail", path]
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 65_536):
                shown += piece
        except OSError:  # how Linux tells the end
            pass
        os.close(master)
    assert process.returncode == 0
    lines = shown.decode().splitlines()
    assert all(len(line) <= columns for line in lines)
    assert [line for line in lines if not line.startswith("    ")] == [
        line for line in lines if line[:2] in {"19", "20"}
    ]
    assert " ".join(line.strip() for line in lines[-2:]).endswith(f"bob of https://id.example.org/{'a' * 30} with jwt")
    assert len(lines) == (7 if columns == 80 else 4), lines


class TestWhatWasCollected:
    """``verify -``: the logs of a service whose audit goes to standard output."""

    @pytest.fixture
    def collected(self, monkeypatch):
        def give(*lines):
            monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"".join(lines))))

        return give

    @pytest.fixture
    def lines(self):
        link, lines = BEGINNING, [b"INFO: started\n"]
        for members in ({"event": "started", "pid": 1}, Decision(at=0, outcome="accepted", subject="alice").describe()):
            line, link = build_line({"chain": "0123456789abcdef", **members}, link, at=0, key=None)
            lines.append(line)
        return lines

    def test_it_holds(self, collected, lines, capsys):
        collected(*lines)
        assert run("verify", "-") == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "Each chain holds: 1 of them. 1 other lines were passed over."
        assert said[1] == "Chain 0123456789abcdef: 2 lines, 1 to 2."
        collected(*lines)
        assert run("verify", "-", "--expect", said[2].removeprefix("Last line: ")) == 0

    def test_it_does_not(self, collected, lines, capsys):
        tampered = [line.replace(b"alice", b"mallory") for line in lines]
        collected(*tampered)
        assert run("verify", "-") == 1
        assert "PROBLEM  chain 0123456789abcdef, line 3: This line does not match" in capsys.readouterr().out
        collected(*tampered)
        assert run("verify", "-", "--json") == 1
        found = json.loads(capsys.readouterr().out)
        assert (found["ok"], found["others"], found["chains"][0]["last_seq"]) == (False, 1, 2)
        assert found["problems"][0]["what"] == "changed"

    def test_it_is_of_another_key(self, collected, lines, monkeypatch, capsys):
        monkeypatch.setenv("DOORWARD_AUDIT_KEY", KEY)
        collected(*lines)
        assert run("verify", "-") == 1
        assert "another key (DOORWARD_AUDIT_KEY)?" in capsys.readouterr().out

    def test_it_has_no_audit(self, collected, capsys):
        collected(b"INFO: started\n")
        assert run("verify", "-") == 2
        assert "No line is an audit's." in capsys.readouterr().err


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
