"""``doorward credential docker``, or ``docker-credential-doorward``: the protocol of docker's credential helpers.

Errors go to standard output, where docker reads them. Source: github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from doorward.cli.ending import FAILED
from doorward.cli.helpers.options import origin_option, origins_from, whose_option
from doorward.cli.terminal import print_line
from doorward.errors import ConfigurationError, DoorwardError
from doorward.protocol.reading.origins import origin_of
from doorward.signin.handing.permission import may_go_to, permitted_origins
from doorward.signin.handing.tokens import hand
from doorward.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection

    from doorward.protocol.reading.origins import Origin

__all__ = ["docker"]

_MOST = 8192
_NOT_FOUND = "credentials not found in native keychain"  # docker knows it by these words
_NOT_KEPT = "Doorward keeps sessions and no passwords. Use doorward login and doorward logout, and list the registry's "
_NOT_KEPT += "origin in doorward.toml."


@click.command("docker")
@whose_option
@origin_option
@click.argument("operation", type=click.Choice(["get", "store", "erase", "list", "version"]))
def docker(*, profile: str | None, origin: Collection[str], operation: str) -> int:
    """Do as a credential helper for docker, podman and others. What they ask comes on standard input.

    An access token is given to the origins of the profile in doorward.toml, and to those that --origin names.
    """
    try:
        print_line(_answer(operation, profile, origins_from(origin)))
    except DoorwardError as error:
        print_line(error.message)
        return FAILED
    return 0


def _answer(operation: str, profile: str | None, named: Collection[Origin]) -> str:
    """Return what is asked for. What can't be had is an error, which docker shows."""
    if operation == "version":
        return f"docker-credential-doorward {__version__}"
    if operation == "list":
        return json.dumps({str(origin): username for origin, username in permitted_origins().items()})
    if operation != "get":
        raise ConfigurationError(_NOT_KEPT, field="operation", reason="not_kept")
    server = sys.stdin.buffer.read(_MOST).decode(errors="replace").removesuffix("\n")
    to = origin_of(server if "://" in server else f"https://{server}")
    permission = may_go_to(to, profile=profile, named=named) if to is not None else None
    if to is None or permission is None:
        raise ConfigurationError(_NOT_FOUND, field="ServerURL", reason="origin_not_allowed")
    token = hand(permission.profile, to=str(to), by="docker").token
    return json.dumps({"ServerURL": server, "Username": permission.username, "Secret": token.reveal()})
