"""The audit on standard output: a chain for each process, found again among whatever else was collected."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from doorward.errors import ConfigurationError, StoreError
from doorward.guard.audit import stream_verification
from doorward.guard.audit.chain import BEGINNING, Decision, build_line, describe
from doorward.guard.audit.log import AuditLog
from doorward.guard.audit.stream_verification import verify_stream

KEY = "0123456789abcdef-key"


def lines(count, *, chain="0123456789abcdef", key=None):
    """What a process of ours writes."""
    members = [{"event": "started", "pid": 7}]
    members += [describe(Decision(at=0, outcome="accepted", subject=f"user-{number}")) for number in range(1, count)]
    link, written = BEGINNING, []
    for each in members:
        line, link = build_line({"chain": chain, **each}, link, at=0, key=key)
        written.append(line)
    return written


def verified(*pieces, **options):
    return verify_stream(io.BytesIO(b"".join(pieces)), **options)


def kinds(found):
    return [(finding.file, finding.what) for finding in found.problems]


PROGRAM = """
import os, sys, time
from doorward.errors import StoreError
from doorward.guard.audit import AuditLog, Decision

def decision(number, **members):
    return Decision(**{"at": float(number), "outcome": "accepted", "subject": f"user-{number}", **members})

log = AuditLog("-", key=os.environ.get("KEY") or None, queue_size=100, wait_s=0)
"""


def run(code, *, key=""):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + code],
        capture_output=True,
        timeout=60,
        check=True,
        env={**os.environ, "KEY": key},
    )
    return done.stdout


def test_a_process_writes_one_chain_that_says_where_it_begins():
    written = run("for number in range(50): log.record(decision(number))\nlog.close()")
    first, *rest = map(json.loads, written.splitlines())
    assert (first["seq"], first["event"], first["prev"]) == (1, "started", "0" * 64)
    assert [line["subject"] for line in rest] == [f"user-{number}" for number in range(50)]
    assert {line["chain"] for line in rest} == {first["chain"]}
    found = verified(written)
    assert (found.ok, found.others, len(found.chains)) == (True, 0, 1)
    assert found.chains[0][:4] == (first["chain"], 51, 1, 51)


def test_it_goes_on_with_its_chain_after_it_was_closed():
    found = verified(run("for number in range(3):\n log.record(decision(number)); log.close()"))
    assert (found.ok, len(found.chains), found.chains[0].lines) == (True, 1, 4)


def test_without_the_key_nobody_makes_a_chain_that_holds():
    written = run("log.record(decision(1)); log.close()", key=KEY)
    assert verified(written, key=KEY).ok
    assert {what for _, what in kinds(verified(written))} == {"changed"}
    assert not verified(*lines(3), key=KEY).ok


def test_each_worker_has_a_chain_of_its_own_and_none_cuts_another_s_lines():
    # A pipe is full most of the time, texts are as long as can be, and others print half lines in between.
    written = run(
        "log.record(decision(0)); log.flush()\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: break\n"
        "long = chr(0x1F600) * 5000\n"
        "for number in range(1, 60):\n"
        "    sys.stdout.write('half a line'); sys.stdout.flush()\n"
        "    log.record(decision(number, subject=long, issuer=long, jti=long, key_id=long, resource=long))\n"
        "log.close(30)\n"
        "try:\n"
        "    while True: os.wait()\n"
        "except ChildProcessError: pass\n"
    )
    found = verified(written)
    assert (found.ok, kinds(found)) == (True, [])
    assert sorted(chain.lines for chain in found.chains) == [60, 60, 60, 61]


def test_a_line_is_no_longer_than_a_pipe_takes_whole():
    written = run(
        "long = chr(0x1F600) * 300\n"
        "log.record(decision(1, subject=long, issuer=long, jti=long, key_id=long, resource=long, client_ip=long,"
        " scopes=(long,), code='x' * 40, reason='y' * 40, count=10 ** 9, since=0.0))\n"
        "log.close()"
    )
    assert 2000 < max(map(len, written.splitlines(keepends=True))) <= 4096
    assert verified(written).ok


def test_lines_are_found_wherever_they_begin():
    collected = [
        b"2026-11-29T04:00:00.000000000Z stdout F " + lines(4)[0],
        b"api-1  | " + lines(4)[1].replace(b"\n", b"\r\n"),
        b'{"seq": 1, "message": "of somebody else"}\n',
        b"\xff\x00 nothing at all\n",
        b'half a line {"seq":' + lines(4)[2],
        b"x" * 200_000 + b"\n",
        lines(4)[3].removesuffix(b"\n"),
    ]
    found = verified(*collected)
    assert (found.ok, found.chains[0].lines) == (True, 4)


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (lambda them: them[:2] + them[3:], "removed"),
        (lambda them: [*them[:2], them[3], them[2], *them[4:]], "removed"),
        (lambda them: [*them, them[2]], "out_of_place"),
        (lambda them: [line.replace(b"user-2", b"user-9") for line in them], "changed"),
        (lambda them: [*them[:2], lines(4, chain="f" * 16)[2].replace(b"f" * 16, b"0123456789abcdef")], "changed"),
        (lambda them: them[1:], "beginning_missing"),
        (lambda them: [*them[:2], *_other_story()[2:]], "detached"),
    ],
)
def test_whatever_is_done_to_a_line_shows(tamper, what):
    found = verified(*tamper(lines(6)), *lines(3, chain="f" * 16))
    assert kinds(found)[0] == ("chain 0123456789abcdef", what)
    assert {file for file, _ in kinds(found)} == {"chain 0123456789abcdef"}  # and not of the other process's


def _other_story():
    return [build_line({"chain": "0123456789abcdef", "n": 1}, BEGINNING, at=0, key=None)[0], *_follow_on()]


def _follow_on():
    link = build_line({"chain": "0123456789abcdef", "n": 1}, BEGINNING, at=0, key=None)[1]
    for number in range(5):
        line, link = build_line({"chain": "0123456789abcdef", "n": number}, link, at=0, key=None)
        yield line


def test_a_line_noted_elsewhere_must_be_there():
    end = verified(*lines(5)).chains[0]
    assert verified(*lines(6), expect=(end.last_seq, end.last_hash)).ok
    assert kinds(verified(*lines(4), expect=(end.last_seq, end.last_hash))) == [("all chains", "not_as_expected")]
    assert not verified(*lines(6), expect=(end.last_seq, "0" * 64)).ok


@pytest.mark.parametrize(
    "collected", [b"", b"nothing of ours\n", b'{"seq":1}\n', build_line({}, BEGINNING, at=0, key=None)[0]]
)
def test_logs_without_an_audit_are_told(collected):
    with pytest.raises(ConfigurationError) as told:
        verified(collected)
    assert told.value.reason == "audit_missing"


@pytest.mark.parametrize("length", [100, 65_436, 65_530, 131_000, 200_000])
def test_a_line_that_somebody_left_unfinished_hides_none(length):
    found = verified(lines(3)[0], b"x" * length, *lines(3)[1:])
    assert (found.ok, found.chains[0].lines, found.others) == (True, 3, 0)


def test_with_a_key_nobody_else_makes_chains(monkeypatch):
    monkeypatch.setattr(stream_verification, "_MOST_CHAINS", 3)
    ours = lines(3, key=b"secret")
    theirs = [lines(1, chain=f"{number:016x}")[0] for number in range(9)]
    found = verified(*ours, *theirs, key="secret")
    assert [(chain.chain, chain.lines) for chain in found.chains] == [("0123456789abcdef", 3)]
    assert kinds(found) == [(f"chain {number:016x}", "changed") for number in range(9)], "and they show"


def test_with_another_key_no_line_holds():
    found = verified(*lines(2, key=b"secret"), key="another")
    assert (found.ok, found.chains, {what for _, what in kinds(found)}) == (False, (), {"changed"})


def test_the_number_of_chains_is_bounded(monkeypatch):
    monkeypatch.setattr(stream_verification, "_MOST_CHAINS", 3)
    some = [lines(1, chain=f"{number:016x}")[0] for number in range(4)]
    assert verified(*some[:3]).ok
    with pytest.raises(StoreError) as told:
        verified(*some)
    assert told.value.reason == "audit_unreadable"


class TestNobodyReads:
    """A pipe that is full or broken: what was taken is kept, then requests are refused. Nothing hangs or is lost."""

    @pytest.fixture
    def program(self):
        """A program that says on standard error what becomes of its decisions, and our end of its standard output."""
        code = (
            "import logging; logging.basicConfig()\n"
            "def flood(until):\n"
            "    number = 0\n"
            "    while True:\n"
            "        try: log.record(decision(number)); number += 1\n"
            "        except StoreError as error:\n"
            "            print(error.reason, number, error.message, file=sys.stderr, flush=True)\n"
            "            if until in error.message: return number\n"
            "            time.sleep(0.05)\n"
            "taken = flood(sys.argv[1])\n"
            "sys.stdin.readline()\n"
            "log.close(10)\n"
            "print('closed', taken, file=sys.stderr, flush=True)\n"
        )
        started = []

        def start(until, *, blocking=True):
            command = [sys.executable, "-c", f"{PROGRAM}\nos.set_blocking(1, {blocking})\n{code}", until]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            started.append(subprocess.Popen(command, **pipes))
            return started[-1]

        yield start
        for process in started:
            process.kill()
            for pipe in (process.stdin, process.stdout, process.stderr):
                pipe.close()
            process.wait()

    @staticmethod
    def told(process, what, why=""):
        while line := process.stderr.readline().decode():
            if line.startswith(what) and why in line:
                return line
        raise AssertionError(f"It ended without {what}.")

    @pytest.mark.parametrize("blocking", [True, False])
    def test_for_a_while(self, program, blocking):
        process = program("nobody reads it", blocking=blocking)  # some parents leave it so
        self.told(process, "audit_full", "nobody reads it")
        read = []
        reader = threading.Thread(target=lambda: read.append(process.stdout.read()))
        reader.start()
        process.stdin.write(b"\n")
        process.stdin.flush()
        taken = int(self.told(process, "closed").split()[1])
        process.wait(20)
        reader.join(20)
        found = verified(read[0])
        assert (found.ok, found.chains[0].lines) == (True, taken + 1)

    def test_any_more(self, program):
        process = program("Nobody reads it any more")
        process.stdout.close()
        self.told(process, "audit_full", "Nobody reads it any more")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM

    def test_the_log_is_told_once(self, program):
        process = program("Nobody reads it any more")
        process.stdout.close()
        self.told(process, "audit_full", "Nobody reads it any more")
        process.stdin.close()
        rest = process.stderr.read().decode()
        assert process.wait(30) == 1  # by what close raises
        assert "ERROR:doorward.guard.audit:The audit log can't be written" not in rest  # it was said before
        assert "decisions are lost" in rest


def test_without_a_standard_output_the_start_says_so():
    code = "sys.__stdout__ = None\ntry: log.check()\nexcept StoreError as error: os.write(1, error.reason.encode())"
    assert run(code) == b"audit_no_access"
    code = "sys.__stdout__.close()\ntry: log.check()\nexcept StoreError as error: os.write(2, error.reason.encode())"
    done = subprocess.run([sys.executable, "-c", PROGRAM + code], capture_output=True, timeout=60, check=False)
    assert b"audit_no_access" in done.stderr


def test_it_never_writes_where_standard_output_was_closed_and_something_else_opened(tmp_path):
    database = tmp_path / "something.db"
    written = run(
        "log.record(decision(1)); log.flush()\n"
        f"os.close(1); assert os.open({str(database)!r}, os.O_CREAT | os.O_RDWR) == 1\n"
        "log.record(decision(2)); log.close()\n"
    )
    assert database.read_bytes() == b""
    assert verified(written).chains[0].lines == 3


def test_nothing_stays_open(leak_check):
    with leak_check():
        log = AuditLog("-")
        log.record(Decision(at=0, outcome="accepted"))
        log.close()
        log.check()
        log.close()


def test_it_says_what_it_is():
    assert repr(AuditLog("-")) == "AuditLog('-')"
    assert select.PIPE_BUF >= 4096 or sys.platform != "linux"
