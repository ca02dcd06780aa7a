"""Has a PDF read by a process of its own, within a deadline."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import msgspec

from doorward.children import is_interpreter, without_secrets
from doorward.papers.checking.article import Contents

__all__ = ["can_read", "read_pdf"]

_DEADLINE_S = 30.0
# -P: nothing in the folder where the person is runs in its place.
_COMMAND = ("-P", "-m", "doorward.papers.checking.pdf_text")


def can_read() -> bool:
    """Say whether PDFs can be read here: that needs the extra ``papers``, and an interpreter to start."""
    return find_spec("pypdf") is not None and is_interpreter()


def read_pdf(fd: int, *, deadline_s: float = _DEADLINE_S) -> Contents | None:
    """Return what a PDF says; None if it can't be read, or not in time.

    Args:
        fd: of the file, from its beginning.
        deadline_s: how long it may take.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, *_COMMAND],
            env=without_secrets(os.environ),
            stdin=fd,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=deadline_s,
        )
        return msgspec.json.decode(answer.stdout, type=Contents)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        return None
