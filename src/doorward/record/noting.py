"""Notes what the near door does: before it acts, so that what can't be noted is not done; and how it ended.

Processes share one file. A line is on the disk before the call returns. No line holds a token, a cookie or a query.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from doorward.errors import DoorwardError, RecordUnavailable, StoreError
from doorward.journal.chain import LONGEST_TEXT, told
from doorward.journal.chain_file import ChainFile
from doorward.record.settings import record_file, record_key
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Action", "note_use", "noting"]

_log = logging.getLogger("doorward.record")

Action = Literal[
    "sign_in", "renewal", "use", "download", "sign_out", "import", "export", "forget", "seal", "rotate", "unseal"
]

_MAX_BYTES = 64 * 1024 * 1024


@contextmanager
def noting(action: Action, **facts: str | None) -> Iterator[dict[str, str | None]]:
    """Note that something begins, and how it ended. Where no record is kept, do nothing.

    Args:
        action: What is done.
        facts: What it is about: ``profile``, ``institution``, ``issuer``, ``client_id``, ``subject``, ``to`` (an
            address), ``by`` (a program). Secrets have no place in them; the query of an address is left out.

    Yields:
        The facts of the line that says how it ended, to be added to.

    Raises:
        RecordUnavailable: Its beginning could not be noted, and nothing was done; or it was done, and its end could
            not be noted. What failed by itself goes on raising its own error.
        ConfigurationError: The setting can't be used; nothing was done.
    """
    file = record_file()
    ending = dict(facts)
    if file is None:
        yield ending
        return
    key, number = record_key(), os.urandom(4).hex()
    _write(file, key, _Line(action, "begun", number, dict(facts)), "It was not begun.")
    try:
        yield ending
    except BaseException as error:
        outcome = "failed" if isinstance(error, Exception) else "stopped"
        why = (error.code, error.reason) if isinstance(error, DoorwardError) else (type(error).__name__, None)
        ending |= {"code": why[0], "reason": why[1]}
        try:
            _write(file, key, _Line(action, outcome, number, ending), "")
        except RecordUnavailable as unwritten:
            _log.error("How %s ended is not in the record: %s", action, unwritten.message)
        raise
    _write(file, key, _Line(action, "done", number, ending), "It was done, and the record says only that it was begun.")


def note_use(by: str, **facts: str | None) -> None:
    """Note that a token is about to be handed out, or sent, by a program of ours such as ``doorward curl``.

    Args:
        by: The program.
        facts: What ``noting`` takes: ``profile``, ``to`` and so on.

    Raises:
        RecordUnavailable, ConfigurationError: It could not be noted: do not hand the token out.
    """
    file = record_file()
    if file is not None:
        line = _Line("use", "done", os.urandom(4).hex(), {"by": by, **facts})
        _write(file, record_key(), line, "The token was not given out.")


@dataclass(frozen=True, slots=True)
class _Line:
    """What happened, as a line of the record tells it: what, about whom, by whom, where, and how it ended."""

    action: Action
    outcome: str
    number: str
    facts: Mapping[str, str | None]
    at: float = field(default_factory=SystemClock().now)

    def describe(self, *, longest: int = LONGEST_TEXT) -> dict[str, str]:
        facts = {"by": Path(sys.argv[0]).name or "python", **self.facts}
        to = facts.get("to")
        members: dict[str, str | None] = {
            "action": self.action,
            "outcome": self.outcome,
            "id": self.number,
            **facts,
            "to": to and to.partition("?")[0].partition("#")[0],
            "user": _user(),
            "host": os.uname().nodename,
            "pid": str(os.getpid()),
        }
        return {name: told(text, longest) for name, text in members.items() if text}


def _write(file: Path, key: bytes | None, line: _Line, what_became: str) -> None:
    chain = ChainFile(file, key=key, max_bytes=_MAX_BYTES, keep=None, clock=SystemClock())
    try:
        chain.append([line])
        chain.sync()
    except StoreError as error:
        message = f"{error.message} A record is kept of what Doorward does here. {what_became}".rstrip()
        raise RecordUnavailable(message, reason=error.reason) from error
    finally:
        chain.close()


def _user() -> str:
    """Return who runs this, by the system's word and not the environment's."""
    import pwd  # noqa: PLC0415 - not on Windows, where no record is kept

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
