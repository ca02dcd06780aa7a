"""Asks the operating system's keyring for a client's secret, within a deadline. It may show the person a dialog."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from doorward.children import without_secrets

__all__ = ["read_secret"]

_SERVICE = "doorward"
_TIMEOUT_S = 5.0
_INTERPRETER = re.compile(r"(python|pypy|graalpy)[\w.-]*", re.IGNORECASE)


def read_secret(name: str) -> str | None:
    """Return what the keyring holds for us under ``name``; None for nothing, no ``keyring`` package, or no answer.

    A process of its own asks, since some keyrings hang and hold the interpreter. In a program that is frozen or embeds
    Python there is no interpreter to start, only the program itself once more: there a thread asks.
    """
    if find_spec("keyring") is None:
        return None
    return _by_process(name) if _is_interpreter() else _by_thread(name)


def _is_interpreter() -> bool:
    return not getattr(sys, "frozen", False) and bool(_INTERPRETER.fullmatch(Path(sys.executable or "").name))


def _by_process(name: str) -> str | None:
    # -P, or a file keyring.py in the folder where the person happens to be would be run in its place.
    command = [sys.executable, "-P", "-m", "keyring", "get", "--", _SERVICE, name]
    try:
        answer = subprocess.run(  # noqa: S603 - our own interpreter, no shell, no secret among the arguments
            command,
            env=without_secrets(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode(errors="replace").removesuffix("\n").removesuffix("\r") or None


def _by_thread(name: str) -> str | None:
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            import keyring  # noqa: PLC0415 - an extra, and slow

            answers.put(keyring.get_password(_SERVICE, name))
        except Exception:  # noqa: BLE001 - a keyring that fails, in whatever way, has nothing for us
            answers.put(None)

    threading.Thread(target=ask, name="doorward-keyring", daemon=True).start()
    try:
        return answers.get(timeout=_TIMEOUT_S) or None
    except queue.Empty:
        return None
