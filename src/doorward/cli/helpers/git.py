"""``doorward credential git``: git's credential protocol, lines of ``name=value`` in and out.

What git is told comes from addresses that others wrote (a submodule's, say), so a line with a control character is
refused and not skipped (CVE-2020-5260, CVE-2024-50349, CVE-2024-52006), and the host is compared whole.

Source: git-credential(1), gitcredentials(7).
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from doorward.cli.helpers.options import origin_option, origins_from, whose_option
from doorward.cli.terminal import print_line
from doorward.errors import ConfigurationError, DoorwardError
from doorward.protocol.reading.origins import parse_origin
from doorward.signin.handing.permission import may_go_to
from doorward.signin.handing.tokens import hand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.protocol.reading.origins import Origin

__all__ = ["git"]

_MOST = 65_536
_LINE = re.compile(r"([a-z_]+(?:\[\])?)=([^\x00-\x1f\x7f]*)")
_Asked = dict[str, list[str]]


@click.command("git")
@whose_option
@origin_option
@click.option("--username", metavar="NAME", help="The user name to give beside the token; 'oauth2' of itself.")
@click.argument("operation")
def git(*, profile: str | None, origin: Sequence[str], username: str | None, operation: str) -> None:
    """Do as a credential helper for git: OPERATION is get, store or erase, and git says the rest.

    An access token is given to the origins of the profile in doorward.toml, and to those that --origin names. For any
    other host nothing is said, and git asks its next helper.
    """
    if operation not in ("get", "erase"):  # the session is kept already; what git may think of later is not for us
        return
    asked = _read()
    to = _origin(asked)
    permission = may_go_to(to, profile=profile, named=origins_from(origin)) if to is not None else None
    if to is None or permission is None:
        return
    if operation == "erase":
        refused = (asked.get("credential") or asked.get("password") or [""])[0]
        hand(permission.profile, to=str(to), by="git", rejected=refused)
        return
    username = username or permission.username
    if asked.get("username", [username]) != [username]:  # another account, which is not in our keeping
        return
    try:
        handed = hand(permission.profile, to=str(to), by="git")
    except DoorwardError:
        print_line("quit=1")  # else git asks for a password, which nobody has
        raise
    if "authtype" in asked.get("capability[]", ()) and _takes_bearer(asked):
        lines = ["capability[]=authtype", "authtype=Bearer", f"credential={handed.token.reveal()}", "ephemeral=1"]
    else:
        lines = [f"username={username}", f"password={handed.token.reveal()}"]
    if handed.expires_at is not None:
        lines.append(f"password_expiry_utc={handed.expires_at:.0f}")
    print_line("\n".join(lines))


def _read() -> _Asked:
    """Return what git asks.

    Raises:
        ConfigurationError: A line is none of the protocol, or a name that has one value is there twice.
    """
    data = sys.stdin.buffer.read(_MOST + 1)
    text = "=" if len(data) > _MOST else data.decode(errors="replace")
    asked: _Asked = {}
    for line in filter(None, text.partition("\n\n")[0].split("\n")):
        found = _LINE.fullmatch(line)
        if found is None or (found[1] in asked and not found[1].endswith("[]")):
            message = "What git asked has control characters in it, or is not git's protocol. Look at the address."
            raise ConfigurationError(message, field="standard input", reason="credential_malformed")
        name, value = found.groups()
        if name.endswith("[]") and not value:  # what came before does not count
            asked[name] = []
        else:
            asked.setdefault(name, []).append(value)
    return asked


def _origin(asked: _Asked) -> Origin | None:
    """Return where git would send the token; None where it may go nowhere."""
    protocol, host = (asked.get(name, [""])[0] for name in ("protocol", "host"))
    with suppress(ConfigurationError):
        return parse_origin(f"{protocol}://{host}")
    return None


def _takes_bearer(asked: _Asked) -> bool:
    """Say whether the server named the scheme Bearer. Without, GitLab and GitHub know a token as a password alone."""
    return any(value.partition(" ")[0].lower() == "bearer" for value in asked.get("wwwauth[]", ()))
