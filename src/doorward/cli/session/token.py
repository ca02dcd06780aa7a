"""``doorward token``: print a token good for a while. The fresh ones ``main`` has printed already."""

from __future__ import annotations

import click

from doorward.cli.options import json_option, profile_option
from doorward.cli.session.credentials import session_of
from doorward.cli.terminal import print_line, print_token
from doorward.cli.view import instant
from doorward.vault.vault import Vault

__all__ = ["command"]


@click.command("token")
@profile_option
@click.option("--id", "id_token", is_flag=True, help="The ID token instead of the access token.")
@json_option
def command(*, profile: str, id_token: bool, as_json: bool) -> None:
    """Print an access token, renewing it first if it is about to expire.

    For scripts:  doorward token | sed "s/^/Authorization: Bearer /" | curl -H @- https://api.example.org
    """
    vault = Vault()
    token = session_of(profile, vault).token("id" if id_token else "access")
    if not as_json:
        print_line(token)
        return
    entry = vault.get(profile)
    expires_at = None
    if entry is not None:
        expires_at = entry.id_token_expires_at if id_token else entry.access_token_expires_at
    print_token(token, expires_at=instant(expires_at), kind="id" if id_token else "access", profile=profile)
