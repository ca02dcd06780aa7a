"""The audit's chain, whatever is recorded and whatever is done to the file."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.guard.audit.decisions import Decision
from doorward.guard.audit.log import AuditLog
from doorward.journal.chain import (
    BEGINNING,
    MAX_LINE_BYTES,
    build_line,
    holds,
    parse_head,
    parse_line,
)
from doorward.journal.chain_file import ChainFile
from doorward.journal.last_lines import tail
from doorward.journal.verification import verify
from doorward.system import SystemClock

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=400)
DECISIONS = st.builds(
    Decision,
    at=st.floats(0, 2e11),
    outcome=st.sampled_from(["accepted", "refused", "forbidden", "throttled", "unavailable"]),
    code=TEXTS,
    reason=TEXTS,
    issuer=TEXTS,
    subject=TEXTS,
    jti=TEXTS,
    key_id=TEXTS,
    client_ip=TEXTS,
    resource=TEXTS,
    scopes=st.lists(TEXTS, max_size=5).map(tuple),
)


@given(DECISIONS)
def test_any_decision_makes_one_line_that_holds(decision):
    line, link = build_line(decision.describe(), BEGINNING, at=decision.at, key=b"key")
    assert len(line) < MAX_LINE_BYTES
    assert line.count(b"\n") == 1
    parsed = parse_line(line[:-1])
    assert holds(parsed, b"key")
    assert parsed.link == link
    assert "?" not in parsed.members.get("resource", "")


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_garbage_is_never_an_exception(line, head):
    for data in (line, line + b',"hash":"' + b"0" * 64 + b'"}', b'{"seq":1' + line + b',"hash":"' + b"0" * 64 + b'"}'):
        parsed = parse_line(data)
        assert parsed is None or not holds(parsed, None)
    assert parse_head(head, None) is None


@contextlib.contextmanager
def a_log(key, *, max_bytes=4096, count=40):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.log"
        file = ChainFile(path, key=key, max_bytes=max_bytes, keep=None, clock=SystemClock())
        decisions = [Decision(at=0, outcome="accepted", subject=f"user-{number}") for number in range(count)]
        while decisions:
            del decisions[: file.append(decisions)]
        file.close()
        yield path


def write_on(path):
    log = AuditLog(path)
    log.record(Decision(at=0, outcome="accepted", subject="afterwards"))
    log.close()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_any_bytes_shows_and_goes_on_showing(data):
    with a_log(None) as path:
        files = sorted(each for each in path.parent.iterdir() if each.suffix != ".head")
        file = data.draw(st.sampled_from(files))
        content = file.read_bytes()
        begin = data.draw(st.integers(0, len(content) - 1))
        end = data.draw(st.integers(begin, min(len(content), begin + 500)))
        changed = content[:begin] + data.draw(st.binary(max_size=20)) + content[end:]
        file.write_bytes(changed)
        tail(path)
        if changed == content:
            return
        only_its_last_line_feed = content.removesuffix(b"\n") == changed and file == path
        assert verify(path).ok == only_its_last_line_feed
        write_on(path)
        assert verify(path).ok == only_its_last_line_feed
        assert tail(path, 1)[0]["subject"] == "afterwards"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_write_that_was_cut_short_anywhere_is_mended(data):
    with a_log(None, max_bytes=10**9, count=5) as path:
        link = parse_line(path.read_bytes().splitlines()[-1]).link
        written = b""
        for number in range(3):
            line, link = build_line(
                Decision(at=0, outcome="accepted", subject=str(number)).describe(), link, at=0, key=None
            )
            written += line
        cut = data.draw(st.integers(0, len(written)))
        with path.open("ab") as file:
            file.write(written[:cut])
        assert verify(path).ok
        write_on(path)
        found = verify(path)
        assert found.ok
        assert {remark.what for remark in found.remarks} <= {"torn"}
        assert found.lines >= 6 + written[:cut].count(b"\n")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_other_order_of_lines_shows(data):
    with a_log(None, max_bytes=10**9, count=8) as path:
        lines = path.read_bytes().splitlines(keepends=True)
        other = data.draw(st.lists(st.sampled_from(lines), max_size=12))
        path.write_bytes(b"".join(other))
        assert verify(path).ok == (other == lines)
