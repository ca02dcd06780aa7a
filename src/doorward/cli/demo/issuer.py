"""``doorward issuer``: DevIssuer by hand, for who develops a client or a service."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from difflib import get_close_matches

import click

from doorward.cli.options import json_option
from doorward.cli.terminal import print_facts, print_json, print_line, print_note
from doorward.errors import printable
from doorward.testing import MISBEHAVIOURS, DevIssuer

__all__ = ["command"]

_CLIENT_ID = "dev"
_NAP_S = 0.5
"""A signal that comes just before a nap is seen after it."""


def _known(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in MISBEHAVIOURS:
            close = get_close_matches(name, MISBEHAVIOURS)
            advice = f"Did you mean {', '.join(close)}?" if close else "They are listed by: doorward issuer --lies"
            raise click.BadParameter(f"There is no lie {printable(name)!r}. {advice}")
    return names


def _list(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click calls it
    if asked:
        for name in sorted(MISBEHAVIOURS):
            print_line(name)
        context.exit()


@click.command("issuer")
@click.option(
    "--port", metavar="PORT", type=click.IntRange(0, 65535), default=0, help="Serve here; else at a free one."
)
@click.option(
    "--client-id", metavar="ID", default=_CLIENT_ID, help=f"The client that may sign people in; else {_CLIENT_ID}."
)
@click.option(
    "--user",
    "users",
    metavar="NAME",
    multiple=True,
    help="Somebody who may sign in. More than once; else alice and bob.",
)
@click.option("--sign-in-as", "person", metavar="NAME", help="Answer every sign-in at once, as this person.")
@click.option(
    "--lie",
    "lies",
    metavar="NAME",
    multiple=True,
    callback=_known,
    shell_complete=lambda _context, _parameter, begun: [name for name in MISBEHAVIOURS if name.startswith(begun)],
    help="Do this wrong, such as id_token_expired. More than once.",
)
@click.option(
    "--lies", "listed", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List what --lie takes."
)
@json_option
def command(  # noqa: PLR0913 - the options of the command, all by keyword
    *, port: int, client_id: str, users: tuple[str, ...], person: str | None, lies: tuple[str, ...], as_json: bool
) -> None:
    """Run an OpenID provider on this computer, until Ctrl-C. It lets anybody sign in as anybody: never for production.

    Its client is public and may use any loopback address. It keeps nothing: a new run has new keys.
    """
    with DevIssuer(port=port) as issuer:
        issuer.add_client(client_id)
        for name in [*(users or ("alice", "bob")), *([person] if person else [])]:
            issuer.add_user(name, email=f"{name}@example.org")
        if person is not None:
            issuer.sign_in_as(person)
        issuer.misbehave(*lies)
        login = f"doorward login {issuer.url} --client-id {client_id} --insecure-loopback-http"
        if as_json:
            print_json({"issuer": issuer.url, "client_id": client_id})
        else:
            print_facts([("Issuer", issuer.url), ("Client", client_id)])
            print_note("Ctrl-C stops it. To sign in there:")
            print_line(login)  # whole, to be copied
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):  # how a person ends it
            while True:  # no wait for a lock: a second signal would break that amid the first
                time.sleep(_NAP_S)
