"""``doorward token``: print a token good for a while. The fresh ones ``main`` has printed already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from doorward.cli.options import SECONDS, json_option, profile_option
from doorward.cli.session.credentials import session_of
from doorward.cli.terminal import print_line, print_token
from doorward.cli.view import instant
from doorward.record.noting import note_use
from doorward.signin.handing.tokens import refuse_bound
from doorward.signin.held import who_of
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.model import TokenKind

__all__ = ["command"]


@click.command("token")
@profile_option
@click.option("--id", "id_token", is_flag=True, help="The ID token instead of the access token.")
@click.option("--renew", is_flag=True, help="Have the provider give a new one, even if the last one seems to be good.")
@click.option(
    "--least-life",
    "least_life_s",
    metavar="S",
    type=SECONDS,
    default=0,
    help="One that is good for so many seconds; of itself, 300, or half of a life under 600.",
)
@json_option
def command(*, profile: str, id_token: bool, renew: bool, least_life_s: float, as_json: bool) -> None:
    """Print an access token, renewing it first if it is about to expire.

    \b
    For scripts:
      doorward token | sed "s/^/Authorization: Bearer /" |
        curl -H @- https://api.example.org
    """  # noqa: D301 - click's mark for lines to be left alone
    vault, kind = Vault(), _kind(id_token=id_token)
    session = session_of(profile, vault)
    if not id_token:
        refuse_bound(vault.get(profile))
    token = session.renew(kind=kind) if renew else ""
    if least_life_s or not renew:
        token = session.token(kind, least_life_s=least_life_s)
    entry = vault.get(profile)
    note_use("doorward token", profile=profile, **who_of(entry))
    if not as_json:
        print_line(token)
        return
    expires_at = None
    if entry is not None:
        expires_at = entry.id_token_expires_at if id_token else entry.access_token_expires_at
    print_token(token, expires_at=instant(expires_at), kind=kind, profile=profile)


def _kind(*, id_token: bool) -> TokenKind:
    return "id" if id_token else "access"
