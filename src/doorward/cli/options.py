"""The options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

__all__ = ["json_option", "profile_option"]


def _profiles(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a profile for the shell."""
    from doorward.vault.vault import Vault

    return [CompletionItem(name) for name in Vault().names() if name.startswith(begun)]


profile_option = click.option(
    "--profile",
    metavar="NAME",
    envvar="DOORWARD_PROFILE",
    default="default",
    shell_complete=_profiles,
    help="Which of your sessions; DOORWARD_PROFILE, or else 'default'.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
