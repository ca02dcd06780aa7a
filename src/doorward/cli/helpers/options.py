"""The options that helpers share: which profile, and where its token may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from doorward.cli.options import profile_names
from doorward.protocol.reading.origins import Origin, parse_origin

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["insecure_option", "origin_option", "origins_from", "whose_option"]

whose_option = click.option(
    "--profile",
    metavar="NAME",
    shell_complete=profile_names,
    help="Whose token; left out, the profile whose origins in doorward.toml have this one.",
)

origin_option = click.option(
    "--origin",
    "origin",
    metavar="https://HOST",
    multiple=True,
    help="Where the token may go, besides the origins of the profile in doorward.toml; may be repeated.",
)

insecure_option = click.option(
    "--insecure-loopback-http", is_flag=True, help="Allow http to this computer, for development."
)


def origins_from(given: Iterable[str], *, loopback_http: bool = False) -> frozenset[Origin]:
    """Return the origins that ``--origin`` names."""
    return frozenset(parse_origin(each, loopback_http=loopback_http) for each in given)
