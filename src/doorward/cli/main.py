"""The console script. What needs only a look at the vault is done from here, with little imported; all else by ``app``.

Only the plainest spellings are understood here: ``status``, and ``token`` while it is fresh, with ``--profile``,
``--id`` and ``--json``. All else, odd files included, goes to the whole application, which knows the reasons.
"""

from __future__ import annotations

import os
import sys

from doorward.errors import DoorwardError

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from doorward.model import TokenKind

__all__ = ["docker", "git", "main"]


def main() -> int:
    """Run ``doorward`` with the arguments of this process, and return its exit code (see ``doorward --help``)."""
    arguments = sys.argv[1:]
    _open_what_is_closed()
    try:
        if _done_at_once(arguments):
            status = 0
        else:
            from doorward.cli.app import run

            status = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        from doorward.cli.ending import stopped

        return stopped(arguments)
    except OSError as error:
        return _output_lost(error)
    except Exception as error:  # noqa: BLE001 - the last resort: a person sees no traceback
        from doorward.cli.ending import unexpected

        return unexpected(error, arguments)
    return status


def docker() -> int:
    """Run as ``docker-credential-doorward``, by which name docker looks for a helper called ``doorward``."""
    sys.argv[1:1] = ["credential", "docker"]
    return main()


def git() -> int:
    """Run as ``git-credential-doorward``, by which name git looks for a helper called ``doorward``."""
    sys.argv[1:1] = ["credential", "git"]
    return main()


def _open_what_is_closed() -> None:
    """Take the numbers 0, 1 and 2 where we were started without them, so that no file or socket of ours gets one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as the process lives


def _done_at_once(arguments: list[str]) -> bool:
    """Do what was asked for if that takes no more than a look, and return whether it did."""
    command = arguments[:1]
    try:
        if command == ["token"]:
            return _token_at_hand(arguments[1:])
        if command == ["status"] and arguments[1:] in ([], ["--json"]):
            return _status(as_json=len(arguments) > 1)
    except DoorwardError:  # the application meets it again, and explains it
        pass
    return False


def _token_at_hand(options: list[str]) -> bool:
    """Print the token asked for if the vault holds it and it is fresh."""
    profile: str | None = None
    kind: TokenKind = "access"
    as_json = False
    rest = iter(options)
    for option in rest:
        if option == "--id" and kind == "access":
            kind = "id"
        elif option == "--json" and not as_json:
            as_json = True
        elif option == "--profile" and profile is None:
            profile = next(rest, "")
        else:
            return False
    if profile is None:
        profile = os.environ.get("DOORWARD_PROFILE") or "default"
    import time

    from doorward.vault.folders import vault_folder
    from doorward.vault.glance import fresh_token

    found = fresh_token(vault_folder(), profile, kind, now=time.time())
    if found is None:
        return False
    token, expires_at = found
    if as_json:
        from doorward.cli.terminal import print_token

        print_token(token, expires_at=expires_at, kind=kind, profile=profile)
    else:
        sys.stdout.write(f"{token}\n")
    return True


def _status(*, as_json: bool) -> bool:
    from doorward.cli.session.profiles import Profiles
    from doorward.cli.terminal import replace_unprintable

    profiles = Profiles()
    replace_unprintable()
    profiles.print(as_json=as_json)
    return True


def _output_lost(error: OSError) -> int:
    """Say that the output could not be written, except to somebody who has stopped reading it."""
    # What is still in the buffer is lost too; without this, the interpreter tries again at exit and complains.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not isinstance(error, BrokenPipeError):
        os.write(2, f"doorward: The output could not be written: {error.strerror}.\n".encode())
    return 1
