"""Keeps a client's secret in the operating system's keyring, within a deadline. It may show the person a dialog.

A process of its own asks, since some keyrings hang and hold the interpreter. In a program that is frozen or embeds
Python there is no interpreter to start, only the program itself once more: there a thread asks.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from doorward.children import is_interpreter, without_secrets
from doorward.errors import KeyringLocked, KeyringUnavailable, printable
from doorward.model import Secret
from doorward.signin.settings import keyring_here

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["forget_secret", "keep_secret", "read_secret"]

_TIMEOUT_S = 5.0
_INSTEAD = "Or set DOORWARD_CLIENT_SECRET instead."

_PROBLEMS = {
    "package": "The keyring package is missing: pip install 'doorward[keyring]'.",
    "absent": "There is no keyring here, as in a container, by SSH or in cron. Start one, such as gnome-keyring.",
    "unsafe": "{} is the keyring that is set up, and it keeps no secret safe. Set another: keyring --list-backends.",
    "refused": "The keyring refused: {}. Look at it in its own program.",
    "hung": "The keyring did not answer within 5 s. See whether it waits for you in a window, or start it again.",
    "locked": "The keyring is locked. Unlock it, as by signing in to your desktop, and try again.",
}


def read_secret(issuer: str, client_id: str) -> Secret | None:
    """Return the secret that is kept for a client, None if none is.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    secret = _asked({"action": "get", "name": f"{client_id}@{issuer}"})
    return Secret(secret) if secret else None


def keep_secret(issuer: str, client_id: str, secret: Secret) -> None:
    """Keep a client's secret, and see that it is there. Raises what ``read_secret`` does."""
    kept = _asked({"action": "set", "name": f"{client_id}@{issuer}", "secret": secret.reveal()})
    if kept != secret.reveal():
        raise _problem("refused", "it gives back something else than it was given")


def forget_secret(issuer: str, client_id: str) -> bool:
    """Remove a client's secret, and return whether there was one. Raises what ``read_secret`` does."""
    return _asked({"action": "delete", "name": f"{client_id}@{issuer}"}) is not None


def _asked(request: Mapping[str, str]) -> str | None:
    if find_spec("keyring") is None:
        raise _problem("package")
    answer = _by_process(request) if is_interpreter() else _by_thread(request)
    if "problem" in answer:
        raise _problem(answer["problem"], answer.get("what", ""))
    return answer.get("secret")


def _problem(problem: str, what: str = "") -> KeyringLocked | KeyringUnavailable:
    error = KeyringLocked if problem == "locked" else KeyringUnavailable
    message = f"{_PROBLEMS[problem].format(printable(what))} {_INSTEAD}"
    return error(message, reason=f"keyring_{problem}")


def _by_process(request: Mapping[str, str]) -> dict[str, str]:
    # -P, or a file keyring.py in the folder where the person happens to be would be run in its place.
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, no shell, no secret among the arguments
            [sys.executable, "-P", "-m", keyring_here.__name__],
            env=without_secrets(os.environ),
            input=json.dumps(request).encode(),
            capture_output=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
        return dict(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return {"problem": "hung"}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {"problem": "refused", "what": "its program ended without an answer"}


def _by_thread(request: Mapping[str, str]) -> dict[str, str]:
    answers: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    asking = threading.Thread(
        target=lambda: answers.put(keyring_here.ask(request)), name="doorward-keyring", daemon=True
    )
    asking.start()
    try:
        return answers.get(timeout=_TIMEOUT_S)
    except queue.Empty:
        return {"problem": "hung"}
