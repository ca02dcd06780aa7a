"""``doorward status``: what the vault holds, without asking anybody."""

from __future__ import annotations

import click

from doorward.cli.options import json_option
from doorward.cli.session.profiles import Profiles

__all__ = ["command"]


@click.command("status")
@json_option
def command(*, as_json: bool) -> None:
    """Show every profile: who is signed in where, and for how long. No network is used."""
    Profiles().print(as_json=as_json)
