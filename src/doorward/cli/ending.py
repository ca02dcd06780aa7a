"""How a command ends when it does not end well: one line for people, one object for programs, one exit code."""

from __future__ import annotations

import os
import sys

from doorward.cli.terminal import print_json, wrapped
from doorward.errors import ConfigurationError, DoorwardError, SignInRequired, UnavailableError

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "FAILED",
    "SIGN_IN_NEEDED",
    "UNAVAILABLE",
    "USAGE",
    "error_object",
    "exit_code",
    "failed",
    "stopped",
    "unexpected",
    "usage",
]

_OTHER_JSON = ("curl", "exec")
"""Where ``--json`` is not ours: it is the body of a request, or another program's."""

FAILED, USAGE, SIGN_IN_NEEDED, UNAVAILABLE = 1, 2, 3, 4

_EXIT_CODES: tuple[tuple[type[DoorwardError], int], ...] = (
    (ConfigurationError, USAGE),
    (SignInRequired, SIGN_IN_NEEDED),
    (UnavailableError, UNAVAILABLE),
)


def failed(error: DoorwardError, arguments: Sequence[str]) -> int:
    """Report an error of ours and return the exit code for it."""
    _report(error_object(error), arguments)
    return exit_code(error)


def exit_code(error: DoorwardError) -> int:
    """Return the exit code for an error of ours."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), FAILED)


def usage(message: str, arguments: Sequence[str]) -> int:
    """Report a command line that can't be understood."""
    _report({"code": "usage", "reason": "usage", "message": message}, arguments)
    return USAGE


def stopped(arguments: Sequence[str]) -> int:
    """Report that the person pressed Ctrl-C."""
    _report({"code": "stopped", "reason": "stopped", "message": "Stopped."}, arguments)
    return FAILED


def unexpected(error: Exception, arguments: Sequence[str]) -> int:
    """Report a mistake in Doorward itself. What exactly happened shows only when asked for, without values."""
    if os.environ.get("DOORWARD_DEBUG") == "1":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    message = (
        f"Doorward made a mistake of its own ({type(error).__name__}). Run the same command with DOORWARD_DEBUG=1 set "
        "and report what it prints; look it through first for what is nobody's business."
    )
    _report({"code": "internal", "reason": "internal", "message": message}, arguments)
    return FAILED


def error_object(error: DoorwardError) -> dict[str, Any]:
    """Return an error as programs get it."""
    described: dict[str, Any] = {"code": error.code, "reason": error.reason, "message": error.message}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        described["retry_after_s"] = retry_after_s
    return described


def _report(error: dict[str, Any], arguments: Sequence[str]) -> None:
    """Print to standard output for a program that asked for JSON, else to standard error."""
    if "--json" in arguments and arguments[0] not in _OTHER_JSON:  # also where the command line could not be parsed
        print_json({"error": error})
        return
    line = f"doorward: {error['message']}" if error["code"] != "stopped" else error["message"]
    sys.stderr.write(wrapped(line, sys.stderr) + "\n")
