"""The options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

import click

__all__ = ["json_option", "profile_option"]

profile_option = click.option(
    "--profile",
    metavar="NAME",
    envvar="DOORWARD_PROFILE",
    default="default",
    help="Which of your sessions; DOORWARD_PROFILE, or else 'default'.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
