"""``doorward audit``: does an audit log's chain hold, and what does it say."""

from __future__ import annotations

import json
import os
import re
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.ending import FAILED
from doorward.cli.options import Group, json_option
from doorward.cli.terminal import print_json, print_line, print_text, wrapped
from doorward.errors import ConfigurationError, printable
from doorward.journal.last_lines import follow, tail
from doorward.journal.stream_verification import verify_stream
from doorward.journal.verification import verify
from doorward.record.settings import record_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.journal.findings import Finding
    from doorward.journal.stream_verification import StreamVerification
    from doorward.journal.verification import Verification

__all__ = ["command"]

_EXPECTED = re.compile(r"([1-9][0-9]{0,18}):([0-9a-f]{64})")


@click.group("audit", cls=Group)
def command() -> None:
    """Check and read an audit log: a guard's, or the record of what Doorward did on this computer."""


@command.command("verify")
@click.argument("path", required=False)
@click.option(
    "--expect", metavar="SEQ:HASH", help="A line that must be there: what an earlier run printed as its last."
)
@json_option
def _verify(*, path: str | None, expect: str | None, as_json: bool) -> int:
    """Check that no line was changed, removed, inserted or moved.

    PATH is the log; without it, the record that DOORWARD_RECORD or doorward.toml names. Or it is - for what a service
    printed whose log goes to standard output: give that on standard input, with whatever else it printed.

    Keep the last line's SEQ:HASH elsewhere and give it as --expect next time: then it shows, too, if the last lines
    were removed together with the log's head. A log written with a key needs it in DOORWARD_AUDIT_KEY.
    """
    path = path or _record()
    key, expected = os.environ.get("DOORWARD_AUDIT_KEY") or None, _expected(expect)
    if path == "-":
        return _report_stream(verify_stream(sys.stdin.buffer, key=key, expect=expected), as_json=as_json)
    return _report(verify(path, key=key, expect=expected), as_json=as_json)


def _report(found: Verification, *, as_json: bool) -> int:
    if as_json:
        told = ("ok", "files", "lines", "first_seq", "last_seq", "last_hash")
        print_json({**{name: getattr(found, name) for name in told}, **_findings(found)})
    elif _print_findings(found, found.lines):
        verdict = "The chain holds" if found.ok else "The chain is broken"
        print_text(f"{verdict}: {found.lines} lines, {found.first_seq} to {found.last_seq}, in {found.files} file(s).")
        print_line(f"Last line: {found.last_seq}:{found.last_hash}")
    return 0 if found.ok else FAILED


def _report_stream(found: StreamVerification, *, as_json: bool) -> int:
    if as_json:
        chains = [chain._asdict() for chain in found.chains]
        print_json({"ok": found.ok, "chains": chains, "others": found.others, **_findings(found)})
    elif _print_findings(found, sum(chain.lines for chain in found.chains)):
        verdict = "Each chain holds" if found.ok else "Not every line holds"
        print_text(f"{verdict}: {len(found.chains)} of them. {found.others} other lines were passed over.")
        for chain in found.chains:
            print_text(f"Chain {chain.chain}: {chain.lines} lines, {chain.first_seq} to {chain.last_seq}.")
            print_line(f"Last line: {chain.last_seq}:{chain.last_hash}")
    return 0 if found.ok else FAILED


def _findings(found: Verification | StreamVerification) -> dict[str, Any]:
    return {
        "problems": [finding._asdict() for finding in found.problems],
        "remarks": [finding._asdict() for finding in found.remarks],
        "more": found.more,
    }


def _print_findings(found: Verification | StreamVerification, lines: int) -> bool:
    """Print what was found. Return whether it says anything: with a wrong key each line is wrong, and none is."""
    changed = sum(finding.what == "changed" for finding in found.problems)
    if changed and changed + found.more >= lines:
        print_text("PROBLEM  no line matches its hash: was the log written with another key (DOORWARD_AUDIT_KEY)?")
        return False
    for finding in found.problems:
        print_text(f"PROBLEM  {_place(finding)}: {finding.text}")
    for finding in found.remarks:
        print_text(f"remark   {_place(finding)}: {finding.text}")
    if found.more:
        print_text(f"… and {found.more} more.")
    return True


@command.command("tail")
@click.argument("path", required=False)
@click.option("-n", "count", type=click.IntRange(0, 100_000), default=20, show_default=True, help="How many lines.")
@click.option("--follow", "following", is_flag=True, help="Go on with each new line, until Ctrl-C.")
@json_option
def _tail(*, path: str | None, count: int, following: bool, as_json: bool) -> None:
    """Show the last decisions: when, outcome, who, from where, what for, why. Verifies nothing.

    On a terminal, a long one goes on below, indented. Elsewhere each is one line.
    """
    path = path or _record()
    lines = tail(path, max(count, 1))
    last = max((line.get("seq", 0) for line in lines), default=0)
    new = follow(path, after=last) if following else iter(())
    for line in chain(lines if count else (), new):
        print_line(json.dumps(line) if as_json else wrapped(_in_words(line), sys.stdout, hanging="    "))
        if following:
            sys.stdout.flush()  # somebody waits for it, also behind a pipe


def _record() -> str:
    """Return where the record of this computer is."""
    record = record_file()
    if record is None:
        message = "Name the log. No record is kept here: neither DOORWARD_RECORD nor doorward.toml says where."
        raise ConfigurationError(message, field="PATH", reason="record_off")
    return str(record)


def _expected(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    found = _EXPECTED.fullmatch(text)
    if found is None:
        message = "--expect takes SEQ:HASH, as doorward audit verify prints it after 'Last line'."
        raise ConfigurationError(message, field="expect", reason="expect_malformed")
    return int(found[1]), found[2]


def _place(finding: Finding) -> str:
    return f"{finding.file}, line {finding.line}" if finding.line else finding.file


def _in_words(line: Mapping[str, Any]) -> str:
    """Return a line for people. What was refused only claims to be somebody."""
    if line.get("unreadable"):
        return "(a line that is none of ours: see doorward audit verify)"
    said = {name: printable(str(value)) for name, value in line.items()}
    words = [said.get("at", "").partition(".")[0] + "Z"]
    if "event" in line:
        facts = (f"{printable(name)}={value}" for name, value in said.items() if name not in _OF_EVERY_LINE)
        return " ".join([*words, f"[{said['event']}]", *facts])
    words.append(f"{said.get('outcome', ''):<11}")
    if "action" in said:
        facts = (f"{printable(name)}={value}" for name, value in said.items() if name not in _OF_EVERY_ACTION)
        return " ".join([*words, said["action"], *facts])
    who = said.get("subject") or said.get("key_id") or "nobody known"
    if "issuer" in said:
        who += f" of {said['issuer']}"
    believed = said.get("outcome") in ("accepted", "forbidden")
    words.append(who if believed or who == "nobody known" else f"{who} (claimed)")
    words += [f"{word} {said[name]}" for word, name in _WORDS if name in said]
    if said.get("code"):
        why = said["code"] if said.get("reason", said["code"]) == said["code"] else f"{said['code']}: {said['reason']}"
        words.append(f"because {why}")
    return " ".join(words)


_OF_EVERY_LINE = {"seq", "at", "event", "prev", "hash"}
_OF_EVERY_ACTION = {"seq", "at", "prev", "hash", "action", "outcome", "id"}
_WORDS = (("from", "client_ip"), ("for", "resource"), ("with", "kind"), ("needing", "scopes"))
