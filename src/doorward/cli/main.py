"""The console script. A fresh token is printed from here, with next to nothing imported; all else is ``app``'s.

Only a plain ``token`` with ``--profile`` or ``--id`` is understood here. All else, odd files included, goes to
the whole application, which knows the reasons and says them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doorward.model import TokenKind

__all__ = ["main"]


def main() -> int:
    """Run ``doorward`` with the arguments of this process, and return its exit code (see ``doorward --help``)."""
    arguments = sys.argv[1:]
    _open_what_is_closed()
    try:
        token = _token_at_hand(arguments)
        if token is None:
            from doorward.cli.app import run

            status = run(arguments)
        else:
            sys.stdout.write(f"{token}\n")
            status = 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        from doorward.cli.ending import stopped

        return stopped(arguments)
    except OSError as error:
        return _output_lost(error)
    return status


def _open_what_is_closed() -> None:
    """Take the numbers 0, 1 and 2 where we were started without them, so that no file or socket of ours gets one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as the process lives


def _token_at_hand(arguments: list[str]) -> str | None:
    """Return the token asked for if the vault holds it and it is fresh; None wherever that takes more than a look."""
    if arguments[:1] != ["token"]:
        return None
    profile: str | None = None
    kind: TokenKind = "access"
    rest = iter(arguments[1:])
    for argument in rest:
        if argument == "--id" and kind == "access":
            kind = "id"
        elif argument == "--profile" and profile is None:
            profile = next(rest, "")
        else:
            return None
    if profile is None:
        profile = os.environ.get("DOORWARD_PROFILE") or "default"
    import time

    from doorward.errors import DoorwardError
    from doorward.vault.folders import vault_folder
    from doorward.vault.glance import fresh_token

    try:
        return fresh_token(vault_folder(), profile, kind, now=time.time())
    except DoorwardError:  # the application meets it again, and explains it
        return None


def _output_lost(error: OSError) -> int:
    """Say that the output could not be written, except to somebody who has stopped reading it."""
    # What is still in the buffer is lost too; without this, the interpreter tries again at exit and complains.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not isinstance(error, BrokenPipeError):
        os.write(2, f"doorward: The output could not be written: {error.strerror}.\n".encode())
    return 1
