"""G15: every decision is written once, in a chain that shows what was done to it."""

from __future__ import annotations

import errno
import fcntl
import functools
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from doorward.errors import ConfigurationError, StoreError
from doorward.guard.audit.decisions import Decision
from doorward.guard.audit.log import AuditLog
from doorward.journal import last_lines
from doorward.journal.chain import (
    BEGINNING,
    build_head,
    build_line,
    holds,
    parse_head,
    parse_line,
)
from doorward.journal.chain_file import ChainFile, full_files
from doorward.journal.last_lines import follow, tail
from doorward.journal.verification import verify
from doorward.model import Secret
from doorward.system import SystemClock

KEY = "0123456789abcdef-key"


def decision(number=0, **members):
    given = {
        "at": 1_700_000_000.0 + number,
        "outcome": "accepted",
        "kind": "jwt",
        "subject": f"user-{number}",
    } | members
    return Decision(**given)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.log"


@pytest.fixture
def write(path):
    """Write some decisions and close the log."""

    def write(count, *, first=0, **settings):
        log = AuditLog(path, **settings)
        for number in range(first, first + count):
            log.record(decision(number))
        log.close()

    return write


def kinds(findings):
    return [finding.what for finding in findings]


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def put(path, lines):
    path.write_bytes(b"".join(lines))


# What a line holds


def test_a_line_says_who_what_from_where_and_why(path):
    log = AuditLog(path)
    log.record(
        Decision(
            at=1_700_000_000.5,
            outcome="refused",
            code="expired",
            reason="expired",
            kind="jwt",
            issuer="https://id.example.org",
            subject="alice",
            jti="t1",
            key_id="k1",
            client_ip="192.0.2.7",
            resource="GET /orders?access_token=planted-token",
            scopes=("read", "write"),
        )
    )
    log.close()
    (line,) = path.read_text().splitlines()
    written = json.loads(line)
    assert len(written.pop("hash")) == 64
    assert written == {
        "seq": 1,
        "at": "2023-11-14T22:13:20.500000Z",
        "outcome": "refused",
        "code": "expired",
        "reason": "expired",
        "kind": "jwt",
        "issuer": "https://id.example.org",
        "subject": "alice",
        "jti": "t1",
        "key_id": "k1",
        "client_ip": "192.0.2.7",
        "resource": "GET /orders",
        "scopes": "read write",
        "prev": "0" * 64,
    }


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\u202egpj.exe", "\ud800", "x" * 100_000, '"}\n{"seq":1'])
def test_text_from_outside_stays_inside_its_member(path, text):
    log = AuditLog(path)
    members = dict.fromkeys(("issuer", "subject", "jti", "key_id", "client_ip", "resource", "reason"), text)
    log.record(decision(**members, scopes=(text, text)))
    log.close()
    (line,) = path.read_bytes().splitlines()
    assert len(line) < 10_000
    written = json.loads(line)
    assert all(str(value).isprintable() and len(str(value)) <= 300 for value in written.values())
    assert verify(path).ok


LOOK_ALIKE = [
    "alice", "alice\u200b", "\u202ealice", "alice\n", "alice ", " alice", "al  ice", "al ice", "al\u00a0ice",
    "\x00alice", "alice\\n", r"alice\u200b", r"alice\\u200b", "\ud800", "\U000e0001", "a" * 300, "a" * 301,
    "a" * 400 + "1", "a" * 400 + "2", "\u200b" * 300, "\u200b" * 299 + "a", "\\" * 300, "\\" * 299,
]  # fmt: skip


def test_names_that_differ_never_read_alike():
    told = [decision(subject=text).describe()["subject"] for text in LOOK_ALIKE]
    forged = [decision(subject=text).describe()["subject"] for text in told]  # whoever calls themselves like a line
    assert len(set(told)) == len(LOOK_ALIKE)
    assert not set(forged[LOOK_ALIKE.index("a" * 301) :]) & set(told)
    assert all(text.isprintable() and len(text) <= 300 for text in told)


@pytest.mark.parametrize("text", [text for text in LOOK_ALIKE if len(text) < 50])
def test_what_was_escaped_can_be_read_back(text):
    told = decision(subject=text).describe()["subject"]
    shown = re.sub(
        r"\\(\\|u[0-9a-f]{4}|U[0-9a-f]{8})",
        lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)),
        told,
    )
    assert shown == text


def test_the_hash_covers_the_line_without_its_hash():
    line, link = build_line(decision().describe(), BEGINNING, at=0, key=None)
    parsed = parse_line(line[:-1])
    assert parsed.link == link
    assert holds(parsed, None)
    assert not holds(parsed, b"key")
    keyed, _ = build_line(decision().describe(), BEGINNING, at=0, key=b"key")
    assert not holds(parse_line(keyed[:-1]), None)
    assert holds(parse_line(keyed[:-1]), b"key")


def test_a_head_is_told_from_garbage_and_from_another_key_s():
    _, link = build_line({}, BEGINNING, at=0, key=None)
    assert parse_head(build_head(link, b"key"), b"key") == link
    assert parse_head(build_head(link, b"key"), None) is None
    assert parse_head(b"head nonsense", None) is None


# The chain


def test_a_chain_that_nobody_touched_holds(path, write):
    write(10)
    write(5, first=10)
    found = verify(path)
    assert found.ok
    assert (found.files, found.lines, found.first_seq, found.last_seq) == (1, 15, 1, 15)
    assert (found.problems, found.remarks) == ((), ())
    assert found.last_hash == json.loads(lines_of(path)[-1])["hash"]
    assert [line["subject"] for line in tail(path, 100)] == [f"user-{number}" for number in range(15)]


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize(
    ("what", "tamper"),
    [
        ("changed", lambda lines: [*lines[:4], lines[4].replace(b"user-4", b"user-5"), *lines[5:]]),
        ("removed", lambda lines: lines[:4] + lines[5:]),
        ("removed", lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]]),
        ("out_of_place", lambda lines: [*lines[:5], lines[2], *lines[5:]]),
        ("unreadable", lambda lines: [*lines[:5], b"nothing of ours\n", *lines[5:]]),
        ("beginning_missing", lambda lines: lines[3:]),
        ("end_missing", lambda lines: lines[:-1]),
        ("end_missing", lambda _lines: []),
        ("end_missing", lambda lines: [*lines[:-1], lines[-1][:50]]),
    ],
)
def test_whatever_is_done_to_a_line_shows(path, write, what, tamper, key):
    write(10, key=key)
    put(path, tamper(lines_of(path)))
    found = verify(path, key=key)
    assert not found.ok
    assert what in kinds(found.problems)


def test_a_changed_line_is_named_and_no_other(path, write):
    write(10)
    put(path, [line.replace(b"user-4", b"user-x") for line in lines_of(path)])
    (problem,) = verify(path).problems
    assert (problem.file, problem.line, problem.what) == ("audit.log", 5, "changed")


def test_a_line_hashed_anew_no_longer_fits_the_next(path, write):
    write(10)
    lines = lines_of(path)
    before = parse_line(lines[3][:-1]).link
    lines[4] = build_line(decision(subject="mallory").describe(), before, at=0, key=None)[0]
    put(path, lines)
    (problem,) = verify(path).problems
    assert (problem.line, problem.what) == (6, "detached")


def test_without_the_key_nobody_makes_a_chain_that_holds(path, write):
    write(3, key=KEY)
    assert verify(path, key=Secret(KEY)).ok
    link, lines = BEGINNING, []
    for number in range(3):
        line, link = build_line(decision(number).describe(), link, at=0, key=None)
        lines.append(line)
    put(path, lines)
    path.with_name("audit.log.head").write_bytes(build_head(link, None))
    assert verify(path).ok
    assert kinds(verify(path, key=KEY).problems) == ["changed"] * 3 + ["head_unreadable"]


def test_removed_last_lines_show_for_ever_once_somebody_writes_on(path, write):
    write(10)
    put(path, lines_of(path)[:7])
    write(2, first=10)
    found = verify(path)
    assert kinds(found.problems) == ["removed"]
    assert tail(path, 3)[0]["event"] == "recovered"
    assert tail(path, 3)[0]["head"] == "ahead"
    assert found.last_seq == 13


def test_an_exchanged_last_line_shows_for_ever_once_somebody_writes_on(path, write):
    write(3)
    lines = lines_of(path)
    lines[2] = build_line(decision(subject="mallory").describe(), parse_line(lines[1][:-1]).link, at=0, key=None)[0]
    put(path, lines)
    assert kinds(verify(path).problems) == ["head_differs"]
    write(1)
    assert kinds(verify(path).problems) == ["detached"]


@pytest.mark.parametrize(("how", "what"), [("put_back", "removed"), ("removed", "beginning_missing")])
def test_an_older_log_and_head_show_for_ever_where_a_writer_still_runs(path, how, what):
    log, head = AuditLog(path, key=KEY), path.with_name("audit.log.head")
    log.record(decision(0))
    log.flush()
    older = [(file, file.read_bytes()) for file in (path, head)]
    for number in range(1, 4):
        log.record(decision(number))
    log.flush()
    for file, content in older:
        file.write_bytes(content) if how == "put_back" else file.unlink()
    log.record(decision(4))
    log.close()
    assert kinds(verify(path, key=KEY).problems) == [what]
    assert [line.get("head") for line in tail(path, 2)] == ["older", None]


def test_a_removed_log_shows(path, write):
    write(3)
    path.unlink()
    write(1)
    assert kinds(verify(path).problems) == ["beginning_missing"]


def test_last_lines_removed_with_the_head_show_for_ever(path, write):
    write(3)
    put(path, lines_of(path)[:2])
    path.with_name("audit.log.head").unlink()
    assert kinds(verify(path).problems) == ["no_head"]
    path.with_name("audit.log.head").write_bytes(b"garbage")
    assert kinds(verify(path).problems) == ["head_unreadable"]
    write(1)
    write(1)
    assert kinds(verify(path).problems) == ["head_lost"]


def test_there_is_a_head_before_there_is_a_line(path):
    AuditLog(path).check()
    assert path.read_bytes() == b""
    found = verify(path)
    assert (found.ok, found.lines, found.remarks) == (True, 0, ())


def test_a_line_noted_elsewhere_must_be_there(path, write):
    write(3)
    noted = verify(path)
    expect = (noted.last_seq, noted.last_hash)
    write(3)
    assert verify(path, expect=expect).ok
    put(path, lines_of(path)[:2])
    path.with_name("audit.log.head").unlink()
    found = verify(path, expect=expect)
    assert kinds(found.problems) == ["not_as_expected", "no_head"]


# Torn lines


@pytest.mark.parametrize("cut", [1, 2, 40, -1])
def test_a_torn_line_is_ended_and_told_from_tampering(path, write, cut):
    write(3)
    whole, _ = build_line(decision(3).describe(), parse_line(lines_of(path)[-1][:-1]).link, at=0, key=None)
    with path.open("ab") as file:
        file.write(whole[:cut])
    found = verify(path)
    assert found.ok
    assert kinds(found.remarks) == ([] if cut == -1 else ["unfinished"])
    write(2, first=4)
    found = verify(path)
    assert found.ok
    assert kinds(found.remarks) == ([] if cut == -1 else ["torn"])
    assert (found.last_seq, found.lines) == (6, 6)


def test_a_torn_line_after_a_torn_line(path, write):
    write(1)
    with path.open("ab") as file:
        file.write(b'{"seq":2,\n{"seq":2,"at":"')
    write(1)
    found = verify(path)
    assert found.ok
    assert kinds(found.remarks) == ["torn"]


def test_a_torn_line_in_a_new_file(path, write):
    AuditLog(path).check()
    path.write_bytes(b'{"seq":1')
    write(1)
    found = verify(path)
    assert found.ok
    assert kinds(found.remarks) == ["torn"]


def test_tampering_does_not_pass_for_a_torn_line(path, write):
    write(3)
    lines = lines_of(path)
    put(path, [*lines[:2], lines[2][:30]])
    assert kinds(verify(path).problems) == ["end_missing"]
    write(1)
    assert kinds(verify(path).problems) == ["removed"]


@pytest.mark.parametrize("garbage", [b"\0" * 3_000_000, b"\n" * 5_000, b"[" * 200_000, bytes(range(256)) * 1_000, b""])
def test_garbage_is_reported_and_written_after(path, write, garbage):
    write(1)
    with path.open("ab") as file:
        file.write(garbage)
    verify(path)
    tail(path)
    write(1)
    found = verify(path)
    assert parse_line(lines_of(path)[-1][:-1]) is not None
    assert found.lines >= 2
    assert found.ok == (garbage == b"" or not found.problems)


# Files


def test_the_chain_goes_on_from_file_to_file(path, write):
    write(100, max_bytes=4096, keep=None)
    full = sorted(path.parent.glob("audit.log.0*"))
    assert len(full) > 3
    assert all(file.stat().st_size <= 4096 for file in full)
    found = verify(path)
    assert found.ok
    assert found.files == len(full) + 1
    first = json.loads(lines_of(path)[0])
    assert (first["event"], first["previous"]) == ("continued", full[-1].name)
    assert first["prev"] == json.loads(lines_of(full[-1])[-1])["hash"]
    assert [line["subject"] for line in tail(path, 200) if "subject" in line] == [f"user-{n}" for n in range(100)]


def test_old_files_are_pruned_and_that_is_written_down(path):
    log = AuditLog(path, max_bytes=4096, keep=2)
    for number in range(100):
        log.record(decision(number))
        log.flush()
    log.close()
    assert len(list(path.parent.glob("audit.log.0*"))) == 2
    found = verify(path)
    assert found.ok
    assert found.first_seq > 1


@pytest.mark.parametrize(("which", "what"), [(0, "beginning_missing"), (1, "removed"), (-1, "removed")])
def test_a_removed_full_file_shows(path, write, which, what):
    write(100, max_bytes=4096, keep=None)
    sorted(path.parent.glob("audit.log.0*"))[which].unlink()
    assert kinds(verify(path).problems) == [what]


def test_a_writer_killed_in_the_middle_of_a_rotation_is_followed_by_the_next(path, write):
    write(3)
    path.rename(path.with_name("audit.log.000000000003"))
    found = verify(path)
    assert (found.ok, found.last_seq) == (True, 3)
    assert len(tail(path)) == 3
    write(1)
    found = verify(path)
    assert (found.ok, found.last_seq, found.files) == (True, 5, 2)


def test_files_are_for_us_alone(path, write, request):
    request.addfinalizer(functools.partial(os.umask, os.umask(0)))
    write(100, max_bytes=4096)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    path.chmod(0o644)
    write(1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_logs_on_one_file_make_one_chain(path):
    logs = [AuditLog(path, max_bytes=100_000) for _ in range(3)]

    def work(log):
        for number in range(500):
            log.record(decision(number))
            if number % 50 == 0:
                log.flush()

    threads = [threading.Thread(target=work, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    found = verify(path)
    assert found.problems == ()
    assert found.remarks == ()
    assert len([line for line in tail(path, 5_000) if "outcome" in line]) == 1_500


def test_a_forked_child_writes_on_in_the_same_chain(path):
    code = f"""
import os, sys
from doorward.guard.audit.log import AuditLog, Decision
log = AuditLog({str(path)!r})
def write(who):
    for _ in range(200):
        log.record(Decision(at=0, outcome="accepted", subject=who))
write("before")
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        log.flush()
        write(f"child-{{number}}")
        log.close()
        os._exit(0)
    children.append(child)
write("parent")
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # it ends without close()
    found = verify(path)
    assert found.problems == ()
    who = [line["subject"] for line in tail(path, 5_000)]
    assert Counter(who) == dict.fromkeys(("before", "parent", "child-0", "child-1", "child-2"), 200)


# What a power cut leaves


@pytest.fixture
def steps(path, monkeypatch):
    """What the disk is made to hold, and what is renamed, in order, each under the name that it has just then."""
    taken = []

    def name_of(fd):
        here = [path.parent, *path.parent.iterdir()]
        return next(each.name for each in here if os.path.samestat(os.fstat(fd), each.stat()))

    def noting(step, call, what):
        def noted(first, *others, **options):
            taken.append(f"{step} {what(first)}")
            return call(first, *others, **options)

        return noted

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync, name_of))
    monkeypatch.setattr(os, "rename", noting("rename", os.rename, lambda source: Path(source).name))
    return taken


SYNCED = ["fsync audit.log", "fsync audit.log.head"]


def test_what_was_flushed_is_on_the_disk_the_log_before_its_head_and_once_their_names(path, steps):
    folder = [f"fsync {path.parent.name}"]
    log = AuditLog(path, fsync_s=60)
    log.record(decision(1))
    log.flush()
    assert steps == [*SYNCED, *folder]
    log.record(decision(2))
    log.flush()
    assert steps == [*SYNCED, *folder, *SYNCED]
    log.record(decision(3))
    log.close()
    assert steps == [*SYNCED, *folder, *SYNCED, *SYNCED]


def test_a_full_file_is_on_the_disk_before_it_gives_up_its_name_and_the_new_names_are_too(path, steps):
    file = ChainFile(path, key=None, max_bytes=4_096, keep=None, clock=SystemClock())
    file.append([decision()])
    file.sync()
    steps.clear()
    while not full_files(path):
        file.append([decision()])
    assert steps == ["fsync audit.log", "rename audit.log"]
    file.sync()
    assert steps[2:] == [*SYNCED, f"fsync {path.parent.name}"]
    file.close()


def test_what_nobody_flushes_is_on_the_disk_soon(path, steps):
    log = AuditLog(path, fsync_s=0.1)
    log.record(decision())
    give_up_at = time.monotonic() + 60
    while len(steps) < 3:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    log.close()


def test_a_disk_that_can_not_sync_folders_is_taken_as_it_is_and_one_that_fails_is_not(path, monkeypatch):
    fsync, number = os.fsync, errno.EINVAL

    def refuse(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, "refused")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    file = ChainFile(path, key=None, max_bytes=4_096, keep=None, clock=SystemClock())
    file.append([decision()])
    file.sync()
    file.close()
    number = errno.EIO
    file.append([decision()])
    with pytest.raises(StoreError) as refused:
        file.sync()
    assert refused.value.reason == "audit_io"
    file.close()


# Trouble


def test_a_mistake_in_the_settings_is_named(path):
    wrong = {"max_bytes": 1, "keep": 0, "fsync_s": -1, "queue_size": 0, "wait_s": True, "key": "short"}
    for field, value in wrong.items():
        with pytest.raises(ConfigurationError) as caught:
            AuditLog(path, **{field: value})
        assert caught.value.field == field


def test_windows_is_told_that_it_has_no_such_locks(path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationError, match="Windows"):
        AuditLog(path)


def test_nothing_is_opened_before_the_first_decision(path, leak_check):
    with leak_check():
        log = AuditLog(path)
        log.flush()
        log.close()
        assert list(path.parent.iterdir()) == []
        log.check()
        log.record(decision())
        log.close()
        log.record(decision())
        del log  # whoever forgets to close loses no decision
    assert verify(path).lines == 2


def test_check_finds_a_mistake_at_the_start(tmp_path):
    with pytest.raises(StoreError) as caught:
        AuditLog(tmp_path / "nowhere" / "audit.log").check()
    assert caught.value.reason == "audit_no_folder"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError) as caught:
        AuditLog(tmp_path / "link").check()
    assert caught.value.reason == "audit_unsafe"
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StoreError) as caught:
        AuditLog(tmp_path / "fifo").check()
    assert caught.value.reason == "audit_unsafe"


def test_while_the_disk_fails_decisions_are_kept_then_refused_then_written(path, caplog):
    missing = path.parent / "later" / "audit.log"
    log = AuditLog(missing, queue_size=10, wait_s=0.01)
    with pytest.raises(StoreError, match="does not keep up") as caught:  # noqa: PT012 - one of them is one too many
        for number in range(2_000):
            log.record(decision(number))
    assert caught.value.reason == "audit_full"
    with pytest.raises(StoreError) as caught:
        log.flush(0.1)
    assert caught.value.reason == "audit_unwritten"
    assert "folder" in caught.value.message
    with pytest.raises(StoreError):
        log.close(0.1)
    missing.parent.mkdir()
    log.flush(30)
    log.close(30)
    written = [line["subject"] for line in tail(missing, 5_000)]
    assert written == [f"user-{number}" for number in range(len(written))]
    assert len(written) >= 10
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_full_queue_makes_a_request_wait_no_longer_than_it_may(path):
    log = AuditLog(path, queue_size=1, wait_s=1)
    for number in range(200):
        log.record(decision(number))  # each waits for the one before to be written
    log.close()
    assert verify(path).lines == 200


def test_while_nothing_is_written_only_the_first_request_waits(path):
    log = AuditLog(path, queue_size=1, wait_s=0.3)
    with path.with_name("audit.log.head").open("ab") as head:
        fcntl.flock(head, fcntl.LOCK_EX)  # the writer waits two seconds for it, and nothing has failed meanwhile
        waited = 0
        for number in range(20):
            began = time.monotonic()
            with suppress(StoreError):
                log.record(decision(number))
            waited += time.monotonic() - began > 0.25
    assert waited <= 2
    log.close()
    log.record(decision())  # and where there is room, nobody is refused
    log.close()


def test_a_full_disk_leaves_no_half_lines(path):
    file = ChainFile(path, key=None, max_bytes=10**9, keep=None, clock=SystemClock())
    file.append([decision(0)])
    before = path.read_bytes()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 500, old[1]))
    try:
        with pytest.raises(StoreError) as caught:
            file.append([decision(number) for number in range(1, 10)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert path.read_bytes() == before
    file.append([decision(1)])
    file.close()
    assert verify(path).ok


def test_a_lock_that_somebody_keeps_is_told(path):
    import fcntl  # noqa: PLC0415 - not there on Windows

    file = ChainFile(path, key=None, max_bytes=10**9, keep=None, clock=SystemClock())
    file.append([decision(0)])
    with path.with_name("audit.log.head").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreError) as caught:
            file.append([decision(1)])
        assert caught.value.reason == "audit_locked"
    file.append([decision(2)])
    file.close()
    assert verify(path).lines == 2


def test_a_head_removed_while_we_write_is_made_again(path):
    file = ChainFile(path, key=None, max_bytes=10**9, keep=None, clock=SystemClock())
    file.append([decision(0)])
    path.with_name("audit.log.head").unlink()
    file.append([decision(1)])
    file.close()
    assert verify(path).problems == ()
    assert verify(path).lines == 2


# Reading


def test_a_log_that_is_not_there(path):
    for read in (verify, tail, lambda path: next(follow(path))):
        with pytest.raises(ConfigurationError) as caught:
            read(path)
        assert caught.value.reason == "audit_missing"
    os.mkfifo(path)
    with pytest.raises(ConfigurationError):
        verify(path)


@pytest.fixture
def nobody_special():
    """Root may read everything: become somebody else for as long as a test runs."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_log_that_may_not_be_read(path, write, request):
    write(1)
    path.chmod(0)
    request.getfixturevalue("nobody_special")
    for read in (verify, tail):
        with pytest.raises(StoreError) as caught:
            read(path)
        assert caught.value.reason == "audit_unreadable"


def test_tail_begins_where_it_is_told(path, write):
    write(50, max_bytes=4096, keep=None)
    assert [line["subject"] for line in tail(path, 3)] == ["user-47", "user-48", "user-49"]
    assert tail(path, 0) == []
    with path.open("ab") as file:
        file.write(b"garbage\n")
    assert tail(path, 1) == [{"unreadable": True}]


def test_following_goes_on_into_the_next_file(path, write):
    write(1)
    seen = []

    def look():
        for line in follow(path):
            seen.append(line.get("subject"))
            if line.get("subject") == "user-99":
                return

    ready = threading.Event()
    thread = threading.Thread(target=lambda: (ready.set(), look()))
    thread.start()
    ready.wait(10)
    log = AuditLog(path, max_bytes=4096, keep=None)
    while "user-1" not in seen:
        log.record(decision(1))
        log.flush()
    for number in range(2, 100):
        log.record(decision(number))
        log.flush()
    log.close()
    thread.join(30)
    assert not thread.is_alive()
    assert [name for name in seen if name not in (None, "user-1")] == [f"user-{number}" for number in range(2, 100)]


def test_following_leaves_out_no_file_that_is_full_just_before_it_is_opened(path, monkeypatch):
    log = AuditLog(path, max_bytes=4096, keep=None)
    numbers = iter(range(1_000))

    def fill_a_file():
        files = len(list(path.parent.iterdir()))
        while len(list(path.parent.iterdir())) == files:
            log.record(decision(next(numbers)))
            log.flush()

    class Writing(SystemClock):
        def sleep(self, seconds):
            fill_a_file()

    def find_and_fill(*arguments):
        found = file_after(*arguments)
        if len(list(path.parent.iterdir())) == 3:  # the log, its head, the first full file
            fill_a_file()
        return found

    file_after = last_lines._file_after  # noqa: SLF001 - the moment after it is the one that counts
    monkeypatch.setattr(last_lines, "_file_after", find_and_fill)
    log.record(decision(next(numbers)))
    log.flush()
    seen = [line["seq"] for line in islice(follow(path, after=1, clock=Writing()), 60)]
    log.close()
    assert seen == list(range(2, 62))


def test_a_flood_of_problems_is_counted(path, write):
    write(300)
    put(path, [line.replace(b"user", b"resu") for line in lines_of(path)])
    found = verify(path)
    assert (len(found.problems), found.more) == (100, 200)


def test_a_full_file_without_its_last_line_feed_was_changed(tmp_path):
    log = AuditLog(tmp_path / "audit.log", max_bytes=4096)
    for number in range(60):
        log.record(decision(number))
    log.close()
    full, *_ = full_files(tmp_path / "audit.log")
    assert verify(tmp_path / "audit.log").ok
    full.write_bytes(full.read_bytes().removesuffix(b"\n"))
    (found,) = verify(tmp_path / "audit.log").problems
    assert (found.what, found.file, found.line) == ("line_feed_missing", full.name, int(full.suffix[1:]))
